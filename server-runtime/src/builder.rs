//! The builder: what a game declares about itself before it runs. Owns declarations only; running them is the
//! room's and the driver's.

use std::marker::PhantomData;
use std::sync::Arc;

use bevy_ecs::component::Mutable;
use bevy_ecs::message::MessageRegistry;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::IntoScheduleConfigs;
use bevy_ecs::system::ScheduleSystem;
use bevy_ecs::world::EntityRef;
use glam::{Vec2, Vec3};
use netcode_client::Game;
use netcode_proto::ChannelId;
use netcode_snapshot::{Audience, Message, MessageSet, MessageSetBuilder, Replicate, Schema, SchemaBuilder};
use operate::Settings;

use crate::balance::{Balance, BalanceSlot};
use crate::check::{CheckSlot, Checked, Verdict};
use crate::drive::RunError;
use crate::host::Rooms;
use crate::lag::{LagConfig, Pose};
use crate::options::{ServerOptions, TICK_HZ};
use crate::player::{InputOf, Networked, PlayerId};
use crate::player_state::{KeeperOf, PlayerState, PlayerStates, StatePolicy};
use crate::plugin::{Plugin, Setup};
use crate::room::Room;
use crate::room::audiences::AudienceRule;
use crate::room::custody::Keeping;
use crate::room::extract::Extractor;
use crate::room::inbound::Inbound;
use crate::room::interest::Interest;
use crate::room::poses::PoseSource;
use crate::scene::{Scene, Shape};
use crate::stage::Stage;
use crate::suspicion::InputLimits;
use crate::visibility::Viewer;

/// Where every server begins.
#[derive(Debug)]
pub struct Server;

/// A [`Game`] whose predicted state is also an ECS component: what a server can run. Implemented for all such.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no game that a server can run",
    label = "this is not a `Game`, or its `State` is not a component",
    note = "write `impl Game for {Self}`, and put `#[derive(Component, Replicate, Clone, PartialEq)]` on the type that is its `State`"
)]
pub trait ServerGame: Game<State: Component<Mutability = Mutable>> {}

impl<G: Game<State: Component<Mutability = Mutable>>> ServerGame for G {}

/// Stands where the game will be, until [`ServerBuilder::game`] names it.
#[derive(Debug)]
pub enum NoGame {}

/// Declares a server. See [`Server::builder`].
pub struct ServerBuilder<G = NoGame> {
    pub(crate) name: String,
    pub(crate) tick_hz: u16,
    pub(crate) setup: Setup,
    pub(crate) schema: SchemaBuilder,
    pub(crate) extractors: Vec<Extractor>,
    pub(crate) messages: MessageSetBuilder,
    pub(crate) inbound: Vec<Inbound>,
    pub(crate) poses: Vec<PoseSource>,
    pub(crate) lag: LagConfig,
    pub(crate) interest: Interest,
    pub(crate) audiences: Vec<(Audience, AudienceRule)>,
    pub(crate) live_view: Option<LiveView>,
    pub(crate) ghost: Option<Ghost>,
    pub(crate) keeping: Option<Keeping>,
    pub(crate) input_limits: InputLimits,
    pub(crate) options: ServerOptions,
    pub(crate) settings: Option<Settings>,
    pub(crate) balance: Option<BalanceSlot>,
    game: PhantomData<fn() -> G>,
}

/// Draws the world.
pub(crate) type LiveView = Box<dyn Fn(&mut World) -> Scene + Send>;
/// Draws a predicted state, given by its quantised columns.
pub(crate) type Ghost = Arc<dyn Fn(&[u32]) -> Shape + Send + Sync>;

