//! The questions: who is met on a way, who is near. Owns which moment is looked at and who is left out; must never know
//! how poses are kept.

use bevy_ecs::entity::Entity;
use glam::{DVec3, Vec2, Vec3};

use super::ring::{Moment, Ring};
use super::shape::{Block, Capsule, near_block, near_segment, near_segments, segment_meets};
use super::{Favour, Pose, Rewind};

/// A place in the plane ([`Vec2`]) or in space ([`Vec3`]). The plane is the space with z = 0.
pub trait Point: Copy {
    /// The place in space.
    fn lift(self) -> Vec3;
}

impl Point for Vec2 {
    fn lift(self) -> Vec3 {
        self.extend(0.0)
    }
}

impl Point for Vec3 {
    fn lift(self) -> Vec3 {
        self
    }
}

/// Who was met first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Who was met.
    pub entity: Entity,
    /// How far along the way, 0..=1.
    pub fraction: f32,
    /// Where the ray, or the centre of the moving sphere, was then.
    pub point: Vec3,
}

/// The world at a moment of the past, as [`LagCompensation::seen`](super::LagCompensation::seen) gives it. Its methods take
/// places of the plane and of space alike.
///
/// What it costs: a pass over the poses of one tick (two for a sweep), a few dozen operations each; nothing allocates but
/// the lists that the `touching_…` give.
///
/// ```
/// use server_runtime::prelude::*;
///
/// # let mut world = World::new();
/// # let (one, other) = (world.spawn_empty().id(), world.spawn_empty().id());
/// let mut lag = LagCompensation::new(60, LagConfig::default());
/// let stands = |x: f32| Pose::capsule(Vec3::new(x, 0.0, 0.3), Vec3::new(x, 0.0, 1.5), 0.3);
/// for tick in 0..30 {
///     lag.record(Tick(tick), [(one, stands(2.0)), (other, stands(20.0))]);
/// }
/// let seen = lag.seen(Rewind { ticks: 7.25 });
/// // A grenade, a swung blade, a closing door.
/// assert_eq!(seen.touching_sphere(Vec3::new(0.0, 0.0, 0.9), 2.0), [one]);
/// assert_eq!(seen.touching_capsule(Vec3::new(1.0, 1.0, 1.0), Vec3::new(3.0, -1.0, 1.0), 0.1), [one]);
/// let door = Block::new(Vec3::new(20.0, 0.5, 1.0), Vec3::new(0.5, 0.4, 1.0));
/// assert_eq!(seen.touching_block(&door), [other]);
/// // A bullet, and a ball of 0.2 m that flies as far in this tick.
/// assert_eq!(seen.ray(Vec3::new(-9.0, 0.0, 1.0), Vec3::new(30.0, 0.0, 1.0)).unwrap().entity, one);
/// assert_eq!(seen.except(one).sweep(Vec3::Z, Vec3::new(30.0, 0.0, 1.0), 0.2).unwrap().entity, other);
/// ```
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    ring: &'a Ring,
    /// Ticks before the newest.
    age: f64,
    /// Ticks before the newest at the beginning of the tick just simulated.
    age_before: f64,
    ticks_max: f64,
    except: Option<Entity>,
    only: Option<&'a dyn Fn(Entity) -> bool>,
}

impl<'a> Seen<'a> {
    pub(super) fn new(ring: &'a Ring, ticks: f32, ticks_max: f32) -> Self {
        let age = f64::from(ticks);
        Self { ring, age, age_before: age + 1.0, ticks_max: f64::from(ticks_max), except: None, only: None }
    }

    /// Whose screen counts: with [`Favour::Target`], now is looked at instead.
    #[must_use]
    pub fn favour(self, favour: Favour) -> Self {
        match favour {
            Favour::Shooter => self,
            Favour::Target => Self { age: 0.0, age_before: 1.0, ..self },
        }
    }

    /// For [`Seen::sweep`]: what the shooter's rewind was at the tick before, where it has changed since.
    #[must_use]
    pub fn since(self, before: Rewind) -> Self {
        Self { age_before: f64::from(before.ticks).clamp(0.0, self.ticks_max) + 1.0, ..self }
    }

    /// Leaves one out: the shooter.
    #[must_use]
    pub fn except(self, entity: Entity) -> Self {
        Self { except: Some(entity), ..self }
    }

    /// Leaves out all but those that `only` wants.
    #[must_use]
    pub fn only(self, only: &'a dyn Fn(Entity) -> bool) -> Self {
        Self { only: Some(only), ..self }
    }

    /// Where `entity` was; `None` when it was not hittable then.
    #[must_use]
    pub fn pose(&self, entity: Entity) -> Option<Pose> {
        let slot = self.ring.slot_of(entity)?;
        let capsule = self.ring.at(slot, self.ring.moment(self.age)?)?;
        Some(Pose {
            centre: capsule.centre.as_vec3(),
            half: capsule.half.as_vec3(),
            radius: capsule.radius as f32,
            life: 0,
        })
    }

