//! Whole rooms in virtual time: joining, moving, seeing each other, dropping, coming back, leaving.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod table;

use std::time::Duration;

use netcode_client::{ClientState, LeaveReason};
use netcode_proto::DisconnectReason;
use server_runtime::codes;
use server_runtime::prelude::*;
use table::{
    HZ, PROTOCOL, Plan, Purse, SERVER, Say, Stone, Table, UNIX_AT_ZERO_S, Walker, messages, walking,
};

#[test]
fn two_players_move_and_see_each_other() {
    let mut table = Table::open(walking());
    let (a, b) = (table.invite(1, 0), table.invite(2, 0));
    let (own_a, own_b) = (table.seated(a), table.seated(b));
    assert_ne!(own_a, own_b);
    // The clock glides from its guess of the round trip to none: while it does, ticks are 5 % longer.
    table.seconds(4.0);
    let before = table.guests[a].client.predicted().unwrap().x;
    table.guests[a].input.speed = 1.0;
    table.seconds(2.0);
    table.guests[a].input.speed = 0.0;
    table.seconds(1.0);

    let truth = table.guests[a].client.predicted().unwrap().clone();
    assert!((truth.x - before - 12.0).abs() < 0.5, "6 m/s for 2 s: {} → {}", before, truth.x);
    let seen: Walker = table.guests[b].client.view().get(own_a).unwrap();
    assert_eq!(seen, truth, "the other one sees where it stopped");
    assert_eq!(truth.team, 3, "the seat's team");
    for guest in &table.guests {
        let stats = guest.client.stats();
        assert_eq!(stats.mispredictions, 0, "nothing was lost, so nothing may be corrected");
    }
    let now = table.now;
    let status = table.room.status(now);
    assert_eq!(status.players_connected, 2);
    assert_eq!(status.late_inputs_total, 0);
    assert!(status.bytes_down_total > 0 && status.bytes_up_total > 0);
    assert!(status.players.iter().all(|player| player.input_margin_ticks > 0.0), "{status:?}");
}

#[test]
fn what_only_some_may_see_is_told_to_them_alone() {
    let mut table = Table::open(walking());
    let guests = [1, 2, 3].map(|player| table.invite(player, 0));
    let owns = guests.map(|guest| table.seated(guest));
    table.seconds(1.0);
    for (viewer, player) in guests.into_iter().zip(1..) {
        let view = table.guests[viewer].client.view();
        for (own, owner) in owns.into_iter().zip(1..) {
            assert!(view.get::<Walker>(own).is_some());
            let gold = (owner == player).then_some(owner as u8);
            assert_eq!(view.get::<Purse>(own).map(|purse| purse.gold), gold, "{owner}'s to {player}");
            let is_mate = owner % 2 == player % 2;
            assert_eq!(view.get::<Plan>(own).is_some(), is_mate, "{owner}'s to {player}");
        }
    }
}

#[test]
fn a_dropped_player_finds_the_seat_kept() {
    let mut table = Table::open(walking());
    let (a, b) = (table.invite(1, 0), table.invite(2, 0));
    let (own_a, _) = (table.seated(a), table.seated(b));
    table.guests[a].input.speed = 1.0;
    table.seconds(1.0);
    table.guests[a].unplugged = true;
    // The token's timeout is 2 s; the seat is held for 2 more.
    table.seconds(3.0);
    assert!(table.guests[b].client.view().contains(own_a), "kept");
    let stopped: Walker = table.guests[b].client.view().get(own_a).unwrap();
    let c = table.invite(1, 0);
    assert_eq!(table.seated(c), own_a, "the same entity");
    table.seconds(0.5);
    assert_eq!(table.guests[c].client.predicted(), Some(&stopped), "it stood still meanwhile");
    let now = table.now;
    assert_eq!(table.room.status(now).disconnects, 1);

    table.guests[c].unplugged = true;
    table.seconds(4.5);
    assert!(!table.guests[b].client.view().contains(own_a), "gone when the hold is over");
}

#[test]
fn a_newer_token_takes_the_seat_over() {
    let mut table = Table::open(walking());
    let a = table.invite(1, 0);
    let own = table.seated(a);
    table.seconds(1.1);
    let again = table.invite(1, 0);
    assert_eq!(table.seated(again), own);
    table.seconds(0.2);
    assert_ne!(table.state(a), ClientState::Connected);
    let now = table.now;
    assert_eq!(table.room.status(now).players_connected, 1);
}

#[test]
fn who_leaves_by_choice_is_gone_at_once() {
    let mut table = Table::open(walking());
    let (a, b) = (table.invite(1, 0), table.invite(2, 0));
    let (own_a, _) = (table.seated(a), table.seated(b));
    let now = table.now;
    table.guests[a].client.disconnect(now);
    table.seconds(0.5);
    assert!(!table.guests[b].client.view().contains(own_a));
    let status = table.room.status(table.now);
    assert_eq!((status.players_connected, status.players.len(), status.disconnects), (1, 2, 0));
}

#[test]
fn messages_travel_both_ways_typed() {
    let mut table = Table::open(walking());
    let (a, b) = (table.invite(1, 0), table.invite(2, 0));
    table.seated(a);
    table.seated(b);
    let now = table.now;
    let said = Say { by: 99, text: "hello".into() };
    table.guests[a].client.send_message(now, &said).unwrap();
    table.seconds(0.3);
    let (_, bytes) = table.guests[b].client.poll_message().expect("a message came");
    let heard: Say = messages().decode(&bytes).unwrap();
    assert_eq!(
        heard,
        Say { by: 1, text: "hello".into() },
        "the sender is who the connection is, not who it says"
    );
    assert!(table.guests[b].client.poll_message().is_none(), "once");
}

