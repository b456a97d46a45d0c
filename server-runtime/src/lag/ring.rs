//! Where everything hittable was in the last second or more, a column a coordinate, on a grid. Owns the memory and the
//! moment between two ticks; must never know what is asked of it, nor by whom.
//!
//! # Memory
//!
//! One row a tick. Each entity has a slot, the same in all rows, so that a pose between two ticks is read from two
//! rows at one index and nothing is searched. A row is a column each for x, y, z, the core's x, y, z and the radius, four
//! bytes an entity each, and two of one byte: 30 bytes an entity and tick, 2 MB for a thousand entities and 64 ticks.

use std::collections::VecDeque;

use bevy_ecs::entity::{Entity, EntityHashMap};
use glam::DVec3;
use netcode_wire::Tick;

use super::Pose;
use super::shape::Capsule;

/// Entities with a pose at most; of more, those beyond are not recorded, and counted.
pub const POSES_MAX: usize = 1 << 16;

#[derive(Debug)]
pub(super) struct Ring {
    /// Steps of the grid a metre: whole, so that a thousandth is a thousandth.
    steps: f64,
    rows_max: usize,
    rows: VecDeque<Row>,
    slots: Vec<Slot>,
    slot_of: EntityHashMap<u32>,
    free: Vec<u32>,
    refused: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    entity: Entity,
    seen: Tick,
    used: bool,
}

/// Every slot at one tick.
#[derive(Debug, Default)]
struct Row {
    tick: Tick,
    present: Vec<bool>,
    life: Vec<u8>,
    /// Centre x, y, z; half core x, y, z; radius: in steps of the grid.
    columns: [Vec<i32>; COLUMNS],
}

const COLUMNS: usize = 7;

/// A moment that the ring holds: between two rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment {
    from: usize,
    to: usize,
    t: f64,
}

impl Ring {
    /// Holds the last `rows_max` ticks on a grid of `step` metres.
    pub(super) fn new(rows_max: usize, step: f32) -> Self {
        Self {
            steps: (1.0 / f64::from(step)).round().max(1.0),
            rows_max: rows_max.max(2),
            rows: VecDeque::new(),
            slots: Vec::new(),
            slot_of: EntityHashMap::default(),
            free: Vec::new(),
            refused: 0,
        }
    }

    /// Takes the poses of `tick`, or takes them anew where it is the newest one.
    pub(super) fn record(&mut self, tick: Tick, poses: impl IntoIterator<Item = (Entity, Pose)>) {
        let again = self.newest() == Some(tick);
        let mut row = match self.rows.len() < self.rows_max {
            _ if again => self.rows.pop_back().unwrap_or_default(),
            true => Row::default(),
            false => self.rows.pop_front().unwrap_or_default(),
        };
        self.release_slots();
        row.begin(tick, self.slots.len());
        for (entity, pose) in poses {
            match self.slot(entity, tick) {
                Some(slot) => row.set(slot, &pose, self.steps),
                None => self.refused += 1,
            }
        }
        self.rows.push_back(row);
    }

    pub(super) fn newest(&self) -> Option<Tick> {
        self.rows.back().map(|row| row.tick)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Poses that were not recorded because there were too many.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// The moment `age` ticks before the newest row. Before the beginning: the oldest row.
    pub(super) fn moment(&self, age: f64) -> Option<Moment> {
        let newest = self.newest()?;
        let whole = age.max(0.0).ceil();
        let wanted = newest.offset(-(whole as i32));
        // Ticks are dense but for overruns, so search by tick instead of indexing by age.
        let from = self.rows.partition_point(|row| row.tick.since(wanted) <= 0).saturating_sub(1);
        let to = (from + 1).min(self.rows.len() - 1);
        let span = self.rows[to].tick.since(self.rows[from].tick).max(1);
        let since = wanted.since(self.rows[from].tick);
        let passed = if since < 0 { 0.0 } else { f64::from(since) + (whole - age.max(0.0)) };
        Some(Moment { from, to, t: (passed / f64::from(span)).clamp(0.0, 1.0) })
    }

    /// Slots that anything was ever in; those of `moment` are found by [`Ring::at`].
    pub(super) fn slots(&self) -> std::ops::Range<usize> {
        0..self.slots.len()
    }

    pub(super) fn entity(&self, slot: usize) -> Entity {
        self.slots[slot].entity
    }

    pub(super) fn slot_of(&self, entity: Entity) -> Option<usize> {
        self.slot_of.get(&entity).map(|slot| *slot as usize)
    }

    /// What is in `slot` at `moment`, as a client shows it: from the row before, moved towards the one after where that
    /// is the same life.
    pub(super) fn at(&self, slot: usize, moment: Moment) -> Option<Capsule> {
        let (from, to) = (&self.rows[moment.from], &self.rows[moment.to]);
        if moment.t >= 1.0 {
            return to.get(slot, self.steps);
        }
        let start = from.get(slot, self.steps)?;
        if moment.t <= 0.0 || !to.has(slot) || from.life[slot] != to.life[slot] {
            return Some(start);
        }
        let end = to.get(slot, self.steps)?;
        Some(Capsule {
            centre: start.centre.lerp(end.centre, moment.t),
            half: start.half.lerp(end.half, moment.t),
            radius: start.radius + (end.radius - start.radius) * moment.t,
        })
    }

    /// Whether what is in `slot` lives the same life at both moments.
    pub(super) fn one_life(&self, slot: usize, before: Moment, now: Moment) -> bool {
        let life = |moment: Moment| {
            let row = &self.rows[if moment.t >= 1.0 { moment.to } else { moment.from }];
            row.has(slot).then(|| row.life[slot])
        };
        life(before) == life(now)
    }

    fn slot(&mut self, entity: Entity, tick: Tick) -> Option<usize> {
        let fresh = Slot { entity, seen: tick, used: true };
        if let Some(slot) = self.slot_of(entity) {
            self.slots[slot] = fresh;
            return Some(slot);
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = fresh;
                slot
            }
            None if self.slots.len() < POSES_MAX => {
                self.slots.push(fresh);
                (self.slots.len() - 1) as u32
            }
            None => return None,
        };
        self.slot_of.insert(entity, slot);
        Some(slot as usize)
    }

