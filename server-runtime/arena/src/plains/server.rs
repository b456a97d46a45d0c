//! The plains' systems: the arena's rules, asked of those who are near. Never knows a packet or a connection; what is true
//! about the game stands in [`crate::rules`].
#![allow(
    elided_lifetimes_in_paths,
    clippy::needless_pass_by_value,
    reason = "systems are read by what they ask for, and take it by value"
)]

use server_runtime::prelude::*;

use super::{GROUND, PlainsGame, SIGHT_M, berth};
use crate::components::{Pickup, Ship, Shot, Vitals};
use crate::messages::{Hit, Kill};
use crate::rules::{self, REACH, SHIP_RADIUS, SHOT_RADIUS, SHOT_SPEED, SHOT_TICKS, TICK_HZ};
use crate::server::declare;
use crate::tuning::Tuning;

/// The plains, declared: the same components and messages as the arena's, in the same order.
#[must_use]
pub fn server(options: ServerOptions) -> ServerBuilder<PlainsGame> {
    let plains = Plains { seats: usize::from(options.clients_max) };
    declare::<PlainsGame>("plains")
        .visible_within::<Ship>(SIGHT_M, |ship| ship.pos)
        .visible_within::<Shot>(SIGHT_M, |shot| shot.at(HALF_FLIGHT_S))
        .visible_within::<Pickup>(SIGHT_M, |pickup| pickup.pos)
        .plugin(plains)
        .config(options)
}

struct Plains {
    seats: usize,
}

impl Plugin for Plains {
    fn build(&self, setup: &mut Setup) {
        setup
            .insert_resource(Nearby(SpatialGrid::new(CELL_M)))
            .insert_resource(Seats(self.seats))
            .init_resource::<Larder>()
            .add_systems(Stage::Receive, join)
            .add_systems(Stage::Simulate, (fire, restock))
            .add_systems(Stage::Resolve, (locate, fly_shots, take_pickups, keep_score).chain());
    }
}

/// Where the ships are now.
#[derive(Resource)]
struct Nearby(SpatialGrid<Entity>);

/// Where pick-ups are missing, and the tick from which each lies there again.
#[derive(Resource, Default)]
struct Larder(Vec<(Tick, usize)>);

/// For how many players the belt is.
#[derive(Resource)]
struct Seats(usize);

/// Where a ship comes to life.
#[derive(Component)]
struct Berth(Vec2);

/// The ship that a shot comes from.
#[derive(Component)]
struct FiredBy(Entity);

/// The seat whose berth a pick-up lies at.
#[derive(Component)]
struct Spot(usize);

/// A ship for everyone who takes a seat, and with every fourth a pick-up beside it.
fn join(
    (tick, seats): (Res<CurrentTick>, Res<Seats>),
    mut joined: EventReader<PlayerJoined>,
    mut larder: ResMut<Larder>,
    mut commands: Commands,
) {
    for join in joined.read() {
        let home = berth(join.seat, seats.0);
        commands.spawn((Owner(join.player), Ship::at(home), Vitals::default(), Berth(home)));
        if join.seat % SEATS_PER_PICKUP == 0 {
            larder.0.push((tick.0, join.seat));
        }
    }
}

/// Those that pulled the trigger get their shot, which lives in its shooter's time.
fn fire(tick: Res<CurrentTick>, ships: Query<(Entity, &Ship, &InputOf<PlainsGame>)>, mut commands: Commands) {
    for (ship, state, input) in ships.iter().filter(|(_, ship, _)| rules::fired(ship)) {
        commands.spawn((rules::shot_from(state, tick.0.0), input.rewind, FiredBy(ship)));
    }
}

/// Puts back what was taken long enough ago.
fn restock(
    (tick, seats): (Res<CurrentTick>, Res<Seats>),
    mut larder: ResMut<Larder>,
    mut commands: Commands,
) {
    larder.0.retain(|(due, spot)| {
        let is_due = tick.0.since(*due) >= 0;
        if is_due {
            let pos = berth(*spot, seats.0) * OUTSIDE;
            commands.spawn((Pickup { pos, heals: spot % 3 == 2 }, Spot(*spot)));
        }
        !is_due
    });
}

/// Everybody's place, for the systems that ask who is near.
fn locate(ships: Query<(Entity, &Ship)>, mut nearby: ResMut<Nearby>) {
    nearby.0.clear();
    for (entity, ship) in ships.iter().filter(|(_, ship)| ship.flies()) {
        nearby.0.insert(ship.pos.extend(0.0), entity);
    }
    nearby.0.sort();
}

