//! The arena is a function of what it is given: a match in the demo's weather, recorded and simulated again.

mod support;

use std::sync::Arc;

use netcode_sim::Profile;
use server_runtime::prelude::*;
use server_runtime::{Recording, Replay, ServerOptions};
use support::rehearsal::Rehearsal;

/// Half a minute of eight, of whom one says goodbye in the middle.
fn recorded(seed: u64) -> (Rehearsal, Arc<Recording>) {
    let mut rehearsal = Rehearsal::new(8, &Profile::demo(), seed, 30);
    for tick in 0..33 * 60 {
        rehearsal.tick();
        if tick == 900 {
            let now = rehearsal.now;
            rehearsal.players[3].client.disconnect(now);
        }
    }
    let bytes = rehearsal.room.recording().expect("recorders are on");
    let ticks = rehearsal.room.current_tick().0;
    println!("{ticks} ticks, {} bytes", bytes.len());
    assert!(bytes.len() < 1_500_000, "{} bytes for half a minute", bytes.len());
    let recording = Recording::parse(&bytes).expect("just written");
    assert_eq!(recording.last_tick(), ticks);
    (rehearsal, Arc::new(recording))
}

#[test]
fn a_match_is_simulated_again_bit_for_bit() {
    let (mut rehearsal, recording) = recorded(11);
    let game = arena::server(ServerOptions::default());
    let mut replay = Replay::new(game, recording).expect("a recording of the arena");
    let difference = replay.verify().expect("a sound recording");
    assert!(difference.is_none(), "{}", difference.expect("just asked"));
    let lines = |room: &mut server_runtime::Room<arena::ArenaGame>| {
        arena::standings(room.world_mut().resource::<Scoreboard>())
    };
    let (live, again) = (lines(&mut rehearsal.room), lines(replay.room()));
    assert!(live.iter().any(|place| place.kills > 0), "{live:?}");
    assert_eq!(live, again);
    // What a viewer sees is drawn from the same world.
    let picture = replay.room().live_json(None);
    assert!(picture.contains(r#""kind":"ship""#) && picture.contains("pilot 1"), "{picture}");
}

#[test]
fn a_desync_is_traced_to_tick_entity_and_component() {
    let (_, recording) = recorded(12);
    let nudge = |tick: Res<'_, CurrentTick>, mut all: Query<'_, '_, (&Networked, &mut arena::Vitals)>| {
        if tick.0.0 == 777 {
            let last = all.iter_mut().max_by_key(|(id, _)| id.0).expect("ships fly");
            last.1.into_inner().health ^= 1;
        }
    };
    let game = arena::server(ServerOptions::default()).add_systems(Stage::Replicate, nudge);
    let mut replay = Replay::new(game, recording).expect("a recording of the arena");
    let difference = replay.verify().expect("a sound recording").expect("a nudged match");
    let place = difference.place.expect("frames of half a minute are kept");
    assert_eq!((difference.tick, &place.component[..], &place.column[..]), (777, "Vitals", "health"));
}
