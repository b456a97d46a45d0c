//! The ticks of a frame: compare with authority, ask for inputs, predict, tell the server. At most one datagram.

use netcode_proto::{
    ClientSession,
    channels::{CONTROL, STATE},
};
use netcode_snapshot::{COLUMNS_MAX, Replicate, exchange::INPUTS_MAX};
use netcode_wire::{Tick, Time};

use super::{CORRECTIONS_MAX, Client};
use crate::{Game, WorldView, clock::Due, predict::Verdict};

impl<G: Game, S: ClientSession> Client<G, S> {
    /// Moves to `now`: compares the newest snapshot with the prediction, then plays every tick that is due: `sample`
    /// gives its input, which is predicted and sent. Call it once a frame; a frame without a due tick costs little,
    /// and one that took too long skips ticks instead of owing them.
    pub fn advance(&mut self, now: Time, sample: &mut dyn FnMut(Tick, &WorldView<'_>) -> G::Input) {
        self.session.step(now);
        self.handle_messages(now);
        if !self.stands() {
            return;
        }
        let Some(due) = self.turn_clocks(now) else {
            self.session.flush(now);
            return;
        };
        self.reconcile();
        self.skip(due);
        for _ in 0..due.played {
            self.play(sample);
        }
        if due.played > 0 {
            self.send_inputs(now);
            self.send_telemetry(now);
            self.session.flush(now);
        } else {
            // What of the last tick's datagrams was to leave later.
            self.session.release(now);
        }
    }

    /// Moves both clocks and says which ticks are due; `None` before the welcome.
    fn turn_clocks(&mut self, now: Time) -> Option<Due> {
        let running = self.match_clock.as_mut()?;
        running.playout.advance(now);
        let due = running.clock.advance(now);
        let before = Tick(running.clock.newest().0.saturating_sub(due.skipped + due.played));
        // The clock may have jumped back: those ticks are played again.
        if self.inputs.newest().is_some_and(|newest| newest > before) {
            self.inputs.rewind(before);
            self.prediction.rewind(before);
        }
        self.stats.ticks_skipped += u64::from(due.skipped);
        self.played = before;
        Some(due)
    }

    /// Compares the newest snapshot with what was predicted for its tick.
    fn reconcile(&mut self) {
        let (Some(header), Some(own), Some(frame)) =
            (self.unreconciled.take(), self.own, self.receiver.latest())
        else {
            return;
        };
        let Some(columns) = frame.columns(own, self.component) else {
            self.prediction.clear();
            self.predicted_known = false;
            return;
        };
        // What did not fit into the snapshot is an older state: nothing to compare with.
        if !header.complete && frame.stamp(own) != Some(frame.tick()) {
            return;
        }
        let mut row = [0; COLUMNS_MAX];
        let columns = self.schema.local_columns(self.component, columns, &mut row);
        let verdict = self.prediction.reconcile(frame.tick(), columns, self.played, &self.inputs);
        match verdict {
            Verdict::Stale | Verdict::Anchored => {}
            Verdict::Confirmed => self.stats.confirmations += 1,
            Verdict::Teleported => self.stats.teleports += 1,
            Verdict::Corrected(distance) => self.note_correction(distance),
        }
        self.note_prediction();
    }

    fn note_correction(&mut self, distance: f32) {
        self.stats.mispredictions += 1;
        self.stats.correction = distance;
        if self.corrections.len() < CORRECTIONS_MAX {
            self.corrections.push(distance);
        }
    }

    /// Ticks that no frame came for: the last input holds, as it does on the server meanwhile.
    fn skip(&mut self, due: Due) {
        let repeated = self.inputs.latest();
        let useful = due.skipped.min(crate::predict::STATES_MAX as u32);
        self.played = Tick(self.played.0.saturating_add(due.skipped - useful));
        for _ in 0..useful {
            self.played = self.played.next();
            self.inputs.push(self.played, repeated.clone());
        }
        self.prediction.advance(self.played, &self.inputs);
        self.note_prediction();
    }

    fn play(&mut self, sample: &mut dyn FnMut(Tick, &WorldView<'_>) -> G::Input) {
        let tick = self.played.next();
        let mut view = self.view();
        view.tick = tick;
        let mut input = sample(tick, &view);
        netcode_snapshot::Input::snap(&mut input);
        self.inputs.push(tick, input);
        self.prediction.advance(tick, &self.inputs);
        self.played = tick;
        self.note_prediction();
    }

    fn note_prediction(&mut self) {
        let newest = self.prediction.newest();
        self.predicted_known = newest.is_some();
        if let Some((_, state)) = newest {
            state.quantise(&mut self.predicted_columns[..G::State::FIELDS.len()]);
        }
    }

    fn send_inputs(&mut self, now: Time) {
        self.packet.ack = self.receiver.ack();
        self.packet.view = self.view_time();
        self.packet.newest = self.played;
        self.packet.inputs.clear();
        // What the server has simulated needs no input any more.
        let simulated = self.newest_snapshot.unwrap_or_default();
        self.packet.inputs.extend(self.inputs.after(simulated, INPUTS_MAX).cloned());
        if self.packet.inputs.is_empty() {
            self.packet.inputs.push(self.inputs.latest());
        }
        self.out.clear();
        self.packet.encode(&mut self.out);
        // A full channel drops what the next tick says again.
        let _ = self.session.send(now, STATE, self.out.as_bytes());
    }

    fn send_telemetry(&mut self, now: Time) {
        let Some(running) = &self.match_clock else { return };
        let every = u32::from(running.tick_hz / TELEMETRY_HZ).max(1);
        if !self.config.telemetry || self.played.since(self.telemetry.tick) < every as i32 {
            return;
        }
        let link = self.session.stats();
        self.telemetry.tick = self.played;
        self.telemetry.predicted.clear();
        // The server reads them as its own columns.
        if self.predicted_known && !self.schema.is_translated(self.component) {
            self.telemetry.predicted.extend_from_slice(&self.predicted_columns[..G::State::FIELDS.len()]);
        }
        self.telemetry.mispredictions = self.stats.mispredictions.min(u64::from(u32::MAX)) as u32;
        self.telemetry.correction_um = (self.stats.correction * 1e6) as u32;
        self.telemetry.rtt_us = link.rtt_us.min(u64::from(u32::MAX)) as u32;
        self.telemetry.interpolation_delay_us = running.playout.delay_us().min(u64::from(u32::MAX)) as u32;
        self.telemetry.loss = (link.loss * f32::from(u16::MAX)) as u16;
        self.telemetry.sent_us = now.as_micros();
        self.out.clear();
        self.telemetry.encode(&mut self.out);
        let _ = self.session.send(now, CONTROL, self.out.as_bytes());
    }
}

/// Times a second that telemetry leaves, where it is turned on.
const TELEMETRY_HZ: u16 = 10;
