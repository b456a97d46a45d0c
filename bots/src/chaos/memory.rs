//! Whether processes grow: resident memory by kind of process, the run's second quarter beside its last.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::demo::stack::{GameServerRow, Pids};

/// Growth within these is none: a quarter, and as much as an allocator keeps for itself.
const GROWTH_MAX: f64 = 1.25;
const SLACK_MIB: f64 = 8.0;
/// With fewer looks nothing can be said.
const LOOKS_MIN: usize = 40;

/// Looks at every kind of process, MiB each.
#[derive(Debug, Default)]
pub(super) struct Memory {
    looks: BTreeMap<&'static str, Vec<f64>>,
}

/// What became of a kind of process.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Growth {
    /// Which.
    pub(super) process: &'static str,
    /// Median of the second quarter, MiB (of servers: of each look's mean).
    pub(super) early_mib: f64,
    /// Median of the last quarter, MiB.
    pub(super) late_mib: f64,
    /// Whether that is flat; absent where there were too few looks.
    pub(super) flat: Option<bool>,
}

impl Memory {
    /// Looks at all of them; who is just dead is not counted.
    pub(super) fn look(&mut self, pids: &Pids, servers: &Option<Vec<GameServerRow>>) {
        self.note("bots", resident_mib(std::process::id()));
        self.note("backend", resident_mib(pids.backend));
        self.note("autoscaler", resident_mib(pids.autoscaler));
        self.note("fleet", resident_mib(pids.fleet));
        let servers = servers.iter().flatten().filter_map(|server| resident_mib(server.pid?));
        let (sum, count) = servers.fold((0.0, 0_u32), |(sum, count), mib| (sum + mib, count + 1));
        self.note("server", (count > 0).then(|| sum / f64::from(count)));
    }

    fn note(&mut self, process: &'static str, mib: Option<f64>) {
        self.looks.entry(process).or_default().extend(mib);
    }

    /// What became of each.
    pub(super) fn growth(&self) -> Vec<Growth> {
        self.looks
            .iter()
            .filter(|(_, looks)| !looks.is_empty())
            .map(|(process, looks)| growth(process, looks))
            .collect()
    }
}

fn growth(process: &'static str, looks: &[f64]) -> Growth {
    let quarter = looks.len() / 4;
    let early_mib = median(&looks[quarter..(2 * quarter).max(quarter + 1).min(looks.len())]);
    let late_mib = median(&looks[(3 * quarter).min(looks.len() - 1)..]);
    let flat = late_mib <= early_mib * GROWTH_MAX + SLACK_MIB;
    Growth { process, early_mib, late_mib, flat: (looks.len() >= LOOKS_MIN).then_some(flat) }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// `VmRSS`; `None`: there is no such process.
fn resident_mib(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_from_a_restart_and_from_noise() {
        let flat = |looks: Vec<f64>| growth("x", &looks).flat;
        assert_eq!(flat(vec![50.0; 100]), Some(true));
        assert_eq!(
            flat((0..100).map(|n| 40.0 + f64::from(n % 10)).collect()),
            Some(true),
            "killed now and then"
        );
        assert_eq!(flat((0..100).map(|n| 20.0 + f64::from(n)).collect()), Some(false));
        assert_eq!(flat(vec![50.0; 10]), None);
        assert_eq!(growth("x", &[7.0]).late_mib, 7.0);
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident_mib(std::process::id()).is_some_and(|mib| mib > 1.0));
        assert_eq!(resident_mib(u32::MAX), None);
    }
}
