//! What server and clients must agree on: how a ship is predicted, and everything that travels, in one order.
//! Never knows which side it runs on.

use netcode_client::{Game, StepContext};
use netcode_proto::channels;
use netcode_snapshot::{MessageSet, Schema};

use crate::components::{Pickup, Ship, Shot, Vitals};
use crate::input::Controls;
use crate::messages::{Hit, Kill, MatchEnd};
use crate::rules;

/// The arena, as the prediction knows it.
#[derive(Clone, Copy, Debug)]
pub struct ArenaGame;

impl Game for ArenaGame {
    type Input = Controls;
    type State = Ship;

    fn step(ship: &mut Ship, controls: &Controls, ctx: StepContext) {
        rules::step_ship(ship, controls, ctx.dt);
    }

    fn same_life(a: &Ship, b: &Ship) -> bool {
        a.life == b.life
    }

    fn distance(a: &Ship, b: &Ship) -> f32 {
        a.pos.distance(b.pos)
    }
}

/// The components that travel, in the order in which the server registers them.
#[must_use]
pub fn schema() -> Schema {
    Schema::builder()
        .component::<Ship>()
        .component::<Vitals>()
        .component::<Shot>()
        .component::<Pickup>()
        .build()
}

/// The messages that travel, in the order in which the server registers them.
#[must_use]
pub fn messages() -> MessageSet {
    MessageSet::builder()
        .message::<Hit>(channels::GAME_UNRELIABLE.0)
        .message::<Kill>(channels::GAME_RELIABLE_UNORDERED.0)
        .message::<MatchEnd>(channels::GAME_RELIABLE_ORDERED.0)
        .build()
}
