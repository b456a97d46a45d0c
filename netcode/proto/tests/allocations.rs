//! Invariant 5, the sessions' part: in steady state neither end allocates for a packet.

mod common;

use common::{PROTOCOL, TICK, client_address, server_address, server_config, token};
use netcode_proto::channels::{CONTROL, STATE};
use netcode_proto::{ChannelId, Client, ClientConfig, ClientState, Server};
use netcode_wire::Time;

/// Both ends and one buffer between them.
struct Pair {
    now: Time,
    server: Server,
    client: Client,
    buffer: Box<[u8; 1300]>,
    /// What goes down every tick.
    down: &'static [(ChannelId, &'static [u8])],
}

impl Pair {
    fn new(down: &'static [(ChannelId, &'static [u8])]) -> Self {
        let client =
            Client::connect(Time::ZERO, &token(1), ClientConfig::new(PROTOCOL)).expect("a sound token");
        Self {
            now: Time::ZERO,
            server: Server::new(server_config()),
            client,
            buffer: Box::new([0; 1300]),
            down,
        }
    }

    /// A tick of a match: `down` from the server, an input from the client. Gives how many messages came through.
    fn tick(&mut self) -> u32 {
        let mut messages = 0;
        self.server.step(self.now);
        while self.server.poll_event().is_some() {}
        if let Some(client) = self.server.client_of_player(1) {
            for (channel, message) in self.down {
                self.server.send(self.now, client, *channel, message).expect("room");
            }
            while self.server.poll_message(client).is_some() {
                messages += 1;
            }
        }
        self.server.flush(self.now);
        while let Some(transmit) = self.server.poll_transmit() {
            let bytes = &mut self.buffer[..transmit.bytes.len()];
            bytes.copy_from_slice(transmit.bytes);
            self.client.handle_datagram(self.now, server_address(), bytes);
        }
        self.client.step(self.now);
        if self.client.state() == ClientState::Connected {
            self.client.send(self.now, STATE, &[3; 40]).expect("room");
        }
        while self.client.poll_message().is_some() {
            messages += 1;
        }
        self.client.flush(self.now);
        while let Some(transmit) = self.client.poll_transmit() {
            let bytes = &mut self.buffer[..transmit.bytes.len()];
            bytes.copy_from_slice(transmit.bytes);
            self.server.handle_datagram(self.now, client_address(0), bytes);
        }
        self.now += TICK;
        messages
    }
}

/// Allocations in 600 ticks, after the rings and pools have filled up.
fn measure(down: &'static [(ChannelId, &'static [u8])]) -> u64 {
    let mut pair = Pair::new(down);
    for _ in 0..600 {
        pair.tick();
    }
    let mut messages = 0;
    let measured = allocation_counter::measure(|| messages = (0..600).map(|_| pair.tick()).sum());
    assert_eq!(messages, 600 * (down.len() as u32 + 1), "everything arrives within its tick");
    measured.count_total
}

#[test]
fn a_session_in_steady_state_allocates_nothing() {
    assert_eq!(measure(&[(STATE, &[1; 200])]), 0);
    assert_eq!(measure(&[(CONTROL, &[2; 32])]), 0);
}

#[test]
fn several_messages_in_a_packet_allocate_a_slab_now_and_then() {
    // Known: a slab of 2 KiB whose last message is still lent out when the next one comes cannot be taken back.
    let allocations = measure(&[(STATE, &[1; 200]), (CONTROL, &[2; 32])]);
    assert!(allocations < 1200 / 6, "{allocations} allocations in 1200 packets");
}
