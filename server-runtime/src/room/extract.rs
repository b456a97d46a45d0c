//! World → frame: copies every networked entity's replicated components into quantised columns, once a tick.
//! Must never know a client.

use bevy_ecs::prelude::*;
use bevy_ecs::world::EntityRef;
use netcode_snapshot::{ComponentId, EntityWriter, Frame, History, NetId, Replicate, Schema};
use netcode_wire::Tick;

use crate::player::Networked;

/// Knows how to copy one component type.
#[derive(Clone, Copy)]
pub(crate) struct Extractor {
    id: ComponentId,
    write: fn(EntityRef<'_>, ComponentId, &mut EntityWriter<'_>),
}

impl Extractor {
    /// For the component registered as number `index`.
    pub(crate) fn new<T: Replicate + Component>(index: usize) -> Self {
        let id = u8::try_from(index).expect("a schema has far fewer than 256 components");
        Self { id: ComponentId(id), write: write::<T> }
    }
}

fn write<T: Replicate + Component>(entity: EntityRef<'_>, id: ComponentId, out: &mut EntityWriter<'_>) {
    if let Some(component) = entity.get::<T>() {
        out.component_at(id, component);
    }
}

/// The translator's memory, kept from tick to tick.
pub(crate) struct Extraction {
    query: QueryState<(Entity, &'static Networked)>,
    order: Vec<(NetId, Entity)>,
    extractors: Vec<Extractor>,
}

impl Extraction {
    pub(crate) fn new(world: &mut World, extractors: Vec<Extractor>) -> Self {
        Self { query: world.query(), order: Vec::new(), extractors }
    }

    /// Adds the world at `tick` to the history.
    pub(crate) fn run(&mut self, world: &mut World, schema: &Schema, history: &mut History, tick: Tick) {
        self.order.clear();
        self.order.extend(self.query.iter(world).map(|(entity, networked)| (networked.0, entity)));
        self.order.sort_unstable();
        let world = &*world;
        history.extract(tick, |frame| self.fill(world, schema, frame));
    }

    /// Every networked entity of the last extraction, ascending by id.
    pub(crate) fn entities(&self) -> &[(NetId, Entity)] {
        &self.order
    }

    fn fill(&self, world: &World, schema: &Schema, frame: &mut Frame) {
        for (id, entity) in &self.order {
            let entity = world.entity(*entity);
            frame.push(schema, *id, |out| {
                self.extractors.iter().for_each(|extractor| (extractor.write)(entity, extractor.id, out));
            });
        }
    }
}
