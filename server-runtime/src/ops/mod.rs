//! What stands around a running room: admin port, Agones, results, signals. Owns one thread with a tokio runtime;
//! must never block the tick thread: the two exchange words over queues and a board.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use agones_sdk::client::{Sdk, SdkError};
use tokio::runtime::Builder;
use tokio::sync::mpsc as queue;
use tokio::task::{JoinSet, LocalSet};

use crate::balance::NewBalance;
use crate::configure::Configured;
use crate::game_match::{MatchSpec, RosterEntry};
use crate::options::ServerOptions;
use crate::player::PlayerId;
use crate::room::{Report, StateWish, StateWord};

mod admin;
mod backfill;
mod board;
mod custody;
mod gate;
mod lifecycle;
mod live;
mod metrics;
mod reload;
mod results;
mod rooms;
mod sanctions;
mod signals;
mod signer;
mod spool;

pub(crate) use board::Board;
pub(crate) use custody::StateTerms;
use gate::Gate;
pub(crate) use lifecycle::Announcements;
use reload::Reloader;
use rooms::RoomNews;
pub(crate) use sanctions::Verdict;
use spool::Spool;

/// A word to the tick thread.
#[derive(Debug)]
pub(crate) enum Command {
    /// This server's match.
    Allocate(MatchSpec),
    /// Newcomers to a running match.
    Seat {
        /// Which.
        match_id: u128,
        /// Who.
        newcomers: Vec<RosterEntry>,
    },
    /// Take no new players; be done within the time given.
    Drain {
        /// How long a running match may go on.
        within: Duration,
        /// For the log.
        why: &'static str,
    },
    /// News of a player's state.
    State {
        /// Whose.
        player: PlayerId,
        /// What is known.
        word: StateWord,
    },
    /// The game's numbers from now on.
    Balance(NewBalance),
    /// An operator has decided.
    Sanction {
        /// Of whom.
        player: PlayerId,
        /// What.
        verdict: Verdict,
    },
    /// End at once.
    Stop,
}

/// A word from the tick thread.
#[derive(Debug)]
enum Notice {
    Ready,
    Report(Report),
    State(StateWish),
    /// This match's room is free again.
    RoomGone(u128),
    /// So many players are connected.
    Players(usize),
    Settle,
}

/// What stands around the room could not start.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// No thread, or no runtime.
    #[error("the thread for admin and lifecycle could not start: {0}")]
    Thread(std::io::Error),
    /// The environment names an Agones sidecar that does not answer.
    #[error("Agones: {0}; without a sidecar start with --standalone")]
    Agones(SdkError),
    /// The thread ended before it had begun.
    #[error("the thread for admin and lifecycle ended at once")]
    Ended,
}

/// What the thread needs to know.
pub(crate) struct OpsConfig {
    admin: TcpListener,
    gate: Gate,
    configured: Configured,
    announcements: Announcements,
    /// Host and port of Agones' sidecar.
    sidecar: Option<(Option<String>, u16)>,
    capacity: lifecycle::Capacity,
    exit_with_parent: bool,
    drain_within: Duration,
    results: results::Destination,
    states: Option<StateTerms>,
}

impl OpsConfig {
    pub(crate) fn new(
        options: &ServerOptions,
        configured: Configured,
        name: &str,
        admin: TcpListener,
        announcements: Announcements,
        states: Option<StateTerms>,
    ) -> Self {
        let sidecar = options.agones_port.filter(|_| !options.standalone);
        Self {
            admin,
            gate: Gate::new(options.admin_token.as_ref(), announcements.admin.port()),
            configured,
            announcements,
            sidecar: sidecar.map(|port| (options.agones_host.clone(), port)),
            capacity: lifecycle::Capacity { rooms: options.rooms, players: options.clients_max },
            exit_with_parent: options.exit_with_parent,
            drain_within: Duration::from_secs(u64::from(options.drain_seconds)),
            results: results::Destination {
                backend: options.backend.clone(),
                service_token: options.service_token.clone(),
                server: name.to_owned(),
                region: options.region.clone().unwrap_or_default(),
                spool: options.result_spool.as_deref().and_then(open_spool),
                signer: signer::Signer::default(),
            },
            states,
        }
    }
}

/// The tick thread's end of it.
pub(crate) struct Ops {
    commands: mpsc::Receiver<Command>,
    notices: queue::UnboundedSender<Notice>,
    settled: mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
    managed: bool,
    addresses: Vec<SocketAddr>,
}

