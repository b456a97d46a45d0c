//! One of the threads that rooms tick on. Owns its rooms: each has a phase of its own, so that they do not all tick at
//! once, and one that is behind has one tick a round, so that the others wait for no more than that. A panic ends the room
//! it happened in. Must never know Agones, the admin port, or other threads' rooms.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use netcode_wire::Time;

use super::cell::{Cell, Opening};
use super::front::{Beats, Front};
use crate::balance::NewBalance;
use crate::builder::{ServerBuilder, ServerGame};
use crate::drive::{Clock, LIVE_PERIOD, RATES_PERIOD, STATUS_PERIOD_IDLE, keep_recording, sanction};
use crate::game_match::RosterEntry;
use crate::ops::Verdict;
use crate::player::PlayerId;
use crate::room::port::Port;
use crate::room::{LiveFrame, Report, StateWish, StateWord};
use crate::status::Status;

/// A word to a worker.
pub(super) enum Errand {
    /// A room.
    Open(Box<Opening>),
    /// Newcomers to a match.
    Seat { slot: usize, newcomers: Vec<RosterEntry> },
    /// What is known of a player's state.
    State { slot: usize, player: PlayerId, word: StateWord },
    /// The game's numbers from now on.
    Balance(NewBalance),
    /// An operator has decided.
    Sanction { player: PlayerId, verdict: Verdict },
    /// No new players; matches go on to their end, at most until then.
    Drain { by: Time },
    /// Somebody looks at this room from now on; `None`: nobody does.
    Show(Option<usize>),
    /// Write down what was recorded so far.
    Record,
    /// End at once.
    Stop,
}

/// A word from a worker.
#[derive(Debug)]
pub(super) enum News {
    /// What a room says of its match.
    Report(Report),
    /// What a room wants of whoever keeps players' states.
    Wish { slot: usize, wish: StateWish },
    /// How a room stands.
    Status { slot: usize, status: Box<Status> },
    /// A picture of the room that is looked at.
    Live(LiveFrame),
    /// A room is gone; how it stood at last.
    Gone { slot: usize, status: Box<Status> },
}

/// What all workers share.
pub(super) struct Shared<G: ServerGame> {
    pub(super) declare: Box<dyn Fn() -> ServerBuilder<G> + Send + Sync>,
    pub(super) front: Mutex<Front>,
    pub(super) beats: Beats,
    pub(super) clock: Clock,
    pub(super) record_folder: PathBuf,
    /// The game's numbers for rooms to come.
    pub(super) balance: Mutex<Option<NewBalance>>,
    /// Who is banned, for rooms to come.
    pub(super) banned: Mutex<BTreeMap<PlayerId, Verdict>>,
    /// Somebody keeps players' states.
    pub(super) entrusted: bool,
    /// Ticks that a room may catch up before it skips.
    pub(super) catch_up: u64,
}

impl<G: ServerGame> Shared<G> {
    /// Sessions and carriers. Rooms panic elsewhere, so what the lock guards is whole.
    pub(super) fn front(&self) -> MutexGuard<'_, Front> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn balance(&self) -> Option<NewBalance> {
        self.balance.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_balance(&self, balance: &NewBalance) {
        *self.balance.lock().unwrap_or_else(PoisonError::into_inner) = Some(balance.clone());
    }

    /// Notes what rooms to come must know: bans that last.
    pub(super) fn note_verdict(&self, player: PlayerId, verdict: Verdict) {
        let mut banned = self.banned.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.unix_ms(self.clock.now().as_micros());
        let lasts = |verdict: &Verdict| matches!(verdict, Verdict::Ban { until_unix_ms } if until_unix_ms.is_none_or(|until| until > now));
        banned.retain(|_, verdict| lasts(verdict));
        match verdict {
            Verdict::Ban { .. } => drop(banned.insert(player, verdict)),
            Verdict::Unban => drop(banned.remove(&player)),
            Verdict::Kick => {}
        }
    }

    pub(super) fn banned(&self) -> Vec<(PlayerId, Verdict)> {
        let banned = self.banned.lock().unwrap_or_else(PoisonError::into_inner);
        banned.iter().map(|(player, verdict)| (*player, *verdict)).collect()
    }

    /// Takes in what has arrived, and hands the room its own.
    pub(super) fn exchange(&self, now: Time, slot: usize, port: &mut Port) {
        let mut front = self.front();
        front.look(now);
        front.hand_over(now, slot, port);
    }
}

