//! One established session seen from one end: its keys, a sequence, a replay window, timers, a link.
//!
//! Both ends are alike here; what differs (slots, tokens, handshakes) must never be known in this file.

use std::net::SocketAddr;
use std::time::Duration;

use netcode_token::Key;
use netcode_token::aead::PacketKey;
use netcode_wire::{Ecn, Time};

use super::extension::{Accept, CONNECTION_ID_LEN};
use super::mtu::{Fate, PathMtu};
use super::packet::{Form, Head, PacketType, sealed_len};
use super::phase::{ExtensionCause, ExtensionPhase};
use super::replay::ReplayWindow;
use super::wire::Wire;
use super::{BODY_BYTES_BASE, BODY_OVERHEAD_BYTES, DATAGRAM_BYTES_LEAST, DATAGRAM_BYTES_MAX};
use crate::Link;

/// An end of a session.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) link: Link,
    /// What is sent is sealed with this and looks like that.
    seal: PacketKey,
    form: Form,
    /// Opens packets of the standard form; gone when all of them are too old.
    open: Option<PacketKey>,
    /// The token's keys, until extended ones were derived from them; then they take no room.
    secrets: Option<Box<SessionKeys>>,
    extension: ExtensionPhase,
    extended: Option<Extended>,
    /// The sequence of the next packet. Below [`GLOBAL_SEQUENCE`] for ever: 2^63 packets take longer than the sun has.
    sequence: u64,
    replay: ReplayWindow,
    mtu: PathMtu,
    timeout: Option<Duration>,
    received_at: Time,
    sent_at: Time,
}

/// A token's two keys as one end sees them.
#[derive(Debug)]
pub(crate) struct SessionKeys {
    pub(crate) seal: Key,
    pub(crate) open: Key,
}

/// What belongs to the extended form.
#[derive(Debug)]
struct Extended {
    open: PacketKey,
    /// What to send with from the other end's first extended packet on.
    upgrade: Option<(PacketKey, Form)>,
    /// When to begin to probe the path's MTU, where both ends answer.
    path_mtu: Option<Duration>,
    /// Sequence of the first extended packet that came: all packets of the standard form are older.
    first: Option<u64>,
}

/// Composes the next body: [`Link::poll_body`] or [`Link::poll_release`].
type PollBody = fn(&mut Link, Time, u64, usize, &mut Vec<u8>) -> bool;

/// A packet that was opened.
#[derive(Debug)]
pub(crate) struct Opened<'a> {
    pub(crate) text: &'a mut [u8],
    /// Whether it was sent after every other one that came.
    pub(crate) newest: bool,
}

impl Peer {
    /// An end that uses `keys` and gives up after `timeout_s` seconds of silence (never, when zero or less).
    pub(crate) fn new(now: Time, keys: SessionKeys, timeout_s: i32, link: Link) -> Self {
        Self {
            link,
            seal: PacketKey::new(&keys.seal),
            form: Form::Standard,
            open: Some(PacketKey::new(&keys.open)),
            secrets: Some(Box::new(keys)),
            extension: ExtensionPhase::Standard,
            extended: None,
            sequence: 0,
            replay: ReplayWindow::default(),
            mtu: PathMtu::new(),
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

    /// When the other end will have been silent for too long, if nothing comes until then.
    pub(crate) fn silent_at(&self) -> Time {
        self.timeout.map_or(Time::MAX, |timeout| self.received_at.saturating_add(timeout))
    }

    /// When nothing will have been sent for `interval`, if nothing is until then.
    pub(crate) fn quiet_at(&self, interval: Duration) -> Time {
        self.sent_at.saturating_add(interval)
    }

    /// Opens a packet of the session in place: fresh, authentic, then never again. `None`: dropped and counted.
    pub(crate) fn open<'a>(
        &mut self,
        now: Time,
        wire: &mut Wire,
        datagram: &'a mut [u8],
        head: Head,
    ) -> Option<Opened<'a>> {
        if head.sequence >= GLOBAL_SEQUENCE {
            // Not a session's: whoever has the keys could otherwise end the replay window's space, or make a challenge
            // pass for a packet of the session.
            wire.counters.dropped_malformed += 1;
            return None;
        }
        if !self.replay.is_fresh(head.sequence) {
            wire.counters.dropped_replayed += 1;
            return None;
        }
        let text = self.open_handshake(wire, datagram, head)?;
        let newest = self.replay.is_newest(head.sequence);
        self.replay.mark(head.sequence);
        self.received_at = now;
        if head.form.is_extended() {
            self.note_extended(now, wire, head.sequence);
            self.link.handle_mark(wire.arrived);
        }
        Some(Opened { text, newest })
    }

