//! One match on one kind of network, in virtual time: the real arena server, real clients, sealed datagrams through the
//! seeded weather, pilots that fly and shoot. Nothing sleeps. Weather, pilots and frames are drawn from the seed; keys are not.
//! Owns the order of events; must never know what is made of the figures.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use arena::pilot::{Pilot, Sight};
use arena::{ArenaGame, Ship, Struck};
use bevy_ecs::message::Messages;
use bevy_ecs::query::QueryState;
use netcode_client::{Client, ClientState, ClientStats};
use netcode_sim::{Burst, Conditioner, Profile};
use netcode_snapshot::NetId;
use netcode_token::Key;
use netcode_wire::Time;
use server_runtime::{Owner, Room, ServerOptions};

use crate::room::{SERVER, UNIX_AT_ZERO_S, address, join};

use super::screen::{Display, Screen};

/// What the network is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Weather {
    /// Round trip without jitter, milliseconds.
    pub(super) rtt_ms: f64,
    /// Share of datagrams lost, each way, in bursts of `burst` on average (Gilbert-Elliott).
    pub(super) loss: f64,
    /// The round trip varies by ± this much, milliseconds.
    pub(super) jitter_ms: f64,
    /// Datagrams lost in a row, on average.
    pub(super) burst: f64,
}

/// How a match is played.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) players: u16,
    /// Seconds that are measured.
    pub(super) seconds: u32,
    /// Frames a second of each client.
    pub(super) fps: u32,
    pub(super) seed: u64,
}

/// What one match came to, all players together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    pub(super) player_minutes: f64,
    pub(super) ticks: u64,
    /// Ticks that the server simulated without the input of a player for it.
    pub(super) starved: u64,
    pub(super) late: u64,
    pub(super) mispredictions: u64,
    /// Metres, ascending.
    pub(super) corrections: Vec<f32>,
    pub(super) stalls: u64,
    pub(super) holds: u64,
    /// Shots that left the gun on their player's screen.
    pub(super) shots: u64,
    pub(super) hits: Hits,
    pub(super) display: Display,
    /// Ticks between a client's clock and the newest snapshot, at the end, on average.
    pub(super) lead_ticks: f64,
    /// Milliseconds behind an undelayed snapshot, at the end, on average.
    pub(super) delay_ms: f64,
}

/// What became of hits: on the shooter's screen, and at the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hits {
    /// Shots that met a ship on their shooter's screen.
    pub(super) on_screen: u64,
    /// Of those: the server says the same of the same shot and ship, and harm was done.
    pub(super) confirmed: u64,
    /// Of those: the server says the same, but the ship had been lost to others in between.
    pub(super) too_late: u64,
    /// Of those: the server says that another ship was met.
    pub(super) another: u64,
    /// Of those: the shooter had been shot down before the trigger was pulled, and did not know it yet.
    pub(super) from_the_dead: u64,
    /// Of those: the server knows of no hit, for whatever other reason.
    pub(super) denied: u64,
    /// Hits at the server that their shooter's screen did not show.
    pub(super) unseen: u64,
}

struct Player {
    id: u64,
    client: Client<ArenaGame>,
    pilot: Pilot,
    screen: Screen,
    address: SocketAddr,
    up: Conditioner,
    down: Conditioner,
    frame: Duration,
    next_frame: Time,
    before: ClientStats,
    missed_before: (u64, u64),
}

/// What happens next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Up(usize),
    Down(usize),
    Frame(usize),
    Release,
    Tick,
}

pub(super) struct Play {
    room: Room<ArenaGame>,
    players: Vec<Player>,
    now: Time,
    next_tick: Time,
    ticks: u64,
    ships: Option<QueryState<(&'static Owner, &'static Ship)>>,
    /// Which ship the shot of which player and tick met, and whether it did harm.
    struck: HashMap<(u64, u32), (u64, bool)>,
    /// Who had no ship that flies, at which tick.
    grounded: HashSet<(u64, u32)>,
}

