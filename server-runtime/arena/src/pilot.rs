//! A player made of arithmetic: sees what a client sees, answers with [`Controls`]. Used by bots and tests; it plays
//! by the same rules as anyone and knows nothing that its view does not show.

use fastrand::Rng;
use glam::Vec2;
use netcode_client::WorldView;

use crate::components::{Pickup, Ship, Vitals};
use crate::heading::{direction, wrap};
use crate::input::Controls;
use crate::layout::{HALF_SIZE, ROCKS};
use crate::rules::{DRAG, SHIP_RADIUS, SHOT_SPEED, SHOT_TICKS, THRUST, TICK_HZ, TURN_RATE, blocked, sweep};

/// What a pilot sees in one tick: its own ship as predicted, everything else as shown.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// The pilot's own ship; `None` before it has one.
    pub own: Option<Ship>,
    /// What is left of it, 0 to 100.
    pub health: u8,
    /// The other ships, each with a number that stays its own.
    pub others: Vec<(u32, Ship)>,
    /// What lies about.
    pub pickups: Vec<Pickup>,
}

impl Sight {
    /// What a client's view shows.
    #[must_use]
    pub fn of(view: &WorldView<'_>) -> Self {
        let own = view.own();
        let ships = view.iter::<Ship>().filter(|(id, _)| Some(*id) != own);
        Self {
            own: own.and_then(|id| view.get(id)),
            health: own.and_then(|id| view.get::<Vitals>(id)).map_or(0, |vitals| vitals.health),
            others: ships.map(|(id, ship)| (id.0, ship)).collect(),
            pickups: view.iter::<Pickup>().map(|(_, pickup)| pickup).collect(),
        }
    }
}

/// One pilot's temper and memory. The same seed and the same sights give the same controls.
#[derive(Clone, Debug)]
pub struct Pilot {
    rng: Rng,
    /// The ship it is after, until `decide_again` reaches 0.
    prey: Option<u32>,
    decide_again: u32,
    /// Radians by which its aim is off at present.
    aim_error: f32,
    /// Which way round it circles its prey: 1 or −1.
    side: f32,
    /// 0 to 1: how near it goes, and how seldom it breaks away.
    boldness: f32,
    /// The distance in metres that it fights at for the moment.
    comfort: f32,
    /// Where it breaks away to, until `decide_again` reaches 0.
    refuge: Option<Vec2>,
}

impl Pilot {
    /// A pilot whose habits follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let boldness = rng.f32();
        Self {
            rng,
            prey: None,
            decide_again: 0,
            aim_error: 0.0,
            side: 1.0,
            boldness,
            comfort: 12.0,
            refuge: None,
        }
    }

    /// What to do now.
    pub fn decide(&mut self, sight: &Sight) -> Controls {
        let Some(own) = sight.own.as_ref().filter(|ship| ship.flies()) else {
            return Controls::default();
        };
        self.change_mind(own, &sight.others);
        let prey = sight
            .others
            .iter()
            .find(|(id, ship)| Some(*id) == self.prey && ship.flies())
            .map(|(_, ship)| ship);
        let errand = errand(own, sight, prey);
        match (prey, self.refuge.or(errand)) {
            (Some(prey), None) if can_hit(own, prey) => self.fight(own, prey),
            (_, Some(goal)) => self.travel(own, goal, prey),
            (Some(prey), None) => self.travel(own, prey.pos, Some(prey)),
            (None, None) => self.travel(own, Vec2::from_angle(self.boldness * 6.3) * 20.0, None),
        }
    }

    /// A few times a second: picks the nearest prey, a new error of aim, and sometimes the other way round.
    fn change_mind(&mut self, own: &Ship, others: &[(u32, Ship)]) {
        let lost = !others.iter().any(|(id, ship)| Some(*id) == self.prey && ship.flies());
        if self.decide_again > 0 && !lost {
            self.decide_again -= 1;
            return;
        }
        self.refuge = None;
        self.decide_again = self.rng.u32(20..50);
        self.aim_error = (self.rng.f32() - 0.5) * AIM_ERROR;
        if self.rng.f32() < 0.3 {
            self.side = -self.side;
        }
        let effort = |ship: &Ship| {
            let hidden = if blocked(own.pos, ship.pos, 0.0).is_some() { 15.0 } else { 0.0 };
            own.pos.distance(ship.pos) + hidden
        };
        let flying = others.iter().filter(|(_, ship)| ship.flies());
        let prey = flying.min_by(|a, b| effort(&a.1).total_cmp(&effort(&b.1)));
        self.prey = prey.map(|(id, _)| *id);
        self.comfort = self.rng.f32() * (24.0 - 10.0 * self.boldness);
        let near = prey.is_some_and(|(_, prey)| own.pos.distance(prey.pos) < FIGHT_M);
        if near && self.rng.f32() < 0.75 - 0.4 * self.boldness {
            // Past the prey and out on the other side, to come back with speed.
            let past = direction(own.heading + self.side * (0.4 + self.rng.f32())) * BREAK_AWAY_M;
            self.refuge = Some((own.pos + past).clamp(-HALF_SIZE * 0.9, HALF_SIZE * 0.9));
        }
    }

    /// The nose follows the point to aim at; along it the ship keeps its distance and its circle.
    fn fight(&self, own: &Ship, prey: &Ship) -> Controls {
        let to_prey = prey.pos - own.pos;
        let distance = to_prey.length();
        let toward = to_prey.normalize_or(Vec2::X);
        let aim = lead(own.pos, prey) - own.pos;
        let error = wrap(aim.to_angle() + self.aim_error - own.heading);
        let circle = toward.perp() * (self.side * CIRCLE_SPEED);
        let wish = prey.vel * 0.5 + circle + toward * (distance - self.comfort).clamp(-8.0, 12.0);
        let push = avoid(own, wish) - own.vel;
        Controls {
            turn: turn_by(error),
            thrust: (push.dot(direction(own.heading)) / 4.0).clamp(-1.0, 1.0),
            fire: error.abs() < (SHIP_RADIUS * 1.3 / distance.max(1.0)).atan() + 0.02,
        }
    }

    /// Flies to `goal`, round rocks; shoots at `prey` if it happens to be before the gun.
    fn travel(&self, own: &Ship, goal: Vec2, prey: Option<&Ship>) -> Controls {
        let way = way_point(own.pos, goal, self.side) - own.pos;
        let wish = way.normalize_or_zero() * CRUISE_SPEED.min(4.0 + way.length());
        let push = avoid(own, wish) - own.vel;
        // Cruising needs thrust against drag, so the nose follows the push that keeps the wished speed.
        let push = push + wish * (DRAG / 4.0);
        let error = wrap(push.to_angle() - own.heading);
        let on_target = prey.is_some_and(|prey| {
            let aim = lead(own.pos, prey) - own.pos;
            can_hit(own, prey) && wrap(aim.to_angle() - own.heading).abs() < 0.08
        });
        let thrust = if error.abs() < 1.0 { push.length() / THRUST * 4.0 } else { 0.0 };
        Controls { turn: turn_by(error), thrust: thrust.clamp(0.0, 1.0), fire: on_target }
    }
}

