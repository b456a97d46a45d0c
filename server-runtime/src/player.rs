//! Players as a game sees them: who they are, what they own, when they come and go. Must never know a
//! connection, an address or a packet.

use bevy_ecs::prelude::*;
use netcode_client::Game;
use netcode_snapshot::NetId;
use netcode_wire::Tick;
use serde::Serialize;

use crate::lag::Rewind;

/// A player's account id: the same number in the backend, in tokens and here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PlayerId(pub u64);

/// Whose entity this is. The owner's input drives it, the owner predicts it, and it goes when its owner goes.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[component(immutable)]
pub struct Owner(pub PlayerId);

/// The name under which clients know this entity. Added by the framework to everything that has a replicated
/// component; ids start at 1 and are never used again.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[component(on_add = crate::room::net_ids::assign)]
pub struct Networked(pub NetId);

/// This tick's input of the entity's owner. Added by the framework to every entity with the game's predicted
/// component, written before [`crate::Stage::Input`].
#[derive(Component)]
pub struct InputOf<G: Game> {
    /// What the owner wants this tick.
    pub current: G::Input,
    /// What the owner wanted last tick; with `current` it tells a press from a hold.
    pub previous: G::Input,
    /// The owner's own word for this tick; `false` when it is missing and repeated, or neutral.
    pub fresh: bool,
    /// How far behind the server the owner saw the others when giving this input.
    pub rewind: Rewind,
}

impl<G: Game> Default for InputOf<G> {
    fn default() -> Self {
        Self {
            current: G::Input::default(),
            previous: G::Input::default(),
            fresh: false,
            rewind: Rewind::default(),
        }
    }
}

/// The tick being simulated.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CurrentTick(pub Tick);

/// Seconds a tick lasts.
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
pub struct Dt(pub f32);

/// A player took a seat: spawn what it owns. Read with `EventReader<PlayerJoined>`.
#[derive(bevy_ecs::message::Message, Clone, Debug, PartialEq, Eq)]
pub struct PlayerJoined {
    /// Who.
    pub player: PlayerId,
    /// Display name from the verified seat.
    pub name: String,
    /// Team from the verified seat.
    pub team: u8,
    /// Small stable number within this match (0, 1, 2, …): a spawn point, a colour.
    pub seat: usize,
}

/// A player's connection is gone; the seat and all the player owns are kept for a while.
#[derive(bevy_ecs::message::Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayerDropped {
    /// Who.
    pub player: PlayerId,
}

/// A dropped player is back in the kept seat.
#[derive(bevy_ecs::message::Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayerResumed {
    /// Who.
    pub player: PlayerId,
}

/// A player is gone for good. What the player owns is still there this tick, and despawned by the framework at
/// its end.
#[derive(bevy_ecs::message::Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayerLeft {
    /// Who.
    pub player: PlayerId,
    /// Left by choice (`false`: dropped, and not back in time).
    pub by_choice: bool,
}

/// A typed message from a player, registered with `.message::<M>()`. Read with `EventReader<FromPlayer<M>>`.
#[derive(bevy_ecs::message::Message, Clone, Debug, PartialEq, Eq)]
pub struct FromPlayer<M: Send + Sync + 'static> {
    /// Who sent it: the verified player of the connection it came by.
    pub player: PlayerId,
    /// What was sent. Well-formed, but still a player's claim: validate it.
    pub message: M,
}
