//! The ground the match is played on: its edges, rocks, berths and pick-up spots. All constants, so that server and
//! clients collide with the same stones; never knows who is playing.

use glam::{Vec2, vec2};

/// Half the arena's size in metres: x runs from −64 to 64, y from −36 to 36.
pub const HALF_SIZE: Vec2 = vec2(64.0, 36.0);

/// A round obstacle that stops ships and shots alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rock {
    /// Its centre, in metres.
    pub pos: Vec2,
    /// Its radius, in metres.
    pub radius: f32,
}

/// Where ships fly: its edges and its rocks.
#[derive(Clone, Copy, Debug)]
pub struct Ground {
    /// Half its size in metres, centred on the origin.
    pub half_size: Vec2,
    /// What stands in the way.
    pub rocks: &'static [Rock],
}

/// The ground of a match.
pub const ARENA: Ground = Ground { half_size: HALF_SIZE, rocks: &ROCKS };

/// Every rock of the arena. The gaps between them let two ships pass side by side.
pub const ROCKS: [Rock; 13] = [
    rock(0.0, 0.0, 5.5),
    rock(-20.0, 11.0, 3.5),
    rock(20.0, -11.0, 3.5),
    rock(-19.0, -14.0, 2.5),
    rock(19.0, 14.0, 2.5),
    rock(-38.0, 0.0, 4.5),
    rock(38.0, 0.0, 4.5),
    rock(-46.0, 21.0, 3.0),
    rock(46.0, -21.0, 3.0),
    rock(-44.0, -22.0, 2.0),
    rock(44.0, 22.0, 2.0),
    rock(0.0, 25.0, 3.0),
    rock(0.0, -25.0, 3.0),
];

/// Where ships come to life.
pub const BERTHS: [Vec2; 10] = [
    vec2(-57.0, -29.0),
    vec2(57.0, 29.0),
    vec2(-57.0, 29.0),
    vec2(57.0, -29.0),
    vec2(-20.0, 30.0),
    vec2(20.0, -30.0),
    vec2(20.0, 30.0),
    vec2(-20.0, -30.0),
    vec2(-58.0, 0.0),
    vec2(58.0, 0.0),
];

/// Where pick-ups lie. Every third one heals.
pub const SPOTS: [Vec2; 9] = [
    vec2(0.0, 14.0),
    vec2(-31.0, 25.0),
    vec2(31.0, -25.0),
    vec2(0.0, -14.0),
    vec2(31.0, 25.0),
    vec2(-31.0, -25.0),
    vec2(-26.0, 0.0),
    vec2(26.0, 0.0),
    vec2(0.0, 33.0),
];

const fn rock(x: f32, y: f32, radius: f32) -> Rock {
    Rock { pos: vec2(x, y), radius }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::SHIP_RADIUS;

    #[test]
    fn berths_and_spots_are_free_and_inside() {
        for place in BERTHS.iter().chain(&SPOTS) {
            assert!(place.x.abs() < HALF_SIZE.x - SHIP_RADIUS && place.y.abs() < HALF_SIZE.y - SHIP_RADIUS);
            for rock in &ROCKS {
                assert!(
                    place.distance(rock.pos) > rock.radius + 2.0 * SHIP_RADIUS,
                    "{place} is inside {rock:?}"
                );
            }
        }
    }

    #[test]
    fn two_ships_can_pass_between_any_two_rocks() {
        for (index, one) in ROCKS.iter().enumerate() {
            for two in &ROCKS[index + 1..] {
                assert!(one.pos.distance(two.pos) - one.radius - two.radius > 4.0 * SHIP_RADIUS);
            }
        }
    }
}
