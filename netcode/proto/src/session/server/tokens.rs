//! Which tokens were shown, from where, and whether their session has begun. Must never know what is in them.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::session::challenge::TokenMark;
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
    spent: bool,
}

impl TokenTable {
    pub(crate) fn new(uses_max: usize, hash: KeyedHash) -> Self {
        Self { uses: HashMap::with_hasher(hash), uses_max }
    }

    /// Whether a token may be shown from this address: never seen, or seen from here and not yet spent.
    pub(crate) fn allows(&self, mark: &TokenMark, from: SocketAddr) -> bool {
        self.uses.get(mark).is_none_or(|earlier| earlier.from == from && !earlier.spent)
    }

    /// Binds an authentic token to the address that showed it first; false when the table is full.
    pub(crate) fn claim(&mut self, mark: TokenMark, from: SocketAddr, expire_unix_s: u64) -> bool {
        if self.uses.contains_key(&mark) {
            return true;
        }
        if self.uses.len() >= self.uses_max {
            return false;
        }
        self.uses.insert(mark, TokenUse { from, expire_unix_s, spent: false });
        true
    }

    /// Ends a token: a second session under its keys would reuse their sequences.
    pub(crate) fn spend(&mut self, mark: &TokenMark) {
        if let Some(earlier) = self.uses.get_mut(mark) {
            earlier.spent = true;
        }
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
        table.spend(&[1; 16]);
        assert!(!table.allows(&[1; 16], home));
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
