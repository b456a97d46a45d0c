//! A tiny game: walkers on a field. Owns its rules; knows nothing of the network.

use netcode::{Game, Input, Message, Replicate, StepContext};

/// What a player does in one tick.
#[derive(Clone, Debug, Default, PartialEq, Input)]
pub(crate) struct Steer {
    pub(crate) forward: bool,
    #[net(signed, bits = 2)]
    pub(crate) turn: i32,
}

/// A walker: the predicted component.
#[derive(Clone, Debug, PartialEq, Replicate)]
#[net(predicted)]
pub(crate) struct Walker {
    #[net(range(-64.0..=64.0), step = 0.005)]
    pub(crate) x: f32,
    #[net(range(-64.0..=64.0), step = 0.005)]
    pub(crate) y: f32,
    #[net(angle, bits = 12)]
    pub(crate) heading: f32,
    #[net(bits = 8)]
    pub(crate) life: u32,
}

/// Something else about an entity, which is not predicted.
#[derive(Clone, Debug, PartialEq, Replicate)]
pub(crate) struct Badge {
    #[net(bits = 16)]
    pub(crate) score: u32,
}

/// A game message.
#[derive(Clone, Debug, PartialEq, Message)]
pub(crate) struct Shout {
    pub(crate) number: u32,
}

impl Walker {
    pub(crate) fn at(x: f32, y: f32) -> Self {
        let mut walker = Self { x, y, heading: 0.0, life: 1 };
        walker.snap();
        walker
    }
}

/// The rules.
pub(crate) struct Field;

impl Game for Field {
    type Input = Steer;
    type State = Walker;

    fn step(walker: &mut Walker, steer: &Steer, context: StepContext) {
        walker.heading += steer.turn as f32 * 2.5 * context.dt;
        let speed = if steer.forward { 6.0 } else { 1.0 };
        walker.x = (walker.x + walker.heading.cos() * speed * context.dt).clamp(-60.0, 60.0);
        walker.y = (walker.y + walker.heading.sin() * speed * context.dt).clamp(-60.0, 60.0);
    }

    fn same_life(before: &Walker, after: &Walker) -> bool {
        before.life == after.life
    }

    fn distance(a: &Walker, b: &Walker) -> f32 {
        (a.x - b.x).hypot(a.y - b.y)
    }
}
