//! A recording played again: simulated with the game's own code, compared with what was recorded, shown in the live
//! view. Owns the comparison; must never know what a component means.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use netcode_token::Key;

use crate::builder::{ServerBuilder, ServerGame};
use crate::drive::{Clock, RunError};
use crate::ops::Board;
use crate::record::{FRAME_TICKS, FlatFrame, FrameReader, Moments, Recording, RecordingError, digest};
use crate::room::{Room, TickPanic};

/// Why a recording could not be played.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The recording cannot be used.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The game cannot be set up.
    #[error(transparent)]
    Game(#[from] RunError),
    /// A system panicked: as then, where the recording ends with this tick.
    #[error(transparent)]
    Panicked(#[from] TickPanic),
    /// The page cannot be served.
    #[error("the page cannot be served at {address}: {cause}")]
    Page {
        /// Where it was to be.
        address: SocketAddr,
        /// Why not.
        cause: std::io::Error,
    },
}

/// The first thing that came out otherwise than it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The tick after which it shows.
    pub tick: u32,
    /// Where; `None` where the recording does not hold the frame of this tick any more.
    pub place: Option<Place>,
}

/// Where two worlds differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The entity's network id.
    pub entity: u32,
    /// The component's type name.
    pub component: String,
    /// The column's name; empty where one side lacks the component.
    pub column: String,
    /// The quantised value that was recorded; `None`: the component was not there.
    pub recorded: Option<u32>,
    /// The quantised value that was simulated.
    pub simulated: Option<u32>,
    /// The tick of the frame in which it shows: the first one that was kept from the difference on.
    pub at: u32,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tick {}: ", self.tick)?;
        let Some(place) = &self.place else { return write!(f, "the world differs; its frame was not kept") };
        let value =
            |value: Option<u32>| value.map_or_else(|| "not there".to_owned(), |value| value.to_string());
        let Place { entity, component, column, .. } = place;
        let dot = if column.is_empty() { "" } else { "." };
        let (recorded, simulated) = (value(place.recorded), value(place.simulated));
        write!(f, "entity {entity}, {component}{dot}{column}: recorded {recorded}, simulated {simulated}")?;
        if place.at == self.tick { Ok(()) } else { write!(f, " at tick {}", place.at) }
    }
}

/// A recording being simulated.
pub struct Replay<G: ServerGame> {
    room: Room<G>,
    recording: Arc<Recording>,
    moments: Moments<G::Input>,
    frames: FrameReader,
    simulated: FlatFrame,
}

impl<G: ServerGame> Replay<G> {
    /// A world at the beginning of `recording`; `builder` must declare the game as the recording server did.
    ///
    /// # Errors
    /// The recording is of another game, does not begin at the beginning, or the game cannot be set up.
    pub fn new(mut builder: ServerBuilder<G>, recording: Arc<Recording>) -> Result<Self, ReplayError> {
        builder.options.record_mib = 0;
        builder.options.tick_rate = Some(recording.tick_hz());
        // Nobody connects, so any key will do.
        builder.options.key = Some(Key::generate().to_hex().into());
        let room = builder.build(&[], 0)?;
        recording.fits(&room.identity())?;
        Ok(Self {
            room,
            recording,
            moments: Moments::new(),
            frames: FrameReader::default(),
            simulated: FlatFrame::default(),
        })
    }

    /// Simulates the next tick; gives the difference that it shows, if any. `None`: the recording is over.
    ///
    /// # Errors
    /// The recording is malformed, or a system panicked.
    pub fn step(&mut self) -> Result<Option<Option<Difference>>, ReplayError> {
        let Some((tick, same)) = self.simulate()? else { return Ok(None) };
        Ok(Some(if same { None } else { Some(Difference { tick, place: self.place()? }) }))
    }

    /// Simulates the next tick; gives which it was and whether what changed in it is what was recorded.
    fn simulate(&mut self) -> Result<Option<(u32, bool)>, ReplayError> {
        let Self { room, recording, moments, .. } = self;
        let Some(moment) = moments.next(recording)? else { return Ok(None) };
        let (tick, recorded) = (moment.tick, moment.digest);
        if tick != room.current_tick().next().0 {
            return Err(RecordingError::BeginsLate { tick }.into());
        }
        room.replay(moment)?;
        Ok(Some((tick, room.frame().is_some_and(|frame| digest(frame) == recorded))))
    }

