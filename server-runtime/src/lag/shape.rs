//! Pure geometry: where a straight way first meets a rounded shape, and how near two shapes are. Must never know time,
//! entities or ticks.
//!
//! What can be hit is a capsule: everything within a radius of a straight core; a core without length makes it a
//! sphere. The plane is the space with z = 0: there a sphere is a circle. All of it is worked out in 64-bit floats: a
//! way may be a thousand times as long as what it meets is thick, and the squares of both are subtracted.

use glam::{DQuat, DVec3, Quat, Vec2, Vec3};

/// A straight core and everything within a radius of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Capsule {
    pub(super) centre: DVec3,
    /// From the centre to one end of the core.
    pub(super) half: DVec3,
    pub(super) radius: f64,
}

impl Capsule {
    pub(super) fn ends(&self) -> (DVec3, DVec3) {
        (self.centre - self.half, self.centre + self.half)
    }
}

/// A box, turned anyhow. In the plane it is a rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    pub(super) centre: DVec3,
    /// Half its edges.
    pub(super) half: DVec3,
    pub(super) turned: DQuat,
}

impl Block {
    /// A box of half edges `half` around `centre`, along the axes.
    #[must_use]
    pub fn new(centre: Vec3, half: Vec3) -> Self {
        Self { centre: centre.as_dvec3(), half: half.abs().as_dvec3(), turned: DQuat::IDENTITY }
    }

    /// A rectangle of half edges `half` around `centre`, turned by `angle` (radians, counter-clockwise).
    #[must_use]
    pub fn flat(centre: Vec2, half: Vec2, angle: f32) -> Self {
        Self::new(centre.extend(0.0), half.extend(0.0)).turned(Quat::from_rotation_z(angle))
    }

    /// The same, turned about its centre.
    #[must_use]
    pub fn turned(self, by: Quat) -> Self {
        Self { turned: by.as_dquat().normalize(), ..self }
    }
}

/// First fraction 0..=1 of `from` → `to` that lies within the capsule; 0 where it begins inside. The three surfaces of
/// a capsule are met apart (Ericson, *Real-Time Collision Detection*, 5.3.2 and 5.3.7): the first of them is where the
/// way enters, since a capsule is convex.
pub(super) fn segment_meets(from: DVec3, to: DVec3, capsule: &Capsule) -> Option<f64> {
    let (start, end) = capsule.ends();
    if near_segment(from, start, end) <= capsule.radius * capsule.radius {
        return Some(0.0);
    }
    let (way, core) = (to - from, end - start);
    let length = core.length_squared();
    let ball = |centre| meets_ball(from - centre, way, capsule.radius);
    if length <= f64::EPSILON {
        return ball(start);
    }
    let side = meets_side(from - start, way, core, capsule.radius);
    [ball(start), ball(end), side].into_iter().flatten().min_by(f64::total_cmp)
}

/// `from + way·t` within `radius` of the origin, from outside.
fn meets_ball(from: DVec3, way: DVec3, radius: f64) -> Option<f64> {
    let (a, b) = (way.length_squared(), from.dot(way));
    first_root(a, b, from.length_squared() - radius * radius)
}

/// `from + way·t` within `radius` of the line along `core` through the origin, between its two ends.
fn meets_side(from: DVec3, way: DVec3, core: DVec3, radius: f64) -> Option<f64> {
    let length = core.length_squared();
    let across = |v: DVec3| v - core * (v.dot(core) / length);
    let (start, path) = (across(from), across(way));
    let t = first_root(path.length_squared(), start.dot(path), start.length_squared() - radius * radius)?;
    let along = (from + way * t).dot(core);
    (0.0..=length).contains(&along).then_some(t)
}

/// The smaller root of a·t² + 2b·t + c within 0..=1, where c > 0 at t = 0 counts as outside.
fn first_root(a: f64, b: f64, c: f64) -> Option<f64> {
    // Moving away, or not at all: never. Inside this surface already: it is entered through another one.
    if a <= f64::MIN_POSITIVE || b >= 0.0 || c < 0.0 {
        return None;
    }
    let root = b * b - a * c;
    if root < 0.0 {
        return None;
    }
    let t = (-b - root.sqrt()) / a;
    (t <= 1.0).then_some(t.max(0.0))
}

