//! What a room tells its recorder, and how it plays a recording again. Owns the points at which the world is given
//! something from outside; must never know how that is kept.
//!
//! A room that replays has no clients: what they said comes from the recording. Everything between is the same code, in the
//! same order, so that the same world comes out, bit for bit, as long as the game itself is a function of its world.

use std::borrow::Cow;

use netcode_proto::ChannelId;
use netcode_snapshot::Frame;
use netcode_wire::Time;

use super::{Room, TickPanic, inbound};
use crate::balance::NewBalance;
use crate::builder::ServerGame;
use crate::lag::Rewind;
use crate::outbox::Outbox;
use crate::player::{InputOf, PlayerDropped, PlayerId, PlayerJoined, PlayerLeft, PlayerResumed};
use crate::record::{Cue, Identity, Line, Moment, Recorder};
use crate::stage::Stage;

impl<G: ServerGame> Room<G> {
    /// Notes what the world is about to be given.
    pub(super) fn note(&mut self, cue: &Cue<'_>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.cue(cue);
        }
    }

    /// Gives the game these numbers from the next tick on.
    pub(crate) fn set_balance(&mut self, balance: &NewBalance) {
        self.note(&Cue::Balance(balance.json().into()));
        balance.put(&mut self.world);
    }

    /// Notes the inputs of this tick, as they stand in `inputs`.
    pub(super) fn note_inputs(&mut self) {
        let Some(recorder) = &mut self.recorder else { return };
        for player in self.players.iter() {
            let Some(input) = self.inputs.get(&player.id) else { continue };
            recorder.line(Line {
                player: player.id.0,
                current: input.current.clone(),
                previous: input.previous.clone(),
                fresh: input.fresh,
                rewind: input.rewind.ticks,
            });
        }
    }

    /// The tick was extracted.
    pub(super) fn note_frame(&mut self) {
        if let (Some(recorder), Some(frame)) = (&mut self.recorder, self.history.newest()) {
            recorder.commit(self.tick, frame);
        }
    }

    /// The recording of all ticks so far, as a file's bytes; `None`: nothing is recorded.
    #[must_use]
    pub fn recording(&self) -> Option<Vec<u8>> {
        self.recorder.as_ref().map(Recorder::to_bytes)
    }

    /// What a file of it is called: the server's name and the match's id.
    pub(crate) fn recording_name(&self) -> String {
        let fit = |char: char| char.is_ascii_alphanumeric() || char == '-';
        let name: String =
            self.name.chars().take(NAME_CHARS_MAX).map(|c| if fit(c) { c } else { '_' }).collect();
        match self.current_match().id {
            0 => name,
            id => format!("{name}-{id:032x}"),
        }
    }

    /// Whether play has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.current_match().started_at.is_some()
    }

    /// By what a recording of this room is known.
    pub(crate) fn identity(&self) -> Identity {
        super::identity::<G>(&self.name, self.tick_hz, self.schema.hash(), self.messages_hash)
    }

    /// Simulates a tick as it was recorded.
    pub(crate) fn replay(&mut self, moment: Moment<'_, G::Input>) -> Result<(), TickPanic> {
        self.tick = self.tick.next();
        self.publish_tick();
        let [before, after] = moment.cues;
        before.into_iter().for_each(|cue| self.obey(cue));
        self.rotate_events();
        after.into_iter().for_each(|cue| self.obey(cue));
        self.inputs.clear();
        for line in moment.lines {
            let Line { player, current, previous, fresh, rewind } = line.clone();
            let input = InputOf { current, previous, fresh, rewind: Rewind { ticks: rewind } };
            self.inputs.insert(PlayerId(player), input);
        }
        for stage in Stage::ALL {
            self.contain(stage, |room| {
                room.prepare(stage);
                room.stages.run(stage, &mut room.world);
                if stage == Stage::Replicate {
                    room.finish_replayed();
                }
            })?;
        }
        Ok(())
    }

    /// What the framework does before a stage whose events and inputs are there already.
    fn prepare(&mut self, stage: Stage) {
        match stage {
            Stage::Input => self.apply_inputs(),
            Stage::Simulate => self.step_owned(),
            Stage::Resolve => self.record_poses(),
            Stage::Receive | Stage::Replicate => {}
        }
    }

    fn finish_replayed(&mut self) {
        self.settle();
        // Said to nobody, but its limit counts within the tick.
        drop(self.world.resource_mut::<Outbox>().drain());
        self.find_predicted();
        self.keep_states();
        self.despawn_departed();
        self.report_result();
    }

    fn obey(&mut self, cue: Cue<'_>) {
        match cue {
            Cue::Begin(spec) => self.begin_waiting(*spec),
            Cue::Newcomers(newcomers) => self.seat_newcomers(newcomers),
            Cue::Joined { player, name, team, seat } => {
                self.despawn_if_departed(PlayerId(player));
                let name = name.into_owned();
                self.custody.iter_mut().for_each(|custody| custody.note_seated(PlayerId(player)));
                self.world.write_message(PlayerJoined { player: PlayerId(player), name, team, seat });
            }
            Cue::Resumed(player) => {
                self.despawn_if_departed(PlayerId(player));
                self.world.write_message(PlayerResumed { player: PlayerId(player) });
            }
            Cue::Dropped(player) => {
                self.world.write_message(PlayerDropped { player: PlayerId(player) });
            }
            Cue::Left { player, by_choice } => {
                self.departed.push(PlayerId(player));
                self.custody.iter_mut().for_each(|custody| custody.note_left(PlayerId(player)));
                self.world.write_message(PlayerLeft { player: PlayerId(player), by_choice });
            }
            Cue::Message { player, channel, bytes } => {
                // What was malformed then is so now, and reached no system either time.
                let _ = inbound::deliver(
                    &self.inbound,
                    &mut self.world,
                    PlayerId(player),
                    ChannelId(channel),
                    &bytes,
                );
            }
            Cue::State { player, saved } => {
                let saved = saved.as_ref().map(|(version, document)| (*version, &**document));
                // What could not be read then was not noted.
                let _ = self.put_state(PlayerId(player), saved);
            }
            Cue::Start => self.start(Time::ZERO),
            Cue::End => self.end(Time::ZERO),
            Cue::Close => self.close(),
            Cue::Balance(values) => {
                if let Some(balance) = self.balance.and_then(|slot| slot.recorded(&values)) {
                    balance.put(&mut self.world);
                }
            }
        }
    }

    /// The world as it was extracted last.
    pub(crate) fn frame(&self) -> Option<&Frame> {
        self.history.newest()
    }

    /// The type name and the columns' names of a component, as registered.
    pub(crate) fn component_name(&self, component: u8, column: usize) -> (String, String) {
        let component = netcode_snapshot::ComponentId(component);
        let name = self.schema.name(component).unwrap_or("unknown").to_owned();
        let column =
            self.schema.fields(component).get(column).map_or_else(String::new, |field| field.name.into());
        (name, column)
    }
}

/// Characters of a server's name in a file's.
const NAME_CHARS_MAX: usize = 64;

/// The cue of a message that a player sent.
pub(super) fn message_cue(player: PlayerId, channel: ChannelId, bytes: &[u8]) -> Cue<'_> {
    Cue::Message { player: player.0, channel: channel.0, bytes: Cow::Borrowed(bytes) }
}