    /// Where the world differs from the recorded one, if the frame of this tick was kept.
    fn place(&mut self) -> Result<Option<Place>, ReplayError> {
        let Self { room, recording, frames, simulated, .. } = self;
        let Some(recorded) = frames.at(recording, room.current_tick().0)? else { return Ok(None) };
        if let Some(frame) = room.frame() {
            simulated.fill(frame);
        }
        Ok(place(room, recorded, simulated))
    }

    /// Simulates to the end, or to the first difference.
    ///
    /// # Errors
    /// As [`Replay::step`].
    pub fn verify(&mut self) -> Result<Option<Difference>, ReplayError> {
        while let Some((tick, same)) = self.simulate()? {
            if same {
                continue;
            }
            let mut place = self.place()?;
            // On to the next frame that was kept; beyond it the worlds only part further.
            for _ in 0..FRAME_TICKS {
                if place.is_some() || self.simulate()?.is_none() {
                    break;
                }
                place = self.place()?;
            }
            return Ok(Some(Difference { tick, place }));
        }
        Ok(None)
    }

    /// The room, as it is after the last step.
    pub fn room(&mut self) -> &mut Room<G> {
        &mut self.room
    }
}

/// The first place at which two frames differ.
fn place<G: ServerGame>(room: &Room<G>, recorded: &FlatFrame, simulated: &FlatFrame) -> Option<Place> {
    let keys =
        |frame: &FlatFrame| frame.parts.iter().map(|part| (part.entity, part.component)).collect::<Vec<_>>();
    let mut all = [keys(recorded), keys(simulated)].concat();
    all.sort_unstable();
    all.dedup();
    all.into_iter().find_map(|(entity, component)| {
        let columns = |frame: &FlatFrame| {
            let part = frame.parts.iter().find(|part| (part.entity, part.component) == (entity, component));
            part.map(|part| frame.columns(*part).to_vec())
        };
        let (recorded, simulated) = (columns(recorded), columns(simulated));
        if recorded == simulated {
            return None;
        }
        let both = recorded.as_deref().zip(simulated.as_deref());
        let column =
            both.and_then(|(one, other)| one.iter().zip(other).position(|(one, other)| one != other));
        let (name, field) = room.component_name(component, column.unwrap_or(usize::MAX));
        let value =
            |columns: Option<Vec<u32>>| columns.and_then(|columns| columns.get(column.unwrap_or(0)).copied());
        Some(Place {
            entity,
            component: name,
            column: field,
            recorded: value(recorded),
            simulated: value(simulated),
            at: room.current_tick().0,
        })
    })
}

