//! A server that holds the keys and still sends what no honest one does: the client leaves with a reason, or goes on,
//! and never panics.

use netcode::{
    ChannelId, ClientState, NetId, Tick, channels,
    client::LeaveReason,
    snapshot::{Control, SnapshotHeader, inputs_hash},
    wire::BitWriter,
};
use netcode_sim::Profile;

use crate::{
    game::Steer,
    server::{HZ, messages, schema},
    world::{Frames, World},
};

fn playing(seed: u64) -> World {
    let mut world = World::new(seed, 6);
    world.join(1, Profile::lan(), Frames::WhenDue);
    world.run_secs(1);
    assert_eq!(world.players[0].client.state(), ClientState::Connected);
    world
}

fn send(world: &mut World, channel: ChannelId, bytes: &[u8]) {
    let (now, client) = (world.now, world.server.seats[&1].client);
    // A full channel is no news here.
    let _ = world.server.session.send(now, client, channel, bytes);
}

fn welcome(tick_hz: u16, tick: Tick) -> Control {
    let (schema_hash, messages_hash) = (schema().hash(), messages().hash());
    let inputs_hash = inputs_hash::<Steer>();
    Control::Welcome { tick_hz, snapshot_every: 1, tick, schema_hash, messages_hash, inputs_hash, player: 1 }
}

#[test]
fn noise_in_every_channel_never_panics_and_ends_with_a_reason() {
    let mut left = 0;
    for seed in 0..60 {
        let mut world = playing(seed);
        world.players[0].unlawful = true;
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..30 {
            if !world.server.seats.contains_key(&1) {
                break;
            }
            let bytes: Vec<u8> = (0..rng.usize(0..80)).map(|_| rng.u8(..)).collect();
            send(&mut world, ChannelId(rng.u8(0..6)), &bytes);
            world.run(std::time::Duration::from_millis(20));
        }
        match world.players[0].client.state() {
            ClientState::Connected => {}
            ClientState::Disconnected(
                LeaveReason::Control(_) | LeaveReason::Snapshot(_) | LeaveReason::Goodbye(_),
            ) => {
                left += 1;
            }
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!(left > 50, "{left} of 60 left");
}

#[test]
fn heads_that_lie_about_inputs_and_ticks_are_borne() {
    for seed in 0..40 {
        let mut world = playing(seed);
        world.players[0].unlawful = true;
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..20 {
            let now = world.server.tick.0;
            let tick = Tick(if rng.u8(0..10) == 0 { rng.u32(..) } else { now + rng.u32(0..20) });
            let header = SnapshotHeader {
                tick,
                baseline: None,
                older: None,
                complete: rng.bool(),
                dense: false,
                part: rng.bool().then(|| rng.u8(..64)),
                input_tick: Some(Tick(if rng.bool() { rng.u32(..) } else { now })),
                input_margin: rng.i16(-2047..=2047),
                late_inputs: rng.u8(..),
                missing: rng.u32(..),
            };
            let mut out = BitWriter::new();
            header.encode(&mut out);
            (0..4).for_each(|_| out.write_bits(0, 8));
            send(&mut world, channels::STATE, out.as_bytes());
            if !world.server.seats.contains_key(&1) {
                break;
            }
            world.run(std::time::Duration::from_millis(50));
            if !world.server.seats.contains_key(&1) {
                break;
            }
        }
    }
}

#[test]
fn welcomes_at_the_edges_of_time_are_borne() {
    for (tick_hz, tick) in [(1, 0), (u16::MAX, u32::MAX), (10, u32::MAX - 1), (128, 0), (HZ, 5_000_000)] {
        let mut world = playing(50);
        send(&mut world, channels::CONTROL, &welcome(tick_hz, Tick(tick)).to_bytes());
        send(&mut world, channels::CONTROL, &Control::Owns { net_id: NetId(u32::MAX) }.to_bytes());
        world.run_secs(2);
        assert_eq!(world.players[0].client.state(), ClientState::Connected);
        assert_eq!(world.players[0].client.tick_hz(), Some(tick_hz));
        assert!(world.players[0].client.predicted().is_none());
        // And a true word puts everything right again.
        let net_id = world.server.seats[&1].net_id;
        let truth = welcome(HZ, world.server.tick).to_bytes();
        send(&mut world, channels::CONTROL, &truth);
        send(&mut world, channels::CONTROL, &Control::Owns { net_id }.to_bytes());
        world.run_secs(12);
        let before = world.players[0].client.stats().confirmations;
        world.run_secs(1);
        assert!(world.players[0].client.stats().confirmations > before + 50, "{tick_hz} {tick}");
    }
}

#[test]
fn unread_messages_are_bounded() {
    let mut world = World::new(60, 0);
    let player = world.join_with(1, Profile::lan(), Frames::WhenDue, |config| config.messages_max = 20);
    world.run_secs(1);
    for _ in 0..30 {
        send(&mut world, channels::GAME_UNRELIABLE, b"x");
    }
    world.run_secs(1);
    assert_eq!(world.players[player].client.state(), ClientState::Connected);
    assert_eq!(world.players[player].client.stats().messages_dropped, 10);
    send(&mut world, channels::GAME_RELIABLE_ORDERED, b"x");
    world.run_secs(1);
    assert_eq!(world.players[player].client.state(), ClientState::Disconnected(LeaveReason::Unread(20)));
}
