//! How games add themselves: plug-ins, systems, resources. Must never know sessions or the wire.

use bevy_ecs::message::MessageRegistry;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::IntoScheduleConfigs;
use bevy_ecs::system::ScheduleSystem;

use crate::stage::{Stage, Stages};
use crate::timers::{self, Timers};

/// A part of a game: a set of systems and resources that belong together.
///
/// ```
/// use server_runtime::prelude::*;
///
/// #[derive(Resource, Default)]
/// struct Ticks(u64);
///
/// struct CountTicks;
///
/// impl Plugin for CountTicks {
///     fn build(&self, setup: &mut Setup) {
///         setup.init_resource::<Ticks>().add_systems(Stage::Simulate, |mut ticks: ResMut<Ticks>| ticks.0 += 1);
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a plug-in",
    label = "this cannot be added to a server",
    note = "write `impl Plugin for {Self} {{ fn build(&self, setup: &mut Setup) {{ … }} }}`; systems alone go to `add_systems`"
)]
pub trait Plugin {
    /// Adds the part to a server that is being built.
    fn build(&self, setup: &mut Setup);
}

/// The world and schedules of a server that is being built.
pub struct Setup {
    pub(crate) world: World,
    pub(crate) stages: Stages,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let mut world = World::new();
        world.init_resource::<MessageRegistry>();
        Self { world, stages: Stages::new() }
    }

    /// Adds systems to a stage. Systems of a stage run in an order consistent with `.chain()`, `.before()` and
    /// `.after()`; without those, in a fixed but unspecified one.
    pub fn add_systems<M>(
        &mut self,
        stage: Stage,
        systems: impl IntoScheduleConfigs<ScheduleSystem, M>,
    ) -> &mut Self {
        self.stages.schedule_mut(stage).add_systems(systems);
        self
    }

    /// Inserts a resource.
    pub fn insert_resource<R: Resource>(&mut self, resource: R) -> &mut Self {
        self.world.insert_resource(resource);
        self
    }

    /// Inserts a resource's default, unless it is there.
    pub fn init_resource<R: Resource + FromWorld>(&mut self) -> &mut Self {
        self.world.init_resource::<R>();
        self
    }

    /// Registers a type of event that the game's own systems exchange with `EventWriter<E>` and
    /// `EventReader<E>`. Events live for two ticks.
    pub fn add_event<E: Message>(&mut self) -> &mut Self {
        MessageRegistry::register_message::<E>(&mut self.world);
        self
    }

    /// Registers a type of event that is to come later, and again and again: the resource [`Timers<E>`](Timers).
    pub fn add_timer<E: Message + Clone>(&mut self) -> &mut Self {
        if !self.world.contains_resource::<Timers<E>>() {
            self.world.init_resource::<Timers<E>>();
            self.add_event::<E>().stages.do_first(timers::ring::<E>);
        }
        self
    }

    /// The world, for everything else.
    pub fn world(&mut self) -> &mut World {
        &mut self.world
    }
}
