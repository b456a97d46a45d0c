//! The rules: pure functions of what they are given, the same on server, bots and browser. Never knows a tick's
//! schedule, an entity or a clock.

use glam::Vec2;

use crate::components::{Pickup, Ship, Shot, Vitals};
use crate::heading::{direction, wrap};
use crate::input::Controls;
use crate::layout::{ARENA, BERTHS, Ground};
use crate::tuning::Tuning;

/// The tick that these rules were tuned for, in hertz; what is counted in ticks is counted in these.
pub const TICK_HZ: u16 = 60;
/// Metres.
pub const SHIP_RADIUS: f32 = 1.2;
/// Radians a second at full stick.
pub const TURN_RATE: f32 = 4.0;
/// Metres a second, squared, at full thrust.
pub const THRUST: f32 = 26.0;
/// Share of the speed lost a second: full thrust and drag balance near 17 m/s.
pub const DRAG: f32 = 1.5;
/// Share of the speed across a wall that a ship keeps, turned round.
pub const BOUNCE: f32 = 0.5;
/// Metres a second.
pub const SHOT_SPEED: f32 = 48.0;
/// Metres.
pub const SHOT_RADIUS: f32 = 0.2;
/// Ticks that a shot flies: 0.9 s, 43 m.
pub const SHOT_TICKS: u32 = 54;
/// Ticks between two shots.
pub const RELOAD_TICKS: u8 = 14;
/// Full health.
pub const HEALTH_MAX: u8 = 100;
/// Ticks from a ship's loss to its next life.
pub const WAIT_TICKS: u8 = 120;
/// Metres between a ship's centre and a pick-up's, to take it.
pub const REACH: f32 = 2.2;

/// Moves a ship of the arena by one tick.
pub fn step_ship(ship: &mut Ship, controls: &Controls, dt: f32) {
    step_ship_on(&ARENA, ship, controls, dt);
}

/// Moves a ship by one tick: the only function that moves ships, on either side of the wire.
pub fn step_ship_on(ground: &Ground, ship: &mut Ship, controls: &Controls, dt: f32) {
    if !ship.flies() {
        ship.wait -= 1;
        return;
    }
    ship.heading = wrap(ship.heading + controls.turn * TURN_RATE * dt);
    ship.vel += direction(ship.heading) * (controls.thrust * THRUST * dt);
    ship.vel -= ship.vel * (DRAG * dt);
    ship.pos += ship.vel * dt;
    for rock in ground.rocks {
        bounce_off_rock(ship, rock.pos, rock.radius + SHIP_RADIUS);
    }
    bounce_off_walls(ship, ground.half_size);
    ship.cooldown = ship.cooldown.saturating_sub(1);
    if controls.fire && ship.cooldown == 0 {
        ship.cooldown = RELOAD_TICKS;
    }
}

fn bounce_off_rock(ship: &mut Ship, centre: Vec2, reach: f32) {
    let apart = ship.pos - centre;
    let distance = apart.length();
    if distance >= reach {
        return;
    }
    let outward = if distance > 0.0 { apart / distance } else { Vec2::X };
    ship.pos = centre + outward * reach;
    let inward_speed = ship.vel.dot(outward).min(0.0);
    ship.vel -= outward * (inward_speed * (1.0 + BOUNCE));
}

fn bounce_off_walls(ship: &mut Ship, half_size: Vec2) {
    let most = half_size - Vec2::splat(SHIP_RADIUS);
    let inside = ship.pos.clamp(-most, most);
    ship.vel = Vec2::select(inside.cmpne(ship.pos), ship.vel * -BOUNCE, ship.vel);
    ship.pos = inside;
}

/// Whether the ship's last step fired its gun.
#[must_use]
pub fn fired(ship: &Ship) -> bool {
    ship.cooldown == RELOAD_TICKS
}

/// The shot that `ship` fires at tick `born`.
#[must_use]
pub fn shot_from(ship: &Ship, born: u32) -> Shot {
    Shot { from: ship.pos + direction(ship.heading) * SHIP_RADIUS, heading: ship.heading, born }
}