/// Squared distance of a point from a segment.
pub(super) fn near_segment(point: DVec3, start: DVec3, end: DVec3) -> f64 {
    let core = end - start;
    let length = core.length_squared();
    let t = if length > 0.0 { ((point - start).dot(core) / length).clamp(0.0, 1.0) } else { 0.0 };
    point.distance_squared(start + core * t)
}

/// Squared distance of two segments: the least of a quadratic over a square. It lies on one of the four edges, or where
/// both lines are nearest inside of it (Eberly, *Robust Computation of Distance Between Line Segments*, 2015).
pub(super) fn near_segments((a0, a1): (DVec3, DVec3), (b0, b1): (DVec3, DVec3)) -> f64 {
    let edges = near_segment(a0, b0, b1)
        .min(near_segment(a1, b0, b1))
        .min(near_segment(b0, a0, a1))
        .min(near_segment(b1, a0, a1));
    let (u, v, w) = (a1 - a0, b1 - b0, a0 - b0);
    let (uu, uv, vv) = (u.length_squared(), u.dot(v), v.length_squared());
    let (uw, vw) = (u.dot(w), v.dot(w));
    let square = uu * vv - uv * uv;
    if square <= 1e-12 * uu * vv {
        // Parallel: an end of one is as near as anything.
        return edges;
    }
    let (s, t) = ((uv * vw - vv * uw) / square, (uu * vw - uv * uw) / square);
    if (0.0..=1.0).contains(&s) && (0.0..=1.0).contains(&t) {
        return edges.min((a0 + u * s).distance_squared(b0 + v * t));
    }
    edges
}

