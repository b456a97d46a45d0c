//! The names of things: players, matches, sessions, tickets. Owns their text forms; knows no store.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::crypto::random_u64;

/// A player, for ever. Random and below 2^53, so that it survives every JSON reader and a Redis score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlayerId(u64);

impl PlayerId {
    /// One above the largest.
    pub const LIMIT: u64 = 1 << 53;

    /// A fresh one. Two may collide (1 in 10^10 at a million players): the store refuses the second.
    pub fn random() -> Self {
        Self((random_u64() % (Self::LIMIT - 1)) + 1)
    }

    /// `None` where no player can have this number.
    pub fn new(number: u64) -> Option<Self> {
        (1..Self::LIMIT).contains(&number).then_some(Self(number))
    }

    /// As the connect token and the game server write it.
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// As the stores write it.
    pub(crate) fn as_i64(self) -> i64 {
        i64::try_from(self.0).expect("below 2^53")
    }
}

impl fmt::Display for PlayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PlayerId {
    type Err = UnknownId;
    fn from_str(text: &str) -> Result<Self, UnknownId> {
        text.parse().ok().and_then(Self::new).ok_or(UnknownId)
    }
}

/// The text names nothing that could exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub struct UnknownId;

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh one.
            pub fn random() -> Self {
                Self(Uuid::now_v7())
            }

            /// As the connect token writes it.
            pub fn as_u128(self) -> u128 {
                self.0.as_u128()
            }

            /// When it was made, Unix milliseconds; 0 if it does not say.
            pub fn made_unix_ms(self) -> u64 {
                let stamp = self.0.get_timestamp();
                stamp.map_or(0, |stamp| stamp.to_unix().0 * 1000 + u64::from(stamp.to_unix().1) / 1_000_000)
            }

            /// From that form.
            pub fn from_u128(number: u128) -> Self {
                Self(Uuid::from_u128(number))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = UnknownId;
            fn from_str(text: &str) -> Result<Self, UnknownId> {
                Uuid::try_parse(text).map(Self).map_err(|_| UnknownId)
            }
        }
    )+};
}

uuid_ids! {
    /// One match.
    MatchId
    /// One place in the queue.
    TicketId
    /// One log-in and all its refreshed tokens: the refresh family, and the `sid` of its access tokens.
    SessionId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_their_text_form() {
        let (player, game) = (PlayerId::random(), MatchId::random());
        assert_eq!(player.to_string().parse(), Ok(player));
        assert_eq!(game.to_string().parse(), Ok(game));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "0", "-1", "9007199254740992", "1e3", "99999999999999999999", "' OR 1=1"] {
            assert_eq!(text.parse::<PlayerId>(), Err(UnknownId), "{text}");
            assert_eq!(text.parse::<MatchId>(), Err(UnknownId), "{text}");
        }
    }
}
