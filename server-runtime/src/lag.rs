//! Where hittable things were. Owns the pose ring and the rewound questions shooters ask of it; pure geometry
//! and history: must never know who asks, what a weapon is, or how a client's view time reached the server.
//!
//! The idea is Bernier's (*Latency Compensating Methods in Client/Server In-game Protocol Design*, GDC 2001):
//! judge a shot against the world its shooter saw. Ours is per shot rather than per world: a projectile keeps
//! its shooter's [`Rewind`] and meets targets where that player saw them, for its whole flight.

use std::collections::VecDeque;

use bevy_ecs::prelude::*;
use glam::Vec2;
use netcode_wire::Tick;

/// How far back a player's shot may reach, in milliseconds. Beyond it the victim's grievance outweighs the
/// shooter's: whoever plays at more than this must lead the target.
pub const REWIND_MS_MAX: u32 = 250;

/// A circle somewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// Centre, world units.
    pub position: Vec2,
    /// Radius, world units.
    pub radius: f32,
}

impl Pose {
    /// A circle of `radius` around `position`.
    pub fn new(position: Vec2, radius: f32) -> Self {
        Self { position, radius }
    }
}

/// How many ticks behind the server its player saw the others when acting. Made by the framework from what the
/// client reports, bounded by [`REWIND_MS_MAX`]; keep it on a projectile.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
pub struct Rewind {
    /// Ticks, with the fraction; never negative, never more than the bound.
    pub ticks: f32,
}

/// What a sweep met first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Who was met.
    pub entity: Entity,
    /// How far along the segment, 0..=1.
    pub fraction: f32,
    /// Where the moving circle's centre was then.
    pub point: Vec2,
}

/// The ring of recorded poses, and the questions it answers. Ask in [`crate::Stage::Resolve`] or later: there the
/// newest poses are this tick's.
#[derive(Resource, Debug)]
pub struct LagCompensation {
    frames: VecDeque<PoseFrame>,
    capacity: usize,
    ticks_max: f32,
}

#[derive(Debug, Default)]
struct PoseFrame {
    tick: Tick,
    poses: Vec<(Entity, Pose)>,
}

impl LagCompensation {
    /// An empty ring that reaches [`REWIND_MS_MAX`] back at `tick_hz`.
    pub fn new(tick_hz: u16) -> Self {
        // 250 ms × hz, and two more frames: one for now, one to interpolate from.
        let ticks = u32::from(tick_hz) * REWIND_MS_MAX / 1000;
        Self {
            frames: VecDeque::new(),
            capacity: ticks as usize + 3,
            ticks_max: f32::from(tick_hz) * (REWIND_MS_MAX as f32) / 1000.0,
        }
    }

    /// Records where everything hittable is at `tick`; the oldest frame makes room. The framework calls this
    /// once a tick, between `Simulate` and `Resolve`, for what was registered with `.hittable()`.
    pub fn record(&mut self, tick: Tick, poses: impl IntoIterator<Item = (Entity, Pose)>) {
        let mut frame = match self.frames.len() < self.capacity {
            true => PoseFrame::default(),
            false => self.frames.pop_front().unwrap_or_default(),
        };
        frame.tick = tick;
        frame.poses.clear();
        frame.poses.extend(poses);
        frame.poses.sort_unstable_by_key(|(entity, _)| *entity);
        self.frames.push_back(frame);
    }

    /// Turns a distance in ticks into a [`Rewind`]: never into the future, never beyond the bound.
    pub fn rewind(&self, ticks: f32) -> Rewind {
        let ticks = if ticks.is_finite() { ticks.clamp(0.0, self.ticks_max) } else { 0.0 };
        Rewind { ticks }
    }

    /// Where `entity` was, as seen `rewind` ago; `None` when it was not hittable then.
    pub fn pose(&self, entity: Entity, rewind: Rewind) -> Option<Pose> {
        let (from, to, t) = self.frames_at(rewind, 0.0)?;
        between(from, to, t, entity)
    }

    /// Everyone whose circle touched the circle at `centre`, as seen `rewind` ago.
    pub fn touching(&self, rewind: Rewind, centre: Vec2, radius: f32) -> Vec<(Entity, Pose)> {
        let Some((from, to, t)) = self.frames_at(rewind, 0.0) else { return Vec::new() };
        let near = |pose: &Pose| pose.position.distance_squared(centre) <= (pose.radius + radius).powi(2);
        to.poses
            .iter()
            .filter_map(|(entity, _)| Some((*entity, between(from, to, t, *entity)?)))
            .filter(|(_, pose)| near(pose))
            .collect()
    }

