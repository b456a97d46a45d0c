//! Modified clients against a real room, beside an honest one at the same table: whatever they send, they reach no farther
//! and score no more than it does, and it is counted, reported, and ends their stay where the limits say so.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]
#![allow(
    elided_lifetimes_in_paths,
    clippy::needless_pass_by_value,
    reason = "systems are read by what they ask for, and take it by value"
)]

mod table;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use netcode_client::LeaveReason;
use netcode_proto::ClientState;
use netcode_snapshot::{Ack, Control, Input, InputPacket, Receiver, ReceiverLimits, ViewTime};
use netcode_wire::{BitReader, BitWriter};
use server_runtime::prelude::*;
use server_runtime::{Report, Suspicions, codes};
use table::{HZ, PROTOCOL, SERVER, Say, Table, UNIX_AT_ZERO_S, Walk, Walker, Walking, walking};

const HONEST: PlayerId = PlayerId(1);
const CHEAT: PlayerId = PlayerId(3);
const FROM: &str = "127.0.0.1:6000";

/// The input as it lies on the wire, without its range: five bits hold −1 to 1 by eighths, and fifteen numbers more.
#[derive(Input, Clone, Debug, Default, PartialEq)]
struct Forged {
    #[net(bits = 5)]
    speed: u8,
    shout: bool,
}

/// Full ahead, as an honest client writes it.
const AHEAD: Forged = Forged { speed: 16, shout: false };

/// A table with an honest guest who walks ahead, and a session whose client is ours to write.
struct Den {
    table: Table,
    session: netcode_proto::Client,
    receiver: Receiver,
    goodbye: Option<u8>,
}

impl Den {
    fn new(builder: ServerBuilder<Walking>) -> Self {
        let mut table = Table::open(builder);
        let place = table.invite(HONEST.0, 0);
        table.seated(place);
        // Its clock glides for a while; what it does afterwards is the measure.
        table.seconds(3.0);
        let session = Self::session(&table);
        let mut den =
            Self { table, session, receiver: Receiver::new(ReceiverLimits::default()), goodbye: None };
        while den.newest().is_none() {
            den.tick();
        }
        den.behave(30);
        den
    }

    fn session(table: &Table) -> netcode_proto::Client {
        let unix_s = UNIX_AT_ZERO_S + table.now.as_micros() / 1_000_000;
        let token = table::token(CHEAT.0, 0, SERVER.parse().unwrap(), unix_s);
        netcode_proto::Client::connect(table.now, &token[..], netcode_proto::ClientConfig::new(PROTOCOL))
            .unwrap()
    }

    fn newest(&self) -> Option<Tick> {
        self.receiver.latest().map(netcode_snapshot::Frame::tick)
    }

    /// Says that these inputs are for the ticks up to `newest`, and that it sees what an honest client sees.
    fn say<I: Input>(&mut self, newest: Tick, inputs: Vec<I>) {
        let seen = self.newest().unwrap();
        self.say_seen(newest, inputs, seen.offset(-3), self.receiver.ack());
    }

    fn say_seen<I: Input>(&mut self, newest: Tick, inputs: Vec<I>, seen: Tick, ack: Option<Ack>) {
        let packet = InputPacket { ack, view: ViewTime { tick: seen, fraction: 0 }, newest, inputs };
        let mut bits = BitWriter::new();
        packet.encode(&mut bits);
        self.send(channels::STATE, bits.as_bytes());
    }

    /// Sends now, in a datagram of its own.
    fn send(&mut self, channel: netcode_proto::ChannelId, bytes: &[u8]) {
        // A full channel is the cheat's own trouble.
        let _full = self.session.send(self.table.now, channel, bytes);
        self.flush();
    }

    fn flush(&mut self) {
        let now = self.table.now;
        self.session.flush(now);
        while let Some(transmit) = self.session.poll_transmit() {
            let mut bytes = transmit.bytes.to_vec();
            self.table.room.handle_datagram(now, FROM.parse().unwrap(), &mut bytes);
        }
    }