    /// Opens a packet of the handshake in place: authentic is enough. `None`: dropped and counted.
    pub(crate) fn open_handshake<'a>(
        &self,
        wire: &mut Wire,
        datagram: &'a mut [u8],
        head: Head,
    ) -> Option<&'a mut [u8]> {
        let extended = self.extended.as_ref().map(|extended| &extended.open);
        let Some(key) = (if head.form.is_extended() { extended } else { self.open.as_ref() }) else {
            wire.counters.dropped_unexpected += 1;
            return None;
        };
        let text = wire.sealer.open(datagram, key, head);
        wire.counters.dropped_forged += u64::from(text.is_none());
        text
    }

    /// A client's packet in the extended form is its word that it has the keys: from now on it gets no other. Packets
    /// of the standard form that come late are still opened, until the last of them must be too old.
    fn note_extended(&mut self, now: Time, wire: &mut Wire, sequence: u64) {
        let Some(extended) = &mut self.extended else { return };
        let Some(phase) = self.extension.after(ExtensionCause::ExtendedPacket) else { return };
        wire.counters.extended += u64::from(phase != self.extension);
        self.extension = phase;
        if let Some(after) = extended.path_mtu {
            self.mtu.agree(now, after);
        }
        if let Some((seal, form)) = extended.upgrade.take() {
            (self.seal, self.form) = (seal, form);
        }
        let first = *extended.first.get_or_insert(sequence);
        if self.open.is_some() && self.replay.has_left_behind(first) {
            self.open = None;
        }
    }

    /// Whether the other end could still be offered, or still be told, more than the standard.
    pub(crate) fn is_standard(&self) -> bool {
        self.extension == ExtensionPhase::Standard
    }

    /// A server's end: ready for the extended form, and to send in it once the client does. Repeated, it changes
    /// nothing. False when the phase does not let it.
    pub(crate) fn accept_offer(&mut self, accept: &Accept) -> bool {
        let Some(phase) = self.extension.after(ExtensionCause::Offer) else { return false };
        self.extension = phase;
        if let Some(keys) = self.secrets.take() {
            let upgrade = Some((accept.key(&keys.seal), Form::Extended));
            self.link.set_ecn(accept.ecn);
            self.extended = Some(Extended {
                open: accept.key(&keys.open),
                upgrade,
                path_mtu: probes_after(accept),
                first: None,
            });
        }
        true
    }

    /// A client's end: from now on everything goes in the extended form. False when the phase does not let it.
    pub(crate) fn take_acceptance(&mut self, now: Time, wire: &mut Wire, accept: &Accept) -> bool {
        let Some(phase) = self.extension.after(ExtensionCause::Accept) else { return false };
        let Some(keys) = self.secrets.take() else { return false };
        self.extension = phase;
        let (open, path_mtu) = (accept.key(&keys.open), probes_after(accept));
        self.extended = Some(Extended { open, upgrade: None, path_mtu, first: None });
        if let Some(after) = path_mtu {
            self.mtu.agree(now, after);
        }
        (self.seal, self.form) = (accept.key(&keys.seal), Form::Routed(accept.id));
        self.link.set_ecn(accept.ecn);
        wire.counters.extended += 1;
        true
    }

    /// Sends a packet that carries no body.
    pub(crate) fn send(&mut self, now: Time, wire: &mut Wire, to: SocketAddr, kind: PacketType, text: &[u8]) {
        self.send_aside(wire, to, kind, text);
        self.sent_at = now;
    }

    /// [`Peer::send`] to where the session is not: it does not stand in for a keep-alive.
    pub(crate) fn send_aside(&mut self, wire: &mut Wire, to: SocketAddr, kind: PacketType, text: &[u8]) {
        let bytes = wire.send((to, self.mark()), &self.seal, (kind, self.form), self.sequence, text);
        self.link.note_overhead(bytes);
        self.link.note_aside();
        self.sequence += 1;
    }

    /// The mark of all that leaves: the other end expects it on every extended packet.
    fn mark(&self) -> Ecn {
        if self.form.is_extended() && self.link.marks_packets() { Ecn::Ect0 } else { Ecn::NotCapable }
    }

    /// How long the next packet would be with a text of `text_len` bytes (a server's: without connection id).
    pub(crate) fn next_len(&self, text_len: usize) -> usize {
        sealed_len(self.sequence, text_len)
    }

    /// Sends the bodies that the link has ready, at most [`BODIES_PER_FLUSH_MAX`]. With `spread`, all but the first wait
    /// for their turn: see [`Peer::release`].
    pub(crate) fn flush(&mut self, now: Time, wire: &mut Wire, to: SocketAddr, spread: bool) {
        self.link.set_spread(spread);
        let first = self.sequence;
        self.send_bodies(now, wire, to, Link::poll_body);
        if self.sequence != first {
            self.probe_path(now, wire, to);
        }
    }

    /// Sends the bodies of the last flush whose turn has come; gives when the next one has its turn.
    pub(crate) fn release(&mut self, now: Time, wire: &mut Wire, to: SocketAddr) -> Option<Time> {
        self.send_bodies(now, wire, to, Link::poll_release);
        self.link.release_at()
    }

    fn send_bodies(&mut self, now: Time, wire: &mut Wire, to: SocketAddr, poll: PollBody) {
        for _ in 0..BODIES_PER_FLUSH_MAX {
            let body_bytes = self.body_bytes();
            if !poll(&mut self.link, now, self.sequence, body_bytes, &mut wire.body) {
                break;
            }
            debug_assert!((1..=body_bytes).contains(&wire.body.len()), "a link keeps to its budget");
            let bytes = wire.send_body((to, self.mark()), &self.seal, self.form, self.sequence);
            // Nothing was written when the outbox is full: then there is no overhead either.
            self.link.note_overhead(bytes.saturating_sub(wire.body.len()));
            self.sequence += 1;
            self.sent_at = now;
        }
    }

    /// The longest datagram that the path to the other end is known to take.
    pub(crate) fn datagram_bytes(&self) -> usize {
        self.mtu.size()
    }

    /// The longest body that goes into it.
    pub(crate) fn body_bytes(&self) -> usize {
        self.mtu.size() - BODY_OVERHEAD_BYTES
    }

    /// The other end wants to know whether a packet of this length came. False: we did not agree to that.
    pub(crate) fn answer_probe(&mut self, wire: &mut Wire, to: SocketAddr, sequence: u64) -> bool {
        let agreed = self.extended.as_ref().is_some_and(|extended| extended.path_mtu.is_some());
        if agreed {
            self.send_aside(wire, to, PacketType::ProbeAnswer, &sequence.to_le_bytes());
        }
        agreed
    }

    /// The other end has the probe that its text names.
    pub(crate) fn take_probe_answer(&mut self, now: Time, wire: &mut Wire, text: &[u8]) {
        let sequence = text.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        if let Some(fate) = sequence.and_then(|sequence| self.mtu.on_answered(now, sequence)) {
            wire.counters.mtu_probes_answered += 1;
            self.follow_mtu(wire, fate);
        }
    }

    /// The path to the other end is another one. `same_host`: only a port is, most probably because a router forgot it;
    /// then what was measured still counts, and the longest datagram is confirmed.
    pub(crate) fn path_changed(&mut self, now: Time, wire: &mut Wire, same_host: bool) {
        if !same_host {
            self.link.path_changed(now, self.sequence);
        }
        let fate = self.mtu.moved(now, same_host);
        self.follow_mtu(wire, fate);
    }

    /// Sends a probe of the path if one is due. What it carries is padding: nothing is at risk.
    fn probe_path(&mut self, now: Time, wire: &mut Wire, to: SocketAddr) {
        if self.link.long_losses() >= LONG_LOSSES_DOUBTED {
            self.mtu.doubt(now);
        }
        let patience = self.link.patience() * 2;
        let (due, fate) = self.mtu.poll_probe(now, patience);
        self.follow_mtu(wire, fate);
        let Some(bytes) = due else { return };
        self.mtu.on_sent(now, self.sequence, patience);
        let id_len = if matches!(self.form, Form::Routed(_)) { CONNECTION_ID_LEN } else { 0 };
        let text = &PADDING[..bytes - id_len - sealed_len(self.sequence, 0)];
        self.send_aside(wire, to, PacketType::Probe, text);
        wire.counters.mtu_probes += 1;
    }

    fn follow_mtu(&mut self, wire: &mut Wire, fate: Fate) {
        if fate == Fate::Same {
            return;
        }
        let bytes = self.body_bytes();
        // What is lost of these lengths while shorter ones arrive makes the length doubtful.
        let doubtful = if bytes > BODY_BYTES_BASE { BODY_BYTES_BASE } else { BODY_BYTES_LEAST };
        wire.counters.mtu_raised += u64::from(bytes > self.link.body_bytes().max(BODY_BYTES_BASE));
        wire.counters.mtu_black_holes += u64::from(fate == Fate::BlackHole);
        self.link.set_body_bytes(self.sequence, bytes, doubtful);
    }

    /// Says goodbye [`DISCONNECTS`] times: nobody acknowledges it.
    pub(crate) fn send_disconnects(&mut self, now: Time, wire: &mut Wire, to: SocketAddr) {
        for _ in 0..DISCONNECTS {
            self.send(now, wire, to, PacketType::Disconnect, &[]);
        }
    }
}

