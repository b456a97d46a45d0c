//! A process with many rooms: one socket and one table of sessions for all of them, rooms made when matches are allocated
//! and gone when they are over. Owns which room plays which match; must never know what is played.
//!
//! | file | owns |
//! |---|---|
//! | `mod` | the calling thread: what is asked of the process, which rooms there are, what is told of them |
//! | `worker` | a thread that rooms tick on |
//! | `cell` | one room's deadlines and rest |
//! | `front` | sessions and carriers: datagrams in and out, whose client is whose |
//! | `tally` | all rooms' figures together |
//!
//! **Threads.** A room is made on one thread and never leaves it, so that a world needs no lock; the executor within it is the
//! single-threaded one, since the other costs more per run than a small game's whole stage. With one or two cores one
//! thread ticks all rooms; with more, one fewer than there are cores: the calling thread and the socket's share the last.
//! Sessions are shared under one lock, for a few microseconds a client and tick. That is what bounds a process to some
//! cores' worth of small rooms; beyond, start another one.

mod cell;
mod front;
mod tally;
mod worker;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use netcode_wire::Time;
use operate::Settings;

use self::cell::Opening;
use self::front::{Beats, Front, Strangers};
use self::tally::{Held, Tally};
use self::worker::{Errand, News, Shared, Worker};
use crate::builder::{ServerBuilder, ServerGame};
use crate::carriers;
use crate::configure::Configured;
use crate::drive::{self, Clock, RunError};
use crate::game_match::{MatchSpec, RosterEntry};
use crate::ops::{Announcements, Board, Command, Ops, OpsConfig, StateTerms};
use crate::options::ServerOptions;
use crate::player::PlayerId;
use crate::room::sessions::Sessions;
use crate::room::{Report, StateWish, StateWord};

/// A server that plays many matches at once: see [`Server::rooms`](crate::Server::rooms).
pub struct Rooms<G: ServerGame> {
    declare: Box<dyn Fn() -> ServerBuilder<G> + Send + Sync>,
    settings: Option<Settings>,
}

impl<G: ServerGame> Rooms<G> {
    pub(crate) fn new(declare: impl Fn() -> ServerBuilder<G> + Send + Sync + 'static) -> Self {
        Self { declare: Box::new(declare), settings: None }
    }

    /// Where what an operator set came from: see [`ServerBuilder::settings`].
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = Some(settings);
        self
    }

    /// Serves until a drain is asked for and its matches are over. With `--rooms 1` it is the server that the declaration
    /// describes, and ends with its match.
    ///
    /// # Errors
    /// A setting cannot be used, a port is taken, or the sidecar cannot be reached. With `--rooms 1` also: a system
    /// panicked. With more, a panic ends the room it happened in.
    pub fn run(self) -> Result<(), RunError> {
        let mut first = (self.declare)();
        first.settings = self.settings.or(first.settings);
        if first.options.rooms == 1 {
            return drive::run(first);
        }
        let configured = Configured::new(&first.options, first.settings.take(), first.balance.take())?;
        if first.options.check_config {
            print!("{}", configured.to_text());
            return Ok(());
        }
        operate::logs::start(&first.options.log_level, first.options.log_format);
        configured.doubts().iter().for_each(|doubt| tracing::warn!("{doubt}"));
        let (options, name) = (first.options.clone(), first.name.clone());
        let terms = first.keeping.as_ref();
        let terms = terms.map(|keeping| StateTerms { name: keeping.name, wait: keeping.policy.wait });
        drop(first);
        host(self.declare, &options, &name, (configured, terms))
    }
}

