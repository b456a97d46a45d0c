//! Our half of renet against the library as its own users drive it: the same tokens, the same channels.

use std::net::SocketAddr;
use std::time::Duration;

use ::renet::{RenetClient, RenetServer};
use netcode_proto::channels::GAME_RELIABLE_ORDERED;
use netcode_proto::{
    ClientConfig, ClientSession, ClientState, DisconnectReason, ServerConfig, ServerEvent, ServerSession,
};
use netcode_token::{Key, TokenSpec};
use renetcode::{
    ClientAuthentication, ConnectToken, NetcodeClient, NetcodeServer, ServerAuthentication, ServerResult,
};

use super::*;

const PROTOCOL: u64 = 5;
const TICK: Duration = Duration::from_millis(16);

fn here() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 1))
}

fn there(n: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 2], n))
}

fn server_config() -> ServerConfig {
    let mut config = ServerConfig::new(PROTOCOL, Key::from_bytes([3; 32]));
    config.public_addresses = vec![here()];
    config
}

fn token(player: u64) -> Vec<u8> {
    let spec = TokenSpec {
        protocol_id: PROTOCOL,
        create_unix_s: 0,
        expire_unix_s: 60,
        timeout_s: 5,
        client_id: player,
        servers: vec![here()],
        user_data: [1; 256],
    };
    netcode_token::mint(&spec, &Key::from_bytes([3; 32])).unwrap().to_vec()
}

/// A client of renet's own, with the token that one of its clients would have been given.
struct Stock {
    netcode: NetcodeClient,
    renet: RenetClient,
}

impl Stock {
    fn new(player: u64) -> Self {
        let config = server_config();
        let key = config.private_key.as_bytes();
        let token =
            ConnectToken::generate(Duration::ZERO, PROTOCOL, 60, player, 5, vec![here()], None, key).unwrap();
        let authentication = ClientAuthentication::Secure { connect_token: token };
        Self {
            netcode: NetcodeClient::new(Duration::ZERO, authentication).unwrap(),
            renet: RenetClient::new(connection_config(&config.channels)),
        }
    }

    /// One tick, with `payloads` instead of what renet would send.
    fn tick(&mut self, server: &mut RenetServerSession, now: Time, payloads: &[Vec<u8>]) {
        if let Some((datagram, _)) = self.netcode.update(TICK) {
            server.handle_datagram(now, there(1), datagram);
        }
        self.renet.update(TICK);
        if self.netcode.is_connected() {
            self.renet.set_connected();
            for payload in self.renet.get_packets_to_send().iter().chain(payloads) {
                let (_, datagram) = self.netcode.generate_payload_packet(payload).unwrap();
                server.handle_datagram(now, there(1), datagram);
            }
        }
    }

    fn take(&mut self, datagram: &mut [u8]) {
        if let Some(payload) = self.netcode.process_packet(datagram) {
            self.renet.process_packet(payload);
        }
    }
}

#[test]
fn a_stock_client_plays_on_our_server() {
    let mut server = RenetServerSession::new(&server_config());
    let mut stock = Stock::new(7);
    let (mut now, mut heard, mut told) = (Time::ZERO, Vec::new(), Vec::new());
    stock.renet.send_message(GAME_RELIABLE_ORDERED.0, "up");
    for _ in 0..60 {
        now += TICK;
        stock.tick(&mut server, now, &[]);
        server.step(now);
        while let Some(event) = server.poll_event() {
            let ServerEvent::Connected { client, player, .. } = event else { panic!("{event:?}") };
            assert_eq!(player, 7);
            server.send(now, client, GAME_RELIABLE_ORDERED, b"down").unwrap();
            heard.push(client);
        }
        told.extend(heard.first().and_then(|client| server.poll_message(*client)));
        server.flush(now);
        while let Some(transmit) = server.poll_transmit() {
            stock.take(&mut transmit.bytes.to_vec());
        }
    }
    assert_eq!(told, [(GAME_RELIABLE_ORDERED, "up".into())]);
    let down = stock.renet.receive_message(GAME_RELIABLE_ORDERED.0);
    assert_eq!(down.as_deref(), Some(&b"down"[..]));
}

