//! A dedicated game server: an ECS world, a fixed tick, players, replication, lag compensation, lifecycle.
//!
//! A game is components, a pure step function, and systems in five [`Stage`]s; everything between a socket and
//! those systems is this crate's. Begin at [`Server::builder`]; [`prelude`] has all the names.
//!
//! Must never know a game's rules. `room` alone knows both the ECS and the netcode; `drive` (one
//! room) and `host` (many) alone know clocks, sockets and threads.

pub mod prelude;

mod balance;
mod builder;
mod carriers;
mod check;
mod codec;
mod configure;
mod drive;
mod game_match;
mod grid;
mod host;
mod input_ring;
mod lag;
mod meter;
mod ops;
mod options;
mod outbox;
mod pacer;
mod player;
mod player_state;
mod plugin;
mod record;
mod replay;
mod room;
mod scene;
mod spec;
mod stage;
mod status;
mod suspicion;
mod timers;
mod transport;
mod visibility;

pub use balance::Balance;
pub use builder::{NoGame, Server, ServerBuilder, ServerGame};
pub use check::{Checked, Verdict};
pub use codec::{DENSE_CLIENTS_MAX, SnapshotCodec};
pub use drive::RunError;
pub use game_match::{
    Match, MatchEnded, MatchSpec, MatchStarted, Phase, RosterEntry, ScoreLine, Scoreboard, match_running,
};
pub use grid::SpatialGrid;
pub use host::Rooms;
pub use input_ring::{Arrival, InputRing, REPEAT_TICKS_MAX, RING_TICKS, Taken};
pub use lag::{
    Block, Favour, Hit, LagCompensation, LagConfig, POSES_MAX, Point, Pose, REWIND_MS_MAX, Rewind, Seen,
};
pub use meter::Meter;
pub use operate::settings::{Stray, in_range};
pub use operate::{Secret, Settings, SettingsError};
pub use ops::OpsError;
pub use options::{OptionsError, PROTOCOL_ID_DEFAULT, ServerOptions, TICK_HZ};
pub use outbox::{OUTBOX_BYTES_MAX, Outbox};
pub use pacer::{CATCH_UP_TICKS_MAX, Due, Pacer};
pub use player::{
    CurrentTick, Dt, FromPlayer, InputOf, Networked, Owner, PlayerDropped, PlayerId, PlayerJoined,
    PlayerLeft, PlayerResumed,
};
pub use player_state::{PlayerState, PlayerStates, StatePolicy, WhenAway};
pub use plugin::{Plugin, Setup};
pub use record::{Recording, RecordingError};
pub use replay::{Difference, Place, Replay, ReplayError, Shown, show};
pub use room::extract::{Extraction, Extractor};
pub use room::{MatchReport, PlayerReport, Report, Room, StateWish, StateWord, TickPanic, Vacancy, codes};
pub use scene::{Scene, Shape};
pub use spec::{format_match_id, parse_match_id};
pub use stage::{Stage, StageTimes};
pub use status::{ChannelStatus, PlayerStatus, RoomStatus, Status};
pub use suspicion::{InputLimits, KickAt, Suspicion, Suspicions};
pub use timers::{TimerId, Timers};
pub use transport::Transport;
pub use visibility::{
    AlwaysRelevant, AppearsTogether, InRoom, Layers, OwnerOnly, TeamOnly, Urgency, Viewer, Watches,
};

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
