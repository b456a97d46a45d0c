//! What a game may doubt of an input: what it is shown, and what it may answer. Owns the words; must never know who asks.

use bevy_ecs::world::World;
use netcode_client::Game;
use netcode_wire::Tick;

use crate::player::PlayerId;

/// A game's own check of its players' inputs. See [`ServerBuilder::check_input`](crate::ServerBuilder::check_input).
pub(crate) type InputCheck<G> = Box<dyn Fn(&Checked<'_, G>) -> Verdict + Send + Sync>;

/// An input that is about to be simulated, and what it can be measured by.
pub struct Checked<'a, G: Game> {
    /// Whose.
    pub player: PlayerId,
    /// The tick that it is for.
    pub tick: Tick,
    /// What the player wants. Numbers are within their declared ranges: nothing else can be sent.
    pub input: &'a G::Input,
    /// What it wanted the tick before.
    pub previous: &'a G::Input,
    /// What the player moves, as it was after the last tick; `None` before there is one.
    pub state: Option<&'a G::State>,
    /// Everything else there is.
    pub world: &'a World,
}

/// What a game makes of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An honest player can have given it.
    Plausible,
    /// It is simulated, and counted as [`Suspicion::Implausible`](crate::Suspicion::Implausible).
    Doubtful,
    /// It is counted, and the neutral input is simulated in its place.
    Refused,
}

/// Where the builder leaves the check for the room.
#[derive(bevy_ecs::resource::Resource)]
pub(crate) struct CheckSlot<G: Game>(pub(crate) InputCheck<G>);
