//! Football with a ball that nobody owns, in one file: the rules, the server, and a bot that plays. `cargo run -p
//! server-runtime --example football -- --port 7777 --bots 4 --seconds 60` plays a match; without bots it waits for players.
//! Everybody predicts their own run and nothing else. The ball is the server's: it rolls, bounces and is kicked there.
//! `server-runtime/tests/football.rs` plays this in virtual time.
#![allow(clippy::needless_pass_by_value, elided_lifetimes_in_paths, reason = "how systems are written")]

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use netcode_client::{Client, ClientConfig, ClientState, WorldView};
use netcode_snapshot::{MessageSet, Schema};
use netcode_token::{Key, Seat, TokenSpec, mint};
use netcode_transport::{Carrier, UdpCarrier};
use netcode_wire::Time;
use server_runtime::prelude::*;

/// Half the pitch, the radii of runner and ball, and how near the ball must be for a kick: metres.
pub(crate) const HALF: Vec2 = Vec2::new(30.0, 20.0);
const RUNNER: f32 = 0.5;
const BALL: f32 = 0.3;
const REACH: f32 = 1.5;

/// What a player predicts: their own run.
#[derive(Component, Clone, Debug, Default, PartialEq, Replicate)]
#[net(predicted)]
pub(crate) struct Runner {
    #[net(range(-32.0..=32.0), step = 0.002)]
    pub(crate) at: Vec2,
    #[net(range(-10.0..=10.0), step = 0.01)]
    speed: Vec2,
    /// Counts kick-offs: being put back to one's place is no movement.
    life: u8,
    #[net(bits = 1)]
    team: u8,
}

/// The ball: a millimetre is as fine as it travels.
#[derive(Component, Clone, Debug, Default, PartialEq, Replicate)]
#[net(predictor = "linear")]
pub(crate) struct Ball {
    #[net(range(-33.0..=33.0), step = 0.001)]
    pub(crate) at: Vec2,
}

/// The score, for all to see.
#[derive(Component, Clone, Debug, Default, PartialEq, Replicate)]
pub(crate) struct Tally {
    pub(crate) goals_left: u8,
    pub(crate) goals_right: u8,
}

/// Told to everybody, once and for certain.
#[derive(Clone, Debug, PartialEq, Message)]
pub(crate) struct Goal {
    pub(crate) by: u64,
    pub(crate) team: u8,
}

/// What a player may ask for in one tick.
#[derive(Clone, Debug, Default, PartialEq, Input)]
pub(crate) struct Wish {
    #[net(range(-1.0..=1.0), step = 0.0625)]
    run: Vec2,
    #[net(angle, bits = 8)]
    aim: f32,
    kick: bool,
}

pub(crate) struct Football;
impl Game for Football {
    type Input = Wish;
    type State = Runner;

    fn step(runner: &mut Runner, wish: &Wish, ctx: StepContext) {
        let wanted = wish.run.clamp_length_max(1.0) * 7.0 - runner.speed;
        runner.speed += wanted.clamp_length_max(25.0 * ctx.dt);
        runner.at = (runner.at + runner.speed * ctx.dt).clamp(-HALF, HALF);
    }
    fn same_life(before: &Runner, after: &Runner) -> bool {
        before.life == after.life
    }
    fn distance(a: &Runner, b: &Runner) -> f32 {
        a.at.distance(b.at)
    }
}

/// What the server alone knows of the ball: its speed, and who of each team touched it last.
#[derive(Component, Default)]
struct Rolling(Vec2, [Option<PlayerId>; 2]);

/// Where a runner stands at kick-off.
#[derive(Component)]
struct Place(Vec2);
/// Seconds until the next kick-off, without end while the ball is in play.
#[derive(Component)]
struct Pause(f32);

fn join(mut joined: EventReader<PlayerJoined>, mut commands: Commands) {
    for player in joined.read() {
        let team = player.team % 2;
        let at = Vec2::new(if team == 0 { -9.0 } else { 9.0 }, (player.seat % 6) as f32 * 6.0 - 15.0);
        commands.spawn((Owner(player.player), Runner { at, team, ..Runner::default() }, Place(at)));
    }
}

