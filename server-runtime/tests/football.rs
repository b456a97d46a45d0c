//! `examples/football.rs`, played to its end in virtual time: four bots, over a network of 60 ms, 10 ms jitter and 2 % loss.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

#[allow(dead_code, reason = "the example's own `main` and its bots over UDP stay unused here")]
#[path = "../examples/football.rs"]
mod football;

use std::net::SocketAddr;
use std::time::Duration;

use football::{Ball, Football, Goal, HALF, Tally, bot, client, server};
use netcode_client::{Client, ClientState, DisconnectReason, LeaveReason};
use netcode_sim::{Conditioner, Profile};
use netcode_token::{Key, Seat};
use netcode_wire::Time;
use server_runtime::prelude::*;
use server_runtime::{MatchReport, MatchSpec, Report, Room, RosterEntry, codes};

const KEY_HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const UNIX_AT_ZERO_S: u64 = 1_000_000;
const SECONDS: u32 = 60;
const MATCH: u128 = 7;

/// A player: a client, its weather, and what it saw.
struct Player {
    address: SocketAddr,
    client: Client<Football>,
    up: Conditioner,
    down: Conditioner,
    goals: Vec<Goal>,
    /// Where the ball was shown, one place a frame.
    shown: Vec<(NetId, Vec2)>,
    tally: Tally,
}

struct Pitch {
    room: Room<Football>,
    players: Vec<Player>,
    now: Time,
}

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 4000))
}

impl Pitch {
    /// A match of `players` in two teams, as a backend allocates it.
    fn new(profile: &Profile, players: u64) -> Self {
        let options =
            ServerOptions { key: Some(KEY_HEX.into()), grace_seconds: 1, ..ServerOptions::default() };
        let protocol_id = options.protocol_id;
        let mut room = server(options).build(&[address()], UNIX_AT_ZERO_S).unwrap();
        let (now, key) = (Time::from_millis(1000), Key::from_hex(KEY_HEX).unwrap());
        let seats = (1..=players).map(|player| Seat {
            match_id: MATCH,
            player,
            team: (player % 2) as u8,
            rating_milli: 0,
            name: format!("bot {player}"),
        });
        let roster =
            |seat: Seat| RosterEntry { player: seat.player, team: seat.team, ..RosterEntry::default() };
        let roster = seats.clone().map(roster).collect();
        room.allocate(MatchSpec {
            match_id: MATCH,
            seconds: SECONDS,
            players: roster,
            ..MatchSpec::default()
        });
        let players = seats
            .map(|seat| Player {
                address: SocketAddr::from(([10, 0, 0, seat.player as u8], 1000)),
                client: client((now, UNIX_AT_ZERO_S), (&key, protocol_id), (address(), &seat)).unwrap(),
                up: Conditioner::new(*profile, seat.player * 2),
                down: Conditioner::new(*profile, seat.player * 2 + 1),
                goals: Vec::new(),
                shown: Vec::new(),
                tally: Tally::default(),
            })
            .collect();
        Self { room, players, now }
    }

    /// From the handshakes until the room has closed and everybody has heard of it.
    fn play(&mut self) -> MatchReport {
        let mut report = None;
        for frame in 0..(SECONDS + 10) * 120 {
            self.frame(frame % 2 == 1);
            while let Some(news) = self.room.poll_report() {
                if let Report::Ended(ended) = news {
                    report = Some(ended);
                }
            }
        }
        assert!(self.room.is_closed());
        report.unwrap()
    }

    /// Half a server tick, with a frame of every client.
    fn frame(&mut self, ticks: bool) {
        self.now = self.now.saturating_add(Duration::from_micros(1_000_000 / 120));
        for player in &mut self.players {
            player.frame(self.now, &mut self.room);
        }
        if ticks && !self.room.is_closed() {
            self.room.tick(self.now, self.now).unwrap();
        }
        while let Some(transmit) = self.room.poll_transmit() {
            let to = self.players.iter_mut().find(|player| player.address == transmit.to).unwrap();
            to.down.push(self.now, address(), transmit.bytes);
        }
    }
}

