//! What one client says: inputs into its ring, telemetry to its account, the game's messages into events. Nothing a client
//! sends can do more than fill its own ring, its own telemetry and its own events. Must never know how it came.

use bevy_ecs::prelude::World;
use netcode_proto::{ChannelId, ClientId, ServerSession, channels};
use netcode_snapshot::{ClientWord, Control, InputPacket, Telemetry};
use netcode_wire::{BitReader, Tick, Time, WireError};

use super::inbound::{self, Inbound};
use super::players::{Players, Sample, TELEMETRY_MAX};
use super::record::message_cue;
use super::{Room, codes};
use crate::builder::ServerGame;
use crate::input_ring::Arrival;
use crate::lag::{Claim, Evidence};
use crate::player::PlayerId;
use crate::record::Recorder;
use crate::suspicion::{InputLimits, Suspicion};

/// Where what was sent arrives, or the connection ends.
fn is_reliable(channel: ChannelId) -> bool {
    !matches!(channel, channels::STATE | channels::GAME_UNRELIABLE | channels::GAME_SEQUENCED)
}

/// Messages taken from one client at a time; the rest waits in the link, which pushes back, until the next tick.
const MESSAGES_MAX: usize = 256;

/// What a room's clients are heard with: all of it but the sessions, which lend the messages.
struct Ear<'a, G: ServerGame> {
    players: &'a mut Players<G::Input>,
    world: &'a mut World,
    inbound: &'a [Inbound],
    tick: Tick,
    tick_at: Time,
    tick_hz: u16,
    now: Time,
    id: PlayerId,
    recorder: Option<&'a mut Recorder<G::Input>>,
    limits: InputLimits,
    /// Accounts that are to be answered: when they were sent.
    told_us: Vec<u64>,
    /// Its build is another one, and it asks for the first time how our columns lie.
    wants_schema: bool,
}

impl<G: ServerGame> Room<G> {
    /// Takes the messages of `client`, which came by `now`. Those of one without a seat wait.
    pub(super) fn hear(&mut self, now: Time, client: ClientId) {
        let Some(id) = self.players.of_client(client) else { return };
        let Self { net, players, world, inbound, tick, tick_at, tick_hz, recorder, input_limits, .. } = self;
        let mut ear = Ear::<G> {
            players,
            world,
            inbound,
            tick: *tick,
            tick_at: *tick_at,
            tick_hz: *tick_hz,
            now,
            id,
            recorder: recorder.as_mut(),
            limits: *input_limits,
            told_us: Vec::new(),
            wants_schema: false,
        };
        let (mut count, mut taken) = (0, Ok(()));
        net.read_messages(client, &mut |channel, bytes| {
            count += 1;
            taken = ear.take(channel, bytes);
            taken.is_ok() && count < MESSAGES_MAX
        });
        let Ear { told_us, wants_schema, .. } = ear;
        if wants_schema {
            self.send_control(now, client, &Control::Schema(self.schema.describe()));
        }
        for sent_us in told_us {
            self.send_control(now, client, &Control::Heard { sent_us, server_us: now.as_micros() });
        }
        if let Err(offence) = taken {
            let code = match offence {
                Offence::Malformed => codes::MALFORMED,
                Offence::Flood => codes::FLOOD,
            };
            self.counts.malformed += u64::from(code == codes::MALFORMED);
            self.say_goodbye(now, client, code);
        } else if count == MESSAGES_MAX {
            self.unheard.push(client);
        }
    }
}

/// For what a connection is ended.
enum Offence {
    Malformed,
    /// More on a reliable channel than is read, where nothing may be left out.
    Flood,
}

