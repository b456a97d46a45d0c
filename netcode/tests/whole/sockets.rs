//! The same server and client on loopback, over both UDP carriers, in real time. Waits for what must happen, not for
//! a time.
#![allow(
    clippy::disallowed_methods,
    reason = "real sockets run in real time: here the test is the caller with a clock"
)]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use netcode::{
    Client, ClientConfig, ClientState, Time,
    transport::{Carrier, UdpCarrier, UdpThread, UdpThreadConfig},
};

use crate::{
    game::{Field, Steer},
    server::{PROTOCOL, TestServer, messages, schema, token_for},
};

const PATIENCE: Duration = Duration::from_secs(30);

struct Stage {
    began: Instant,
    server: TestServer,
    server_carrier: UdpThread,
    client: Client<Field>,
    client_carrier: UdpCarrier,
}

impl Stage {
    fn new() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server_carrier =
            UdpThread::open(any, UdpThreadConfig::default()).expect("loopback has free ports");
        let client_carrier = UdpCarrier::open(any).expect("loopback has free ports");
        let token = token_for(Time::ZERO, 1, server_carrier.local_addr());
        let mut config = ClientConfig::new(PROTOCOL);
        config.messages = messages();
        let client = Client::connect(Time::ZERO, &*token, schema(), config).expect("a sound token");
        Self {
            began: Instant::now(),
            server: TestServer::new(71, 16),
            server_carrier,
            client,
            client_carrier,
        }
    }

    fn now(&self) -> Time {
        Time::from_micros(self.began.elapsed().as_micros() as u64)
    }

    fn turn_server(&mut self) {
        let (began, server) = (self.began, &mut self.server);
        self.server_carrier.receive_timed(&mut |at, from, bytes| {
            let arrived = Time::from_micros(at.saturating_duration_since(began).as_micros() as u64);
            server.handle_datagram(arrived, from, bytes);
        });
        let now = self.now();
        while TestServer::time_of(self.server.tick.next()) <= now {
            self.server.simulate(now);
        }
        while let Some(transmit) = self.server.session.poll_transmit() {
            self.server_carrier.send(transmit.to, transmit.bytes);
        }
        self.server_carrier.flush();
    }

    fn turn_client(&mut self) {
        let (now, client) = (self.now(), &mut self.client);
        self.client_carrier.receive(&mut |from, bytes| client.handle_datagram(now, from, bytes));
        client.advance(now, &mut |tick, _| Steer {
            forward: tick.0 % 50 < 30,
            turn: (tick.0 / 20 % 3) as i32 - 1,
        });
        while let Some(transmit) = client.poll_transmit() {
            self.client_carrier.send(transmit.to, transmit.bytes);
        }
    }

    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "not in {PATIENCE:?}: {what}: {:?}", self.client);
            self.turn_server();
            self.turn_client();
            self.server_carrier.wait(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_match_over_real_udp_is_predicted_and_confirmed() {
    let mut stage = Stage::new();
    stage.until("connected", |stage| stage.client.state() == ClientState::Connected);
    stage.until("confirmed", |stage| stage.client.stats().confirmations >= 60);
    assert!(stage.client.view().iter::<crate::game::Walker>().count() == 17);
    let now = stage.now();
    stage.client.disconnect(now);
    stage.until("gone", |stage| stage.server.seats.is_empty());
    assert_eq!(stage.server_carrier.counters().dropped_ring_full, 0);
}