    /// A tick for everybody; the honest one as `Table::tick` has it.
    fn tick(&mut self) {
        let server: SocketAddr = SERVER.parse().unwrap();
        for _ in 0..4 {
            self.table.now =
                self.table.now.saturating_add(Duration::from_micros(1_000_000 / u64::from(HZ) / 4));
            let Table { guests, room, now, .. } = &mut self.table;
            for guest in guests {
                let input = guest.input.clone();
                guest.client.advance(*now, &mut |_, _| input.clone());
                while let Some(transmit) = guest.client.poll_transmit() {
                    room.handle_datagram(*now, guest.address, &mut transmit.bytes.to_vec());
                }
            }
        }
        let now = self.table.now;
        self.session.step(now);
        self.flush();
        self.table.room.tick(now, now).unwrap();
        while let Some(transmit) = self.table.room.poll_transmit() {
            let (to, mut bytes) = (transmit.to, transmit.bytes.to_vec());
            match self.table.guests.iter_mut().find(|guest| guest.address == to) {
                Some(guest) => guest.client.handle_datagram(now, server, &mut bytes),
                None => self.session.handle_datagram(now, server, &mut bytes),
            }
        }
        while let Some((channel, message)) = self.session.poll_message() {
            match channel {
                channels::STATE => {
                    self.receiver.decode(&table::schema(), &mut BitReader::new(&message)).unwrap();
                }
                channels::CONTROL => {
                    if let Ok(Control::Goodbye { reason }) = Control::decode(&mut BitReader::new(&message)) {
                        self.goodbye = Some(reason);
                    }
                }
                _ => {}
            }
        }
    }

    /// Ticks in which it is as honest as the other one, and stands still.
    fn behave(&mut self, ticks: u32) {
        for _ in 0..ticks {
            let newest = self.newest().unwrap();
            self.say(newest.offset(2), vec![Walk::default()]);
            self.tick();
        }
    }

    /// Both go ahead for two seconds, the cheat by its own means; how far each of them came.
    fn race(&mut self, mut cheat: impl FnMut(&mut Self, u32)) -> (f32, f32) {
        let start = (self.place_of(HONEST), self.place_of(CHEAT));
        self.table.guests[0].input.speed = 1.0;
        for tick in 0..2 * u32::from(HZ) {
            cheat(self, tick);
            self.tick();
        }
        self.table.guests[0].input.speed = 0.0;
        (self.place_of(HONEST) - start.0, self.place_of(CHEAT) - start.1)
    }

    fn place_of(&mut self, player: PlayerId) -> f32 {
        let world = self.table.room.world_mut();
        let mut walkers = world.query::<(&Owner, &Walker)>();
        walkers.iter(world).find(|(owner, _)| owner.0 == player).map(|(_, walker)| walker.x).unwrap()
    }

    fn score_of(&mut self, player: PlayerId) -> i64 {
        self.table.room.world_mut().resource::<Scoreboard>().of(player).score
    }

    fn suspicions(&mut self, player: PlayerId) -> Suspicions {
        let status = self.table.room.status(self.table.now);
        let name = player.0.to_string();
        status.players.iter().find(|player| player.player == name).unwrap().suspicions
    }

    fn count(&mut self, kind: Suspicion) -> u64 {
        self.suspicions(CHEAT).of(kind)
    }

    /// The other one was disturbed by none of it.
    fn the_honest_one_is_clean(&mut self) {
        assert_eq!(self.suspicions(HONEST).iter().collect::<Vec<_>>(), []);
        assert!(self.table.guests[0].client.predicted().is_some());
    }
}

/// 6 m/s for two seconds.
fn assert_fair((honest, cheat): (f32, f32)) {
    assert!((10.0..12.5).contains(&honest), "the measure: {honest}");
    assert!(cheat <= honest + 0.5, "it gained: {cheat} m, and the honest one {honest} m");
}

