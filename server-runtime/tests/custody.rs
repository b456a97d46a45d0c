//! Players' states around a match, in virtual time: there before the player is, saved on every way out, and never
//! overwritten by what was not read.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]
#![allow(elided_lifetimes_in_paths, reason = "systems are read by their components, not by their borrows")]

mod table;

use std::time::Duration;

use netcode_client::{ClientState, LeaveReason};
use serde::{Deserialize, Serialize};
use server_runtime::prelude::*;
use server_runtime::{StateWish, StateWord, codes};
use table::{HZ, Table, Walking, walking};

/// What is kept of a walker: how often it has shouted, in how many matches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Voice {
    shouts: u32,
    visits: u32,
    goodbyes: u32,
}

impl PlayerState for Voice {
    const NAME: &'static str = "voice";
    const VERSION: u32 = 2;

    fn upgrade(from: u32, document: serde_json::Value) -> Result<serde_json::Value, String> {
        let shouts = document["cries"].as_u64().filter(|_| from == 1).ok_or("no cries")?;
        Ok(serde_json::json!({ "shouts": shouts, "visits": 0, "goodbyes": 0 }))
    }
}

fn visit(mut joined: EventReader<PlayerJoined>, mut voices: ResMut<PlayerStates<Voice>>) {
    for join in joined.read() {
        voices.of_mut(join.player).expect("there before its player").visits += 1;
    }
}

fn leave(mut left: EventReader<PlayerLeft>, mut voices: ResMut<PlayerStates<Voice>>) {
    for left in left.read() {
        voices.of_mut(left.player).expect("there until the end of this tick").goodbyes += 1;
    }
}

fn shout(walkers: Query<(&Owner, &InputOf<Walking>)>, mut voices: ResMut<PlayerStates<Voice>>) {
    for (owner, input) in &walkers {
        if input.current.shout && !input.previous.shout {
            voices.of_mut(owner.0).expect("of somebody here").shouts += 1;
        }
    }
}

fn voices(policy: StatePolicy, checkpoint_seconds: u16) -> ServerBuilder<Walking> {
    walking()
        .player_state::<Voice>(policy)
        .add_systems(Stage::Receive, (visit, leave))
        .add_systems(Stage::Simulate, shout)
        .config(ServerOptions { checkpoint_seconds, ..table::options() })
}

fn open_table() -> Table {
    table_of(voices(StatePolicy::default(), 0))
}

/// An open room whose states are kept, by the test.
fn table_of(builder: ServerBuilder<Walking>) -> Table {
    let mut table = Table::open(builder);
    table.room.entrust_states();
    table
}

const ANN: PlayerId = PlayerId(1);

fn wishes(table: &mut Table) -> Vec<StateWish> {
    std::iter::from_fn(|| table.room.poll_state_wish()).collect()
}

/// Ticks until the room asks for the player's state.
fn asked(table: &mut Table, player: PlayerId) {
    let mut all = Vec::new();
    table.until("asked for its state", |table| {
        all.extend(wishes(table));
        !all.is_empty()
    });
    assert_eq!(all, [StateWish::Load { player }]);
}

fn loaded(table: &mut Table, player: PlayerId, saved: Option<(u32, &str)>) {
    let saved = saved.map(|(version, document)| (version, document.to_owned()));
    let now = table.now;
    table.room.give_state(now, player, StateWord::Loaded(saved));
}

