//! The house rules that a machine can hold: who may know whom, and how a file looks.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Which of our crates each crate may be built on. A new edge is added here with its reason in the commit.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("netcode-wire", &[]),
    ("netcode-derive", &[]),
    ("netcode-token", &["netcode-wire"]),
    ("netcode-snapshot", &["netcode-wire"]),
    ("netcode-proto", &["netcode-wire", "netcode-token"]),
    ("netcode-client", &["netcode-wire", "netcode-token", "netcode-proto", "netcode-snapshot"]),
    ("netcode-transport", &["netcode-wire", "netcode-token", "netcode-proto"]),
    (
        "netcode-sim",
        &[
            "netcode-wire",
            "netcode-token",
            "netcode-proto",
            "netcode-snapshot",
            "netcode-derive",
            "netcode-client",
        ],
    ),
    (
        "netcode",
        &[
            "netcode-wire",
            "netcode-token",
            "netcode-proto",
            "netcode-snapshot",
            "netcode-derive",
            "netcode-client",
            "netcode-transport",
        ],
    ),
    ("contest", &[]),
    ("agones-sdk", &[]),
    ("backend-proto", &[]),
    ("rating", &[]),
    ("matching", &["rating"]),
    ("scaling", &[]),
    ("operate", &[]),
    (
        "backend-services",
        &["backend-proto", "rating", "matching", "scaling", "netcode-token", "agones-sdk", "operate"],
    ),
    (
        "server-runtime",
        &[
            "netcode-wire",
            "netcode-token",
            "netcode-proto",
            "netcode-snapshot",
            "netcode-derive",
            "netcode-client",
            "netcode-transport",
            "agones-sdk",
            "backend-proto",
            "operate",
        ],
    ),
    ("client-ecs", &["netcode-proto", "netcode-snapshot", "netcode-client"]),
    (
        "arena",
        &[
            "netcode-wire",
            "netcode-proto",
            "netcode-snapshot",
            "netcode-derive",
            "netcode-client",
            "server-runtime",
        ],
    ),
];

/// What nothing below `netcode/` but `transport` may be built on: an ECS, an async runtime, a socket library.
const NOT_IN_NETCODE: &[&str] = &["bevy_ecs", "tokio", "axum", "tonic", "socket2", "rustix", "mio"];

/// Longest file, lines without its tests (DESIGN: 400; 600 needs a reason in the header).
const LINES_MAX: usize = 600;

struct Package {
    name: String,
    folder: PathBuf,
    /// Ordinary dependencies, not those of tests and build scripts.
    dependencies: BTreeSet<String>,
}

fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--locked"])
        .current_dir(support::workspace())
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
    metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|package| Package {
            name: text(&package["name"]),
            folder: Path::new(&text(&package["manifest_path"])).parent().expect("a folder").to_owned(),
            dependencies: package["dependencies"]
                .as_array()
                .expect("dependencies")
                .iter()
                .filter(|dependency| dependency["kind"].is_null())
                .map(|dependency| text(&dependency["name"]))
                .collect(),
        })
        .collect()
}

/// The Rust sources of a package, tests and benches left out.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.join("src")];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().map_while(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source can be read");
                found.push((path, text));
            }
        }
    }
    found
}

#[test]
fn knowledge_runs_one_way() {
    let packages = packages();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let may_know: BTreeMap<&str, &[&str]> = MAY_KNOW.iter().copied().collect();
    // Bots and benches stand on top: they may know everything.
    for package in packages.iter().filter(|package| !["bots", "benches"].contains(&package.name.as_str())) {
        let allowed =
            may_know.get(package.name.as_str()).unwrap_or_else(|| panic!("{} has no room", package.name));
        for dependency in package.dependencies.iter().filter(|name| ours.contains(name.as_str())) {
            assert!(allowed.contains(&dependency.as_str()), "{} must not know {dependency}", package.name);
        }
    }
}

#[test]
fn netcode_knows_no_ecs_no_runtime_and_no_socket() {
    let inside = |package: &&Package| {
        package.name.starts_with("netcode")
            && !["netcode-transport", "netcode-sim"].contains(&package.name.as_str())
    };
    for package in packages().iter().filter(inside) {
        for name in NOT_IN_NETCODE {
            assert!(!package.dependencies.contains(*name), "{} must not know {name}", package.name);
        }
    }
}

#[test]
fn every_file_says_what_it_is_and_stays_short() {
    for package in packages() {
        for (path, text) in sources(&package.folder) {
            let path = path.display();
            assert!(text.starts_with("//!"), "{path} does not open with //!");
            let code = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").count();
            assert!(code <= LINES_MAX, "{path} has {code} lines without its tests");
            assert!(!text.contains("#[ignore"), "{path} ignores a test");
        }
    }
}

/// A rule lives in one pure place: it awaits nothing, asks no clock and knows no store.
#[test]
fn rules_are_pure() {
    let pure = [
        "agones-sdk/src/fleet/roll.rs",
        "agones-sdk/src/fleet/scale/buffer.rs",
        "agones-sdk/src/fleet/scale/counted.rs",
        "agones-sdk/src/fleet/scale/decide.rs",
        "agones-sdk/src/fleet/scale/schedule.rs",
        "backend-services/src/accounts/rules.rs",
        "backend-services/src/custody/rules.rs",
        "backend-services/src/sanctions/rules.rs",
        "backend-services/src/matches/rules.rs",
        "backend-services/src/matches/effects.rs",
        "backend-services/src/progression/career.rs",
        "backend-services/src/parties/rules.rs",
        "backend-services/matching/src/pool.rs",
        "backend-services/matching/src/ready.rs",
        "backend-services/rating/src/model.rs",
    ];
    let arena = ["server-runtime/arena/src/rules.rs", "server-runtime/arena/src/game.rs"];
    for file in pure.iter().chain(&arena) {
        let text = fs::read_to_string(support::workspace().join(file)).expect(file);
        for word in [".await", "sqlx", "redis", "SystemTime::now", "Instant::now", "std::env"] {
            assert!(!text.contains(word), "{file} is a place for rules: no {word}");
        }
    }
}