impl Server {
    /// Begins a server called `name` (in metrics, logs and the live view).
    ///
    /// ```no_run
    /// use server_runtime::prelude::*;
    ///
    /// #[derive(Component, Replicate, Clone, PartialEq)]
    /// #[net(predicted)]
    /// struct Walker {
    ///     #[net(range(-50.0..=50.0), step = 0.01)]
    ///     x: f32,
    /// }
    ///
    /// #[derive(Input, Clone, Default, PartialEq)]
    /// struct Walk {
    ///     #[net(range(-1.0..=1.0), step = 0.1)]
    ///     speed: f32,
    /// }
    ///
    /// struct WalkingGame;
    ///
    /// impl Game for WalkingGame {
    ///     type Input = Walk;
    ///     type State = Walker;
    ///     fn step(state: &mut Walker, input: &Walk, ctx: StepContext) {
    ///         state.x += input.speed * 5.0 * ctx.dt;
    ///     }
    ///     fn distance(a: &Walker, b: &Walker) -> f32 {
    ///         (a.x - b.x).abs()
    ///     }
    ///     fn blend(from: &Walker, to: &Walker, t: f32) -> Walker {
    ///         Walker { x: from.x + (to.x - from.x) * t }
    ///     }
    /// }
    ///
    /// fn welcome(mut joined: EventReader<PlayerJoined>, mut commands: Commands) {
    ///     for player in joined.read() {
    ///         commands.spawn((Walker { x: 0.0 }, Owner(player.player)));
    ///     }
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     Server::builder("walkers")
    ///         .tick_rate(60)
    ///         .game::<WalkingGame>()
    ///         .add_systems(Stage::Receive, welcome)
    ///         .config(ServerOptions { port: 7777, ..ServerOptions::default() })
    ///         .run()?;
    ///     Ok(())
    /// }
    /// ```
    pub fn builder(name: impl Into<String>) -> ServerBuilder {
        ServerBuilder {
            name: name.into(),
            tick_hz: 60,
            setup: Setup::new(),
            schema: Schema::builder(),
            extractors: Vec::new(),
            messages: MessageSet::builder(),
            inbound: Vec::new(),
            poses: Vec::new(),
            lag: LagConfig::default(),
            audiences: Vec::new(),
            interest: Interest::default(),
            live_view: None,
            ghost: None,
            keeping: None,
            input_limits: InputLimits::default(),
            options: ServerOptions::default(),
            settings: None,
            balance: None,
            game: PhantomData,
        }
    }
}

impl Server {
    /// Begins a server that plays as many matches at once as `--rooms` says, each in a room with its own world, seed and
    /// deadlines. `declare` is asked for a builder once for each room; what it panics at costs that room alone.
    ///
    /// ```no_run
    /// # use server_runtime::prelude::*;
    /// # #[derive(Component, Replicate, Clone, PartialEq)]
    /// # #[net(predicted)]
    /// # struct Walker { #[net(range(-50.0..=50.0), step = 0.01)] x: f32 }
    /// # #[derive(Input, Clone, Default, PartialEq)]
    /// # struct Walk { jump: bool }
    /// # struct WalkingGame;
    /// # impl Game for WalkingGame {
    /// #     type Input = Walk;
    /// #     type State = Walker;
    /// #     fn step(_: &mut Walker, _: &Walk, _: StepContext) {}
    /// #     fn distance(a: &Walker, b: &Walker) -> f32 { (a.x - b.x).abs() }
    /// # }
    /// fn walkers(options: ServerOptions) -> ServerBuilder<WalkingGame> {
    ///     Server::builder("walkers").game::<WalkingGame>().config(options)
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let options = ServerOptions { rooms: 16, ..ServerOptions::default() };
    ///     Server::rooms(move || walkers(options.clone())).run()?;
    ///     Ok(())
    /// }
    /// ```
    pub fn rooms<G: ServerGame>(declare: impl Fn() -> ServerBuilder<G> + Send + Sync + 'static) -> Rooms<G> {
        Rooms::new(declare)
    }
}

impl ServerBuilder<NoGame> {
    /// Names the game: its input, and the component its players predict, which is replicated from here on.
    #[must_use]
    pub fn game<G: ServerGame>(mut self) -> ServerBuilder<G> {
        self.setup.world.register_required_components::<G::State, InputOf<G>>();
        let named = ServerBuilder {
            name: self.name,
            tick_hz: self.tick_hz,
            setup: self.setup,
            schema: self.schema,
            extractors: self.extractors,
            messages: self.messages,
            inbound: self.inbound,
            poses: self.poses,
            lag: self.lag,
            interest: self.interest,
            audiences: self.audiences,
            live_view: self.live_view,
            ghost: self.ghost,
            keeping: self.keeping,
            input_limits: self.input_limits,
            options: self.options,
            settings: self.settings,
            balance: self.balance,
            game: PhantomData,
        };
        named.replicate::<G::State>()
    }
}

impl<G> ServerBuilder<G> {
    /// Ticks a second, 10 to 128; 60 unless set. An operator's `--tick-rate` overrides it.
    ///
    /// # Panics
    /// If the rate is out of range.
    #[must_use]
    pub fn tick_rate(mut self, hz: u16) -> Self {
        assert!(TICK_HZ.contains(&hz), "tick rate is {hz}: allowed is 10 to 128 Hz");
        self.tick_hz = hz;
        self
    }