/// A table with a player who has a state: 7 shouts, and this visit.
fn with_ann() -> (Table, usize) {
    let mut table = open_table();
    let place = table.invite(1, 0);
    asked(&mut table, ANN);
    loaded(&mut table, ANN, Some((2, r#"{"shouts":7,"visits":3,"goodbyes":0}"#)));
    table.seated(place);
    (table, place)
}

fn voice(table: &mut Table, player: PlayerId) -> Option<Voice> {
    table.room.world_mut().resource::<PlayerStates<Voice>>().of(player).cloned()
}

fn saved(shouts: u32, visits: u32, goodbyes: u32, release: bool) -> StateWish {
    let document = serde_json::to_string(&Voice { shouts, visits, goodbyes }).unwrap();
    StateWish::Save { player: ANN, document: Some(document), version: 2, release }
}

fn released() -> StateWish {
    StateWish::Save { player: ANN, document: None, version: 2, release: true }
}

#[test]
fn a_player_waits_for_its_state_and_begins_with_it() {
    let mut table = open_table();
    let place = table.invite(1, 0);
    asked(&mut table, ANN);
    table.seconds(1.0);
    assert!(table.guests[place].client.predicted().is_none(), "no seat without it");
    loaded(&mut table, ANN, Some((1, r#"{"cries":7}"#)));
    table.seated(place);
    let expected = Voice { shouts: 7, visits: 1, goodbyes: 0 };
    assert_eq!(voice(&mut table, ANN), Some(expected), "of an older version");
    assert_eq!(wishes(&mut table), [], "asked once");
}

#[test]
fn a_clean_leave_saves_the_last_word_and_lets_go() {
    let (mut table, place) = with_ann();
    table.guests[place].input.shout = true;
    table.until("shouted", |table| voice(table, ANN).unwrap().shouts == 8);
    let now = table.now;
    table.guests[place].client.disconnect(now);
    table.until("left", |table| voice(table, ANN).is_none());
    assert_eq!(wishes(&mut table), [saved(8, 4, 1, true)], "with what its goodbye has added");
    // Back again: asked for anew.
    let place = table.invite(1, 0);
    asked(&mut table, ANN);
    loaded(&mut table, ANN, None);
    table.seated(place);
    assert_eq!(voice(&mut table, ANN).unwrap().visits, 1);
}

#[test]
fn a_crashed_client_is_saved_at_once_and_let_go_with_its_seat() {
    let (mut table, place) = with_ann();
    table.guests[place].unplugged = true;
    let mut all = Vec::new();
    table.until("noticed", |table| {
        all.extend(wishes(table));
        !all.is_empty()
    });
    assert_eq!(all, [saved(7, 4, 0, false)]);
    // Back within the time: nothing is asked, nothing was forgotten.
    let place = table.invite(1, 0);
    table.seated(place);
    assert_eq!(voice(&mut table, ANN).unwrap().visits, 4, "resumed, not joined");
    assert_eq!(wishes(&mut table), []);
    table.guests[place].unplugged = true;
    table.until("given up", |table| voice(table, ANN).is_none());
    assert_eq!(wishes(&mut table), [saved(7, 4, 1, true)], "what had not changed was not said again");
}

#[test]
fn checkpoints_come_by_the_clock_and_only_with_news() {
    let mut table = table_of(voices(StatePolicy::default(), 1));
    let place = table.invite(1, 0);
    asked(&mut table, ANN);
    loaded(&mut table, ANN, None);
    table.seated(place);
    table.seconds(1.1);
    assert_eq!(wishes(&mut table), [saved(0, 1, 0, false)]);
    table.seconds(3.0);
    assert_eq!(wishes(&mut table), [], "nothing new");
    table.guests[place].input.shout = true;
    table.seconds(1.1);
    assert_eq!(wishes(&mut table), [saved(1, 1, 0, false)]);
}

#[test]
fn a_drain_saves_everybody() {
    let (mut table, _) = with_ann();
    let now = table.now;
    table.room.drain(now);
    table.deliver();
    assert!(table.room.is_closed());
    assert_eq!(wishes(&mut table), [saved(7, 4, 0, true)]);
}

#[test]
fn the_end_of_the_match_saves_everybody_and_its_close_lets_go() {
    let mut table = Table::new(voices(StatePolicy::default(), 0));
    table.room.entrust_states();
    table.room.open(7, 1);
    let place = table.invite(1, 0);
    asked(&mut table, ANN);
    loaded(&mut table, ANN, None);
    table.seated(place);
    table.seconds(1.2);
    assert_eq!(wishes(&mut table), [saved(0, 1, 0, false)], "before anybody is told the result");
    table.seconds(1.2);
    assert!(table.room.is_closed());
    assert_eq!(wishes(&mut table), [released()]);
}

#[derive(Resource)]
struct Bomb;

#[test]
fn a_panic_saves_nothing_of_the_broken_tick() {
    let explode = |bomb: Option<Res<Bomb>>, mut voices: ResMut<PlayerStates<Voice>>| {
        if bomb.is_some() {
            voices.of_mut(ANN).unwrap().shouts = 1_000_000;
            panic!("a bug, on purpose");
        }
    };
    let mut table = table_of(voices(StatePolicy::default(), 0).add_systems(Stage::Simulate, explode));
    let place = table.invite(1, 0);
    asked(&mut table, ANN);
    loaded(&mut table, ANN, None);
    table.seated(place);
    table.room.world_mut().insert_resource(Bomb);
    let now = table.now;
    assert!(table.room.tick(now, now).is_err());
    assert_eq!(wishes(&mut table), [released()], "the last checkpoint stands");
}

#[test]
fn who_gets_no_answer_is_refused_or_plays_unsaved() {
    let wait = Duration::from_millis(500);
    let refuse = StatePolicy { wait, when_away: WhenAway::Refuse };
    let mut table = table_of(voices(refuse, 0));
    let place = table.invite(1, 0);
    asked(&mut table, ANN);
    table.until("sent away, though nobody says a word", |table| {
        matches!(table.state(place), ClientState::Disconnected(_))
    });
    let told = ClientState::Disconnected(LeaveReason::Goodbye(codes::STATE_AWAY));
    assert_eq!(table.state(place), told);
    // The answer comes after all: nobody is here for it, so somebody else may have it.
    loaded(&mut table, ANN, None);
    assert_eq!(wishes(&mut table), [released()]);

    let mut table = table_of(voices(StatePolicy { wait, when_away: WhenAway::PlayUnsaved }, 0));
    let place = table.invite(1, 0);
    asked(&mut table, ANN);
    let now = table.now;
    table.room.give_state(now, ANN, StateWord::Away);
    table.seated(place);
    assert_eq!(voice(&mut table, ANN).unwrap().visits, 1);
    let now = table.now;
    table.guests[place].client.disconnect(now);
    table.until("left", |table| voice(table, ANN).is_none());
    assert_eq!(wishes(&mut table), [], "what was there before stays");
}

#[test]
fn what_cannot_be_read_refuses_its_player_and_stays() {
    let mut table = open_table();
    for broken in [(3, "{}"), (2, "{"), (1, r#"{"cries":"loud"}"#)] {
        let place = table.invite(1, 0);
        asked(&mut table, ANN);
        loaded(&mut table, ANN, Some(broken));
        table.until("sent away", |table| matches!(table.state(place), ClientState::Disconnected(_)));
        assert_eq!(wishes(&mut table), [released()], "let go, as it was");
    }
}

#[test]
fn whose_state_another_server_has_taken_is_sent_away_and_says_no_more() {
    let (mut table, place) = with_ann();
    let now = table.now;
    table.room.give_state(now, ANN, StateWord::Taken);
    table.until("sent away", |table| matches!(table.state(place), ClientState::Disconnected(_)));
    table.until("given up", |table| voice(table, ANN).is_none());
    assert_eq!(wishes(&mut table), []);
}

#[test]
fn without_a_backend_everybody_begins_anew() {
    let mut table = Table::open(voices(StatePolicy::default(), 1));
    let place = table.invite(1, 0);
    table.seated(place);
    table.guests[place].input.shout = true;
    table.until("shouted", |table| voice(table, ANN).unwrap().shouts == 1);
    assert_eq!(wishes(&mut table), []);
}

/// A recording holds the states that came into the world: the same match comes out of it.
#[test]
fn a_match_with_states_is_played_again() {
    let (mut table, place) = with_ann();
    table.guests[place].input.shout = true;
    table.seconds(0.5);
    let now = table.now;
    table.guests[place].client.disconnect(now);
    table.seconds(0.5);
    let back = table.invite(1, 0);
    asked_again(&mut table);
    loaded(&mut table, ANN, Some((1, r#"{"cries":9}"#)));
    table.seated(back);
    table.seconds(f64::from(HZ) / 60.0);
    let bytes = table.room.recording().expect("it is recorded");
    let recording = server_runtime::Recording::parse(&bytes).expect("sound");
    let builder = voices(StatePolicy::default(), 0);
    let mut replay =
        server_runtime::Replay::new(builder, std::sync::Arc::new(recording)).expect("of this game");
    assert_eq!(replay.verify().expect("no system panics"), None);
}

fn asked_again(table: &mut Table) {
    table.until("asked for again", |table| wishes(table).contains(&StateWish::Load { player: ANN }));
}
