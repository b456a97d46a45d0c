//! A tick of a cluster: what arrives, what the ends say, and the laws. Must never decide what happens to whom.

use netcode_proto::{Client, ClientId, ClientState, DisconnectReason, ServerEvent};
use netcode_token::Seat as UserData;
use netcode_wire::Time;

use super::{CAPTURED_MAX, Cluster, SERVER, STRANGER, Stranger, TICK};
use crate::laws::Violation;
use crate::seat::{Excuse, Seat, TAKEN_OVER};

impl Cluster {
    /// Runs to the next tick: what is due arrives, then the server and every client tick and flush.
    ///
    /// # Errors
    /// The law that was broken.
    pub fn tick(&mut self) -> Result<(), Violation> {
        self.arrive_until(self.now + TICK)?;
        self.server.step(self.now);
        self.read_server()?;
        self.server.flush(self.now);
        self.collect_from_server();
        for seat in 0..self.seats.len() {
            self.tick_client(seat)?;
        }
        self.judge_strangers()
    }

    /// A stranger costs no memory, and never gets back more bytes than it sent.
    fn judge_strangers(&self) -> Result<(), Violation> {
        let Stranger { sent, got } = self.stranger;
        let bound = self.seats.len();
        let held = self.server.handshakes_len().max(self.server.tokens_len());
        if got > sent {
            return Err(Violation::Amplified { sent, got });
        }
        if held > bound {
            return Err(Violation::MemoryUnbounded { what: "the table of strangers", bytes: held, bound });
        }
        Ok(())
    }

    /// What waits for its turn leaves, in half of the runs: the others play owners that never ask between ticks.
    fn release(&mut self) {
        if self.seed & 1 == 0 {
            return;
        }
        self.server.release(self.now);
        self.collect_from_server();
        for Seat { client, paths, address, .. } in &mut self.seats {
            let Some(client) = client else { continue };
            client.release(self.now);
            while let Some(transmit) = client.poll_transmit() {
                paths[0].push_marked(self.now, *address, transmit.ecn, transmit.bytes);
            }
        }
    }

    fn arrive_until(&mut self, until: Time) -> Result<(), Violation> {
        loop {
            self.release();
            let due = self.seats.iter().enumerate().flat_map(|(seat, state)| {
                state
                    .paths
                    .iter()
                    .enumerate()
                    .filter_map(move |(path, one)| Some((one.next_due()?, seat, path)))
            });
            let Some((due, seat, path)) = due.min().filter(|(due, ..)| *due <= until) else { break };
            self.now = self.now.max(due);
            let Some((address, ecn, mut bytes)) = self.seats[seat].paths[path].poll_marked(self.now) else {
                continue;
            };
            if path == 0 {
                self.server.handle_arrival(self.now, address, ecn, &mut bytes);
                self.collect_from_server();
            } else if let Some(client) = &mut self.seats[seat].client {
                client.handle_arrival(self.now, address, ecn, &mut bytes);
            }
            self.seats[seat].paths[path].recycle(bytes);
            if path == 1 {
                self.read_client(seat)?;
            }
        }
        self.now = until;
        Ok(())
    }

    fn tick_client(&mut self, seat: usize) -> Result<(), Violation> {
        let Some(client) = &mut self.seats[seat].client else { return Ok(()) };
        client.step(self.now);
        client.flush(self.now);
        self.read_client(seat)?;
        let Seat { client, paths, address, excuses, .. } = &mut self.seats[seat];
        let Some(client) = client else { return Ok(()) };
        while let Some(transmit) = client.poll_transmit() {
            // A stolen token is a stolen seat until it is used: requests are not overheard here.
            if transmit.bytes[0] != 0 {
                self.captured.push_back(transmit.bytes.to_vec());
            }
            paths[0].push_marked(self.now, *address, transmit.ecn, transmit.bytes);
        }
        self.captured.drain(..self.captured.len().saturating_sub(CAPTURED_MAX));
        match client.state() {
            ClientState::Disconnected(reason) => excuses[0].judge(reason),
            ClientState::Connecting | ClientState::Connected => Ok(()),
        }
    }

    fn read_client(&mut self, seat: usize) -> Result<(), Violation> {
        let Seat { client, ledgers, .. } = &mut self.seats[seat];
        while let Some((channel, message)) = client.as_mut().and_then(Client::poll_message) {
            ledgers[1].delivered(self.now, channel, &message, &mut self.scratch)?;
        }
        Ok(())
    }

    fn read_server(&mut self) -> Result<(), Violation> {
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::Connected { client, player, user_data } => {
                    self.connected(client, player, &user_data)?;
                }
                ServerEvent::Disconnected { client, reason } => self.disconnected(client, reason)?,
            }
        }
        for seat in 0..self.seats.len() {
            if let Some(session) = self.seats[seat].session {
                self.read_session(seat, session)?;
            }
        }
        Ok(())
    }

    fn connected(&mut self, session: ClientId, player: u64, user_data: &[u8; 256]) -> Result<(), Violation> {
        let named = UserData::decode(user_data).is_ok_and(|data| data.player == player);
        let address = self.server.address(session);
        if address.is_none() {
            // Taken over before its event was read: whose it was cannot be told any more, and its end follows.
            self.ghosts.push(session);
            return Ok(());
        }
        let is_it = |seat: &&mut Seat| Some(seat.address) == address && seat.player == player;
        let is_new = |seat: &&mut Seat| seat.session.is_none() && seat.ended.is_none();
        let seat = self.seats.iter_mut().find(is_it).filter(is_new);
        let Some(seat) = seat.filter(|_| named) else {
            return Err(Violation::ClosedWithoutCause(format!("player {player} appeared out of nowhere")));
        };
        (seat.session, seat.connected) = (Some(session), Some(self.now));
        Ok(())
    }

    fn disconnected(&mut self, session: ClientId, reason: DisconnectReason) -> Result<(), Violation> {
        if self.ghosts.contains(&session) {
            return TAKEN_OVER.judge(reason);
        }
        let Some(seat) = self.seats.iter().position(|seat| seat.session == Some(session)) else {
            return Err(Violation::ClosedWithoutCause(format!("unknown session: {reason}")));
        };
        self.read_session(seat, session)?;
        let seat = &mut self.seats[seat];
        (seat.session, seat.ended) = (None, Some(reason));
        // The client hears of it, or of nothing any more.
        seat.excuses[0] = Excuse { goodbye: true, silence: true, ..seat.excuses[0] };
        seat.excuses[1].judge(reason)
    }

    fn read_session(&mut self, seat: usize, session: ClientId) -> Result<(), Violation> {
        while let Some((channel, message)) = self.server.poll_message(session) {
            self.seats[seat].ledgers[0].delivered(self.now, channel, &message, &mut self.scratch)?;
        }
        Ok(())
    }

    pub(super) fn collect_from_server(&mut self) {
        while let Some(transmit) = self.server.poll_transmit() {
            if transmit.to == STRANGER {
                self.stranger.got += transmit.bytes.len() as u64;
            } else if let Some(seat) = self.seats.iter_mut().find(|seat| seat.address == transmit.to) {
                seat.paths[1].push_marked(self.now, SERVER, transmit.ecn, transmit.bytes);
            }
        }
    }
}
