//! What a connection costs a server in memory: its session and its link, in the transport bench's traffic. Without a
//! delay between the ends; `link_memory.rs` has one.

mod common;

use common::{PROTOCOL, TICK, client_address, server_address, server_config, token};
use netcode_proto::channels::{GAME_RELIABLE_ORDERED, STATE};
use netcode_proto::{Client, ClientConfig, ClientId, Server, ServerConfig};
use netcode_wire::Time;

/// A server whose memory is counted, and clients whose is not.
struct Crowd {
    server: Server,
    clients: Vec<Client>,
    now: Time,
    /// Bytes that the server's calls left allocated.
    bytes: i64,
    datagrams: Vec<(usize, Vec<u8>)>,
}

impl Crowd {
    fn new(count: u16) -> Self {
        let config = ServerConfig { clients_max: 1024, ..server_config() };
        let connect = |number| {
            Client::connect(Time::ZERO, &token(u64::from(number)), ClientConfig::new(PROTOCOL))
                .expect("sound")
        };
        Self {
            server: Server::new(config),
            clients: (1..=count).map(connect).collect(),
            now: Time::ZERO,
            bytes: 0,
            datagrams: Vec::new(),
        }
    }

    fn counted<R>(&mut self, act: impl FnOnce(&mut Server) -> R) -> R {
        let mut result = None;
        let counted = allocation_counter::measure(|| result = Some(act(&mut self.server)));
        self.bytes += counted.bytes_current;
        result.expect("it ran")
    }

    /// A tick of everybody: 200 + 32 B down, 40 B up.
    fn tick(&mut self) {
        let now = self.now;
        self.counted(|server| {
            server.step(now);
            while server.poll_event().is_some() {}
        });
        let up: Vec<ClientId> = self.server.clients().collect();
        self.counted(|server| {
            for client in &up {
                while server.poll_message(*client).is_some() {}
                for (channel, len) in [(STATE, 200), (GAME_RELIABLE_ORDERED, 32)] {
                    server.send(now, *client, channel, &[1; 200][..len]).expect("room");
                }
            }
            server.flush(now);
        });
        while let Some(transmit) = self.server.poll_transmit() {
            let number = usize::from(transmit.to.port() - client_address(0).port());
            self.datagrams.push((number, transmit.bytes.to_vec()));
        }
        for (number, mut bytes) in std::mem::take(&mut self.datagrams) {
            self.clients[number].handle_datagram(now, server_address(), &mut bytes);
        }
        for number in 0..self.clients.len() {
            let client = &mut self.clients[number];
            client.step(now);
            while client.poll_message().is_some() {}
            let _ = client.send(now, STATE, &[3; 40]);
            client.flush(now);
            while let Some(transmit) = self.clients[number].poll_transmit() {
                let mut bytes = transmit.bytes.to_vec();
                let from = client_address(number as u16);
                self.counted(|server| server.handle_datagram(now, from, &mut bytes));
            }
        }
        self.now += TICK;
    }
}

#[test]
fn a_connection_takes_less_than_six_kibibytes_of_a_server() {
    let per_connection = |count: u16| {
        let mut crowd = Crowd::new(count);
        (0..300).for_each(|_| crowd.tick());
        assert_eq!(crowd.server.clients_len(), usize::from(count));
        crowd.bytes / i64::from(count)
    };
    let bytes = per_connection(128);
    assert!(bytes <= 6 << 10, "{bytes} bytes a connection");
}
