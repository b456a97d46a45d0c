//! Lag compensation: where hittable things were, and the questions that shooters ask of it. History and geometry alone:
//! no physics engine stands behind it, and it must never know what a weapon is.
//!
//! The idea is Bernier's (*Latency Compensating Methods in Client/Server In-game Protocol Design*, GDC 2001): judge a
//! shot against the world its shooter saw. Ours is per shot rather than per world: nothing is moved back and forth, a
//! question names its moment ([`Rewind`]) and is answered from quantised poses between two ticks.
//!
//! | file | owns |
//! |---|---|
//! | `ring.rs` | poses by tick, a column a coordinate; the moment between two ticks |
//! | `shape.rs` | geometry: ways, capsules, boxes |
//! | `query.rs` | [`Seen`]: who is met, who is near |
//! | `claim.rs` | whether a client can have seen what it says it saw |

mod claim;
mod query;
mod ring;
mod shape;

use bevy_ecs::prelude::*;
use glam::{Vec2, Vec3};
use netcode_wire::Tick;

pub(crate) use claim::{Claim, Evidence, Judge};
pub use query::{Hit, Point, Seen};
pub use ring::POSES_MAX;
pub use shape::Block;

use ring::Ring;

/// How far back a player's shot may reach unless configured, in milliseconds. Beyond it the victim's grievance outweighs
/// the shooter's: whoever plays at more than this must lead the target.
pub const REWIND_MS_MAX: u32 = 250;

/// A rounded shape somewhere: a circle, a sphere or a capsule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    pub(crate) centre: Vec3,
    /// From the centre to one end of the core; zero for what is round.
    pub(crate) half: Vec3,
    pub(crate) radius: f32,
    pub(crate) life: u8,
}

impl Pose {
    /// A circle of `radius` around `position`, in the plane.
    #[must_use]
    pub fn new(position: Vec2, radius: f32) -> Self {
        Self::sphere(position.extend(0.0), radius)
    }

    /// A sphere of `radius` around `centre`.
    #[must_use]
    pub fn sphere(centre: Vec3, radius: f32) -> Self {
        Self { centre, half: Vec3::ZERO, radius, life: 0 }
    }

    /// Everything within `radius` of the line from `start` to `end`: somebody who stands. In the plane or in space.
    #[must_use]
    pub fn capsule<P: Point>(start: P, end: P, radius: f32) -> Self {
        let (start, end) = (start.lift(), end.lift());
        Self { centre: (start + end) / 2.0, half: (end - start) / 2.0, radius, life: 0 }
    }

    /// The same in another life: between poses of different numbers nothing is interpolated. Give it what tells a
    /// respawn or a teleport from a journey.
    #[must_use]
    pub fn life(self, life: u8) -> Self {
        Self { life, ..self }
    }

    /// Its centre in the plane.
    #[must_use]
    pub fn position(&self) -> Vec2 {
        self.centre.truncate()
    }

    /// Its centre.
    #[must_use]
    pub fn centre(&self) -> Vec3 {
        self.centre
    }

    /// Its radius.
    #[must_use]
    pub fn radius(&self) -> f32 {
        self.radius
    }
}

/// Whose screen counts when the two differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Favour {
    /// The shooter's: targets stand where the shooter saw them, within the bound. Who aims well hits; who has just
    /// reached cover may still be hit.
    #[default]
    Shooter,
    /// The target's: targets stand where they are now, which is where their own players see them. Who dodges is safe;
    /// the shooter has to lead.
    Target,
}

/// How lag compensation behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LagConfig {
    /// How far back a shot may reach, milliseconds.
    pub rewind_ms_max: u32,
    /// How long poses are kept, milliseconds: what the server itself may ask for ([`LagCompensation::recall`]). At
    /// least as long as shots may reach.
    pub keep_ms: u32,
    /// The grid of poses, world units.
    pub step: f32,
    /// Whose screen counts, unless a question says otherwise.
    pub favour: Favour,
}

impl Default for LagConfig {
    fn default() -> Self {
        Self { rewind_ms_max: REWIND_MS_MAX, keep_ms: 1000, step: 0.001, favour: Favour::Shooter }
    }
}

/// How many ticks behind the server its player saw the others when acting. Made by the framework from what the
/// client reports, as far as that can be true ([`LagConfig`]); keep it on a projectile.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
pub struct Rewind {
    /// Ticks, with the fraction; never negative, never more than the bound.
    pub ticks: f32,
}

