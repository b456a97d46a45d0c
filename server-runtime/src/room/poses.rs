//! World → pose ring: where everything hittable is. Must never know who shoots.

use bevy_ecs::prelude::*;
use netcode_wire::Tick;

use crate::lag::{LagCompensation, Pose};

type Collect = Box<dyn FnMut(&mut World, &mut Vec<(Entity, Pose)>) + Send>;

/// Knows how to collect the poses of one component type.
pub(crate) struct PoseSource {
    collect: Collect,
}

impl PoseSource {
    pub(crate) fn new<C: Component>(world: &mut World, pose: fn(&C) -> Option<Pose>) -> Self {
        let mut query = world.query::<(Entity, &C)>();
        let collect = move |world: &mut World, out: &mut Vec<(Entity, Pose)>| {
            out.extend(query.iter(world).filter_map(|(entity, component)| Some((entity, pose(component)?))));
        };
        Self { collect: Box::new(collect) }
    }
}

/// Records the poses of `tick`.
pub(crate) fn record(
    sources: &mut [PoseSource],
    world: &mut World,
    scratch: &mut Vec<(Entity, Pose)>,
    tick: Tick,
) {
    scratch.clear();
    sources.iter_mut().for_each(|source| (source.collect)(world, scratch));
    world.resource_mut::<LagCompensation>().record(tick, scratch.drain(..));
}