    /// Who a circle of `radius` met first on its way `from` → `to` during the tick just simulated, as its
    /// shooter saw the others. Targets move during that tick too: the sweep is relative to each. `skip` leaves
    /// out entities (the shooter).
    pub fn sweep(
        &self,
        rewind: Rewind,
        from: Vec2,
        to: Vec2,
        radius: f32,
        skip: impl Fn(Entity) -> bool,
    ) -> Option<Hit> {
        let (now_from, now_to, now_t) = self.frames_at(rewind, 0.0)?;
        let (before_from, before_to, before_t) = self.frames_at(rewind, 1.0)?;
        let mut first: Option<Hit> = None;
        for (entity, _) in &now_to.poses {
            if skip(*entity) {
                continue;
            }
            let Some(end) = between(now_from, now_to, now_t, *entity) else { continue };
            let start = between(before_from, before_to, before_t, *entity).unwrap_or(end);
            let met = segment_meets_circle(from - start.position, to - end.position, end.radius + radius);
            if let Some(fraction) = met
                && first.is_none_or(|hit| fraction < hit.fraction)
            {
                first = Some(Hit { entity: *entity, fraction, point: from.lerp(to, fraction) });
            }
        }
        first
    }

    /// The two frames around "`rewind` plus `back` ticks before the newest", and the fraction between them.
    /// Before the ring's beginning: its oldest frame.
    fn frames_at(&self, rewind: Rewind, back: f32) -> Option<(&PoseFrame, &PoseFrame, f32)> {
        let newest = self.frames.back()?;
        let age = self.rewind(rewind.ticks).ticks + back;
        let whole = age.ceil();
        let wanted = newest.tick.offset(-(whole as i32));
        // Ticks are dense but for overruns, so search by tick instead of indexing by age.
        let index = self.frames.partition_point(|frame| frame.tick.since(wanted) <= 0).saturating_sub(1);
        let from = &self.frames[index];
        let to = self.frames.get(index + 1).unwrap_or(from);
        Some((from, to, whole - age))
    }
}

/// Interpolates one entity between two frames. Where it exists only in the later one it has just appeared
/// there: no interpolation across a life.
fn between(from: &PoseFrame, to: &PoseFrame, t: f32, entity: Entity) -> Option<Pose> {
    let Some(start) = find(from, entity) else { return if t > 0.0 { find(to, entity) } else { None } };
    let Some(end) = find(to, entity) else { return if t > 0.0 { None } else { Some(start) } };
    Some(Pose {
        position: start.position.lerp(end.position, t),
        radius: start.radius + (end.radius - start.radius) * t,
    })
}

fn find(frame: &PoseFrame, entity: Entity) -> Option<Pose> {
    let index = frame.poses.binary_search_by_key(&entity, |(held, _)| *held).ok()?;
    Some(frame.poses[index].1)
}

