//! A client's view as entities and components of a `bevy_ecs` world, for games whose client is an ECS too. Owns which
//! entity stands for which of the server's; must never know a packet, a server, or what a component means.
//!
//! The client itself knows no ECS: this crate only copies what it shows, once a frame.
//!
//! ```
//! use bevy_ecs::prelude::*;
//! use client_ecs::{Mirror, Own, Remote};
//! use netcode_client::{Client, Game, StepContext};
//! use netcode_derive::{Input, Replicate};
//!
//! #[derive(Component, Replicate, Clone, PartialEq)]
//! #[net(predicted)]
//! struct Walker {
//!     #[net(range(-50.0..=50.0), step = 0.01)]
//!     x: f32,
//! }
//!
//! #[derive(Component, Replicate, Clone, PartialEq)]
//! struct Lantern {
//!     lit: bool,
//! }
//! #
//! # #[derive(Input, Clone, Default, PartialEq)]
//! # struct Walk {
//! #     right: bool,
//! # }
//! # struct Night;
//! # impl Game for Night {
//! #     type Input = Walk;
//! #     type State = Walker;
//! #     fn step(_: &mut Walker, _: &Walk, _: StepContext) {}
//! #     fn distance(a: &Walker, b: &Walker) -> f32 {
//! #         (a.x - b.x).abs()
//! #     }
//! # }
//!
//! fn frame(client: &Client<Night>, mirror: &mut Mirror<Night>, world: &mut World) {
//!     // client.handle_datagram(…), client.advance(…), and then:
//!     mirror.sync(client, world);
//! }
//!
//! /// A system of the client: entities of the server's are like any others.
//! fn glow(lanterns: Query<(&Remote, &Walker, &Lantern, Has<Own>), Changed<Lantern>>) {
//!     for (remote, walker, lantern, own) in &lanterns {
//!         println!("{:?} at {} {} {}", remote.0, walker.x, lantern.lit, own);
//!     }
//! }
//!
//! let mirror = Mirror::<Night>::new().component::<Lantern>();
//! # drop(mirror);
//! # bevy_ecs::system::assert_is_system(glow);
//! ```

use std::collections::HashMap;

use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use netcode_client::{Client, Game, WorldView};
use netcode_proto::ClientSession;
use netcode_snapshot::{NetId, Replicate};

/// Which of the server's entities this one stands for. Despawned with it.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Remote(pub NetId);

/// The player's own entity.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own;

/// Keeps the entities of a world as a client shows them. One world, one client, one mirror.
pub struct Mirror<G: Game> {
    entities: HashMap<NetId, Entity>,
    own: Option<Entity>,
    writers: Vec<Writer>,
    gone: Vec<(NetId, Entity)>,
    game: std::marker::PhantomData<fn() -> G>,
}

/// Writes one component of one entity as the view has it.
type Writer = fn(&WorldView<'_>, NetId, &mut EntityWorldMut<'_>);

impl<G: Game<State: Component<Mutability = Mutable>>> Mirror<G> {
    /// A mirror of the predicted component alone.
    #[must_use]
    pub fn new() -> Self {
        Self {
            entities: HashMap::new(),
            own: None,
            writers: vec![write::<G::State>],
            gone: Vec::new(),
            game: std::marker::PhantomData,
        }
    }

    /// Shows component `T` too. What the client's schema has not, no entity gets.
    #[must_use]
    pub fn component<T: Replicate + Component<Mutability = Mutable> + PartialEq>(mut self) -> Self {
        self.writers.push(write::<T>);
        self
    }

    /// Makes the world what the client shows now: call it after [`Client::advance`], once a frame. Entities come with
    /// [`Remote`] and all their components at once, and are despawned when they are gone, with whatever was added to them
    /// here; a component is only marked as changed where it did. The own entity has [`Own`], and its predicted component as
    /// [`Client::smoothed`] draws it. An entity that the game despawned by itself comes again.
    pub fn sync<S: ClientSession>(&mut self, client: &Client<G, S>, world: &mut World) {
        let view = client.view();
        self.despawn_gone(&view, world);
        for id in view.entities() {
            let known = self.entities.get(&id).copied().filter(|entity| world.entities().contains(*entity));
            let entity = known.unwrap_or_else(|| {
                let entity = world.spawn(Remote(id)).id();
                self.entities.insert(id, entity);
                entity
            });
            let mut entity = world.entity_mut(entity);
            self.writers.iter().for_each(|write| write(&view, id, &mut entity));
        }
        self.mark_own(view.own(), world);
        if let (Some(own), Some(state)) = (self.own, client.smoothed()) {
            put(&mut world.entity_mut(own), state);
        }
    }

    /// The entity that stands for one of the server's: what a [`NetId`] in a component or a message means here.
    #[must_use]
    pub fn entity(&self, id: NetId) -> Option<Entity> {
        self.entities.get(&id).copied()
    }

    /// Despawns everything: the match is over, or the client is another one from now on.
    pub fn clear(&mut self, world: &mut World) {
        self.own = None;
        for (_, entity) in self.entities.drain() {
            world.try_despawn(entity).ok();
        }
    }

    fn despawn_gone(&mut self, view: &WorldView<'_>, world: &mut World) {
        let gone = self.entities.iter().filter(|(id, _)| !view.contains(**id));
        self.gone.extend(gone.map(|(id, entity)| (*id, *entity)));
        for (id, entity) in self.gone.drain(..) {
            self.entities.remove(&id);
            // The game may have done so itself.
            world.try_despawn(entity).ok();
        }
    }

    fn mark_own(&mut self, own: Option<NetId>, world: &mut World) {
        let own = own.and_then(|id| self.entity(id));
        if let Some(before) = self.own.filter(|before| Some(*before) != own)
            && let Ok(mut before) = world.get_entity_mut(before)
        {
            before.remove::<Own>();
        }
        if let Some(mut entity) = own.map(|own| world.entity_mut(own))
            && !entity.contains::<Own>()
        {
            entity.insert(Own);
        }
        self.own = own;
    }
}

impl<G: Game<State: Component<Mutability = Mutable>>> Default for Mirror<G> {
    fn default() -> Self {
        Self::new()
    }
}

impl<G: Game> std::fmt::Debug for Mirror<G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mirror")
            .field("entities", &self.entities)
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

fn write<T: Replicate + Component<Mutability = Mutable> + PartialEq>(
    view: &WorldView<'_>,
    id: NetId,
    entity: &mut EntityWorldMut<'_>,
) {
    match view.get::<T>(id) {
        Some(value) => put(entity, value),
        None if entity.contains::<T>() => {
            entity.remove::<T>();
        }
        None => {}
    }
}

/// Inserts the component, or overwrites it where it differs.
fn put<T: Component<Mutability = Mutable> + PartialEq>(entity: &mut EntityWorldMut<'_>, value: T) {
    match entity.get_mut::<T>() {
        Some(mut known) => {
            known.set_if_neq(value);
        }
        None => {
            entity.insert(value);
        }
    }
}