/// The pick-up worth a detour: one that heals when hurt, points when they are near and no fight is on.
fn errand(own: &Ship, sight: &Sight, prey: Option<&Ship>) -> Option<Vec2> {
    let danger = prey.map_or(f32::MAX, |prey| own.pos.distance(prey.pos));
    let reach = |pickup: &Pickup| match (pickup.heals, sight.health) {
        (true, ..=40) => 70.0,
        (true, ..=80) => 12.0,
        (true, _) => 0.0,
        (false, _) if danger > 20.0 => 25.0,
        (false, _) => 6.0,
    };
    let distance = |pickup: &&Pickup| own.pos.distance(pickup.pos);
    let wanted = sight.pickups.iter().filter(|pickup| distance(pickup) < reach(pickup));
    wanted.min_by(|a, b| distance(a).total_cmp(&distance(b))).map(|pickup| pickup.pos)
}

fn can_hit(own: &Ship, prey: &Ship) -> bool {
    let aim = lead(own.pos, prey);
    own.pos.distance(aim) < RANGE && blocked(own.pos, aim, 0.0).is_none()
}

/// Where a shot fired now from `from` meets `prey`, if it keeps its course: |prey + vel·t| = speed·t.
fn lead(from: Vec2, prey: &Ship) -> Vec2 {
    let apart = prey.pos - from;
    let a = SHOT_SPEED * SHOT_SPEED - prey.vel.length_squared();
    let b = apart.dot(prey.vel);
    let flight_s = (b + (b * b + a * apart.length_squared()).sqrt()) / a;
    prey.pos + prey.vel * flight_s.clamp(0.0, 1.0)
}

/// The next point to fly to: `goal` itself, or beside the first rock in the way.
fn way_point(from: Vec2, goal: Vec2, side: f32) -> Vec2 {
    let first = ROCKS
        .iter()
        .filter(|rock| rock.pos.distance(goal) > rock.radius + SHIP_RADIUS)
        .filter_map(|rock| sweep(from, goal, rock.pos, rock.radius + SHIP_RADIUS + 0.3).map(|at| (at, rock)))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    let Some((_, rock)) = first else {
        return goal;
    };
    let across = (goal - from).normalize_or(Vec2::X).perp();
    let bend = across.dot(from.lerp(goal, 0.5) - rock.pos);
    let round = if bend.abs() > 0.5 { bend.signum() } else { side };
    rock.pos + across * (round * (rock.radius + SHIP_RADIUS + 2.0))
}

/// `wish`, turned away from whatever the ship would hit within [`LOOK_AHEAD_S`].
fn avoid(own: &Ship, wish: Vec2) -> Vec2 {
    let ahead = own.pos + own.vel * LOOK_AHEAD_S;
    let mut wish = wish;
    for rock in &ROCKS {
        if sweep(own.pos, ahead, rock.pos, rock.radius + SHIP_RADIUS + 0.5).is_some() {
            let away = (own.pos - rock.pos).normalize_or(Vec2::X);
            wish += away * CRUISE_SPEED + own.vel.reject_from_normalized(away) * 0.5;
        }
    }
    let over = ahead.abs() - (HALF_SIZE - Vec2::splat(SHIP_RADIUS + 1.0));
    wish - ahead.signum() * over.max(Vec2::ZERO) * 4.0
}

