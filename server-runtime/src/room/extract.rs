//! World → frame: copies every networked entity's replicated components into quantised columns, once a tick.
//! Must never know a client.
//!
//! While no entity came, went, or got or lost a component, a frame is a copy of the one before with the components that
//! changed since: bevy's change ticks say which. So what stands still costs a comparison. (A system that writes through
//! `bypass_change_detection` is not seen.)

use std::num::NonZeroU32;

use bevy_ecs::archetype::ArchetypeId;
use bevy_ecs::change_detection::Tick as ChangeTick;
use bevy_ecs::prelude::*;
use bevy_ecs::world::EntityRef;
use netcode_snapshot::{ComponentId, EntityWriter, Frame, History, NetId, Replicate, Schema};
use netcode_wire::Tick;

use super::net_ids::NetIds;
use crate::player::Networked;
use crate::visibility::AppearsTogether;

/// Knows how to copy one component type.
#[derive(Clone, Copy)]
pub struct Extractor {
    id: ComponentId,
    register: fn(&mut World) -> bevy_ecs::component::ComponentId,
    write: fn(EntityRef<'_>, ComponentId, &mut EntityWriter<'_>),
    set: fn(EntityRef<'_>, ComponentId, &mut Frame, usize),
}

impl Extractor {
    /// For the component registered as number `index` of the schema.
    ///
    /// # Panics
    /// When `index` is more than any schema has.
    #[must_use]
    pub fn new<T: Replicate + Component>(index: usize) -> Self {
        let id = u8::try_from(index).expect("a schema has far fewer than 256 components");
        Self {
            id: ComponentId(id),
            register: World::register_component::<T>,
            write: write::<T>,
            set: set::<T>,
        }
    }
}

fn write<T: Replicate + Component>(entity: EntityRef<'_>, id: ComponentId, out: &mut EntityWriter<'_>) {
    if let Some(component) = entity.get::<T>() {
        out.component_at(id, component);
    }
}

fn set<T: Replicate + Component>(entity: EntityRef<'_>, id: ComponentId, frame: &mut Frame, row: usize) {
    if let Some(component) = entity.get::<T>() {
        frame.set(row, id, component);
    }
}

/// The translator's memory, kept from tick to tick. One world, one history.
pub struct Extraction {
    query: QueryState<(EntityRef<'static>, &'static Networked)>,
    /// In the order of storage: who is there, with which components, and in which row of the frame.
    stored: Vec<Stored>,
    found: Vec<Stored>,
    /// Ascending by id.
    order: Vec<(NetId, Entity)>,
    extractors: Vec<(Extractor, bevy_ecs::component::ComponentId)>,
    /// The component that says who appears together, and whether anybody has it.
    together: bevy_ecs::component::ComponentId,
    has_groups: bool,
    last_run: Option<ChangeTick>,
}

/// `row` is not compared.
#[derive(Clone, Copy)]
struct Stored {
    id: NetId,
    entity: Entity,
    archetype: ArchetypeId,
    row: u32,
}

impl Stored {
    fn is_same(&self, other: &Self) -> bool {
        (self.id, self.entity, self.archetype) == (other.id, other.entity, other.archetype)
    }
}

impl Extraction {
    /// For the components of `extractors`, in the order of the schema.
    #[must_use]
    pub fn new(world: &mut World, extractors: Vec<Extractor>) -> Self {
        // Names are given out from now on, if they were not before.
        world.init_resource::<NetIds>();
        let known = |extractor: Extractor| (extractor, (extractor.register)(world));
        let extractors = extractors.into_iter().map(known).collect();
        Self {
            query: world.query(),
            stored: Vec::new(),
            found: Vec::new(),
            order: Vec::new(),
            extractors,
            together: world.register_component::<AppearsTogether>(),
            has_groups: false,
            last_run: None,
        }
    }

    /// Adds the world at `tick` to the history.
    pub fn run(&mut self, world: &mut World, schema: &Schema, history: &mut History, tick: Tick) {
        let this_run = world.change_tick();
        self.found.clear();
        self.found.extend(self.query.iter(world).map(|(entity, networked)| Stored {
            id: networked.0,
            entity: entity.id(),
            archetype: entity.archetype().id(),
            row: 0,
        }));
        let same = self.found.len() == self.stored.len()
            && self.found.iter().zip(&self.stored).all(|(found, stored)| found.is_same(stored));
        match self.last_run.filter(|_| same && history.newest().is_some()) {
            Some(last_run) => {
                history.update(tick, |frame| self.update(world, frame, last_run, this_run));
            }
            None => {
                self.reorder();
                let world = &*world;
                history.extract(tick, |frame| self.fill(world, schema, frame));
            }
        }
        self.last_run = Some(this_run);
        // What is written from now on is newer than this run.
        world.increment_change_tick();
    }

