//! What a process with many rooms says of itself: their figures together, and a line for each. Pure; must never know how a
//! figure is measured.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::spec::format_match_id;
use crate::status::{RoomStatus, Status};

/// How the rooms stand, those that are gone included.
#[derive(Debug, Default)]
pub(super) struct Tally {
    now: BTreeMap<usize, Status>,
    /// The sums of those that are gone.
    past: Status,
    /// What was thrown away in them, by cause.
    drops: BTreeMap<String, u64>,
}

/// A room in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// What is played there.
    pub(super) match_id: u128,
    /// On which thread.
    pub(super) worker: usize,
}

impl Tally {
    pub(super) fn note(&mut self, slot: usize, status: Status) {
        self.now.insert(slot, status);
    }

    /// The room is gone, and stood so at last.
    pub(super) fn part_with(&mut self, slot: usize, last: &Status) {
        self.now.remove(&slot);
        add_counts(&mut self.past, last);
        add_drops(&mut self.drops, &last.drops);
    }

    /// Players connected now.
    pub(super) fn players(&self) -> usize {
        self.now.values().map(|status| status.players_connected).sum()
    }

    /// All rooms as one document. Times are those of the slowest room.
    pub(super) fn status(&self, held: &BTreeMap<usize, Held>) -> Status {
        let mut all = Status { drops: self.drops.clone(), ..self.past.clone() };
        for status in self.now.values() {
            add_counts(&mut all, status);
            add_drops(&mut all.drops, &status.drops);
            all.tick_hz = all.tick_hz.max(status.tick_hz);
            all.tick = all.tick.max(status.tick);
            all.tick_p50_ms = all.tick_p50_ms.max(status.tick_p50_ms);
            all.tick_p99_ms = all.tick_p99_ms.max(status.tick_p99_ms);
            all.lateness_p999_ms = all.lateness_p999_ms.max(status.lateness_p999_ms);
            for (stage, ms) in &status.stage_p99_ms {
                let most = all.stage_p99_ms.entry(stage.clone()).or_default();
                *most = most.max(*ms);
            }
            for (channel, waiting) in &status.channels {
                let sum = all.channels.entry(channel.clone()).or_default();
                sum.queued_messages += waiting.queued_messages;
                sum.queued_bytes += waiting.queued_bytes;
            }
            all.players.extend_from_slice(&status.players);
            all.players_connected += status.players_connected;
            all.players_dense += status.players_dense;
            all.reliable_queued_bytes += status.reliable_queued_bytes;
        }
        all.phase = phase(&self.now).into();
        all.rooms = held.iter().map(|(slot, held)| self.room(*slot, *held)).collect();
        all
    }

    fn room(&self, slot: usize, held: Held) -> RoomStatus {
        let status = self.now.get(&slot);
        RoomStatus {
            room: slot,
            worker: held.worker,
            match_id: format_match_id(held.match_id),
            phase: status.map_or_else(|| "waiting".into(), |status| status.phase.clone()),
            players_connected: status.map_or(0, |status| status.players_connected),
            tick: status.map_or(0, |status| status.tick),
            tick_p99_ms: status.map_or(0.0, |status| status.tick_p99_ms),
            lateness_p999_ms: status.map_or(0.0, |status| status.lateness_p999_ms),
            overruns: status.map_or(0, |status| status.overruns),
            skipped_ticks: status.map_or(0, |status| status.skipped_ticks),
        }
    }
}

/// The phase of whichever room is furthest into play.
fn phase(rooms: &BTreeMap<usize, Status>) -> &'static str {
    let known = ["running", "ended", "waiting"];
    known.into_iter().find(|name| rooms.values().any(|room| room.phase == *name)).unwrap_or("idle")
}

/// Adds what only ever grows.
fn add_counts(sum: &mut Status, one: &Status) {
    sum.ticks += one.ticks;
    sum.tick_max_ms = sum.tick_max_ms.max(one.tick_max_ms);
    sum.overruns += one.overruns;
    sum.skipped_ticks += one.skipped_ticks;
    sum.disconnects += one.disconnects;
    sum.bytes_down_total += one.bytes_down_total;
    sum.bytes_up_total += one.bytes_up_total;
    sum.packets_down_total += one.packets_down_total;
    sum.packets_up_total += one.packets_up_total;
    sum.packets_lost_total += one.packets_lost_total;
    sum.late_inputs_total += one.late_inputs_total;
    sum.missed_inputs_total += one.missed_inputs_total;
    sum.mispredictions_total += one.mispredictions_total;
    sum.reliable_messages_total += one.reliable_messages_total;
    sum.messages_dropped_total += one.messages_dropped_total;
    sum.snapshots_total += one.snapshots_total;
    sum.snapshots_dense_total += one.snapshots_dense_total;
    sum.entities_deferred_total += one.entities_deferred_total;
    sum.matches_played += one.matches_played;
    sum.matches_voided += one.matches_voided;
    sum.views_refused_total += one.views_refused_total;
    Arc::make_mut(&mut sum.figures).add(&one.figures);
    if one.void_reason.is_some() {
        sum.void_reason.clone_from(&one.void_reason);
    }
    let mut counts: BTreeMap<u64, u64> = sum.tick_us_counts.iter().copied().collect();
    one.tick_us_counts.iter().for_each(|(us, count)| *counts.entry(*us).or_default() += count);
    sum.tick_us_counts = counts.into_iter().collect();
}

fn add_drops(sum: &mut BTreeMap<String, u64>, one: &BTreeMap<String, u64>) {
    one.iter().for_each(|(cause, count)| *sum.entry(cause.clone()).or_default() += count);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_room_did_counts_after_it_is_gone() {
        let mut tally = Tally::default();
        let drops = BTreeMap::from([("denied".to_owned(), 2)]);
        let status = |phase: &str, players_connected| Status {
            phase: phase.into(),
            players_connected,
            ticks: 10,
            tick_us_counts: vec![(50, 4), (70, 6)],
            matches_played: 1,
            drops: drops.clone(),
            ..Status::default()
        };
        tally.note(0, status("running", 3));
        tally.note(1, status("waiting", 1));
        let held = |match_id| Held { match_id, worker: 0 };
        let mut rooms = BTreeMap::from([(0, held(7)), (1, held(8))]);
        let all = tally.status(&rooms);
        assert_eq!((all.ticks, all.players_connected, all.phase.as_str()), (20, 4, "running"));
        assert_eq!((all.rooms.len(), all.rooms[1].phase.as_str()), (2, "waiting"));
        tally.part_with(0, &status("closed", 0));
        rooms.remove(&0);
        let all = tally.status(&rooms);
        assert_eq!((all.ticks, all.players_connected, all.matches_played), (20, 1, 2));
        assert_eq!((all.tick_us_counts.as_slice(), all.drops["denied"]), (&[(50, 8), (70, 12)][..], 4));
        assert_eq!((all.phase.as_str(), all.rooms.len()), ("waiting", 1));
    }
}
