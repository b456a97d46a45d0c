//! The queue: every live ticket and backfill, and one tick that turns them into matches. Pure: the time is an
//! argument, nothing awaits, nothing is stored; whoever holds it decides what to do with a match (find a
//! server, or give the tickets back).
//!
//! Deterministic in (state, now, seed): equal pools give equal matches in equal order.

use std::collections::{BTreeMap, HashMap};

use crate::prepared::{Prepared, TicketFault, check_backfill, keys};
use crate::refill::Refill;
use crate::rules::{AGE_STEP_MS, ModeRules, RuleBook};
use crate::shape::{Shape, shapes};
use crate::ticket::{Backfill, Millis, PlayerId, Ticket, TicketId};

/// Why a ticket is in the pool but looks for nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Its party wants that. It keeps its age.
    Deactivated,
    /// One of its players is still in a match.
    InMatch,
}

/// Where a ticket stands in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Looks for opponents.
    Waiting,
    /// Looks for nobody.
    Paused(Pause),
    /// Part of a match that is being committed.
    Taken,
}

/// A match that the rules allow. Its tickets are taken until they are committed or given back.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Which mode.
    pub mode: String,
    /// Which build.
    pub build: String,
    /// Where; none where the mode has no regions.
    pub region: Option<String>,
    /// The tickets of each team; for a backfill those that join it, which may be none for some teams.
    pub teams: Vec<Vec<TicketId>>,
    /// The running match that is filled, if it is one.
    pub backfill: Option<TicketId>,
    /// By how much the best team's chance to beat the worst exceeds the reverse; 0 for a backfill.
    pub win_spread: f64,
}

impl Match {
    /// All its tickets, team by team.
    pub fn tickets(&self) -> impl Iterator<Item = TicketId> + '_ {
        self.teams.iter().flatten().copied()
    }
}

/// Why a ticket is not in the pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnqueueFault {
    /// A player has this live ticket already.
    #[error("player {player} is queued already")]
    Already {
        /// Who.
        player: u64,
        /// The live ticket.
        ticket: TicketId,
    },
    /// The pool has its most tickets.
    #[error("the queue has its most tickets")]
    Full,
    /// The ticket makes no sense for its mode.
    #[error(transparent)]
    Ticket(#[from] TicketFault),
}

#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) ticket: Ticket,
    pub(crate) prepared: Prepared,
    pub(crate) mode: usize,
    pub(crate) stand: Stand,
    /// Breaks ties between equal ratings and ages, by the pool's seed.
    pub(crate) tie: u64,
    /// After a search that found nothing: not before then.
    pub(crate) retry: Millis,
}

/// One mode and build.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Places of its tickets, by rating.
    pub(crate) sorted: Vec<u32>,
    /// Joined since the last tick.
    fresh: Vec<u32>,
    /// Tickets have gone since the last tick.
    thinned: bool,
    /// Something may be possible that was not.
    dirty: bool,
    looked: Millis,
}

/// All live tickets and backfills.
#[derive(Debug)]
pub struct Pool {
    pub(crate) rules: Vec<(ModeRules, Vec<Shape>)>,
    pub(crate) slots: Vec<Option<Slot>>,
    pub(crate) places: HashMap<TicketId, u32>,
    free: Vec<u32>,
    freed: Vec<u32>,
    by_player: HashMap<PlayerId, TicketId>,
    pub(crate) queues: BTreeMap<(usize, String), Queue>,
    pub(crate) refills: BTreeMap<TicketId, (usize, Refill)>,
    tickets_max: usize,
    seed: u64,
    pub(crate) exact: bool,
}

impl Pool {
    /// Empty, for tickets of these modes; more than `tickets_max` are refused.
    ///
    /// # Errors
    /// The rules make no sense.
    pub fn new(book: &RuleBook, tickets_max: usize, seed: u64) -> Result<Self, crate::rules::RulesFault> {
        book.check()?;
        Ok(Self {
            rules: book.modes.iter().map(|rules| (rules.clone(), shapes(rules))).collect(),
            slots: Vec::new(),
            places: HashMap::new(),
            free: Vec::new(),
            freed: Vec::new(),
            by_player: HashMap::new(),
            queues: BTreeMap::new(),
            refills: BTreeMap::new(),
            tickets_max,
            seed,
            exact: true,
        })
    }

    /// The same without the exhaustive search of small queues: for measuring the other one.
    #[must_use]
    pub fn without_exact(mut self) -> Self {
        self.exact = false;
        self
    }

