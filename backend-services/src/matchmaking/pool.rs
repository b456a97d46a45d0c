//! The queue and the rule that turns it into matches. Pure: the time is an argument, nothing awaits, nothing
//! is stored; whoever holds it decides what to do with a match (find a server, or give the tickets back).
//!
//! The rule: the ticket that has waited longest looks for the players nearest to it in rating. A player is
//! near enough if the distance is at most the mean of both windows; a window starts at `window` and grows by
//! `widen_per_s` for each second waited, so that everybody finds somebody in the end. When `match_size`
//! players are found, they are a match; after `smaller_after` a match of `match_size_min` will do.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::ids::{PlayerId, TicketId};

/// How matches are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolRules {
    /// Players in a match.
    pub match_size: usize,
    /// Players in a match that starts late rather than never; `match_size` for never.
    pub match_size_min: usize,
    /// How long a ticket waits before `match_size_min` will do.
    pub smaller_after: Duration,
    /// How far apart in rating (points of μ) two fresh tickets may be.
    pub window: f64,
    /// By how much the window grows each second.
    pub widen_per_s: f64,
    /// A ticket that nobody asks for so long is dropped.
    pub idle_max: Duration,
    /// More tickets are refused.
    pub tickets_max: usize,
}

/// A player who wants to play.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolTicket {
    /// Its id.
    pub id: TicketId,
    /// Whose.
    pub player: PlayerId,
    /// What others see.
    pub display_name: String,
    /// For which mode.
    pub mode: &'static str,
    /// The player's mean rating.
    pub mu: f64,
    /// When it was queued: its age survives a failed allocation.
    pub queued: Instant,
}

/// Where a ticket stands in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// Looks for opponents.
    Waiting,
    /// Its player is still in a match: looks for nobody yet.
    Held,
    /// Part of a match that is looking for a server.
    Taken,
}

#[derive(Debug)]
struct Slot {
    ticket: PoolTicket,
    stand: Stand,
    /// When the player last asked.
    seen: Instant,
}

/// A match that the rules allow. Its tickets are taken until they are committed or given back.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// For which mode.
    pub mode: &'static str,
    /// Who, oldest ticket first.
    pub tickets: Vec<PoolTicket>,
}

/// What became of a wish to queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// The ticket is in.
    New,
    /// The player has this live ticket already.
    Already(TicketId),
    /// The pool has its most tickets.
    Full,
}

/// Why a ticket waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its player's match has not ended.
    InMatch,
    /// A server is being found.
    FindingServer,
    /// Too few players near enough: how many are (itself included), how many are needed.
    TooFew {
        /// Near enough, itself included.
        near: usize,
        /// Players in a match.
        needed: usize,
    },
}

/// All live tickets.
#[derive(Debug)]
pub struct Pool {
    rules: PoolRules,
    slots: HashMap<TicketId, Slot>,
    by_player: HashMap<PlayerId, TicketId>,
}

impl Pool {
    /// Empty.
    pub fn new(rules: PoolRules) -> Self {
        Self { rules, slots: HashMap::new(), by_player: HashMap::new() }
    }

    /// Puts a ticket in. A player has one live ticket.
    pub fn enqueue(&mut self, ticket: PoolTicket, held: bool, now: Instant) -> Enqueued {
        if let Some(id) = self.by_player.get(&ticket.player) {
            return Enqueued::Already(*id);
        }
        if self.slots.len() >= self.rules.tickets_max {
            return Enqueued::Full;
        }
        self.by_player.insert(ticket.player, ticket.id);
        let stand = if held { Stand::Held } else { Stand::Waiting };
        self.slots.insert(ticket.id, Slot { ticket, stand, seen: now });
        Enqueued::New
    }

