//! Which modes this node forms matches for: the leases that it holds, less those that it owes to other nodes. A lease on
//! its way out forms nothing more, and goes once nothing of its mode is being started here, since what nobody starts
//! is taken for a dead node's. Pure.

use std::collections::BTreeSet;

use super::queue::{Lease, Share};

/// One node's part.
#[derive(Debug, Default)]
pub(super) struct Shares {
    modes: Vec<String>,
    leases: Vec<Lease>,
    leaving: BTreeSet<String>,
}

impl Shares {
    /// Of nothing yet, among these modes.
    pub(super) fn new(modes: Vec<String>) -> Self {
        Self { modes, ..Self::default() }
    }

    /// All modes that there are.
    pub(super) fn modes(&self) -> &[String] {
        &self.modes
    }

    /// All leases held, those on their way out too.
    pub(super) fn held(&self) -> &[Lease] {
        &self.leases
    }

    /// What the queue says that this node holds and should hold.
    pub(super) fn learn(&mut self, share: Share) {
        self.leases = share.leases;
        let held = |mode: &String| self.leases.iter().any(|lease| lease.mode == *mode);
        self.leaving.retain(held);
        let more = self.leases.len().saturating_sub(share.fair);
        while self.leaving.len() > more {
            self.leaving.pop_first();
        }
        for lease in self.leases.iter().rev() {
            if self.leaving.len() >= more {
                break;
            }
            self.leaving.insert(lease.mode.clone());
        }
    }

    /// The lease by which matches of this mode are formed here.
    pub(super) fn forming(&self, mode: &str) -> Option<&Lease> {
        self.leases.iter().find(|lease| lease.mode == mode && !self.leaving.contains(mode))
    }

    /// The lease by which tickets of this mode are looked after here. A mode that no rule knows any more is looked after
    /// with the first that one does.
    pub(super) fn minding(&self, mode: &str) -> Option<&Lease> {
        let known = self.modes.iter().any(|known| known == mode);
        let mode = if known { mode } else { self.modes.first()? };
        self.leases.iter().find(|lease| lease.mode == mode)
    }

    /// The leases that can go to other nodes now: nothing of their modes is `busy` here.
    pub(super) fn give_up(&mut self, busy: impl Fn(&str) -> bool) -> Vec<Lease> {
        let goes = |lease: &Lease| self.leaving.contains(&lease.mode) && !busy(&lease.mode);
        let (gone, kept) = std::mem::take(&mut self.leases).into_iter().partition(goes);
        self.leases = kept;
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(modes: &[&str], fair: usize) -> Share {
        let lease = |mode: &&str| Lease { mode: (*mode).to_owned(), token: "n:1".to_owned() };
        Share { leases: modes.iter().map(lease).collect(), fair }
    }

    fn shares() -> Shares {
        Shares::new(["a", "b", "c"].map(str::to_owned).to_vec())
    }

    fn forming(shares: &Shares) -> String {
        let forms = |mode: &&String| shares.forming(mode).is_some();
        shares.modes().iter().filter(forms).map(String::as_str).collect()
    }

    #[test]
    fn what_is_owed_goes_once_nothing_is_being_started() {
        let mut shares = shares();
        shares.learn(share(&["a", "b", "c"], 3));
        assert_eq!(forming(&shares), "abc");
        shares.learn(share(&["a", "b", "c"], 2));
        assert_eq!(forming(&shares), "ab");
        assert_eq!(shares.give_up(|mode| mode == "c"), []);
        assert!(shares.minding("c").is_some(), "it is looked after until it goes");
        assert_eq!(shares.give_up(|_| false).len(), 1);
        assert!(shares.minding("c").is_none());
    }

    #[test]
    fn a_node_that_dies_meanwhile_owes_nothing_any_more() {
        let mut shares = shares();
        shares.learn(share(&["a", "b", "c"], 1));
        assert_eq!(forming(&shares), "a");
        shares.learn(share(&["a", "b", "c"], 3));
        assert_eq!(forming(&shares), "abc");
    }

    #[test]
    fn a_mode_without_rules_is_the_first_ones_business() {
        let mut shares = shares();
        shares.learn(share(&["a"], 1));
        assert!(shares.minding("gone").is_some() && shares.minding("b").is_none());
        assert!(shares.forming("gone").is_none());
        shares.learn(share(&["b"], 1));
        assert!(shares.minding("gone").is_none());
    }
}