    /// Whom a straight way without thickness meets first.
    #[must_use]
    pub fn ray<P: Point>(&self, from: P, to: P) -> Option<Hit> {
        let (from, to) = ends(from, to);
        self.first(from, to, |_, capsule| segment_meets(from, to, capsule))
    }

    /// Everybody whom a straight way meets, the nearest first: for what goes through.
    pub fn ray_through<P: Point>(&self, from: P, to: P) -> Vec<Hit> {
        let (from, to) = ends(from, to);
        let mut hits = Vec::new();
        self.each(|slot, capsule| {
            if let Some(at) = segment_meets(from, to, capsule) {
                hits.push(hit(self.ring.entity(slot), from, to, at));
            }
        });
        hits.sort_unstable_by(|one, other| {
            one.fraction.total_cmp(&other.fraction).then(one.entity.cmp(&other.entity))
        });
        hits
    }

    /// Whom a sphere of `radius` meets first on its way `from` → `to` during the tick just simulated. Targets move
    /// during that tick too: the way is relative to each.
    #[must_use]
    pub fn sweep<P: Point>(&self, from: P, to: P, radius: f32) -> Option<Hit> {
        let (from, to) = ends(from, to);
        let (before, now) = (self.ring.moment(self.age_before)?, self.ring.moment(self.age)?);
        self.first(from, to, |slot, capsule| {
            let start = self.ring.at(slot, before).filter(|_| self.ring.one_life(slot, before, now));
            let moved = start.map_or(DVec3::ZERO, |start| capsule.centre - start.centre);
            let target = Capsule {
                radius: capsule.radius + f64::from(radius),
                centre: capsule.centre - moved,
                ..*capsule
            };
            segment_meets(from, to - moved, &target)
        })
    }

    /// Everybody who touches a sphere (in the plane: a circle), ascending.
    #[must_use]
    pub fn touching_sphere<P: Point>(&self, centre: P, radius: f32) -> Vec<Entity> {
        let centre = centre.lift().as_dvec3();
        self.touching(|capsule| {
            let (start, end) = capsule.ends();
            near_segment(centre, start, end) <= (capsule.radius + f64::from(radius)).powi(2)
        })
    }

    /// Everybody who touches what lies within `radius` of the line from `start` to `end`, ascending.
    #[must_use]
    pub fn touching_capsule<P: Point>(&self, start: P, end: P, radius: f32) -> Vec<Entity> {
        let core = ends(start, end);
        self.touching(|capsule| {
            near_segments(core, capsule.ends()) <= (capsule.radius + f64::from(radius)).powi(2)
        })
    }

    /// Everybody who touches a box (in the plane: a rectangle, [`Block::flat`]), ascending.
    #[must_use]
    pub fn touching_block(&self, block: &Block) -> Vec<Entity> {
        self.touching(|capsule| near_block(block, capsule.ends()) <= capsule.radius.powi(2))
    }

    fn touching(&self, near: impl Fn(&Capsule) -> bool) -> Vec<Entity> {
        let mut found = Vec::new();
        self.each(|slot, capsule| {
            if near(capsule) {
                found.push(self.ring.entity(slot));
            }
        });
        found.sort_unstable();
        found
    }

    /// The first on a way; of two at the same place the one with the smaller id, whatever the order in memory.
    fn first(&self, from: DVec3, to: DVec3, meet: impl Fn(usize, &Capsule) -> Option<f64>) -> Option<Hit> {
        let mut first: Option<(f64, Entity)> = None;
        self.each(|slot, capsule| {
            let Some(at) = meet(slot, capsule) else { return };
            let entity = self.ring.entity(slot);
            if first.is_none_or(|held| (at, entity) < held) {
                first = Some((at, entity));
            }
        });
        first.map(|(at, entity)| hit(entity, from, to, at))
    }

    fn each(&self, mut visit: impl FnMut(usize, &Capsule)) {
        let Some(moment) = self.ring.moment(self.age) else { return };
        for slot in self.ring.slots() {
            let Some(capsule) = self.present(slot, moment) else { continue };
            visit(slot, &capsule);
        }
    }

    fn present(&self, slot: usize, moment: Moment) -> Option<Capsule> {
        let capsule = self.ring.at(slot, moment)?;
        let entity = self.ring.entity(slot);
        let wanted = self.except != Some(entity) && self.only.is_none_or(|only| only(entity));
        wanted.then_some(capsule)
    }
}

impl std::fmt::Debug for Seen<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seen").field("age", &self.age).field("except", &self.except).finish_non_exhaustive()
    }
}

fn ends<P: Point>(from: P, to: P) -> (DVec3, DVec3) {
    (from.lift().as_dvec3(), to.lift().as_dvec3())
}

fn hit(entity: Entity, from: DVec3, to: DVec3, at: f64) -> Hit {
    Hit { entity, fraction: at as f32, point: from.lerp(to, at).as_vec3() }
}
