//! Many matches in one server process: what an idle server costs, what a room of eight costs, how many fit onto a core, and
//! how punctual their ticks are. The server is the arena's own, as a process; the players are real clients over loopback.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use arena::ArenaGame;
use arena::pilot::{Pilot, Sight};
use clap::Args;
use netcode_client::{Client, ClientConfig, ClientState};
use netcode_token::{Key, Seat, TokenSpec, aead::has_aes_hardware, mint};
use netcode_wire::Time;
use serde::Serialize;
use server_runtime::PROTOCOL_ID_DEFAULT;

use crate::arena::quantile_ms;
use crate::arena::server::{SWARM_CORE, ServerProcess, cores, cpu_ns, pinned};
use crate::arena::swarm::{between, status};

/// What to measure.
#[derive(Args, Debug)]
pub struct RoomsFlags {
    /// Numbers of rooms to try, ascending; it ends at the first that the server cannot keep up with.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 8, 16, 24, 32, 48, 64])]
    pub rooms: Vec<u16>,
    /// Players in each room, 1 to 8.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=8))]
    pub players: u16,
    /// Seconds of each window, 1 to 600.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// Threads that rooms tick on.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: u16,
}

/// Figures of one case; `rooms_played` is 0 where nobody plays.
#[derive(Clone, Debug, Serialize)]
pub struct RoomsFigures {
    /// `--rooms` of the server.
    pub rooms_max: u16,
    /// Rooms with players.
    pub rooms_played: u16,
    /// Players in each.
    pub players: u16,
    /// `--threads` of the server.
    pub threads: u16,
    /// Processor time of the server, % of a core.
    pub server_core_percent: f64,
    /// The same for one room.
    pub room_core_percent: f64,
    /// Rooms that a core holds at 80 % of its time, by this case's cost of one.
    pub rooms_per_core: f64,
    /// Time of a tick, milliseconds.
    pub tick_p50_ms: f64,
    /// 99th percentile.
    pub tick_p99_ms: f64,
    /// 99.9th percentile of how late ticks start, the worst room's, over its whole life.
    pub lateness_p999_ms: f64,
    /// Deadlines missed in the window.
    pub overruns: u64,
    /// Ticks given up in the window.
    pub skipped: u64,
    /// The players' processor time, cores.
    pub swarm_core: f64,
    /// Server and players had a core each.
    pub pinned: bool,
}

/// Runs all cases and prints the table.
///
/// # Errors
/// A server does not start, or a player is sent away.
pub fn run(flags: &RoomsFlags) -> anyhow::Result<Vec<RoomsFigures>> {
    let pin = cores() >= 2 && pinned() && flags.threads == 1;
    if pin {
        // The players on the other core: what the server's one has beside it is measured as jitter.
        let (core, own) = (SWARM_CORE.to_string(), std::process::id().to_string());
        Command::new("taskset").args(["-cp", &core, &own]).stdout(Stdio::null()).status()?;
    }
    println!(
        "{:>9} {:>6} {:>7} {:>9} {:>8} {:>10} {:>8} {:>8} {:>12} {:>8} {:>7} {:>6}",
        "rooms max",
        "played",
        "threads",
        "% of core",
        "% a room",
        "rooms/core",
        "p50 ms",
        "p99 ms",
        "late p99.9",
        "overruns",
        "skipped",
        "swarm"
    );
    let mut all = Vec::new();
    for rooms_max in [1, 64] {
        all.push(measure(flags, rooms_max, 0, pin)?);
    }
    for rooms in &flags.rooms {
        let figures = measure(flags, (*rooms).max(2), *rooms, pin)?;
        let kept_up = figures.skipped == 0 && figures.lateness_p999_ms < TICK_MS;
        all.push(figures);
        if !kept_up {
            println!("the server does not keep up with {rooms} rooms");
            break;
        }
    }
    Ok(all)
}

fn measure(flags: &RoomsFlags, rooms_max: u16, rooms: u16, pin: bool) -> anyhow::Result<RoomsFigures> {
    let key = Key::generate();
    let texts = [rooms_max, flags.threads].map(|number| number.to_string());
    let args = ["--rooms", &texts[0], "--threads", &texts[1], "--clients-max", "1024", "--record-mib", "0"];
    let server = ServerProcess::start_with(&key.to_hex(), &args, pin)?;
    let mut swarm = Swarm::join(rooms, flags.players, server.udp, &key)?;
    swarm.play(WARM)?;
    let before = (status(server.admin)?, cpu_ns(server.id())?, contest::process_cpu_ns(), Instant::now());
    swarm.play(Duration::from_secs(flags.seconds))?;
    let seconds = before.3.elapsed().as_secs_f64();
    let share = |ns: u64, since: u64| (ns - since) as f64 / 1e9 / seconds;
    let server_core = share(cpu_ns(server.id())?, before.1);
    let swarm_core = share(contest::process_cpu_ns(), before.2);
    // The status is made once a second: the window's end must be in it.
    swarm.play(Duration::from_millis(1600))?;
    let (first, last) = (before.0, status(server.admin)?);
    let room_core = server_core / f64::from(rooms.max(1));
    let counts = between(&first.tick_us_counts, &last.tick_us_counts);
    let figures = RoomsFigures {
        rooms_max,
        rooms_played: rooms,
        players: if rooms == 0 { 0 } else { flags.players },
        threads: flags.threads,
        server_core_percent: server_core * 100.0,
        room_core_percent: room_core * 100.0,
        rooms_per_core: if rooms == 0 { 0.0 } else { 0.8 / room_core },
        tick_p50_ms: quantile_ms(&counts, 0.5),
        tick_p99_ms: quantile_ms(&counts, 0.99),
        lateness_p999_ms: last.lateness_p999_ms,
        overruns: last.overruns - first.overruns,
        skipped: last.skipped_ticks - first.skipped_ticks,
        swarm_core,
        pinned: pin,
    };
    print_row(&figures);
    Ok(figures)
}

