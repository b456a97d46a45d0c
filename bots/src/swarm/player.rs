//! One player: the client, its socket, the simulated network between the two, and the pilot at the controls.
//!
//! Sees the game through [`netcode_client::Client`] alone, as a game's client would.

use std::time::Duration;

use arena::{
    ArenaGame, MatchEnd,
    pilot::{Pilot, Sight},
};
use netcode_client::{Client, ClientConfig, ClientState, ConnectError, LeaveReason, ReliableTrip};
use netcode_proto::ClientSession;
use netcode_sim::{Conditioner, Profile};
use netcode_snapshot::MessageSet;
use netcode_token::{PublicToken, aead::has_aes_hardware};
use netcode_transport::{LaminarClientSession, RenetClientSession};
use netcode_wire::Time;
use server_runtime::Transport;
use tokio::runtime::Handle;

use super::road::Road;
use crate::report::{Distribution, Stay};

/// How often round-trip time is sampled and a reliable message is timed.
const SAMPLE_EVERY: Duration = Duration::from_millis(250);
/// How long a goodbye may take to get through the simulated network.
const LEAVE_WITHIN: Duration = Duration::from_millis(400);

/// What a player needs to join.
#[derive(Debug)]
pub(super) struct PlayerSpec {
    /// Connect token, 2048 bytes.
    pub token: Vec<u8>,
    /// What it comes by.
    pub transport: Transport,
    /// Where its WebSocket goes, if not to the server's own address.
    pub websocket_url: Option<String>,
    /// What serves WebSockets.
    pub runtime: Handle,
    /// Seed of its weather and of its pilot.
    pub seed: u64,
    /// It leaves after so long in the match; absent: it stays to the end.
    pub leave_after: Option<Duration>,
}

/// How a stay ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The match ended and the result was told.
    MatchOver,
    /// The player left on purpose.
    Left,
    /// The connection was lost or never made.
    Lost(String),
}

/// How a stay ended, and what it amounted to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// Its figures.
    pub stay: Stay,
}

/// Whatever the transport's session is made of.
type Session = Box<dyn ClientSession + Send>;

/// One player, connected or on the way.
pub(super) struct Player {
    road: Road,
    client: Client<ArenaGame, Session>,
    messages: MessageSet,
    pilot: Pilot,
    up: Conditioner,
    down: Conditioner,
    stay: Stay,
    joined: Option<Time>,
    next_sample: Time,
    leaving: Option<Time>,
    leave_after: Option<Duration>,
    match_over: bool,
    trips: Vec<ReliableTrip>,
}

impl Player {
    /// Opens a socket and starts to connect.
    ///
    /// # Errors
    /// A sentence: bad token, no socket.
    pub(super) fn join(spec: &PlayerSpec, profile: &Profile, now: Time) -> Result<Self, String> {
        spec.transport.require().map_err(|e| e.to_string())?;
        let token = PublicToken::decode(&spec.token).map_err(|e| format!("bad connect token: {e}"))?;
        let road = open_road(spec, &token)?;
        let mut config = ClientConfig {
            messages: arena::messages(),
            telemetry: true,
            ..ClientConfig::new(token.protocol_id)
        };
        config.session.extensions.aes_hardware = has_aes_hardware();
        let session = connect(spec, now, &config).map_err(|e| format!("cannot connect: {e}"))?;
        let client = Client::over(session, arena::schema(), config);
        Ok(Self {
            road,
            client,
            messages: arena::messages(),
            pilot: Pilot::new(spec.seed),
            up: Conditioner::new(*profile, spec.seed ^ 0x5550),
            down: Conditioner::new(*profile, spec.seed ^ 0x444f_574e),
            stay: Stay::new(),
            joined: None,
            next_sample: now,
            leaving: None,
            leave_after: spec.leave_after,
            match_over: false,
            trips: Vec::new(),
        })
    }

    /// Gives the player its turn; says how it ended once it has.
    pub(super) fn drive(&mut self, now: Time) -> Option<Ending> {
        self.receive(now);
        let (client, pilot) = (&mut self.client, &mut self.pilot);
        client.advance(now, &mut |_tick, view| pilot.decide(&Sight::of(view)));
        self.read_messages();
        self.transmit(now);
        self.sample(now);
        self.ending(now)
    }

    /// Says goodbye; `drive` ends soon after.
    pub(super) fn leave(&mut self, now: Time) {
        if self.leaving.is_none() {
            self.leaving = Some(now);
            self.client.disconnect(now);
        }
    }

    /// The figures of this stay.
    pub(super) fn into_stay(mut self) -> Stay {
        self.trips.extend(self.client.take_reliable_trips());
        record_trips(&mut self.stay.reliable_us, &self.trips);
        let stats = self.client.stats();
        self.stay.bytes_down = stats.link.bytes_received;
        self.stay.bytes_up = stats.link.bytes_sent;
        self.stay.mispredictions = stats.mispredictions;
        self.stay.teleports = stats.teleports;
        self.stay.interpolation_stalls = u64::from(stats.interpolation_stalls);
        self.stay.late_inputs = stats.late_inputs;
        self.stay
    }

    fn receive(&mut self, now: Time) {
        let down = &mut self.down;
        self.road.receive(now, &mut |from, bytes| down.push(now, from, bytes));
        while let Some((from, mut bytes)) = self.down.poll(now) {
            self.client.handle_datagram(now, from, &mut bytes);
            self.down.recycle(bytes);
        }
    }