fn host<G: ServerGame>(
    declare: Box<dyn Fn() -> ServerBuilder<G> + Send + Sync>,
    options: &ServerOptions,
    name: &str,
    (configured, terms): (Configured, Option<StateTerms>),
) -> Result<(), RunError> {
    let carriers = carriers::open(options)?;
    let (admin, admin_address) = drive::open_admin(SocketAddr::new(options.admin_bind, options.admin_port))?;
    let udp_address = carriers::udp_address(&carriers);
    let websocket_address = carriers::websocket_address(&carriers);
    let clock = Clock::start();
    let board = Board::new(name, clock);
    let announcements =
        Announcements { admin: admin_address, websocket_port: websocket_address.map(|at| at.port()) };
    let balance = configured.balance().cloned();
    let config = OpsConfig::new(options, configured, name, admin, announcements, terms);
    let ops = Ops::start(config, Arc::clone(&board))?;
    let addresses = drive::public_addresses(options, udp_address, ops.addresses());
    let sessions = Sessions::open(options, &addresses, clock.unix_at_zero_s())?;
    let strangers = if ops.is_managed() { Strangers::Wait } else { Strangers::Open };
    let threads = threads(options);
    let shared = Arc::new(Shared {
        declare,
        front: Mutex::new(Front::new(sessions, carriers, clock, strangers)),
        beats: Beats::new(threads),
        clock,
        record_folder: options.record_folder(),
        balance: Mutex::new(balance),
        banned: Mutex::default(),
        entrusted: options.backend.is_some(),
        catch_up: u64::from(options.catch_up_ticks),
    });
    let mut host = Host::start(shared, ops, board, options, name, threads)?;
    // What is shown must be there before anyone is told to look.
    host.publish();
    host.ops.ready();
    drive::tell_parent(&drive::ready_line(udp_address, admin_address, websocket_address));
    tracing::info!(udp = %udp_address, websocket = ?websocket_address, admin = %admin_address, rooms = options.rooms, threads, "serving");
    let outcome = host.serve();
    host.finish(outcome)
}

/// How many threads tick rooms.
fn threads(options: &ServerOptions) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let wanted = options.threads.map_or(cores.saturating_sub(1).max(1), usize::from);
    wanted.min(usize::from(options.rooms))
}

/// The calling thread's side.
struct Host<G: ServerGame> {
    shared: Arc<Shared<G>>,
    ops: Ops,
    board: Arc<Board>,
    name: String,
    seed: u64,
    seconds: u32,
    rooms_max: usize,
    workers: Vec<(mpsc::Sender<Errand>, JoinHandle<()>)>,
    news: mpsc::Receiver<News>,
    rooms: BTreeMap<usize, Held>,
    tally: Tally,
    /// Which room has a player's state.
    keepers: BTreeMap<PlayerId, usize>,
    drain_by: Option<Time>,
    shown: Option<usize>,
    players_told: usize,
    status_at: Time,
}

impl<G: ServerGame> Host<G> {
    fn start(
        shared: Arc<Shared<G>>,
        ops: Ops,
        board: Arc<Board>,
        options: &ServerOptions,
        name: &str,
        threads: usize,
    ) -> Result<Self, RunError> {
        let (news_in, news) = mpsc::channel();
        let mut workers = Vec::with_capacity(threads);
        for index in 0..threads {
            let (errands, errands_out) = mpsc::channel();
            let worker = Worker::new(index, Arc::clone(&shared), errands_out, news_in.clone());
            let thread = std::thread::Builder::new().name(format!("rooms-{index}"));
            let thread = thread.spawn(move || worker.run()).map_err(|cause| RunError::Thread { cause })?;
            workers.push((errands, thread));
        }
        Ok(Self {
            shared,
            ops,
            board,
            name: name.to_owned(),
            seed: options.seed,
            seconds: options.seconds,
            rooms_max: usize::from(options.rooms),
            workers,
            news,
            rooms: BTreeMap::new(),
            tally: Tally::default(),
            keepers: BTreeMap::new(),
            drain_by: None,
            shown: None,
            players_told: 0,
            status_at: Time::ZERO,
        })
    }

