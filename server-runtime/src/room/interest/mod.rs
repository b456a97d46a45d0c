//! Which entities a player is shown, and how urgently. Owns the rules of sight; must never know bytes or budgets.
//!
//! | step | how often | file |
//! |---|---|---|
//! | what the game declared | once | here |
//! | where everything is, whose, and for whom | a tick, for all players | `survey.rs` |
//! | what one player is shown | a tick and player, among what is near | `choose.rs` |

mod choose;
mod survey;

use bevy_ecs::prelude::*;
use bevy_ecs::world::EntityRef;
use glam::Vec3;
use netcode_snapshot::Far;

use crate::visibility::Viewer;

pub(crate) use choose::Chooser;
pub(crate) use survey::Survey;

/// Priority of what the player owns: far above everything else, so that it is never left out.
pub(crate) const PRIORITY_OWN: f32 = 1000.0;

/// What comes into sight at the radius stays in sight until it is farther away by this part of it.
const HYSTERESIS: f32 = 0.1;

type Position = Box<dyn Fn(EntityRef<'_>) -> Option<Vec3> + Send + Sync>;
type Rule = Box<dyn Fn(Viewer, EntityRef<'_>) -> bool + Send + Sync>;

/// What the game declared.
#[derive(Default)]
pub(crate) struct Interest {
    kinds: Vec<Kind>,
    far: Vec<Coarse>,
    rule: Option<Rule>,
}

/// A component that who is far is told less of.
struct Coarse {
    beyond: f32,
    is_on: fn(EntityRef<'_>) -> bool,
}

/// A kind of thing that has a place.
struct Kind {
    radius: f32,
    position: Position,
}

impl Interest {
    /// Adds a kind of position, shown within `radius`.
    pub(crate) fn within<C: Component>(
        &mut self,
        radius: f32,
        position: impl Fn(&C) -> Vec3 + Send + Sync + 'static,
    ) {
        let position: Position = Box::new(move |entity| entity.get::<C>().map(&position));
        self.kinds.push(Kind { radius: radius.max(0.0), position });
    }

    /// Adds a component that states what who is far is told less of.
    pub(crate) fn far<C: Component>(&mut self, far: Far) {
        self.far.push(Coarse { beyond: far.beyond, is_on: |entity| entity.contains::<C>() });
    }

    /// Adds a rule beside those there are.
    pub(crate) fn only_if(&mut self, rule: impl Fn(Viewer, EntityRef<'_>) -> bool + Send + Sync + 'static) {
        self.rule = Some(match self.rule.take() {
            None => Box::new(rule),
            Some(before) => Box::new(move |viewer, entity| before(viewer, entity) && rule(viewer, entity)),
        });
    }

    /// Where an entity is and how far it is seen; `None`: it has no place.
    fn place(&self, entity: EntityRef<'_>) -> Option<(Vec3, f32)> {
        self.kinds.iter().find_map(|kind| Some(((kind.position)(entity)?, kind.radius)))
    }

    /// From what distance on the entity is told as far: where each of its components that states one says so; infinite
    /// where none does.
    fn far_beyond(&self, entity: EntityRef<'_>) -> f32 {
        let stated = self.far.iter().filter(|coarse| (coarse.is_on)(entity)).map(|coarse| coarse.beyond);
        stated.fold(None, |most, beyond| Some(beyond.max(most.unwrap_or(0.0)))).unwrap_or(f32::INFINITY)
    }

    /// The greatest radius, what lingers in sight included.
    fn reach(&self) -> f32 {
        self.kinds.iter().map(|kind| kind.radius).fold(0.0, f32::max) * (1.0 + HYSTERESIS)
    }

    fn allows(&self, viewer: Viewer, world: &World, entity: Entity) -> bool {
        self.rule.as_ref().is_none_or(|rule| rule(viewer, world.entity(entity)))
    }
}
