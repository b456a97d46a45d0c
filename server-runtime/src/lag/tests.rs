//! The ring and its questions: by example, and against a reference that remembers everything and looks at every point.

use std::collections::BTreeMap;

use glam::DVec3;
use proptest::prelude::*;

use super::shape::near_segment;
use super::*;

fn entities(n: usize) -> Vec<Entity> {
    let mut world = World::new();
    (0..n).map(|_| world.spawn_empty().id()).collect()
}

fn lag() -> LagCompensation {
    LagCompensation::new(60, LagConfig::default())
}

/// One target at x = tick, another that stands at (0, 50).
fn ring(ticks: u32) -> (LagCompensation, Entity, Entity) {
    let all = entities(2);
    let mut lag = lag();
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
        let pose = lag.seen(lag.rewind(ticks)).pose(moving).unwrap();
        assert!((pose.position().x - expected).abs() < 1e-3, "{ticks}: {pose:?}");
    };
    check(0.0, 40.0);
    check(1.0, 39.0);
    check(2.5, 37.5);
    check(0.25, 39.75);
    let pose = lag.seen(lag.rewind(3.3)).pose(standing).unwrap();
    assert_eq!((pose.position(), pose.radius()), (Vec2::new(0.0, 50.0), 2.0));
}

#[test]
fn shots_are_bounded_and_the_server_remembers_more() {
    let (lag, moving, _) = ring(200);
    assert_eq!(lag.rewind(1e9).ticks, 15.0, "250 ms at 60 Hz");
    assert_eq!(lag.rewind(-3.0).ticks, 0.0);
    assert_eq!(lag.rewind(f32::NAN).ticks, 0.0);
    let x = |seen: Seen<'_>| seen.pose(moving).unwrap().position().x;
    assert_eq!(x(lag.seen(Rewind { ticks: 1e9 })), 185.0);
    assert_eq!(lag.ticks_held(), 63, "a second, and three to move between");
    assert_eq!(x(lag.recall(60.0)), 140.0);
    assert_eq!(x(lag.recall(f32::MAX)), 138.0, "the oldest there is");
    let config = LagConfig { rewind_ms_max: 400, keep_ms: 0, ..LagConfig::default() };
    assert_eq!(LagCompensation::new(60, config).rewind(99.0).ticks, 24.0);
}

#[test]
fn an_empty_ring_answers_nothing() {
    let lag = lag();
    let seen = lag.seen(Rewind::default());
    assert!(seen.sweep(Vec2::ZERO, Vec2::X, 1.0).is_none() && seen.ray(Vec3::ZERO, Vec3::X).is_none());
    assert!(seen.touching_sphere(Vec2::ZERO, 9.0).is_empty());
}

#[test]
fn a_life_ends_and_begins_where_clients_show_it() {
    let target = entities(1)[0];
    let mut lag = lag();
    lag.record(Tick(1), [(target, Pose::new(Vec2::ZERO, 1.0))]);
    lag.record(Tick(2), []);
    lag.record(Tick(3), [(target, Pose::new(Vec2::splat(100.0), 1.0))]);
    lag.record(Tick(4), [(target, Pose::new(Vec2::splat(-50.0), 1.0).life(1))]);
    let at = |ticks: f32| lag.seen(Rewind { ticks }).pose(target).map(|pose| pose.position().x);
    assert_eq!(at(3.0), Some(0.0));
    assert_eq!(at(2.5), Some(0.0), "clients show what is there until the frame without it");
    assert_eq!((at(2.0), at(1.5)), (None, None));
    assert_eq!((at(1.0), at(0.5)), (Some(100.0), Some(100.0)), "and do not blend lives");
    assert_eq!(at(0.0), Some(-50.0));
}

#[test]
fn what_is_recorded_again_replaces_what_was() {
    let (mut lag, moving, standing) = ring(40);
    lag.record(Tick(40), [(standing, Pose::new(Vec2::new(3.0, 0.0), 1.0))]);
    let seen = lag.seen(Rewind::default());
    assert_eq!((seen.pose(moving), seen.pose(standing).unwrap().position().x), (None, 3.0));
    assert_eq!(lag.seen(Rewind { ticks: 1.0 }).pose(moving).unwrap().position().x, 39.0);
    assert_eq!(lag.ticks_held(), 41);
}

