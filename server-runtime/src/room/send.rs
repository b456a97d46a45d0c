//! Everything that goes out: messages, ownership, snapshots, one datagram a client a tick. Must never know the
//! game.

use netcode_proto::{ClientId, SendError, ServerSession, Transmit, channels};
use netcode_snapshot::{Budget, CodecChoice, Control, Feedback, Parts, SnapshotStats};
use netcode_wire::Time;

use super::spread::Spread;
use super::{Room, codes};
use crate::builder::ServerGame;
use crate::outbox::{Outbox, Outgoing};
use crate::player::PlayerId;
use crate::visibility::Viewer;

/// Takes datagrams to be sent.
pub(super) type Carry<'a> = dyn FnMut(Transmit<'_>) + 'a;

/// Clients whose datagrams are sent in one go: some dozens of kilobytes wait instead of a tick's.
const SEND_GROUP: usize = 64;

/// Fewer clients than this are served one after the other, each while its state is at hand: handing work over and back
/// costs some tens of microseconds, about what the snapshots of a dozen clients do.
const SPREAD_CLIENTS_MIN: usize = 32;

/// A snapshot is written with at least this much room: a header and what must not wait.
const SNAPSHOT_BYTES_MIN: usize = 128;

impl<G: ServerGame> Room<G> {
    /// Says to every client what this tick has to say: to each all that it gets before the next one's turn, while its
    /// state is at hand. What is composed goes to `carry` group by group, where there is one.
    pub(super) fn send(&mut self, now: Time, mut carry: Option<&mut Carry<'_>>) {
        let outgoing: Vec<Outgoing> = self.world.resource_mut::<Outbox>().drain().collect();
        self.find_predicted();
        let mut clients = std::mem::take(&mut self.served);
        clients.clear();
        clients.extend(self.players.iter().filter_map(|player| Some((player.id, player.client()?))));
        self.survey.take(&self.interest, &self.world, self.extraction.entities(), self.tick_hz);
        self.dense_clients = self.players.dense();
        match self.spread_for(clients.len()) {
            Some(mut spread) => {
                self.send_spread(now, &mut spread, (&clients, &outgoing), &mut carry);
                self.spread = Some(spread);
            }
            None => {
                for (index, (id, client)) in clients.iter().copied().enumerate() {
                    self.send_messages(now, id, client, &outgoing);
                    self.tell_owner(now, id, client);
                    self.send_snapshot(now, id, client);
                    self.net.flush_client(now, client);
                    self.carry_group(index, &mut carry);
                }
            }
        }
        self.net.flush_rest(now);
        self.served = clients;
    }

    /// The threads that snapshots of so many clients are written by; `None`: the room's own.
    fn spread_for(&mut self, clients: usize) -> Option<Spread> {
        let threads = self.encode_threads.filter(|_| clients >= SPREAD_CLIENTS_MIN)?;
        self.spread.take().or_else(|| Some(Spread::new(threads, &self.schema)))
    }

    /// The same in three steps for all: what each snapshot is written from, the writing by several threads, and what each
    /// client gets.
    fn send_spread(
        &mut self,
        now: Time,
        spread: &mut Spread,
        (clients, outgoing): (&[(PlayerId, ClientId)], &[Outgoing]),
        carry: &mut Option<&mut Carry<'_>>,
    ) {
        spread.deal(clients.iter().map(|(id, _)| self.players.get_mut(*id)?.view.newest_ack()));
        for (index, (id, client)) in clients.iter().enumerate() {
            self.send_messages(now, *id, *client, outgoing);
            self.tell_owner(now, *id, *client);
            self.choose_relevant(*id);
            self.add_parts(*id);
            let budget = self.budget(*client);
            let Some(feedback) = self.prepare_view(*id) else { continue };
            let job = spread.job(index);
            let player = self.players.get_mut(*id).expect("it was just prepared");
            self.dense_clients += usize::from(player.view.turns_dense(budget));
            std::mem::swap(&mut player.view, &mut job.view);
            std::mem::swap(&mut self.relevant, &mut job.relevant);
            (job.feedback, job.budget) = (feedback, budget);
        }
        spread.encode(&self.schema, &self.history);
        for (index, (id, client)) in clients.iter().enumerate() {
            let job = spread.job(index);
            if let Some(player) = self.players.get_mut(*id) {
                std::mem::swap(&mut player.view, &mut job.view);
                self.count(&job.stats);
                self.send_parts(now, *client, &job.parts);
            }
            self.net.flush_client(now, *client);
            self.carry_group(index, carry);
        }
    }

    /// Hands over what was composed, once a group of clients has been served.
    fn carry_group(&mut self, index: usize, carry: &mut Option<&mut Carry<'_>>) {
        if let Some(carry) = carry
            && index % SEND_GROUP == SEND_GROUP - 1
        {
            while let Some(transmit) = self.net.poll_transmit() {
                carry(transmit);
            }
        }
    }

