//! Whole matches in virtual time, over the weather that most players have.

use netcode::{ClientState, channels};
use netcode_sim::Profile;

use crate::{
    game::{Shout, Walker},
    server::{HZ, Margins, messages},
    world::{Frames, World},
};

const FRAME_60: Frames = Frames::Every(16_683);

/// What a run did, after its first two seconds.
#[derive(Debug)]
struct Outcome {
    mispredictions: u64,
    worst_correction: f32,
    starved: u64,
    stalls: u32,
    holds: u32,
}

/// Eight players for two seconds to settle and then a minute.
fn minute(seed: u64, profile: Profile) -> (World, Outcome) {
    minute_with(seed, profile, Margins::Used)
}

fn minute_with(seed: u64, profile: Profile, margins: Margins) -> (World, Outcome) {
    let mut world = World::new(seed, 24);
    world.server.margins = margins;
    for id in 1..=8 {
        world.join(id, profile, if id % 2 == 0 { FRAME_60 } else { Frames::WhenDue });
    }
    world.run_secs(2);
    let before: Vec<_> = world.players.iter().map(|player| player.client.stats()).collect();
    let starved_before: u64 = world.server.seats.values().map(|seat| seat.starved).sum();
    world.players.iter_mut().for_each(|player| drop(player.client.take_corrections()));
    world.run_secs(60);
    let after: Vec<_> = world.players.iter().map(|player| player.client.stats()).collect();
    let pairs = || before.iter().zip(&after);
    let corrections = world.players.iter_mut().flat_map(|player| player.client.take_corrections());
    let outcome = Outcome {
        worst_correction: corrections.fold(0.0, f32::max),
        mispredictions: pairs().map(|(b, a)| a.mispredictions - b.mispredictions).sum(),
        starved: world.server.seats.values().map(|seat| seat.starved).sum::<u64>() - starved_before,
        holds: pairs().map(|(b, a)| a.interpolation_holds - b.interpolation_holds).sum(),
        stalls: pairs().map(|(b, a)| a.interpolation_stalls - b.interpolation_stalls).sum(),
    };
    println!("{outcome:?}");
    (world, outcome)
}

fn all_played(world: &World, share: f64) {
    for player in &world.players {
        assert_eq!(player.client.state(), ClientState::Connected);
        let stats = player.client.stats();
        let expected = 62.0 * f64::from(HZ);
        assert!(
            player.lawful as f64 > expected * share,
            "player {}: {} frames checked",
            player.id,
            player.lawful
        );
        assert!(stats.confirmations as f64 > expected * share * 0.9, "player {}: {stats:?}", player.id);
        assert_eq!(stats.ticks_skipped, 0);
    }
}

#[test]
fn without_loss_own_movement_is_never_mispredicted() {
    let (world, outcome) = minute(1, Profile { loss: 0.0, ..Profile::demo() });
    all_played(&world, 0.95);
    assert_eq!(outcome.mispredictions, 0);
    assert_eq!(outcome.starved, 0);
    for player in &world.players {
        // 60 ms of round trip are 3.6 ticks; what is beyond is the reserve that jitter and frames need.
        let lead = player.client.stats().input_lead_ticks;
        assert!((3.6..9.0).contains(&lead), "player {}: {lead}", player.id);
    }
}

#[test]
fn with_the_demo_weather_own_movement_is_hardly_ever_mispredicted() {
    let (world, outcome) = minute(2, Profile::demo());
    all_played(&world, 0.90);
    // Eight player-minutes. The issue allows two a minute at 100 ms; we are to be near none.
    assert!(outcome.mispredictions <= 4, "{outcome:?}");
    assert!(outcome.starved <= 24, "{outcome:?}");
    // At most 2 % of snapshots may be waited for, and nothing stands still while they are.
    assert!(outcome.stalls <= 8 * 72, "{outcome:?}");
    assert_eq!(outcome.holds, 0, "{outcome:?}");
    assert!(outcome.worst_correction < 0.6, "{outcome:?}");
}

#[test]
fn a_server_that_reports_the_newest_margin_serves_as_well() {
    let (world, outcome) = minute_with(2, Profile::demo(), Margins::Newest);
    all_played(&world, 0.90);
    assert!(outcome.mispredictions <= 4, "{outcome:?}");
    assert!(outcome.starved <= 40, "{outcome:?}");
    let (_, calm) = minute_with(1, Profile { loss: 0.0, ..Profile::demo() }, Margins::Newest);
    assert_eq!((calm.mispredictions, calm.starved), (0, 0));
}

#[test]
fn at_a_hundred_milliseconds_it_is_no_different() {
    let (world, outcome) = minute(3, Profile { rtt_ms: 100.0, ..Profile::demo() });
    all_played(&world, 0.90);
    assert!(outcome.mispredictions <= 4, "{outcome:?}");
}

