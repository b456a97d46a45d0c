//! How the arena looks in the live view: components to shapes. Never changes the world.
#![allow(elided_lifetimes_in_paths, reason = "systems are read by their components, not by their borrows")]

use std::collections::VecDeque;

use server_runtime::prelude::*;

use crate::components::{Pickup, Ship, Shot, Vitals};
use crate::layout::{HALF_SIZE, ROCKS};
use crate::rules::{HEALTH_MAX, SHIP_RADIUS, SHOT_RADIUS};
use crate::server::FiredBy;

/// A ship's name and colour, for those who watch.
#[derive(Component, Clone, Debug)]
pub(crate) struct Callsign {
    name: String,
    hue: u16,
}

impl Callsign {
    /// Hues lie the golden angle apart: any number of them stay far from one another.
    pub(crate) fn new(name: &str, seat: usize) -> Self {
        Self { name: name.into(), hue: (seat * 275 / 2 % 360) as u16 }
    }
}

/// The last few ships shot down, newest last.
#[derive(Resource, Default)]
pub(crate) struct KillFeed {
    count: u32,
    latest: VecDeque<(u32, PlayerId, PlayerId)>,
}

impl KillFeed {
    pub(crate) fn add(&mut self, killer: PlayerId, victim: PlayerId) {
        self.count += 1;
        self.latest.push_back((self.count, killer, victim));
        if self.latest.len() > KILLS_SHOWN {
            self.latest.pop_front();
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
        let shape = Shape::new("pickup", pickup.pos).id(id.0).radius(0.9);
        scene.push(if pickup.heals { shape.label("health").hue(145) } else { shape.label("points").hue(48) });
    }
    let ships = draw_ships(world, &mut scene);
    let now = (world.resource::<CurrentTick>().0.0, world.resource::<Dt>().0);
    for (id, shot, by) in world.query::<(&Networked, &Shot, &FiredBy)>().iter(world) {
        let pos = shot.at(now.0.saturating_sub(shot.born) as f32 * now.1);
        let hue =
            ships.iter().find(|(player, _)| *player == by.player).map_or(45, |(_, callsign)| callsign.hue);
        scene.push(Shape::new("shot", pos).id(id.0).radius(SHOT_RADIUS).angle(shot.heading).hue(hue));
    }
    draw_kills(world.resource::<KillFeed>(), &ships, &mut scene);
    scene
}

fn draw_ships(world: &mut World, scene: &mut Scene) -> Vec<(PlayerId, Callsign)> {
    let mut ships = world.query::<(&Networked, &Owner, &Ship, &Vitals, &Callsign)>();
    let drawn = ships.iter(world).map(|(id, owner, ship, vitals, callsign)| {
        let health = if ship.flies() { f32::from(vitals.health) / f32::from(HEALTH_MAX) } else { 0.0 };
        let shape = ghost(ship).id(id.0).label(callsign.name.clone()).hue(callsign.hue);
        scene.push(shape.health(health).score(i64::from(vitals.score)));
        (owner.0, callsign.clone())
    });
    drawn.collect()
}

/// One line a kill, "killer ✕ victim": a shape without a place, with a number that goes up.
fn draw_kills(feed: &KillFeed, ships: &[(PlayerId, Callsign)], scene: &mut Scene) {
    let name = |who| ships.iter().find(|(player, _)| *player == who).map_or("?", |(_, it)| it.name.as_str());
    for (number, killer, victim) in &feed.latest {
        let line = format!("{} ✕ {}", name(*killer), name(*victim));
        scene.push(Shape::new("news", Vec2::ZERO).id(NetId(*number)).label(line));
    }
}

/// A ship alone, as a client predicts it.
pub(crate) fn ghost(ship: &Ship) -> Shape {
    Shape::new("ship", ship.pos).radius(SHIP_RADIUS).angle(ship.heading)
}

const KILLS_SHOWN: usize = 5;
