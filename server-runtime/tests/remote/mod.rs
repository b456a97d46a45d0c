//! What tests of whole servers share: free ports, the admin port's answers, a sidecar, and a client on a real socket.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agones_sdk::sidecar::SidecarConfig;
use netcode_client::Client;
use netcode_transport::{Carrier, UdpCarrier, WebSocketClient, WebSocketOptions};
use netcode_wire::Time;
use server_runtime::Status;
use server_runtime::prelude::*;

use crate::table::{Walk, Walking};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn free_tcp_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn free_udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A sidecar as a cluster has it: its server is scheduled and not ready yet.
pub(crate) fn scheduled() -> SidecarConfig {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let SidecarConfig { mut game_server, health, .. } = SidecarConfig::local(any, any);
    game_server.status.as_mut().unwrap().state = "Scheduled".into();
    SidecarConfig::managed(game_server, health)
}

/// Options on free ports of loopback.
pub(crate) fn options() -> ServerOptions {
    ServerOptions {
        bind: "127.0.0.1".parse().unwrap(),
        port: free_udp_port(),
        admin_port: free_tcp_port(),
        grace_seconds: 1,
        ..crate::table::options()
    }
}

/// Asks the admin port; returns status line and body.
pub(crate) fn http(port: u16, path: &str) -> (String, String) {
    ask(port, "GET", path)
}

pub(crate) fn ask(port: u16, verb: &str, path: &str) -> (String, String) {
    let began = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(error) if began.elapsed() > PATIENCE => panic!("no admin port: {error}"),
            Err(_) => std::thread::yield_now(),
        }
    };
    write!(
        stream,
        "{verb} {path} HTTP/1.1\r\ncontent-length: 0\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

pub(crate) fn status(port: u16) -> Status {
    serde_json::from_str(&http(port, "/status.json").1).unwrap()
}

/// A client on a real socket.
pub(crate) struct Remote {
    carrier: Box<dyn Carrier>,
    pub(crate) client: Client<Walking>,
    began: Instant,
}

impl Remote {
    pub(crate) fn connect(server: SocketAddr, player: u64, match_id: u128) -> Self {
        let carrier = UdpCarrier::open("127.0.0.1:0".parse().unwrap()).unwrap();
        Self::connect_by(Box::new(carrier), server, player, match_id)
    }

    /// By WebSocket, at `port`; the server is still known by its UDP address.
    pub(crate) fn connect_by_websocket(port: u16, server: SocketAddr, player: u64) -> Self {
        let url = format!("ws://127.0.0.1:{port}/");
        let carrier = WebSocketClient::open(&url, server, WebSocketOptions::default()).unwrap();
        Self::connect_by(Box::new(carrier), server, player, 0)
    }

    pub(crate) fn connect_by(
        carrier: Box<dyn Carrier>,
        server: SocketAddr,
        player: u64,
        match_id: u128,
    ) -> Self {
        let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let token = crate::table::token(player, match_id, server, unix_s);
        let client =
            Client::connect(Time::ZERO, &token[..], crate::table::schema(), crate::table::client_config())
                .unwrap();
        Self { carrier, client, began: Instant::now() }
    }

    /// Plays until `done`, or fails.
    pub(crate) fn play(&mut self, what: &str, mut done: impl FnMut(&mut Client<Walking>) -> bool) {
        let began = Instant::now();
        while !done(&mut self.client) {
            assert!(began.elapsed() < PATIENCE, "not in time: {what}; {:?}", self.client.state());
            self.turn();
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn turn(&mut self) {
        let now = Time::from_micros(u64::try_from(self.began.elapsed().as_micros()).unwrap());
        let client = &mut self.client;
        self.carrier.receive(&mut |from, bytes| client.handle_datagram(now, from, bytes));
        client.advance(now, &mut |_, _| Walk { speed: 1.0, shout: true });
        while let Some(transmit) = client.poll_transmit() {
            self.carrier.send(transmit.to, transmit.bytes);
        }
        self.carrier.flush();
    }
}