    fn transmit(&mut self, now: Time) {
        while let Some(transmit) = self.client.poll_transmit() {
            self.up.push(now, transmit.to, transmit.bytes);
        }
        while let Some((to, bytes)) = self.up.poll(now) {
            self.road.send(to, &bytes);
            self.up.recycle(bytes);
        }
    }

    fn read_messages(&mut self) {
        while let Some((_, bytes)) = self.client.poll_message() {
            // Other messages are for kill feeds and sparks, which a bot does not draw.
            self.match_over |= self.messages.decode::<MatchEnd>(&bytes).is_ok();
        }
    }

    fn sample(&mut self, now: Time) {
        if self.client.state() != ClientState::Connected || now < self.next_sample {
            return;
        }
        let joined = *self.joined.get_or_insert(now);
        let stayed = now.since(joined);
        self.stay.connected_s = stayed.as_secs_f64();
        if self.leave_after.is_some_and(|after| stayed >= after) {
            self.leave(now);
        }
        self.next_sample = now + SAMPLE_EVERY;
        let stats = self.client.stats();
        record(&mut self.stay.rtt_us, stats.link.rtt_us);
        self.trips.extend(self.client.take_reliable_trips());
        for metres in self.client.take_corrections() {
            record(&mut self.stay.corrections_mm, (f64::from(metres) * 1000.0).round() as u64);
        }
    }

    fn ending(&mut self, now: Time) -> Option<Ending> {
        if self.match_over {
            self.leave(now);
        }
        let gone = match self.client.state() {
            ClientState::Disconnected(reason) => Some(reason),
            _ => None,
        };
        // A goodbye must get through the simulated network, as it must through a real one.
        let said_goodbye = self.leaving.is_some_and(|since| now.since(since) >= LEAVE_WITHIN);
        match (self.match_over, self.leaving, gone) {
            (true, _, _) if said_goodbye => Some(Ending::MatchOver),
            (false, Some(_), _) if said_goodbye => Some(Ending::Left),
            (false, None, Some(LeaveReason::Goodbye(_))) => Some(Ending::MatchOver),
            (false, None, Some(reason)) => Some(Ending::Lost(reason.to_string())),
            _ => None,
        }
    }
}

/// A browser's way or a native client's.
fn open_road(spec: &PlayerSpec, token: &PublicToken) -> Result<Road, String> {
    if spec.transport != Transport::WebSocket {
        return Road::udp(token.servers.first());
    }
    let server = *token.servers.first().ok_or("the connect token names no server")?;
    // A server that was told no other port takes WebSockets at the number of its UDP port.
    let url = spec.websocket_url.clone().unwrap_or_else(|| format!("ws://{server}/"));
    Ok(Road::websocket(&spec.runtime, &url, server))
}

/// Begins the session that the transport asks for.
fn connect(spec: &PlayerSpec, now: Time, config: &ClientConfig) -> Result<Session, ConnectError> {
    let (token, config) = (spec.token.as_slice(), &config.session);
    Ok(match spec.transport {
        Transport::Udp | Transport::WebSocket => {
            Box::new(netcode_proto::Client::connect(now, token, config.clone())?)
        }
        Transport::Renet => Box::new(RenetClientSession::connect(now, token, config)?),
        Transport::Laminar => Box::new(LaminarClientSession::connect(now, token, config)?),
    })
}

/// Records the one-way latencies of timed messages, both directions.
///
/// Two machines' clocks differ by an unknown offset, which cancels in the fastest round trip; that is taken to be as
/// long on the way out as on the way back (the assumption of NTP, RFC 5905 §8).
fn record_trips(into: &mut Distribution, trips: &[ReliableTrip]) {
    // Wrapping: clocks with different epochs may be apart either way; only differences are used.
    let out = |trip: &ReliableTrip| trip.server_us.wrapping_sub(trip.sent_us).cast_signed();
    let back = |trip: &ReliableTrip| trip.back_us.wrapping_sub(trip.server_us).cast_signed();
    let (Some(least_out), Some(least_back)) = (trips.iter().map(out).min(), trips.iter().map(back).min())
    else {
        return;
    };
    let fastest = least_out.saturating_add(least_back) / 2;
    for trip in trips {
        for over in [out(trip) - least_out, back(trip) - least_back] {
            record(into, u64::try_from(over.saturating_add(fastest)).unwrap_or(0));
        }
    }
}

/// Adds a value to a distribution that grows as needed.
fn record(distribution: &mut Distribution, value: u64) {
    distribution.record(value).expect("distributions of the report grow as needed");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::distribution;

    #[test]
    fn latencies_do_not_depend_on_how_far_the_clocks_are_apart() {
        for offset in [0, 5_000_000, u64::MAX - 20_000] {
            let trip = |sent_us: u64, out: u64, back: u64| ReliableTrip {
                sent_us,
                server_us: (sent_us + out).wrapping_add(offset),
                back_us: sent_us + out + back,
            };
            let mut latencies = distribution();
            record_trips(&mut latencies, &[trip(100, 30_000, 50_000), trip(90_000, 40_000, 30_000)]);
            assert_eq!(latencies.min(), 30_000, "offset {offset}");
            assert_eq!(latencies.len(), 4);
            assert!((49_900..=50_100).contains(&latencies.max()), "offset {offset}: {}", latencies.max());
        }
    }
}
