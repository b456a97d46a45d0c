//! The five stages of a tick, and the schedules that run them. Owns order and timing of stages;
//! must never know what the systems inside them do.

use std::time::Duration;

use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{ScheduleLabel, SingleThreadedExecutor};

/// When in a tick a system runs. A system of a stage sees everything the earlier stages wrote.
///
/// | stage | the framework does first | your systems typically |
/// |---|---|---|
/// | `Receive` | joins, leaves, typed messages and [timers](crate::Timers) that are due become events | greet, chat, lobby |
/// | `Input` | each player's input of this tick lands in [`crate::InputOf`] | validate, translate, drive NPCs |
/// | `Simulate` | `Game::step` for every owned entity | projectiles, pick-ups, physics |
/// | `Resolve` | hittable poses are recorded for lag compensation | hits, damage, scores, respawn |
/// | `Replicate` | nothing; afterwards the world is sent | last looks: counters, live view |
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// What arrived since the last tick.
    Receive,
    /// What the players want.
    Input,
    /// The world moves one tick.
    Simulate,
    /// What the movement caused.
    Resolve,
    /// The world is about to be shown to the players.
    Replicate,
}

impl Stage {
    /// All stages, in the order they run.
    pub const ALL: [Self; 5] = [Self::Receive, Self::Input, Self::Simulate, Self::Resolve, Self::Replicate];

    /// The stage's name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Input => "input",
            Self::Simulate => "simulate",
            Self::Resolve => "resolve",
            Self::Replicate => "replicate",
        }
    }

    /// Position in [`Stage::ALL`].
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|stage| *stage == self).expect("ALL lists every stage")
    }
}

/// One schedule a stage, each on the single-threaded executor.
pub(crate) struct Stages {
    schedules: [Schedule; 5],
    /// What the framework does before the first one's systems.
    first: Vec<fn(&mut World)>,
}

impl Stages {
    /// Five empty schedules.
    pub(crate) fn new() -> Self {
        Self {
            first: Vec::new(),
            schedules: Stage::ALL.map(|stage| {
                let mut schedule = Schedule::new(stage);
                // Deliberate: the multi-threaded executor costs more per run than a small game's whole stage.
                schedule.set_executor(SingleThreadedExecutor::new());
                schedule
            }),
        }
    }

    /// The schedule of one stage, to add systems to.
    pub(crate) fn schedule_mut(&mut self, stage: Stage) -> &mut Schedule {
        &mut self.schedules[stage.index()]
    }

    /// Does this before the systems of [`Stage::Receive`], after what was added before.
    pub(crate) fn do_first(&mut self, what: fn(&mut World)) {
        self.first.push(what);
    }

    /// Runs one stage's systems.
    pub(crate) fn run(&mut self, stage: Stage, world: &mut World) {
        if stage == Stage::Receive {
            self.first.iter().for_each(|what| what(world));
        }
        self.schedules[stage.index()].run(world);
    }
}

/// How long each stage of one tick took, framework work included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes(pub [Duration; 5]);

impl StageTimes {
    /// The whole tick.
    pub fn total(&self) -> Duration {
        self.0.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Resource, Default)]
    struct Log(Vec<&'static str>);

    #[test]
    fn stages_run_the_systems_they_were_given() {
        let mut world = World::new();
        world.init_resource::<Log>();
        let mut stages = Stages::new();
        for stage in Stage::ALL {
            stages.schedule_mut(stage).add_systems(move |mut log: ResMut<'_, Log>| log.0.push(stage.name()));
        }
        for stage in Stage::ALL {
            stages.run(stage, &mut world);
        }
        assert_eq!(world.resource::<Log>().0, ["receive", "input", "simulate", "resolve", "replicate"]);
    }
}
