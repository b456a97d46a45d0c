//! Players whose frames come seldom, often or not at all for a while.

use std::time::Duration;

use netcode::ClientState;
use netcode_sim::Profile;

use crate::{
    server::HZ,
    world::{Frames, World},
};

fn settled(frames: Frames) -> World {
    let mut world = World::new(21, 8);
    world.join(1, Profile::demo(), frames);
    world.run_secs(5);
    world
}

#[test]
fn frame_rates_from_fifteen_to_two_hundred_forty_are_never_corrected_for_long() {
    for rate in [15, 30, 60, 144, 240] {
        let mut world = settled(Frames::Every(1_000_000 / rate + 7));
        let before = world.players[0].client.stats();
        world.run_secs(20);
        let stats = world.players[0].client.stats();
        let wrong = stats.mispredictions - before.mispredictions;
        println!(
            "{rate}: {wrong} wrong, lead {}, starved {}",
            stats.input_lead_ticks, world.server.seats[&1].starved
        );
        assert!(wrong <= 2, "{rate} frames a second: {wrong} mispredictions");
        assert_eq!(stats.ticks_skipped, 0);
        assert!(world.players[0].samples_max <= 8);
    }
}

#[test]
fn a_slow_frame_skips_ticks_and_owes_nothing() {
    let mut world = settled(Frames::Every(16_667));
    // Three frames a second: 20 ticks each, of which at most 8 are played.
    world.players[0].frames = Frames::Every(333_333);
    world.players[0].samples_max = 0;
    let before = world.players[0].client.stats();
    world.run_secs(10);
    let stats = world.players[0].client.stats();
    assert_eq!(world.players[0].client.state(), ClientState::Connected);
    assert_eq!(world.players[0].samples_max, 8);
    let skipped = stats.ticks_skipped - before.ticks_skipped;
    let expected = (20 - 8) * 30;
    assert!((expected - 40..=expected + 40).contains(&(skipped as i64)), "{skipped}");
    // And once the frames are quick again, everything is as before.
    world.players[0].frames = Frames::Every(16_667);
    world.run_secs(12);
    let before = world.players[0].client.stats();
    world.run_secs(10);
    let stats = world.players[0].client.stats();
    assert!(stats.mispredictions - before.mispredictions <= 1);
    assert!(stats.confirmations - before.confirmations > 9 * u64::from(HZ));
}

#[test]
fn an_outage_of_the_link_is_recovered_from() {
    let mut world = settled(Frames::Every(16_667));
    let player = &mut world.players[0];
    player.up.set_down(true);
    player.down.set_down(true);
    world.run(Duration::from_millis(2500));
    let player = &mut world.players[0];
    player.up.set_down(false);
    player.down.set_down(false);
    world.run_secs(12);
    let before = world.players[0].client.stats();
    assert_eq!(world.players[0].client.state(), ClientState::Connected);
    world.run_secs(10);
    let stats = world.players[0].client.stats();
    assert!(stats.mispredictions - before.mispredictions <= 1);
    assert!(stats.confirmations - before.confirmations > 9 * u64::from(HZ));
    assert!(stats.interpolation_delay_us < 120_000, "{}", stats.interpolation_delay_us);
}