/// First fraction 0..=1 of the segment `from` → `to` that lies within `radius` of the origin (Ericson,
/// *Real-Time Collision Detection*, 5.3.2, in the plane). Zero when it starts inside.
pub fn segment_meets_circle(from: Vec2, to: Vec2, radius: f32) -> Option<f32> {
    let outside = from.length_squared() - radius * radius;
    if outside <= 0.0 {
        return Some(0.0);
    }
    let direction = to - from;
    let a = direction.length_squared();
    let b = from.dot(direction);
    // Moving away, or not at all, from outside: never.
    if a <= f32::EPSILON || b >= 0.0 {
        return None;
    }
    let discriminant = b * b - a * outside;
    if discriminant < 0.0 {
        return None;
    }
    let fraction = (-b - discriminant.sqrt()) / a;
    (fraction <= 1.0).then_some(fraction.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entities(n: usize) -> Vec<Entity> {
        let mut world = World::new();
        (0..n).map(|_| world.spawn_empty().id()).collect()
    }

    /// One target at x = tick, another that stands at (0, 50).
    fn ring(ticks: u32) -> (LagCompensation, Entity, Entity) {
        let all = entities(2);
        let mut lag = LagCompensation::new(60);
        for tick in 0..=ticks {
            let moving = (all[0], Pose::new(Vec2::new(tick as f32, 0.0), 1.0));
            lag.record(Tick(tick), [(all[1], Pose::new(Vec2::new(0.0, 50.0), 2.0)), moving]);
        }
        (lag, all[0], all[1])
    }

    #[test]
    fn poses_are_found_at_fractional_ticks() {
        let (lag, moving, standing) = ring(40);
        let check = |ticks: f32, expected: f32| {
            let pose = lag.pose(moving, lag.rewind(ticks)).unwrap();
            assert!((pose.position.x - expected).abs() < 1e-3, "{ticks}: {pose:?}");
        };
        check(0.0, 40.0);
        check(1.0, 39.0);
        check(2.5, 37.5);
        check(0.25, 39.75);
        assert_eq!(lag.pose(standing, lag.rewind(3.3)).unwrap().position, Vec2::new(0.0, 50.0));
    }

    #[test]
    fn rewind_is_bounded_and_never_from_the_future() {
        let (lag, moving, _) = ring(200);
        assert_eq!(lag.rewind(1e9).ticks, 15.0, "250 ms at 60 Hz");
        assert_eq!(lag.rewind(-3.0).ticks, 0.0);
        assert_eq!(lag.rewind(f32::NAN).ticks, 0.0);
        assert_eq!(lag.pose(moving, Rewind { ticks: 1e9 }).unwrap().position.x, 185.0);
        assert_eq!(lag.frames.len(), 18, "15 ticks back, one for now, two to sweep and interpolate from");
    }

    #[test]
    fn an_empty_ring_answers_nothing() {
        let lag = LagCompensation::new(60);
        assert!(lag.sweep(Rewind::default(), Vec2::ZERO, Vec2::X, 1.0, |_| false).is_none());
        assert!(lag.touching(Rewind::default(), Vec2::ZERO, 9.0).is_empty());
    }

    #[test]
    fn no_interpolation_across_a_life() {
        let target = entities(1)[0];
        let mut lag = LagCompensation::new(60);
        lag.record(Tick(1), [(target, Pose::new(Vec2::ZERO, 1.0))]);
        lag.record(Tick(2), []);
        lag.record(Tick(3), [(target, Pose::new(Vec2::splat(100.0), 1.0))]);
        assert_eq!(lag.pose(target, Rewind { ticks: 0.5 }).unwrap().position, Vec2::splat(100.0));
        assert_eq!(lag.pose(target, Rewind { ticks: 1.0 }), None);
        assert_eq!(lag.pose(target, Rewind { ticks: 1.5 }), None);
        assert_eq!(lag.pose(target, Rewind { ticks: 2.0 }).unwrap().position, Vec2::ZERO);
    }

    #[test]
    fn a_shot_hits_what_its_shooter_saw() {
        let (lag, moving, _) = ring(40);
        // Straight down through x = 30, where the target was ten ticks ago.
        let (from, to) = (Vec2::new(30.0, 5.0), Vec2::new(30.0, -5.0));
        let hit = lag.sweep(lag.rewind(10.0), from, to, 0.1, |_| false).unwrap();
        assert_eq!(hit.entity, moving);
        assert!(lag.sweep(lag.rewind(0.0), from, to, 0.1, |_| false).is_none(), "it has moved on since");
        assert!(lag.sweep(lag.rewind(10.0), from, to, 0.1, |entity| entity == moving).is_none());
    }

    #[test]
    fn the_nearest_of_two_is_hit() {
        let all = entities(2);
        let mut lag = LagCompensation::new(60);
        for tick in 0..3 {
            let poses = [
                (all[0], Pose::new(Vec2::new(8.0, 0.0), 1.0)),
                (all[1], Pose::new(Vec2::new(4.0, 0.0), 1.0)),
            ];
            lag.record(Tick(tick), poses);
        }
        let hit = lag.sweep(Rewind::default(), Vec2::ZERO, Vec2::new(10.0, 0.0), 0.0, |_| false).unwrap();
        assert_eq!(hit.entity, all[1]);
        assert!((hit.fraction - 0.3).abs() < 1e-6);
        assert_eq!(lag.touching(Rewind::default(), Vec2::new(6.0, 0.0), 1.0).len(), 2);
    }

    #[test]
    fn segment_against_circle() {
        let check = |from: (f32, f32), to: (f32, f32), radius: f32, expected: Option<f32>| {
            let got = segment_meets_circle(Vec2::from(from), Vec2::from(to), radius);
            match (got, expected) {
                (Some(got), Some(expected)) => assert!((got - expected).abs() < 1e-6, "{got} {expected}"),
                _ => assert_eq!(got, expected),
            }
        };
        check((-2.0, 0.0), (2.0, 0.0), 1.0, Some(0.25));
        check((0.5, 0.0), (9.0, 0.0), 1.0, Some(0.0));
        check((-2.0, 0.0), (-1.5, 0.0), 1.0, None);
        check((-2.0, 1.5), (2.0, 1.5), 1.0, None);
        check((2.0, 0.0), (5.0, 0.0), 1.0, None);
        check((2.0, 0.0), (2.0, 0.0), 1.0, None);
        check((-2.0, 1.0), (2.0, 1.0), 1.0, Some(0.5));
    }
}
