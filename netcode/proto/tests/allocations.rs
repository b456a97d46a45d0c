//! Invariant 5, the sessions' part: in steady state neither end allocates for a packet.

mod common;

use common::{PROTOCOL, TICK, client_address, server_address, server_config, token};
use netcode_proto::channels::{CONTROL, STATE};
use netcode_proto::{
    ChannelId, Client, ClientConfig, ClientState, DATAGRAM_BYTES_MAX, Extensions, Server, ServerConfig,
};
use netcode_wire::Time;

const FULL: Extensions = Extensions { enabled: true, aes_hardware: true, path_mtu: true, ecn: true };

/// Both ends and one buffer between them.
struct Pair {
    now: Time,
    server: Server,
    client: Client,
    /// Which of two addresses the client has.
    place: u16,
    buffer: Box<[u8; DATAGRAM_BYTES_MAX]>,
    /// What goes down every tick.
    down: &'static [(ChannelId, &'static [u8])],
}

impl Pair {
    fn new(extensions: Extensions, down: &'static [(ChannelId, &'static [u8])]) -> Self {
        let config = ClientConfig { extensions, ..ClientConfig::new(PROTOCOL) };
        let client = Client::connect(Time::ZERO, &token(1), config).expect("a sound token");
        Self {
            now: Time::ZERO,
            server: Server::new(ServerConfig { extensions, ..server_config() }),
            client,
            place: 0,
            buffer: Box::new([0; DATAGRAM_BYTES_MAX]),
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
            self.server.handle_datagram(self.now, client_address(self.place), bytes);
        }
        self.now += TICK;
        messages
    }
}

/// Allocations in 600 ticks, after the rings and pools have filled up. With `moves` the client changes its address
/// every 100 ticks, back and forth.
fn measure(extensions: Extensions, down: &'static [(ChannelId, &'static [u8])], moves: bool) -> u64 {
    let mut pair = Pair::new(extensions, down);
    let tick = |pair: &mut Pair, number: u32| {
        if moves && number.is_multiple_of(100) {
            pair.place ^= 1;
        }
        pair.tick()
    };
    for number in 0..600 {
        tick(&mut pair, number);
    }
    let mut messages = 0;
    let measured =
        allocation_counter::measure(|| messages = (0..600).map(|number| tick(&mut pair, number)).sum());
    // Twelve moves, the first of them before the session began.
    let counters = pair.server.counters();
    assert_eq!(
        (counters.extended, counters.paths_moved),
        (u64::from(extensions.enabled), if moves { 11 } else { 0 })
    );
    if !moves {
        assert_eq!(messages, 600 * (down.len() as u32 + 1), "everything arrives within its tick");
    }
    measured.count_total
}

#[test]
fn a_session_in_steady_state_allocates_nothing() {
    for extensions in [Extensions::NONE, Extensions::default(), FULL] {
        assert_eq!(measure(extensions, &[(STATE, &[1; 200])], false), 0);
        assert_eq!(measure(extensions, &[(CONTROL, &[2; 32])], false), 0);
        // Several messages in a packet: a slab whose messages are still lent out rests while the other one serves.
        assert_eq!(measure(extensions, &[(STATE, &[1; 200]), (CONTROL, &[2; 32])], false), 0);
    }
}

#[test]
fn a_session_that_moves_allocates_nothing() {
    assert_eq!(measure(FULL, &[(STATE, &[1; 200])], true), 0);
}
