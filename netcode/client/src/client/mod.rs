//! The client: its parts, how it begins and ends, what it tells. Its two verbs have files of their own: `receive.rs`
//! (what arrives) and `advance.rs` (the ticks of a frame).

mod advance;
mod receive;
mod resume;

use std::{collections::VecDeque, fmt, net::SocketAddr};

use netcode_proto::{
    Bytes, ChannelId, Client as Session, ClientSession, ClientState as SessionState, ConnectError, Transmit,
};
use netcode_snapshot::{
    COLUMNS_MAX, ComponentId, InputPacket, Message, MessageSet, NetId, Receiver, Replicate, Schema,
    SnapshotHeader, Telemetry, ViewTime,
};
use netcode_wire::{BitWriter, Tick, Time};

use crate::{
    ClientConfig, ClientState, ClientStats, Game, LeaveReason, ReliableTrip, SendMessageError, WorldView,
    clock::Clock,
    input::InputRing,
    interpolate::{Between, view_time},
    playout::Playout,
    predict::Prediction,
    view::Predicted,
};

/// A player's connection to one match of game `G`.
///
/// `S` is the session below it: our own unless said otherwise, any [`ClientSession`] by [`Client::over`].
pub struct Client<G: Game, S = Session> {
    config: ClientConfig,
    /// Ours, or what reads the server's.
    schema: Schema,
    /// The server's schema is another one, of this hash: its description is on its way, and no snapshot can be read.
    schema_awaited: Option<u64>,
    component: ComponentId,
    session: S,
    left: Option<LeaveReason>,
    receiver: Receiver,
    /// The head of the newest snapshot, until it was compared with the prediction.
    unreconciled: Option<SnapshotHeader>,
    newest_snapshot: Option<Tick>,
    own: Option<NetId>,
    match_clock: Option<MatchClock>,
    /// The newest tick that was played.
    played: Tick,
    inputs: InputRing<G::Input>,
    prediction: Prediction<G>,
    predicted_columns: [u32; COLUMNS_MAX],
    predicted_known: bool,
    packet: InputPacket<G::Input>,
    telemetry: Telemetry,
    out: BitWriter,
    messages: VecDeque<(ChannelId, Bytes)>,
    stats: ClientStats,
    corrections: Vec<f32>,
    trips: Vec<ReliableTrip>,
}

/// What begins with the server's welcome.
#[derive(Debug)]
struct MatchClock {
    clock: Clock,
    playout: Playout,
    tick_hz: u16,
    player: u64,
}

impl<G: Game> Client<G, Session> {
    /// Begins to connect with a connect token (2048 bytes). `schema` is this build's: a server of another build
    /// describes its own, and the client reads what it can ([`Schema::reading`]) or leaves.
    ///
    /// # Errors
    /// The token cannot be read, or is for another protocol.
    ///
    /// # Panics
    /// When `schema` lacks the predicted component `G::State`.
    pub fn connect(
        now: Time,
        token: &[u8],
        schema: Schema,
        config: ClientConfig,
    ) -> Result<Self, ConnectError> {
        let session = Session::connect(now, token, config.session.clone())?;
        Ok(Self::over(session, schema, config))
    }
}

impl<G: Game, S: ClientSession> Client<G, S> {
    /// A client on top of a session that has begun to connect. `schema` is this build's; the channels of
    /// `config.session` must be those of the session; nothing else of `config.session` is looked at.
    ///
    /// # Panics
    /// When `schema` lacks the predicted component `G::State`.
    pub fn over(session: S, schema: Schema, config: ClientConfig) -> Self {
        let component =
            schema.id_of::<G::State>().expect("the predicted component is registered in the schema");
        Self {
            component,
            schema_awaited: None,
            session,
            left: None,
            receiver: Receiver::new(config.receiver),
            unreconciled: None,
            newest_snapshot: None,
            own: None,
            match_clock: None,
            played: Tick(0),
            inputs: InputRing::new(),
            prediction: Prediction::new(1, config.snap_distance),
            predicted_columns: [0; COLUMNS_MAX],
            predicted_known: false,
            packet: InputPacket::default(),
            telemetry: Telemetry::default(),
            out: BitWriter::with_capacity(256),
            messages: VecDeque::new(),
            stats: ClientStats::default(),
            corrections: Vec::new(),
            trips: Vec::new(),
            schema,
            config,
        }
    }