    /// Shows component `T` to clients wherever it is. Register in the same order as in the client's schema.
    #[must_use]
    pub fn replicate<T: Replicate + Component>(mut self) -> Self {
        self.schema = self.schema.component::<T>();
        if let Some(far) = T::FAR {
            self.interest.far::<T>(far);
        }
        self.extractors.push(Extractor::new::<T>(self.extractors.len()));
        self.setup.world.register_required_components::<T, Networked>();
        self
    }

    /// Says who belongs to one of the game's own audiences ([`Audience::custom`]), for whom components are marked
    /// `#[net(visible = …)]`: whether the player may see them of an entity that it is shown. Asked for each such entity,
    /// player and tick. An audience without a rule has nobody in it; [`Audience::OWNER`] has the player whose
    /// [`Owner`](crate::player::Owner) component the entity has, unless a rule is given for it too.
    ///
    /// ```
    /// use server_runtime::prelude::*;
    ///
    /// const TEAM: Audience = Audience::custom(2);
    ///
    /// #[derive(Component, Replicate)]
    /// #[net(visible = TEAM)]
    /// struct Plan {
    ///     target: Option<NetId>,
    /// }
    ///
    /// #[derive(Resource)]
    /// struct Teams(std::collections::HashMap<PlayerId, u8>);
    ///
    /// let builder = Server::builder("teams").replicate::<Plan>().audience(TEAM, |world, viewer, entity| {
    ///     let teams = &world.resource::<Teams>().0;
    ///     let owner = world.entity(entity).get::<Owner>().map(|owner| owner.0);
    ///     owner.is_some_and(|owner| teams.get(&owner) == teams.get(&viewer))
    /// });
    /// # drop(builder);
    /// ```
    ///
    /// # Panics
    /// When the audience is everyone, or has a rule already.
    #[must_use]
    pub fn audience(
        mut self,
        audience: Audience,
        belongs: impl Fn(&World, PlayerId, Entity) -> bool + Send + 'static,
    ) -> Self {
        assert!(audience != Audience::EVERYONE, "everyone belongs to everyone");
        assert!(self.audiences.iter().all(|(known, _)| *known != audience), "two rules for one audience");
        self.audiences.push((audience, Box::new(belongs)));
        self
    }

    /// Registers a message type, both ways, on one of the game channels (`channels::GAME_…`). Register in the
    /// same order as in the client's message set.
    #[must_use]
    pub fn message<M: Message>(mut self, channel: ChannelId) -> Self {
        self.messages = self.messages.message::<M>(channel.0);
        self.inbound.push(Inbound::new::<M>(channel));
        MessageRegistry::register_message::<crate::player::FromPlayer<M>>(&mut self.setup.world);
        self
    }

    /// Registers a type of event that the game's own systems exchange with `EventWriter<E>` and `EventReader<E>`.
    #[must_use]
    pub fn event<E: bevy_ecs::message::Message>(mut self) -> Self {
        self.setup.add_event::<E>();
        self
    }

    /// Registers a type of event that is to come later, and again and again: see [`Timers`](crate::Timers).
    #[must_use]
    pub fn timer<E: bevy_ecs::message::Message + Clone>(mut self) -> Self {
        self.setup.add_timer::<E>();
        self
    }