impl<G: ServerGame> Ear<'_, G> {
    fn take(&mut self, channel: ChannelId, bytes: &[u8]) -> Result<(), Offence> {
        let (kind, offence) = match self.lets_through(channel) {
            true => match self.read(channel, bytes) {
                Ok(()) => return Ok(()),
                Err(_) => (Suspicion::Malformed, Some(Offence::Malformed)),
            },
            false if channel == channels::STATE => (Suspicion::InputFlood, None),
            false => (Suspicion::MessageFlood, is_reliable(channel).then_some(Offence::Flood)),
        };
        if let Some(player) = self.players.get_mut(self.id) {
            player.offences.add(kind, 1);
        }
        offence.map_or(Ok(()), Err)
    }

    /// Whether the client has not sent too much of this lately.
    fn lets_through(&mut self, channel: ChannelId) -> bool {
        let Some(player) = self.players.get_mut(self.id) else { return true };
        let now_us = self.now.as_micros();
        let (bucket, per_s) = match channel {
            channels::STATE => {
                (&mut player.inputs_in, u64::from(self.limits.inputs_per_tick) * u64::from(self.tick_hz))
            }
            _ => (&mut player.messages_in, u64::from(self.limits.messages_per_s)),
        };
        // A second's worth at once: a link that stalls delivers so much when it goes on.
        bucket.take(now_us, per_s, per_s)
    }

    fn read(&mut self, channel: ChannelId, bytes: &[u8]) -> Result<(), WireError> {
        match channel {
            channels::STATE => self.take_inputs(bytes),
            channels::CONTROL => self.take_word(bytes),
            _ => {
                if let Some(recorder) = &mut self.recorder {
                    recorder.cue(&message_cue(self.id, channel, bytes));
                }
                inbound::deliver(self.inbound, self.world, self.id, channel, bytes)
            }
        }
    }

    fn take_inputs(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let packet = InputPacket::<G::Input>::decode(&mut BitReader::new(bytes))?;
        let upcoming = self.tick.next();
        let margin = self.margin_sixteenths(packet.newest);
        let Some(player) = self.players.get_mut(self.id) else { return Ok(()) };
        if let Some(ack) = packet.ack {
            player.view.ack(ack);
        }
        let is_news = player.newest_input.is_none_or(|newest| packet.newest.since(newest) > 0);
        // The view runs in step with the inputs, so one distance holds for all of the packet's. A datagram that was
        // overtaken says nothing: its view and what is acknowledged by now are no pair.
        let rewind_ticks = match is_news {
            true => {
                let claim = Claim { input: packet.newest, view: packet.view };
                player.judge.judge(claim, Evidence { acked: player.view.newest_ack() })
            }
            false => player.judge.granted(),
        };
        for (tick, input) in packet.ticks() {
            let margin_sixteenths = margin.saturating_sub(packet.newest.since(tick).saturating_mul(16));
            let sample = Sample { input: input.clone(), rewind_ticks, margin_sixteenths };
            match player.ring.insert(tick, sample, upcoming) {
                Arrival::TooEarly => break,
                Arrival::Late => {
                    let worst = player.late_sixteenths.get_or_insert(margin_sixteenths);
                    *worst = margin_sixteenths.min(*worst);
                }
                Arrival::Stored | Arrival::Duplicate => {}
            }
        }
        if is_news {
            player.newest_input = Some(packet.newest);
            // An average over about a second at 60 Hz.
            player.margin_ticks += (f64::from(margin) / 16.0 - player.margin_ticks) / 32.0;
        }
        Ok(())
    }

    /// How long before its tick is due something arrived, in 1/16 ticks.
    fn margin_sixteenths(&self, tick: Tick) -> i32 {
        let period_us = 1_000_000.0 / f64::from(self.tick_hz);
        let since_tick_us = self.now.as_micros() as f64 - self.tick_at.as_micros() as f64;
        let ticks = f64::from(tick.since(self.tick)) - since_tick_us / period_us;
        // Saturates: a `f64` out of range becomes the range's end.
        (ticks * 16.0).round() as i32
    }

    fn take_word(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        match ClientWord::decode(&mut BitReader::new(bytes))? {
            ClientWord::Telemetry(telemetry) => self.take_telemetry(telemetry),
            ClientWord::DescribeSchema => {
                let Some(player) = self.players.get_mut(self.id) else { return Ok(()) };
                // Told once a connection: the answer is far longer than the word.
                self.wants_schema |= !std::mem::replace(&mut player.schema_described, true);
            }
        }
        Ok(())
    }

    fn take_telemetry(&mut self, telemetry: Telemetry) {
        let Some(player) = self.players.get_mut(self.id) else { return };
        self.told_us.push(telemetry.sent_us);
        player.totals.now.mispredictions = u64::from(telemetry.mispredictions);
        if player.telemetry.len() >= TELEMETRY_MAX {
            player.telemetry.pop_front();
        }
        player.telemetry.push_back(telemetry);
    }
}
