//! The three motions of the Unity netcode benchmark (StinkySteak): along Y, along all axes, wandering. Owns where the
//! objects are; must never know how that is told.

use std::f32::consts::TAU;

use glam::{Quat, Vec3};

/// How the objects move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Motion {
    /// `amplitude × sin(speed × t)` along Y; both 0.5 to 1, each object its own.
    MoveY,
    /// `direction × sin(t)`, the direction at random in a cube of ±1 m.
    AllAxes,
    /// C. Reynolds' wandering (*Steering behaviors for autonomous characters*, 1999): at most 3 m/s, mass 15, a new aim in
    /// one step of twenty, back to the middle beyond 5 m; each object looks where it goes.
    Wander,
}

/// One object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object {
    pub(super) position: Vec3,
    pub(super) rotation: Quat,
    home: Vec3,
    /// Along Y: speed and amplitude. All axes: the direction. Wandering: the velocity.
    drive: Vec3,
    aim: Vec3,
}

impl Object {
    pub(super) fn new(motion: Motion, rng: &mut fastrand::Rng) -> Self {
        let home = in_cube(rng) * 5.0;
        let drive = match motion {
            Motion::MoveY => Vec3::new(0.5 + rng.f32() * 0.5, 0.5 + rng.f32() * 0.5, 0.0),
            Motion::AllAxes => in_cube(rng),
            Motion::Wander => on_sphere(rng),
        };
        Self { position: home, rotation: Quat::IDENTITY, home, drive, aim: on_sphere(rng) }
    }

    /// The object at time `t`, `dt` after the last step.
    pub(super) fn step(&mut self, motion: Motion, t: f32, dt: f32, rng: &mut fastrand::Rng) {
        match motion {
            Motion::MoveY => self.position = self.home + Vec3::Y * (t * self.drive.x).sin() * self.drive.y,
            Motion::AllAxes => self.position = self.home + self.drive * t.sin(),
            Motion::Wander => self.wander(dt, rng),
        }
    }

    fn wander(&mut self, dt: f32, rng: &mut fastrand::Rng) {
        if self.position.length() > RADIUS_M {
            self.aim = -self.position.normalize() + self.drive.normalize();
        } else if rng.f32() < TURN_CHANCE {
            // A point on a circle one metre ahead.
            self.aim = self.drive.normalize() + on_sphere(rng);
        }
        let wanted = self.aim.normalize_or(Vec3::X) * SPEED_M_S;
        let force = (wanted - self.drive).clamp_length_max(FORCE);
        self.drive = (self.drive + force / MASS).clamp_length_max(SPEED_M_S);
        self.position += self.drive * dt;
        let ahead = self.drive.normalize_or(Vec3::Z);
        // As an engine's `forward = v`: up stays up as far as it can.
        let right = Vec3::Y.cross(ahead).normalize_or(Vec3::X);
        let axes = glam::Mat3::from_cols(right, ahead.cross(right), ahead);
        self.rotation = Quat::from_mat3(&axes).normalize();
    }
}

fn in_cube(rng: &mut fastrand::Rng) -> Vec3 {
    Vec3::new(rng.f32() * 2.0 - 1.0, rng.f32() * 2.0 - 1.0, rng.f32() * 2.0 - 1.0)
}

fn on_sphere(rng: &mut fastrand::Rng) -> Vec3 {
    let (z, around) = (rng.f32() * 2.0 - 1.0, rng.f32() * TAU);
    let radius = (1.0 - z * z).sqrt();
    Vec3::new(radius * around.cos(), radius * around.sin(), z)
}

const RADIUS_M: f32 = 5.0;
const TURN_CHANCE: f32 = 0.05;
const SPEED_M_S: f32 = 3.0;
const FORCE: f32 = 15.0;
const MASS: f32 = 15.0;
