//! The fuzz targets on the stable toolchain: the committed corpus, the honest encoders' seeds and seeded mutations of
//! both go through the very functions that libFuzzer drives (`netcode/fuzz`, `docs/fuzzing.md`).

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a library of its own for the fuzzer, a module here")]
mod targets;

use std::path::Path;

use fastrand::Rng;
use targets::{TARGETS, Target};

/// The committed inputs of a target.
fn corpus(target: Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("readable")).collect()
}

/// What a fuzzer does to bytes: flips, cuts, repeats, and pieces of other inputs.
fn mutate(rng: &mut Rng, inputs: &[Vec<u8>]) -> Vec<u8> {
    let pick = |rng: &mut Rng| &inputs[rng.usize(0..inputs.len())];
    let mut bytes = pick(rng).clone();
    for _ in 0..1 + rng.u32(0..4) {
        let at = rng.usize(0..=bytes.len());
        match rng.u32(0..6) {
            0 => bytes.truncate(at),
            1 => {
                let other = pick(rng);
                let from = rng.usize(0..=other.len());
                bytes.splice(at..at, other[from..].iter().copied());
            }
            2 => {
                let end = at + rng.usize(0..=(bytes.len() - at).min(32));
                bytes.drain(at..end);
            }
            3 => bytes.splice(at..at, [[0; 4], [0xff; 4]][rng.usize(0..2)]).for_each(drop),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = [*byte ^ 1 << rng.u32(0..8), rng.u8(..)][rng.usize(0..2)];
                }
            }
        }
        bytes.truncate(INPUT_BYTES_MAX);
    }
    bytes
}

/// Runs a target twice on `input`: it breaks no law, and equal bytes give equal behaviour.
fn check(target: Target, input: &[u8]) -> u64 {
    let digest = (target.run)(input);
    assert_eq!((target.run)(input), digest, "{}: two runs differ", target.name);
    digest
}

fn replay(name: &str, mutations: u32) {
    let target = *TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    let seeds = (target.seeds)();
    for (number, seed) in seeds.iter().enumerate() {
        assert_ne!(check(target, seed), 0, "{name} refuses seed {number}: does it still speak the format?");
    }
    let mut inputs = corpus(target);
    assert!(!inputs.is_empty(), "{name} has no corpus");
    let taken = inputs.iter().filter(|input| check(target, input) != 0).count();
    assert!(taken > 0, "{name} refuses its whole corpus: write the seeds again, see docs/fuzzing.md");
    inputs.extend(seeds);
    let mut rng = Rng::with_seed(0x7769_636b);
    for _ in 0..mutations {
        (target.run)(&mutate(&mut rng, &inputs));
    }
}

/// One test a target, so that a failure names it.
macro_rules! targets {
    ($($name:ident: $mutations:expr),* $(,)?) => {
        $(#[test] fn $name() { replay(stringify!($name), $mutations); })*

        #[test]
        fn every_target_is_replayed_here_and_known_to_cargo_fuzz() {
            let here = [$(stringify!($name)),*];
            let manifest = include_str!("../fuzz/Cargo.toml");
            for target in TARGETS {
                assert!(here.contains(&target.name), "{} is not replayed", target.name);
                assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{} has no door", target.name);
            }
            assert_eq!((here.len(), manifest.matches("[[bin]]").count()), (TARGETS.len(), TARGETS.len()));
        }
    };
}

targets! {
    wire_bits: 20_000,
    wire_bytes: 20_000,
    token_public: 5_000,
    token_private: 5_000,
    session: 2_000,
    link: 4_000,
    snapshot_receiver: 5_000,
    snapshot_dense: 1_000,
    snapshot_header: 20_000,
    control: 20_000,
    input_packet: 10_000,
    telemetry: 10_000,
    message_set: 10_000,
    endpoint: 500,
}

/// Longer ones teach nothing new and cost time.
const INPUT_BYTES_MAX: usize = 4096;