#[test]
fn an_honest_client_of_the_same_make_is_not_suspected() {
    let mut den = Den::new(walking());
    let reach = den.race(|den, _| {
        let newest = den.newest().unwrap();
        den.say(newest.offset(2), vec![AHEAD]);
    });
    assert_fair(reach);
    assert!(reach.1 > 11.0, "the forged input is read as an honest one: {}", reach.1);
    assert_eq!(den.suspicions(CHEAT).iter().collect::<Vec<_>>(), []);
    den.the_honest_one_is_clean();
}

#[test]
fn speeds_that_no_stick_gives_carry_no_farther() {
    for speed in [17, 24, 31] {
        let mut den = Den::new(walking());
        let reach = den.race(|den, _| {
            let newest = den.newest().unwrap();
            den.say(newest.offset(2), vec![Forged { speed, shout: false }]);
        });
        assert_fair(reach);
        den.the_honest_one_is_clean();
    }
}

#[test]
fn more_inputs_than_ticks_carry_no_farther() {
    let mut den = Den::new(walking());
    // A clock that runs four times as fast: inputs for ever later ticks.
    let mut ahead = 2;
    let reach = den.race(|den, _| {
        let newest = den.newest().unwrap();
        ahead += 3;
        den.say(newest.offset(ahead), vec![AHEAD; 4]);
    });
    assert_fair(reach);
    assert!(den.count(Suspicion::EarlyInput) > 0);
    // Many inputs for one tick: the first that came is the one.
    den.behave(60);
    let reach = den.race(|den, _| {
        let newest = den.newest().unwrap();
        for _ in 0..6 {
            den.say(newest.offset(2), vec![AHEAD; 8]);
        }
    });
    assert_fair(reach);
    assert!(den.count(Suspicion::InputFlood) > 0);
    den.the_honest_one_is_clean();
}

#[test]
fn inputs_for_the_past_change_nothing() {
    let mut den = Den::new(walking());
    // Two seconds of silence, and then all of them at once, as if they had been given in time.
    let reach = den.race(|den, tick| {
        if tick % 32 == 31 {
            let newest = den.newest().unwrap();
            den.say(newest, vec![AHEAD; 32]);
        }
    });
    assert_fair(reach);
    assert!(reach.1 < 3.0, "what is over is over: {}", reach.1);
    assert!(den.count(Suspicion::LateInput) > 0);
    den.the_honest_one_is_clean();
}

/// When each player may fire again.
#[derive(Resource, Default)]
struct Guns(HashMap<PlayerId, Tick>);

const RELOAD_TICKS: i32 = 6;

fn reload(tick: Res<CurrentTick>, walkers: Query<(&Owner, &InputOf<Walking>)>, mut guns: ResMut<Guns>) {
    for (owner, input) in &walkers {
        if input.current.shout && !input.previous.shout {
            guns.0.insert(owner.0, tick.0.offset(RELOAD_TICKS));
        }
    }
}

/// A shout is a shot, and nobody shoots while the gun is being loaded.
fn shooting() -> ServerBuilder<Walking> {
    let loaded = |check: &Checked<'_, Walking>| {
        let due = check.world.resource::<Guns>().0.get(&check.player).copied();
        let pulls = check.input.shout && !check.previous.shout;
        let early = pulls && due.is_some_and(|due| check.tick.since(due) < 0);
        assert!(check.state.is_some(), "what it moves is at hand");
        if early { Verdict::Refused } else { Verdict::Plausible }
    };
    let mut builder = walking().add_systems(Stage::Simulate, reload).check_input(loaded);
    builder = builder.plugin(WithGuns);
    builder
}

struct WithGuns;

impl Plugin for WithGuns {
    fn build(&self, setup: &mut Setup) {
        setup.init_resource::<Guns>();
    }
}