#[test]
fn a_shot_hits_what_its_shooter_saw_or_what_is_there_as_is_favoured() {
    let (lag, moving, _) = ring(40);
    // Straight down through x = 30, where the target was ten ticks ago.
    let (from, to) = (Vec2::new(30.0, 5.0), Vec2::new(30.0, -5.0));
    let seen = lag.seen(lag.rewind(10.0));
    assert_eq!(seen.sweep(from, to, 0.1).unwrap().entity, moving);
    assert_eq!(seen.ray(from, to).unwrap().entity, moving);
    assert!(lag.seen(lag.rewind(0.0)).sweep(from, to, 0.1).is_none(), "it has moved on since");
    assert!(seen.favour(Favour::Target).ray(from, to).is_none(), "the target is safe");
    let (from, to) = (Vec2::new(40.0, 5.0), Vec2::new(40.0, -5.0));
    assert_eq!(seen.favour(Favour::Target).ray(from, to).unwrap().entity, moving, "who leads hits");
    assert!(seen.except(moving).ray(Vec2::new(30.0, 5.0), Vec2::new(30.0, -5.0)).is_none());
    assert!(seen.only(&|entity| entity != moving).touching_sphere(Vec2::new(30.0, 0.0), 1.0).is_empty());
    let config = LagConfig { favour: Favour::Target, ..LagConfig::default() };
    let mut strict = LagCompensation::new(60, config);
    (0..=40)
        .for_each(|tick| strict.record(Tick(tick), [(moving, Pose::new(Vec2::new(tick as f32, 0.0), 1.0))]));
    assert_eq!(strict.seen(strict.rewind(10.0)).pose(moving).unwrap().position().x, 40.0);
}

#[test]
fn a_sweep_is_relative_to_who_moves_and_to_a_view_that_glides() {
    let (lag, moving, _) = ring(40);
    let seen = lag.seen(lag.rewind(10.0));
    // Ahead of a target that comes nearer by one in the tick: at x = 29 before, at 30 after.
    let ahead = Vec2::new(31.5, 0.0);
    let hit = seen.sweep(ahead, ahead, 0.0);
    assert!(hit.is_none(), "{hit:?}");
    let hit = seen.sweep(Vec2::new(30.5, 0.0), Vec2::new(30.5, 0.0), 0.0).unwrap();
    assert_eq!(hit.entity, moving);
    assert!((hit.fraction - 0.5).abs() < 1e-5, "it is there after half of the tick: {hit:?}");
    // Shown two ticks later before: within this tick the target was seen to go back, from 31 to 30.
    let beside = Vec2::new(31.5, 0.5);
    assert!(seen.sweep(beside, beside, 0.0).is_none());
    assert_eq!(seen.since(lag.rewind(8.0)).sweep(beside, beside, 0.0).unwrap().entity, moving);
}

#[test]
fn a_rewind_follows_no_faster_than_clocks_glide() {
    let mut rewind = Rewind { ticks: 6.0 };
    assert_eq!(rewind.follow(Rewind { ticks: 6.05 }).ticks, 6.0);
    assert_eq!(rewind.ticks, 6.05);
    rewind.follow(Rewind { ticks: 15.0 });
    assert!(rewind.ticks < 6.2);
}

#[test]
fn the_nearest_of_several_is_hit_and_what_goes_through_hits_all() {
    let all = entities(3);
    let mut lag = lag();
    for tick in 0..3 {
        let stand = |x: f32| Pose::capsule(Vec3::new(x, 0.0, 0.0), Vec3::new(x, 0.0, 2.0), 1.0);
        lag.record(Tick(tick), [(all[0], stand(8.0)), (all[1], stand(4.0)), (all[2], stand(8.0))]);
    }
    let seen = lag.seen(Rewind::default());
    let (from, to) = (Vec3::new(0.0, 0.0, 1.0), Vec3::new(10.0, 0.0, 1.0));
    let hit = seen.ray(from, to).unwrap();
    assert_eq!((hit.entity, (hit.fraction * 10.0).round()), (all[1], 3.0));
    let through: Vec<Entity> = seen.ray_through(from, to).iter().map(|hit| hit.entity).collect();
    assert_eq!(through, [all[1], all[0].min(all[2]), all[0].max(all[2])]);
    assert!(seen.ray(from + Vec3::Z * 3.0, to + Vec3::Z * 3.0).is_none(), "over their heads");
}

/// What happens at one tick: who is where.
type Records = Vec<BTreeMap<usize, Pose>>;

