//! Who may see what only some may: beside each entity that a client is shown, the parts of it that are for audiences to
//! which the client belongs. Must never know why the entity is shown.

use bevy_ecs::prelude::{Entity, World};
use netcode_snapshot::Audience;

use super::Room;
use crate::builder::ServerGame;
use crate::player::{Owner, PlayerId};

/// Whether a player belongs to those who may see more of an entity.
pub(crate) type AudienceRule = Box<dyn Fn(&World, PlayerId, Entity) -> bool + Send>;

impl<G: ServerGame> Room<G> {
    /// Adds to `relevant` what of the entities there only some may see, `viewer` among them; at the same priority.
    pub(super) fn add_parts(&mut self, viewer: PlayerId) {
        let Self { schema, relevant, extraction, world, audiences, .. } = self;
        let (entities, shown) = (extraction.entities(), relevant.len());
        // The names of parts ascend by audience, then by entity: the list stays in order.
        for audience in schema.audiences() {
            let rule = audiences.iter().find(|(known, _)| *known == audience).map(|(_, rule)| rule);
            for at in 0..shown {
                let (id, priority) = relevant[at];
                let Ok(place) = entities.binary_search_by_key(&id.entity(), |(id, _)| *id) else { continue };
                let entity = entities[place].1;
                let belongs = match rule {
                    Some(rule) => rule(world, viewer, entity),
                    None => audience == Audience::OWNER && owns(world, viewer, entity),
                };
                if belongs {
                    relevant.push((id.seen_by(audience), priority));
                }
            }
        }
    }
}

fn owns(world: &World, viewer: PlayerId, entity: Entity) -> bool {
    world.entity(entity).get::<Owner>().is_some_and(|owner| owner.0 == viewer)
}
