//! One established session seen from one end: two keys, a sequence, a replay window, timers, a link.
//!
//! Both ends are alike here; what differs (slots, tokens, handshakes) must never be known in this file.

use std::net::SocketAddr;
use std::time::Duration;

use netcode_token::Key;
use netcode_token::aead::PacketKey;
use netcode_wire::Time;

use super::BODY_BYTES_MAX;
use super::packet::{Head, PacketType};
use super::replay::ReplayWindow;
use super::wire::Wire;
use crate::Link;

/// An end of a session.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) link: Link,
    seal: PacketKey,
    open: PacketKey,
    /// The sequence of the next packet. Below [`GLOBAL_SEQUENCE`] for ever: 2^63 packets take longer than the sun has.
    sequence: u64,
    replay: ReplayWindow,
    timeout: Option<Duration>,
    received_at: Time,
    sent_at: Time,
}

impl Peer {
    /// An end that seals with `seal`, opens with `open` and gives up after `timeout_s` seconds of silence
    /// (never, when zero or less).
    pub(crate) fn new(now: Time, seal: PacketKey, open: PacketKey, timeout_s: i32, link: Link) -> Self {
        Self {
            link,
            seal,
            open,
            sequence: 0,
            replay: ReplayWindow::default(),
            timeout: timeout_of(timeout_s),
            received_at: now,
            sent_at: now,
        }
    }

    /// Counts silence from `now` on.
    pub(crate) fn restart_timers(&mut self, now: Time) {
        (self.received_at, self.sent_at) = (now, now);
    }

    /// Whether the other end was silent since `received_at` for longer than its token allows.
    pub(crate) fn is_silent(&self, now: Time) -> bool {
        self.is_silent_since(self.received_at, now)
    }

    /// Whether the token's timeout passed between `since` and `now`.
    pub(crate) fn is_silent_since(&self, since: Time, now: Time) -> bool {
        self.timeout.is_some_and(|timeout| now.since(since) >= timeout)
    }

    /// Whether nothing was sent for `interval`.
    pub(crate) fn is_quiet(&self, now: Time, interval: Duration) -> bool {
        now.since(self.sent_at) >= interval
    }

    /// Opens a packet of the session in place: fresh, authentic, then never again. `None`: dropped and counted.
    pub(crate) fn open<'a>(
        &mut self,
        now: Time,
        wire: &mut Wire,
        datagram: &'a mut [u8],
        head: Head,
    ) -> Option<&'a mut [u8]> {
        if !self.replay.is_fresh(head.sequence) {
            wire.counters.dropped_replayed += 1;
            return None;
        }
        let text = self.open_handshake(wire, datagram, head)?;
        self.replay.mark(head.sequence);
        self.received_at = now;
        Some(text)
    }

    /// Opens a packet of the handshake in place: authentic is enough. `None`: dropped and counted.
    pub(crate) fn open_handshake<'a>(
        &self,
        wire: &mut Wire,
        datagram: &'a mut [u8],
        head: Head,
    ) -> Option<&'a mut [u8]> {
        let text = wire.sealer.open(datagram, &self.open, head);
        wire.counters.dropped_forged += u64::from(text.is_none());
        text
    }

    /// Sends a packet that carries no body.
    pub(crate) fn send(&mut self, now: Time, wire: &mut Wire, to: SocketAddr, kind: PacketType, text: &[u8]) {
        let bytes = wire.send(to, &self.seal, kind, self.sequence, text);
        self.link.note_overhead(bytes);
        self.sequence += 1;
        self.sent_at = now;
    }

    /// Sends every body that the link has ready, at most [`BODIES_PER_FLUSH_MAX`].
    pub(crate) fn flush(&mut self, now: Time, wire: &mut Wire, to: SocketAddr) {
        for _ in 0..BODIES_PER_FLUSH_MAX {
            if !self.link.poll_body(now, self.sequence, BODY_BYTES_MAX, &mut wire.body) {
                return;
            }
            debug_assert!((1..=BODY_BYTES_MAX).contains(&wire.body.len()), "a link keeps to its budget");
            let bytes = wire.send_body(to, &self.seal, self.sequence);
            // Nothing was written when the outbox is full: then there is no overhead either.
            self.link.note_overhead(bytes.saturating_sub(wire.body.len()));
            self.sequence += 1;
            self.sent_at = now;
        }
    }

    /// Says goodbye [`DISCONNECTS`] times: nobody acknowledges it.
    pub(crate) fn send_disconnects(&mut self, now: Time, wire: &mut Wire, to: SocketAddr) {
        for _ in 0..DISCONNECTS {
            self.send(now, wire, to, PacketType::Disconnect, &[]);
        }
    }
}

/// The two packet keys of a token, as (client to server, server to client).
pub(crate) fn packet_keys(client_to_server: &Key, server_to_client: &Key) -> (PacketKey, PacketKey) {
    (PacketKey::new(client_to_server), PacketKey::new(server_to_client))
}

fn timeout_of(timeout_s: i32) -> Option<Duration> {
    u64::try_from(timeout_s).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// Where the sequences begin that seal what belongs to no session (challenge, denied). Sessions count from zero
/// under the same keys: the two spaces never meet.
pub(crate) const GLOBAL_SEQUENCE: u64 = 1 << 63;
/// Redundant disconnect packets: all ten are lost once in 10^13 at 5 % loss.
const DISCONNECTS: usize = 10;
// 64 × 1175 B in one tick is 36 Mbit/s at 60 Hz: far above any budget that a link gives itself.
const BODIES_PER_FLUSH_MAX: usize = 64;