#[test]
fn spawned_things_are_seen_and_despawned_things_vanish() {
    let mut table = Table::open(walking());
    let a = table.invite(1, 0);
    table.seated(a);
    let stone = table.room.world_mut().spawn(Stone { x: 12.34 }).id();
    table.seconds(0.5);
    let seen: Vec<(NetId, Stone)> = table.guests[a].client.view().iter::<Stone>().collect();
    assert_eq!(seen.len(), 1);
    assert!((seen[0].1.x - 12.34).abs() < 0.01);
    table.room.world_mut().despawn(stone);
    table.seconds(0.5);
    assert_eq!(table.guests[a].client.view().iter::<Stone>().count(), 0);
}

#[test]
fn far_things_are_not_shown() {
    let near = |builder: ServerBuilder<table::Walking>| {
        builder
            .visible_within::<Walker>(30.0, |walker| Vec2::new(walker.x, 0.0))
            .visible_within::<Stone>(30.0, |stone| Vec2::new(stone.x, 0.0))
    };
    let mut table = Table::open(near(walking()));
    let a = table.invite(1, 0);
    table.seated(a);
    table.room.world_mut().spawn(Stone { x: 20.0 });
    table.room.world_mut().spawn(Stone { x: 90.0 });
    table.seconds(0.5);
    let seen: Vec<f32> = table.guests[a].client.view().iter::<Stone>().map(|(_, stone)| stone.x).collect();
    assert_eq!(seen.len(), 1, "{seen:?}");
}

#[test]
fn a_client_that_talks_nonsense_is_cut_off() {
    for (channel, junk) in [
        (channels::STATE, &[0xff; 3][..]),
        (channels::CONTROL, &[0x77; 40]),
        (channels::GAME_RELIABLE_ORDERED, &[9, 9, 9]),
        (channels::GAME_RELIABLE_ORDERED, &[]),
        (channels::GAME_UNRELIABLE, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    ] {
        let mut table = Table::open(walking());
        let token = table::token(3, 0, SERVER.parse().unwrap(), UNIX_AT_ZERO_S);
        let config = netcode_proto::ClientConfig::new(PROTOCOL);
        let mut session = netcode_proto::Client::connect(table.now, &token[..], config).unwrap();
        let mut told = false;
        for _ in 0..2 * HZ {
            table.now = table.now.saturating_add(Duration::from_millis(16));
            if session.state() == netcode_proto::ClientState::Connected && !told {
                session.send(table.now, channel, junk).unwrap();
                told = true;
            }
            exchange(&mut table, &mut session);
        }
        let status = table.room.status(table.now);
        assert_eq!(status.drops["message_malformed"], 1, "{channel:?} {junk:?}");
        assert_eq!(status.players_connected, 0, "{channel:?} {junk:?}");
    }
}

/// One tick of a room with one bare session, which does not care what it is told.
fn exchange(table: &mut Table, session: &mut netcode_proto::Client) {
    table.tick_with(session);
    while session.poll_message().is_some() {}
}

#[test]
fn inputs_from_the_far_future_are_dropped_and_counted() {
    let mut table = Table::open(walking());
    let token = table::token(3, 0, SERVER.parse().unwrap(), UNIX_AT_ZERO_S);
    let config = netcode_proto::ClientConfig::new(PROTOCOL);
    let mut session = netcode_proto::Client::connect(table.now, &token[..], config).unwrap();
    let packet = netcode_snapshot::InputPacket {
        newest: Tick(u32::MAX),
        inputs: vec![table::Walk { speed: 1.0, shout: true }; 4],
        ..netcode_snapshot::InputPacket::default()
    };
    let mut bits = netcode_wire::BitWriter::new();
    packet.encode(&mut bits);
    for _ in 0..HZ {
        table.now = table.now.saturating_add(Duration::from_millis(16));
        let _ = session.send(table.now, channels::STATE, bits.as_bytes());
        exchange(&mut table, &mut session);
    }
    let status = table.room.status(table.now);
    assert_eq!(status.players_connected, 1);
    assert!(status.drops["input_too_early"] > 10, "{:?}", status.drops);
    let mut walkers = table.room.world_mut().query::<&Walker>();
    assert!(walkers.iter(table.room.world_mut()).all(|walker| walker.x.abs() < 0.01), "nobody moved");
}

#[test]
fn the_live_view_shows_ghost_beside_truth() {
    let mut table = Table::open(walking());
    let a = table.invite(1, 0);
    table.seated(a);
    table.guests[a].input.speed = 1.0;
    table.seconds(1.5);
    let now = table.now;
    table.room.mark_rates(now, 1.0);
    let feed = table.room.live_json(Some("1"));
    let feed: serde_json::Value = serde_json::from_str(&feed).unwrap();
    assert_eq!(feed["players"], 1);
    assert_eq!(feed["shapes"][0]["player"], "1", "{feed}");
    assert_eq!(feed["client"]["player"], "1");
    assert_eq!(feed["client"]["error"], 0.0, "nothing was lost: the prediction was the truth, {feed}");
    assert_eq!(feed["client"]["ghost"]["x"], feed["client"]["truth"]["x"]);
    assert!(feed["down"].as_f64().unwrap() > 0.0);
}

#[test]
fn what_the_server_sends_away_says_why() {
    let mut table = Table::open(walking());
    table.room.allocate(server_runtime::MatchSpec::default());
    let a = table.invite(1, 0);
    table.seated(a);
    let now = table.now;
    table.room.void(now, "a test");
    table.deliver();
    table.tick();
    let expected = LeaveReason::Goodbye(codes::MATCH_VOID);
    let state = table.state(a);
    let said = matches!(state, ClientState::Disconnected(reason) if reason == expected
        || reason == LeaveReason::Session(DisconnectReason::ByPeer));
    assert!(said, "{state:?}");
}
