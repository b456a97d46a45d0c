//! The way of a match: allocated, waiting, running, ended, closed; and the ways it can fail.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]
#![allow(elided_lifetimes_in_paths, reason = "systems are read by their components, not by their borrows")]

mod table;

use netcode_client::{ClientState, LeaveReason};
use server_runtime::prelude::*;
use server_runtime::{MatchSpec, Report, RosterEntry, codes};
use table::{HZ, SERVER, Table, UNIX_AT_ZERO_S, Walker, walking};

const MATCH: u128 = 0xabc;

fn spec(seconds: u32, players: &[u64]) -> MatchSpec {
    let entry =
        |player: &u64| RosterEntry { player: *player, name: format!("player {player}"), team: 0, party: 0 };
    MatchSpec {
        match_id: MATCH,
        seconds,
        players: players.iter().map(entry).collect(),
        ..MatchSpec::default()
    }
}

fn allocated(seconds: u32, players: &[u64]) -> Table {
    let mut table = Table::new(walking());
    table.room.allocate(spec(seconds, players));
    table
}

#[test]
fn a_match_runs_from_allocation_to_close() {
    let mut table = allocated(2, &[1, 2]);
    let (a, b) = (table.invite(1, MATCH), table.invite(2, MATCH));
    table.seated(a);
    table.seated(b);
    assert_eq!(table.room.phase(), Phase::Running, "everyone is there");
    table.guests[b].input.shout = true;
    table.until("ended", |table| table.room.phase() == Phase::Ended);
    let Some(Report::Ended(report)) = table.room.poll_report() else { panic!("no result") };
    assert_eq!(report.match_id, MATCH);
    let places: Vec<(u32, u64, i64)> =
        report.players.iter().map(|player| (player.placement, player.player.0, player.line.score)).collect();
    assert_eq!(places, [(1, 2, 1), (2, 1, 0)]);
    assert!(report.players.iter().all(|player| player.team.is_none()), "nobody was told of teams");
    assert!(report.players.iter().all(|player| !player.quit && player.seconds_played > 1.9), "{report:?}");
    let length_us = report.ended_us - report.started_us;
    assert!((1_950_000..=2_050_000).contains(&length_us), "{length_us}");

    table.until("closed", |table| table.room.is_closed());
    assert_eq!(table.room.poll_report(), Some(Report::Closed));
    table.deliver();
    table.tick();
    for place in [a, b] {
        let reason = table.state(place);
        let over = ClientState::Disconnected(LeaveReason::Goodbye(codes::MATCH_OVER));
        assert_eq!(reason, over);
    }
    let now = table.now;
    assert_eq!(table.room.status(now).matches_played, 1);
}

#[test]
fn a_match_starts_without_those_who_do_not_come() {
    let mut table = allocated(1, &[1, 2]);
    let a = table.invite(1, MATCH);
    table.seated(a);
    assert_eq!(table.room.phase(), Phase::Waiting);
    table.until("started", |table| table.room.phase() == Phase::Running);
    table.until("ended", |table| table.room.phase() == Phase::Ended);
    let Some(Report::Ended(report)) = table.room.poll_report() else { panic!("no result") };
    let absent = report.players.iter().find(|player| player.player == PlayerId(2)).unwrap();
    assert!(absent.quit && absent.seconds_played == 0.0);
}

#[test]
fn teams_and_parties_are_in_the_result() {
    let mut spec = spec(1, &[1, 2, 3, 4]);
    for (seat, entry) in (0_u8..).zip(&mut spec.players) {
        (entry.team, entry.party) = (seat % 2, u32::from(seat % 2) * 3);
    }
    let mut table = Table::new(walking());
    table.room.allocate(spec);
    let places = [1, 2, 3, 4].map(|player| table.invite(player, MATCH));
    for place in places {
        table.seated(place);
    }
    table.guests[places[3]].input.shout = true;
    table.until("ended", |table| table.room.phase() == Phase::Ended);
    let Some(Report::Ended(report)) = table.room.poll_report() else { panic!("no result") };
    let rows = report.players.iter().map(|row| (row.player.0, row.placement, row.team, row.party));
    let expected = [(4, 1, Some(1), 3), (2, 1, Some(1), 3), (1, 2, Some(0), 0), (3, 2, Some(0), 0)];
    assert_eq!(rows.collect::<Vec<_>>(), expected);
}

#[test]
fn a_match_nobody_comes_to_is_given_up() {
    let mut table = allocated(10, &[1, 2]);
    table.until("closed", |table| table.room.is_closed());
    let Some(Report::Voided { match_id, reason }) = table.room.poll_report() else { panic!("not voided") };
    assert_eq!((match_id, reason.as_str()), (MATCH, "no player came in time"));
    assert_eq!(table.room.poll_report(), Some(Report::Closed));
}