/// Plays recordings in the live view at `address`, `speed` times as fast as they were, again and again, `rounds` times (for
/// ever where `None`). `make` begins one; `told` hears where the page is, and of every difference.
///
/// # Errors
/// The page cannot be served, or a recording cannot be played.
pub fn show<G: ServerGame>(
    make: impl Fn() -> Result<Replay<G>, ReplayError>,
    address: SocketAddr,
    speed: f64,
    rounds: Option<u32>,
    mut told: impl FnMut(Shown),
) -> Result<(), ReplayError> {
    let page = |cause| ReplayError::Page { address, cause };
    let mut replay = make()?;
    let listener = TcpListener::bind(address).map_err(page)?;
    told(Shown::At(listener.local_addr().map_err(page)?));
    let board = Board::new(replay.recording.name(), Clock::start());
    crate::ops::show_board(listener, Arc::clone(&board)).map_err(page)?;
    for round in 1.. {
        play(&mut replay, &board, speed, &mut told)?;
        if Some(round) == rounds {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
        replay = make()?;
    }
    Ok(())
}

fn play<G: ServerGame>(
    replay: &mut Replay<G>,
    board: &Board,
    speed: f64,
    told: &mut impl FnMut(Shown),
) -> Result<(), ReplayError> {
    let tick = Duration::from_secs_f64(1.0 / (f64::from(replay.recording.tick_hz()) * speed));
    let (mut due, mut told_one) = (Instant::now(), false);
    while let Some(difference) = replay.step()? {
        if let Some(difference) = difference.filter(|_| !std::mem::replace(&mut told_one, true)) {
            told(Shown::Differs(difference));
        }
        if board.is_watched() {
            board.publish_live(replay.room.live_frame());
        }
        due += tick;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// What whoever shows a recording is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// The page is there.
    At(SocketAddr),
    /// The first difference of this round: what is shown from here on is another match.
    Differs(Difference),
}

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use netcode_client::{Game, StepContext};
    use netcode_derive::{Input, Replicate};
    use netcode_wire::Tick;

    use super::*;
    use crate::game_match::MatchSpec;
    use crate::prelude::*;
    use crate::record::{Cue, Identity, Line, Moment, Recorder};

    #[derive(Component, Replicate, Clone, Debug, PartialEq)]
    #[net(predicted)]
    struct Walker {
        #[net(range(-100.0..=100.0), step = 0.01)]
        x: f32,
        #[net(bits = 16)]
        steps: u16,
    }

    #[derive(Input, Clone, Debug, Default, PartialEq)]
    struct Walk {
        #[net(bits = 4)]
        pace: u8,
    }

    struct Walking;

    impl Game for Walking {
        type Input = Walk;
        type State = Walker;

        fn step(state: &mut Walker, input: &Walk, context: StepContext) {
            state.x = (state.x + f32::from(input.pace) * context.dt).min(100.0);
        }

        fn distance(a: &Walker, b: &Walker) -> f32 {
            (a.x - b.x).abs()
        }
    }

    #[derive(Resource)]
    struct StumbleAt(u32);

    fn builder() -> ServerBuilder<Walking> {
        Server::builder("walking").tick_rate(60).game::<Walking>().add_systems(
            Stage::Receive,
            |mut joined: EventReader<'_, '_, PlayerJoined>, mut commands: Commands<'_, '_>| {
                for join in joined.read() {
                    commands.spawn((Owner(join.player), Walker { x: join.seat as f32, steps: 0 }));
                }
            },
        )
    }

    /// Plays `ticks` ticks of three walkers and records them; the record of `lie` has another input than was played.
    fn recorded(ticks: u32, lie: Option<u32>, bytes_max: usize) -> Recorder<Walk> {
        let mut game = builder();
        game.options.key = Some(Key::generate().to_hex().into());
        let mut room = game.build(&[], 0).expect("the options are in order");
        let mut recorder = Recorder::new(room.identity(), bytes_max);
        let mut rng = fastrand::Rng::with_seed(9);
        let mut before = [0, 0, 0];
        for tick in 1..=ticks {
            let mut cues = [Vec::new(), Vec::new()];
            if tick == 2 {
                cues[0].push(Cue::Begin(Box::new(MatchSpec { seed: 3, ..MatchSpec::default() })));
                let joined =
                    |seat| Cue::Joined { player: 7 + seat as u64, name: "walker".into(), team: 0, seat };
                cues[1].extend((0..3).map(joined));
                cues[1].push(Cue::Start);
            }
            if tick == 300 {
                cues[1].push(Cue::Left { player: 8, by_choice: true });
            }
            let paces = [0, 1, 2].map(|_| rng.u8(0..16));
            let line = |at: usize, pace: u8| Line {
                player: 7 + at as u64,
                current: Walk { pace },
                previous: Walk { pace: before[at] },
                fresh: true,
                rewind: 1.5,
            };
            let lines: Vec<Line<Walk>> = (0..3).map(|at| line(at, paces[at])).collect();
            for (turned, cues) in cues.iter().enumerate() {
                if turned == 1 {
                    recorder.turn();
                }
                cues.iter().for_each(|cue| recorder.cue(cue));
            }
            for mut line in lines.clone() {
                if lie == Some(tick) && line.player == 9 {
                    line.current.pace ^= 8;
                }
                recorder.line(line);
            }
            room.replay(Moment { tick, cues, lines: &lines, digest: 0 }).expect("no system panics");
            recorder.commit(Tick(tick), room.frame().expect("extracted"));
            before = paces;
        }
        recorder
    }

    fn parsed(recorder: &Recorder<Walk>) -> Arc<Recording> {
        Arc::new(Recording::parse(&recorder.to_bytes()).expect("just written"))
    }

    #[test]
    fn a_recording_is_simulated_to_the_same_bits() {
        let recording = parsed(&recorded(900, None, 1 << 20));
        assert_eq!((recording.name(), recording.tick_hz(), recording.last_tick()), ("walking", 60, 900));
        let mut replay = Replay::new(builder(), recording).expect("of this game");
        assert_eq!(replay.verify().expect("sound"), None);
        assert_eq!(replay.room().current_tick(), Tick(900));
    }

    #[test]
    fn a_flipped_input_is_found_at_its_tick() {
        for tick in [3, 299, 700] {
            let recording = parsed(&recorded(800, Some(tick), 1 << 20));
            let mut replay = Replay::new(builder(), recording).expect("of this game");
            let found = replay.verify().expect("sound").expect("it differs");
            let place = found.place.clone().expect("its frame was kept");
            assert_eq!(
                (found.tick, place.entity, &place.component[..], &place.column[..]),
                (tick, 3, "Walker", "x")
            );
            assert!(
                found.to_string().starts_with(&format!("tick {tick}: entity 3, Walker.x: recorded ")),
                "{found}"
            );
        }
    }

    #[test]
    fn a_changed_rule_is_found_at_its_tick() {
        let recording = parsed(&recorded(400, None, 1 << 20));
        let stumble =
            |at: Res<'_, StumbleAt>, tick: Res<'_, CurrentTick>, mut all: Query<'_, '_, &mut Walker>| {
                all.iter_mut().take(usize::from(tick.0.0 == at.0)).for_each(|mut walker| walker.steps += 1);
            };
        let mut game = builder().add_systems(Stage::Resolve, stumble);
        game.setup.insert_resource(StumbleAt(123));
        let found =
            Replay::new(game, recording).expect("of this game").verify().expect("sound").expect("it differs");
        let place = found.place.expect("its frame was kept");
        assert_eq!(
            (found.tick, &place.column[..], place.recorded, place.simulated),
            (123, "steps", Some(0), Some(1))
        );
    }

    #[test]
    fn memory_is_bounded_and_what_was_lost_is_told() {
        let recorder = recorded(30_000, None, 256 << 10);
        assert!(recorder.held_bytes() <= 256 << 10, "{}", recorder.held_bytes());
        let recording = parsed(&recorder);
        let late = Replay::new(builder(), recording).err().expect("the beginning is gone");
        let ReplayError::Recording(RecordingError::BeginsLate { tick }) = late else { panic!("{late}") };
        assert!((2..30_000).contains(&tick), "{tick}");
        // Where only frames had to go, the first difference is still found, if not its place.
        let whole = Recording::parse(&recorded(20, Some(5), 1 << 20).to_bytes()).expect("just written");
        let mut replay = Replay::new(builder(), Arc::new(whole.without_frames())).expect("whole");
        let found = replay.verify().expect("sound").expect("it differs");
        assert_eq!(found, Difference { tick: 5, place: None });
    }

    #[test]
    fn another_games_recording_is_refused() {
        let recording = parsed(&recorded(10, None, 1 << 20));
        let other = Identity { schema_hash: 1, ..Identity::default() };
        let refused = |identity: &Identity| recording.fits(identity);
        assert_eq!(refused(&other), Err(RecordingError::OtherGame { what: "the schema" }));
    }

    #[test]
    fn cut_and_garbled_files_give_typed_errors() {
        let bytes = recorded(200, None, 1 << 20).to_bytes();
        assert!(Recording::parse(&bytes).is_ok());
        for cut in 0..bytes.len() {
            let error = Recording::parse(&bytes[..cut]).expect_err("cut");
            let expected =
                if cut < 8 { RecordingError::NotARecording } else { RecordingError::Truncated { at: cut } };
            assert_eq!(error, expected, "{cut}");
        }
        let longer = [&bytes[..], b"more"].concat();
        assert_eq!(Recording::parse(&longer).err(), Some(RecordingError::TooLong { bytes: 4 }));
        let mut rng = fastrand::Rng::with_seed(4);
        for _ in 0..2000 {
            let mut bent = bytes.clone();
            let at = rng.usize(..bent.len());
            bent[at] ^= 1 << rng.u32(..8);
            let error = Recording::parse(&bent).expect_err("bent");
            match at {
                0..8 => assert_eq!(error, RecordingError::NotARecording),
                8..10 => assert!(matches!(error, RecordingError::Version { .. }), "{error}"),
                _ => assert!(
                    matches!(error, RecordingError::Damaged { .. } | RecordingError::Truncated { .. }),
                    "{at}: {error}"
                ),
            }
        }
    }

    /// Entries that an honest file would not have, under true checksums.
    #[test]
    fn malformed_entries_give_typed_errors() {
        let whole = recorded(120, None, 1 << 20);
        let mut rng = fastrand::Rng::with_seed(5);
        let (mut malformed, mut other) = (0, 0);
        for _ in 0..400 {
            let bent = Recording::parse(&whole.to_bytes()).expect("whole").bent(|bytes| {
                for _ in 0..rng.usize(1..4) {
                    let at = rng.usize(..bytes.len());
                    bytes[at] = rng.u8(..);
                }
            });
            match Replay::new(builder(), Arc::new(bent)).and_then(|mut replay| replay.verify()) {
                Err(ReplayError::Recording(RecordingError::Malformed { .. })) => malformed += 1,
                Ok(Some(_)) => other += 1,
                // An input's flag that nothing here reads.
                Ok(None) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert!(malformed > 50 && other > 50, "{malformed} malformed, {other} other matches");
    }
}