/// The stick that brings the nose round by `error` radians without swinging past it.
fn turn_by(error: f32) -> f32 {
    (error * f32::from(TICK_HZ) * 0.5 / TURN_RATE).clamp(-1.0, 1.0)
}

/// Metres that a shot reaches, less a margin for a target that flees.
const RANGE: f32 = SHOT_SPEED * SHOT_TICKS as f32 / TICK_HZ as f32 * 0.85;
/// Radians between the worst errors of aim to either side.
const AIM_ERROR: f32 = 0.24;
/// Metres a second.
const CRUISE_SPEED: f32 = 15.0;
/// Metres a second, across the line to the prey.
const CIRCLE_SPEED: f32 = 9.0;
/// Metres.
const BREAK_AWAY_M: f32 = 30.0;
/// Metres to the prey, within which a fight may be broken off.
const FIGHT_M: f32 = 30.0;
/// Seconds.
const LOOK_AHEAD_S: f32 = 0.55;

#[cfg(test)]
mod tests {
    use glam::vec2;

    use super::*;
    use crate::rules::step_ship;

    fn ship(x: f32, y: f32) -> Ship {
        Ship { pos: vec2(x, y), ..Ship::default() }
    }

    /// Flies alone with this in sight until `done`; gives the seconds it took, at most 20.
    fn fly(mut sight: Sight, mut done: impl FnMut(&Ship) -> bool) -> f32 {
        let mut pilot = Pilot::new(5);
        for tick in 0..1200_u16 {
            let controls = pilot.decide(&sight);
            let own = sight.own.as_mut().expect("it has a ship");
            step_ship(own, &controls, 1.0 / 60.0);
            if done(own) {
                return f32::from(tick) / 60.0;
            }
        }
        20.0
    }

    #[test]
    fn asks_for_nothing_without_a_ship_or_while_it_waits() {
        let mut pilot = Pilot::new(1);
        assert_eq!(pilot.decide(&Sight::default()), Controls::default());
        let waiting = Ship { wait: 9, ..ship(5.0, 20.0) };
        let prey = (1, ship(5.0, 30.0));
        let sight = Sight { own: Some(waiting), health: 100, others: vec![prey], pickups: Vec::new() };
        assert_eq!(pilot.decide(&sight), Controls::default());
    }

    #[test]
    fn turns_to_its_prey_and_fires() {
        let sight = Sight {
            own: Some(ship(-10.0, 20.0)),
            health: 100,
            others: vec![(1, ship(-10.0, 32.0))],
            pickups: Vec::new(),
        };
        assert!(fly(sight, crate::rules::fired) < 3.0);
    }

    #[test]
    fn does_not_fire_at_a_rock() {
        // The rock in the middle is between the two; half a second is not enough to fly round it.
        let sight = Sight {
            own: Some(ship(-9.0, 0.0)),
            health: 100,
            others: vec![(1, ship(9.0, 0.0))],
            pickups: Vec::new(),
        };
        assert!(fly(sight, crate::rules::fired) > 0.5);
    }

    #[test]
    fn leads_a_target_that_moves() {
        let prey = Ship { vel: vec2(0.0, 10.0), ..ship(20.0, 0.0) };
        let aim = lead(Vec2::ZERO, &prey);
        let flight_s = aim.length() / SHOT_SPEED;
        assert!(aim.distance(prey.pos + prey.vel * flight_s) < 0.01, "{aim}");
    }

    #[test]
    fn finds_its_way_round_rocks_to_what_heals() {
        for (from, to) in [
            (vec2(-12.0, 0.5), vec2(12.0, 0.0)),
            (vec2(-50.0, 0.0), vec2(-28.0, 0.0)),
            (vec2(0.0, 33.0), vec2(0.0, 14.0)),
        ] {
            let pickups = vec![Pickup { pos: to, heals: true }];
            let sight = Sight { own: Some(Ship::at(from)), health: 20, others: Vec::new(), pickups };
            let took_s = fly(sight, |own| own.pos.distance(to) < crate::rules::REACH);
            assert!(took_s < 8.0, "{from} to {to} took {took_s} s");
        }
    }

    #[test]
    fn equal_seeds_and_sights_give_equal_controls() {
        let mut pilots = [Pilot::new(3), Pilot::new(3)];
        for tick in 0..300_u16 {
            let own = Ship { heading: f32::from(tick) * 0.01, ..ship(-10.0, 20.0) };
            let sight =
                Sight { own: Some(own), health: 60, others: vec![(1, ship(8.0, 30.0))], pickups: Vec::new() };
            let [one, two] = pilots.each_mut().map(|pilot| pilot.decide(&sight));
            assert_eq!(one, two);
        }
    }
}