/// Squared distance of a segment from a box. Along the segment it is a convex function, a quadratic between the places
/// where the segment crosses the planes of the box's sides: each piece has its least value at its ends or its vertex.
pub(super) fn near_block(block: &Block, (start, end): (DVec3, DVec3)) -> f64 {
    let back = block.turned.conjugate();
    let (from, to) = (back * (start - block.centre), back * (end - block.centre));
    let way = to - from;
    let mut cuts = [0.0; 8];
    cuts[7] = 1.0;
    for axis in 0..3 {
        for (side, sign) in [(0, -1.0), (1, 1.0)] {
            let t = (sign * block.half[axis] - from[axis]) / way[axis];
            cuts[1 + axis * 2 + side] = if t.is_finite() { t.clamp(0.0, 1.0) } else { 0.0 };
        }
    }
    cuts.sort_unstable_by(f64::total_cmp);
    let outside = |t: f64| {
        let point = from + way * t;
        point - point.clamp(-block.half, block.half)
    };
    let mut least = outside(0.0).length_squared();
    for pair in cuts.windows(2) {
        let (begin, finish) = (outside(pair[0]), outside(pair[1]));
        // Within a piece the way outside is straight: from `begin` to `finish`.
        least = least.min(near_segment(DVec3::ZERO, begin, finish));
    }
    least
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point() -> impl Strategy<Value = DVec3> {
        (-9.0..9.0, -9.0..9.0, -9.0..9.0).prop_map(DVec3::from)
    }

    fn capsule() -> impl Strategy<Value = Capsule> {
        let half = prop_oneof![Just(DVec3::ZERO), point().prop_map(|half| half / 3.0)];
        (point(), half, 0.1..3.0).prop_map(|(centre, half, radius)| Capsule { centre, half, radius })
    }

    fn block() -> impl Strategy<Value = Block> {
        (point(), point(), point(), 0.0..6.3_f32).prop_map(|(centre, half, axis, angle)| {
            let axis = axis.as_vec3().try_normalize().unwrap_or(Vec3::Z);
            Block::new(centre.as_vec3(), half.as_vec3() / 2.0).turned(Quat::from_axis_angle(axis, angle))
        })
    }

    const STEPS: i32 = 4000;

    fn along(from: DVec3, to: DVec3) -> impl Iterator<Item = (f64, DVec3)> {
        (0..=STEPS).map(move |step| f64::from(step) / f64::from(STEPS)).map(move |t| (t, from.lerp(to, t)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_way_meets_a_capsule_where_small_steps_do(from in point(), to in point(), capsule in capsule()) {
            let (start, end) = capsule.ends();
            let inside = |point: DVec3, more: f64| near_segment(point, start, end).sqrt() <= capsule.radius + more;
            let stepped = along(from, to).find(|(_, point)| inside(*point, 0.0));
            match (segment_meets(from, to, &capsule), stepped) {
                (Some(at), Some((t, _))) => {
                    prop_assert!(at <= t + 1e-9 && inside(from.lerp(to, at), 1e-6), "{} {}", at, t);
                    prop_assert!(at == 0.0 || !inside(from.lerp(to, at * 0.999), -1e-6));
                }
                // Only a touch between two of the steps may be missed by them.
                (Some(at), None) => prop_assert!(inside(from.lerp(to, at), 1e-6)),
                (None, found) => prop_assert!(found.is_none(), "{:?}", found),
            }
        }

        #[test]
        fn segments_are_as_near_as_their_points(a in (point(), point()), b in (point(), point())) {
            let least = along(a.0, a.1).map(|(_, point)| near_segment(point, b.0, b.1)).fold(f64::MAX, f64::min);
            let near = near_segments(a, b);
            prop_assert!(near <= least + 1e-9 && least - near < 0.05, "{} {}", near, least);
        }

        #[test]
        fn parallel_segments_too(a in (point(), point()), shift in point(), along_it in -2.0..2.0) {
            let way = a.1 - a.0;
            let b = (a.0 + shift + way * along_it, a.1 + shift + way * along_it);
            let least = along(a.0, a.1).map(|(_, point)| near_segment(point, b.0, b.1)).fold(f64::MAX, f64::min);
            prop_assert!((near_segments(a, b) - least).abs() < 0.05);
        }

        #[test]
        fn a_block_is_as_near_as_a_point_of_the_segment(block in block(), a in (point(), point())) {
            let far = |point: DVec3| {
                let local = block.turned.conjugate() * (point - block.centre);
                (local - local.clamp(-block.half, block.half)).length_squared()
            };
            let least = along(a.0, a.1).map(|(_, point)| far(point)).fold(f64::MAX, f64::min);
            let near = near_block(&block, a);
            prop_assert!(near <= least + 1e-9 && least - near < 0.05, "{} {}", near, least);
        }
    }

    #[test]
    fn ways_along_and_across_a_core() {
        let capsule = Capsule { centre: DVec3::ZERO, half: DVec3::Y * 2.0, radius: 1.0 };
        let check = |from: [f64; 3], to: [f64; 3], expected: Option<f64>| {
            let got = segment_meets(from.into(), to.into(), &capsule);
            match (got, expected) {
                (Some(got), Some(expected)) => assert!((got - expected).abs() < 1e-9, "{got} {expected}"),
                _ => assert_eq!(got, expected),
            }
        };
        check([-5.0, 0.0, 0.0], [5.0, 0.0, 0.0], Some(0.4));
        check([0.0, 8.0, 0.0], [0.0, -2.0, 0.0], Some(0.5));
        check([0.0, 0.0, 0.5], [9.0, 9.0, 9.0], Some(0.0));
        check([-5.0, 4.0, 0.0], [5.0, 4.0, 0.0], None);
        check([2.0, -9.0, 0.0], [2.0, 9.0, 0.0], None);
        check([2.0, 0.0, 0.0], [2.0, 0.0, 0.0], None);
        check([1.0, 0.0, 0.0], [1.0, 0.0, 0.0], Some(0.0));
        // A thousand metres long, half a millimetre inside the edge.
        let chord = (0.001_f64 - 2.5e-7).sqrt();
        check([-500.0, 3.0 - 5e-4, 0.0], [500.0, 3.0 - 5e-4, 0.0], Some(0.5 - chord * 1e-3));
    }
}
