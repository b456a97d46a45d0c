//! The server's socket and its one core, which virtual time would make infinitely fast: datagrams wait in a bounded
//! ring and each takes its time. Must never know who sent what.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use netcode_proto::Server;
use netcode_wire::Time;

/// Datagrams on their way into the server.
#[derive(Default)]
pub(crate) struct Door {
    /// What has arrived or will within the tick, by time.
    arriving: Vec<Arrival>,
    /// When each datagram in the ring will have been dealt with.
    ring: VecDeque<Time>,
    free_at: Time,
    pub(crate) dropped: u64,
}

pub(crate) struct Arrival {
    pub(crate) at: Time,
    pub(crate) from: SocketAddr,
    pub(crate) bytes: Vec<u8>,
    /// Not from an adversary.
    pub(crate) is_genuine: bool,
}

impl Door {
    pub(crate) fn push(&mut self, arrival: Arrival) {
        self.arriving.push(arrival);
    }

    /// Everything that the server gets to by `until`, in order; `after` is called with each, once it was handled.
    pub(crate) fn pass(
        &mut self,
        server: &mut Server,
        until: Time,
        mut after: impl FnMut(Time, &mut Server, &Arrival),
    ) {
        // Stable: what arrives at the same moment stays in order.
        self.arriving.sort_by_key(|arrival| arrival.at);
        let mut handled = 0;
        for arrival in &self.arriving {
            let at = arrival.at.max(self.free_at);
            if at > until {
                break;
            }
            handled += 1;
            while self.ring.front().is_some_and(|done| *done <= arrival.at) {
                self.ring.pop_front();
            }
            if self.ring.len() >= RING_DATAGRAMS {
                self.dropped += 1;
                continue;
            }
            let before = *server.counters();
            server.handle_datagram(at, arrival.from, &mut arrival.bytes.clone());
            self.free_at = at + cost(&before, server, &arrival.bytes);
            self.ring.push_back(self.free_at);
            after(self.free_at, server, arrival);
        }
        self.arriving.drain(..handled);
    }
}

/// What handling took, by how far the datagram came. Deliberate: more than twice what a release build was measured to
/// need on a busy core (0.04 µs to refuse garbage, 1.1 to open 1200 bytes, forged or true, 1.0 to refuse a request and
/// 2.4 to answer one), and the socket's part, so that what is shown here errs on the attacker's side.
fn cost(before: &netcode_proto::Counters, server: &Server, bytes: &[u8]) -> Duration {
    let after = server.counters();
    let cheap = |counters: &netcode_proto::Counters| {
        counters.dropped_malformed
            + counters.dropped_unknown
            + counters.dropped_replayed
            + counters.dropped_unexpected
            + counters.requests_expired
            + counters.requests_reused
    };
    if cheap(after) > cheap(before) {
        DATAGRAM
    } else if bytes.first() == Some(&0) {
        DATAGRAM + TOKEN
    } else {
        DATAGRAM + OPEN
    }
}

/// Taking a datagram from the socket and finding out that it is nobody's.
const DATAGRAM: Duration = Duration::from_nanos(1500);
/// Opening a sealed packet of up to 1200 bytes, and its body.
const OPEN: Duration = Duration::from_nanos(2500);
/// Opening a token's private part, preparing its keys, sealing a challenge.
const TOKEN: Duration = Duration::from_nanos(8000);
/// What the ring between socket and tick holds; full, the newest is dropped.
const RING_DATAGRAMS: usize = 4096;
