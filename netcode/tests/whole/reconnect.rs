//! Sessions that begin again, end, or never stand.

use netcode::{
    Client, ClientConfig, ClientState, Schema,
    client::{DisconnectReason, LeaveReason},
};
use netcode_sim::Profile;

use crate::{
    game::{Badge, Field, Walker},
    server::{PROTOCOL, messages, token},
    world::{Frames, World},
};

const FRAME_60: Frames = Frames::Every(16_667);

#[test]
fn a_newer_token_takes_the_older_session_over_at_once() {
    let mut world = World::new(31, 8);
    let old = world.join(1, Profile::demo(), FRAME_60);
    world.run_secs(3);
    let first = world.server.seats[&1].client;
    let new = world.join(1, Profile::demo(), FRAME_60);
    world.run_secs(3);
    assert!(world.server.ended.contains(&(first, DisconnectReason::Superseded)), "{:?}", world.server.ended);
    assert_ne!(world.server.seats[&1].client, first);
    assert_eq!(world.server.seats.len(), 1);
    assert_eq!(world.players[new].client.state(), ClientState::Connected);
    assert!(world.players[new].client.predicted().is_some());
    assert!(world.players[new].lawful > 60);
    assert!(matches!(world.players[old].client.state(), ClientState::Disconnected(_)));
}

#[test]
fn a_goodbye_is_heard_and_the_player_may_come_back() {
    let mut world = World::new(32, 8);
    let player = world.join(1, Profile::demo(), FRAME_60);
    world.run_secs(3);
    let now = world.now;
    world.players[player].client.disconnect(now);
    world.run_secs(1);
    assert!(world.server.seats.is_empty());
    assert!(matches!(
        world.players[player].client.state(),
        ClientState::Disconnected(LeaveReason::Session(_))
    ));
    let again = world.join(1, Profile::demo(), FRAME_60);
    world.run_secs(3);
    assert_eq!(world.players[again].client.state(), ClientState::Connected);
    assert!(world.players[again].client.stats().confirmations > 60);
}

#[test]
fn silence_ends_the_session_on_both_sides() {
    let mut world = World::new(33, 2);
    let player = world.join(1, Profile::lan(), FRAME_60);
    world.run_secs(2);
    world.players[player].up.set_down(true);
    world.players[player].down.set_down(true);
    world.run_secs(8);
    assert!(world.server.seats.is_empty());
    let state = world.players[player].client.state();
    assert_eq!(state, ClientState::Disconnected(DisconnectReason::TimedOut.into()));
}

#[test]
fn another_schema_is_a_typed_refusal() {
    let mut world = World::new(34, 2);
    let player = world.join(1, Profile::lan(), FRAME_60);
    let schema = Schema::builder().component::<Badge>().component::<Walker>().build();
    let mut config = ClientConfig::new(PROTOCOL);
    config.messages = messages();
    let client =
        Client::<Field>::connect(world.now, &*token(world.now, 1), schema, config).expect("a sound token");
    world.players[player].client = client;
    world.run_secs(1);
    let state = world.players[player].client.state();
    assert!(matches!(state, ClientState::Disconnected(LeaveReason::OtherSchema { .. })), "{state:?}");
    assert!(world.server.seats.is_empty(), "the server was told");
}

#[test]
fn a_token_for_another_game_is_refused_before_anything_is_sent() {
    let now = netcode::Time::ZERO;
    let schema = crate::server::schema();
    let refused = Client::<Field>::connect(now, &*token(now, 1), schema, ClientConfig::new(PROTOCOL + 1));
    assert!(matches!(refused, Err(netcode::client::ConnectError::WrongProtocol { .. })));
}