impl Ops {
    /// Starts the thread; returns once Agones, where there is one, has answered.
    pub(crate) fn start(config: OpsConfig, board: Arc<Board>) -> Result<Self, OpsError> {
        let (commands_in, commands) = mpsc::channel();
        // Unbounded, but never long: a room says a handful of words in its life.
        let (notices, notices_out) = queue::unbounded_channel();
        let (settled_in, settled) = mpsc::channel();
        let (started_in, started) = mpsc::channel();
        let managed = config.sidecar.is_some();
        if config.exit_with_parent {
            watch_parent(commands_in.clone()).map_err(OpsError::Thread)?;
        }
        let runtime = Builder::new_current_thread().enable_all().build().map_err(OpsError::Thread)?;
        let thread = std::thread::Builder::new().name("ops".into());
        let thread = thread.spawn(move || {
            let around = Around { commands: commands_in, notices: notices_out, board };
            // Everything here shares one thread, so nothing needs to be `Send`.
            LocalSet::new().block_on(&runtime, around.run(config, &started_in));
            // Whoever waits to settle need not wait longer: receiving fails once this is dropped.
            drop(settled_in);
        });
        let thread = thread.map_err(OpsError::Thread)?;
        let addresses = started.recv().map_err(|_| OpsError::Ended)??;
        Ok(Self { commands, notices, settled, thread: Some(thread), managed, addresses })
    }

    /// Whether matches come from Agones.
    pub(crate) fn is_managed(&self) -> bool {
        self.managed
    }

    /// The addresses that Agones says players use.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Says that players may come.
    pub(crate) fn ready(&self) {
        self.say(Notice::Ready);
    }

    /// Passes a room's news on.
    pub(crate) fn report(&self, report: Report) {
        self.say(Notice::Report(report));
    }

    /// Passes a room's wish on.
    pub(crate) fn keep(&self, wish: StateWish) {
        self.say(Notice::State(wish));
    }

    /// Says that this match's room is free again.
    pub(crate) fn room_gone(&self, match_id: u128) {
        self.say(Notice::RoomGone(match_id));
    }

    /// Says how many players are connected.
    pub(crate) fn players(&self, players: usize) {
        self.say(Notice::Players(players));
    }

    /// The next command; waits up to `patience` for it.
    pub(crate) fn command(&self, patience: Duration) -> Option<Command> {
        if patience.is_zero() {
            return self.commands.try_recv().ok();
        }
        match self.commands.recv_timeout(patience) {
            Ok(command) => Some(command),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                // Without the other thread there are no commands, but still a match.
                std::thread::sleep(patience);
                None
            }
        }
    }

    /// Waits, within a bound, until results are handed in and Agones knows of our end.
    pub(crate) fn settle(&mut self) {
        self.say(Notice::Settle);
        // It never sends: the wait ends when the thread does, or in time.
        let ended = self.settled.recv_timeout(SETTLE_WITHIN + Duration::from_secs(2));
        if matches!(ended, Err(mpsc::RecvTimeoutError::Disconnected))
            && let Some(thread) = self.thread.take()
        {
            // A panic over there has been printed; the figures here are still to be.
            let _ = thread.join();
        }
    }

    fn say(&self, notice: Notice) {
        if self.notices.send(notice).is_err() {
            tracing::warn!("the thread for admin and lifecycle is gone");
        }
    }
}

/// The thread's own side.
struct Around {
    commands: mpsc::Sender<Command>,
    notices: queue::UnboundedReceiver<Notice>,
    board: Arc<Board>,
}

