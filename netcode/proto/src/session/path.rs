//! The path that a session may be moving to: an address whose owner has yet to show that it receives there. Owns what
//! may be sent to it; must never know a key or a session's state.

use std::net::SocketAddr;
use std::time::Duration;

use netcode_wire::Time;

/// An address from which authentic packets came, and which is not the session's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) address: SocketAddr,
    /// What the client must send back from that very address.
    pub(crate) cookie: [u8; COOKIE_LEN],
    /// Bytes of authentic packets that came from there and were not answered yet: as many may go there.
    credit_bytes: usize,
    sent_at: Option<Time>,
}

impl Probe {
    pub(crate) const fn new(address: SocketAddr, cookie: [u8; COOKIE_LEN]) -> Self {
        Self { address, cookie, credit_bytes: 0, sent_at: None }
    }

    /// Counts an authentic packet from the address.
    pub(crate) fn note_received(&mut self, bytes: usize) {
        self.credit_bytes = self.credit_bytes.saturating_add(bytes);
    }

    /// Takes the right to send a challenge of `bytes` now: never more than came, never more often than
    /// [`CHALLENGE_INTERVAL`].
    pub(crate) fn take_turn(&mut self, now: Time, bytes: usize) -> bool {
        let early = self.sent_at.is_some_and(|sent_at| now.since(sent_at) < CHALLENGE_INTERVAL);
        if early || self.credit_bytes < bytes {
            return false;
        }
        self.credit_bytes -= bytes;
        self.sent_at = Some(now);
        true
    }
}

/// A path challenge's text: drawn, but for the bit that says whether the address is another host's than the session's.
pub(crate) const fn cookie(mut drawn: [u8; COOKIE_LEN], other_host: bool) -> [u8; COOKIE_LEN] {
    drawn[0] = drawn[0] & !OTHER_HOST | if other_host { OTHER_HOST } else { 0 };
    drawn
}

/// Whether a path challenge says that only the port is another one.
pub(crate) fn is_same_host(cookie: &[u8]) -> bool {
    cookie.first().is_none_or(|first| first & OTHER_HOST == 0)
}

const OTHER_HOST: u8 = 1;
/// Length of a path challenge's text, bytes.
pub(crate) const COOKIE_LEN: usize = 8;
// A lost challenge is repeated when the next packet comes: at 60 Hz after three ticks.
const CHALLENGE_INTERVAL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn never_more_bytes_go_out_than_came_in(
            steps in prop::collection::vec((0u64..200_000, prop::option::of(0usize..100), 1usize..60), 1..200)
        ) {
            let mut probe = Probe::new(SocketAddr::from(([1, 2, 3, 4], 5)), [0; COOKIE_LEN]);
            let (mut now, mut came, mut went, mut last) = (Time::ZERO, 0, 0, None);
            for (later, received, wanted) in steps {
                now += Duration::from_micros(later);
                if let Some(bytes) = received {
                    probe.note_received(bytes);
                    came += bytes;
                }
                let due = last.is_none_or(|last| now.since(last) >= CHALLENGE_INTERVAL);
                prop_assert_eq!(probe.take_turn(now, wanted), due && came - went >= wanted);
                if due && came - went >= wanted {
                    went += wanted;
                    last = Some(now);
                }
            }
        }
    }
}