#[test]
fn a_gun_that_fires_too_fast_hits_no_more_often() {
    let mut den = Den::new(shooting());
    let before = den.score_of(HONEST);
    for tick in 0..2 * i32::from(HZ) {
        // The honest one pulls as soon as it may, its clock's wobble aside; the other one every second tick.
        den.table.guests[0].input.shout = tick % (RELOAD_TICKS + 2) == 0;
        let newest = den.newest().unwrap();
        den.say(newest.offset(2), vec![Walk { speed: 0.0, shout: tick % 2 == 0 }]);
        den.tick();
    }
    let (honest, cheat) = (den.score_of(HONEST) - before, den.score_of(CHEAT));
    // 120 ticks: sixty pulls, of which a gun of six ticks takes twenty at most.
    assert!((12..=15).contains(&honest), "the measure: {honest}");
    assert!(cheat <= 2 * i64::from(HZ) / i64::from(RELOAD_TICKS) + 1, "{cheat}");
    assert!(den.count(Suspicion::Implausible) >= 30, "{:?}", den.suspicions(CHEAT));
    den.the_honest_one_is_clean();
}

#[test]
fn what_was_never_on_its_screen_is_counted() {
    let mut den = Den::new(walking());
    den.behave(60);
    for _ in 0..50 {
        let newest = den.newest().unwrap();
        den.say_seen(newest.offset(2), vec![Walk::default()], newest.offset(-200), den.receiver.ack());
        den.tick();
    }
    assert_eq!(den.count(Suspicion::ViewRefused), 50);
    den.the_honest_one_is_clean();
}

/// Something that may be lost.
#[derive(Message, Clone, Debug, PartialEq)]
struct Wave {
    number: u32,
}

#[derive(Resource, Default)]
struct Heard(u32);

struct CountWaves;

impl Plugin for CountWaves {
    fn build(&self, setup: &mut Setup) {
        setup.init_resource::<Heard>().add_systems(
            Stage::Receive,
            |mut waves: EventReader<FromPlayer<Wave>>, mut heard: ResMut<Heard>| {
                heard.0 += waves.read().count() as u32;
            },
        );
    }
}

#[test]
fn a_flood_of_messages_is_cut_where_they_may_be_lost_and_ended_where_not() {
    let limits = InputLimits { messages_per_s: 20, ..InputLimits::default() };
    let builder = walking().input_limits(limits);
    let mut den = Den::new(builder);
    let said = |text: &str| {
        let mut bits = BitWriter::new();
        bits.write_bits(0, 8);
        Say { by: CHEAT.0, text: text.into() }.encode(&mut bits);
        bits.as_bytes().to_vec()
    };
    for _ in 0..40 {
        den.send(channels::GAME_RELIABLE_ORDERED, &said("buy gold"));
    }
    den.behave(2);
    assert_eq!(den.goodbye, Some(codes::FLOOD));
    assert!(den.count(Suspicion::MessageFlood) > 0);
    den.the_honest_one_is_clean();

    // Lossy channels: beside it, since another set of messages is another build.
    let builder =
        walking().message::<Wave>(channels::GAME_UNRELIABLE).plugin(CountWaves).input_limits(limits);
    let mut lonely = Den::alone(builder);
    for _ in 0..10 {
        for _ in 0..30 {
            let mut bits = BitWriter::new();
            bits.write_bits(1, 8);
            Wave { number: 7 }.encode(&mut bits);
            lonely.send(channels::GAME_UNRELIABLE, bits.as_bytes());
        }
        lonely.behave(6);
    }
    let heard = lonely.table.room.world_mut().resource::<Heard>().0;
    assert!((20..=45).contains(&heard), "a second's worth at once, and a second's: {heard}");
    assert_eq!(lonely.count(Suspicion::MessageFlood), 300 - u64::from(heard));
    assert_eq!((lonely.goodbye, lonely.session.state()), (None, ClientState::Connected));
}

impl Den {
    /// Without the honest one.
    fn alone(builder: ServerBuilder<Walking>) -> Self {
        let table = Table::open(builder);
        let session = Self::session(&table);
        let mut den =
            Self { table, session, receiver: Receiver::new(ReceiverLimits::default()), goodbye: None };
        while den.newest().is_none() {
            den.tick();
        }
        den
    }
}

