//! When which session must be looked at again. Must never know why.
//!
//! A session's own times only move on, so a deadline is a lower bound: whoever is popped is looked at, and pushed with
//! the deadline that holds then. A session that talks is looked at once a keep-alive interval, not once a tick.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use netcode_wire::Time;

use crate::session::ClientId;

/// One deadline for each session; those of sessions that are gone pass unnoticed.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BinaryHeap<Reverse<(Time, ClientId)>>);

impl Deadlines {
    /// `client` is to be looked at when it is `at`.
    pub(super) fn push(&mut self, at: Time, client: ClientId) {
        self.0.push(Reverse((at, client)));
    }

    /// The next one whose deadline is not after `now`; deadlines of one moment by client.
    pub(super) fn pop(&mut self, now: Time) -> Option<ClientId> {
        let &Reverse((at, client)) = self.0.peek()?;
        if at > now {
            return None;
        }
        self.0.pop();
        Some(client)
    }
}

/// A session is not looked at twice in one step.
pub(super) const SOONEST: Duration = Duration::from_micros(1);
/// So long at most a session that is gone keeps its deadline, whatever intervals the application chose.
pub(super) const LATEST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_order_and_once() {
        let mut deadlines = Deadlines::default();
        let client = |slot| ClientId::new(slot, 0);
        for (ms, slot) in [(30, 0), (10, 2), (10, 1), (20, 3)] {
            deadlines.push(Time::from_millis(ms), client(slot));
        }
        let mut due = |ms| std::iter::from_fn(|| deadlines.pop(Time::from_millis(ms))).collect::<Vec<_>>();
        assert_eq!(due(9), []);
        assert_eq!(due(20), [client(1), client(2), client(3)]);
        assert_eq!(due(20), []);
        assert_eq!(due(30), [client(0)]);
    }
}
