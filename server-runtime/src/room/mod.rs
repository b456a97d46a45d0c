//! One match: its world, its players, its clock hand. The room is a machine without socket, clock or thread:
//! datagrams and time go in, datagrams and reports come out. It is the only place that knows both the ECS and
//! the netcode.
//!
//! | file | owns |
//! |---|---|
//! | `bars` | whom the room keeps out |
//! | `custody` | when players' states are asked for and saved |
//! | `sessions` | whose sessions they are |
//! | `port` | the room's end of sessions that other rooms share |
//! | `receive` | sessions → seats |
//! | `guard` | inputs that the game itself doubts, and players who are too suspicious |
//! | `hear` | inputs → rings, messages → events |
//! | `turn` | one tick: the five stages and the framework's own steps |
//! | `phases` | the match's way from allocated to closed |
//! | `extract` | world → frame |
//! | `send` | frame → each client, messages out |
//! | `spread` | the same for many clients, over several threads |
//! | `record` | what its recorder is told, and how a recording is played again |
//! | `audiences` | what only some may see of whom |
//! | `report` | what the room tells of itself: status and live view |

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use netcode_proto::{ClientId, ServerSession, Transmit};
use netcode_snapshot::{Audience, Control, History, NetId, Parts, Schema, SharedBits};
use netcode_wire::{Tick, Time};

use crate::balance::BalanceSlot;
use crate::builder::{Ghost, LiveView, ServerBuilder, ServerGame};
use crate::check::{CheckSlot, InputCheck};
use crate::codec::SnapshotCodec;
use crate::drive::RunError;
use crate::game_match::{Match, PhaseClock, PhaseLimits, Scoreboard};
use crate::lag::{LagCompensation, Pose};
use crate::meter::Meter;
use crate::outbox::Outbox;
use crate::player::{CurrentTick, Dt, InputOf, Networked, Owner, PlayerId};
use crate::record::{Identity, Recorder};
use crate::stage::Stages;
use crate::suspicion::InputLimits;

pub(crate) mod audiences;
mod bars;
pub mod codes;
pub(crate) mod custody;
pub(crate) mod extract;
mod guard;
mod hear;
pub(crate) mod inbound;
pub(crate) mod interest;
pub(crate) mod net_ids;
mod phases;
mod players;
pub(crate) mod port;
pub(crate) mod poses;
mod receive;
mod record;
mod report;
mod send;
pub(crate) mod sessions;
mod spread;
mod turn;

pub use custody::{StateWish, StateWord};
pub use phases::{MatchReport, PlayerReport, Report, Vacancy};
pub(crate) use report::{LiveFrame, net_drops};
pub use turn::TickPanic;

use bars::Bars;
use custody::Custody;
use extract::Extraction;
use inbound::Inbound;
use interest::{Chooser, Interest, Survey};
use players::Players;
use poses::PoseSource;
use receive::Early;
use sessions::Sessions;
use spread::Spread;