#[test]
fn bad_weather_is_survived_and_the_law_still_holds() {
    let (world, outcome) = minute(4, Profile::bad());
    for player in &world.players {
        assert_eq!(player.client.state(), ClientState::Connected);
        assert!(player.lawful > 1000, "player {}: {}", player.id, player.lawful);
    }
    assert!(outcome.mispredictions <= 80 && outcome.worst_correction < 2.0, "{outcome:?}");
}

#[test]
fn equal_seeds_give_equal_runs() {
    let run = |seed| {
        let mut world = World::new(seed, 8);
        for id in 1..=3 {
            world.join(id, Profile::demo(), Frames::WhenDue);
        }
        world.run_secs(10);
        let frame = world.server.history.newest().expect("ten seconds have passed").clone();
        (frame, world.players.iter().map(|player| player.lawful).collect::<Vec<_>>())
    };
    let (first, second, other) = (run(5), run(5), run(6));
    assert!(first.0.same_state(&second.0));
    assert_eq!(first.1, second.1);
    assert!(!first.0.same_state(&other.0));
}

#[test]
fn others_are_shown_a_little_late_and_the_server_is_told_how_late() {
    let mut world = World::new(7, 12);
    let player = world.join(1, Profile::demo(), FRAME_60);
    world.run_secs(10);
    let client = &world.players[player].client;
    let view = client.view();
    // One way here and one way back are 3.6 ticks; the playout delay comes on top.
    let age = world.server.seats[&1].view_age_ticks;
    assert!((3.0..10.0).contains(&age), "{age}");
    assert_eq!(view.time(), client.view_time());
    assert_eq!(view.iter::<Walker>().count(), 13);
    let (before, after) =
        (world.server.history.frame(view.time().tick), world.server.history.frame(view.time().tick.next()));
    let (before, after) = (before.expect("held"), after.expect("held"));
    for (id, shown) in view.iter::<Walker>().filter(|(id, _)| Some(*id) != view.own()) {
        let from: Walker = before.get(&world.server.schema, id).expect("it was there");
        let to: Walker = after.get(&world.server.schema, id).expect("it still was");
        let span = (from.x - to.x).hypot(from.y - to.y);
        let off = (shown.x - from.x).hypot(shown.y - from.y);
        assert!(off <= span + 0.06, "{id}: {off} of {span}");
    }
}

#[test]
fn a_respawn_is_a_teleport_and_a_shove_is_smoothed() {
    let mut world = World::new(8, 4);
    let player = world.join(1, Profile::clean(60.0), FRAME_60);
    world.run_secs(3);
    let before = world.players[player].client.stats();
    world.players[player].longest_stride = 0.0;
    world.server.shove(1, 1.0);
    world.run_secs(1);
    let shoved = world.players[player].client.stats();
    assert_eq!(shoved.mispredictions - before.mispredictions, 1);
    assert!((shoved.correction - 1.0).abs() < 0.05, "{}", shoved.correction);
    // A metre is spread over some 80 ms: no single frame may show more than a third of it.
    assert!(world.players[player].longest_stride < 0.34, "{}", world.players[player].longest_stride);
    world.server.respawn(1, 40.0, 40.0);
    world.run_secs(1);
    let reborn = world.players[player].client.stats();
    assert_eq!(reborn.mispredictions, shoved.mispredictions);
    assert_eq!(reborn.teleports - shoved.teleports, 1);
    let predicted = world.players[player].client.predicted().expect("it lives");
    assert!(predicted.life == 2 && predicted.x > 30.0, "{predicted:?}");
}

#[test]
fn messages_and_telemetry_reach_the_other_side() {
    let mut world = World::new(9, 0);
    let player = world.join_with(1, Profile::demo(), FRAME_60, |config| config.telemetry = true);
    world.run_secs(2);
    for number in 0..50 {
        let now = world.now;
        world.server.shout(now, 1, number);
        world.players[player].client.send_message(now, &Shout { number: 100 + number }).expect("registered");
        world.run(std::time::Duration::from_millis(20));
    }
    world.run_secs(2);
    let client = &mut world.players[player].client;
    let mut heard = Vec::new();
    while let Some((channel, bytes)) = client.poll_message() {
        assert_eq!(channel, channels::GAME_RELIABLE_ORDERED);
        heard.push(messages().decode::<Shout>(&bytes).expect("a shout").number);
    }
    assert_eq!(heard, (0..50).collect::<Vec<_>>());
    let seat = &world.server.seats[&1];
    assert_eq!(seat.shouts, (100..150).collect::<Vec<_>>());
    let telemetry = seat.telemetry.as_ref().expect("it was asked for");
    assert_eq!(telemetry.predicted.len(), 4);
    assert!((40_000..90_000).contains(&telemetry.rtt_us), "{telemetry:?}");
    assert!(world.server.tick.since(telemetry.tick) < 30);
}
