//! Rolling deploys: clients and servers of two builds in one match, from the handshake on, under weather.

use netcode::{
    Client, ClientConfig, ClientState, Replicate, Schema,
    client::LeaveReason,
    snapshot::{EntityWriter, SchemaMismatch},
};
use netcode_sim::Profile;

use crate::{
    game::{Field, Walker},
    server::{PROTOCOL, messages, schema, token},
    world::{Frames, World},
};

/// The next build's badge: it knows the game's `Badge`, and more.
#[derive(Clone, Debug, PartialEq, Replicate)]
#[net(rename = "Badge")]
struct Medal {
    #[net(default = 3)]
    rank: u8,
    #[net(bits = 16)]
    score: u32,
}

/// Something that the build before does not have.
#[derive(Clone, Debug, PartialEq, Replicate)]
struct Hat {
    size: u8,
}

/// A walker of the next build, on the old grid: what is predicted has moved, and has a companion.
#[derive(Clone, Debug, PartialEq, Replicate)]
#[net(predicted, rename = "Walker")]
struct Strider {
    stamina: u8,
    #[net(bits = 8)]
    life: u32,
    #[net(angle, bits = 12)]
    heading: f32,
    #[net(range(-64.0..=64.0), step = 0.005)]
    x: f32,
    #[net(range(-64.0..=64.0), step = 0.005)]
    y: f32,
}

/// A walker on another grid.
#[derive(Clone, Debug, PartialEq, Replicate)]
#[net(rename = "Walker")]
struct Creeper {
    #[net(range(-64.0..=64.0), step = 0.01)]
    x: f32,
}

fn join(world: &mut World, ours: Schema) -> usize {
    let player = world.join(1, Profile::demo(), Frames::Every(16_667));
    let mut config = ClientConfig::new(PROTOCOL);
    config.messages = messages();
    let token = token(world.now, 1);
    world.players[player].client = Client::<Field>::connect(world.now, &*token, ours, config).expect("sound");
    player
}

#[test]
fn a_newer_client_plays_on_an_older_server() {
    let mut world = World::new(51, 6);
    let newer = Schema::builder().component::<Hat>().component::<Medal>().component::<Walker>().build();
    let player = join(&mut world, newer);
    world.run_secs(8);
    let client = &world.players[player].client;
    assert_eq!(client.state(), ClientState::Connected);
    let (view, own) = (client.view(), client.own().expect("it was named"));
    let medal = view.get::<Medal>(own).expect("it has a badge");
    assert!(medal.rank == 3 && medal.score > 5, "{medal:?}");
    assert_eq!(view.iter::<Walker>().count(), 7);
    assert_eq!(view.iter::<Hat>().count(), 0);
    let stats = client.stats();
    assert!(world.players[player].lawful > 200 && stats.confirmations > 200, "{stats:?}");
    // The weather costs a few inputs while the clock settles; a column read wrong would be one a snapshot.
    assert!(stats.mispredictions < 8, "{stats:?}");
}

#[test]
fn an_older_client_plays_on_a_newer_server() {
    let mut world = World::new(52, 6);
    world.server.schema =
        Schema::builder().component::<Hat>().component::<Strider>().component::<crate::game::Badge>().build();
    world.server.dress = |entity: &mut EntityWriter<'_>, walker: &Walker| {
        let Walker { x, y, heading, life } = *walker;
        entity.component(&Strider { stamina: (x * 4.0) as u8, life, heading, x, y });
        entity.component(&Hat { size: 7 });
    };
    let player = join(&mut world, schema());
    world.run_secs(8);
    let client = &world.players[player].client;
    assert_eq!(client.state(), ClientState::Connected);
    assert_eq!(client.view().iter::<Walker>().count(), 7);
    let stats = client.stats();
    assert!(world.players[player].lawful > 200 && stats.confirmations > 200, "{stats:?}");
    assert!(stats.mispredictions < 8, "{stats:?}");
}

#[test]
fn another_input_is_refused_before_any_is_misread() {
    let mut world = World::new(54, 2);
    world.server.inputs_hash ^= 1;
    let player = join(&mut world, schema());
    world.run_secs(1);
    let state = world.players[player].client.state();
    assert!(matches!(state, ClientState::Disconnected(LeaveReason::OtherInput { .. })), "{state:?}");
    assert!(world.server.seats.is_empty(), "the server was told");
}

#[test]
fn builds_that_cannot_understand_each_other_say_which_field_it_is() {
    let mut world = World::new(53, 2);
    world.server.schema = Schema::builder().component::<Creeper>().component::<crate::game::Badge>().build();
    world.server.dress = |entity, walker| entity.component(&Creeper { x: walker.x });
    let player = join(&mut world, schema());
    world.players[player].unlawful = true;
    world.run_secs(2);
    let state = world.players[player].client.state();
    let ClientState::Disconnected(LeaveReason::Schema(mismatch)) = state else { panic!("{state:?}") };
    assert!(
        matches!(mismatch, SchemaMismatch::OtherField { component: "Walker", field: "x", .. }),
        "{mismatch}"
    );
    assert!(world.server.seats.is_empty(), "the server was told");
}