/// Our share of the world's `'static` queries.
type Owned<G> =
    (Entity, &'static Owner, &'static mut <G as netcode_client::Game>::State, &'static InputOf<G>);

/// One match. See the module's documentation.
pub struct Room<G: ServerGame> {
    name: String,
    tick_hz: u16,
    world: World,
    stages: Stages,
    net: Sessions,
    players: Players<G::Input>,
    early: Vec<Early>,
    /// Of whom something waits to be read that no datagram of theirs will remind us of.
    unheard: Vec<ClientId>,
    departed: Vec<PlayerId>,
    /// Whose seats are others' by now.
    vacated: BTreeSet<PlayerId>,
    /// Who has a seat in the running match and was never here, and until when it is held.
    awaited: BTreeMap<PlayerId, Time>,
    released: Vec<PlayerId>,
    tick: Tick,
    tick_at: Time,
    // the translator
    schema: Schema,
    messages_hash: u64,
    /// Counted because threads are lent it; nobody has it between ticks.
    history: Arc<History>,
    extraction: Extraction,
    inbound: Vec<Inbound>,
    interest: Interest,
    audiences: Vec<(Audience, audiences::AudienceRule)>,
    survey: Survey,
    chooser: Chooser,
    poses: Vec<PoseSource>,
    pose_scratch: Vec<(Entity, Pose)>,
    bits: SharedBits,
    /// Threads for snapshots, where there are more than the room's own; started with the first tick that has many players.
    encode_threads: Option<NonZeroUsize>,
    spread: Option<Spread>,
    parts: Parts,
    codec: SnapshotCodec,
    /// Players that have the dense codec now.
    dense_clients: usize,
    relevant: Vec<(NetId, f32)>,
    /// Memory of who is served in a tick.
    served: Vec<(PlayerId, ClientId)>,
    inputs: HashMap<PlayerId, InputOf<G>>,
    input_slots: QueryState<(&'static Owner, &'static mut InputOf<G>)>,
    owned: QueryState<Owned<G>>,
    owners: QueryState<(Entity, &'static Owner)>,
    predicted: QueryState<(&'static Owner, &'static Networked), With<G::State>>,
    predicted_by: HashMap<PlayerId, NetId>,
    // the match
    clock: PhaseClock,
    managed: bool,
    draining: bool,
    seat_hold_us: u64,
    reports: std::collections::VecDeque<Report>,
    started_at: Time,
    ended_at: Option<Time>,
    // what it tells of itself
    live_view: Option<LiveView>,
    ghost: Option<Ghost>,
    pub(crate) meter: Meter,
    counts: Counts,
    recorder: Option<Recorder<G::Input>>,
    custody: Option<Custody>,
    balance: Option<BalanceSlot>,
    bars: Bars,
    input_limits: InputLimits,
    input_check: Option<InputCheck<G>>,
}

/// What the room counts itself.
#[derive(Clone, Debug, Default)]
struct Counts {
    refused: u64,
    malformed: u64,
    disconnects: u64,
    messages_dropped: u64,
    reliable_messages: u64,
    snapshots_dropped: u64,
    snapshots: u64,
    snapshots_dense: u64,
    entities_deferred: u64,
    groups_torn: u64,
    matches_played: u64,
    matches_voided: u64,
    void_reason: Option<String>,
}

impl<G: ServerGame> Room<G> {
    /// Builds the room a builder describes. `addresses`: by which tokens may name it, any when empty;
    /// `unix_at_zero_s`: the wall clock at [`Time::ZERO`], for token expiry.
    pub(crate) fn new(
        builder: ServerBuilder<G>,
        addresses: &[SocketAddr],
        unix_at_zero_s: u64,
    ) -> Result<Self, RunError> {
        builder.options.validate()?;
        let net = Sessions::open(&builder.options, addresses, unix_at_zero_s)?;
        Ok(Self::with_sessions(builder, net))
    }

    /// The room a builder describes, whose options are valid, with these sessions.
    pub(crate) fn with_sessions(builder: ServerBuilder<G>, net: Sessions) -> Self {
        let options = &builder.options;
        let tick_hz = options.tick_rate.unwrap_or(builder.tick_hz);
        let messages = builder.messages.build();
        let messages_hash = messages.hash();
        let mut world = builder.setup.world;
        world.init_resource::<net_ids::NetIds>();
        world.insert_resource(CurrentTick(Tick(0)));
        world.insert_resource(Dt(1.0 / f32::from(tick_hz)));
        world.insert_resource(Match::default());
        world.insert_resource(Scoreboard::default());
        world.insert_resource(LagCompensation::new(tick_hz, builder.lag));
        world.insert_resource(Outbox::new(messages));
        register_events(&mut world);
        let extraction = Extraction::new(&mut world, builder.extractors);
        let ticks = |seconds: u16| u32::from(seconds) * u32::from(tick_hz);
        let limits = PhaseLimits {
            waiting_ticks: ticks(options.wait_seconds),
            grace_ticks: ticks(options.grace_seconds).max(1),
        };
        let schema = builder.schema.build();
        let identity = identity::<G>(&builder.name, tick_hz, schema.hash(), messages_hash);
        let recorder = options.record_bytes().map(|bytes_max| Recorder::new(identity, bytes_max));
        let input_check = world.remove_resource::<CheckSlot<G>>().map(|slot| slot.0);
        let custody =
            builder.keeping.map(|keeping| Custody::new(keeping, options.checkpoint_seconds, tick_hz));
        Self {
            name: builder.name,
            tick_hz,
            stages: builder.setup.stages,
            net,
            players: Players::new(),
            early: Vec::new(),
            unheard: Vec::new(),
            departed: Vec::new(),
            vacated: BTreeSet::new(),
            awaited: BTreeMap::new(),
            released: Vec::new(),
            tick: Tick(0),
            tick_at: Time::ZERO,
            schema,
            messages_hash,
            history: Arc::new(History::default()),
            extraction,
            inbound: builder.inbound,
            survey: Survey::new(&builder.interest),
            interest: builder.interest,
            audiences: builder.audiences,
            chooser: Chooser::default(),
            poses: builder.poses,
            pose_scratch: Vec::new(),
            bits: SharedBits::new(),
            encode_threads: options.encode_threads(),
            spread: None,
            parts: Parts::new(),
            codec: options.snapshot_codec,
            dense_clients: 0,
            relevant: Vec::new(),
            served: Vec::new(),
            inputs: HashMap::new(),
            input_slots: world.query(),
            owned: world.query(),
            owners: world.query(),
            predicted: world.query_filtered(),
            predicted_by: HashMap::new(),
            clock: PhaseClock { limits, since: Tick(0), play_ticks: 0 },
            managed: false,
            draining: false,
            seat_hold_us: u64::from(options.seat_hold_seconds) * 1_000_000,
            reports: std::collections::VecDeque::new(),
            started_at: Time::ZERO,
            ended_at: None,
            live_view: builder.live_view,
            ghost: builder.ghost,
            meter: Meter::new(),
            counts: Counts::default(),
            recorder,
            custody,
            balance: builder.balance,
            bars: Bars::default(),
            input_limits: options
                .kick_at
                .iter()
                .fold(builder.input_limits, |limits, kick| limits.kick_at(kick.kind, kick.count)),
            input_check,
            world,
        }
    }

    /// The end of the sessions that it shares with other rooms; `None`: it has its own.
    pub(crate) fn port(&mut self) -> Option<&mut port::Port> {
        match &mut self.net {
            Sessions::Shared(port) => Some(port),
            Sessions::Ours(_) | Sessions::Foreign(_) => None,
        }
    }

    /// A datagram to send; call until `None` after every tick and every idle step.
    pub fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        self.net.poll_transmit()
    }

    /// Sends what of the last tick was to leave later, where that is now: then poll again.
    pub fn release(&mut self, now: Time) {
        self.net.release(now);
    }

    /// When [`Room::release`] has something to send; `None`: nothing before the next tick.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.net.poll_timeout()
    }

    /// Ticks a second.
    pub fn tick_hz(&self) -> u16 {
        self.tick_hz
    }

    /// The last simulated tick.
    pub fn current_tick(&self) -> Tick {
        self.tick
    }

    /// The world, for tests and tools. Change it between ticks only.
    pub fn world_mut(&mut self) -> &mut World {
        &mut self.world
    }

    /// Nobody is here or expected soon, so ticks may be left out.
    pub fn is_idle(&mut self) -> bool {
        use crate::game_match::Phase;
        let quiet = self.net.clients_len() == 0 && self.early.is_empty() && self.departed.is_empty();
        let open = self.current_match().roster.is_empty();
        quiet && (self.phase() == Phase::Idle || (self.phase() == Phase::Waiting && open && !self.draining))
    }

    /// Keeps sessions alive between the ticks that are left out.
    pub fn step_idle(&mut self, now: Time) {
        self.net.step(now);
        self.take_events(now);
        self.net.flush(now);
    }

    fn current_match(&self) -> &Match {
        self.world.resource::<Match>()
    }

    fn send_control(&mut self, now: Time, client: ClientId, control: &Control) {
        // Full means that the client acknowledges nothing: `send` closes such a client, this one too.
        if self.net.send(now, client, netcode_proto::channels::CONTROL, &control.to_bytes()).is_err() {
            self.net.disconnect(now, client, codes::TOO_SLOW);
        }
    }
}

fn identity<G: ServerGame>(name: &str, tick_hz: u16, schema_hash: u64, messages_hash: u64) -> Identity {
    let input_bits = <G::Input as netcode_snapshot::Input>::BITS;
    Identity { name: name.into(), tick_hz, schema_hash, messages_hash, input_bits }
}

fn register_events(world: &mut World) {
    use bevy_ecs::message::MessageRegistry;

    use crate::game_match::{MatchEnded, MatchStarted};
    use crate::player::{PlayerDropped, PlayerJoined, PlayerLeft, PlayerResumed};
    MessageRegistry::register_message::<PlayerJoined>(world);
    MessageRegistry::register_message::<PlayerDropped>(world);
    MessageRegistry::register_message::<PlayerResumed>(world);
    MessageRegistry::register_message::<PlayerLeft>(world);
    MessageRegistry::register_message::<MatchStarted>(world);
    MessageRegistry::register_message::<MatchEnded>(world);
}
