//! Everything a game's server code usually needs: `use server_runtime::prelude::*;`. Owns no item of its own.
//!
//! bevy_ecs's buffered messages are called *events* here: in this framework a message is what crosses the wire.

pub use bevy_ecs::message::{Message as Event, MessageReader as EventReader, MessageWriter as EventWriter};
pub use bevy_ecs::prelude::{
    Added, Bundle, Changed, Commands, Component, DetectChanges, DetectChangesMut, Entity, Has,
    IntoScheduleConfigs, Local, Mut, Or, Query, Res, ResMut, Resource, Single, SystemCondition, SystemSet,
    With, Without, World,
};
pub use glam::{Vec2, Vec3};
pub use netcode_client::{Game, StepContext};
pub use netcode_derive::{Input, Message, Replicate};
pub use netcode_proto::channels;
pub use netcode_snapshot::{Audience, Input, Message, NetId, Replicate};
pub use netcode_wire::Tick;
pub use operate::Settings;
pub use operate::settings::{Stray, in_range};

pub use crate::balance::Balance;
pub use crate::builder::{Server, ServerBuilder, ServerGame};
pub use crate::check::{Checked, Verdict};
pub use crate::game_match::{Match, MatchEnded, MatchStarted, Phase, ScoreLine, Scoreboard, match_running};
pub use crate::grid::SpatialGrid;
pub use crate::host::Rooms;
pub use crate::lag::{Block, Favour, Hit, LagCompensation, LagConfig, Pose, Rewind, Seen};
pub use crate::options::ServerOptions;
pub use crate::outbox::Outbox;
pub use crate::player::{
    CurrentTick, Dt, FromPlayer, InputOf, Networked, Owner, PlayerDropped, PlayerId, PlayerJoined,
    PlayerLeft, PlayerResumed,
};
pub use crate::player_state::{PlayerState, PlayerStates, StatePolicy, WhenAway};
pub use crate::plugin::{Plugin, Setup};
pub use crate::scene::{Scene, Shape};
pub use crate::stage::Stage;
pub use crate::suspicion::{InputLimits, Suspicion};
pub use crate::timers::Timers;
pub use crate::visibility::{
    AlwaysRelevant, AppearsTogether, InRoom, Layers, OwnerOnly, TeamOnly, Urgency, Viewer, Watches,
};
