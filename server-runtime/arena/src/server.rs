//! The dedicated server's systems: each asks the world, applies a rule, writes the world. Never knows a packet, a
//! connection or a clock; what is true about the game stands in [`crate::rules`].
#![allow(
    elided_lifetimes_in_paths,
    clippy::needless_pass_by_value,
    reason = "systems are read by what they ask for, and take it by value"
)]

use std::ffi::OsString;

use clap::{Parser, ValueEnum};
use server_runtime::prelude::*;

use crate::career::{Career, Careers};
use crate::components::{Pickup, Ship, Shot, Vitals};
use crate::game::ArenaGame;
use crate::layout::SPOTS;
use crate::live::{Callsign, KillFeed, draw, ghost};
use crate::messages::{Hit, Kill, MatchEnd, Place};
use crate::rules::{self, SHIP_RADIUS, SHOT_RADIUS, SHOT_TICKS, TICK_HZ};
use crate::tuning::Tuning;

/// The arena's dedicated server.
#[derive(Parser, Debug)]
#[command(name = "arena-server", version)]
struct Flags {
    /// Where the ships fly; bots need the same word.
    #[arg(long, value_enum, default_value_t = Map::Arena)]
    world: Map,
    #[command(flatten)]
    server: ServerOptions,
}

/// What the server plays on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Map {
    /// The arena: a match of up to some dozens, all in sight of all.
    Arena,
    /// The plains: an open world for a thousand, each in sight of some dozens.
    Plains,
}

/// Runs a dedicated server until its match is over or it is told to stop; with `--rooms`, one for many matches. `args`
/// begin with the program's name.
///
/// # Errors
/// A flag cannot be used, a port is taken, or the sidecar cannot be reached.
pub fn server_main(args: impl Iterator<Item = OsString>) -> anyhow::Result<()> {
    let (flags, settings) = Settings::read_or_exit::<Flags>(args);
    let options = flags.server;
    match flags.world {
        Map::Arena => Server::rooms(move || server(options.clone())).settings(settings).run()?,
        Map::Plains => {
            Server::rooms(move || crate::plains::server(options.clone())).settings(settings).run()?;
        }
    }
    Ok(())
}

/// The whole game, declared: what travels, what can be hit, what runs when.
#[must_use]
pub fn server(options: ServerOptions) -> ServerBuilder<ArenaGame> {
    declare::<ArenaGame>("arena")
        .player_state::<Career>(StatePolicy::default())
        .plugin(Arena)
        .plugin(Careers)
        .live_view(draw)
        .config(options)
}

/// What every world that ships fly in has in common: what travels, in the order of [`crate::schema`] and
/// [`crate::messages`], and what can be hit.
pub(crate) fn declare<G: ServerGame<State = Ship>>(name: &str) -> ServerBuilder<G> {
    Server::builder(name)
        .tick_rate(TICK_HZ)
        .balance::<Tuning>()
        .game::<G>()
        .replicate::<Vitals>()
        .replicate::<Shot>()
        .replicate::<Pickup>()
        .message::<Hit>(channels::GAME_UNRELIABLE)
        .message::<Kill>(channels::GAME_RELIABLE_UNORDERED)
        .message::<MatchEnd>(channels::GAME_RELIABLE_ORDERED)
        .hittable::<Ship>(|ship| ship.flies().then_some(Pose::new(ship.pos, SHIP_RADIUS).life(ship.life)))
        .ghost(ghost)
}

/// A shot has met a ship, told to the server's own systems and to those who measure.
#[derive(Event, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Struck {
    /// Whose shot.
    pub shooter: PlayerId,
    /// The tick it was fired at: with the shooter it names the shot.
    pub born: Tick,
    /// Whose ship.
    pub victim: PlayerId,
    /// False where the ship was lost meanwhile: in its shooter's time it still flew, so the shot is a hit and spent on it.
    pub harmed: bool,
    /// The ship was lost to it.
    pub downed: bool,
}

struct Arena;