#[test]
fn bytes_that_are_no_input_end_the_connection() {
    let mut den = Den::new(walking());
    den.send(channels::STATE, &[0xff; 3]);
    den.tick();
    assert_eq!((den.goodbye, den.count(Suspicion::Malformed)), (Some(codes::MALFORMED), 1));
    den.the_honest_one_is_clean();
}

#[test]
fn who_goes_beyond_the_limits_is_put_out_and_stays_out() {
    let limits = InputLimits::default().kick_at(Suspicion::ViewRefused, 20);
    let mut den = Den::new(walking().input_limits(limits));
    den.behave(60);
    let mut lies = 0;
    while den.goodbye.is_none() {
        let newest = den.newest().unwrap();
        den.say_seen(newest.offset(2), vec![Walk::default()], newest.offset(-200), den.receiver.ack());
        den.tick();
        lies += 1;
        assert!(lies < 40, "it is put up with");
    }
    assert_eq!(den.goodbye, Some(codes::SUSPICIOUS));
    let world = den.table.room.world_mut();
    assert_eq!(world.query::<&Walker>().iter(world).count(), 1, "what it owned is gone at once");
    let back = den.table.invite(CHEAT.0, 0);
    den.table.until("refused", |table| {
        table.state(back)
            == netcode_client::ClientState::Disconnected(LeaveReason::Goodbye(codes::SUSPICIOUS))
    });
    den.the_honest_one_is_clean();
}

#[test]
fn the_result_tells_what_was_suspicious() {
    let mut den = Den::new(walking());
    den.behave(30);
    for _ in 0..7 {
        let newest = den.newest().unwrap();
        den.say_seen(newest.offset(2), vec![Walk::default()], newest.offset(-200), den.receiver.ack());
        den.tick();
    }
    den.table.room.world_mut().resource_mut::<Match>().end();
    den.tick();
    let reports: Vec<Report> = std::iter::from_fn(|| den.table.room.poll_report()).collect();
    let Some(Report::Ended(report)) = reports.first() else { panic!("{reports:?}") };
    let of = |player: PlayerId| report.players.iter().find(|line| line.player == player).unwrap().suspicions;
    assert_eq!(of(CHEAT).iter().collect::<Vec<_>>(), [(Suspicion::ViewRefused, 7)]);
    assert_eq!(of(HONEST), Suspicions::default());
}

/// An operator's word: out, and out of everything it was in.
#[test]
fn who_is_kicked_or_banned_is_told_and_gone() {
    let mut table = Table::open(walking());
    let places = [1, 2, 3].map(|player| table.invite(player, 0));
    for place in places {
        table.seated(place);
    }
    let now = table.now;
    table.room.bar(now, PlayerId(1), codes::KICKED, None);
    table.room.bar(now, PlayerId(2), codes::BANNED, Some(now.saturating_add(Duration::from_secs(2))));
    table.deliver();
    table.seconds(0.2);
    let told = |code| netcode_client::ClientState::Disconnected(LeaveReason::Goodbye(code));
    assert_eq!(table.state(places[0]), told(codes::KICKED));
    assert_eq!(table.state(places[1]), told(codes::BANNED));
    assert!(table.guests[places[2]].client.predicted().is_some());
    let world = table.room.world_mut();
    assert_eq!(world.query::<&Walker>().iter(world).count(), 1);
    // Both try again at once, and once the ban is over.
    for player in [1, 2] {
        let place = table.invite(player, 0);
        table.until("refused", |table| {
            matches!(table.state(place), netcode_client::ClientState::Disconnected(_))
        });
    }
    table.seconds(2.0);
    let place = table.invite(2, 0);
    table.seated(place);
    table.room.unbar(PlayerId(1));
    let place = table.invite(1, 0);
    table.seated(place);
}
