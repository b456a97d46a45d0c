//! Tokens whose signature has been checked before: checking one costs more than the rest of a read. Pure: the
//! time is an argument. Only a token that is equal to the last character passes, and none beyond its expiry.

use std::collections::HashMap;

use super::tokens::Caller;
use crate::clock::UnixMs;

/// Tokens in each of two generations; some 450 bytes each, so 30 MB at most.
const GENERATION_MAX: usize = 32_768;

#[derive(Clone, Copy)]
struct Known {
    caller: Caller,
    expires_unix_s: u64,
}

/// Tokens that passed. When the younger generation is full, it becomes the older one, which is forgotten.
#[derive(Default)]
pub(super) struct TokenCache {
    young: HashMap<Box<str>, Known>,
    old: HashMap<Box<str>, Known>,
}

impl TokenCache {
    /// Who sent it, if it passed before and has not expired.
    pub(super) fn find(&mut self, token: &str, now: UnixMs) -> Option<Caller> {
        if let Some(known) = self.young.get(token) {
            return known.at(now);
        }
        let (token, known) = self.old.remove_entry(token)?;
        let caller = known.at(now)?;
        self.put(token, known);
        Some(caller)
    }

    /// It passed.
    pub(super) fn keep(&mut self, token: &str, caller: Caller, expires_unix_s: u64) {
        self.put(token.into(), Known { caller, expires_unix_s });
    }

    fn put(&mut self, token: Box<str>, known: Known) {
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(token, known);
    }
}

impl Known {
    fn at(self, now: UnixMs) -> Option<Caller> {
        (now.as_secs() < self.expires_unix_s).then_some(self.caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PlayerId, SessionId};

    fn caller() -> Caller {
        Caller { player: PlayerId::random(), session: SessionId::random() }
    }

    #[test]
    fn only_the_same_token_passes_and_only_until_it_expires() {
        let (mut cache, caller) = (TokenCache::default(), caller());
        cache.keep("a.b.c", caller, 100);
        assert_eq!(cache.find("a.b.c", UnixMs(99_999)), Some(caller));
        assert_eq!(cache.find("a.b.c", UnixMs(100_000)), None);
        assert_eq!(cache.find("a.b.d", UnixMs(0)), None);
    }

    #[test]
    fn it_is_bounded_and_forgets_what_nobody_uses() {
        let (mut cache, caller) = (TokenCache::default(), caller());
        cache.keep("used", caller, 100);
        for number in 0..3 * GENERATION_MAX {
            cache.keep(&number.to_string(), caller, 100);
            if number % 1000 == 0 {
                assert!(cache.find("used", UnixMs(0)).is_some(), "{number}");
            }
            assert!(cache.young.len() + cache.old.len() <= 2 * GENERATION_MAX);
        }
        assert_eq!(cache.find("0", UnixMs(0)), None);
    }
}
