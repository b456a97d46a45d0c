//! Runs a room for real: the only place with a clock, a socket and a loop. Owns the tick thread (the thread that
//! calls it); must never know what the room simulates, nor await anything.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use netcode_transport::{Carrier, TransportError, WebSocketError};
use netcode_wire::Time;
use operate::SettingsError;

use crate::builder::{ServerBuilder, ServerGame};
use crate::carriers::{self, Carriers};
use crate::configure::{ConfigureError, Configured};
use crate::ops::{Announcements, Board, Command, Ops, OpsConfig, OpsError, StateTerms, Verdict};
use crate::options::{OptionsError, ServerOptions};
use crate::pacer::Pacer;
use crate::player::PlayerId;
use crate::record::shelf;
use crate::room::{Room, TickPanic, codes};
use crate::status::Status;
use crate::transport::Transport;

/// Why a server could not run, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A setting cannot be used.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// A setting of the file cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    // Deliberate: the causes below are told in the one line itself, so they are no `source` to be told again.
    /// The players' port cannot be had.
    #[error("{cause}; choose another with --port, or 0 for a free one")]
    Udp {
        /// Why not; names the address.
        cause: TransportError,
    },
    /// The players' WebSocket port cannot be had.
    #[error("{cause}; choose another with --websocket-port, or 0 for a free one")]
    WebSocket {
        /// Why not; names the address.
        cause: WebSocketError,
    },
    /// The admin port cannot be had.
    #[error(
        "cannot bind tcp socket to {address}: {cause}; choose another with --admin-port, or 0 for a free one"
    )]
    Admin {
        /// The address asked for.
        address: SocketAddr,
        /// Why not.
        cause: std::io::Error,
    },
    /// A thread to tick rooms on cannot be had.
    #[error("a thread for rooms could not start: {cause}")]
    Thread {
        /// Why not.
        cause: std::io::Error,
    },
    /// What stands around the room could not start.
    #[error(transparent)]
    Ops(#[from] OpsError),
    /// A system panicked; the match was given up.
    #[error(transparent)]
    Panicked(#[from] TickPanic),
    /// Told a second time to stop, before the drain was done.
    #[error("stopped before the drain was done")]
    Interrupted,
}

impl RunError {
    /// What a process ends with: 2 if its settings cannot be used, as for a wrong flag, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Self::Options(_) | Self::Settings(_)) { 2 } else { 1 }
    }
}

impl From<ConfigureError> for RunError {
    fn from(error: ConfigureError) -> Self {
        match error {
            ConfigureError::Settings(error) => Self::Settings(error),
            ConfigureError::Options(error) => Self::Options(error),
        }
    }
}

/// Runs the server a builder describes, to its end.
pub(crate) fn run<G: ServerGame>(mut builder: ServerBuilder<G>) -> Result<(), RunError> {
    let configured = Configured::new(&builder.options, builder.settings.take(), builder.balance)?;
    if builder.options.check_config {
        print!("{}", configured.to_text());
        return Ok(());
    }
    let options = builder.options.clone();
    operate::logs::start(&options.log_level, options.log_format);
    configured.doubts().iter().for_each(|doubt| tracing::warn!("{doubt}"));
    let balance = configured.balance().cloned();
    let carriers = carriers::open(&options)?;
    let (admin, admin_address) = open_admin(SocketAddr::new(options.admin_bind, options.admin_port))?;
    let udp_address = carriers::udp_address(&carriers);
    let websocket_address = carriers::websocket_address(&carriers);

    let clock = Clock::start();
    let board = Board::new(&builder.name, clock);
    let announcements =
        Announcements { admin: admin_address, websocket_port: websocket_address.map(|at| at.port()) };
    let terms = builder.keeping.as_ref();
    let terms = terms.map(|keeping| StateTerms { name: keeping.name, wait: keeping.policy.wait });
    let config = OpsConfig::new(&options, configured, &builder.name, admin, announcements, terms);
    let ops = Ops::start(config, Arc::clone(&board))?;
    let addresses = public_addresses(&options, udp_address, ops.addresses());
    let mut room = Room::new(builder, &addresses, clock.unix_at_zero_s())?;
    if options.backend.is_some() {
        room.entrust_states();
    }
    if let Some(balance) = &balance {
        room.set_balance(balance);
    }
    if !ops.is_managed() {
        room.open(options.seed, options.seconds);
    }
    let pacer = Pacer::new(room.tick_hz(), clock.now());
    let mut driver = Driver {
        room,
        carriers,
        ops,
        board,
        clock,
        pacer,
        drain_by: None,
        awake_until: Time::ZERO,
        status_at: Time::ZERO,
        rates_at: Time::ZERO,
        live_at: Time::ZERO,
        record_folder: options.record_folder(),
    };
    // What is shown must be there before anyone is told to look.
    driver.publish();
    driver.ops.ready();
    tell_parent(&ready_line(udp_address, admin_address, websocket_address));
    tracing::info!(udp = %udp_address, websocket = ?websocket_address, admin = %admin_address, hz = driver.room.tick_hz(), "serving");
    let outcome = driver.serve();
    driver.finish(outcome)
}

