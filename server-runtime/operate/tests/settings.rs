//! Flags over environment over file over defaults, and what is said of values that cannot be used.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use operate::settings::{Stray, in_range};
use operate::{Origin, Secret, Settings, SettingsError};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Colour {
    Red,
    Blue,
}

#[derive(Parser, Debug)]
#[command(version)]
struct Flags {
    /// The file.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Ticks a second.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(10..=128))]
    tick_rate: u16,
    /// A variable that every process has.
    #[arg(long, env = "PATH", default_value = "none")]
    search: String,
    /// Which.
    #[arg(long, value_enum, default_value_t = Colour::Red)]
    colour: Colour,
    /// Several.
    #[arg(long, value_delimiter = ',')]
    names: Vec<String>,
    /// Needs the next.
    #[arg(long, requires = "password", conflicts_with = "quiet")]
    user: Option<String>,
    #[arg(long)]
    password: Option<String>,
    /// On or off.
    #[arg(long)]
    quiet: bool,
    /// Hidden, 4 digits.
    #[arg(long, env = "OPERATE_TEST_KEY", hide_env_values = true, value_parser = four_digits)]
    key: Option<Secret>,
}

fn four_digits(text: &str) -> Result<Secret, String> {
    if text.len() == 4 { Ok(text.into()) } else { Err(format!("{text} has not four digits")) }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Balance {
    hit_damage: u8,
    speed: f32,
}

impl Balance {
    fn check(&self) -> Result<(), Stray> {
        in_range("hit_damage", &self.hit_damage, 1..=100)
    }
}

const USUAL: Balance = Balance { hit_damage: 20, speed: 1.5 };

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn write(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("server.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    fn read(&self, text: &str, flags: &[&str]) -> Result<(Flags, Settings), SettingsError> {
        let path = self.write(text);
        Settings::read(args(&path, flags))
    }

    fn refused(&self, text: &str, flags: &[&str]) -> String {
        let said = self.read(text, flags).expect_err(text).to_string();
        assert!(!said.contains('\n'), "{said}");
        said.replace(&self.folder.path().display().to_string(), "DIR")
    }
}

fn args(path: &Path, flags: &[&str]) -> Vec<OsString> {
    let path = path.to_str().unwrap();
    ["program", "--config", path].iter().chain(flags).map(OsString::from).collect()
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let desk = Desk::new();
    let text = "tick-rate = 30\nsearch = \"file\"\ncolour = \"blue\"\nnames = [\"a\", \"b\"]\nquiet = true\n";
    let (flags, settings) = desk.read(text, &["--colour", "red"]).unwrap();
    assert_eq!((flags.tick_rate, flags.colour, flags.quiet), (30, Colour::Red, true));
    assert_eq!(flags.names, ["a", "b"]);
    assert_eq!(flags.search, std::env::var("PATH").unwrap(), "the environment's");
    let origin = |key: &str| {
        settings.entries().iter().find(|entry| entry.key == key).map(|entry| entry.origin.clone()).unwrap()
    };
    let path = settings.path().unwrap().to_owned();
    assert_eq!(origin("tick-rate"), Origin::File { path, line: 1 });
    assert_eq!(origin("colour"), Origin::Flag);
    assert_eq!(origin("search"), Origin::Environment("PATH".into()));
    assert_eq!(origin("key"), Origin::Default);
    // Either spelling; a flag's word in place of a file's list.
    let (flags, _) = desk.read("tick_rate = 0x20\nnames = \"a,b\"\n", &["--names", "c"]).unwrap();
    assert_eq!((flags.tick_rate, flags.names), (32, vec!["c".to_owned()]));
    let (flags, settings) = Settings::read::<Flags>(["program"].map(OsString::from)).unwrap();
    assert_eq!((flags.tick_rate, settings.path()), (60, None));
}

#[test]
fn what_cannot_be_used_is_said_with_key_value_place_and_range() {
    let desk = Desk::new();
    for (text, flags, expected) in [
        (
            "\ntick-rate = 9",
            &[][..],
            "tick-rate is \"9\" (from DIR/server.toml, line 2): 9 is not in 10..=128; allowed is 10 to 128",
        ),
        (
            "",
            &["--tick-rate=fast"],
            "tick-rate is \"fast\" (from the command line): invalid digit found in string; allowed is 10 to 128",
        ),
        (
            "colour = \"green\"",
            &[],
            "colour is \"green\" (from DIR/server.toml, line 1): there is no such choice; allowed is red, blue",
        ),
        (
            "quiet = \"yes\"",
            &[],
            "quiet is no switch (from DIR/server.toml, line 1): it is of another kind; allowed is true or false",
        ),
        (
            "tick-rate = [1, 2]",
            &[],
            "tick-rate is a list (from DIR/server.toml, line 1): it is of another kind; allowed is one value",
        ),
        (
            "key = \"12345\"",
            &[],
            "key is (secret) (from DIR/server.toml, line 1): it is malformed; allowed is Hidden, 4 digits",
        ),
        (
            "tick-rat = 9",
            &[],
            "tick-rat is no setting (from DIR/server.toml, line 1); did you mean tick-rate?",
        ),
        ("zzz = 9", &[], "zzz is no setting (from DIR/server.toml, line 1)"),
        ("config = \"x\"", &[], "config is no setting (from DIR/server.toml, line 1)"),
        (
            "tick-rate = 20\ntick_rate = 30",
            &[],
            "tick_rate is given twice (from DIR/server.toml, line 2): line 1 says it too, as tick-rate; allowed is one",
        ),
    ] {
        assert_eq!(desk.refused(text, flags), expected);
    }
    let said = desk.refused("tick-rate = \n", &[]);
    assert!(said.starts_with("the settings file DIR/server.toml is no TOML, line 1: "), "{said}");
    let missing = Settings::read::<Flags>(args(Path::new("/nowhere/x.toml"), &[])).unwrap_err().to_string();
    assert!(missing.starts_with("the settings file /nowhere/x.toml cannot be read: "), "{missing}");
    // What goes together does, wherever it stands.
    assert!(desk.refused("user = \"ann\"", &[]).contains("--password"));
    assert!(desk.read("user = \"ann\"", &["--password=x"]).is_ok());
    assert!(desk.refused("user = \"ann\"\npassword = \"x\"", &["--quiet"]).contains("cannot be used with"));
    // A value of the file that nobody needs is wrong all the same.
    assert!(desk.refused("tick-rate = 9", &["--tick-rate", "20"]).contains("line 1"));
    let usage = desk.refused("", &["--tick-rat", "20"]);
    assert!(usage.contains("--tick-rat"), "{usage}");
}

#[test]
fn what_is_shown_is_a_file_again_without_secrets() {
    let desk = Desk::new();
    let (_, settings) = desk.read("key = \"1234\"\ntick-rate = 30\nnames = [\"a\"]", &["--quiet"]).unwrap();
    let text = settings.to_text();
    assert!(!format!("{settings:?} {:?}", settings.entries()).contains("1234"));
    assert!(!text.contains("1234") && text.contains("# key is set, and secret"), "{text}");
    assert!(text.contains("tick-rate = 30  # from "), "{text}");
    assert!(text.contains("quiet = true  # from the command line"), "{text}");
    let (again, _) = desk.read(&text, &[]).unwrap();
    assert_eq!((again.tick_rate, again.quiet, again.names), (30, true, vec!["a".to_owned()]));
}

#[test]
fn tables_are_read_as_a_type_over_its_default() {
    let desk = Desk::new();
    let balance = |text: &str| {
        let (_, settings) = desk.read(text, &[])?;
        settings.expect_sections(&["balance"])?;
        settings.section("balance").over(&USUAL, Balance::check)
    };
    assert_eq!(balance("").unwrap(), USUAL);
    assert_eq!(
        balance("[balance]\nhit-damage = 7\nspeed = 2").unwrap(),
        Balance { hit_damage: 7, speed: 2.0 }
    );
    for (text, expected) in [
        ("[balanec]", "[balanec] is no setting (from DIR/server.toml, line 1); did you mean [balance]?"),
        (
            "[balance]\nhit_damge = 7",
            "balance.hit_damge is no setting (from DIR/server.toml, line 2); did you mean balance.hit_damage?",
        ),
        (
            "[balance]\n\nhit-damage = 0",
            "balance.hit_damage is 0 (from DIR/server.toml, line 3): it is out of range; allowed is 1 to 100",
        ),
        ("[balance]\nhit-damage = \"x\"", "balance.hit-damage is \"x\" (from DIR/server.toml, line 2): "),
        ("[balance]\nhit-damage = 999", "balance.hit-damage is 999 (from DIR/server.toml, line 2): "),
    ] {
        let said = balance(text).expect_err(text).to_string();
        let said = said.replace(&desk.folder.path().display().to_string(), "DIR");
        assert!(said.starts_with(expected) && !said.contains('\n'), "{said}");
    }
}

#[test]
fn the_file_is_read_again_and_only_the_file() {
    let desk = Desk::new();
    let (_, before) = desk.read("tick-rate = 30\n", &["--colour", "blue"]).unwrap();
    desk.write("tick-rate = 40\ncolour = \"red\"\n");
    let after = before.read_again().unwrap();
    assert_eq!(after.changed_since(&before), ["tick-rate"], "the flag still beats the file");
    assert_eq!(after.value("tick-rate"), Some("40"));
    desk.write("tick-rate = 400\n");
    assert!(before.read_again().is_err());
}
