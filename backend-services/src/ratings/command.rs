//! `backend-services ratings …`: writes the match log, learns parameters from one, replays one. Parses and
//! prints; the arithmetic is the `rating` crate's.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand};
use rating::{Descent, Effort, Forecast, Ledger, Match, Parameters, learn};

use crate::config::{Secret, first_paragraph};
use crate::matches::record;
use crate::matches::rules::rated_match;
use crate::store::{CountedMatch, Db, Stores};

/// The word that leads here instead of to the server.
pub const COMMAND: &str = "ratings";

/// Matches in a log at most.
const MATCHES_MAX: usize = 10_000_000;
/// Results read from the store at once.
const PAGE: i64 = 1000;

/// The rating model's log and parameters.
#[derive(Debug, Parser)]
#[command(name = "backend-services ratings", no_binary_name = true)]
struct Flags {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Writes the log of all counted matches: a JSON line each, in the order of their counting.
    Export(Export),
    /// Learns parameters from a log: those that would have predicted its results best, each match before it.
    Learn(Learn),
    /// Replays a log and writes every player's skill after it, a JSON line each.
    Replay(Replay),
}

#[derive(Debug, Args)]
struct Export {
    /// Folder of the embedded store; no backend may be running on it.
    #[arg(long, default_value = "tickwright-state", value_name = "FOLDER")]
    state: PathBuf,
    /// Postgres instead of the embedded store.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<Secret>,
    /// Where to; standard output unless given.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Learn {
    /// The match log.
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
    /// Parameters to start from; TrueSkill's published ones unless given.
    #[arg(long, value_name = "FILE")]
    start: Option<PathBuf>,
    /// Where the parameters go; standard output unless given.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Steps of the search.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    steps: u32,
    /// Leaves every extra off: only TrueSkill's own numbers are learned.
    #[arg(long)]
    plain: bool,
    /// One skill for all modes, and nothing beside it for each.
    #[arg(long)]
    modes_together: bool,
}