fn print_row(row: &RoomsFigures) {
    println!(
        "{:>9} {:>6} {:>7} {:>9.3} {:>8.3} {:>10.0} {:>8.3} {:>8.3} {:>12.3} {:>8} {:>7} {:>6.2}",
        row.rooms_max,
        row.rooms_played,
        row.threads,
        row.server_core_percent,
        row.room_core_percent,
        row.rooms_per_core,
        row.tick_p50_ms,
        row.tick_p99_ms,
        row.lateness_p999_ms,
        row.overruns,
        row.skipped,
        row.swarm_core
    );
}

/// All players, on this thread, each at its own turn.
struct Swarm {
    players: Vec<(Player, Time)>,
    began: Instant,
    buffer: Vec<u8>,
}

struct Player {
    client: Client<ArenaGame>,
    socket: UdpSocket,
    server: SocketAddr,
    pilot: Pilot,
}

impl Swarm {
    fn join(rooms: u16, players: u16, server: SocketAddr, key: &Key) -> anyhow::Result<Self> {
        let mut swarm = Self { players: Vec::new(), began: Instant::now(), buffer: vec![0; 2048] };
        for room in 0..rooms {
            for seat in 0..players {
                let id = 1 + u64::from(room) * u64::from(players) + u64::from(seat);
                let now = swarm.now();
                let player = Player::join(now, id, 1 + u128::from(room), server, key)?;
                swarm.players.push((player, Time::ZERO));
            }
            swarm.play(Duration::from_millis(40))?;
        }
        let deadline = Instant::now() + JOIN_WITHIN;
        while let Some(out) = swarm.players.iter().position(|(player, _)| player.client.own().is_none()) {
            if Instant::now() > deadline {
                bail!("player {} of {} is not in", out + 1, swarm.players.len());
            }
            swarm.play(Duration::from_millis(50))?;
        }
        Ok(swarm)
    }

    fn now(&self) -> Time {
        Time::ZERO + self.began.elapsed()
    }

    fn play(&mut self, time: Duration) -> anyhow::Result<()> {
        let until = self.now() + time;
        loop {
            let round = self.now();
            if round >= until {
                break;
            }
            let mut next = until;
            for (player, due) in &mut self.players {
                if *due <= round {
                    let now = Time::ZERO + self.began.elapsed();
                    player.turn(now, &mut self.buffer);
                    *due = player.client.next_tick_at().unwrap_or(now + KNOCK_EVERY);
                }
                next = next.min(*due);
            }
            std::thread::sleep(next.since(self.now()).max(ROUND_MIN));
        }
        let lost = self.players.iter().find_map(|(player, _)| match player.client.state() {
            ClientState::Disconnected(reason) => Some(reason),
            _ => None,
        });
        lost.map_or(Ok(()), |reason| bail!("a player is out: {reason}"))
    }
}

impl Player {
    fn join(now: Time, id: u64, match_id: u128, server: SocketAddr, key: &Key) -> anyhow::Result<Self> {
        let unix_s =
            SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_secs();
        let seat = Seat { match_id, player: id, team: 0, rating_milli: 0, name: format!("player {id}") };
        let spec = TokenSpec {
            protocol_id: PROTOCOL_ID_DEFAULT,
            create_unix_s: unix_s,
            expire_unix_s: unix_s + 120,
            timeout_s: 10,
            client_id: id,
            servers: vec![server],
            user_data: seat.encode(),
        };
        let token = mint(&spec, key)?;
        let mut config =
            ClientConfig { messages: arena::messages(), ..ClientConfig::new(PROTOCOL_ID_DEFAULT) };
        config.session.extensions.aes_hardware = has_aes_hardware();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        socket.connect(server)?;
        let client = Client::connect(now, &token[..], arena::schema(), config)?;
        Ok(Self { client, socket, server, pilot: Pilot::new(id) })
    }

    fn turn(&mut self, now: Time, buffer: &mut [u8]) {
        while let Ok(len) = self.socket.recv(buffer) {
            self.client.handle_datagram(now, self.server, &mut buffer[..len]);
        }
        let pilot = &mut self.pilot;
        self.client.advance(now, &mut |_, view| pilot.decide(&Sight::of(view)));
        while self.client.poll_message().is_some() {}
        while let Some(transmit) = self.client.poll_transmit() {
            // What the kernel has no room for is lost, as on any network.
            let _ = self.socket.send(transmit.bytes);
        }
    }
}

/// A tick at 60 Hz: a server whose ticks start later than that is a tick behind.
const TICK_MS: f64 = 1000.0 / 60.0;
const WARM: Duration = Duration::from_secs(3);
const JOIN_WITHIN: Duration = Duration::from_secs(20);
const KNOCK_EVERY: Duration = Duration::from_millis(5);
/// The shortest sleep: many players' turns in one round.
const ROUND_MIN: Duration = Duration::from_micros(500);