/// How far along `from`→`to` (0..=1) a point first comes within `radius` of `centre`. For a target that moves by `d`
/// meanwhile, subtract `d` from `to`.
#[must_use]
pub fn sweep(from: Vec2, to: Vec2, centre: Vec2, radius: f32) -> Option<f32> {
    let (start, path) = (from - centre, to - from);
    let outside = start.length_squared() - radius * radius;
    if outside <= 0.0 {
        return Some(0.0);
    }
    // |start + path·t|² = radius², solved for the smaller t.
    let (a, half_b) = (path.length_squared(), start.dot(path));
    let root = half_b * half_b - a * outside;
    if half_b >= 0.0 || root < 0.0 {
        return None;
    }
    let along = (-half_b - root.sqrt()) / a;
    (along <= 1.0).then_some(along)
}

/// How far along `from`→`to` (0..=1) something of `radius` meets a rock or the arena's edge.
#[must_use]
pub fn blocked(from: Vec2, to: Vec2, radius: f32) -> Option<f32> {
    blocked_on(&ARENA, from, to, radius)
}

/// As [`blocked`], on any ground.
#[must_use]
pub fn blocked_on(ground: &Ground, from: Vec2, to: Vec2, radius: f32) -> Option<f32> {
    let rocks = ground.rocks.iter().filter_map(|rock| sweep(from, to, rock.pos, rock.radius + radius));
    let edge = (to.abs().cmpgt(ground.half_size).any()).then_some(1.0);
    rocks.chain(edge).min_by(f32::total_cmp)
}

/// A hit on `victim` by `shooter`: points, damage. True when it was the last one; then call [`wreck`].
pub fn hit(shooter: &mut Vitals, victim: &mut Vitals, tuning: &Tuning) -> bool {
    shooter.score = shooter.score.saturating_add(tuning.hit_points);
    victim.health = victim.health.saturating_sub(tuning.hit_damage);
    if victim.health > 0 {
        return false;
    }
    shooter.score = shooter.score.saturating_add(tuning.kill_points);
    shooter.kills = shooter.kills.saturating_add(1);
    victim.deaths = victim.deaths.saturating_add(1);
    victim.health = HEALTH_MAX;
    true
}

/// A hit on a ship that flew when and where the `shooter` saw it, but has been lost to others by now: a hit all the same.
pub fn hit_wreck(shooter: &mut Vitals, tuning: &Tuning) {
    shooter.score = shooter.score.saturating_add(tuning.hit_points);
}

/// Ends a ship's life. Deliberate: it is moved to its next berth at once and waits there, so that its owner predicts
/// the moment it flies again to the tick.
#[must_use]
pub fn wreck(ship: &Ship, berth: Vec2) -> Ship {
    Ship { wait: WAIT_TICKS, life: ship.life.wrapping_add(1), ..Ship::at(berth) }
}

/// The berth that is farthest from everyone in `others`.
#[must_use]
pub fn berth(others: &[Vec2]) -> Vec2 {
    let room =
        |berth: &Vec2| others.iter().map(|other| berth.distance_squared(*other)).fold(f32::MAX, f32::min);
    BERTHS.into_iter().max_by(|a, b| room(a).total_cmp(&room(b))).unwrap_or_default()
}

/// Whether a ship takes a pick-up, with what it gives. One that heals is left to those who need it.
pub fn take(ship: &Ship, vitals: &mut Vitals, pickup: &Pickup, tuning: &Tuning) -> bool {
    let within_reach = ship.flies() && ship.pos.distance(pickup.pos) < REACH;
    if !within_reach || (pickup.heals && vitals.health == HEALTH_MAX) {
        return false;
    }
    if pickup.heals {
        vitals.health = vitals.health.saturating_add(tuning.heal).min(HEALTH_MAX);
    } else {
        vitals.score = vitals.score.saturating_add(tuning.pickup_points);
    }
    true
}

#[cfg(test)]
mod tests {
    use glam::vec2;
    use proptest::prelude::*;

    use super::*;
    use crate::layout::{HALF_SIZE, ROCKS};

    const DT: f32 = 1.0 / 60.0;

    fn controls() -> impl Strategy<Value = Controls> {
        (-16..=16_i8, -4..=4_i8, any::<bool>()).prop_map(|(turn, thrust, fire)| Controls {
            turn: f32::from(turn) / 16.0,
            thrust: f32::from(thrust) / 4.0,
            fire,
        })
    }