/// When the match begins, and after each goal. The ball is a new one, so that nobody sees it fly back.
fn kick_off(
    mut started: EventReader<MatchStarted>,
    dt: Res<Dt>,
    mut pauses: Query<&mut Pause>,
    balls: Query<Entity, With<Ball>>,
    mut runners: Query<(&mut Runner, &Place)>,
    mut commands: Commands,
) {
    for _ in started.read() {
        commands.spawn((Tally::default(), Pause(0.0)));
    }
    for mut pause in &mut pauses {
        pause.0 -= dt.0;
        if pause.0 <= 0.0 {
            pause.0 = f32::INFINITY;
            balls.iter().for_each(|ball| commands.entity(ball).despawn());
            commands.spawn((Ball::default(), Rolling::default()));
            for (mut runner, place) in &mut runners {
                (runner.at, runner.speed, runner.life) = (place.0, Vec2::ZERO, runner.life.wrapping_add(1));
            }
        }
    }
}

/// Runners bounce off each other: one change a bump, after which everybody predicts right again.
fn jostle(mut runners: Query<&mut Runner>) {
    let mut pairs = runners.iter_combinations_mut();
    while let Some([mut a, mut b]) = pairs.fetch_next() {
        let normal = (b.at - a.at).normalize_or(Vec2::Y);
        let closing = (b.speed - a.speed).dot(normal);
        if a.at.distance(b.at) < 2.0 * RUNNER && closing < 0.0 {
            let bounce = normal * (closing / 2.0 - 2.0);
            (a.speed, b.speed) = (a.speed + bounce, b.speed - bounce);
        }
    }
}

/// The ball rolls, bounces off the boards, and off runners with what they run.
fn roll(dt: Res<Dt>, ball: Single<(&mut Ball, &mut Rolling)>, runners: Query<(&Runner, &Owner)>) {
    let (mut ball, mut rolling) = ball.into_inner();
    let (mut at, mut speed) = (ball.at + rolling.0 * dt.0, rolling.0 * (1.0 - 0.7 * dt.0));
    for (runner, owner) in &runners {
        if at.distance(runner.at) < RUNNER + BALL {
            let normal = (at - runner.at).normalize_or(Vec2::X);
            at = runner.at + normal * (RUNNER + BALL);
            speed -= normal * (1.4 * (speed - runner.speed).dot(normal).min(0.0));
            rolling.1[usize::from(runner.team)] = Some(owner.0);
        }
    }
    let bounds = HALF - BALL + if at.y.abs() < 4.0 { Vec2::X * 2.0 } else { Vec2::ZERO };
    ball.at = at.clamp(-bounds, bounds);
    rolling.0 = Vec2::select(ball.at.cmpne(at), -0.7 * speed, speed);
}

/// A kick counts where its player saw the ball; it flies from where it is.
fn kick(
    ball: Single<(Entity, &mut Rolling)>,
    runners: Query<(&Runner, &InputOf<Football>, &Owner)>,
    lag: Res<LagCompensation>,
) {
    let (entity, mut rolling) = ball.into_inner();
    for (runner, input, owner) in &runners {
        let pressed = input.current.kick && !input.previous.kick;
        let seen = lag.seen(input.rewind).pose(entity);
        if pressed && seen.is_some_and(|ball| ball.position().distance(runner.at) < REACH) {
            rolling.0 = Vec2::from_angle(input.current.aim) * 18.0;
            rolling.1[usize::from(runner.team)] = Some(owner.0);
        }
    }
}

/// A goal is the team's, and counts for its last player at the ball, which lies in the net from now on.
fn score(
    ball: Single<(Entity, &Ball, &Rolling)>,
    pitch: Single<(&mut Tally, &mut Pause)>,
    runners: Query<(&Owner, &Runner)>,
    mut board: ResMut<Scoreboard>,
    mut outbox: ResMut<Outbox>,
    mut commands: Commands,
) {
    let ((entity, ball, rolling), (mut tally, mut pause)) = (ball.into_inner(), pitch.into_inner());
    if ball.at.x.abs() < HALF.x + BALL {
        return;
    }
    let team = u8::from(ball.at.x < 0.0);
    let goals = if team == 0 { &mut tally.goals_left } else { &mut tally.goals_right };
    *goals = goals.saturating_add(1);
    pause.0 = 1.5;
    commands.entity(entity).remove::<Rolling>();
    let anyone = || runners.iter().find(|(_, runner)| runner.team == team).map(|(owner, _)| owner.0);
    if let Some(by) = rolling.1[usize::from(team)].or_else(anyone) {
        board.line(by).score += 1;
        outbox.broadcast(&Goal { by: by.0, team });
    }
}

