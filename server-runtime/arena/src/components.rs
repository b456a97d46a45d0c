//! What exists in the arena: the components, and how finely each one travels. Never knows a rule.

#[cfg(feature = "server")]
use bevy_ecs::component::Component;
use glam::Vec2;
use netcode_client::Spawned;
use netcode_derive::Replicate;
use netcode_wire::Tick;

use crate::heading::{direction, wrap};
use crate::rules::SHOT_SPEED;

/// A player's ship: all that its player predicts. Metres, seconds, radians.
#[derive(Clone, Debug, Default, PartialEq, Replicate)]
#[cfg_attr(feature = "server", derive(Component))]
#[net(predicted, interpolate = "linear")]
pub struct Ship {
    /// Where it is.
    #[net(range(-512.0..=512.0), step = 0.001)]
    pub pos: Vec2,
    /// Metres a second.
    #[net(range(-32.0..=32.0), step = 0.01)]
    pub vel: Vec2,
    /// Where the nose points.
    #[net(angle, bits = 12)]
    pub heading: f32,
    /// Ticks until the gun is loaded; [`crate::rules::RELOAD_TICKS`] on the tick of a shot.
    #[net(bits = 4)]
    pub cooldown: u8,
    /// Ticks until a lost ship flies again; 0 while it flies.
    #[net(bits = 8)]
    pub wait: u8,
    /// How often this player has died, modulo 256: tells a respawn from a journey.
    #[net(bits = 8)]
    pub life: u8,
}

/// What is counted for a ship, beside it on the same entity. The server alone changes it.
#[derive(Clone, Debug, PartialEq, Replicate)]
#[cfg_attr(feature = "server", derive(Component))]
#[net(interpolate = "none")]
pub struct Vitals {
    /// 0 (lost) to 100.
    #[net(bits = 7)]
    pub health: u8,
    /// Points.
    #[net(bits = 16)]
    pub score: u16,
    /// Ships shot down.
    #[net(bits = 8)]
    pub kills: u8,
    /// Ships lost.
    #[net(bits = 8)]
    pub deaths: u8,
}

/// A shot in flight. It flies straight, so its path is sent once and costs nothing while it flies.
#[derive(Clone, Debug, PartialEq, Replicate)]
#[cfg_attr(feature = "server", derive(Component))]
#[net(interpolate = "none")]
pub struct Shot {
    /// Where it left the gun.
    #[net(range(-512.0..=512.0), step = 0.001)]
    pub from: Vec2,
    /// Where it flies to.
    #[net(angle, bits = 12)]
    pub heading: f32,
    /// The tick it was fired at.
    #[net(opaque)]
    pub born: u32,
}

/// Something to fly over and take.
#[derive(Clone, Debug, PartialEq, Replicate)]
#[cfg_attr(feature = "server", derive(Component))]
#[net(interpolate = "none")]
pub struct Pickup {
    /// Where it lies.
    #[net(range(-512.0..=512.0), step = 0.001)]
    pub pos: Vec2,
    /// Whether it heals; otherwise it is worth points.
    pub heals: bool,
}

impl Ship {
    /// A ship at `pos` with its nose to the arena's centre.
    #[must_use]
    pub fn at(pos: Vec2) -> Self {
        Self { pos, heading: (-pos.y).atan2(-pos.x), ..Self::default() }
    }

    /// Whether it flies, and so can shoot, be shot, and take things.
    #[must_use]
    pub fn flies(&self) -> bool {
        self.wait == 0
    }
}

impl Default for Vitals {
    fn default() -> Self {
        Self { health: crate::rules::HEALTH_MAX, score: 0, kills: 0, deaths: 0 }
    }
}

impl Spawned for Shot {
    fn born(&self) -> Tick {
        Tick(self.born)
    }

    /// Ships are wider than a metre, so that another's shot of the same tick began elsewhere or flies elsewhere.
    fn same(&self, authority: &Self) -> bool {
        let turned = wrap(self.heading - authority.heading).abs();
        self.born == authority.born && self.from.distance(authority.from) < 1.0 && turned < 0.1
    }
}

impl Shot {
    /// Where the shot is `age_s` seconds after it was fired.
    #[must_use]
    pub fn at(&self, age_s: f32) -> Vec2 {
        self.from + direction(self.heading) * (SHOT_SPEED * age_s)
    }
}
