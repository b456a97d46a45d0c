//! Who is killed next. Pure: knows no process and no clock.

use serde::Serialize;

use crate::demo::stack::{GameServerRow, Pids};

/// A kind of process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Victim {
    /// The game server of this rank in the fleet's list, whatever it does.
    Server(#[serde(skip)] usize),
    /// The fleet, and with it every sidecar and, at once, every server.
    Fleet,
    /// The backend.
    Backend,
    /// Who tells the fleet its size.
    Autoscaler,
}

impl Victim {
    /// Six of twelve are servers, three the backend, two the fleet, one the autoscaler.
    pub(super) fn pick(random: &mut fastrand::Rng, servers: &[GameServerRow]) -> Self {
        // Drawn in any case, so that a seed means the same whatever the fleet's size.
        let (kind, rank) = (random.u32(..12), random.usize(..));
        match kind {
            0..6 => Self::Server(rank % servers.len().max(1)),
            6..9 => Self::Backend,
            9..11 => Self::Fleet,
            _ => Self::Autoscaler,
        }
    }

    /// Its name in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Server(_) => "server",
            Self::Fleet => "fleet",
            Self::Backend => "backend",
            Self::Autoscaler => "autoscaler",
        }
    }

    /// Its process; `None` while there is none.
    pub(super) fn pid(self, pids: &Pids, servers: &[GameServerRow]) -> Option<u32> {
        match self {
            Self::Server(rank) => servers.get(rank)?.pid,
            Self::Fleet => Some(pids.fleet),
            Self::Backend => Some(pids.backend),
            Self::Autoscaler => Some(pids.autoscaler),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_kind_has_its_turn_and_a_seed_repeats_it() {
        let turns = |seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            let names = (0..1200).map(move |_| Victim::pick(&mut random, &[]).name());
            names.collect::<Vec<_>>()
        };
        assert_eq!(turns(7), turns(7));
        assert_ne!(turns(7), turns(8));
        let mut counts = BTreeMap::<_, u32>::new();
        turns(1).into_iter().for_each(|name| *counts.entry(name).or_default() += 1);
        assert!((500..700).contains(&counts["server"]), "{counts:?}");
        assert!((230..370).contains(&counts["backend"]), "{counts:?}");
        assert!((140..260).contains(&counts["fleet"]), "{counts:?}");
        assert!((60..140).contains(&counts["autoscaler"]), "{counts:?}");
    }

    #[test]
    fn no_server_is_no_victim() {
        let pids = Pids { backend: 1, autoscaler: 2, fleet: 3 };
        assert_eq!(Victim::Server(0).pid(&pids, &[]), None);
        assert_eq!(Victim::Fleet.pid(&pids, &[]), Some(3));
    }
}