/// Shots fly until they meet a ship or the edge, or are spent.
fn fly_shots(
    (tick, dt, lag, nearby): (Res<CurrentTick>, Res<Dt>, Res<LagCompensation>, Res<Nearby>),
    tuning: Res<Tuning>,
    shots: Query<(Entity, &Shot, &Rewind, &FiredBy)>,
    mut ships: Query<(&mut Ship, &mut Vitals, &Owner, &Berth)>,
    mut outbox: ResMut<Outbox>,
    mut commands: Commands,
) {
    for (entity, shot, rewind, by) in &shots {
        let age = tick.0.0.saturating_sub(shot.born);
        let (from, to) = (shot.at(age.saturating_sub(1) as f32 * dt.0), shot.at(age as f32 * dt.0));
        let met = first_met(&lag, &nearby, *rewind, (from, to), by.0);
        let struck = met.is_some_and(|met| strike(by.0, met, &tuning, &mut ships, &mut outbox));
        let stopped = rules::blocked_on(&GROUND, from, to, SHOT_RADIUS).is_some();
        if struck || stopped || age >= SHOT_TICKS {
            commands.entity(entity).despawn();
        }
    }
}

/// Who a shot meets first in this tick, where its shooter saw them: of those who are near enough now to have been there.
fn first_met(
    lag: &LagCompensation,
    nearby: &Nearby,
    rewind: Rewind,
    (from, to): (Vec2, Vec2),
    shooter: Entity,
) -> Option<Entity> {
    let (now, before) = (lag.seen(rewind), lag.recall(rewind.ticks + 1.0));
    let mut first: Option<(f32, Entity)> = None;
    nearby.0.near(to.extend(0.0), STRAY_M, |ship, _| {
        let Some(end) = now.pose(ship).filter(|_| ship != shooter) else { return };
        let start = before.pose(ship).unwrap_or(end).position();
        let met = rules::sweep(from, to - (end.position() - start), start, end.radius() + SHOT_RADIUS);
        if let Some(fraction) = met
            && first.is_none_or(|(least, _)| fraction < least)
        {
            first = Some((fraction, ship));
        }
    });
    first.map(|(_, ship)| ship)
}

/// Applies one hit; those it concerns hear of it. False when either has gone meanwhile: the shot flies on.
fn strike(
    by: Entity,
    target: Entity,
    tuning: &Tuning,
    ships: &mut Query<(&mut Ship, &mut Vitals, &Owner, &Berth)>,
    outbox: &mut Outbox,
) -> bool {
    let Ok([(_, mut shooter, by, _), (mut ship, mut vitals, of, home)]) = ships.get_many_mut([by, target])
    else {
        return false;
    };
    if !ship.flies() {
        return false;
    }
    let lost = rules::hit(&mut shooter, &mut vitals, tuning);
    let hit =
        Hit { shooter: by.0.0, victim: of.0.0, health: if lost { 0 } else { u32::from(vitals.health) } };
    if lost {
        *ship = rules::wreck(&ship, home.0);
    }
    for player in [by.0, of.0] {
        outbox.send(player, &hit);
        if lost {
            outbox.send(player, &Kill { killer: by.0.0, victim: of.0.0 });
        }
    }
    true
}

/// Who flies over a pick-up has it.
fn take_pickups(
    (tick, nearby, tuning): (Res<CurrentTick>, Res<Nearby>, Res<Tuning>),
    pickups: Query<(Entity, &Pickup, &Spot)>,
    mut ships: Query<(&Ship, &mut Vitals)>,
    mut larder: ResMut<Larder>,
    mut commands: Commands,
) {
    for (entity, pickup, spot) in &pickups {
        let mut taken = false;
        nearby.0.near(pickup.pos.extend(0.0), REACH, |ship, _| {
            // Looked at before it is changed: what is only looked at costs no replication.
            let Ok((ship, mut vitals)) = ships.get_mut(ship) else { return };
            taken = taken
                || rules::take(ship, vitals.bypass_change_detection(), pickup, &tuning) && {
                    vitals.set_changed();
                    true
                };
        });
        if taken {
            commands.entity(entity).despawn();
            larder.0.push((tick.0.offset(tuning.restock_ticks as i32), spot.0));
        }
    }
}

/// The scoreboard holds what changed.
fn keep_score(ships: Query<(&Owner, &Vitals), Changed<Vitals>>, mut board: ResMut<Scoreboard>) {
    for (owner, vitals) in &ships {
        let (kills, deaths) = (u32::from(vitals.kills), u32::from(vitals.deaths));
        *board.line(owner.0) = ScoreLine { score: i64::from(vitals.score), kills, deaths };
    }
}

/// A shot counts as being where it is halfway: it is 43 m long, and seen from its beginning to its end.
const HALF_FLIGHT_S: f32 = SHOT_TICKS as f32 / (2.0 * TICK_HZ as f32);
/// Pick-ups lie a little outside of a berth: not where a ship comes to life.
const OUTSIDE: f32 = 1.03;
/// One pick-up for so many players.
const SEATS_PER_PICKUP: usize = 4;
/// Half of what is asked for most, by shots.
const CELL_M: f32 = STRAY_M;
/// How far from a shot's end a ship may be now that it has met: the shot's way in a tick, the ship's in a quarter of a
/// second at 17 m/s and two of the ship's ticks more, and both radii: 0.8 + 4.3 + 0.6 + 1.4.
const STRAY_M: f32 = 7.2;
const _: () = assert!(SHOT_SPEED / (TICK_HZ as f32) < 0.81 && SHIP_RADIUS + SHOT_RADIUS < 1.41);