    /// Obeys until everything is drained.
    fn serve(&mut self) -> Result<(), RunError> {
        while self.drain_by.is_none() || !self.rooms.is_empty() {
            let mut next = self.ops.command(TURN);
            while let Some(command) = next {
                self.obey(command)?;
                next = self.ops.command(Duration::ZERO);
            }
            while let Ok(news) = self.news.try_recv() {
                self.hear(news);
            }
            while let Some(match_id) = self.wanted() {
                self.open_unasked(match_id);
            }
            self.publish();
        }
        Ok(())
    }

    fn wanted(&self) -> Option<u128> {
        self.shared.front().poll_wanted()
    }

    fn obey(&mut self, command: Command) -> Result<(), RunError> {
        match command {
            Command::Allocate(spec) => self.allocate(spec),
            Command::Seat { match_id, newcomers } => self.seat(match_id, newcomers),
            Command::Drain { within, why } => self.drain(within, why),
            Command::State { player, word } => {
                if let Some(slot) = self.keepers.get(&player).copied() {
                    self.give_state(slot, player, word);
                }
            }
            Command::Balance(balance) => {
                self.shared.set_balance(&balance);
                let tell = |worker| self.tell(worker, Errand::Balance(balance.clone()));
                (0..self.workers.len()).for_each(tell);
            }
            Command::Sanction { player, verdict } => {
                self.shared.note_verdict(player, verdict);
                let tell = |worker| self.tell(worker, Errand::Sanction { player, verdict });
                (0..self.workers.len()).for_each(tell);
            }
            Command::Stop => return Err(RunError::Interrupted),
        }
        Ok(())
    }

    fn allocate(&mut self, spec: MatchSpec) {
        let match_id = spec.match_id;
        if self.rooms.values().any(|held| held.match_id == match_id) {
            return;
        }
        tracing::info!(match_id = %crate::format_match_id(match_id), players = spec.players.len(), "allocated");
        if !self.open(spec, false) {
            let reason = "the server has no room left".to_owned();
            self.ops.report(Report::Voided { match_id, reason });
            self.ops.room_gone(match_id);
        }
    }

    /// Nobody allocates here: whoever comes first opens the match's room.
    fn open_unasked(&mut self, match_id: u128) {
        let seed = self.seed ^ match_id as u64;
        let spec =
            MatchSpec { match_id, seed, seconds: self.seconds, mode: "open".into(), ..MatchSpec::default() };
        if !self.open(spec, true) {
            tracing::warn!(match_id = %crate::format_match_id(match_id), "no room is left for this match");
        }
    }

    /// Opens a room on the thread that has fewest; `false` when there is none left.
    fn open(&mut self, spec: MatchSpec, open: bool) -> bool {
        let free = (0..self.rooms_max).find(|slot| !self.rooms.contains_key(slot));
        let Some(slot) = free.filter(|_| self.drain_by.is_none()) else { return false };
        let load = |worker: &usize| self.rooms.values().filter(|held| held.worker == *worker).count();
        let worker = (0..self.workers.len()).min_by_key(load).expect("there is a worker");
        self.rooms.insert(slot, Held { match_id: spec.match_id, worker });
        self.tell(worker, Errand::Open(Box::new(Opening { slot, spec, open })));
        true
    }

    fn seat(&mut self, match_id: u128, newcomers: Vec<RosterEntry>) {
        let found = self.rooms.iter().find(|(_, held)| held.match_id == match_id);
        if let Some((slot, held)) = found.map(|(slot, held)| (*slot, *held)) {
            tracing::info!(room = slot, players = newcomers.len(), "newcomers are on their way");
            self.tell(held.worker, Errand::Seat { slot, newcomers });
        }
    }

    /// Passes on what a room wants of a player's state, which one room has at a time: that which asked for it last.
    fn keep(&mut self, slot: usize, wish: StateWish) {
        match wish {
            StateWish::Load { player } => {
                let before = self.keepers.insert(player, slot).filter(|before| *before != slot);
                if let Some(before) = before {
                    self.give_state(before, player, StateWord::Taken);
                }
            }
            StateWish::Save { player, .. } if self.keepers.get(&player) != Some(&slot) => return,
            StateWish::Save { player, release: true, .. } => drop(self.keepers.remove(&player)),
            StateWish::Save { .. } => {}
        }
        self.ops.keep(wish);
    }

