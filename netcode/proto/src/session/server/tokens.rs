//! Which tokens were shown, from where, and whether their session has begun. Must never know what is in them.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::session::challenge::TokenMark;
use crate::session::extension::ConnectionId;
use crate::session::hash::KeyedHash;

/// Every token shown and not yet expired, up to a limit. Full of unexpired tokens, it refuses new ones: to forget
/// one would let it in a second time.
#[derive(Debug)]
pub(crate) struct TokenTable {
    uses: HashMap<TokenMark, TokenUse, KeyedHash>,
    uses_max: usize,
}

#[derive(Debug)]
struct TokenUse {
    from: SocketAddr,
    expire_unix_s: u64,
    stage: Stage,
    /// Resumptions with it that are under way, the newest first.
    resuming: Attempts,
}

/// Attempts to resume with one token: its owner's, and one more, which somebody may have kept from an earlier crash.
pub(crate) type Attempts = [Option<ConnectionId>; 2];

/// How far the life of a token has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Shown, no session yet.
    Shown,
    /// A session began with it: it is good for resuming that, and for nothing else.
    Spent,
    /// That session ended by somebody's will: it is good for nothing.
    Ended,
}

impl TokenTable {
    pub(crate) fn new(uses_max: usize, hash: KeyedHash) -> Self {
        Self { uses: HashMap::with_hasher(hash), uses_max }
    }

    /// Whether a token may be shown from this address: never seen, or seen from here and not yet spent.
    pub(crate) fn allows(&self, mark: &TokenMark, from: SocketAddr) -> bool {
        self.uses.get(mark).is_none_or(|earlier| earlier.from == from && earlier.stage == Stage::Shown)
    }

    /// Binds an authentic token to the address that showed it first; false when the table is full.
    pub(crate) fn claim(&mut self, mark: TokenMark, from: SocketAddr, expire_unix_s: u64) -> bool {
        if self.uses.contains_key(&mark) {
            return true;
        }
        if self.uses.len() >= self.uses_max {
            return false;
        }
        self.uses.insert(mark, TokenUse { from, expire_unix_s, stage: Stage::Shown, resuming: [None; 2] });
        true
    }

    /// A session begins with a token: a second one under its keys would reuse their sequences.
    pub(crate) fn spend(&mut self, mark: &TokenMark) {
        if let Some(earlier) = self.uses.get_mut(mark) {
            earlier.stage = Stage::Spent;
        }
    }

    /// A token's session ended by somebody's will: it cannot be resumed.
    pub(crate) fn end(&mut self, mark: &TokenMark) {
        if let Some(earlier) = self.uses.get_mut(mark) {
            earlier.stage = Stage::Ended;
        }
    }

    /// Whether a token's session stands, or ended by silence alone.
    pub(crate) fn is_resumable(&self, mark: &TokenMark) -> bool {
        self.uses.get(mark).is_some_and(|earlier| earlier.stage == Stage::Spent)
    }

    /// The resumptions under way with a token.
    pub(crate) fn resumptions(&self, mark: &TokenMark) -> Attempts {
        self.uses.get(mark).map_or([None; 2], |earlier| earlier.resuming)
    }

    /// Notes that a token's session is being resumed; gives the attempt that is given up for it.
    pub(crate) fn resume_as(&mut self, mark: &TokenMark, id: ConnectionId) -> Option<ConnectionId> {
        let resuming = &mut self.uses.get_mut(mark)?.resuming;
        let [newest, oldest] = std::mem::take(resuming);
        *resuming = [Some(id), newest];
        oldest
    }

    /// A token's session was resumed; gives the attempts that were under way.
    pub(crate) fn end_resumptions(&mut self, mark: &TokenMark) -> Attempts {
        self.uses.get_mut(mark).map_or([None; 2], |earlier| std::mem::take(&mut earlier.resuming))
    }

    /// Forgets the tokens that have expired: their requests are refused for that.
    pub(crate) fn sweep(&mut self, unix_s: u64) {
        self.uses.retain(|_, earlier| earlier.expire_unix_s > unix_s);
    }

    /// Tokens remembered.
    pub(crate) fn len(&self) -> usize {
        self.uses.len()
    }
}

#[cfg(test)]
mod tests {
    use netcode_token::Key;

    use super::*;

    fn table() -> TokenTable {
        TokenTable::new(2, KeyedHash::new(&Key::from_bytes([1; 32]), 0))
    }

    #[test]
    fn a_token_belongs_to_one_address_and_one_session() {
        let (home, away) = (SocketAddr::from(([1, 1, 1, 1], 1)), SocketAddr::from(([1, 1, 1, 1], 2)));
        let mut table = table();
        assert!(table.allows(&[1; 16], home) && table.allows(&[1; 16], away));
        assert!(table.claim([1; 16], home, 10));
        assert!(table.allows(&[1; 16], home) && !table.allows(&[1; 16], away));
        assert!(!table.is_resumable(&[1; 16]), "nothing began with it yet");
        table.spend(&[1; 16]);
        assert!(!table.allows(&[1; 16], home) && table.is_resumable(&[1; 16]));
        let ids = [1, 2, 3].map(|id| ConnectionId::from_bytes([id; 4]));
        assert_eq!(ids.map(|id| table.resume_as(&[1; 16], id)), [None, None, Some(ids[0])]);
        assert_eq!(table.end_resumptions(&[1; 16]), [Some(ids[2]), Some(ids[1])]);
        assert_eq!(table.resumptions(&[1; 16]), [None; 2]);
        table.end(&[1; 16]);
        assert!(!table.allows(&[1; 16], home) && !table.is_resumable(&[1; 16]));
    }

    #[test]
    fn a_full_table_forgets_nothing_before_its_time() {
        let from = SocketAddr::from(([1, 1, 1, 1], 1));
        let mut table = table();
        assert!(table.claim([1; 16], from, 10) && table.claim([2; 16], from, 20));
        assert!(!table.claim([3; 16], from, 30));
        assert!(table.claim([1; 16], from, 10), "a known one is welcome");
        table.sweep(10);
        assert_eq!(table.len(), 1);
        assert!(table.claim([3; 16], from, 30));
    }
}
