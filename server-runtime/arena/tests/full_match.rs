//! Whole matches without a socket or a sleep: what every match of the arena must be like, in good and bad weather.

mod support;

use netcode_client::ClientState;
use netcode_sim::Profile;
use server_runtime::Scoreboard;
use support::rehearsal::Rehearsal;

/// Plays a match of `seconds` among eight, and a little longer until its end is known everywhere.
fn play(profile: &Profile, seed: u64, seconds: u32) -> Rehearsal {
    let mut rehearsal = Rehearsal::new(8, profile, seed, seconds);
    for _ in 0..(seconds + 3) * 60 {
        rehearsal.tick();
        if rehearsal.players.iter().all(|player| player.received.end.is_some()) {
            break;
        }
    }
    rehearsal
}

/// What holds in any weather.
fn check(rehearsal: &mut Rehearsal) {
    let standings = arena::standings(rehearsal.room.world_mut().resource::<Scoreboard>());
    assert_eq!(standings.len(), 8);
    assert!(standings.iter().map(|place| place.kills).sum::<u32>() >= 8, "a match has kills: {standings:?}");
    assert_eq!(
        standings.iter().map(|place| place.kills).sum::<u32>(),
        standings.iter().map(|place| place.deaths).sum::<u32>(),
        "each kill is somebody's death"
    );
    for player in &rehearsal.players {
        assert_eq!(player.client.state(), ClientState::Connected, "player {}", player.id);
        let end = player.received.end.as_ref().expect("reliable means delivered");
        assert_eq!(end.standings, standings, "player {}", player.id);
        let kills: u32 = standings.iter().map(|place| place.kills).sum();
        assert_eq!(player.received.kills as u32, kills, "every kill is told once to player {}", player.id);
        assert!(player.received.hits > 0);
    }
}

#[test]
fn a_match_on_a_clean_path_has_no_misprediction() {
    let mut rehearsal = play(&Profile::clean(60.0), 7, 30);
    check(&mut rehearsal);
    for (player, stats) in rehearsal.players.iter().zip(rehearsal.stats()) {
        assert_eq!(stats.mispredictions, 0, "player {}: {stats:?}", player.id);
        assert!(stats.confirmations > 1000, "player {}: {stats:?}", player.id);
    }
}

#[test]
fn a_match_in_the_demos_weather_holds() {
    let mut rehearsal = play(&Profile::demo(), 8, 30);
    check(&mut rehearsal);
    let minutes = 30.0 / 60.0;
    for (player, stats) in rehearsal.players.iter().zip(rehearsal.stats()) {
        let a_minute = stats.mispredictions as f64 / minutes;
        assert!(a_minute < 60.0, "player {}: {stats:?}", player.id);
    }
}

/// Shots live in their shooter's time, so a long path costs no accuracy: what a pilot aims at is what is hit.
#[test]
fn a_long_path_hits_as_often_as_a_short_one() {
    let hits = |rtt_ms: f64| -> usize {
        let matches = [21, 22, 23].map(|seed| play(&Profile::clean(rtt_ms), seed, 30));
        matches.iter().map(|rehearsal| rehearsal.players[0].received.hits).sum()
    };
    let (short, long) = (hits(10.0), hits(150.0));
    println!("hits in three matches: {short} at 10 ms, {long} at 150 ms");
    assert!(long as f64 > short as f64 * 0.7, "{short} at 10 ms, {long} at 150 ms");
}
