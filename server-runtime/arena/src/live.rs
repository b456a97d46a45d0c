//! How the arena looks in the live view: components to shapes. Never changes the world.
#![allow(elided_lifetimes_in_paths, reason = "systems are read by their components, not by their borrows")]

use std::collections::VecDeque;

use server_runtime::prelude::*;

use crate::components::{Pickup, Ship, Shot, Vitals};
use crate::layout::{HALF_SIZE, ROCKS};
use crate::rules::{HEALTH_MAX, SHIP_RADIUS, SHOT_RADIUS};
use crate::server::FiredBy;

/// A ship's name and colour (degrees on the wheel), for those who watch.
#[derive(Component)]
pub(crate) struct Callsign {
    pub(crate) name: String,
    pub(crate) hue: u16,
}

/// The last few ships shot down, "killer ✕ victim", newest last, numbered.
#[derive(Resource, Default)]
pub(crate) struct KillFeed(VecDeque<(u32, String)>);

impl KillFeed {
    pub(crate) fn add(&mut self, line: String) {
        let number = self.0.back().map_or(1, |(number, _)| number + 1);
        self.0.push_back((number, line));
        if self.0.len() > KILLS_SHOWN {
            self.0.pop_front();
        }
    }
}

/// The arena as the server knows it now.
pub(crate) fn draw(world: &mut World) -> Scene {
    let mut scene = Scene::new(HALF_SIZE.x * 2.0, HALF_SIZE.y * 2.0);
    for rock in &ROCKS {
        scene.push(Shape::new("rock", rock.pos).radius(rock.radius));
    }
    for (id, pickup) in world.query::<(&Networked, &Pickup)>().iter(world) {
        let (label, hue) = if pickup.heals { ("health", 145) } else { ("points", 48) };
        scene.push(Shape::new("pickup", pickup.pos).id(id.0).radius(0.9).label(label).hue(hue));
    }
    let (tick, dt) = (world.resource::<CurrentTick>().0.0, world.resource::<Dt>().0);
    for (id, shot, by) in world.query::<(&Networked, &Shot, &FiredBy)>().iter(world) {
        let pos = shot.at(tick.saturating_sub(shot.born) as f32 * dt);
        scene.push(Shape::new("shot", pos).id(id.0).radius(SHOT_RADIUS).angle(shot.heading).hue(by.hue));
    }
    for (id, ship, vitals, callsign) in world.query::<(&Networked, &Ship, &Vitals, &Callsign)>().iter(world) {
        let health = if ship.flies() { f32::from(vitals.health) / f32::from(HEALTH_MAX) } else { 0.0 };
        let shape = ghost(ship).id(id.0).label(callsign.name.clone()).hue(callsign.hue);
        scene.push(shape.health(health).score(i64::from(vitals.score)));
    }
    // A shape without a place, with a number that goes up.
    for (number, line) in &world.resource::<KillFeed>().0 {
        scene.push(Shape::new("news", Vec2::ZERO).id(NetId(*number)).label(line.clone()));
    }
    scene
}

/// A ship alone, as a client predicts it.
pub(crate) fn ghost(ship: &Ship) -> Shape {
    Shape::new("ship", ship.pos).radius(SHIP_RADIUS).angle(ship.heading)
}

const KILLS_SHOWN: usize = 5;