    /// Whether a ticket makes sense for its mode.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, ticket: &Ticket) -> Result<(), TicketFault> {
        Prepared::of(ticket, &self.rules[self.mode(&ticket.mode)?].0).map(drop)
    }

    /// Whether a backfill makes sense for its mode.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_backfill(&self, backfill: &Backfill) -> Result<(), TicketFault> {
        let rules = &self.rules[self.mode(&backfill.mode)?].0;
        check_backfill(backfill, rules)?;
        keys(&backfill.attributes, rules).map(drop)
    }

    /// Puts a ticket in. A player has one live ticket.
    ///
    /// # Errors
    /// A player is queued, the pool is full, or the ticket makes no sense.
    pub fn enqueue(&mut self, ticket: Ticket) -> Result<(), EnqueueFault> {
        let mode = self.mode(&ticket.mode)?;
        let prepared = Prepared::of(&ticket, &self.rules[mode].0)?;
        for player in &ticket.players {
            if let Some(live) = self.by_player.get(&player.id) {
                return Err(EnqueueFault::Already { player: player.id.0, ticket: *live });
            }
        }
        if self.places.len() >= self.tickets_max || self.places.contains_key(&ticket.id) {
            return Err(EnqueueFault::Full);
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.places.insert(ticket.id, place);
        self.by_player.extend(ticket.players.iter().map(|player| (player.id, ticket.id)));
        let queue = self.queues.entry((mode, ticket.build.clone())).or_default();
        queue.fresh.push(place);
        queue.dirty = true;
        let tie = mix(self.seed ^ (ticket.id.0 as u64) ^ (ticket.id.0 >> 64) as u64);
        let (stand, retry) = (Stand::Waiting, Millis(0));
        self.slots[place as usize] = Some(Slot { ticket, prepared, mode, stand, tie, retry });
        Ok(())
    }

    /// Asks for players for a running match; asking again with the same id replaces the wish.
    ///
    /// # Errors
    /// The match makes no sense for its mode.
    pub fn enqueue_backfill(&mut self, backfill: Backfill) -> Result<(), TicketFault> {
        let mode = self.mode(&backfill.mode)?;
        let rules = &self.rules[mode].0;
        let roles = check_backfill(&backfill, rules)?;
        let present = backfill.teams.concat();
        let total: f64 = present.iter().map(|player| player.mu).sum();
        let avoids = present.iter().any(|player| !player.avoid.is_empty());
        let skill = total / present.len().max(1) as f64;
        let size = present.len();
        let (latencies, keys) = (Vec::new(), keys(&backfill.attributes, rules)?);
        let prepared = Prepared { skill, total, size, latencies, keys, roles: Vec::new(), avoids };
        self.queues.entry((mode, backfill.build.clone())).or_default().dirty = true;
        let refill = Refill { backfill, present, prepared, roles, taken: false };
        self.refills.insert(refill.backfill.id, (mode, refill));
        Ok(())
    }

    /// Takes a ticket or backfill out. False if it is part of a match by now, or gone.
    pub fn cancel(&mut self, id: TicketId) -> bool {
        if self.refills.get(&id).is_some_and(|(_, refill)| !refill.taken) {
            self.refills.remove(&id);
            return true;
        }
        let free = self.stand(id).is_some_and(|stand| stand != Stand::Taken);
        if free {
            self.remove(id);
        }
        free
    }

    /// The ticket looks for nobody for a while. False if it is part of a match by now, or gone.
    pub fn pause(&mut self, id: TicketId, why: Pause) -> bool {
        self.change(id, |stand| *stand != Stand::Taken, Stand::Paused(why))
    }

    /// The ticket looks for opponents again, as old as it is. False if it was not paused.
    pub fn resume(&mut self, id: TicketId) -> bool {
        self.change(id, |stand| matches!(stand, Stand::Paused(_)), Stand::Waiting)
    }

    /// The match has its server: its tickets are done.
    pub fn commit(&mut self, found: &Match) {
        found.tickets().for_each(|id| self.remove(id));
        if let Some(id) = found.backfill {
            self.remove(id);
        }
    }

    /// The match does not start: its tickets wait on, as old as they are.
    pub fn give_back(&mut self, found: &Match) {
        for id in found.tickets() {
            self.change(id, |stand| *stand == Stand::Taken, Stand::Waiting);
        }
        if let Some((_, refill)) = found.backfill.and_then(|id| self.refills.get_mut(&id)) {
            refill.taken = false;
        }
    }

    /// Where the ticket or backfill stands by an authority above this pool, whatever the pool believed.
    pub fn set(&mut self, id: TicketId, stand: Stand) {
        if let Some((mode, refill)) = self.refills.get_mut(&id) {
            refill.taken = stand != Stand::Waiting;
            let key = (*mode, refill.backfill.build.clone());
            self.queues.entry(key).or_default().dirty = true;
        }
        self.change(id, |_| true, stand);
    }

    /// Forms all matches that the rules allow now.
    pub fn tick(&mut self, now: Millis) -> Vec<Match> {
        self.tick_some(now, usize::MAX, |_| true)
    }

    /// The same for some modes only, and so many new matches at most; running ones that are filled do not count.
    pub fn tick_some(&mut self, now: Millis, most: usize, ours: impl Fn(&str) -> bool) -> Vec<Match> {
        self.sweep();
        let ours = |key: &&(usize, String)| ours(&self.rules[key.0].0.mode);
        let keys: Vec<(usize, String)> = self.queues.keys().filter(ours).cloned().collect();
        let mut found: Vec<Match> = Vec::new();
        let mut left = most;
        for key in keys {
            let Some(queue) = self.queues.get_mut(&key) else { continue };
            if !queue.dirty && now.since(queue.looked) < AGE_STEP_MS {
                continue;
            }
            (queue.dirty, queue.looked) = (false, now);
            let made = self.look(&key, now, left);
            left -= made.iter().filter(|made| made.backfill.is_none()).count();
            found.extend(made);
            if left == 0
                && let Some(queue) = self.queues.get_mut(&key)
            {
                // There may be more where these came from.
                queue.dirty = true;
            }
        }
        for made in &found {
            for id in made.tickets() {
                self.change(id, |_| true, Stand::Taken);
            }
            if let Some((_, refill)) = made.backfill.and_then(|id| self.refills.get_mut(&id)) {
                refill.taken = true;
            }
        }
        found
    }

    /// Live tickets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// No live tickets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// A live ticket.
    #[must_use]
    pub fn ticket(&self, id: TicketId) -> Option<&Ticket> {
        self.slot(id).map(|slot| &slot.ticket)
    }

    /// Where a ticket stands; `None` if it is not in the pool.
    #[must_use]
    pub fn stand(&self, id: TicketId) -> Option<Stand> {
        self.slot(id).map(|slot| slot.stand)
    }

    /// The live ticket that this player is part of.
    #[must_use]
    pub fn ticket_of(&self, player: PlayerId) -> Option<TicketId> {
        self.by_player.get(&player).copied()
    }

    pub(crate) fn slot(&self, id: TicketId) -> Option<&Slot> {
        self.slots[*self.places.get(&id)? as usize].as_ref()
    }

    /// The tickets of one mode and build, by rating.
    pub(crate) fn peers<'a>(&'a self, mode: usize, build: &str) -> impl Iterator<Item = &'a Slot> {
        let queue = self.queues.get(&(mode, build.to_owned()));
        let places = queue.into_iter().flat_map(|queue| queue.sorted.iter().chain(&queue.fresh));
        places.filter_map(|&place| self.slots[place as usize].as_ref())
    }

    fn mode(&self, name: &str) -> Result<usize, TicketFault> {
        let place = self.rules.iter().position(|(rules, _)| rules.mode == name);
        place.ok_or_else(|| TicketFault::UnknownMode(name.to_owned()))
    }

    fn change(&mut self, id: TicketId, from: impl Fn(&Stand) -> bool, to: Stand) -> bool {
        let place = self.places.get(&id).copied();
        let Some(slot) = place.and_then(|place| self.slots[place as usize].as_mut()) else { return false };
        if !from(&slot.stand) {
            return false;
        }
        slot.stand = to;
        if to == Stand::Waiting {
            slot.retry = Millis(0);
            if let Some(queue) = self.queues.get_mut(&(slot.mode, slot.ticket.build.clone())) {
                queue.dirty = true;
            }
        }
        true
    }

    /// Takes a ticket or backfill out, wherever it stands.
    pub fn remove(&mut self, id: TicketId) {
        self.refills.remove(&id);
        let Some(place) = self.places.remove(&id) else { return };
        let Some(slot) = self.slots[place as usize].take() else { return };
        for player in &slot.ticket.players {
            self.by_player.remove(&player.id);
        }
        // The place is given out again once no queue lists it.
        self.freed.push(place);
        if let Some(queue) = self.queues.get_mut(&(slot.mode, slot.ticket.build)) {
            queue.thinned = true;
        }
    }

    /// Sorts those who joined in and forgets those who left.
    fn sweep(&mut self) {
        let slots = &self.slots;
        for queue in self.queues.values_mut() {
            if queue.thinned {
                queue.sorted.retain(|&place| slots[place as usize].is_some());
                queue.fresh.retain(|&place| slots[place as usize].is_some());
                queue.thinned = false;
            }
            if !queue.fresh.is_empty() {
                queue.sorted.append(&mut queue.fresh);
                let key =
                    |place: &u32| slots[*place as usize].as_ref().map(|slot| (slot.prepared.skill, slot.tie));
                // Nearly sorted already: the standard stable sort merges runs.
                queue.sorted.sort_by(|a, b| {
                    let ((one, tie), (other, second)) =
                        (key(a).unwrap_or_default(), key(b).unwrap_or_default());
                    one.total_cmp(&other).then(tie.cmp(&second))
                });
            }
        }
        self.free.append(&mut self.freed);
        let refills = &self.refills;
        self.queues.retain(|(mode, build), queue| {
            let wanted = |(of, refill): &(usize, Refill)| of == mode && refill.backfill.build == *build;
            !queue.sorted.is_empty() || refills.values().any(wanted)
        });
    }
}

/// Spreads the bits (SplitMix64's finaliser, Steele et al. 2014).
const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
