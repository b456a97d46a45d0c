//! Which clients' messages wait to be polled. Must never know a message.

use std::collections::VecDeque;

use crate::session::ClientId;

/// Clients with messages, in the order in which the first of them came; each session knows whether it is in here.
#[derive(Debug, Default)]
pub(super) struct Ready(VecDeque<ClientId>);

impl Ready {
    /// Adds a client that is not in here. Those that are gone, of whom nothing is left to read, are weeded out from time
    /// to time: an application that never asks for this list does not let it grow.
    pub(super) fn push(&mut self, client: ClientId, sessions: usize, is_gone: impl Fn(ClientId) -> bool) {
        if self.0.len() >= 2 * sessions + SLACK {
            self.0.retain(|client| !is_gone(*client));
        }
        self.0.push_back(client);
    }

    pub(super) fn first(&self) -> Option<ClientId> {
        self.0.front().copied()
    }

    /// Nothing of the first is left.
    pub(super) fn drop_first(&mut self) {
        self.0.pop_front();
    }
}

/// How many of those that are gone a small server may carry along.
const SLACK: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gone_are_weeded_out() {
        let mut ready = Ready::default();
        for number in 0..10_000 {
            ready.push(ClientId::new(number, 0), 3, |client| client.index() + 3 < usize::from(number));
            assert!(ready.0.len() <= 2 * 3 + SLACK + 1);
        }
        assert!(ready.0.contains(&ClientId::new(9_999, 0)));
    }
}
