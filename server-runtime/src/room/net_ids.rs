//! Network ids: counted up, never given twice. Must never know what an entity is.

use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::prelude::*;
use bevy_ecs::world::DeferredWorld;
use netcode_snapshot::NetId;

use crate::player::Networked;

/// The last id given out.
#[derive(Resource, Default)]
pub(crate) struct NetIds {
    last: u32,
}

/// The hook that names an entity when it first gets a replicated component.
pub(crate) fn assign(mut world: DeferredWorld<'_>, context: HookContext) {
    let mut ids = world.resource_mut::<NetIds>();
    ids.last += 1;
    let id = NetId(ids.last);
    if let Some(mut networked) = world.get_mut::<Networked>(context.entity) {
        networked.0 = id;
    }
}
