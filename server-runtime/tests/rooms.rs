//! Many matches in one process, in real time: one UDP port, an Agones sidecar, the admin port.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]
#![allow(clippy::needless_pass_by_value, reason = "systems take their parameters by value")]
#![allow(elided_lifetimes_in_paths, reason = "systems are read by their components, not by their borrows")]

mod remote;
mod table;

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::Instant;

use agones_sdk::allocation::{AllocationRequest, AllocatorClient, GameServerState, ListAction, ListSelector};
use agones_sdk::fleet::{Fleet, FleetConfig};
use agones_sdk::proto::sdk::game_server::status::{CounterStatus, ListStatus};
use agones_sdk::sidecar::Sidecar;
use agones_sdk::{GameServer, State};
use netcode_client::ClientState;
use remote::{PATIENCE, Remote, http, options, scheduled, status};
use server_runtime::prelude::*;
use server_runtime::{RunError, Status, format_match_id};
use table::{Walker, walking};
use tokio::runtime::Runtime;

/// A match whose systems panic after half a second of play.
const DOOMED: u128 = 13;

fn doom(current: Res<Match>, tick: Res<CurrentTick>) {
    let played = current.started_at.map_or(0, |began| tick.0.since(began));
    assert!(current.id != DOOMED || played < 30, "this match is doomed");
}

fn start(options: &ServerOptions) -> JoinHandle<Result<(), RunError>> {
    let options = options.clone();
    let declare = move || walking().add_systems(Stage::Simulate, doom).config(options.clone());
    std::thread::spawn(move || Server::rooms(declare).run())
}

fn many(rooms: u16, threads: u16) -> ServerOptions {
    ServerOptions { rooms, threads: Some(threads), ..options() }
}

fn address(options: &ServerOptions) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], options.port))
}

fn walkers(remote: &Remote) -> usize {
    remote.client.view().iter::<Walker>().count()
}

