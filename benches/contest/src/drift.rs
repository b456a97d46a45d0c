//! A world in motion: who is where at each tick, the same for every library. Must never know how it is told.
//!
//! Each walker heads somewhere at its own speed, turns at a rate that it changes every second or so, and tilts a little.
//! Seeded and integer-timed, in basic arithmetic and `sin_cos` alone: one build gives equal worlds to all.

/// Where one entity is and how it is turned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// Metres, within [`HALF_WORLD`] of the origin on each axis.
    pub position: [f32; 3],
    /// A unit quaternion, x y z w.
    pub rotation: [f32; 4],
}

/// Entities that walk a square kilometre at 60 Hz.
#[derive(Debug, Clone)]
pub struct Drift {
    walkers: Vec<Walker>,
    moving: usize,
    random: u64,
}

#[derive(Debug, Clone, Copy)]
struct Walker {
    position: [f32; 3],
    heading: f32,
    speed: f32,
    turn: f32,
    climb: f32,
    tilt: f32,
    phase: f32,
}

/// Half of a side of the world, metres.
pub const HALF_WORLD: f32 = 500.0;

impl Drift {
    /// `entities` of which the first `moving` move.
    #[must_use]
    pub fn new(entities: usize, moving: usize, seed: u64) -> Self {
        let mut drift = Self { walkers: Vec::new(), moving: moving.min(entities), random: seed | 1 };
        for _ in 0..entities {
            let place = |unit: f32| (unit * 2.0 - 1.0) * HALF_WORLD * 0.9;
            let position = [place(drift.unit()), place(drift.unit()) * 0.1, place(drift.unit())];
            let heading = drift.unit() * core::f32::consts::TAU;
            let (speed, phase) = (2.0 + 6.0 * drift.unit(), drift.unit() * core::f32::consts::TAU);
            let (turn, climb, tilt) = (drift.unit() - 0.5, drift.unit() - 0.5, 0.0);
            drift.walkers.push(Walker { position, heading, speed, turn, climb, tilt, phase });
        }
        drift
    }

    /// One tick of a sixtieth of a second.
    pub fn step(&mut self) {
        for index in 0..self.moving {
            let mut walker = self.walkers[index];
            if self.unit() < 1.0 / 60.0 {
                walker.turn = (self.unit() - 0.5) * 4.0;
                walker.climb = (self.unit() - 0.5) * 2.0;
            }
            if self.unit() < 1.0 / 120.0 {
                walker.speed = 2.0 + 6.0 * self.unit();
            }
            walker.heading += walker.turn * DT;
            walker.phase = (walker.phase + 2.0 * DT) % core::f32::consts::TAU;
            // Leans into the curve, not at once.
            walker.tilt += (walker.turn * 0.15 - walker.tilt) * 0.1;
            let (sin, cos) = walker.heading.sin_cos();
            let step = [sin * walker.speed * DT, walker.climb * DT, cos * walker.speed * DT];
            for (axis, step) in step.into_iter().enumerate() {
                walker.position[axis] += step;
            }
            if walker.position.iter().any(|axis| axis.abs() > HALF_WORLD - 1.0) {
                // Back towards the middle.
                walker.heading = (-walker.position[0]).atan2(-walker.position[2]);
                walker.climb = -walker.climb;
                walker.position = walker.position.map(|axis| axis.clamp(1.0 - HALF_WORLD, HALF_WORLD - 1.0));
            }
            self.walkers[index] = walker;
        }
    }

    /// How many move: these are the first ones.
    #[must_use]
    pub fn moving(&self) -> usize {
        self.moving
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.walkers.len()
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.walkers.is_empty()
    }

    /// The pose of entity `index`.
    ///
    /// # Panics
    /// When there is no such entity.
    #[must_use]
    pub fn pose(&self, index: usize) -> Pose {
        let walker = &self.walkers[index];
        let pitch = 0.05 * walker.phase.sin();
        let (yaw, pitch, roll) = (half(walker.heading), half(pitch), half(walker.tilt));
        // Yaw about y, then pitch about x, then roll about z.
        let [x, y, z, w] = multiply([0.0, yaw.0, 0.0, yaw.1], [pitch.0, 0.0, 0.0, pitch.1]);
        Pose { position: walker.position, rotation: multiply([x, y, z, w], [0.0, 0.0, roll.0, roll.1]) }
    }

    /// 0 to 1, from the top bits of xorshift64* (Vigna, 2016).
    fn unit(&mut self) -> f32 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / 16_777_216.0
    }
}

fn half(angle: f32) -> (f32, f32) {
    (angle * 0.5).sin_cos()
}

fn multiply(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
    [
        a[3] * b[0] + a[0] * b[3] + a[1] * b[2] - a[2] * b[1],
        a[3] * b[1] - a[0] * b[2] + a[1] * b[3] + a[2] * b[0],
        a[3] * b[2] + a[0] * b[1] - a[1] * b[0] + a[2] * b[3],
        a[3] * b[3] - a[0] * b[0] - a[1] * b[1] - a[2] * b[2],
    ]
}

const DT: f32 = 1.0 / 60.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_walk_equally_inside_the_world() {
        let (mut one, mut other) = (Drift::new(40, 30, 7), Drift::new(40, 30, 7));
        let start: Vec<_> = (0..40).map(|index| one.pose(index)).collect();
        for _ in 0..2_000 {
            one.step();
            other.step();
        }
        for (index, start) in start.iter().enumerate() {
            let pose = one.pose(index);
            assert_eq!(pose, other.pose(index));
            assert_eq!(pose != *start, index < one.moving(), "{index}");
            let length: f32 = pose.rotation.iter().map(|part| part * part).sum();
            assert!((length - 1.0).abs() < 1e-4, "{index}: {length}");
            assert!(pose.position.iter().all(|axis| axis.abs() <= HALF_WORLD), "{index}");
        }
    }
}