/// See the module's documentation.
pub(super) struct Worker<G: ServerGame> {
    index: usize,
    shared: Arc<Shared<G>>,
    errands: mpsc::Receiver<Errand>,
    news: mpsc::Sender<News>,
    cells: Vec<Cell<G>>,
    /// Where the next round begins.
    turn: usize,
    drain_by: Option<Time>,
    shown: Option<usize>,
    live_at: Time,
    saving: Vec<JoinHandle<()>>,
    stopped: bool,
}

impl<G: ServerGame> Worker<G> {
    pub(super) fn new(
        index: usize,
        shared: Arc<Shared<G>>,
        errands: mpsc::Receiver<Errand>,
        news: mpsc::Sender<News>,
    ) -> Self {
        Self {
            index,
            shared,
            errands,
            news,
            cells: Vec::new(),
            turn: 0,
            drain_by: None,
            shown: None,
            live_at: Time::ZERO,
            saving: Vec::new(),
            stopped: false,
        }
    }

    /// Ticks rooms until it is told to stop.
    pub(super) fn run(mut self) {
        while !self.stopped {
            self.shared.beats.beat(self.index, self.shared.clock.now());
            while let Ok(errand) = self.errands.try_recv() {
                self.obey(errand);
            }
            if !self.round() && !self.stopped {
                self.rest();
            }
        }
        // A panic over there has been printed; there is nothing left to save.
        self.saving.into_iter().for_each(|saving| drop(saving.join()));
    }

    /// Gives each room that is due one tick; says whether any was.
    fn round(&mut self) -> bool {
        let (count, mut ticked) = (self.cells.len(), false);
        self.turn = self.turn.wrapping_add(1);
        for step in 0..count {
            ticked |= self.serve(self.turn.wrapping_add(step) % count);
        }
        let mut at = 0;
        while at < self.cells.len() {
            match self.cells[at].is_over() {
                true => self.part_with(at),
                false => at += 1,
            }
        }
        ticked
    }

    /// Serves one room. A panic that its own border does not hold ends it here.
    fn serve(&mut self, at: usize) -> bool {
        let served = catch_unwind(AssertUnwindSafe(|| self.serve_held(at)));
        served.unwrap_or_else(|_| {
            let why = "it panicked outside of its systems";
            catch_unwind(AssertUnwindSafe(|| self.cells[at].room.void(self.shared.clock.now(), why))).ok();
            self.cells[at].panicked = true;
            true
        })
    }

    fn serve_held(&mut self, at: usize) -> bool {
        let Self { shared, cells, drain_by, .. } = self;
        let (cell, now) = (&mut cells[at], shared.clock.now());
        if let Some(by) = *drain_by {
            cell.enforce_drain(now, by);
        }
        let served = match cell.room.is_closed() {
            true => Ok(true),
            false => cell.serve(shared, now),
        };
        let ticked = served.unwrap_or_else(|panic| {
            tracing::error!(room = cell.slot, %panic, "the room is closed, the others go on");
            cell.panicked = true;
            true
        });
        self.show(at);
        ticked
    }

    /// Passes on what there is to tell of a room.
    fn show(&mut self, at: usize) {
        let (cell, now) = (&mut self.cells[at], self.shared.clock.now());
        // Who listens no more has ended the process.
        while let Some(report) = cell.room.poll_report() {
            let _ = self.news.send(News::Report(report));
        }
        while let Some(wish) = cell.room.poll_state_wish() {
            let _ = self.news.send(News::Wish { slot: cell.slot, wish });
        }
        if now >= cell.rates_at {
            let seconds = (now.since(cell.rates_at) + RATES_PERIOD).as_secs_f64();
            cell.room.mark_rates(now, seconds);
            cell.rates_at = now.saturating_add(RATES_PERIOD);
        }
        if now >= cell.status_at {
            let period = if cell.is_idle() { STATUS_PERIOD_IDLE } else { STATUS_PERIOD };
            cell.status_at = now.saturating_add(period);
            let status = Box::new(cell.status(now));
            let _ = self.news.send(News::Status { slot: cell.slot, status });
        }
        if self.shown == Some(cell.slot) && now >= self.live_at {
            self.live_at = now.saturating_add(LIVE_PERIOD);
            let _ = self.news.send(News::Live(cell.room.live_frame()));
        }
    }

