//! Invariant 5, the client's part: in steady state neither a datagram nor a tick allocates.

#[path = "whole/game.rs"]
#[allow(dead_code, reason = "shared with the whole-path tests, which use more of it")]
mod game;
#[path = "whole/server.rs"]
#[allow(dead_code, reason = "shared with the whole-path tests, which use more of it")]
mod server;
#[path = "whole/world.rs"]
#[allow(dead_code, reason = "shared with the whole-path tests, which use more of it")]
mod world;

use netcode_sim::Profile;
use world::{Frames, World};

#[test]
fn a_client_in_steady_state_allocates_nothing() {
    let mut world = World::new(41, 32);
    world.measure = |run| allocation_counter::measure(run).count_total;
    let player = world.join(1, Profile::demo(), Frames::Every(16_667));
    // Rings and pools fill up, and the clock looks back over 16 s before it has its lead.
    world.run_secs(40);
    let stats = world.players[player].client.stats();
    assert!(world.players[player].measured > 0, "the measure counts");
    world.players[player].measured = 0;
    world.run_secs(20);
    let received = world.players[player].client.stats().snapshots_received - stats.snapshots_received;
    let measured = world.players[player].measured;
    assert!(received > 1100, "{received} snapshots");
    assert_eq!(measured, 0, "{measured} allocations in {received} snapshots and 1200 ticks");
}
