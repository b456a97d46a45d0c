//! Who may see what, as components on the entities themselves. Owns the words; must never know a distance, a client or a
//! byte: `room/interest` applies them.
//!
//! An entity is shown to a player when all of this holds. What a player owns is shown to that player whatever the rest says.
//!
//! | component | shown to |
//! |---|---|
//! | none | everyone, within the radius of its position (`.visible_within`), or anywhere without one |
//! | [`AlwaysRelevant`] | wherever the player is |
//! | [`InRoom`] | who owns something in that room |
//! | [`Layers`] | who owns something that watches one of these layers ([`Watches`]) |
//! | [`TeamOnly`] | the players of one team |
//! | [`OwnerOnly`] | its owner |
//! | `.visible_if(…)` | whom the game's own rule lets see it |
//!
//! Entities that make one thing together have [`AppearsTogether`]: whoever comes to see one of them sees all of them, in the
//! same instant.
//!
//! ```
//! use server_runtime::prelude::*;
//!
//! /// A beacon that one team sees across the whole map, and a trap that only its owner sees.
//! fn place(mut commands: Commands, player: PlayerId, team: u8) {
//!     commands.spawn((AlwaysRelevant, TeamOnly(team)));
//!     commands.spawn((Owner(player), OwnerOnly));
//!     commands.spawn((InRoom(7), Urgency(4.0)));
//! }
//! ```

use bevy_ecs::prelude::*;

use crate::player::PlayerId;

/// Shown wherever the player is: no radius counts.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlwaysRelevant;

/// In a room of its own: shown to those who own something in the same room, and near only to what is there. Entities
/// without it are in room 0.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InRoom(pub u16);

/// The layers that it lies in, one bit each; without this component: all of them.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layers(pub u64);

/// The layers that its owner sees through it, one bit each; without this component: all of them.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watches(pub u64);

/// Shown to the players of one team only.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub struct TeamOnly(pub u8);

/// Shown to its owner only.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerOnly;

/// Makes one thing with all that have the same number (a vehicle and its turrets, a squad, a door and its frame): a player
/// who is shown one of them is shown all of them that the other components let it see, from the same snapshot on, whatever is
/// lost on the way. 0: with nobody. What belongs to a thing that is near counts as near enough, in the same room. They need
/// not go together.
///
/// They must fit into one datagram when they come, about 1100 bytes: a group that does not find a message that long for two
/// seconds comes one by one. Numbers are the game's, 1 to `u32::MAX`; entities that are spawned in one go have neighbouring
/// ids, which costs least.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppearsTogether(pub u32);

/// How much it matters when not everything fits, beside distance, speed and time since it was sent: 1 is ordinary.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub struct Urgency(pub f32);

/// Who looks: what a rule of [`crate::ServerBuilder::visible_if`] is told of a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// Who.
    pub player: PlayerId,
    /// The team of the player's seat.
    pub team: u8,
}