/// The process's clock: [`Time::ZERO`] is its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    unix_at_zero: Duration,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let unix_at_zero = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), unix_at_zero }
    }

    pub(crate) fn now(&self) -> Time {
        self.at(Instant::now())
    }

    pub(crate) fn at(&self, instant: Instant) -> Time {
        let micros = instant.saturating_duration_since(self.started).as_micros();
        Time::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    pub(crate) fn unix_at_zero_s(&self) -> u64 {
        self.unix_at_zero.as_secs()
    }

    /// The moment at which the wall clock says this, milliseconds since 1970; [`Time::ZERO`] for what was before.
    fn at_unix_ms(&self, unix_ms: i64) -> Time {
        let unix = Duration::from_millis(u64::try_from(unix_ms).unwrap_or(0));
        let micros = unix.saturating_sub(self.unix_at_zero).as_micros();
        Time::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// A moment of this clock as wall-clock milliseconds since 1970.
    pub(crate) fn unix_ms(&self, micros: u64) -> i64 {
        let unix = self.unix_at_zero + Duration::from_micros(micros);
        i64::try_from(unix.as_millis()).unwrap_or(i64::MAX)
    }
}

struct Driver<G: ServerGame> {
    room: Room<G>,
    carriers: Carriers,
    ops: Ops,
    board: Arc<Board>,
    clock: Clock,
    pacer: Pacer,
    drain_by: Option<Time>,
    awake_until: Time,
    status_at: Time,
    rates_at: Time,
    live_at: Time,
    record_folder: PathBuf,
}

impl<G: ServerGame> Driver<G> {
    /// Ticks until the room closes.
    fn serve(&mut self) -> Result<(), RunError> {
        while !self.room.is_closed() {
            self.take_commands(Duration::ZERO)?;
            self.enforce_drain();
            if self.is_idle() {
                self.idle()?;
            } else {
                self.status_at = self.status_at.min(self.clock.now().saturating_add(STATUS_PERIOD));
                self.active()?;
            }
            self.publish();
        }
        self.transmit();
        Ok(())
    }

    fn is_idle(&mut self) -> bool {
        self.room.is_idle() && self.clock.now() >= self.awake_until
    }

    /// Waits for news at a low rate: an empty server costs next to nothing.
    fn idle(&mut self) -> Result<(), RunError> {
        self.take_commands(IDLE_PERIOD)?;
        if self.receive() > 0 {
            self.awake_until = self.clock.now().saturating_add(AWAKE_AFTER_DATAGRAM);
        }
        self.room.step_idle(self.clock.now());
        self.transmit();
        // The next active tick is due at once, and the pause is no overrun.
        let now = self.clock.now();
        self.pacer.restart(now);
        Ok(())
    }

    /// Sleeps until the next tick is due, then runs what is due.
    fn active(&mut self) -> Result<(), RunError> {
        self.rest();
        let mut due_at = self.pacer.deadline();
        let due = self.pacer.due(self.clock.now());
        if due.ticks > 0 {
            self.room.meter.late(due.lateness);
        }
        for _ in 0..due.ticks {
            self.receive();
            let now = self.clock.now();
            let Self { room, carriers, .. } = self;
            let ticked = room.tick_to(now, due_at, &mut |transmit| {
                carriers.send_marked(transmit.to, transmit.ecn, transmit.bytes);
            });
            self.transmit();
            self.forward_reports();
            ticked?;
            due_at = due_at.saturating_add(Duration::from_micros(1_000_000 / u64::from(self.room.tick_hz())));
        }
        Ok(())
    }

    /// Sleeps until the next tick is due, and in between sends what of the last one was to leave later.
    fn rest(&mut self) {
        loop {
            let now = self.clock.now();
            let tick_in = self.pacer.deadline().since(now);
            if tick_in.is_zero() {
                return;
            }
            let turn_in = self.room.poll_timeout().map(|at| at.since(now).max(TURN_MIN));
            std::thread::sleep(turn_in.map_or(tick_in, |turn| turn.min(tick_in)));
            self.room.release(self.clock.now());
            self.transmit();
        }
    }

    fn receive(&mut self) -> usize {
        let (room, clock) = (&mut self.room, self.clock);
        self.carriers.receive_arrivals(&mut |arrival, bytes| {
            room.handle_arrival(clock.at(arrival.at), arrival.from, arrival.ecn, bytes);
        })
    }

    fn transmit(&mut self) {
        while let Some(transmit) = self.room.poll_transmit() {
            self.carriers.send_marked(transmit.to, transmit.ecn, transmit.bytes);
        }
        self.carriers.flush();
    }

    /// Obeys what came from outside; waits up to `patience` for the first word.
    fn take_commands(&mut self, patience: Duration) -> Result<(), RunError> {
        let mut next = self.ops.command(patience);
        while let Some(command) = next {
            match command {
                Command::Allocate(spec) => {
                    tracing::info!(players = spec.players.len(), seconds = spec.seconds, "allocated");
                    self.room.allocate(spec);
                }
                Command::Seat { newcomers, .. } => {
                    tracing::info!(players = newcomers.len(), "newcomers are on their way");
                    self.room.seat_newcomers(newcomers);
                }
                Command::Balance(balance) => self.room.set_balance(&balance),
                Command::Drain { within, why } => self.begin_drain(within, why),
                Command::State { player, word } => {
                    self.room.give_state(self.clock.now(), player, word);
                }
                Command::Sanction { player, verdict } => {
                    sanction(&mut self.room, &self.clock, player, verdict);
                }
                Command::Stop => return Err(RunError::Interrupted),
            }
            next = self.ops.command(Duration::ZERO);
        }
        self.forward_reports();
        Ok(())
    }

    fn begin_drain(&mut self, within: Duration, why: &'static str) {
        tracing::info!(why, within_s = within.as_secs(), "draining");
        let by = self.clock.now().saturating_add(within);
        self.drain_by = Some(self.drain_by.map_or(by, |before| before.min(by)));
        self.board.close_to_new_players();
        self.room.drain(self.clock.now());
    }

    fn enforce_drain(&mut self) {
        let Some(by) = self.drain_by else { return };
        let now = self.clock.now();
        if by <= now {
            self.room.void(now, "drained before the match was over");
        } else if self.room.is_deserted() {
            self.room.void(now, "drained after everybody had left");
        }
    }

    fn forward_reports(&mut self) {
        while let Some(report) = self.room.poll_report() {
            self.ops.report(report);
        }
        while let Some(wish) = self.room.poll_state_wish() {
            self.ops.keep(wish);
        }
    }

    /// Refreshes what the admin port shows.
    fn publish(&mut self) {
        let now = self.clock.now();
        if self.board.take_recording_wish() {
            keep_recording(&self.room, self.clock, &self.record_folder, "asked for");
        }
        self.board.beat(now);
        if now >= self.rates_at {
            let seconds = (now.since(self.rates_at) + RATES_PERIOD).as_secs_f64();
            self.room.mark_rates(now, seconds);
            self.rates_at = now.saturating_add(RATES_PERIOD);
        }
        if now >= self.status_at {
            let period = if self.is_idle() { STATUS_PERIOD_IDLE } else { STATUS_PERIOD };
            self.status_at = now.saturating_add(period);
            let status = self.status(now);
            self.board.publish_status(status);
        }
        if now >= self.live_at && self.board.is_watched() {
            self.live_at = now.saturating_add(LIVE_PERIOD);
            self.board.publish_live(self.room.live_frame());
        }
    }

    fn status(&mut self, now: Time) -> Status {
        let mut status = self.room.status(now);
        status.overruns = self.pacer.overruns();
        status.skipped_ticks = self.pacer.skipped();
        carriers::add_drops(&self.carriers, &mut status.drops);
        status.result = self.board.result();
        status.rooms_max = 1;
        status
    }

    /// Settles what is outstanding (result, Agones), prints the final figures, and passes the outcome on.
    fn finish(mut self, outcome: Result<(), RunError>) -> Result<(), RunError> {
        self.transmit();
        self.forward_reports();
        let panicked = matches!(outcome, Err(RunError::Panicked(_)));
        let saving = (panicked || self.room.has_begun())
            .then(|| {
                let why = if panicked { "panic" } else { "over" };
                keep_recording(&self.room, self.clock, &self.record_folder, why)
            })
            .flatten();
        if !matches!(outcome, Err(RunError::Interrupted)) {
            self.ops.settle();
        }
        // A panic over there has been printed; there is nothing left to save.
        saving.map(std::thread::JoinHandle::join);
        let now = self.clock.now();
        let status = self.status(now);
        match serde_json::to_string(&status) {
            Ok(json) => tell_parent(&format!(r#"{{"final":{json}}}"#)),
            Err(error) => tracing::error!(%error, "the final figures could not be written"),
        }
        outcome
    }
}

/// Writes what a room recorded to a file, on a thread of its own: the disk is nothing to wait for.
pub(crate) fn keep_recording<G: ServerGame>(
    room: &Room<G>,
    clock: Clock,
    folder: &Path,
    why: &'static str,
) -> Option<std::thread::JoinHandle<()>> {
    let bytes = room.recording()?;
    let unix_ms = clock.unix_ms(clock.now().as_micros());
    let name = format!("{}-{unix_ms}-{}", room.recording_name(), std::process::id());
    let folder = folder.to_owned();
    let save = move || match shelf::save(&folder, &name, &bytes) {
        Ok(path) => tracing::info!(why, path = %path.display(), bytes = bytes.len(), "recorded"),
        Err(error) => tracing::error!(why, %error, folder = %folder.display(), "the recording is lost"),
    };
    let thread = std::thread::Builder::new().name("recording".into()).spawn(save);
    thread.inspect_err(|error| tracing::error!(why, %error, "the recording is lost")).ok()
}

/// Does in a room what an operator decided.
pub(crate) fn sanction<G: ServerGame>(room: &mut Room<G>, clock: &Clock, player: PlayerId, verdict: Verdict) {
    let now = clock.now();
    match verdict {
        Verdict::Kick => room.bar(now, player, codes::KICKED, None),
        Verdict::Ban { until_unix_ms } => {
            let until = until_unix_ms.map(|unix_ms| clock.at_unix_ms(unix_ms));
            room.bar(now, player, codes::BANNED, until);
        }
        Verdict::Unban => room.unbar(player),
    }
}

/// What a parent reads once players may come.
pub(crate) fn ready_line(udp: SocketAddr, admin: SocketAddr, websocket: Option<SocketAddr>) -> String {
    let websocket = websocket.map(|at| format!(r#","websocket":"{at}""#)).unwrap_or_default();
    format!(r#"{{"ready":true,"udp":"{udp}","admin":"{admin}"{websocket}}}"#)
}

/// One line on standard output. Whoever read it may be gone, which is no reason to fail.
pub(crate) fn tell_parent(line: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
        tracing::debug!(%error, "nobody reads standard output");
    }
}

pub(crate) fn open_admin(address: SocketAddr) -> Result<(TcpListener, SocketAddr), RunError> {
    let opened = TcpListener::bind(address).and_then(|admin| {
        let local = admin.local_addr()?;
        Ok((admin, reachable(local)))
    });
    opened.map_err(|cause| RunError::Admin { address, cause })
}

/// By which addresses tokens may name this server. Unknown to the machine itself when it listens on all
/// interfaces without being told: then any; but renet admits only by addresses that it knows, so there it is loopback.
pub(crate) fn public_addresses(
    options: &ServerOptions,
    local: SocketAddr,
    from_agones: &[SocketAddr],
) -> Vec<SocketAddr> {
    let mut addresses = options.public_addresses.clone();
    addresses.extend_from_slice(from_agones);
    if addresses.is_empty() && options.bind.is_unspecified() {
        if options.transport != Transport::Renet {
            return addresses;
        }
        tracing::warn!(%local, "renet lets in only by addresses that it knows: --public-address adds to this one");
    }
    addresses.push(local);
    addresses
}

/// The address to tell others on this machine.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}

/// How often an idle server looks for datagrams. 20 looks a second cost well under 0.1 % of a core.
const IDLE_PERIOD: Duration = Duration::from_millis(50);
/// Datagrams that have their turn within this time leave together: to wake for each would cost more than it smooths.
const TURN_MIN: Duration = Duration::from_millis(1);
/// How long full ticks go on after a datagram: a handshake takes a few round trips.
const AWAKE_AFTER_DATAGRAM: Duration = Duration::from_secs(2);
/// How often rates are taken, the status is made, and the live view is drawn (20 Hz).
pub(crate) const RATES_PERIOD: Duration = Duration::from_secs(1);
const STATUS_PERIOD: Duration = Duration::from_millis(500);
pub(crate) const STATUS_PERIOD_IDLE: Duration = Duration::from_secs(5);
pub(crate) const LIVE_PERIOD: Duration = Duration::from_millis(50);
