//! The cubes bench's own scene: nine hundred cubes on a plane and a player's cube that ploughs through them, rolling what
//! it meets along, as in G. Fiedler's demonstration. Owns how the scene comes about; must never know what becomes of it.
//!
//! `cubes-scene FILE [--frames N] [--seed N]` writes frames of 901 cubes, each `largest, a, b, c, x, y, z, interacting` in
//! little-endian i32: smallest-three rotations of 9 bits, positions in 1/512 m, z upwards.

use std::io::Write;

use anyhow::Context;
use rapier3d::prelude::*;

/// Smaller cubes on a side of their square.
const SIDE: usize = 30;
/// Metres between the middles of two of them.
const SPACING: f32 = 0.9;
/// Half an edge, metres: of the small ones, of the player's.
const SMALL: f32 = 0.2;
const LARGE: f32 = 0.75;
/// Physics steps of a frame.
const STEPS: usize = 2;
/// What is nearer to the middle of the player's cube than this is pulled along, metres.
const PULL_REACH: f32 = 1.9;
/// Where the player goes, metres from the middle.
const FIELD: f32 = 11.0;
/// How fast, metres a second.
const SPEED: f32 = 5.0;
/// The furthest that can be written, metres.
const REACH: f32 = 31.9;

struct Scene {
    world: PhysicsWorld,
    /// The player's first.
    cubes: Vec<RigidBodyHandle>,
    rng: fastrand::Rng,
    goal: Vector,
    /// Frames until another goal.
    patience: u32,
}

fn main() -> anyhow::Result<()> {
    let (mut path, mut frames, mut seed) = (None, 2836u32, 1u64);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse::<u64>().ok());
        match argument.as_str() {
            "--frames" => frames = u32::try_from(number().context("--frames takes a number")?)?,
            "--seed" => seed = number().context("--seed takes a number")?,
            _ => path = Some(argument),
        }
    }
    let path = path.context("cubes-scene FILE [--frames N] [--seed N]")?;
    let mut out = std::io::BufWriter::new(std::fs::File::create(&path).context(path)?);
    let mut scene = Scene::new(seed);
    for _ in 0..frames {
        scene.step();
        scene.write(&mut out)?;
    }
    Ok(out.flush()?)
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut world = PhysicsWorld::new();
        world.gravity = Vector::new(0.0, 0.0, -9.81);
        world.integration_parameters.dt = 1.0 / (60 * STEPS) as f32;
        let ground = ColliderBuilder::cuboid(200.0, 200.0, 1.0).translation(Vector::new(0.0, 0.0, -1.0));
        world.insert_collider(ground.friction(0.7), None);
        let rng = fastrand::Rng::with_seed(seed);
        let mut scene = Self { world, cubes: Vec::new(), rng, goal: Vector::ZERO, patience: 0 };
        scene.cube(Vector::new(0.0, -16.0, LARGE), LARGE);
        for place in 0..SIDE * SIDE {
            let along = |at: usize| (at as f32 - (SIDE - 1) as f32 / 2.0) * SPACING;
            scene.cube(Vector::new(along(place % SIDE), along(place / SIDE), SMALL), SMALL);
        }
        scene
    }

    fn cube(&mut self, at: Vector, half: f32) {
        let body = self.world.insert_body(RigidBodyBuilder::dynamic().translation(at));
        let cube = ColliderBuilder::cuboid(half, half, half).density(100.0).friction(0.6);
        self.world.insert_collider(cube, Some(body));
        self.cubes.push(body);
    }

    /// A frame: the player's will, then the physics.
    fn step(&mut self) {
        let player = self.world.bodies[self.cubes[0]].translation();
        let to = self.goal - player;
        if self.patience == 0 || to.truncate().length() < 2.0 {
            let mut along = || (self.rng.f32() * 2.0 - 1.0) * FIELD;
            self.goal = Vector::new(along(), along(), 0.0);
            self.patience = 60 + self.rng.u32(0..180);
        }
        self.patience -= 1;
        for _ in 0..STEPS {
            self.drive();
            self.world.step();
        }
    }

    fn drive(&mut self) {
        let dt = self.world.integration_parameters.dt;
        let goal = self.goal;
        let body = &mut self.world.bodies[self.cubes[0]];
        let (at, mass) = (body.translation(), body.mass());
        let mut way = goal - at;
        way.z = 0.0;
        let wanted = way.normalize_or_zero() * SPEED;
        let missing = wanted - Vector::new(body.linvel().x, body.linvel().y, 0.0);
        body.apply_impulse(missing * (mass * 4.0 * dt), true);
        for cube in &self.cubes[1..] {
            let body = &mut self.world.bodies[*cube];
            let to = at - body.translation();
            let far = to.length();
            if far < PULL_REACH {
                let pull = to.normalize_or_zero() * (body.mass() * 18.0 * dt);
                body.apply_impulse(pull, true);
            }
        }
    }

    fn write(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let player = self.world.bodies[self.cubes[0]].translation();
        for (number, cube) in self.cubes.iter().enumerate() {
            let body = &self.world.bodies[*cube];
            let (at, turn) = (body.translation(), body.rotation());
            anyhow::ensure!(at.abs().max_element() < REACH, "a cube left the field");
            let interacting = number == 0 || (at - player).length() < PULL_REACH;
            let steps = |metres: f32| (metres * 512.0).round() as i32;
            let [largest, a, b, c] = smallest_three([turn.x, turn.y, turn.z, turn.w]);
            let cube = [largest, a, b, c, steps(at.x), steps(at.y), steps(at.z.max(0.0)), interacting.into()];
            cube.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))?;
        }
        Ok(())
    }
}

/// Which part is the largest, and the others in 9 bits each, the largest positive.
fn smallest_three(parts: [f32; 4]) -> [i32; 4] {
    let size = |place: usize| parts[place].abs();
    let largest = (1..4).fold(0, |best, place| if size(place) > size(best) { place } else { best });
    let sign = parts[largest].signum();
    let code = |part: f32| {
        let share = (part * sign * std::f32::consts::SQRT_2 + 1.0) * 0.5;
        (share.clamp(0.0, 1.0) * 511.0 + 0.5) as i32
    };
    let mut codes = (0..4).filter(|place| *place != largest).map(|place| code(parts[place]));
    let mut next = || codes.next().unwrap_or_default();
    [largest as i32, next(), next(), next()]
}
