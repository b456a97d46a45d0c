//! `bots replay`: a match of the arena, as its server recorded it, simulated again: on the page, or against the recording.
//! Owns what is said of it; must never know the file's bytes nor a rule of the game.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arena::ArenaGame;
use server_runtime::{Recording, Replay, ReplayError, ServerOptions, Shown, show};

use crate::cli::ReplayArgs;

/// Runs `bots replay`.
///
/// # Errors
/// The file cannot be read or used, the page cannot be served, or, with `--verify`, the match came out otherwise.
pub fn run(args: &ReplayArgs) -> anyhow::Result<()> {
    let recording = Arc::new(read(&args.file)?);
    if args.verify {
        return verify(&recording);
    }
    let told = |shown| match shown {
        Shown::At(address) => println!("http://{address}/ shows {}; Ctrl-C ends it", args.file.display()),
        Shown::Differs(difference) => println!("not as recorded from here on: {difference}"),
    };
    Ok(show(|| begin(&recording), ([127, 0, 0, 1], args.port).into(), args.speed, args.rounds, told)?)
}

/// A recording that was read from a file.
///
/// # Errors
/// The file cannot be read, is longer than any server writes, or is no sound recording.
pub fn read(file: &Path) -> anyhow::Result<Recording> {
    let name = || file.display().to_string();
    let length = std::fs::metadata(file).with_context(name)?.len();
    anyhow::ensure!(length <= FILE_BYTES_MAX, "{}: {length} bytes are more than a recording has", name());
    Recording::parse(&std::fs::read(file).with_context(name)?).with_context(name)
}

fn begin(recording: &Arc<Recording>) -> Result<Replay<ArenaGame>, ReplayError> {
    Replay::new(arena::server(ServerOptions::default()), Arc::clone(recording))
}

fn verify(recording: &Arc<Recording>) -> anyhow::Result<()> {
    let (ticks, seconds) =
        (recording.last_tick(), f64::from(recording.last_tick()) / f64::from(recording.tick_hz()));
    match begin(recording)?.verify()? {
        None => println!("the same: {ticks} ticks ({seconds:.1} s) of {}, bit for bit", recording.name()),
        Some(difference) => anyhow::bail!("another match from {difference}"),
    }
    Ok(())
}

/// A recorder's bound is 1 GiB; the file's own bytes are a few kilobytes beside that.
const FILE_BYTES_MAX: u64 = (1 << 30) + (16 << 20);