#[test]
fn only_the_roster_gets_in_and_only_for_this_match() {
    let mut table = allocated(30, &[1, 2]);
    let (stranger, elsewhere, invited) =
        (table.invite(3, MATCH), table.invite(2, 999), table.invite(1, MATCH));
    table.seated(invited);
    table.until("the others are sent away", |table| {
        [stranger, elsewhere].iter().all(|place| matches!(table.state(*place), ClientState::Disconnected(_)))
    });
    let now = table.now;
    let status = table.room.status(now);
    assert_eq!((status.players_connected, status.drops["seat_refused"]), (1, 2));
}

#[test]
fn who_comes_before_the_news_of_the_match_waits_for_it() {
    let mut table = Table::new(walking());
    let a = table.invite(1, MATCH);
    table.seconds(1.0);
    assert_eq!(table.state(a), ClientState::Connecting);
    assert!(!table.room.is_idle(), "somebody waits");
    table.room.allocate(spec(5, &[1]));
    table.seated(a);
}

#[test]
fn who_waits_for_a_match_that_never_comes_is_sent_away() {
    let mut table = Table::new(walking());
    assert!(table.room.is_idle());
    let a = table.invite(1, MATCH);
    table.seconds(6.5);
    assert!(matches!(table.state(a), ClientState::Disconnected(_)), "{:?}", table.state(a));
    assert!(table.room.is_idle());
}

#[test]
fn a_game_ends_its_match_itself() {
    let end = |tick: Res<CurrentTick>, mut current: ResMut<Match>| {
        if current.started_at.is_some_and(|started| tick.0.since(started) == 30) {
            current.end();
        }
    };
    let mut table = Table::new(walking().add_systems(Stage::Resolve, end));
    table.room.allocate(spec(0, &[1]));
    let a = table.invite(1, MATCH);
    table.seated(a);
    table.until("ended", |table| table.room.phase() == Phase::Ended);
    let Some(Report::Ended(report)) = table.room.poll_report() else { panic!("no result") };
    assert!(report.ended_us - report.started_us < 600_000);
}

#[test]
fn a_panic_in_a_system_voids_the_match() {
    let trip =
        |walkers: Query<&Walker>| assert!(walkers.iter().all(|walker| walker.x < 1.0), "walked too far");
    let mut table = Table::new(walking().add_systems(Stage::Resolve, trip));
    table.room.allocate(spec(0, &[1]));
    let a = table.invite(1, MATCH);
    table.seated(a);
    table.guests[a].input.speed = 1.0;
    let panic = loop {
        table.now = table.now.saturating_add(std::time::Duration::from_micros(1_000_000 / u64::from(HZ)));
        let guest = &mut table.guests[a];
        let input = guest.input.clone();
        guest.client.advance(table.now, &mut |_, _| input.clone());
        while let Some(transmit) = guest.client.poll_transmit() {
            table.room.handle_datagram(table.now, guest.address, &mut transmit.bytes.to_vec());
        }
        if let Err(panic) = table.room.tick(table.now, table.now) {
            break panic;
        }
        table.deliver();
    };
    assert_eq!(panic.stage, "resolve");
    assert!(table.room.is_closed());
    let Some(Report::Voided { match_id, reason }) = table.room.poll_report() else { panic!("not voided") };
    assert_eq!(match_id, MATCH);
    assert!(reason.contains("panicked in stage resolve"), "{reason}");
    table.deliver();
    let now = table.now;
    table.guests[a].client.advance(now, &mut |_, _| table::Walk::default());
    let told = ClientState::Disconnected(LeaveReason::Goodbye(codes::MATCH_VOID));
    assert_eq!(table.state(a), told);
}

#[test]
fn a_drain_lets_the_match_end_and_nobody_else_in() {
    let mut table = allocated(2, &[1, 2]);
    let a = table.invite(1, MATCH);
    let b = table.invite(2, MATCH);
    table.seated(a);
    table.seated(b);
    let now = table.now;
    table.room.drain(now);
    assert!(!table.room.is_closed(), "the match goes on");
    table.guests[b].client.disconnect(now);
    table.tick();
    let late = table.invite(2, MATCH);
    table.until("closed", |table| table.room.is_closed());
    assert_ne!(table.state(late), ClientState::Connected);
    assert!(matches!(table.room.poll_report(), Some(Report::Ended(_))), "with a result");
}