    /// Slots of what no row knows any more are for others.
    fn release_slots(&mut self) {
        let Some(oldest) = self.rows.front().map(|row| row.tick) else { return };
        for (place, slot) in self.slots.iter_mut().enumerate() {
            if slot.used && slot.seen.since(oldest) < 0 {
                slot.used = false;
                self.slot_of.remove(&slot.entity);
                self.free.push(place as u32);
            }
        }
    }
}

impl Row {
    fn begin(&mut self, tick: Tick, slots: usize) {
        self.tick = tick;
        self.present.clear();
        self.grow(slots);
    }

    fn grow(&mut self, slots: usize) {
        self.present.resize(slots, false);
        self.life.resize(slots, 0);
        self.columns.iter_mut().for_each(|column| column.resize(slots, 0));
    }

    fn set(&mut self, slot: usize, pose: &Pose, steps: f64) {
        if slot >= self.present.len() {
            self.grow(slot + 1);
        }
        self.present[slot] = true;
        self.life[slot] = pose.life;
        let (centre, half) = (pose.centre.as_dvec3(), pose.half.as_dvec3());
        let values = [centre.x, centre.y, centre.z, half.x, half.y, half.z, f64::from(pose.radius)];
        for (column, value) in self.columns.iter_mut().zip(values) {
            // Saturates; what is no number becomes 0.
            column[slot] = (value * steps).round() as i32;
        }
    }

    fn has(&self, slot: usize) -> bool {
        self.present.get(slot).copied().unwrap_or(false)
    }

    fn get(&self, slot: usize, steps: f64) -> Option<Capsule> {
        if !self.has(slot) {
            return None;
        }
        let value = |column: usize| f64::from(self.columns[column][slot]) / steps;
        Some(Capsule {
            centre: DVec3::new(value(0), value(1), value(2)),
            half: DVec3::new(value(3), value(4), value(5)),
            radius: value(6),
        })
    }
}

#[cfg(test)]
mod tests {
    use bevy_ecs::world::World;
    use glam::Vec2;

    use super::*;

    #[test]
    fn slots_are_given_back_and_memory_stays() {
        let mut world = World::new();
        let mut ring = Ring::new(4, 0.001);
        for tick in 0..1000 {
            // Somebody new every tick, who is there for one tick.
            let entity = world.spawn_empty().id();
            ring.record(Tick(tick), [(entity, Pose::new(Vec2::ZERO, 1.0))]);
            assert!(ring.slots.len() <= 6 && ring.slot_of.len() <= 6, "{}", ring.slots.len());
        }
        assert_eq!((ring.len(), ring.refused()), (4, 0));
    }

    #[test]
    fn ticks_that_were_left_out_are_bridged() {
        let mut world = World::new();
        let entity = world.spawn_empty().id();
        let mut ring = Ring::new(8, 0.001);
        for tick in [10, 14] {
            ring.record(Tick(tick), [(entity, Pose::new(Vec2::new(tick as f32, 0.0), 1.0))]);
        }
        for (age, expected) in [(0.0, 14.0), (1.0, 13.0), (3.5, 10.5), (4.0, 10.0), (9.0, 10.0)] {
            let at = ring.at(0, ring.moment(age).unwrap()).unwrap();
            assert!((at.centre.x - expected).abs() < 1e-9, "{age}: {at:?}");
        }
    }
}