    /// Each of a few wishes, held for a while.
    fn flight() -> impl Strategy<Value = Vec<Controls>> {
        prop::collection::vec((controls(), 1..40_usize), 1..30).prop_map(|held| {
            held.into_iter().flat_map(|(it, ticks)| std::iter::repeat_n(it, ticks)).collect()
        })
    }

    fn fly(berth: usize, flight: &[Controls], mut each: impl FnMut(&Ship, &Ship)) -> Ship {
        let mut ship = Ship::at(BERTHS[berth % BERTHS.len()]);
        for controls in flight {
            let before = ship.clone();
            step_ship(&mut ship, controls, DT);
            each(&before, &ship);
        }
        ship
    }

    fn bits(ship: &Ship) -> [u32; 5] {
        [ship.pos.x, ship.pos.y, ship.vel.x, ship.vel.y, ship.heading].map(f32::to_bits)
    }

    proptest! {
        #[test]
        fn equal_inputs_give_equal_bits(berth in 0..10_usize, flight in flight()) {
            let [one, two] = [(); 2].map(|()| fly(berth, &flight, |_, _| {}));
            prop_assert_eq!(bits(&one), bits(&two));
        }

        #[test]
        fn ships_stay_inside_and_out_of_rocks(berth in 0..10_usize, flight in flight()) {
            let most = HALF_SIZE - Vec2::splat(SHIP_RADIUS);
            fly(berth, &flight, |_, ship| {
                assert!(ship.pos.abs().cmple(most + 1e-4).all(), "{ship:?}");
                for rock in &ROCKS {
                    assert!(ship.pos.distance(rock.pos) > rock.radius + SHIP_RADIUS - 1e-3, "{ship:?} in {rock:?}");
                }
            });
        }

        #[test]
        fn energy_comes_from_thrust_alone(berth in 0..10_usize, flight in flight()) {
            fly(berth, &flight, |before, ship| {
                let gained = ship.vel.length() - before.vel.length();
                assert!(gained <= THRUST * DT + 1e-3, "{before:?} {ship:?}");
            });
            let mut drifting = fly(berth, &flight, |_, _| {});
            for _ in 0..240 {
                let before = drifting.vel.length();
                step_ship(&mut drifting, &Controls::default(), DT);
                prop_assert!(drifting.vel.length() <= before, "{:?}", drifting);
            }
        }

        #[test]
        fn sweep_agrees_with_small_steps(
            from in (-9.0..9.0_f32, -9.0..9.0_f32), to in (-9.0..9.0_f32, -9.0..9.0_f32), radius in 0.5..4.0_f32,
        ) {
            let (from, to) = (Vec2::from(from), Vec2::from(to));
            let stepped = (0..=2000).map(|step| step as f32 / 2000.0).find(|t| from.lerp(to, *t).length() <= radius);
            match (sweep(from, to, Vec2::ZERO, radius), stepped) {
                (Some(at), Some(stepped)) => prop_assert!((at - stepped).abs() < 0.002, "{} {}", at, stepped),
                // A touch between two of the small steps is the one thing they may miss.
                (Some(at), None) => prop_assert!(from.lerp(to, at).length() > radius - 0.01),
                (None, found) => prop_assert_eq!(found, None),
            }
        }
    }

    #[test]
    fn full_thrust_settles_at_the_speed_that_fits_its_column() {
        let mut ship = Ship::at(vec2(-60.0, 30.0));
        ship.heading = 0.0;
        for _ in 0..240 {
            step_ship(&mut ship, &Controls { thrust: 1.0, ..Controls::default() }, DT);
            assert!(ship.vel.length() < 32.0);
        }
        assert!((ship.vel.x - THRUST / DRAG).abs() < 1.5, "{ship:?}");
    }

    #[test]
    fn a_rock_turns_a_ship_back_with_less_speed() {
        let mut ship = Ship { pos: vec2(10.0, 0.0), vel: vec2(-16.0, 0.0), ..Ship::default() };
        for _ in 0..60 {
            step_ship(&mut ship, &Controls::default(), DT);
        }
        assert!(ship.vel.x > 0.0 && ship.vel.x < 8.0, "{ship:?}");
    }

