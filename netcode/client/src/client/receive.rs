//! What arrives: datagrams become snapshots, control words and game messages. Decides nothing about ticks.

use std::net::SocketAddr;

use netcode_proto::{
    Bytes, ChannelId, ChannelKind, ClientSession, ClientState as SessionState,
    channels::{CONTROL, STATE},
};
use netcode_snapshot::{
    ClientWord, Control, NetId, Receiver, Replicate, SchemaDescription, SchemaMismatch, SnapshotError,
    SnapshotHeader, inputs_hash,
};
use netcode_wire::{BitReader, Ecn, Tick, Time};

use super::{Client, MatchClock, TRIPS_MAX};
use crate::{
    Game, LeaveReason, ReliableTrip,
    clock::{Clock, Feedback},
    playout::Playout,
    predict::Prediction,
};

impl<G: Game, S: ClientSession> Client<G, S> {
    /// Takes a datagram in, decrypting it in place. `now` should be when it arrived, as exactly as is known.
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]) {
        self.handle_arrival(now, from, Ecn::NotCapable, datagram);
    }

    /// [`Client::handle_datagram`] for who knows what routers marked in its IP header.
    pub fn handle_arrival(&mut self, now: Time, from: SocketAddr, ecn: Ecn, datagram: &mut [u8]) {
        self.session.handle_arrival(now, from, ecn, datagram);
        self.handle_messages(now);
    }

    pub(super) fn handle_messages(&mut self, now: Time) {
        while let Some((channel, message)) = self.session.poll_message() {
            if self.left.is_some() {
                continue;
            }
            match channel {
                STATE => self.handle_snapshot(now, &message),
                CONTROL => self.handle_control(now, &message),
                _ => self.keep_message(now, channel, message),
            }
        }
    }

    fn handle_snapshot(&mut self, now: Time, message: &[u8]) {
        if self.schema_awaited.is_some() {
            // Nothing is acknowledged, so that the server goes on telling everything.
            self.stats.snapshots_unread += 1;
            return;
        }
        match self.receiver.decode(&self.schema, &mut BitReader::new(message)) {
            Ok(header) => self.note_snapshot(now, header),
            // A late one, or one that builds on what was given up meanwhile: newer ones follow.
            Err(SnapshotError::Stale(_) | SnapshotError::UnknownBaseline(_)) => {
                self.stats.snapshots_stale += 1;
            }
            // Before the welcome nobody has said that the server's columns are ours.
            Err(_) if self.match_clock.is_none() => self.stats.snapshots_unread += 1,
            Err(error) => self.leave(now, LeaveReason::Snapshot(error)),
        }
    }

    fn note_snapshot(&mut self, now: Time, header: SnapshotHeader) {
        // A snapshot that comes in parts is one snapshot, and what it says of the inputs comes once.
        self.stats.snapshots_received += u64::from(self.newest_snapshot != Some(header.tick));
        self.stats.snapshots_dense += u64::from(header.dense);
        if header.has_feedback() {
            self.stats.entities_missing = header.missing;
        }
        self.stats.late_inputs += u64::from(header.late_inputs);
        self.newest_snapshot = Some(header.tick);
        self.unreconciled = Some(header);
        let Some(running) = &mut self.match_clock else { return };
        running.playout.handle_arrival(now, header.tick);
        if header.input_tick.is_some_and(|used| used < header.tick) {
            self.stats.snapshots_starved += 1;
        }
        if header.input_tick.is_some() || header.input_margin < 0 || header.late_inputs > 0 {
            let margin = f32::from(header.input_margin) / MARGIN_PARTS;
            self.stats.input_margin_ticks = margin;
            running.clock.handle_feedback(
                now,
                Feedback {
                    simulated: header.tick,
                    used: header.input_tick,
                    margin_ticks: f64::from(margin),
                    late: header.late_inputs > 0,
                },
            );
        }
    }

    fn handle_control(&mut self, now: Time, message: &[u8]) {
        match Control::decode(&mut BitReader::new(message)) {
            Ok(Control::Welcome {
                tick_hz, tick, schema_hash, messages_hash, inputs_hash, player, ..
            }) => {
                let hashes = (schema_hash, messages_hash, inputs_hash);
                self.handle_welcome(now, (tick_hz, tick, player), hashes);
            }
            Ok(Control::Owns { net_id }) if self.own != Some(net_id) => self.own_other(Some(net_id)),
            Ok(Control::Owns { .. }) => {}
            Ok(Control::OwnsNothing) => self.own_other(None),
            Ok(Control::Heard { sent_us, server_us }) => self.note_trip(now, sent_us, server_us),
            Ok(Control::Schema(description)) => self.handle_schema(now, &description),
            Ok(Control::Goodbye { reason }) => self.leave(now, LeaveReason::Goodbye(reason)),
            Err(error) => self.leave(now, LeaveReason::Control(error)),
        }
    }

    fn note_trip(&mut self, now: Time, sent_us: u64, server_us: u64) {
        if self.trips.len() < TRIPS_MAX {
            self.trips.push(ReliableTrip { sent_us, server_us, back_us: now.as_micros() });
        }
    }

    fn handle_welcome(
        &mut self,
        now: Time,
        (tick_hz, tick, player): (u16, Tick, u64),
        hashes: (u64, u64, u64),
    ) {
        if self.schema.hash() != hashes.0 {
            self.ask_for_schema(now, hashes.0);
        }
        let (ours, theirs) = (self.config.messages.hash(), hashes.1);
        if ours != theirs {
            return self.leave(now, LeaveReason::OtherMessages { ours, theirs });
        }
        let (ours, theirs) = (inputs_hash::<G::Input>(), hashes.2);
        if ours != theirs {
            return self.leave(now, LeaveReason::OtherInput { ours, theirs });
        }
        // The welcome is reliable: it may be late, and snapshots may have come before it.
        let server_tick = self.newest_snapshot.map_or(tick, |newest| newest.max(tick));
        let rtt_us = match self.session.stats().rtt_us {
            0 => RTT_GUESS_US,
            measured => measured,
        };
        let clock = Clock::start(now, server_tick, tick_hz, rtt_us, self.config.clock);
        let playout = Playout::new(tick_hz, self.config.interpolation);
        self.prediction = Prediction::new(tick_hz, self.config.snap_distance);
        self.match_clock = Some(MatchClock { clock, playout, tick_hz, player });
    }

    /// The server's columns are not ours: how they lie must be known before a snapshot is read.
    fn ask_for_schema(&mut self, now: Time, hash: u64) {
        self.schema_awaited = Some(hash);
        // Deliberate: what came before the welcome was read as if it were ours. None of it was acknowledged yet, since
        // inputs begin with the welcome.
        self.receiver = Receiver::new(self.config.receiver);
        self.unreconciled = None;
        self.out.clear();
        ClientWord::DescribeSchema.encode(&mut self.out);
        if self.session.send(now, CONTROL, self.out.as_bytes()).is_err() {
            self.leave(now, LeaveReason::SchemaUnasked);
        }
    }

    fn handle_schema(&mut self, now: Time, theirs: &SchemaDescription) {
        let Some(named) = self.schema_awaited else { return };
        let described = theirs.hash();
        if described != named {
            return self.leave(now, LeaveReason::Schema(SchemaMismatch::OtherSchema { described, named }));
        }
        let missing = SchemaMismatch::NoComponent { component: G::State::NAME };
        let read = self.schema.reading(theirs);
        match read.and_then(|schema| Ok((schema.id_of::<G::State>().ok_or(missing)?, schema))) {
            Ok((component, schema)) => {
                self.schema_awaited = None;
                (self.component, self.schema) = (component, schema);
            }
            Err(mismatch) => self.leave(now, LeaveReason::Schema(mismatch)),
        }
    }

    fn own_other(&mut self, own: Option<NetId>) {
        self.own = own;
        self.prediction.clear();
        self.predicted_known = false;
    }

    fn keep_message(&mut self, now: Time, channel: ChannelId, message: Bytes) {
        if self.messages.len() < self.config.messages_max {
            self.messages.push_back((channel, message));
        } else if self.config.session.channels.kind(channel).is_some_and(ChannelKind::is_reliable) {
            self.leave(now, LeaveReason::Unread(self.config.messages_max));
        } else {
            self.stats.messages_dropped += 1;
        }
    }

    /// Whether the session still stands.
    pub(super) fn stands(&self) -> bool {
        self.left.is_none() && self.session.state() == SessionState::Connected
    }
}

/// The header counts margins in this many parts of a tick.
const MARGIN_PARTS: f32 = 16.0;
/// The round trip assumed while none was measured, in microseconds; the server's first feedback puts it right.
const RTT_GUESS_US: u64 = 100_000;
