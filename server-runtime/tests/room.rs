//! Whole rooms in virtual time: joining, moving, seeing each other, dropping, coming back, leaving.

mod table;

use netcode_client::{ClientState, LeaveReason};
use netcode_proto::DisconnectReason;
use server_runtime::codes;
use server_runtime::prelude::*;
use table::{Say, Stone, Table, Walker, messages, walking};

#[test]
fn two_players_move_and_see_each_other() {
    let mut table = Table::open(walking());
    let (a, b) = (table.invite(1, 0), table.invite(2, 0));
    let (own_a, own_b) = (table.seated(a), table.seated(b));
    assert_ne!(own_a, own_b);
    table.seconds(1.0);
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
fn a_client_that_talks_nonsense_is_cut_off_and_nobody_else() {
    let mut table = Table::open(walking());
    let (a, b) = (table.invite(1, 0), table.invite(2, 0));
    table.seated(a);
    table.seated(b);
    // A message type this server never heard of: id 0 is `Say`, so an unknown set is one with another first entry.
    #[derive(Message)]
    struct Nonsense {
        #[net(max = 64)]
        bytes: Vec<u8>,
    }
    let config = netcode_client::ClientConfig {
        messages: netcode_snapshot::MessageSet::builder()
            .message::<Say>(channels::GAME_UNRELIABLE.0)
            .message::<Nonsense>(channels::GAME_RELIABLE_ORDERED.0)
            .build(),
        ..table::client_config()
    };
    let token = table::token(3, 0, table::SERVER.parse().unwrap(), table::UNIX_AT_ZERO_S);
    let client = netcode_client::Client::connect(table.now, &token[..], table::schema(), config)
        .expect("the token is good");
    let address = "127.0.0.1:6000".parse().unwrap();
    table.guests.push(table::Guest { address, client, input: table::Walk::default(), unplugged: false });
    let c = table.guests.len() - 1;
    table.until("sent away", |table| matches!(table.state(c), ClientState::Disconnected(_)));
    assert!(
        matches!(table.state(c), ClientState::Disconnected(LeaveReason::OtherMessages { .. })),
        "an honest client notices the other message set itself: {:?}",
        table.state(c)
    );
    assert_eq!(table.state(a), ClientState::Connected);
    let _ = Nonsense { bytes: Vec::new() }.bytes;
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
