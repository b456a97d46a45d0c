//! How long a datagram a session sends: found out, put to use, given up when the path swallows it, and never at the cost
//! of a message.

mod common;

use std::time::Duration;

use common::*;
use netcode_proto::channels::{GAME_RELIABLE_ORDERED, STATE};
use netcode_proto::{Bytes, ChannelId, ClientConfig, ClientId, Extensions, ServerConfig};

const PROBE: u8 = 9;

/// A session in which both ends say `state` bytes a tick, on a path that carries `mtu`, for four seconds.
fn talking(mtu: usize, state: usize) -> (Net, ClientId) {
    let mut net = Net::new(server_config(), 1);
    net.filter = Box::new(move |datagram| datagram.bytes.len() <= mtu);
    net.connect(&token(1));
    assert!(net.run_until(|net| net.all_connected() && net.server.counters().extended == 1));
    let client = net.server.client_of_player(1).expect("connected");
    talk(&mut net, client, 240, state);
    (net, client)
}

fn talk(net: &mut Net, client: ClientId, ticks: u32, state: usize) {
    for _ in 0..ticks {
        let now = net.now;
        net.server.send(now, client, STATE, &vec![1; state]).expect("room");
        net.client(0).send(now, STATE, &vec![2; state]).expect("room");
        net.tick();
        while net.server.poll_message(client).is_some() || net.client(0).poll_message().is_some() {}
    }
}

#[test]
fn each_end_finds_what_its_direction_takes() {
    for (mtu, least) in [(2000, 1472), (1472, 1472), (1471, 1464), (1300, 1293), (1200, 1200)] {
        let (mut net, client) = talking(mtu, 40);
        for bytes in [net.server.datagram_bytes(client).expect("connected"), net.client(0).datagram_bytes()] {
            assert!((least..=mtu.min(1472)).contains(&bytes), "{mtu}: {bytes}");
        }
        assert_eq!(net.server.stats(client).expect("connected").packets_lost, 0, "a probe is no payload");
        let counters = net.server.counters();
        assert!(counters.mtu_probes_answered >= 1 && counters.mtu_black_holes == 0, "{counters:?}");
        let payloads = |net: &Net| net.log.iter().filter(|datagram| kind(&datagram.bytes) == 13).count();
        assert!(payloads(&net) > 400);
        // Less what sealing, acknowledgements and repeats take.
        let room = net.server.budget_bytes(client);
        assert!((least - 250..least).contains(&room), "a snapshot may be as long: {room}");
    }
}

#[test]
fn who_does_not_agree_is_never_probed() {
    let none = Extensions { path_mtu: false, ..Extensions::default() };
    for (server, client) in [(none, Extensions::default()), (Extensions::default(), none)] {
        let mut net = Net::new(ServerConfig { extensions: server, ..server_config() }, 1);
        let config = ClientConfig { extensions: client, ..ClientConfig::new(PROTOCOL) };
        net.connect_with(client_address(0), &token(1), config);
        assert!(net.run_until(|net| net.all_connected() && net.server.counters().extended == 1));
        let session = net.server.client_of_player(1).expect("connected");
        talk(&mut net, session, 240, 40);
        assert!(net.log.iter().all(|datagram| !matches!(kind(&datagram.bytes), 9 | 15)));
        assert_eq!((net.server.datagram_bytes(session), net.client(0).datagram_bytes()), (Some(1200), 1200));
    }
}

#[test]
fn an_idle_session_probes_nothing() {
    let mut net = Net::new(server_config(), 1);
    net.connect(&token(1));
    net.run(Duration::from_secs(30));
    assert!(net.all_connected() && net.log.iter().all(|datagram| kind(&datagram.bytes) != PROBE));
}

#[test]
fn a_path_that_narrows_swallows_no_message() {
    for (wide, narrow, least) in
        [(1472, 1300, 1293), (1472, 1200, 1200), (1472, 1000, 548), (1472, 600, 548), (1200, 1000, 548)]
    {
        let (mut net, client) = talking(wide, 40);
        assert_eq!(net.client(0).datagram_bytes(), wide);
        // Long messages, and one that is sent whole on the wide path, are under way when it narrows.
        let messages: Vec<Vec<u8>> = [50_000, 1350, 30_000, 700, 10]
            .iter()
            .map(|len| (0..*len).map(|at| (at * 7) as u8).collect())
            .collect();
        let now = net.now;
        for message in &messages {
            net.server.send(now, client, GAME_RELIABLE_ORDERED, message).expect("room");
            net.client(0).send(now, GAME_RELIABLE_ORDERED, message).expect("room");
        }
        net.tick();
        net.filter = Box::new(move |datagram| datagram.bytes.len() <= narrow);
        let begun = net.now;
        let (mut up, mut down) = (vec![], vec![]);
        let done = net.run_until(|net| {
            let is_it = |message: &(ChannelId, Bytes)| message.0 == GAME_RELIABLE_ORDERED;
            let told = std::iter::from_fn(|| net.server.poll_message(client)).filter(is_it);
            up.extend(told.map(|message| message.1.to_vec()));
            let told = std::iter::from_fn(|| net.client(0).poll_message()).filter(is_it);
            down.extend(told.map(|message| message.1.to_vec()));
            up.len() == messages.len() && down.len() == messages.len()
        });
        assert!(done && up == messages && down == messages, "{narrow}: {} {}", up.len(), down.len());
        assert!(net.now.since(begun) < Duration::from_secs(4), "{narrow}: {:?}", net.now.since(begun));
        talk(&mut net, client, 240, 40);
        let bytes = net.client(0).datagram_bytes();
        assert!((least..=narrow).contains(&bytes), "{narrow}: {bytes}");
        assert!(net.server.counters().mtu_black_holes >= 1 && net.all_connected());
        // It widens again: where nothing passed, within seconds.
        net.filter = Box::new(|_| true);
        talk(&mut net, client, 300, 40);
        assert!(net.client(0).datagram_bytes() >= 1200);
    }
}