#[derive(Debug, Args)]
struct Replay {
    /// The match log.
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
    /// The parameters; the backend's own unless given.
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
    /// Where the skills go; standard output unless given.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs `backend-services ratings` with the words after it.
///
/// # Errors
/// One line that says what is in the way.
pub fn main_with(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<()> {
    let flags = match Flags::try_parse_from(args) {
        Ok(flags) => flags,
        Err(error) if !error.use_stderr() => {
            print!("{error}");
            return Ok(());
        }
        Err(error) => bail!("{}", first_paragraph(&error.to_string())),
    };
    match flags.what {
        What::Export(flags) => {
            tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(export(&flags))
        }
        What::Learn(flags) => learn_from(&flags),
        What::Replay(flags) => replay(&flags),
    }
}

async fn export(flags: &Export) -> anyhow::Result<()> {
    let db = match &flags.database_url {
        Some(url) => Stores::log_of_postgres(&url.0).await.context("cannot open Postgres")?,
        None => {
            let unusable = || format!("cannot open the store in {}", flags.state.display());
            // Opening makes a store where there is none: that would be a log of nothing.
            std::fs::metadata(flags.state.join("backend.sqlite")).with_context(unusable)?;
            Stores::embedded(&flags.state).await.with_context(unusable)?.db
        }
    };
    let mut out = writer(flags.out.as_deref())?;
    let written = write_log(&db, &mut out).await?;
    out.flush()?;
    eprintln!("{written} matches");
    Ok(())
}

/// All counted matches that rated anybody.
async fn write_log(db: &Db, out: &mut impl Write) -> anyhow::Result<usize> {
    let (mut last, mut written): (Option<CountedMatch>, usize) = (None, 0);
    loop {
        let page = db.counted_matches(last.as_ref(), PAGE).await?;
        let Some(newest) = page.last() else { return Ok(written) };
        for counted in &page {
            let game = logged(counted).with_context(|| format!("match {}", counted.id))?;
            if game.check().is_ok() {
                writeln!(out, "{}", serde_json::to_string(&game)?)?;
                written += 1;
            }
        }
        last = Some(newest.clone());
    }
}

fn logged(counted: &CountedMatch) -> anyhow::Result<Match> {
    let entries = record::read(&counted.result)?;
    Ok(rated_match(counted.id, &counted.mode, &entries, counted.ended))
}

fn learn_from(flags: &Learn) -> anyhow::Result<()> {
    let mut log = read_log(&flags.log)?;
    if flags.modes_together {
        log.iter_mut().for_each(|game| game.mode.clear());
    }
    let start = flags.start.as_deref().map_or_else(|| Ok(Parameters::default()), parameters)?;
    let descent = Descent { iterations: flags.steps, ..Descent::default() };
    let effort = Effort { descent, extras: !flags.plain, ..Effort::default() };
    let learned = learn(&log, &start, effort).map_err(|(index, fault)| {
        anyhow::anyhow!("match {} of {}: {fault}", index + 1, flags.log.display())
    })?;
    if learned.after.matches == 0 {
        bail!("nothing to learn from {}: no match has a winner", flags.log.display());
    }
    let line = |what: &str, found: Forecast| {
        eprintln!("{what}  log-loss {:.4}  accuracy {:.2} %", found.log_loss, found.accuracy * 100.0);
    };
    eprintln!("{} matches with a winner, replayed {} times", learned.after.matches, learned.replays);
    line("before", learned.before);
    line("after ", learned.after);
    eprintln!("(on the log that was learned from: expect a little less of the next one)");
    let mut out = writer(flags.out.as_deref())?;
    writeln!(out, "{}", serde_json::to_string_pretty(&learned.parameters)?)?;
    Ok(out.flush()?)
}

fn replay(flags: &Replay) -> anyhow::Result<()> {
    let model = match &flags.parameters {
        Some(file) => rating::TrueSkill2::new(parameters(file)?)?,
        None => super::model(None)?,
    };
    let mut ledger = Ledger::new(model);
    for (index, game) in read_log(&flags.log)?.iter().enumerate() {
        ledger.count(game).with_context(|| format!("match {} of {}", index + 1, flags.log.display()))?;
    }
    let mut out = writer(flags.out.as_deref())?;
    for (player, skill) in ledger.skills() {
        writeln!(out, "{}", serde_json::json!({ "player": player, "skill": skill }))?;
    }
    Ok(out.flush()?)
}

fn parameters(file: &Path) -> anyhow::Result<Parameters> {
    let about = || format!("cannot read {}", file.display());
    let parameters: Parameters =
        serde_json::from_slice(&std::fs::read(file).with_context(about)?).with_context(about)?;
    parameters.check().with_context(about)?;
    Ok(parameters)
}

fn read_log(file: &Path) -> anyhow::Result<Vec<Match>> {
    let about = || format!("cannot read {}", file.display());
    let lines = BufReader::new(std::fs::File::open(file).with_context(about)?).lines();
    let mut log = Vec::new();
    for (index, line) in lines.enumerate() {
        let line = line.with_context(about)?;
        if line.trim().is_empty() {
            continue;
        }
        if log.len() == MATCHES_MAX {
            bail!("{} has more than {MATCHES_MAX} matches", file.display());
        }
        let place = || format!("line {} of {}", index + 1, file.display());
        log.push(serde_json::from_str(&line).with_context(place)?);
    }
    Ok(log)
}

fn writer(file: Option<&Path>) -> anyhow::Result<BufWriter<Box<dyn Write>>> {
    let out: Box<dyn Write> = match file {
        Some(file) => {
            let created = std::fs::File::create(file);
            Box::new(created.with_context(|| format!("cannot write {}", file.display()))?)
        }
        None => Box::new(std::io::stdout()),
    };
    Ok(BufWriter::new(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &[&str]) -> anyhow::Result<()> {
        main_with(line.iter().map(OsString::from))
    }

    /// A hundred duels in which the lower number wins more often and kills more.
    fn write_duels(file: &Path) {
        let line = |round: u64| {
            let (first, second) = (round % 7, 7 + round % 5);
            let upset = round.is_multiple_of(6);
            let team = |player: u64, wins: bool| {
                serde_json::json!({
                    "placement": if wins { 1 } else { 2 },
                    "players": [{ "player": player, "kills": if wins { 7 } else { round % 4 } }],
                })
            };
            let teams = [team(first, !upset), team(second, upset)];
            serde_json::json!({ "id": round.to_string(), "mode": "duel", "teams": teams }).to_string()
        };
        let lines: Vec<String> = (0..100).map(line).collect();
        std::fs::write(file, lines.join("\n")).expect("it is written");
    }

    #[test]
    fn what_is_learned_is_what_the_backend_reads() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        write_duels(&path("log"));
        let text = |name: &str| path(name).to_str().expect("plain").to_owned();
        let log = text("log");
        run(&["learn", "--log", &log, "--steps", "5", "--out", &text("parameters")]).expect("it learns");
        let model = super::super::model(Some(&path("parameters"))).expect("the backend takes it");
        assert!(model.parameters().mode.kills.is_some() && model.parameters().modes.is_empty());

        let replay = ["replay", "--log", &log, "--parameters", &text("parameters"), "--out"];
        for out in ["once", "again"] {
            run(&[&replay[..], &[&text(out)]].concat()).expect("it replays");
        }
        let (once, again) =
            (std::fs::read(path("once")).expect("there"), std::fs::read(path("again")).expect("there"));
        assert!(once == again && once.split(|byte| *byte == b'\n').count() == 13);

        let fault = |line: &[&str]| format!("{:#}", run(line).expect_err("wrong"));
        assert!(fault(&["learn", "--log", "/nowhere"]).contains("/nowhere"));
        assert!(fault(&["learn"]).contains("--log"));
        assert!(fault(&["export", "--state", "/nowhere"]).contains("/nowhere"));
        std::fs::write(path("bad"), "{\"id\": 3}").expect("it is written");
        assert!(fault(&["replay", "--log", &text("bad")]).contains("line 1"));
        run(&["--help"]).expect("help is not an error");
    }

    #[tokio::test]
    async fn the_store_keeps_enough_for_its_log() {
        let result = r#"{"server":"s","players":[
            {"player_id":5,"score":9,"kills":3,"deaths":1,"placement":1,"seconds_played":12.100015640258789,"quit":false},
            {"player_id":6,"score":2,"kills":1,"deaths":3,"placement":2,"seconds_played":12.0,"quit":true},
            {"player_id":7,"score":0,"kills":0,"deaths":0,"placement":3,"seconds_played":null,"quit":false}]}"#;
        let id = crate::ids::MatchId::random();
        let ended = crate::clock::UnixMs(77);
        let counted = CountedMatch { id, mode: "duel".to_owned(), ended, result: result.to_owned() };
        let game = logged(&counted).expect("our own record");
        assert_eq!(game.check(), Ok(()));
        assert_eq!((game.teams.len(), game.ended_unix_ms), (2, 77), "who never came is not in it");
        assert_eq!(game.mode, "duel");
        assert_eq!(game.seconds, f64::from(12.100_016_f32));

        let folder = tempfile::tempdir().expect("a folder");
        let stores = Stores::embedded(folder.path()).await.expect("it opens");
        let mut log = Vec::new();
        assert_eq!(write_log(&stores.db, &mut log).await.expect("it reads"), 0);
        stores.close().await;
    }
}
