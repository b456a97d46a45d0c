//! The plains: the arena's ships and rules on ground wide enough for a thousand players, each of whom is shown only what
//! is near. A world for load and for measuring; never knows a packet.
//!
//! Ships have a berth each along a belt that closes to a ring, as long as there are players: so every player has about as
//! many neighbours, however many there are, and nobody lives at an edge.

#[cfg(feature = "server")]
mod server;

use core::f32::consts::TAU;

use glam::{Vec2, vec2};
use netcode_client::{Game, StepContext};

use crate::components::Ship;
use crate::heading::direction;
use crate::input::Controls;
use crate::layout::Ground;
use crate::rules;

#[cfg(feature = "server")]
pub use server::server;

/// A square kilometre without a rock.
pub const GROUND: Ground = Ground { half_size: vec2(500.0, 500.0), rocks: &[] };
/// How far players see, metres.
pub const SIGHT_M: f32 = 56.0;
/// Metres along the belt from one berth to the next: within sight are some 2 × 56 / 2.75 = 40 ships.
pub const SPACING_M: f32 = 2.75;
/// Half the width of the belt, metres.
pub const BELT_M: f32 = 10.0;

/// The plains, as the prediction knows them.
#[derive(Clone, Copy, Debug)]
pub struct PlainsGame;

impl Game for PlainsGame {
    type Input = Controls;
    type State = Ship;

    fn step(ship: &mut Ship, controls: &Controls, ctx: StepContext) {
        rules::step_ship_on(&GROUND, ship, controls, ctx.dt);
    }

    fn same_life(a: &Ship, b: &Ship) -> bool {
        a.life == b.life
    }

    fn distance(a: &Ship, b: &Ship) -> f32 {
        a.pos.distance(b.pos)
    }
}

/// Where the ship of player number `seat` comes to life, on a belt for `seats` players.
#[must_use]
pub fn berth(seat: usize, seats: usize) -> Vec2 {
    let seats = seats.clamp(1, SEATS_MAX);
    let radius = SPACING_M * seats as f32 / TAU;
    // By thirds across the belt, so that neighbours are farther apart than along it.
    let across = BELT_M * ((seat % 3) as f32 - 1.0);
    direction((seat % seats) as f32 / seats as f32 * TAU) * (radius + across)
}

/// Berths that the plains have room for: a ring of 1050 × 2.75 / 2π = 460 m.
pub const SEATS_MAX: usize = 1050;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_as_many_neighbours() {
        for seats in [64, 256, 1000, 1024] {
            let berths: Vec<Vec2> = (0..seats).map(|seat| berth(seat, seats)).collect();
            for here in &berths {
                assert!((here.abs() + 20.0).cmplt(GROUND.half_size).all());
                let in_sight = berths.iter().filter(|there| there.distance(*here) < SIGHT_M).count();
                // Of few the belt is so short that the other side of the ring is in sight too.
                assert!((36..65).contains(&in_sight), "{in_sight} of {seats}");
            }
        }
    }
}