/// Plays all of them until `done` of each.
fn play(remotes: &mut [Remote], what: &str, done: impl Fn(&Remote) -> bool) {
    let began = Instant::now();
    while !remotes.iter().all(&done) {
        assert!(began.elapsed() < PATIENCE, "not in time: {what}");
        remotes.iter_mut().for_each(Remote::turn);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Waits until the admin port knows of so many rooms in play.
fn rooms_in_play(options: &ServerOptions, count: usize) -> Status {
    let mut last = Status::default();
    eventually("rooms in play", || {
        last = status(options.admin_port);
        last.rooms.iter().filter(|room| room.phase == "running").count() == count
    });
    last
}

fn drained(server: JoinHandle<Result<(), RunError>>, sidecar: &Sidecar) {
    sidecar.set_state(State::Shutdown);
    server.join().unwrap().expect("a clean end");
}

#[test]
fn rooms_share_a_socket_and_nothing_else() {
    for threads in [1, 2] {
        // Not managed: nobody allocates, so whoever comes first opens the match's room.
        let options = many(3, threads);
        let _server = start(&options);
        eventually("a server", || status(options.admin_port).rooms_max == 3);
        let mut remotes: Vec<Remote> = [(1, 7), (2, 7), (3, 8)]
            .map(|(player, match_id)| Remote::connect(address(&options), player, match_id))
            .into();
        play(&mut remotes, "seated", |remote| remote.client.predicted().is_some());
        play(&mut remotes[..2], "two in one room", |remote| walkers(remote) == 2);
        assert_eq!(walkers(&remotes[2]), 1, "alone in the other");
        let seen = rooms_in_play(&options, 2);
        let of =
            |match_id| seen.rooms.iter().find(|room| room.match_id == format_match_id(match_id)).unwrap();
        assert_eq!((of(7).players_connected, of(8).players_connected, seen.players_connected), (2, 1, 3));
        assert_eq!(of(7).worker == of(8).worker, threads == 1, "spread over the threads there are");
        let metrics = http(options.admin_port, "/metrics").1;
        assert!(metrics.contains("tickwright_rooms 2\n") && metrics.contains("tickwright_rooms_max 3\n"));
        assert!(metrics.contains("tickwright_room_players{room=\"0\"} "), "{metrics}");
    }
}

#[test]
fn a_panic_ends_its_room_alone() {
    let folder = tempfile::tempdir().unwrap();
    let record_dir = Some(folder.path().to_owned());
    let options = ServerOptions { record_dir, ..many(2, 1) };
    let _server = start(&options);
    eventually("a server", || status(options.admin_port).rooms_max == 2);
    let mut remotes: Vec<Remote> =
        [(1, DOOMED), (2, 8)].map(|(player, id)| Remote::connect(address(&options), player, id)).into();
    play(&mut remotes, "seated", |remote| remote.client.predicted().is_some());
    play(&mut remotes[..1], "sent away", |remote| {
        matches!(remote.client.state(), ClientState::Disconnected(_))
    });
    let before = remotes[1].client.stats();
    remotes[1]
        .play("one second more", |client| client.stats().snapshots_received > before.snapshots_received + 60);
    let after = remotes[1].client.stats();
    assert_eq!(after.mispredictions, before.mispredictions, "undisturbed");
    eventually("it is told", || status(options.admin_port).matches_voided == 1);
    let seen = status(options.admin_port);
    assert!(seen.void_reason.unwrap().contains("this match is doomed"));
    assert_eq!(seen.rooms.iter().map(|room| room.match_id.clone()).collect::<Vec<_>>(), [format_match_id(8)]);
    eventually("its recording is kept", || std::fs::read_dir(folder.path()).unwrap().count() == 1);
    // Its room is free: the next match is played there.
    let mut next = Remote::connect(address(&options), 3, 9);
    next.play("seated in the same room", |client| client.predicted().is_some());
}

/// A GameServer as a fleet for many rooms has it.
fn with_rooms() -> agones_sdk::sidecar::SidecarConfig {
    let mut config = scheduled();
    let status = config.game_server.status.as_mut().unwrap();
    status.lists.insert("rooms".into(), ListStatus { capacity: 0, values: Vec::new() });
    status.counters.insert("players".into(), CounterStatus { count: 0, capacity: 0 });
    config
}

/// What an allocation does to a GameServer.
fn allocate(sidecar: &Sidecar, match_id: u128, player: u64, seconds: u32) {
    let (id, place) = (format_match_id(match_id), match_id % 64);
    let sheet = format!(
        r#"{{"match_id":"{id}","mode":"walk","seconds":{seconds},"seed":"{match_id}","players":[{{"player":"{player}"}}]}}"#
    );
    let patch = |server: &mut GameServer| {
        let status = server.status.as_mut().unwrap();
        status.lists.get_mut("rooms").unwrap().values.push(id);
        let meta = server.object_meta.get_or_insert_default();
        meta.annotations.insert(format!("tickwright.dev/match-{place}"), sheet.clone());
        // As a backend writes it that knows servers with one room too.
        meta.annotations.insert("tickwright.dev/match".into(), sheet.clone());
    };
    let has_room = |server: &GameServer| {
        let list = &server.status.as_ref().unwrap().lists["rooms"];
        i64::try_from(list.values.len()).unwrap() < list.capacity
    };
    sidecar.claim(has_room, patch).expect("it has room");
}

fn listed(sidecar: &Sidecar) -> (usize, i64) {
    let server = sidecar.game_server();
    let list = &server.status.as_ref().unwrap().lists["rooms"];
    (list.values.len(), list.capacity)
}

fn managed(runtime: &Runtime, rooms: u16) -> (Sidecar, ServerOptions) {
    let sidecar = runtime.block_on(Sidecar::start(with_rooms())).unwrap();
    let options = ServerOptions {
        agones_port: Some(sidecar.grpc_addr().port()),
        agones_host: Some("http://127.0.0.1".into()),
        public_addresses: vec![SocketAddr::from(([127, 0, 0, 1], 9))],
        ..many(rooms, 1)
    };
    (sidecar, options)
}

#[test]
fn allocations_fill_the_rooms_and_the_last_one_out_is_ready_again() {
    let runtime = Runtime::new().unwrap();
    let (sidecar, options) = managed(&runtime, 3);
    let server = start(&options);
    eventually("ready", || sidecar.state() == State::Ready);
    assert_eq!(listed(&sidecar), (0, 3), "what there is to be had is announced");
    // At once, so that the server sees them in one version of its GameServer; one is over soon, two are not.
    for (match_id, player, seconds) in [(101, 1, 1), (102, 2, 600), (103, 3, 600)] {
        allocate(&sidecar, match_id, player, seconds);
    }
    let mut remotes: Vec<Remote> =
        [1, 2, 3].map(|player| Remote::connect(address(&options), player, 100 + u128::from(player))).into();
    play(&mut remotes, "seated", |remote| remote.client.predicted().is_some());
    assert!(remotes.iter().all(|remote| walkers(remote) == 1), "each in a match of its own");
    let counted = || sidecar.game_server().status.as_ref().unwrap().counters["players"];
    eventually("players are counted", || {
        remotes.iter_mut().for_each(Remote::turn);
        counted() == CounterStatus { count: 3, capacity: 64 }
    });
    play(&mut remotes[..1], "the short match is over", |remote| {
        matches!(remote.client.state(), ClientState::Disconnected(_))
    });
    eventually("its room is free", || {
        remotes[1..].iter_mut().for_each(Remote::turn);
        listed(&sidecar) == (2, 3)
    });
    assert_eq!(sidecar.state(), State::Allocated, "two are in use");
    remotes.truncate(1);
    allocate(&sidecar, 104, 4, 1);
    let mut fourth = Remote::connect(address(&options), 4, 104);
    fourth.play("seated in the room that was free", |client| client.predicted().is_some());
    drained(server, &sidecar);
}

#[test]
fn the_last_match_out_leaves_the_server_ready() {
    let runtime = Runtime::new().unwrap();
    let (sidecar, options) = managed(&runtime, 2);
    let server = start(&options);
    eventually("ready", || sidecar.state() == State::Ready);
    for round in [0_u8, 1] {
        let match_id = 200 + u128::from(round);
        allocate(&sidecar, match_id, 1, 1);
        let mut remote = Remote::connect(address(&options), 1, match_id);
        remote.play("seated", |client| client.predicted().is_some());
        remote.play("sent home", |client| matches!(client.state(), ClientState::Disconnected(_)));
        eventually("free", || listed(&sidecar) == (0, 2) && sidecar.state() == State::Ready);
    }
    assert_eq!(status(options.admin_port).matches_played, 2);
    drained(server, &sidecar);
}

/// Says to the test program that it is a server.
const ROLE: &str = "TICKWRIGHT_TEST_ROLE";

/// Not a test: the server of the next two, in a process of its own. Does nothing unless it is that.
#[test]
fn server_of_its_own() {
    let Ok(ports) = std::env::var(ROLE) else { return };
    let (port, admin_port) = ports.split_once(',').unwrap();
    let (port, admin_port) = (port.parse().unwrap(), admin_port.parse().unwrap());
    let agones_port = std::env::var("AGONES_SDK_GRPC_PORT").ok().map(|port| port.parse().unwrap());
    let agones_host = std::env::var("AGONES_SDK_GRPC_HOST").ok();
    let shape = ServerOptions { seconds: 3, drain_seconds: 30, exit_with_parent: true, ..many(2, 1) };
    let options = ServerOptions { port, admin_port, agones_port, agones_host, ..shape };
    start(&options).join().unwrap().expect("a clean end");
}

fn own_server() -> [String; 3] {
    let program = std::env::current_exe().unwrap();
    [program.to_str().unwrap().to_owned(), "--exact".into(), "server_of_its_own".into()]
}

/// What a backend asks of an allocator whose servers hold several matches.
fn request(match_id: u128, player: u64) -> AllocationRequest {
    let id = format_match_id(match_id);
    let sheet =
        format!(r#"{{"match_id":"{id}","mode":"walk","seconds":60,"players":[{{"player":"{player}"}}]}}"#);
    let place = match_id % 64;
    let mut request =
        AllocationRequest::from_fleet("walking", [(format!("tickwright.dev/match-{place}"), sheet)].into());
    let mut in_use = request.game_server_selectors[0].clone();
    in_use.set_game_server_state(GameServerState::Allocated);
    in_use.lists.insert("rooms".into(), ListSelector { min_available: 1, ..ListSelector::default() });
    request.game_server_selectors.insert(0, in_use);
    request.lists.insert("rooms".into(), ListAction { add_values: vec![id], ..ListAction::default() });
    request
}

#[test]
fn a_fleet_fills_a_server_before_it_takes_the_next() {
    let (runtime, folder) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
    let mut config = FleetConfig::new("walking", own_server().into(), folder.path());
    config.template.env = vec![(ROLE.into(), "{port},0".into())];
    config.template.lists.insert("rooms".into(), ListStatus { capacity: 0, values: Vec::new() });
    config.template.counters.insert("players".into(), CounterStatus { count: 0, capacity: 0 });
    let fleet = runtime.block_on(Fleet::start(config)).unwrap();
    eventually("two warm servers", || fleet.census().ready == 2);
    let allocator = runtime
        .block_on(async { AllocatorClient::new(&format!("http://{}", fleet.grpc_addr()), PATIENCE) })
        .unwrap();
    let mut remotes = Vec::new();
    let mut servers = Vec::new();
    for player in 1..=3 {
        let match_id = 400 + u128::from(player);
        let taken = runtime.block_on(allocator.allocate(request(match_id, player))).unwrap();
        remotes.push(Remote::connect(taken.endpoint().unwrap().parse().unwrap(), player, match_id));
        servers.push(taken.game_server_name);
    }
    assert!(servers[0] == servers[1] && servers[0] != servers[2], "{servers:?}");
    play(&mut remotes, "seated", |remote| remote.client.predicted().is_some());
    assert!(remotes.iter().all(|remote| walkers(remote) == 1), "each in a match of its own");
    assert_eq!(fleet.census().allocated, 2);
    runtime.block_on(fleet.drain());
}

#[test]
fn a_drain_waits_for_all_rooms() {
    let options = options();
    let [program, args @ ..] = own_server();
    let mut server = Command::new(program)
        .args(args)
        .env(ROLE, format!("{},{}", options.port, options.admin_port))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("a server", || status(options.admin_port).rooms_max == 2);
    let mut first = Remote::connect(address(&options), 1, 301);
    first.play("seated", |client| client.predicted().is_some());
    let began = Instant::now();
    first.play("a second of its match", |_| began.elapsed().as_millis() > 1000);
    let mut both = vec![first, Remote::connect(address(&options), 2, 302)];
    play(&mut both, "seated", |remote| remote.client.predicted().is_some());
    let told = Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap();
    assert!(told.success());
    eventually("no longer ready", || http(options.admin_port, "/readyz").0.contains("503"));
    let gone = |remote: &Remote| matches!(remote.client.state(), ClientState::Disconnected(_));
    let mut both_until = |what: &str, done: &dyn Fn(&[Remote]) -> bool| {
        let began = Instant::now();
        while !done(&both) {
            assert!(began.elapsed() < PATIENCE, "not in time: {what}");
            both.iter_mut().for_each(Remote::turn);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    };
    both_until("the first match ends", &|both| gone(&both[0]));
    assert!(server.try_wait().unwrap().is_none(), "the second is still played");
    both_until("the second match ends", &|both| gone(&both[1]));
    assert!(server.wait().unwrap().success(), "a clean end");
}