    /// Adds a plug-in.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a builder takes plug-ins like everything else, by value"
    )]
    pub fn plugin(mut self, plugin: impl Plugin) -> Self {
        plugin.build(&mut self.setup);
        self
    }

    /// Adds systems to a stage.
    #[must_use]
    pub fn add_systems<M>(
        mut self,
        stage: Stage,
        systems: impl IntoScheduleConfigs<ScheduleSystem, M>,
    ) -> Self {
        self.setup.add_systems(stage, systems);
        self
    }

    /// Lets shots meet component `C`: `pose` gives its shape, or `None` while it cannot be hit (dead). Poses
    /// are recorded every tick for [`crate::LagCompensation`]. Give lives numbers ([`Pose::life`]) where they can follow
    /// each other without a pause.
    #[must_use]
    pub fn hittable<C: Component>(mut self, pose: fn(&C) -> Option<Pose>) -> Self {
        self.poses.push(PoseSource::new(&mut self.setup.world, pose));
        self
    }

    /// How far back shots may reach, how long poses are kept, and whose screen counts: see [`LagConfig`]. Unless set:
    /// 250 ms, a second, the shooter's.
    #[must_use]
    pub fn lag_compensation(mut self, config: LagConfig) -> Self {
        self.lag = config;
        self
    }

    /// Shows players only what is within `radius` of something they own; what has no `position` of any kind is shown to
    /// everyone. Each kind has its own radius. Who has come into sight stays until it is a tenth farther away. Who owns
    /// nothing that has a position watches the whole field. Without this, everyone sees everything; for rooms, layers,
    /// teams and owners see [`AlwaysRelevant`](crate::AlwaysRelevant) and its neighbours.
    ///
    /// What is near, fast or [urgent](crate::Urgency), and what has waited long, goes first when not everything fits.
    ///
    /// ```
    /// use server_runtime::prelude::*;
    ///
    /// #[derive(Component)]
    /// struct Boat(Vec2);
    /// #[derive(Component)]
    /// struct Lighthouse(Vec2);
    ///
    /// let builder = Server::builder("coast")
    ///     .visible_within::<Boat>(60.0, |boat| boat.0)
    ///     .visible_within::<Lighthouse>(400.0, |light| light.0);
    /// ```
    #[must_use]
    pub fn visible_within<C: Component>(mut self, radius: f32, position: fn(&C) -> Vec2) -> Self {
        self.interest.within::<C>(radius, move |component| position(component).extend(0.0));
        self
    }

    /// [`ServerBuilder::visible_within`] in space.
    #[must_use]
    pub fn visible_within_3d<C: Component>(mut self, radius: f32, position: fn(&C) -> Vec3) -> Self {
        self.interest.within::<C>(radius, position);
        self
    }

    /// Shows an entity only to those whom `rule` lets see it, beside all other rules; what a player owns is always
    /// shown to that player. It is asked once a tick for each player and each entity near that player, so keep it short.
    ///
    /// ```
    /// use server_runtime::prelude::*;
    ///
    /// #[derive(Component)]
    /// struct Cloaked { seen_by: Vec<PlayerId> }
    ///
    /// let builder = Server::builder("cloaks").visible_if(|viewer, entity| {
    ///     entity.get::<Cloaked>().is_none_or(|cloak| cloak.seen_by.contains(&viewer.player))
    /// });
    /// ```
    #[must_use]
    pub fn visible_if(
        mut self,
        rule: impl Fn(Viewer, EntityRef<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.interest.only_if(rule);
        self
    }

    /// Keeps a state of this type for each player between matches, in the backend: [`PlayerStates`] has it before
    /// [`PlayerJoined`](crate::PlayerJoined) comes, and it is saved whatever way the player goes. See [`PlayerState`].
    ///
    /// # Panics
    /// When the name is none, or a type was given already.
    #[must_use]
    pub fn player_state<P: PlayerState>(mut self, policy: StatePolicy) -> Self {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let named = (1..=32).contains(&P::NAME.len()) && P::NAME.bytes().all(plain);
        assert!(named, "a state's name is 1 to 32 of a-z, 0-9 and -");
        assert!(self.keeping.is_none(), "a server keeps one type of state");
        assert!(policy.wait.as_secs() <= 60, "a player waits for a minute at most");
        self.setup.world.init_resource::<PlayerStates<P>>();
        self.keeping = Some(Keeping { keeper: KeeperOf::<P>::boxed(), name: P::NAME, policy });
        self
    }

    /// How much a client may send, and how suspicious a player may be. Unless set: [`InputLimits::default`]. An operator's
    /// `--kick-at` adds to it.
    ///
    /// # Panics
    /// When nothing may be sent at all.
    #[must_use]
    pub fn input_limits(mut self, limits: InputLimits) -> Self {
        assert!(limits.inputs_per_tick > 0 && limits.messages_per_s > 0, "clients must be heard");
        self.input_limits = limits;
        self
    }

    /// Draws the world for the live view.
    #[must_use]
    pub fn live_view(mut self, draw: impl Fn(&mut World) -> Scene + Send + 'static) -> Self {
        self.live_view = Some(Box::new(draw));
        self
    }

    /// What an operator set.
    #[must_use]
    pub fn config(mut self, options: ServerOptions) -> Self {
        self.options = options;
        self
    }

    /// Where what an operator set came from: so that the settings file counts beside flags and environment, can be checked
    /// with `--check-config`, and is read again at SIGHUP or `POST /reload`.
    ///
    /// ```no_run
    /// use clap::Parser;
    /// use server_runtime::prelude::*;
    /// use server_runtime::{ServerOptions, Settings};
    ///
    /// #[derive(Parser)]
    /// struct Flags {
    ///     #[command(flatten)]
    ///     server: ServerOptions,
    /// }
    ///
    /// let (flags, settings) = Settings::read_or_exit::<Flags>(std::env::args_os());
    /// let builder = Server::builder("duel").config(flags.server).settings(settings);
    /// ```
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = Some(settings);
        self
    }

    /// Declares the game's balance: see [`Balance`]. The resource is there from the start, with its default where the
    /// settings file says nothing else.
    ///
    /// # Panics
    /// If there is one already.
    #[must_use]
    pub fn balance<T: Balance>(mut self) -> Self {
        assert!(self.balance.is_none(), "two balances for one game");
        self.balance = Some(BalanceSlot::of::<T>());
        self.setup.world.insert_resource(T::default());
        self
    }
}