/// Plays one match and counts.
///
/// # Errors
/// The room cannot be built, a system panicked, or somebody did not get in or did not stay.
pub(super) fn play(weather: Weather, manner: Manner) -> anyhow::Result<Outcome> {
    let mut play = Play::new(weather, manner)?;
    play.until(Time::ZERO + WARM_UP)?;
    let here = |player: &Player| player.client.state() == ClientState::Connected;
    anyhow::ensure!(play.players.iter().all(here), "somebody did not get in within {WARM_UP:?}: {weather:?}");
    play.mark();
    let begin = play.room.current_tick().0;
    play.until(play.now + Duration::from_secs(u64::from(manner.seconds)))?;
    let end = play.room.current_tick().0;
    let mut outcome = play.count(manner);
    // Shots of the last second are still in flight, and what the server thinks of them.
    play.until(play.now + AFTERWARDS)?;
    anyhow::ensure!(play.players.iter().all(here), "somebody did not stay: {weather:?}");
    play.judge(begin..end, &mut outcome);
    Ok(outcome)
}

impl Play {
    fn new(weather: Weather, manner: Manner) -> anyhow::Result<Self> {
        // Not a secret, and nothing of the match may depend on chance that is not drawn from the seed.
        let key = Key::from_bytes([7; 32]);
        let options = ServerOptions {
            key: Some(key.to_hex().into()),
            clients_max: manner.players,
            ..ServerOptions::default()
        };
        let mut room = arena::server(options).build(&[], UNIX_AT_ZERO_S)?;
        room.open(manner.seed, 0);
        let players = (0..manner.players)
            .map(|place| Player::new(place, &key, weather, manner))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            room,
            players,
            now: Time::ZERO,
            next_tick: Time::ZERO + TICK,
            ticks: 0,
            ships: None,
            struck: HashMap::new(),
            grounded: HashSet::new(),
        })
    }

    /// Everything that happens until `end`, in order.
    fn until(&mut self, end: Time) -> anyhow::Result<()> {
        loop {
            let (at, next) = self.next();
            if at > end {
                return Ok(());
            }
            self.now = self.now.max(at);
            match next {
                Next::Tick => self.tick()?,
                Next::Frame(place) => self.players[place].advance(self.now),
                Next::Release => self.release()?,
                Next::Up(place) => self.arrive_up(place),
                Next::Down(place) => self.arrive_down(place),
            }
        }
    }

    /// The earliest event; of several at once, arrivals come before those who look for them.
    fn next(&self) -> (Time, Next) {
        let mut first = (self.next_tick, Next::Tick);
        let release = self.room.poll_timeout().map(|at| (at, Next::Release));
        let players = self.players.iter().enumerate().flat_map(|(place, player)| {
            let up = player.up.next_due().map(|at| (at, Next::Up(place)));
            let down = player.down.next_due().map(|at| (at, Next::Down(place)));
            [up, down, Some((player.next_frame, Next::Frame(place)))]
        });
        for event in players.chain([release]).flatten() {
            first = first.min(event);
        }
        first
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        self.ticks += 1;
        self.next_tick = Time::ZERO + TICK.mul_f64(self.ticks as f64 + 1.0);
        self.room.tick(self.now, self.now)?;
        let tick = self.room.current_tick().0;
        let world = self.room.world_mut();
        let ships = self.ships.get_or_insert_with(|| world.query());
        let grounded = ships.iter(world).filter(|(_, ship)| !ship.flies());
        self.grounded.extend(grounded.map(|(owner, _)| (owner.0.0, tick)));
        for struck in self.room.world_mut().resource_mut::<Messages<Struck>>().drain() {
            self.struck.insert((struck.shooter.0, struck.born.0), (struck.victim.0, struck.harmed));
        }
        self.transmit()
    }

    fn release(&mut self) -> anyhow::Result<()> {
        self.room.release(self.now);
        self.transmit()
    }

    fn transmit(&mut self) -> anyhow::Result<()> {
        while let Some(transmit) = self.room.poll_transmit() {
            let to = transmit.to;
            let player = self.players.iter_mut().find(|player| player.address == to);
            player.context("the server wrote to a stranger")?.down.push(
                self.now,
                SERVER.into(),
                transmit.bytes,
            );
        }
        Ok(())
    }

    fn arrive_up(&mut self, place: usize) {
        if let Some((from, mut datagram)) = self.players[place].up.poll(self.now) {
            self.room.handle_datagram(self.now, from, &mut datagram);
            self.players[place].up.recycle(datagram);
        }
    }

    fn arrive_down(&mut self, place: usize) {
        let player = &mut self.players[place];
        if let Some((from, mut datagram)) = player.down.poll(self.now) {
            player.client.handle_datagram(self.now, from, &mut datagram);
            player.down.recycle(datagram);
        }
    }

    /// What was counted so far does not count.
    fn mark(&mut self) {
        let inputs = self.inputs();
        for player in &mut self.players {
            player.before = player.client.stats();
            player.client.take_corrections();
            player.missed_before = inputs.get(&player.id).copied().unwrap_or_default();
        }
    }

    /// Missed and late inputs of each player, as the server counts them.
    fn inputs(&mut self) -> HashMap<u64, (u64, u64)> {
        let status = self.room.status(self.now);
        let of = |player: &server_runtime::PlayerStatus| {
            Some((player.player.parse().ok()?, (player.missed_inputs, player.late_inputs)))
        };
        status.players.iter().filter_map(of).collect()
    }

    fn count(&mut self, manner: Manner) -> Outcome {
        let inputs = self.inputs();
        let mut outcome = Outcome {
            player_minutes: f64::from(manner.players) * f64::from(manner.seconds) / 60.0,
            ticks: u64::from(manner.players) * u64::from(manner.seconds) * u64::from(arena::rules::TICK_HZ),
            ..Outcome::default()
        };
        let share = 1.0 / f64::from(manner.players);
        for player in &mut self.players {
            let (now, before) = (player.client.stats(), player.before);
            let (missed, late) = inputs.get(&player.id).copied().unwrap_or_default();
            outcome.starved += missed - player.missed_before.0;
            outcome.late += late - player.missed_before.1;
            outcome.mispredictions += now.mispredictions - before.mispredictions;
            outcome.stalls += u64::from(now.interpolation_stalls - before.interpolation_stalls);
            outcome.holds += u64::from(now.interpolation_holds - before.interpolation_holds);
            outcome.lead_ticks += f64::from(now.input_lead_ticks) * share;
            outcome.delay_ms += now.interpolation_delay_us as f64 / 1000.0 * share;
            outcome.corrections.extend(player.client.take_corrections());
        }
        outcome.corrections.sort_unstable_by(f32::total_cmp);
        outcome
    }

    /// Compares what was on the screens with what the server says, of shots that were fired within `born`.
    fn judge(&self, born: std::ops::Range<u32>, outcome: &mut Outcome) {
        let ids: HashMap<NetId, u64> =
            self.players.iter().filter_map(|player| Some((player.client.own()?, player.id))).collect();
        let mut hits = Hits::default();
        for player in &self.players {
            outcome.shots += player.screen.fired.iter().filter(|tick| born.contains(tick)).count() as u64;
            let (sum, own) = (&mut outcome.display, player.screen.display);
            sum.ahead_ticks += own.ahead_ticks;
            sum.matched += own.matched;
            sum.doubles += own.doubles;
            for (tick, victim) in player.screen.hits.iter().filter(|(tick, _)| born.contains(tick)) {
                hits.on_screen += 1;
                match self.struck.get(&(player.id, *tick)) {
                    Some((struck, harmed)) if ids.get(victim) == Some(struck) => {
                        hits.confirmed += u64::from(*harmed);
                        hits.too_late += u64::from(!*harmed);
                    }
                    Some(_) => hits.another += 1,
                    None if self.grounded.contains(&(player.id, *tick)) => hits.from_the_dead += 1,
                    None => hits.denied += 1,
                }
            }
        }
        let screens: HashMap<u64, &Screen> =
            self.players.iter().map(|player| (player.id, &player.screen)).collect();
        let unseen = |(player, tick): &&(u64, u32)| !screens[player].hits.contains_key(tick);
        hits.unseen =
            self.struck.keys().filter(|(_, tick)| born.contains(tick)).filter(unseen).count() as u64;
        outcome.hits = hits;
    }
}