impl Rewind {
    /// For what flies on for a while: its shooter goes on seeing the others through a delay that glides with the
    /// network. Moves towards the shooter's `live` one, by no more than an honest client's clocks glide in a tick, so
    /// that nobody picks a new moment for a shot under way. Gives what it was before, for [`Seen::since`].
    pub fn follow(&mut self, live: Self) -> Self {
        let before = *self;
        self.ticks += (live.ticks - self.ticks).clamp(-GLIDE_TICKS_MAX, GLIDE_TICKS_MAX);
        before
    }
}

/// Client and playout clock are dilated by 5 % each at most; a little more for rounding (1/256 tick).
const GLIDE_TICKS_MAX: f32 = 0.11;

/// The poses of the last second, and the questions it answers. Ask in [`crate::Stage::Resolve`] or later: there the
/// newest poses are this tick's.
///
/// ```
/// use server_runtime::prelude::*;
///
/// # let mut world = World::new();
/// # let (shooter, target) = (world.spawn_empty().id(), world.spawn_empty().id());
/// let mut lag = LagCompensation::new(60, LagConfig::default());
/// // The framework does this once a tick, for what was registered with `.hittable()`.
/// for tick in 0..60 {
///     lag.record(Tick(tick), [(target, Pose::new(Vec2::new(tick as f32, 0.0), 0.5))]);
/// }
/// // Its player saw the others twelve ticks ago; the ray goes down through x = 47.
/// let rewind = Rewind { ticks: 12.0 };
/// let hit = lag.seen(rewind).except(shooter).ray(Vec2::new(47.0, 9.0), Vec2::new(47.0, -9.0)).unwrap();
/// assert_eq!(hit.entity, target);
/// assert!((hit.point.y - 0.5).abs() < 1e-3);
/// // Who has that target's screen count instead finds it gone.
/// let now = lag.seen(rewind).favour(Favour::Target);
/// assert!(now.ray(Vec2::new(47.0, 9.0), Vec2::new(47.0, -9.0)).is_none());
/// ```
#[derive(Resource, Debug)]
pub struct LagCompensation {
    ring: Ring,
    ticks_max: f32,
    favour: Favour,
}

impl LagCompensation {
    /// An empty ring for a game of `tick_hz`.
    #[must_use]
    pub fn new(tick_hz: u16, config: LagConfig) -> Self {
        let ticks = |ms: u32| u64::from(tick_hz) * u64::from(ms) / 1000;
        // One more row for now, one to interpolate from, one to sweep from.
        let rows = ticks(config.keep_ms.max(config.rewind_ms_max)) as usize + 3;
        Self {
            ring: Ring::new(rows, config.step),
            ticks_max: f32::from(tick_hz) * (config.rewind_ms_max as f32) / 1000.0,
            favour: config.favour,
        }
    }

    /// Records where everything hittable is at `tick`; the oldest tick makes room. The framework calls this
    /// between `Simulate` and `Resolve` for what was registered with `.hittable()`, and again with what is shown to the
    /// players of that tick: who was lost in `Resolve` cannot be hit in it afterwards. Of more than
    /// [`POSES_MAX`] entities the last are left out, and counted.
    pub fn record(&mut self, tick: Tick, poses: impl IntoIterator<Item = (Entity, Pose)>) {
        self.ring.record(tick, poses);
    }

    /// Turns a distance in ticks into a [`Rewind`]: never into the future, never beyond the bound.
    #[must_use]
    pub fn rewind(&self, ticks: f32) -> Rewind {
        let ticks = if ticks.is_finite() { ticks.clamp(0.0, self.ticks_max) } else { 0.0 };
        Rewind { ticks }
    }

    /// The world as a shooter saw it: ask it questions.
    #[must_use]
    pub fn seen(&self, rewind: Rewind) -> Seen<'_> {
        Seen::new(&self.ring, self.rewind(rewind.ticks).ticks, self.ticks_max).favour(self.favour)
    }

    /// The world `ticks` ago, for questions of the server's own, as far back as poses are kept.
    #[must_use]
    pub fn recall(&self, ticks: f32) -> Seen<'_> {
        let ticks = if ticks.is_finite() { ticks.max(0.0) } else { 0.0 };
        Seen::new(&self.ring, ticks, f32::MAX)
    }

    /// Ticks that are held.
    #[must_use]
    pub fn ticks_held(&self) -> usize {
        self.ring.len()
    }

    /// Poses that were not recorded because there were more than [`POSES_MAX`], ever.
    #[must_use]
    pub fn poses_refused(&self) -> u64 {
        self.ring.refused()
    }
}

#[cfg(test)]
mod tests;