/// The whole game server.
pub(crate) fn server(options: ServerOptions) -> ServerBuilder<Football> {
    Server::builder("football")
        .game::<Football>()
        .replicate::<Ball>()
        .replicate::<Tally>()
        .message::<Goal>(channels::GAME_RELIABLE_ORDERED)
        .hittable::<Ball>(|ball| Some(Pose::new(ball.at, BALL)))
        .add_systems(Stage::Receive, (join, kick_off).chain())
        .add_systems(Stage::Simulate, (jostle, roll).chain().run_if(match_running))
        .add_systems(Stage::Resolve, (kick, score).chain().run_if(match_running))
        .config(options)
}

/// The nearest of a team goes behind the ball and kicks it at the goal, the others guard their own.
pub(crate) fn bot(tick: Tick, view: &WorldView<'_>) -> Option<Wish> {
    let own = view.own()?;
    let (me, ball) = (view.get::<Runner>(own)?, view.iter::<Ball>().last()?.1);
    let goal = Vec2::new(if me.team == 0 { HALF.x + 1.0 } else { -HALF.x - 1.0 }, 0.0);
    let mine = me.at.distance(ball.at);
    let nearest = view.iter::<Runner>().all(|(_, it)| it.team != me.team || it.at.distance(ball.at) >= mine);
    let forward = (goal - ball.at).normalize_or(Vec2::X);
    let behind = (ball.at - me.at).dot(forward) > 0.0;
    let target = match (nearest, behind) {
        (true, true) => ball.at,
        (true, false) => ball.at - forward * 2.0 + forward.perp() * 1.5,
        (false, _) => (ball.at - goal) * 0.4 + Vec2::Y * (own.0 % 2 * 10) as f32 - Vec2::Y * 5.0,
    };
    let kick = behind && mine < REACH * 0.8 && tick.0.is_multiple_of(2);
    Some(Wish { run: (target - me.at).clamp_length_max(1.0), aim: forward.to_angle(), kick })
}

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A client of [`server`]: the same components and messages, in the same order.
pub(crate) fn client(
    (now, unix_s): (Time, u64),
    (key, protocol_id): (&Key, u64),
    (to, seat): (SocketAddr, &Seat),
) -> Outcome<Client<Football>> {
    let token = mint(&TokenSpec::for_seat(seat, protocol_id, to, unix_s), key)?;
    let schema = Schema::builder().component::<Runner>().component::<Ball>().component::<Tally>().build();
    let messages = MessageSet::builder().message::<Goal>(channels::GAME_RELIABLE_ORDERED.0).build();
    let config = ClientConfig { messages, ..ClientConfig::new(protocol_id) };
    Ok(Client::connect(now, &token[..], schema, config)?)
}

/// A bot over UDP, until the server says goodbye.
fn play(protocol: (&Key, u64), to: SocketAddr, player: u64) -> Outcome<()> {
    let begun = Instant::now();
    let now = || Time::from_micros(begun.elapsed().as_micros() as u64);
    let unix_s = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let mut carrier = UdpCarrier::open(SocketAddr::from(([0, 0, 0, 0], 0)))?;
    let mut seat = Seat { match_id: 0, player, team: 0, rating_milli: 0, name: format!("bot {player}") };
    seat.team = (player % 2) as u8;
    let mut client = client((now(), unix_s), protocol, (to, &seat))?;
    loop {
        carrier.receive(&mut |from, datagram| client.handle_datagram(now(), from, datagram));
        client.advance(now(), &mut |tick, view| bot(tick, view).unwrap_or_default());
        while let Some(transmit) = client.poll_transmit() {
            carrier.send(transmit.to, transmit.bytes);
        }
        carrier.flush();
        while let Some((_, bytes)) = client.poll_message() {
            println!("bot {player}: {:?}", client.messages().decode::<Goal>(&bytes)?);
        }
        if let ClientState::Disconnected(reason) = client.state() {
            println!("bot {player}: {reason}; {} mispredictions", client.stats().mispredictions);
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    server: ServerOptions,
    /// Bots that play, in this process; they need --port.
    #[arg(long, default_value_t = 0)]
    bots: u64,
}

fn main() -> Outcome<()> {
    let Flags { mut server, bots } = <Flags as clap::Parser>::parse();
    server.key.get_or_insert_with(|| "11".repeat(32).into());
    let key = server.private_key()?;
    let (to, protocol_id) = (SocketAddr::from(([127, 0, 0, 1], server.port)), server.protocol_id);
    for player in 1..=bots {
        let key = key.clone();
        std::thread::spawn(move || play((&key, protocol_id), to, player).inspect_err(|e| eprintln!("{e}")));
    }
    Ok(self::server(server).run()?)
}