impl Player {
    fn new(place: u16, key: &Key, weather: Weather, manner: Manner) -> anyhow::Result<Self> {
        let id = 1 + u64::from(place);
        let mut random = fastrand::Rng::with_seed(manner.seed ^ id << 32);
        // No two machines run alike: ± 0.05 %, and frames begin anywhere within one.
        let frame = Duration::from_secs_f64((1.0 + (random.f64() - 0.5) * 1e-3) / f64::from(manner.fps));
        let profile = weather.profile();
        Ok(Self {
            id,
            client: join(id, key)?,
            pilot: Pilot::new(manner.seed ^ id),
            screen: Screen::default(),
            address: address(place),
            up: Conditioner::new(profile, random.u64(..)),
            down: Conditioner::new(profile, random.u64(..)),
            frame,
            next_frame: Time::ZERO + frame.mul_f64(random.f64()),
            before: ClientStats::default(),
            missed_before: (0, 0),
        })
    }

    fn advance(&mut self, now: Time) {
        let Self { client, pilot, screen, .. } = self;
        client.advance(now, &mut |tick, view| {
            screen.look(tick, view);
            pilot.decide(&Sight::of(view))
        });
        while client.poll_message().is_some() {}
        while let Some(transmit) = client.poll_transmit() {
            self.up.push(now, self.address, transmit.bytes);
        }
        self.next_frame = now + self.frame;
    }
}