    /// The next datagram to send; to be polled until there is none, after every call that takes the time.
    pub fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        self.session.poll_transmit()
    }

    /// Sends a game message on the channel that the message set names. It leaves with the next tick's datagram.
    ///
    /// # Errors
    /// Its type is not registered, or its channel is full.
    pub fn send_message<M: Message>(&mut self, now: Time, message: &M) -> Result<(), SendMessageError> {
        self.out.clear();
        let channel = self.config.messages.encode_into(message, &mut self.out)?;
        Ok(self.session.send(now, ChannelId(channel), self.out.as_bytes())?)
    }

    /// The next game message, to be read with [`Client::messages`].
    pub fn poll_message(&mut self) -> Option<(ChannelId, Bytes)> {
        self.messages.pop_front()
    }

    /// The game's messages: reads what [`Client::poll_message`] gives.
    ///
    /// ```
    /// # use netcode_client::{Client, Game};
    /// # use netcode_snapshot::{Message, MessageError};
    /// fn next<G: Game, M: Message>(client: &mut Client<G>) -> Option<Result<M, MessageError>> {
    ///     let (_, bytes) = client.poll_message()?;
    ///     Some(client.messages().decode(&bytes))
    /// }
    /// ```
    #[must_use]
    pub fn messages(&self) -> &MessageSet {
        &self.config.messages
    }

    /// Says goodbye to the server.
    pub fn disconnect(&mut self, now: Time) {
        self.session.disconnect(now);
    }

    /// Where this client stands.
    #[must_use]
    pub fn state(&self) -> ClientState {
        match (self.left, self.session.state()) {
            (Some(reason), _) => ClientState::Disconnected(reason),
            (None, SessionState::Disconnected(reason)) => ClientState::Disconnected(reason.into()),
            (None, SessionState::Connected) if self.match_clock.is_some() => ClientState::Connected,
            (None, _) => ClientState::Connecting,
        }
    }

    /// The player's own state as predicted for the newest tick: what inputs act on. `None` while there is none.
    #[must_use]
    pub fn predicted(&self) -> Option<&G::State> {
        self.prediction.newest().map(|(_, state)| state)
    }

    /// The player's own state to draw: between the last two ticks, corrections hidden.
    #[must_use]
    pub fn smoothed(&self) -> Option<G::State> {
        self.prediction.smoothed(self.match_clock.as_ref()?.clock.fraction())
    }

    /// The world as the player sees it now.
    #[must_use]
    pub fn view(&self) -> WorldView<'_> {
        let time = self.view_time();
        let columns = &self.predicted_columns;
        let known = self.predicted_known;
        WorldView {
            schema: &self.schema,
            between: Between::find(&self.receiver, time),
            newest: self.receiver.latest(),
            own: self.own,
            predicted: Some(Predicted {
                component: self.component,
                columns,
                same_life: same_life::<G>,
                known,
            }),
            tick: self.tick().unwrap_or_default(),
            time,
        }
    }

    /// The moment at which remote entities are shown, in server ticks.
    #[must_use]
    pub fn view_time(&self) -> ViewTime {
        let shown = self.match_clock.as_ref().and_then(|running| running.playout.shown());
        shown.map_or_else(ViewTime::default, view_time)
    }

    /// The newest tick that an input was asked for; `None` before the welcome.
    #[must_use]
    pub fn tick(&self) -> Option<Tick> {
        self.match_clock.as_ref().map(|running| running.clock.newest())
    }

    /// The server's ticks a second; `None` before the welcome.
    #[must_use]
    pub fn tick_hz(&self) -> Option<u16> {
        self.match_clock.as_ref().map(|running| running.tick_hz)
    }

    /// Who the server takes this client for; `None` before the welcome.
    #[must_use]
    pub fn player(&self) -> Option<u64> {
        self.match_clock.as_ref().map(|running| running.player)
    }

    /// The player's own entity, once the server has named it.
    #[must_use]
    pub fn own(&self) -> Option<NetId> {
        self.own
    }

    /// When [`Client::advance`] next has a tick to play, at the earliest: how long a headless client may sleep,
    /// unless a datagram arrives. `None` before the welcome: then call it every few milliseconds.
    #[must_use]
    pub fn next_tick_at(&self) -> Option<Time> {
        self.match_clock.as_ref().map(|running| running.clock.next_due())
    }

    /// The components of this match: the server's, where it is of another build.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The snapshots held, newest last: for tools and tests that look behind the view.
    #[must_use]
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// The server that is being tried, or that answered.
    #[must_use]
    pub fn server(&self) -> SocketAddr {
        self.session.server()
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> ClientStats {
        let mut stats = ClientStats { link: self.session.stats(), ..self.stats };
        if let Some(newest) = self.receiver.latest() {
            let (here, missing) = (newest.len() as f32, stats.entities_missing as f32);
            stats.world_share = if missing == 0.0 { 1.0 } else { here / (here + missing) };
        }
        if let Some(running) = &self.match_clock {
            stats.clock_jumps = running.clock.jumps();
            stats.interpolation_stalls = running.playout.stalls();
            stats.interpolation_holds = running.playout.holds();
            stats.interpolation_delay_us = running.playout.delay_us();
            let newest = self.newest_snapshot.map_or(0.0, |tick| f64::from(tick.0));
            stats.input_lead_ticks = (running.clock.position() - newest) as f32;
        }
        stats
    }

    /// The lengths of the corrections since the last call, oldest first, at most [`CORRECTIONS_MAX`].
    pub fn take_corrections(&mut self) -> Vec<f32> {
        std::mem::take(&mut self.corrections)
    }

    /// The reliable messages that were timed since the last call: one for each telemetry that the server answered.
    /// At most [`TRIPS_MAX`] are kept.
    pub fn take_reliable_trips(&mut self) -> Vec<ReliableTrip> {
        std::mem::take(&mut self.trips)
    }

    fn leave(&mut self, now: Time, reason: LeaveReason) {
        if self.left.is_none() {
            self.left = Some(reason);
            self.session.disconnect(now);
        }
    }
}

impl<G: Game, S: ClientSession> fmt::Debug for Client<G, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut brief = f.debug_struct("Client");
        brief.field("state", &self.state()).field("played", &self.played).field("own", &self.own);
        brief.finish_non_exhaustive()
    }
}

fn same_life<G: Game>(before: &[u32], after: &[u32]) -> bool {
    G::same_life(&G::State::restore(before), &G::State::restore(after))
}

/// Corrections kept for [`Client::take_corrections`]; newer ones are then only counted.
pub const CORRECTIONS_MAX: usize = 4096;

/// Trips kept for [`Client::take_reliable_trips`]; newer ones are then not timed.
pub const TRIPS_MAX: usize = 4096;