    #[test]
    fn the_gun_fires_once_a_reload() {
        let held = vec![Controls { fire: true, ..Controls::default() }; 60];
        let mut shots = 0;
        fly(0, &held, |_, ship| shots += u32::from(fired(ship)));
        assert_eq!(shots, 60_u32.div_ceil(u32::from(RELOAD_TICKS)));
        fly(0, &vec![Controls::default(); 60], |_, ship| assert!(!fired(ship)));
    }

    #[test]
    fn a_shot_leaves_by_the_nose_and_meets_rocks_and_edges() {
        let ship = Ship { pos: vec2(-10.0, 0.0), heading: 0.0, ..Ship::default() };
        let shot = shot_from(&ship, 7);
        assert!(shot.at(0.0).distance(vec2(-10.0 + SHIP_RADIUS, 0.0)) < 1e-4);
        assert!(shot.at(0.5).distance(shot.from + vec2(24.0, 0.0)) < 1e-3);
        assert!(blocked(shot.from, shot.at(0.5), SHOT_RADIUS).is_some(), "the rock in the middle");
        assert!(blocked(vec2(60.0, 10.0), vec2(65.0, 10.0), SHOT_RADIUS).is_some(), "the edge");
        assert!(blocked(vec2(50.0, 10.0), vec2(52.0, 10.0), SHOT_RADIUS).is_none());
    }

    #[test]
    fn five_hits_end_a_life_and_are_paid_for() {
        let (mut shooter, mut victim) = (Vitals::default(), Vitals::default());
        let results: Vec<bool> = (0..5).map(|_| hit(&mut shooter, &mut victim, &Tuning::default())).collect();
        assert_eq!(results, [false, false, false, false, true]);
        assert_eq!((shooter.kills, shooter.score), (1, 5 * 10 + 100));
        assert_eq!((victim.deaths, victim.health, victim.score), (1, HEALTH_MAX, 0));
    }

    #[test]
    fn a_wreck_waits_at_its_berth_and_then_flies() {
        let lost =
            Ship { pos: vec2(20.0, 0.0), vel: vec2(9.0, 9.0), life: 255, cooldown: 3, ..Ship::default() };
        let mut ship = wreck(&lost, BERTHS[2]);
        assert_eq!((ship.life, ship.pos, ship.vel), (0, BERTHS[2], Vec2::ZERO));
        let eager = Controls { turn: 1.0, thrust: 1.0, fire: true };
        for _ in 0..WAIT_TICKS {
            assert!(!ship.flies() && !fired(&ship));
            step_ship(&mut ship, &eager, DT);
            assert_eq!(ship.pos, BERTHS[2]);
        }
        assert!(ship.flies());
        step_ship(&mut ship, &eager, DT);
        assert!(fired(&ship) && ship.vel.length() > 0.0);
    }

    #[test]
    fn the_berth_is_far_from_everyone() {
        let others: Vec<Vec2> = BERTHS.into_iter().filter(|berth| *berth != BERTHS[3]).collect();
        assert_eq!(berth(&others), BERTHS[3]);
        assert!(BERTHS.contains(&berth(&[])));
    }

    #[test]
    fn pickups_are_taken_within_reach_and_by_need() {
        let ship = Ship::at(vec2(10.0, 10.0));
        let mut vitals = Vitals { health: 70, ..Vitals::default() };
        let near = |heals| Pickup { pos: vec2(11.0, 10.0), heals };
        assert!(take(&ship, &mut vitals, &near(true), &Tuning::default()));
        assert_eq!(vitals.health, HEALTH_MAX);
        assert!(!take(&ship, &mut vitals, &near(true), &Tuning::default()), "nothing to heal");
        assert!(take(&ship, &mut vitals, &near(false), &Tuning::default()));
        assert_eq!(vitals.score, 25);
        assert!(
            !take(&ship, &mut vitals, &Pickup { pos: vec2(10.0, 12.5), heals: false }, &Tuning::default()),
            "out of reach"
        );
        assert!(
            !take(&wreck(&ship, ship.pos), &mut vitals, &near(false), &Tuning::default()),
            "a wreck takes nothing"
        );
    }
}