    fn give_state(&self, slot: usize, player: PlayerId, word: StateWord) {
        if let Some(held) = self.rooms.get(&slot) {
            self.tell(held.worker, Errand::State { slot, player, word });
        }
    }

    fn drain(&mut self, within: Duration, why: &'static str) {
        tracing::info!(why, within_s = within.as_secs(), rooms = self.rooms.len(), "draining");
        let now = self.shared.clock.now();
        let by = now.saturating_add(within);
        let by = self.drain_by.map_or(by, |before| before.min(by));
        self.drain_by = Some(by);
        self.board.close_to_new_players();
        self.shared.front().shut(now);
        (0..self.workers.len()).for_each(|worker| self.tell(worker, Errand::Drain { by }));
    }

    /// A worker whose thread is gone has panicked outside of any room; its silence makes the process unhealthy.
    fn tell(&self, worker: usize, errand: Errand) {
        if self.workers[worker].0.send(errand).is_err() {
            tracing::error!(worker, "the thread is gone");
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Report(report) => self.ops.report(report),
            News::Wish { slot, wish } => self.keep(slot, wish),
            News::Status { slot, status } => self.tally.note(slot, *status),
            News::Live(frame) => self.board.publish_live(frame),
            News::Gone { slot, status } => {
                self.tally.part_with(slot, &status);
                if let Some(held) = self.rooms.remove(&slot) {
                    self.ops.room_gone(held.match_id);
                }
                if self.shown == Some(slot) {
                    self.shown = None;
                }
            }
        }
    }

    /// Refreshes what the admin port shows.
    fn publish(&mut self) {
        let now = self.shared.clock.now();
        self.board.beat(self.shared.beats.oldest());
        if self.board.take_recording_wish() {
            (0..self.workers.len()).for_each(|worker| self.tell(worker, Errand::Record));
        }
        let show = self.rooms.keys().next().copied().filter(|_| self.board.is_watched());
        if show != self.shown {
            self.shown = show;
            (0..self.workers.len()).for_each(|worker| self.tell(worker, Errand::Show(show)));
        }
        if now < self.status_at {
            return;
        }
        self.status_at = now.saturating_add(STATUS_PERIOD);
        let players = self.tally.players();
        if players != std::mem::replace(&mut self.players_told, players) {
            self.ops.players(players);
        }
        self.board.publish_status(self.status(now));
    }

    fn status(&self, now: Time) -> crate::Status {
        let mut status = self.tally.status(&self.rooms);
        status.name.clone_from(&self.name);
        status.uptime_s = now.as_micros() as f64 / 1e6;
        status.rooms_max = self.rooms_max;
        status.result = self.board.result();
        self.shared.front().add_drops(&mut status.drops);
        status
    }

    /// Settles what is outstanding, prints the final figures, and passes the outcome on.
    fn finish(mut self, outcome: Result<(), RunError>) -> Result<(), RunError> {
        for (errands, _) in &self.workers {
            // One that is gone has stopped.
            let _ = errands.send(Errand::Stop);
        }
        if !matches!(outcome, Err(RunError::Interrupted)) {
            std::mem::take(&mut self.workers).into_iter().for_each(|(_, thread)| drop(thread.join()));
            while let Ok(news) = self.news.try_recv() {
                self.hear(news);
            }
            self.ops.settle();
        }
        let status = self.status(self.shared.clock.now());
        match serde_json::to_string(&status) {
            Ok(json) => drive::tell_parent(&format!(r#"{{"final":{json}}}"#)),
            Err(error) => tracing::error!(%error, "the final figures could not be written"),
        }
        outcome
    }
}

/// How long the calling thread waits for a word before it looks after everything else: the live view is drawn so often.
const TURN: Duration = Duration::from_millis(50);
const STATUS_PERIOD: Duration = Duration::from_millis(500);