impl Around {
    async fn run(mut self, config: OpsConfig, started: &mpsc::Sender<Result<Vec<SocketAddr>, OpsError>>) {
        let mut background = JoinSet::new();
        let connected = match config.sidecar {
            Some((host, port)) => lifecycle::connect(host, port).await.map(Some),
            None => Ok(None),
        };
        let sdk = match connected {
            Ok(sdk) => sdk,
            Err(error) => {
                let _ = started.send(Err(OpsError::Agones(error)));
                return;
            }
        };
        let addresses = match &sdk {
            Some(sdk) => lifecycle::addresses(sdk).await,
            None => Vec::new(),
        };
        if started.send(Ok(addresses)).is_err() {
            return;
        }
        let reloader = Arc::new(Reloader::new(config.configured, self.commands.clone()));
        let desk = admin::Desk {
            board: Arc::clone(&self.board),
            gate: Arc::new(config.gate),
            reloader: Some(Arc::clone(&reloader)),
        };
        background.spawn(admin::serve(config.admin, desk));
        background.spawn(signals::watch(self.commands.clone(), config.drain_within, reloader));
        background.spawn_local(results::hand_in_left_behind(config.results.clone()));
        background.spawn_local(sanctions::follow(config.results.clone(), self.commands.clone()));
        background.spawn_local(custody::hand_in_left_behind(config.results.clone()));
        let mut hand_ins = JoinSet::new();
        let (wishes, wished) = queue::unbounded_channel();
        if let Some(terms) = config.states {
            let states = custody::run(config.results.clone(), terms, wished, self.commands.clone());
            hand_ins.spawn_local(states);
        }
        let mut searches = backfill::Searches::default();
        let (rooms, room_news) = queue::unbounded_channel();
        let mut room_news = Some(room_news);
        while let Some(notice) = self.notices.recv().await {
            match notice {
                Notice::Ready => {
                    self.board.open_to_players();
                    if let (Some(sdk), Some(room_news)) = (&sdk, room_news.take()) {
                        let life = lifecycle::Life {
                            sdk: sdk.clone(),
                            commands: self.commands.clone(),
                            board: Arc::clone(&self.board),
                            signer: config.results.signer.clone(),
                            announcements: config.announcements,
                            capacity: config.capacity,
                        };
                        background.spawn(life.follow(room_news));
                    }
                }
                Notice::Report(Report::Left(vacancy)) => {
                    if let Some(search) = searches.note(vacancy, &config.results, &self.commands) {
                        background.spawn_local(search);
                    }
                }
                Notice::Report(report) => {
                    searches.end(&report);
                    let destination = config.results.clone();
                    hand_ins.spawn_local(results::hand_in(destination, report, Arc::clone(&self.board)));
                }
                Notice::State(wish) => {
                    // A receiver that is gone was never wanted: no state was declared.
                    let _ = wishes.send(wish);
                }
                // A receiver that is gone has no Agones to tell.
                Notice::RoomGone(match_id) => drop(rooms.send(RoomNews::Gone(match_id))),
                Notice::Players(players) => drop(rooms.send(RoomNews::Players(players))),
                Notice::Settle => break,
            }
            while hand_ins.try_join_next().is_some() {}
        }
        drop(wishes);
        let settled = settle(hand_ins, sdk);
        if tokio::time::timeout(SETTLE_WITHIN, settled).await.is_err() {
            tracing::error!(within = ?SETTLE_WITHIN, "gave up settling");
        }
    }
}

/// Serves `board` on a thread of its own, and nothing else: for who shows what no server runs.
pub(crate) fn show_board(listener: TcpListener, board: Arc<Board>) -> std::io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let gate = Arc::new(Gate::new(None, listener.local_addr()?.port()));
    let desk = admin::Desk { board, gate, reloader: None };
    let serve = move || runtime.block_on(admin::serve(listener, desk));
    std::thread::Builder::new().name("page".into()).spawn(serve).map(drop)
}

/// Deliberate: a server without its spool plays all the same, and says so.
fn open_spool(folder: &Path) -> Option<Spool> {
    let opened = Spool::open(folder);
    opened
        .inspect_err(
            |error| tracing::error!(%error, folder = %folder.display(), "no spool: results and states are not kept"),
        )
        .ok()
}

/// Hands in what is outstanding, then says goodbye to Agones.
async fn settle(mut hand_ins: JoinSet<()>, sdk: Option<Sdk>) {
    while hand_ins.join_next().await.is_some() {}
    if let Some(sdk) = sdk
        && let Err(error) = sdk.shutdown().await
    {
        tracing::error!(%error, "Agones was not told of the shutdown");
    }
}

/// Reads standard input to its end on a thread of its own: a blocked read cannot be cancelled.
fn watch_parent(commands: mpsc::Sender<Command>) -> std::io::Result<()> {
    let watch = move || {
        let mut sink = [0; 256];
        let mut input = std::io::stdin().lock();
        loop {
            match input.read(&mut sink) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let _ = commands.send(Command::Drain { within: ORPHAN_WITHIN, why: "the parent is gone" });
    };
    std::thread::Builder::new().name("parent".into()).spawn(watch).map(drop)
}

/// An orphan's match is over soon: nobody is left to replace or to watch it.
const ORPHAN_WITHIN: Duration = Duration::from_secs(1);
/// Longest time that the end may take. A result is tried for 20 s of it.
const SETTLE_WITHIN: Duration = Duration::from_secs(25);