#[test]
fn a_drain_without_a_match_closes_at_once() {
    let mut warm = Table::new(walking());
    warm.room.drain(warm.now);
    assert!(warm.room.is_closed());
    let mut open = Table::open(walking());
    let a = open.invite(1, 0);
    open.seated(a);
    open.room.drain(open.now);
    assert!(open.room.is_closed(), "a match without an end is not waited for");
    open.deliver();
    open.tick();
    assert!(matches!(open.state(a), ClientState::Disconnected(_)), "and its players are told");
    assert_eq!(open.room.poll_report(), Some(Report::Closed));
}

#[test]
fn a_drain_before_the_match_began_gives_it_up() {
    let mut table = allocated(2, &[1, 2]);
    let a = table.invite(1, MATCH);
    table.seated(a);
    table.room.drain(table.now);
    assert!(matches!(table.room.poll_report(), Some(Report::Voided { match_id: MATCH, .. })));
    assert!(table.room.is_closed());
}

#[test]
fn settings_that_cannot_be_used_are_refused_before_anything_starts() {
    let bad = ServerOptions { key: Some("xyz".into()), ..table::options() };
    let refused = walking().config(bad).build(&[SERVER.parse().unwrap()], UNIX_AT_ZERO_S);
    assert!(refused.err().unwrap().to_string().contains("--key"));
}

#[test]
fn who_leaves_for_good_gives_the_seat_to_a_newcomer() {
    let mut table = Table::new(walking());
    let terms = serde_json::json!({ "left_s": 2.0 });
    table.room.allocate(MatchSpec { backfill: Some(terms.clone()), ..spec(6, &[1, 2]) });
    let (a, b) = (table.invite(1, MATCH), table.invite(2, MATCH));
    table.seated(a);
    table.seated(b);
    let now = table.now;
    table.guests[b].client.disconnect(now);
    table.seconds(0.5);
    let Some(Report::Left(vacancy)) = table.room.poll_report() else { panic!("no vacancy") };
    assert_eq!((vacancy.match_id, vacancy.player.0, &vacancy.roster[..]), (MATCH, 2, &[1, 2][..]));
    assert_eq!(vacancy.terms, terms);
    assert!(vacancy.left_us.is_some_and(|left| (4_000_000..6_000_000).contains(&left)), "{vacancy:?}");

    // The seat is somebody else's: neither who left nor who is not told of comes in, the newcomer does.
    let (back, early) = (table.invite(2, MATCH), table.invite(3, MATCH));
    table.until("both are sent away", |table| {
        [back, early].iter().all(|place| matches!(table.state(*place), ClientState::Disconnected(_)))
    });
    let newcomer = RosterEntry { player: 3, name: "player 3".into(), team: 0, party: 0 };
    table.room.seat_newcomers(vec![newcomer.clone(), newcomer]);
    let third = table.invite(3, MATCH);
    table.seated(third);
    table.seconds(3.0);
    table.until("ended", |table| table.room.phase() == Phase::Ended);
    let Some(Report::Ended(report)) = table.room.poll_report() else { panic!("no result") };
    let quits: Vec<(u64, bool)> =
        report.players.iter().map(|player| (player.player.0, player.quit)).collect();
    assert_eq!(quits, [(1, false), (2, true), (3, false)]);
}

/// Who never comes is waited for as long as who was lost; then the seat is another's. A newcomer who never comes, too.
#[test]
fn who_never_comes_gives_the_seat_to_a_newcomer() {
    let mut table = Table::new(walking());
    let terms = serde_json::json!({ "left_s": 2.0 });
    table.room.allocate(MatchSpec { backfill: Some(terms), ..spec(60, &[1, 2]) });
    let here = table.invite(1, MATCH);
    table.seated(here);
    while table.room.phase() == Phase::Waiting {
        table.seconds(0.1);
    }
    table.seconds(1.5);
    assert_eq!(table.room.poll_report(), None, "the seat is held");
    table.seconds(1.0);
    let Some(Report::Left(vacancy)) = table.room.poll_report() else { panic!("no vacancy") };
    assert_eq!((vacancy.player.0, &vacancy.roster[..]), (2, &[1, 2][..]));
    let late = table.invite(2, MATCH);
    table.until("too late", |table| matches!(table.state(late), ClientState::Disconnected(_)));

    let newcomer = |player| RosterEntry { player, name: format!("player {player}"), team: 0, party: 0 };
    table.room.seat_newcomers(vec![newcomer(3)]);
    table.seconds(2.5);
    let Some(Report::Left(vacancy)) = table.room.poll_report() else { panic!("no vacancy") };
    assert_eq!(vacancy.player.0, 3, "neither does the newcomer come");
    table.room.seat_newcomers(vec![newcomer(4)]);
    let fourth = table.invite(4, MATCH);
    table.seated(fourth);
    table.seconds(3.0);
    assert_eq!(table.room.poll_report(), None, "everybody is there");
}
