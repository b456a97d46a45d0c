//! A replicated world that churns, drawn from a seed: motion, rests, components that come and go, births, deaths, and
//! names given to others soon after. Must never know who watches.

use std::collections::BTreeMap;

use glam::{Quat, Vec2};
use netcode_derive::{Input, Replicate};
use netcode_snapshot::{Frame, NetId, Schema};

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
#[net(predictor = "linear")]
struct Pose {
    #[net(range(-64.0..=64.0), step = 0.005)]
    pos: Vec2,
    #[net(quat, bits = 9)]
    turn: Quat,
    #[net(angle, bits = 12)]
    heading: f32,
}

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
struct Health {
    #[net(bits = 7)]
    hp: u8,
    shielded: bool,
    owner: NetId,
}

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
struct Marker;

/// What a viewer's input packets carry.
#[derive(Input, Clone, Debug, Default, PartialEq)]
pub(super) struct Press {
    #[net(bits = 3)]
    keys: u8,
}

/// Number of component types.
pub(super) const COMPONENTS: u8 = 3;

pub(super) fn schema() -> Schema {
    Schema::builder().component::<Pose>().component::<Health>().component::<Marker>().build()
}

#[derive(Debug)]
struct Thing {
    pose: Option<Pose>,
    vel: Vec2,
    health: Option<Health>,
    marker: bool,
}

/// The server's world.
#[derive(Debug)]
pub(super) struct Scene {
    rng: fastrand::Rng,
    things: BTreeMap<NetId, Thing>,
    /// Names that are free again.
    freed: Vec<NetId>,
    next_id: u32,
    /// How often anything unsteady happens to a thing, a tick.
    churn: f64,
    /// About how many there are.
    size: usize,
}

impl Scene {
    pub(super) fn new(seed: u64, size: usize, churn: f64) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        let mut scene = Self { rng, things: BTreeMap::new(), freed: Vec::new(), next_id: 0, churn, size };
        (0..size).for_each(|_| scene.spawn());
        scene
    }

    /// One tick.
    pub(super) fn step(&mut self) {
        let (rng, churn) = (&mut self.rng, self.churn);
        let freed = &mut self.freed;
        self.things.retain(|id, _| {
            let dies = rng.f64() < churn / 4.0;
            if dies {
                freed.push(*id);
            }
            !dies
        });
        for thing in self.things.values_mut() {
            thing.step(rng, churn);
        }
        let missing = self.size.saturating_sub(self.things.len());
        for _ in 0..missing {
            if self.rng.f64() < 0.2 {
                self.spawn();
            }
        }
    }

    /// From here on nothing changes any more.
    pub(super) fn calm(&mut self) {
        self.churn = 0.0;
        self.size = 0;
        self.things.values_mut().for_each(|thing| thing.vel = Vec2::ZERO);
    }

    pub(super) fn fill(&self, schema: &Schema, frame: &mut Frame) {
        for (id, thing) in &self.things {
            frame.push(schema, *id, |writer| {
                // Out of order on purpose: the frame sorts.
                thing.marker.then(|| writer.component(&Marker));
                thing.health.iter().for_each(|health| writer.component(health));
                thing.pose.iter().for_each(|pose| writer.component(pose));
            });
        }
    }

    fn spawn(&mut self) {
        let id = self.name();
        let rng = &mut self.rng;
        let pose = Pose {
            pos: Vec2::new(rng.f32() * 128.0 - 64.0, rng.f32() * 128.0 - 64.0),
            turn: Quat::IDENTITY,
            heading: rng.f32() * 6.0,
        };
        let health = Health { hp: rng.u8(..), shielded: rng.bool(), owner: NetId(rng.u32(..)) };
        let (has_pose, has_health, marker) = (rng.f32() < 0.9, rng.bool(), rng.bool());
        let (pose, health) = (has_pose.then_some(pose), has_health.then_some(health));
        let vel = velocity(rng);
        self.things.insert(id, Thing { pose, vel, health, marker });
    }

    /// A new name, or one whose bearer is gone: since just now, or for long.
    fn name(&mut self) -> NetId {
        if !self.freed.is_empty() && self.rng.bool() {
            let place = if self.rng.bool() { self.freed.len() - 1 } else { 0 };
            return self.freed.remove(place);
        }
        let gap = if self.rng.f64() < 0.02 { 100_000 } else { self.rng.u32(1..12) };
        self.next_id += gap;
        NetId(self.next_id)
    }
}

impl Thing {
    fn step(&mut self, rng: &mut fastrand::Rng, churn: f64) {
        if rng.f64() < churn {
            self.vel = if rng.bool() { velocity(rng) } else { Vec2::ZERO };
        }
        if let Some(pose) = &mut self.pose {
            pose.pos = (pose.pos + self.vel / 60.0).clamp(Vec2::splat(-64.0), Vec2::splat(64.0));
            pose.heading += self.vel.x * 0.01;
            pose.turn = (Quat::from_rotation_z(self.vel.y * 0.003) * pose.turn).normalize();
        }
        if let Some(health) = &mut self.health
            && rng.f64() < churn
        {
            (health.hp, health.shielded) = (rng.u8(..), rng.bool());
        }
        self.marker ^= rng.f64() < churn;
        if rng.f64() < churn / 2.0 {
            self.health = match self.health {
                Some(_) => None,
                None => Some(Health { hp: rng.u8(..), shielded: false, owner: NetId(7) }),
            };
        }
    }
}

fn velocity(rng: &mut fastrand::Rng) -> Vec2 {
    Vec2::new(rng.f32() * 40.0 - 20.0, rng.f32() * 40.0 - 20.0)
}
