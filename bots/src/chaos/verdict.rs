//! What a run came to: the table, the JSON, and what was not held. Knows no process.

use std::{fmt::Write as _, path::Path, time::Duration};

use anyhow::{Context, bail};
use serde::Serialize;
use tokio::task::JoinError;

use super::{
    audit::Audit,
    memory::{Growth, Memory},
    victims::Victim,
};
use crate::{backend::BackendError, cli::ChaosArgs, report::Gathered};

/// Faults that are told; the rest are counted.
const FAULTS_TOLD: usize = 10;
/// Faults that are kept.
const FAULTS_MAX: usize = 1000;

/// One process that was killed.
#[derive(Debug)]
pub(super) struct Kill {
    /// Which.
    pub(super) victim: Victim,
    /// How long it took until everything was back, or what was missing.
    pub(super) back: Result<Duration, String>,
}

/// What is known so far.
#[derive(Debug)]
pub(super) struct Verdict {
    seed: u64,
    seconds: f64,
    bots: u32,
    pub(super) kills: Vec<Kill>,
    pub(super) memory: Memory,
    audit: Option<Audit>,
    matches_played: u64,
    disconnects: u64,
    faults: Vec<String>,
}

/// A row of the table.
#[derive(Debug, Serialize)]
struct Row {
    killed: &'static str,
    times: usize,
    back_p50_s: Option<f64>,
    back_max_s: Option<f64>,
}

/// The whole of it, as JSON.
#[derive(Debug, Serialize)]
struct Figures<'a> {
    seed: u64,
    seconds: f64,
    bots: u32,
    kills: usize,
    recoveries: Vec<Row>,
    matches_played: u64,
    disconnects: u64,
    audit: &'a Option<Audit>,
    memory: Vec<Growth>,
    held: bool,
    faults: &'a [String],
}

impl Verdict {
    pub(super) fn new(args: &ChaosArgs) -> Self {
        Self {
            seed: args.seed,
            seconds: args.run_for.as_secs_f64(),
            bots: args.bots,
            kills: Vec::new(),
            memory: Memory::default(),
            audit: None,
            matches_played: 0,
            disconnects: 0,
            faults: Vec::new(),
        }
    }

    /// A bot must live until it is told to stop, and give up never.
    pub(super) fn bot_ended(&mut self, ended: Result<(u32, Result<(), BackendError>), JoinError>) {
        match ended {
            Ok((_, Ok(()))) => {}
            Ok((bot, Err(error))) => self.fault(format!("bot {bot} gave up: {error}")),
            Err(error) => self.fault(format!("a bot panicked: {error}")),
        }
    }

    /// Players in matches without a server.
    pub(super) fn orphaned(&mut self, players: Vec<String>) {
        players.into_iter().for_each(|player| self.fault(player));
    }

    /// What the audit found.
    pub(super) fn audited(&mut self, mut audit: Audit) {
        std::mem::take(&mut audit.lost).into_iter().for_each(|lost| self.fault(lost));
        self.audit = Some(audit);
    }

    /// What was played; concludes from everything that was noted.
    pub(super) fn played(&mut self, gathered: &Gathered) {
        (self.matches_played, self.disconnects) = (gathered.matches_played, gathered.disconnects);
        let late = self.kills.iter().filter_map(|kill| {
            kill.back.as_ref().err().map(|why| format!("after the {} was killed: {why}", kill.victim.name()))
        });
        let late: Vec<_> = late.collect();
        late.into_iter().for_each(|late| self.fault(late));
        for growth in self.memory.growth().into_iter().filter(|growth| growth.flat == Some(false)) {
            let Growth { process, early_mib, late_mib, .. } = growth;
            self.fault(format!("the {process} grew from {early_mib:.0} MiB to {late_mib:.0} MiB"));
        }
        if self.kills.is_empty() {
            self.fault("nobody was killed".into());
        }
        if self.matches_played == 0 {
            self.fault("no match was played to its end".into());
        }
    }

    /// The table that ends a run.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let seconds = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.2} s"));
        // Writing to a String cannot fail.
        let _infallible = writeln!(
            text,
            "  chaos for {:.0} s under {} bots, seed {}: {} processes killed by SIGKILL",
            self.seconds,
            self.bots,
            self.seed,
            self.kills.len()
        );
        let _infallible = writeln!(text, "  {:12} {:>5}  {:>22}", "killed", "times", "back p50 / max");
        for row in self.rows() {
            let back = format!("{} / {}", seconds(row.back_p50_s), seconds(row.back_max_s));
            let _infallible = writeln!(text, "  {:12} {:>5}  {back:>22}", row.killed, row.times);
        }
        let _infallible = writeln!(text, "  {:12} {:>5}  {:>22}", "memory", "", "second / last quarter");
        for Growth { process, early_mib, late_mib, flat } in self.memory.growth() {
            let flat = flat.map_or("too short to tell", |flat| if flat { "flat" } else { "GROWS" });
            let mib = format!("{early_mib:.1} / {late_mib:.1} MiB");
            let _infallible = writeln!(text, "  {process:12} {:>5}  {mib:>22}  {flat}", "");
        }
        let (accounts, results) = self.audit.as_ref().map_or((0, 0), |audit| (audit.accounts, audit.results));
        let _infallible = writeln!(
            text,
            "  {} matches played to their end, {} connections lost; {accounts} accounts and {results} results that \
             players were told of: asked for again",
            self.matches_played, self.disconnects
        );
        let _infallible = match self.faults.len() {
            0 => writeln!(text, "  everything held"),
            faults => writeln!(text, "  NOT HELD, {faults} times:"),
        };
        for fault in self.faults.iter().take(FAULTS_TOLD) {
            let _infallible = writeln!(text, "    {fault}");
        }
        text
    }

    /// Writes the figures where `--json` says.
    pub(super) fn write(&self, path: Option<&Path>) -> anyhow::Result<()> {
        let Some(path) = path else { return Ok(()) };
        let figures = Figures {
            seed: self.seed,
            seconds: self.seconds,
            bots: self.bots,
            kills: self.kills.len(),
            recoveries: self.rows(),
            matches_played: self.matches_played,
            disconnects: self.disconnects,
            audit: &self.audit,
            memory: self.memory.growth(),
            held: self.faults.is_empty(),
            faults: &self.faults,
        };
        let text = serde_json::to_string_pretty(&figures)? + "\n";
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// # Errors
    /// Something was not held.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        match self.faults.first() {
            None => Ok(()),
            Some(first) => bail!("{} of what must hold did not, first: {first}", self.faults.len()),
        }
    }

    fn fault(&mut self, what: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(what);
        }
    }

    fn rows(&self) -> Vec<Row> {
        let row = |name: &'static str| {
            let of = || self.kills.iter().filter(move |kill| kill.victim.name() == name);
            let mut back: Vec<f64> =
                of().filter_map(|kill| Some(kill.back.as_ref().ok()?.as_secs_f64())).collect();
            back.sort_by(f64::total_cmp);
            Row {
                killed: name,
                times: of().count(),
                back_p50_s: back.get(back.len() / 2).copied(),
                back_max_s: back.last().copied(),
            }
        };
        ["server", "fleet", "backend", "autoscaler"].map(row).into()
    }
}