/// When to begin to probe the path's MTU: within a second, by the salt.
fn probes_after(accept: &Accept) -> Option<Duration> {
    accept.path_mtu.then(|| Duration::from_millis(4 * u64::from(accept.salt[0])))
}

fn timeout_of(timeout_s: i32) -> Option<Duration> {
    u64::try_from(timeout_s).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// Where the sequences begin that seal what belongs to no session (challenge, denied). Sessions count from zero
/// under the same keys: the two spaces never meet.
pub(crate) const GLOBAL_SEQUENCE: u64 = 1 << 63;
/// Redundant disconnect packets: all ten are lost once in 10^13 at 5 % loss.
const DISCONNECTS: usize = 10;
/// Long payloads lost in a row, none of them acknowledged since, before their length is doubted: at 5 % loss once in
/// 160,000, and then it costs a probe.
const LONG_LOSSES_DOUBTED: u32 = 4;
static PADDING: [u8; DATAGRAM_BYTES_MAX] = [0; DATAGRAM_BYTES_MAX];
const BODY_BYTES_LEAST: usize = DATAGRAM_BYTES_LEAST - BODY_OVERHEAD_BYTES;
// 64 × 1175 B in one tick is 36 Mbit/s at 60 Hz: far above any budget that a link gives itself.
const BODIES_PER_FLUSH_MAX: usize = 64;
