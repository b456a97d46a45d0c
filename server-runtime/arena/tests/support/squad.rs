//! Players with real sockets behind a simulated network: netcode clients flown by pilots, all on one thread. Never
//! knows the server's inside.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arena::ArenaGame;
use arena::pilot::{Pilot, Sight};
use netcode_client::{Client, ClientConfig, ClientState};
use netcode_sim::{Conditioner, Profile};
use netcode_token::{Key, Seat, TokenSpec, mint};
use netcode_transport::{Carrier, UdpCarrier};
use netcode_wire::Time;

use super::server::ServerProcess;

/// Protocol id of a server that was not told another: the bytes `TICKWRIG`.
const PROTOCOL_ID: u64 = 0x5449_434B_5752_4947;
const NAMES: [&str; 8] = ["Astra", "Borealis", "Comet", "Dione", "Europa", "Faye", "Ganymede", "Halley"];

/// Players that play until they are told to stop.
pub(crate) struct Squad {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Outcome>>,
}

/// How one of them fared.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) connected: bool,
    pub(crate) mispredictions: u64,
}

struct Member {
    client: Client<ArenaGame>,
    carrier: UdpCarrier,
    up: Conditioner,
    down: Conditioner,
    pilot: Pilot,
}

impl Squad {
    pub(crate) fn start(server: &ServerProcess, count: usize) -> Self {
        Self::start_at(server.udp, &server.key, count)
    }

    /// Players of the server at `udp`, whose tokens are sealed with `key`.
    pub(crate) fn start_at(udp: SocketAddr, key: &Key, count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut members: Vec<Member> = (0..count).map(|index| Member::connect(udp, key, index)).collect();
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let start = Instant::now();
            while !told.load(Ordering::Relaxed) {
                let now = Time::ZERO + start.elapsed();
                members.iter_mut().for_each(|member| member.advance(now));
                std::thread::sleep(Duration::from_millis(2));
            }
            members.iter().map(Member::outcome).collect()
        });
        Self { stop, thread }
    }

    pub(crate) fn stop(self) -> Vec<Outcome> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the players' thread does not panic")
    }
}

impl Member {
    fn connect(udp: SocketAddr, key: &Key, index: usize) -> Self {
        let player = player_of(index);
        let carrier = UdpCarrier::open((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        let [up, down] = [player, !player].map(|seed| Conditioner::new(Profile::demo(), seed));
        Self { client: client_for(udp, key, index), carrier, up, down, pilot: Pilot::new(player) }
    }

    fn advance(&mut self, now: Time) {
        let Self { client, carrier, up, down, pilot } = self;
        carrier.receive(&mut |from, datagram| down.push(now, from, datagram));
        while let Some((from, mut datagram)) = down.poll(now) {
            client.handle_datagram(now, from, &mut datagram);
        }
        client.advance(now, &mut |_, view| pilot.decide(&Sight::of(view)));
        while client.poll_message().is_some() {}
        while let Some(transmit) = client.poll_transmit() {
            up.push(now, transmit.to, transmit.bytes);
        }
        while let Some((to, datagram)) = up.poll(now) {
            carrier.send(to, &datagram);
        }
    }

    fn outcome(&self) -> Outcome {
        let connected = matches!(self.client.state(), ClientState::Connected);
        Outcome { connected, mispredictions: self.client.stats().mispredictions }
    }
}

fn player_of(index: usize) -> u64 {
    1000 + index as u64
}

/// A client with a token for `server`, whose clock starts now at zero.
pub(crate) fn client_of(server: &ServerProcess, index: usize) -> Client<ArenaGame> {
    client_for(server.udp, &server.key, index)
}

fn client_for(udp: SocketAddr, key: &Key, index: usize) -> Client<ArenaGame> {
    let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let player = player_of(index);
    let name = NAMES[index % NAMES.len()].to_owned();
    let seat = Seat { match_id: 0, player, team: 0, rating_milli: 25_000, name };
    let spec = TokenSpec {
        protocol_id: PROTOCOL_ID,
        create_unix_s: unix_s,
        expire_unix_s: unix_s + 60,
        timeout_s: 10,
        client_id: player,
        servers: vec![udp],
        user_data: seat.encode(),
    };
    let token = mint(&spec, key).expect("the specification is complete");
    let mut config = ClientConfig::new(PROTOCOL_ID);
    config.messages = arena::messages();
    config.telemetry = true;
    Client::connect(Time::ZERO, &token[..], arena::schema(), config).expect("a token of our own")
}
