//! One tick: the five stages, and what the framework does before each. A panic in a system stops at this
//! border: it voids the match, not the process's order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use bevy_ecs::message::MessageRegistry;
use bevy_ecs::prelude::*;
use netcode_client::StepContext;
use netcode_proto::{ServerSession, Transmit};
use netcode_snapshot::Replicate;
use netcode_wire::Time;

use super::custody::Custody;
use super::send::Carry;
use super::{Room, poses};
use crate::builder::ServerGame;
use crate::input_ring::Taken;
use crate::lag::LagCompensation;
use crate::player::{InputOf, Owner, PlayerId};
use crate::record::Recorder;
use crate::stage::{Stage, StageTimes};

/// A system panicked; the match cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a system panicked in stage {stage} at tick {tick}: {message}")]
pub struct TickPanic {
    /// The stage's name.
    pub stage: &'static str,
    /// The tick.
    pub tick: u32,
    /// What the panic said.
    pub message: String,
}

impl<G: ServerGame> Room<G> {
    /// Simulates the next tick, which was due at `due`, and queues what it has to say to every client.
    ///
    /// # Errors
    /// A system panicked. The match has been voided; tick no more, but poll what is left to send.
    pub fn tick(&mut self, now: Time, due: Time) -> Result<(), TickPanic> {
        self.turn(now, due, None)
    }

    /// [`Room::tick`] for who can send at once: `carry` gets most datagrams as soon as some dozens of clients have theirs.
    /// The others are to be polled as ever.
    ///
    /// # Errors
    /// As [`Room::tick`].
    pub fn tick_to(
        &mut self,
        now: Time,
        due: Time,
        carry: &mut dyn FnMut(Transmit<'_>),
    ) -> Result<(), TickPanic> {
        self.turn(now, due, Some(carry))
    }

    fn turn(&mut self, now: Time, due: Time, mut carry: Option<&mut Carry<'_>>) -> Result<(), TickPanic> {
        self.tick = self.tick.next();
        self.tick_at = due;
        self.publish_tick();
        let mut times = StageTimes::default();
        for stage in Stage::ALL {
            let began = Instant::now();
            if let Err(panic) = self.contain(stage, |room| room.run_stage(stage, now, carry.as_deref_mut())) {
                self.custody.iter_mut().for_each(Custody::note_broken);
                self.void(now, &panic.to_string());
                return Err(panic);
            }
            times.0[stage.index()] = began.elapsed();
        }
        self.meter.tick(&times);
        Ok(())
    }

    /// Lets a panic in a stage end here.
    pub(super) fn contain(&mut self, stage: Stage, act: impl FnOnce(&mut Self)) -> Result<(), TickPanic> {
        catch_unwind(AssertUnwindSafe(|| act(self))).map_err(|panic| TickPanic {
            stage: stage.name(),
            tick: self.tick.0,
            message: panic_text(panic.as_ref()),
        })
    }

    fn run_stage(&mut self, stage: Stage, now: Time, carry: Option<&mut Carry<'_>>) {
        match stage {
            Stage::Receive => {
                self.rotate_events();
                self.recorder.iter_mut().for_each(Recorder::turn);
                self.net.step(now);
                self.receive(now);
                self.put_out_the_suspicious(now);
                self.turn_phase(now);
            }
            Stage::Input => self.hand_out_inputs(),
            Stage::Simulate => self.step_owned(),
            Stage::Resolve => self.record_poses(),
            Stage::Replicate => {}
        }
        self.stages.run(stage, &mut self.world);
        if stage == Stage::Replicate {
            self.settle();
            self.note_frame();
            self.compare_telemetry();
            self.send(now, carry);
            self.keep_states();
            self.despawn_departed();
            self.report_result();
        }
    }

    /// Events live for two ticks.
    pub(super) fn rotate_events(&mut self) {
        let last_change = self.world.change_tick();
        self.world.resource_scope(|world, mut registry: Mut<'_, MessageRegistry>| {
            registry.run_updates(world, last_change);
        });
    }

    /// Each player's input of this tick goes onto what the player owns.
    fn hand_out_inputs(&mut self) {
        let tick = self.tick;
        self.inputs.clear();
        let lag = self.world.resource::<LagCompensation>();
        for player in self.players.iter_mut().filter(|player| player.client().is_some()) {
            let (sample, taken) = player.ring.take(tick);
            if taken == Taken::Fresh {
                player.simulated_input = Some(tick);
                player.margin_sixteenths = sample.margin_sixteenths;
            }
            let previous = std::mem::replace(&mut player.previous, sample.input.clone());
            let rewind = lag.rewind(sample.rewind_ticks);
            let fresh = taken == Taken::Fresh;
            self.inputs.insert(player.id, InputOf { current: sample.input, previous, fresh, rewind });
        }
        self.check_inputs();
        self.note_inputs();
        self.apply_inputs();
    }

    /// What stands in `inputs` goes onto what the players own.
    pub(super) fn apply_inputs(&mut self) {
        for (owner, mut slot) in self.input_slots.iter_mut(&mut self.world) {
            // Nobody connected: neutral.
            *slot = match self.inputs.get(&owner.0) {
                Some(input) => InputOf {
                    current: input.current.clone(),
                    previous: input.previous.clone(),
                    fresh: input.fresh,
                    rewind: input.rewind,
                },
                None => InputOf::default(),
            };
        }
    }

    /// The step that server and clients share, for everything a player owns.
    pub(super) fn step_owned(&mut self) {
        let context = StepContext { tick: self.tick, dt: 1.0 / f32::from(self.tick_hz) };
        for (_, _, mut state, input) in self.owned.iter_mut(&mut self.world) {
            G::step(&mut state, &input.current, context);
            state.snap();
        }
    }

    pub(super) fn record_poses(&mut self) {
        poses::record(&mut self.poses, &mut self.world, &mut self.pose_scratch, self.tick);
    }

    /// The tick's last word, live as in a replay: what players own lies on the wire's grid, poses and frame are as the
    /// players are shown them.
    pub(super) fn settle(&mut self) {
        self.snap_owned();
        self.record_poses();
        let history = Arc::get_mut(&mut self.history).expect("no thread has it between ticks");
        self.extraction.run(&mut self.world, &self.schema, history, self.tick);
    }

    /// Systems may have moved what players predict off the wire's grid; both sides must go on from the same bits.
    fn snap_owned(&mut self) {
        for (_, _, mut state, _) in self.owned.iter_mut(&mut self.world) {
            state.snap();
        }
    }

    /// Left and back within one tick: what was theirs goes first, or the new things would go with it.
    pub(super) fn despawn_if_departed(&mut self, id: PlayerId) {
        if self.departed.contains(&id) {
            self.despawn_departed();
        }
    }

    /// What belonged to players who left goes with them.
    pub(super) fn despawn_departed(&mut self) {
        if self.departed.is_empty() {
            return;
        }
        let departed = std::mem::take(&mut self.departed);
        let gone = |owner: &Owner| departed.contains(&owner.0);
        let entities: Vec<Entity> = self
            .owners
            .iter(&self.world)
            .filter(|(_, owner)| gone(owner))
            .map(|(entity, _)| entity)
            .collect();
        for entity in entities {
            self.world.despawn(entity);
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}