impl Weather {
    fn profile(self) -> Profile {
        // In the long run the path is bad for begin / (begin + end) of the packets, 1 / end in a row.
        let end = 1.0 / self.burst.max(1.0);
        let burst = Burst { begin: end * self.loss / (1.0 - self.loss), end, loss: 1.0 };
        Profile {
            jitter_ms: self.jitter_ms,
            burst: (self.loss > 0.0).then_some(burst),
            ..Profile::clean(self.rtt_ms)
        }
    }
}

const TICK: Duration = Duration::from_nanos(1_000_000_000 / arena::rules::TICK_HZ as u64);
/// Clocks and delays look back over eight seconds.
const WARM_UP: Duration = Duration::from_secs(12);
/// A shot flies for 0.9 s, and its beginning may be half a second old when the server hears of it.
const AFTERWARDS: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weather_loses_what_it_says_in_bursts() {
        let weather = Weather { rtt_ms: 0.0, loss: 0.05, jitter_ms: 0.0, burst: 2.0 };
        let mut path = Conditioner::new(weather.profile(), 3);
        let arrived: Vec<bool> = (0..40_000)
            .map(|n| {
                path.push(Time::from_millis(n), SERVER.into(), &[0]);
                path.poll(Time::from_millis(n)).is_some()
            })
            .collect();
        let lost = arrived.iter().filter(|arrived| !**arrived).count() as f64;
        let runs = arrived.windows(2).filter(|pair| pair[0] && !pair[1]).count() as f64;
        assert!((lost / 40_000.0 - 0.05).abs() < 0.006, "{lost}");
        assert!((lost / runs - 2.0).abs() < 0.2, "{} in a row", lost / runs);
    }

    #[test]
    fn a_match_is_played_and_every_hit_is_accounted_for() {
        let weather = Weather { rtt_ms: 60.0, loss: 0.02, jitter_ms: 10.0, burst: 2.0 };
        let manner = Manner { players: 4, seconds: 6, fps: 60, seed: 5 };
        let outcome = play(weather, manner).unwrap();
        let Hits { on_screen, confirmed, too_late, another, from_the_dead, denied, .. } = outcome.hits;
        assert_eq!(on_screen, confirmed + too_late + another + from_the_dead + denied);
        assert!(confirmed > 0 && outcome.shots >= on_screen && outcome.display.doubles == 0, "{outcome:?}");
        assert!(outcome.ticks == 1440 && outcome.lead_ticks > 3.0, "{outcome:?}");
    }
}