    /// What systems put into the outbox for this player.
    fn send_messages(&mut self, now: Time, id: PlayerId, client: ClientId, outgoing: &[Outgoing]) {
        for message in outgoing.iter().filter(|message| message.to.includes(id)) {
            let reliable = message.channel.0 >= channels::GAME_RELIABLE_UNORDERED.0;
            self.counts.reliable_messages += u64::from(reliable);
            match self.net.send(now, client, message.channel, &message.bytes) {
                Ok(()) => {}
                // A reliable message may not be lost silently: who cannot take it is let go.
                Err(SendError::ChannelFull) if reliable => {
                    self.net.disconnect(now, client, codes::TOO_SLOW);
                }
                Err(_) => self.counts.messages_dropped += 1,
            }
        }
    }

    /// Whose client predicts what.
    pub(super) fn find_predicted(&mut self) {
        self.predicted_by.clear();
        for (owner, networked) in self.predicted.iter(&self.world) {
            // Of several the first by id: the choice must not depend on the order of storage.
            let held = self.predicted_by.entry(owner.0).or_insert(networked.0);
            *held = (*held).min(networked.0);
        }
    }

    /// Tells a client which entity it predicts, when that changes.
    fn tell_owner(&mut self, now: Time, id: PlayerId, client: ClientId) {
        let owns = self.predicted_by.get(&id).copied();
        let Some(player) = self.players.get_mut(id).filter(|player| player.owns != owns) else { return };
        player.owns = owns;
        let control = owns.map_or(Control::OwnsNothing, |net_id| Control::Owns { net_id });
        self.send_control(now, client, &control);
    }

    /// Fills `relevant` with what this player is shown.
    fn choose_relevant(&mut self, id: PlayerId) {
        let Some(player) = self.players.get_mut(id) else { return };
        let viewer = Viewer { player: id, team: player.team };
        let with = (&self.interest, &self.survey, &self.world);
        self.chooser.choose(with, viewer, &mut player.shown, &mut self.relevant);
    }

    fn send_snapshot(&mut self, now: Time, id: PlayerId, client: ClientId) {
        self.choose_relevant(id);
        self.add_parts(id);
        let budget = self.budget(client);
        let Some(feedback) = self.prepare_view(id) else { return };
        let player = self.players.get_mut(id).expect("it was just prepared");
        let was_dense = player.view.is_dense();
        let shared = (&self.schema, &*self.history, &mut self.bits);
        let stats = player.view.encode_parts(shared, &self.relevant, feedback, budget, &mut self.parts);
        self.dense_clients += usize::from(stats.dense && !was_dense);
        self.count(&stats);
        let parts = std::mem::take(&mut self.parts);
        self.send_parts(now, client, &parts);
        self.parts = parts;
    }

    /// How much of a snapshot a client takes now.
    fn budget(&self, client: ClientId) -> Budget {
        let room = self.net.room(client);
        // At least one part as long as must be; what the rate allows beyond goes as further parts.
        let first_bytes = room.first_bytes.max(SNAPSHOT_BYTES_MIN);
        let total_bytes = room.total_bytes.max(first_bytes);
        Budget { first_bytes, part_bytes: room.part_bytes, total_bytes }
    }

    /// Says in which codec the player's view may write, and gives what the snapshot says of the player's inputs.
    fn prepare_view(&mut self, id: PlayerId) -> Option<Feedback> {
        let player = self.players.get_mut(id)?;
        let late = player.ring.late();
        // The worst counts: by it the client's clock decides how early is early enough.
        let late_margin = player.late_sixteenths.take().unwrap_or(i32::MAX);
        let feedback = Feedback {
            input_tick: player.simulated_input,
            input_margin: player.margin_sixteenths.min(late_margin).clamp(-2047, 2047) as i16,
            late_inputs: u8::try_from(late - player.late_reported).unwrap_or(u8::MAX),
        };
        player.late_reported = late;
        // A client of another build may lack the game's own predictors, which the dense codec needs on both sides.
        let choice = match player.schema_described {
            true => CodecChoice::Shared,
            false => self.codec.choice(self.dense_clients, player.view.is_dense()),
        };
        player.view.choose(choice);
        Some(feedback)
    }

    fn count(&mut self, stats: &SnapshotStats) {
        self.counts.snapshots += 1;
        self.counts.snapshots_dense += u64::from(stats.dense);
        self.counts.entities_deferred += stats.deferred as u64;
        self.counts.groups_torn += stats.torn as u64;
    }

    fn send_parts(&mut self, now: Time, client: ClientId, parts: &Parts) {
        for part in parts.iter() {
            if self.net.send(now, client, channels::STATE, part).is_err() {
                self.counts.snapshots_dropped += 1;
            }
        }
    }
}