    /// A room has closed: its recording is kept, and whoever is still in it is sent away.
    fn part_with(&mut self, at: usize) {
        let mut cell = self.cells.swap_remove(at);
        let Self { shared, saving, news, .. } = self;
        let now = shared.clock.now();
        cell.speak(shared);
        shared.front().close(now, cell.slot);
        if !cell.room.is_closed() {
            // Not even giving it up went well.
            let reason = "the room panicked".to_owned();
            let _ = news.send(News::Report(Report::Voided { match_id: cell.match_id, reason }));
        }
        let told = catch_unwind(AssertUnwindSafe(|| {
            while let Some(report) = cell.room.poll_report() {
                let _ = news.send(News::Report(report));
            }
            while let Some(wish) = cell.room.poll_state_wish() {
                let _ = news.send(News::Wish { slot: cell.slot, wish });
            }
            if cell.panicked || cell.room.has_begun() {
                let why = if cell.panicked { "panic" } else { "over" };
                saving.extend(keep_recording(&cell.room, shared.clock, &shared.record_folder, why));
            }
            cell.status(now)
        }));
        let status = Box::new(told.unwrap_or_default());
        let _ = news.send(News::Gone { slot: cell.slot, status });
        // Deliberate: what has panicked once may do so again when it is dropped.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(cell)));
        saving.retain(|saving| !saving.is_finished());
    }

    fn obey(&mut self, errand: Errand) {
        let now = self.shared.clock.now();
        match errand {
            Errand::Open(opening) => self.open(now, *opening),
            Errand::Seat { slot, newcomers } => {
                if let Some(cell) = self.cells.iter_mut().find(|cell| cell.slot == slot) {
                    cell.room.seat_newcomers(newcomers);
                }
            }
            Errand::State { slot, player, word } => {
                if let Some(cell) = self.cells.iter_mut().find(|cell| cell.slot == slot) {
                    cell.room.give_state(now, player, word);
                }
            }
            Errand::Balance(balance) => {
                self.cells.iter_mut().for_each(|cell| cell.room.set_balance(&balance));
            }
            Errand::Sanction { player, verdict } => {
                let Self { cells, shared, .. } = self;
                cells.iter_mut().for_each(|cell| sanction(&mut cell.room, &shared.clock, player, verdict));
            }
            Errand::Drain { by } => {
                self.drain_by = Some(by);
                self.cells.iter_mut().for_each(|cell| cell.room.drain(now));
            }
            Errand::Show(slot) => self.shown = slot,
            Errand::Record => {
                let Self { saving, cells, shared, .. } = self;
                let keep = |cell: &Cell<G>| {
                    keep_recording(&cell.room, shared.clock, &shared.record_folder, "asked for")
                };
                saving.extend(cells.iter().filter_map(keep));
            }
            Errand::Stop => self.stopped = true,
        }
    }

    /// Makes a room; a game's declaration may panic as its systems may.
    fn open(&mut self, now: Time, opening: Opening) {
        let (slot, match_id) = (opening.slot, opening.spec.match_id);
        match catch_unwind(AssertUnwindSafe(|| Cell::open(&self.shared, now, opening))) {
            Ok(cell) => {
                self.shared.front().open(slot, match_id);
                self.cells.push(cell);
            }
            Err(_) => {
                tracing::error!(room = slot, "the room cannot be made: its declaration panicked");
                let reason = "the room could not be made".to_owned();
                let _ = self.news.send(News::Report(Report::Voided { match_id, reason }));
                let _ = self.news.send(News::Gone { slot, status: Box::default() });
            }
        }
    }

    /// Sleeps until a room is due; without one, until something may have happened.
    fn rest(&mut self) {
        let now = self.shared.clock.now();
        if let Some(due_at) = self.cells.iter().filter(|cell| !cell.is_idle()).map(Cell::due_at).min() {
            let due_at = self.cells.iter().map(Cell::due_at).fold(due_at, Time::min);
            // Deliberate: no spinning at the end. A sleep ends some 60 µs late on Linux, which no player sees, and a core
            // that spins serves no other room.
            return std::thread::sleep(due_at.since(now));
        }
        let is_awake = self.shared.front().is_awake(now);
        if let Ok(errand) = self.errands.recv_timeout(if is_awake { AWAKE_PERIOD } else { IDLE_PERIOD }) {
            self.obey(errand);
        }
        self.shared.front().look(self.shared.clock.now());
    }
}

/// How often a thread without rooms in play looks for datagrams, and how often while someone is in a handshake.
const IDLE_PERIOD: Duration = Duration::from_millis(50);
const AWAKE_PERIOD: Duration = Duration::from_millis(5);
/// How often a room's status is made: each costs some tens of microseconds.
const STATUS_PERIOD: Duration = Duration::from_secs(1);