    /// Every networked entity of the last extraction, ascending by id.
    #[must_use]
    pub fn entities(&self) -> &[(NetId, Entity)] {
        &self.order
    }

    fn reorder(&mut self) {
        std::mem::swap(&mut self.stored, &mut self.found);
        self.order.clear();
        self.order.extend(self.stored.iter().map(|stored| (stored.id, stored.entity)));
        self.order.sort_unstable();
        for stored in &mut self.stored {
            let row = self.order.partition_point(|(id, _)| *id < stored.id);
            stored.row = row as u32;
        }
    }

    fn fill(&mut self, world: &World, schema: &Schema, frame: &mut Frame) {
        self.has_groups = false;
        for (id, entity) in &self.order {
            let entity = world.entity(*entity);
            let group = entity.get::<AppearsTogether>().and_then(group_of);
            self.has_groups |= entity.contains_id(self.together);
            frame.push(schema, *id, |out| {
                group.into_iter().for_each(|group| out.group(group));
                self.extractors
                    .iter()
                    .for_each(|(extractor, _)| (extractor.write)(entity, extractor.id, out));
            });
        }
    }

    fn update(&mut self, world: &World, frame: &mut Frame, last_run: ChangeTick, this_run: ChangeTick) {
        for ((entity, _), stored) in self.query.iter(world).zip(&self.stored) {
            for (extractor, component) in &self.extractors {
                let ticks = entity.get_change_ticks_by_id(*component);
                if ticks.is_some_and(|ticks| ticks.is_changed(last_run, this_run)) {
                    (extractor.set)(entity, extractor.id, frame, stored.row as usize);
                }
            }
            if self.has_groups
                && let Some(together) = entity.get_ref::<AppearsTogether>()
                && together.last_changed().is_newer_than(last_run, this_run)
            {
                frame.set_group(stored.row as usize, group_of(&together));
            }
        }
    }
}

fn group_of(together: &AppearsTogether) -> Option<NonZeroU32> {
    NonZeroU32::new(together.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netcode_derive::Replicate;

    #[derive(Component, Replicate, Clone, Copy)]
    struct Place(#[net(bits = 20)] u32);

    #[derive(Component, Replicate, Clone, Copy)]
    struct Mark(#[net(bits = 8)] u8);

    /// Changes of every kind; a second extraction that knows nothing of the last tick must see the same.
    #[test]
    fn an_update_equals_a_whole_extraction() {
        let schema = Schema::builder().component::<Place>().component::<Mark>().build();
        let mut world = World::new();
        let extractors = || vec![Extractor::new::<Place>(0), Extractor::new::<Mark>(1)];
        let mut extraction = Extraction::new(&mut world, extractors());
        let (mut history, mut random) = (History::default(), 7_u32);
        let mut next = move || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random >> 8
        };
        for tick in 1..400 {
            let entities: Vec<Entity> = extraction.entities().iter().map(|(_, entity)| *entity).collect();
            for entity in entities {
                match next() % 40 {
                    0 => drop(world.despawn(entity)),
                    1 => drop(world.entity_mut(entity).insert(Mark(tick as u8))),
                    2 => drop(world.entity_mut(entity).remove::<Mark>()),
                    3..10 => world.get_mut::<Place>(entity).expect("all have a place").0 += 1,
                    // Written, and as it was.
                    10 => world.get_mut::<Place>(entity).expect("all have a place").0 += 0,
                    _ => {}
                }
            }
            if tick < 5 || next() % 8 == 0 {
                world.spawn((Networked(NetId(0)), Place(next() % 1000)));
            }
            extraction.run(&mut world, &schema, &mut history, Tick(tick));
            let mut fresh = History::default();
            Extraction::new(&mut world, extractors()).run(&mut world, &schema, &mut fresh, Tick(tick));
            let (ours, theirs) = (history.newest().expect("one"), fresh.newest().expect("one"));
            assert!(ours.same_state(theirs), "tick {tick}");
        }
    }
}