fn pose() -> impl Strategy<Value = Pose> {
    let place = || (-9.0..9.0_f32, -9.0..9.0_f32, -9.0..9.0_f32).prop_map(Vec3::from);
    (place(), place(), 0.1..2.0_f32, 0..2_u8, any::<bool>()).prop_map(
        |(centre, half, radius, life, round)| {
            let half = if round { Vec3::ZERO } else { half / 4.0 };
            Pose::capsule(centre - half, centre + half, radius).life(life)
        },
    )
}

fn records() -> impl Strategy<Value = Records> {
    proptest::collection::vec(proptest::collection::btree_map(0..6_usize, pose(), 0..6), 2..20)
}

/// Everybody at `age`, looked up and interpolated without a ring, on the grid.
fn reference(records: &Records, age: f32) -> BTreeMap<usize, (DVec3, DVec3, f64)> {
    let at = (records.len() - 1) as f64 - f64::from(age);
    let (place, t) = (at.max(0.0).floor() as usize, at.max(0.0).fract());
    let grid = |v: Vec3| (v.as_dvec3() * 1000.0).round() / 1000.0;
    let known =
        |pose: &Pose| (grid(pose.centre), grid(pose.half), (f64::from(pose.radius) * 1e3).round() / 1e3);
    let one = |(who, from): (&usize, &Pose)| {
        let (centre, half, radius) = known(from);
        let next = records.get(place + 1).and_then(|next| next.get(who)).filter(|to| to.life == from.life);
        let Some(to) = next.map(known) else { return (*who, (centre, half, radius)) };
        (*who, (centre.lerp(to.0, t), half.lerp(to.1, t), radius + (to.2 - radius) * t))
    };
    records[place].iter().map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn answers_are_those_of_a_reference(
        records in records(), age in 0.0..15.0_f32, ends in (pose(), pose()), radius in 0.0..2.0_f32,
    ) {
        let all = entities(6);
        let mut lag = lag();
        for (tick, poses) in records.iter().enumerate() {
            lag.record(Tick(tick as u32), poses.iter().map(|(who, pose)| (all[*who], *pose)));
        }
        let age = lag.rewind(age).ticks.min((records.len() - 1) as f32);
        let (seen, known) = (lag.seen(Rewind { ticks: age }), reference(&records, age));
        for (who, entity) in all.iter().enumerate() {
            let pose = seen.pose(*entity);
            prop_assert_eq!(pose.is_some(), known.contains_key(&who));
            if let (Some(pose), Some((centre, half, radius))) = (pose, known.get(&who)) {
                prop_assert!(pose.centre.as_dvec3().distance(*centre) < 1e-4);
                prop_assert!(pose.half.as_dvec3().distance(*half) < 1e-4);
                prop_assert!((f64::from(pose.radius) - radius).abs() < 1e-4);
            }
        }
        let (from, to) = (ends.0.centre, ends.1.centre);
        let gap = |point: DVec3, who: &usize| {
            let (centre, half, radius) = known[who];
            near_segment(point, centre - half, centre + half).sqrt() - radius
        };
        // Near: everybody clearly within, nobody clearly without.
        let near = seen.touching_sphere(from, radius);
        for who in known.keys() {
            let apart = gap(from.as_dvec3(), who) - f64::from(radius);
            prop_assert!(apart.abs() < 1e-4 || near.contains(&all[*who]) == (apart < 0.0));
        }
        // A ray: the first point on it that is within anybody, in small steps.
        const STEPS: i32 = 1000;
        let point = |step: i32| from.as_dvec3().lerp(to.as_dvec3(), f64::from(step) / f64::from(STEPS));
        let stepped = (0..=STEPS).find(|step| known.keys().any(|who| gap(point(*step), who) <= 0.0));
        let hit = seen.ray(from, to);
        if let Some(step) = stepped {
            let hit = hit.expect("a point of it is within somebody");
            prop_assert!(f64::from(hit.fraction) <= f64::from(step) / f64::from(STEPS) + 1e-6);
            let who = all.iter().position(|entity| *entity == hit.entity).expect("somebody");
            prop_assert!(gap(hit.point.as_dvec3(), &who) < 1e-3);
        } else if let Some(hit) = hit {
            let who = all.iter().position(|entity| *entity == hit.entity).expect("somebody");
            prop_assert!(gap(hit.point.as_dvec3(), &who) < 1e-3, "a touch between two steps");
        }
    }
}