impl<G: ServerGame> ServerBuilder<G> {
    /// Asks the game whether a player can have given an input, before it is simulated: once a tick and player, with what the
    /// player moves and the whole world at hand. Only inputs that have come are asked about, and what they can hold is
    /// bounded by their declared ranges; that a player moves by its inputs alone, one a tick, the framework sees to itself.
    ///
    /// ```no_run
    /// # use server_runtime::prelude::*;
    /// # #[derive(Component, Replicate, Clone, PartialEq)]
    /// # #[net(predicted)]
    /// # struct Walker { #[net(range(-50.0..=50.0), step = 0.01)] x: f32 }
    /// # #[derive(Input, Clone, Default, PartialEq)]
    /// # struct Walk { #[net(range(-1.0..=1.0), step = 0.1)] speed: f32 }
    /// # struct WalkingGame;
    /// # impl Game for WalkingGame {
    /// #     type Input = Walk;
    /// #     type State = Walker;
    /// #     fn step(state: &mut Walker, input: &Walk, ctx: StepContext) { state.x += input.speed * ctx.dt; }
    /// #     fn distance(a: &Walker, b: &Walker) -> f32 { (a.x - b.x).abs() }
    /// # }
    /// // No hand turns a stick from end to end in one tick.
    /// let builder = Server::builder("walkers").game::<WalkingGame>().check_input(|check| {
    ///     match (check.input.speed - check.previous.speed).abs() {
    ///         0.0..1.5 => Verdict::Plausible,
    ///         1.5..1.9 => Verdict::Doubtful,
    ///         _ => Verdict::Refused,
    ///     }
    /// });
    /// # drop(builder);
    /// ```
    #[must_use]
    pub fn check_input(mut self, check: impl Fn(&Checked<'_, G>) -> Verdict + Send + Sync + 'static) -> Self {
        self.setup.world.insert_resource(CheckSlot::<G>(Box::new(check)));
        self
    }

    /// Draws a player's predicted state for the live view: the ghost beside the server's truth.
    #[must_use]
    pub fn ghost(mut self, draw: fn(&G::State) -> Shape) -> Self {
        self.ghost = Some(Arc::new(move |columns| draw(&G::State::restore(columns))));
        self
    }

    /// Serves until the match is over or a drain is asked for: opens the ports, tells Agones, ticks. Blocks.
    ///
    /// # Errors
    /// A setting cannot be used, a port is taken, the sidecar cannot be reached, or a system panicked. So is `--rooms`
    /// with more than one: those are declared one by one, see [`Server::rooms`].
    pub fn run(self) -> Result<(), RunError> {
        if self.options.rooms > 1 {
            let hint = "the game plays one match a process: declare it with `Server::rooms`";
            let other = "this game".to_owned();
            return Err(crate::options::OptionsError::Conflict { key: "--rooms", other, hint }.into());
        }
        crate::drive::run(self)
    }

    /// The room alone: no socket, no clock, no thread. For tests and for drivers of your own.
    ///
    /// # Errors
    /// A setting cannot be used.
    pub fn build(self, addresses: &[std::net::SocketAddr], unix_at_zero_s: u64) -> Result<Room<G>, RunError> {
        Room::new(self, addresses, unix_at_zero_s)
    }
}