#[test]
fn a_move_to_another_host_forgets_and_one_to_another_port_confirms() {
    let (mut net, client) = talking(1472, 40);
    net.delay = Duration::from_millis(60);
    net.rebind(0, client_address(77));
    talk(&mut net, client, 40, 40);
    assert_eq!(net.server.counters().paths_moved, 1);
    assert_eq!((net.server.datagram_bytes(client), net.client(0).datagram_bytes()), (Some(1472), 1472));
    let measured = net.server.stats(client).expect("connected").rtt_min_us;
    assert!(measured < 80_000, "the port says nothing about the path: {measured}");

    net.rebind(0, "10.9.9.9:5000".parse().expect("an address"));
    let moved = net.run_until(|net| {
        let now = net.now;
        net.client(0).send(now, STATE, &[1; 40]).expect("room");
        net.server.counters().paths_moved == 2
    });
    assert!(moved);
    assert_eq!((net.server.datagram_bytes(client), net.client(0).datagram_bytes()), (Some(1200), 1200));
    let stats = net.server.stats(client).expect("connected");
    assert_eq!((stats.rtt_us, stats.loss), (0, 0.0), "nothing is known of the new path");
    talk(&mut net, client, 120, 40);
    let measured = net.server.stats(client).expect("connected").rtt_min_us;
    assert!(measured >= 120_000, "what left before the move is no sample: {measured}");
    talk(&mut net, client, 120, 40);
    assert_eq!((net.server.datagram_bytes(client), net.client(0).datagram_bytes()), (Some(1472), 1472));
}

#[test]
fn a_false_alarm_costs_a_probe_and_no_bytes() {
    let (mut net, client) = talking(1472, 1380);
    // A burst takes six long payloads, and only payloads.
    let mut left = 6;
    net.filter = Box::new(move |datagram| {
        let takes = datagram.bytes.len() > 1200 && kind(&datagram.bytes) == 13 && left > 0;
        left -= u32::from(takes);
        !takes
    });
    talk(&mut net, client, 120, 1380);
    assert_eq!((net.server.datagram_bytes(client), net.client(0).datagram_bytes()), (Some(1472), 1472));
    assert_eq!(net.server.counters().mtu_black_holes, 0);
}

#[test]
fn answers_to_probes_that_were_not_sent_say_nothing() {
    let mut net = Net::new(server_config(), 1);
    net.filter = Box::new(|datagram| datagram.bytes.len() <= 1300);
    let token = token(1);
    net.connect(&token);
    assert!(net.run_until(|net| net.all_connected() && net.server.counters().extended == 1));
    let client = net.server.client_of_player(1).expect("connected");
    talk(&mut net, client, 240, 40);
    let before = (net.server.datagram_bytes(client), *net.server.counters());
    let keys = net.extended_keys(client_address(0), &token);
    for number in 0..2000u64 {
        let sequence = [number, u64::MAX - number][number as usize % 2];
        let answer = seal_with(&keys.up, 15, &keys.id, 100_000 + number, &sequence.to_le_bytes());
        assert!(net.inject(client_address(0), &answer).is_empty());
    }
    let after = net.server.counters();
    assert_eq!(net.server.datagram_bytes(client), before.0);
    assert_eq!(after.mtu_probes_answered, before.1.mtu_probes_answered);
    // And one that its own end says of a length that nobody asked about is answered with no more than it cost.
    let probe = seal_with(&keys.up, 9, &keys.id, 200_000, &[0; 30]);
    let answers = net.inject(client_address(9), &probe);
    let home: Vec<_> = answers.iter().filter(|answer| answer.to == client_address(0)).collect();
    assert!(home.len() == 1 && kind(&home[0].bytes) == 15 && home[0].bytes.len() <= probe.len());
}