#[test]
fn our_client_plays_on_a_stock_server() {
    let config = server_config();
    let mut netcode = NetcodeServer::new(renetcode::ServerConfig {
        current_time: Duration::ZERO,
        max_clients: 4,
        protocol_id: PROTOCOL,
        public_addresses: vec![here()],
        authentication: ServerAuthentication::Secure { private_key: *config.private_key.as_bytes() },
    });
    let mut renet = RenetServer::new(connection_config(&config.channels));
    let mut client =
        RenetClientSession::connect(Time::ZERO, &token(9), &ClientConfig::new(PROTOCOL)).unwrap();
    client.send(Time::ZERO, GAME_RELIABLE_ORDERED, b"up").unwrap();
    let (mut now, mut up, mut down) = (Time::ZERO, None, None);
    for _ in 0..60 {
        now += TICK;
        client.step(now);
        client.flush(now);
        let mut answers = Vec::new();
        while let Some(transmit) = client.poll_transmit() {
            match netcode.process_packet(there(2), &mut transmit.bytes.to_vec()) {
                ServerResult::PacketToSend { payload, .. } => answers.push(payload.to_vec()),
                ServerResult::ClientConnected { client_id, payload, user_data, .. } => {
                    assert_eq!((client_id, *user_data), (9, [1; 256]));
                    answers.push(payload.to_vec());
                    renet.add_connection(client_id);
                    renet.send_message(client_id, GAME_RELIABLE_ORDERED.0, "down");
                }
                ServerResult::Payload { client_id, payload } => {
                    renet.process_packet_from(payload, client_id).unwrap();
                }
                _ => {}
            }
        }
        netcode.update(TICK);
        renet.update(TICK);
        up = up.or_else(|| renet.receive_message(9, GAME_RELIABLE_ORDERED.0));
        for packet in renet.get_packets_to_send(9).unwrap_or_default() {
            answers.push(netcode.generate_payload_packet(9, &packet).unwrap().1.to_vec());
        }
        for mut datagram in answers {
            client.handle_datagram(now, here(), &mut datagram);
        }
        down = down.or_else(|| client.poll_message());
    }
    assert_eq!(up.as_deref(), Some(&b"up"[..]));
    assert_eq!(down, Some((GAME_RELIABLE_ORDERED, "down".into())));
    assert_eq!(client.state(), ClientState::Connected);
}

#[test]
fn a_player_who_sends_nonsense_loses_its_own_session_and_nobody_else_theirs() {
    let mut rng = fastrand::Rng::with_seed(3);
    let mut ended = 0;
    for _ in 0..200 {
        let mut server = RenetServerSession::new(&server_config());
        let mut honest =
            RenetClientSession::connect(Time::ZERO, &token(1), &ClientConfig::new(PROTOCOL)).unwrap();
        let mut stock = Stock::new(2);
        let mut now = Time::ZERO;
        for _ in 0..30 {
            now += TICK;
            let mut nonsense: Vec<u8> = (0..rng.usize(4..200)).map(|_| rng.u8(0..64)).collect();
            nonsense[0] %= 5;
            stock.tick(&mut server, now, &[nonsense]);
            honest.step(now);
            honest.flush(now);
            while let Some(transmit) = honest.poll_transmit() {
                server.handle_datagram(now, there(3), &mut transmit.bytes.to_vec());
            }
            server.step(now);
            server.flush(now);
            while let Some(transmit) = server.poll_transmit() {
                let mut bytes = transmit.bytes.to_vec();
                match transmit.to == there(3) {
                    true => honest.handle_datagram(now, here(), &mut bytes),
                    false => stock.take(&mut bytes),
                }
            }
        }
        let events: Vec<ServerEvent> = std::iter::from_fn(|| server.poll_event()).collect();
        ended += events
            .iter()
            .filter(|event| {
                matches!(event, ServerEvent::Disconnected { reason: DisconnectReason::Misbehaved(_), .. })
            })
            .count();
        assert_eq!(honest.state(), ClientState::Connected);
    }
    assert!(ended > 100, "{ended} of 200 were let go");
}