impl Plugin for Arena {
    fn build(&self, setup: &mut Setup) {
        let everything = (0..SPOTS.len()).map(|spot| (Tick(0), spot)).collect();
        setup
            .insert_resource(Larder(everything))
            .init_resource::<KillFeed>()
            .add_event::<Struck>()
            .add_systems(Stage::Receive, (join, start_over).chain())
            // In a row: what is spawned first has the lower name, and a recording is simulated by names.
            .add_systems(Stage::Simulate, (fire.run_if(match_running), restock).chain())
            .add_systems(Stage::Resolve, fly_shots)
            .add_systems(
                Stage::Resolve,
                (take_pickups, keep_score).chain().after(fly_shots).run_if(match_running),
            )
            .add_systems(Stage::Replicate, tell_result);
    }
}

/// Which ship a shot comes from, and in which hue.
#[derive(Component)]
pub(crate) struct FiredBy {
    ship: Entity,
    pub(crate) hue: u16,
}

/// What a shot may change: ships, for their owners.
type Ships<'w, 's> =
    Query<'w, 's, (&'static mut Ship, &'static mut Vitals, &'static Owner, &'static Callsign)>;

/// Shots in flight.
type Shots<'w, 's> = Query<'w, 's, (Entity, &'static Shot, &'static mut Rewind, &'static FiredBy)>;

/// Where pick-ups are missing, and the tick from which each lies there again.
#[derive(Resource)]
struct Larder(Vec<(Tick, usize)>);

/// Which of [`SPOTS`] a pick-up lies at.
#[derive(Component)]
struct Spot(usize);

/// A ship for everyone who takes a seat.
fn join(mut joined: EventReader<PlayerJoined>, ships: Query<&Ship>, mut commands: Commands) {
    let mut taken: Vec<Vec2> = ships.iter().map(|ship| ship.pos).collect();
    for join in joined.read() {
        let berth = rules::berth(&taken);
        taken.push(berth);
        // Hues the golden angle apart: any number of them stay far from one another.
        let callsign = Callsign { name: join.name.clone(), hue: (join.seat * 275 / 2 % 360) as u16 };
        commands.spawn((Owner(join.player), Ship::at(berth), Vitals::default(), callsign));
    }
}

/// When play begins everyone is back at a berth, with nothing scored.
fn start_over(mut started: EventReader<MatchStarted>, mut ships: Query<(&mut Ship, &mut Vitals)>) {
    if started.read().next().is_none() {
        return;
    }
    let mut taken = Vec::new();
    for (mut ship, mut vitals) in &mut ships {
        let berth = rules::berth(&taken);
        taken.push(berth);
        *ship = Ship { life: ship.life.wrapping_add(1), ..Ship::at(berth) };
        *vitals = Vitals::default();
    }
}

/// The framework has moved the ships; those that pulled the trigger get their shot. It lives in its shooter's time:
/// for its whole flight it meets the others where its shooter sees them. Its `Rewind` is that of now, and follows.
fn fire(
    tick: Res<CurrentTick>,
    ships: Query<(Entity, &Ship, &InputOf<ArenaGame>, &Callsign)>,
    mut commands: Commands,
) {
    for (ship, state, input, callsign) in ships.iter().filter(|(_, ship, ..)| rules::fired(ship)) {
        let shot = rules::shot_from(state, tick.0.0);
        commands.spawn((shot, input.rewind, FiredBy { ship, hue: callsign.hue }));
    }
}

/// Shots fly until they meet a ship, a rock or the edge, or are spent; those still in flight at the end hit nobody.
fn fly_shots(
    (tick, dt, lag, current): (Res<CurrentTick>, Res<Dt>, Res<LagCompensation>, Res<Match>),
    tuning: Res<Tuning>,
    (mut shots, inputs): (Shots, Query<&InputOf<ArenaGame>>),
    mut ships: Ships,
    (mut outbox, mut feed, mut told): (ResMut<Outbox>, ResMut<KillFeed>, EventWriter<Struck>),
    mut commands: Commands,
) {
    for (entity, shot, mut rewind, by) in &mut shots {
        let before = inputs.get(by.ship).map_or(*rewind, |input| rewind.follow(input.rewind));
        let age = tick.0.0.saturating_sub(shot.born);
        let (from, to) = (shot.at(age.saturating_sub(1) as f32 * dt.0), shot.at(age as f32 * dt.0));
        let stopped = rules::blocked(from, to, SHOT_RADIUS);
        let seen = lag.seen(*rewind).since(before).except(by.ship);
        let met = seen.sweep(from, to, SHOT_RADIUS);
        let met = met.filter(|met| current.is_running() && stopped.is_none_or(|at| met.fraction < at));
        let struck = met
            .and_then(|met| strike((by.ship, shot), met.entity, &tuning, &mut ships, &mut outbox, &mut feed));
        told.write_batch(struck);
        if struck.is_some() || stopped.is_some() || age >= SHOT_TICKS {
            commands.entity(entity).despawn();
        }
    }
}

/// Applies one hit. `None` when shooter or target have left since the picture was taken: the shot flies on.
fn strike(
    (by, shot): (Entity, &Shot),
    target: Entity,
    tuning: &Tuning,
    ships: &mut Ships,
    outbox: &mut Outbox,
    feed: &mut KillFeed,
) -> Option<Struck> {
    let taken: Vec<Vec2> = ships.iter().map(|(ship, ..)| ship.pos).collect();
    let [(_, mut shooter, by, killer), (mut ship, mut vitals, of, loser)] =
        ships.get_many_mut([by, target]).ok()?;
    let harmed = ship.flies();
    let mut struck = Struck { shooter: by.0, born: Tick(shot.born), victim: of.0, harmed, downed: false };
    let (by, victim) = (by.0.0, of.0.0);
    if !struck.harmed {
        rules::hit_wreck(&mut shooter, tuning);
        outbox.broadcast(&Hit { shooter: by, victim, health: 0 });
        return Some(struck);
    }
    let lost = rules::hit(&mut shooter, &mut vitals, tuning);
    let shooter = by;
    outbox.broadcast(&Hit { shooter, victim, health: if lost { 0 } else { u32::from(vitals.health) } });
    if lost {
        struck.downed = true;
        *ship = rules::wreck(&ship, rules::berth(&taken));
        outbox.broadcast(&Kill { killer: shooter, victim });
        feed.add(format!("{} ✕ {}", killer.name, loser.name));
    }
    Some(struck)
}

/// Who flies over a pick-up has it.
fn take_pickups(
    (tick, tuning): (Res<CurrentTick>, Res<Tuning>),
    pickups: Query<(Entity, &Pickup, &Spot)>,
    mut ships: Query<(&Ship, &mut Vitals)>,
    mut larder: ResMut<Larder>,
    mut commands: Commands,
) {
    for (entity, pickup, spot) in &pickups {
        if ships.iter_mut().any(|(ship, mut vitals)| rules::take(ship, &mut vitals, pickup, &tuning)) {
            commands.entity(entity).despawn();
            larder.0.push((tick.0.offset(tuning.restock_ticks as i32), spot.0));
        }
    }
}

/// Puts back what was taken long enough ago.
fn restock(tick: Res<CurrentTick>, mut larder: ResMut<Larder>, mut commands: Commands) {
    larder.0.retain(|(due, spot)| {
        let is_due = tick.0.since(*due) >= 0;
        if is_due {
            commands.spawn((Pickup { pos: SPOTS[*spot], heals: spot % 3 == 2 }, Spot(*spot)));
        }
        !is_due
    });
}

/// The scoreboard is what the framework submits as the match's result.
fn keep_score(ships: Query<(&Owner, &Vitals)>, mut board: ResMut<Scoreboard>) {
    for (owner, vitals) in &ships {
        let (kills, deaths) = (u32::from(vitals.kills), u32::from(vitals.deaths));
        *board.line(owner.0) = ScoreLine { score: i64::from(vitals.score), kills, deaths };
    }
}

/// The final table, for everyone who is still there.
fn tell_result(mut ended: EventReader<MatchEnded>, board: Res<Scoreboard>, mut outbox: ResMut<Outbox>) {
    if ended.read().next().is_some() {
        outbox.broadcast(&MatchEnd { standings: standings(&board) });
    }
}

/// A scoreboard as the lines of the final table, best first.
#[must_use]
pub fn standings(board: &Scoreboard) -> Vec<Place> {
    let line = |(placement, player, line): (u32, PlayerId, ScoreLine)| {
        let score = u32::try_from(line.score).unwrap_or(0);
        Place { placement, player: player.0, score, kills: line.kills, deaths: line.deaths }
    };
    board.standings().into_iter().map(line).collect()
}