impl Player {
    fn frame(&mut self, now: Time, room: &mut Room<Football>) {
        while let Some((from, mut bytes)) = self.down.poll(now) {
            self.client.handle_datagram(now, from, &mut bytes);
        }
        self.client.advance(now, &mut |tick, view| bot(tick, view).unwrap_or_default());
        while let Some(transmit) = self.client.poll_transmit() {
            self.up.push(now, self.address, transmit.bytes);
        }
        while let Some((from, mut bytes)) = self.up.poll(now) {
            room.handle_datagram(now, from, &mut bytes);
        }
        while let Some((_, bytes)) = self.client.poll_message() {
            self.goals.push(self.client.messages().decode(&bytes).unwrap());
        }
        let view = self.client.view();
        self.shown.extend(view.iter::<Ball>().last().map(|(id, ball)| (id, ball.at)));
        self.tally = view.iter::<Tally>().last().map_or_else(|| self.tally.clone(), |(_, tally)| tally);
    }
}

/// What every client saw of the match is one story, and it is the result's.
fn check(pitch: &Pitch, report: &MatchReport) {
    let first = &pitch.players[0];
    let goals = |team: u8| first.goals.iter().filter(|goal| goal.team == team).count();
    assert!(!first.goals.is_empty(), "somebody scores");
    for player in &pitch.players {
        assert_eq!(player.goals, first.goals);
        let tally = Tally { goals_left: goals(0) as u8, goals_right: goals(1) as u8 };
        assert_eq!(player.tally, tally);
        // Goodbye and the end of the session leave together: on a link with jitter either may come first.
        assert!(matches!(
            player.client.state(),
            ClientState::Disconnected(
                LeaveReason::Goodbye(codes::MATCH_OVER) | LeaveReason::Session(DisconnectReason::ByPeer)
            )
        ));
        check_ball(player);
    }
    for line in &report.players {
        let scored = first.goals.iter().filter(|goal| goal.by == line.player.0).count();
        assert_eq!(line.line.score, scored as i64);
        let team = (line.player.0 % 2) as u8;
        assert_eq!(line.team, Some(team));
        assert_eq!(line.placement == 1, goals(team) >= goals(1 - team), "{report:?}");
    }
}

/// The ball moves, smoothly, from the middle of the pitch into a goal, and is back in the middle after that.
fn check_ball(player: &Player) {
    let balls: Vec<_> = player.shown.chunk_by(|a, b| a.0 == b.0).collect();
    let goals = player.goals.len();
    assert!((goals..=goals + 1).contains(&balls.len()), "{goals} goals, {} balls", balls.len());
    let mut way = 0.0;
    for (number, ball) in balls.iter().enumerate() {
        assert!(ball[0].1.length() < 0.01, "ball {number} begins at {}", ball[0].1);
        let end = ball[ball.len() - 1].1;
        assert_eq!(end.x.abs() > HALF.x, number < goals, "ball {number} ends at {end}");
        for frame in ball.windows(2) {
            let step = frame[0].1.distance(frame[1].1);
            assert!(step < 1.0, "ball {number} leaps by {step} m in a frame");
            way += step;
        }
    }
    assert!(way > 100.0, "the ball goes {way} m");
}

/// Own movement is wrong only when somebody is bumped into: seldom, and by what two run in a round trip.
fn check_prediction(player: &mut Player, share_max: f64) {
    let stats = player.client.stats();
    let share = stats.mispredictions as f64 / (stats.confirmations + stats.mispredictions) as f64;
    assert!(stats.confirmations > 2000 && share <= share_max, "{share}: {stats:?}");
    let longest = player.client.take_corrections().into_iter().fold(0.0, f32::max);
    assert!(longest < 1.5, "corrected by {longest} m");
    assert!(stats.teleports >= player.goals.len() as u64, "a kick-off is a new life: {stats:?}");
}

#[test]
fn four_play_through_jitter_and_loss() {
    let mut pitch = Pitch::new(&Profile::demo(), 4);
    let report = pitch.play();
    check(&pitch, &report);
    pitch.players.iter_mut().for_each(|player| check_prediction(player, 0.03));
}

#[test]
fn two_play_on_a_clean_link() {
    let mut pitch = Pitch::new(&Profile::clean(20.0), 2);
    let report = pitch.play();
    check(&pitch, &report);
    pitch.players.iter_mut().for_each(|player| check_prediction(player, 0.03));
}