    /// The player asked for the ticket: it is not idle.
    pub fn touch(&mut self, id: TicketId, now: Instant) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.seen = now;
        }
    }

    /// Takes a ticket out. False if it is in a match by now, or gone.
    pub fn cancel(&mut self, id: TicketId) -> bool {
        let free = self.slots.get(&id).is_some_and(|slot| slot.stand != Stand::Taken);
        if free {
            self.remove(id);
        }
        free
    }

    /// Takes out what nobody has asked for in `idle_max`.
    pub fn expire(&mut self, now: Instant) -> Vec<TicketId> {
        let idle = |slot: &Slot| {
            slot.stand != Stand::Taken && now.saturating_duration_since(slot.seen) > self.rules.idle_max
        };
        let idle: Vec<TicketId> = self.slots.values().filter(|s| idle(s)).map(|s| s.ticket.id).collect();
        for id in &idle {
            self.remove(*id);
        }
        idle
    }

    /// Forms all matches that the rules allow now.
    pub fn tick(&mut self, now: Instant) -> Vec<Match> {
        let mut modes: Vec<&'static str> = self.waiting().map(|ticket| ticket.mode).collect();
        modes.sort_unstable();
        modes.dedup();
        let found: Vec<Match> = modes.into_iter().flat_map(|mode| self.matches_of(mode, now)).collect();
        for ticket in found.iter().flat_map(|found| &found.tickets) {
            self.stand(ticket.id, Stand::Taken);
        }
        found
    }

    /// The match has its server: its tickets are done.
    pub fn commit(&mut self, tickets: &[PoolTicket]) {
        for ticket in tickets {
            self.remove(ticket.id);
        }
    }

    /// The match has no server: its tickets wait on, as old as they are.
    pub fn give_back(&mut self, tickets: &[PoolTicket]) {
        for ticket in tickets {
            self.stand(ticket.id, Stand::Waiting);
        }
    }

    /// The player of this ticket is still in a match: the ticket waits for its end.
    pub fn hold(&mut self, id: TicketId) {
        self.stand(id, Stand::Held);
    }

    /// The player of this ticket is free: the ticket looks for opponents.
    pub fn release(&mut self, id: TicketId) {
        self.stand(id, Stand::Waiting);
    }

    /// At most `limit` tickets whose players are still in a match.
    pub fn held(&self, limit: usize) -> Vec<(TicketId, PlayerId)> {
        let held = self.slots.values().filter(|slot| slot.stand == Stand::Held);
        held.take(limit).map(|slot| (slot.ticket.id, slot.ticket.player)).collect()
    }

    /// Live tickets.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// No live tickets.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Why this ticket is not in a match; `None` if it is not in the pool.
    pub fn explain(&self, id: TicketId, now: Instant) -> Option<Reason> {
        let slot = self.slots.get(&id)?;
        Some(match slot.stand {
            Stand::Held => Reason::InMatch,
            Stand::Taken => Reason::FindingServer,
            Stand::Waiting => {
                let own = &slot.ticket;
                let near = |other: &&PoolTicket| other.mode == own.mode && self.near(own, other, now);
                Reason::TooFew { near: self.waiting().filter(near).count(), needed: self.rules.match_size }
            }
        })
    }

    fn waiting(&self) -> impl Iterator<Item = &PoolTicket> {
        self.slots.values().filter(|slot| slot.stand == Stand::Waiting).map(|slot| &slot.ticket)
    }

    fn near(&self, one: &PoolTicket, other: &PoolTicket, now: Instant) -> bool {
        let windows = self.window(one, now) + self.window(other, now);
        (one.mu - other.mu).abs() <= windows / 2.0
    }

    /// How far apart in rating this ticket accepts by now.
    fn window(&self, ticket: &PoolTicket, now: Instant) -> f64 {
        let waited = now.saturating_duration_since(ticket.queued);
        self.rules.window + self.rules.widen_per_s * waited.as_secs_f64()
    }

    fn matches_of(&self, mode: &str, now: Instant) -> Vec<Match> {
        let mut row: Vec<&PoolTicket> = self.waiting().filter(|ticket| ticket.mode == mode).collect();
        row.sort_by(|a, b| a.mu.total_cmp(&b.mu).then(a.id.cmp(&b.id)));
        let mut anchors: Vec<usize> = (0..row.len()).collect();
        anchors.sort_by_key(|&index| (row[index].queued, row[index].id));
        let widest = anchors.first().map_or(0.0, |&oldest| self.window(row[oldest], now));
        let mut line = Line::new(row.len());
        let mut found = Vec::new();
        for anchor in anchors {
            if line.is_out(anchor) {
                continue;
            }
            let Some(group) = self.group(&row, &line, anchor, widest, now) else { continue };
            group.iter().for_each(|&index| line.take_out(index));
            let mut tickets: Vec<PoolTicket> = group.iter().map(|&index| row[index].clone()).collect();
            tickets.sort_by_key(|ticket| (ticket.queued, ticket.id));
            found.push(Match { mode: row[anchor].mode, tickets });
        }
        found
    }

    /// The anchor and those nearest to it, if they are enough for a match.
    fn group(
        &self,
        row: &[&PoolTicket],
        line: &Line,
        anchor: usize,
        widest: f64,
        now: Instant,
    ) -> Option<Vec<usize>> {
        let own = row[anchor];
        let reach = (self.window(own, now) + widest) / 2.0;
        let within = |index: &usize| (row[*index].mu - own.mu).abs() <= reach;
        let (mut below, mut above) = (line.before(anchor).filter(within), line.after(anchor).filter(within));
        let mut group = vec![anchor];
        while group.len() < self.rules.match_size {
            let nearest = match (below, above) {
                (Some(low), Some(high)) if own.mu - row[low].mu <= row[high].mu - own.mu => low,
                (Some(low), None) => low,
                (_, Some(high)) => high,
                (None, None) => break,
            };
            if Some(nearest) == below {
                below = line.before(nearest).filter(within);
            } else {
                above = line.after(nearest).filter(within);
            }
            if self.near(own, row[nearest], now) {
                group.push(nearest);
            }
        }
        let patient = now.saturating_duration_since(own.queued) < self.rules.smaller_after;
        let needed = if patient { self.rules.match_size } else { self.rules.match_size_min };
        (group.len() >= needed).then_some(group)
    }

    fn stand(&mut self, id: TicketId, stand: Stand) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.stand = stand;
        }
    }

    fn remove(&mut self, id: TicketId) {
        if let Some(slot) = self.slots.remove(&id) {
            self.by_player.remove(&slot.ticket.player);
        }
    }
}

/// A row of places of which some are out: finds the next one that is in without walking over the others.
struct Line {
    before: Vec<Option<usize>>,
    after: Vec<Option<usize>>,
    out: Vec<bool>,
}

impl Line {
    fn new(length: usize) -> Self {
        Self {
            before: (0..length).map(|index| index.checked_sub(1)).collect(),
            after: (0..length).map(|index| Some(index + 1).filter(|next| *next < length)).collect(),
            out: vec![false; length],
        }
    }

    fn is_out(&self, index: usize) -> bool {
        self.out[index]
    }

    fn before(&self, index: usize) -> Option<usize> {
        self.before[index]
    }

    fn after(&self, index: usize) -> Option<usize> {
        self.after[index]
    }

    fn take_out(&mut self, index: usize) {
        self.out[index] = true;
        let (before, after) = (self.before[index], self.after[index]);
        if let Some(before) = before {
            self.after[before] = after;
        }
        if let Some(after) = after {
            self.before[after] = before;
        }
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
