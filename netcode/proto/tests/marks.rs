//! Congestion marks of a session: asked for once both ends agreed, told when routers set them, given up where they are
//! erased or mean nothing, and no way to accuse or to be accused.

mod common;

use std::time::Duration;

use common::*;
use netcode_proto::channels::STATE;
use netcode_proto::{
    ClientConfig, ClientId, ClientState, DisconnectReason, Extensions, LinkError, ServerConfig, ServerEvent,
};
use netcode_wire::Ecn;

/// The server says up to `state` bytes a tick, as a snapshot does: what it is told that there is room for.
fn talk(net: &mut Net, client: ClientId, ticks: u32, state: usize) {
    for _ in 0..ticks {
        let now = net.now;
        let state = state.min(net.server.budget_bytes(client));
        net.server.send(now, client, STATE, &vec![1; state]).expect("room");
        net.client(0).send(now, STATE, &[2; 40]).expect("room");
        net.tick();
        while net.server.poll_message(client).is_some() || net.client(0).poll_message().is_some() {}
    }
}

/// A session that stands and is extended.
fn session(extensions: [Extensions; 2]) -> (Net, ClientId) {
    session_with(extensions, &token(1))
}

fn session_with(extensions: [Extensions; 2], token: &[u8]) -> (Net, ClientId) {
    let mut net = Net::new(ServerConfig { extensions: extensions[0], ..server_config() }, 1);
    let config = ClientConfig { extensions: extensions[1], ..ClientConfig::new(PROTOCOL) };
    net.connect_with(client_address(0), token, config);
    assert!(net.run_until(|net| net.all_connected() && net.server.counters().extended == 1));
    let client = net.server.client_of_player(1).expect("connected");
    (net, client)
}

fn is_extended(datagram: &Datagram) -> bool {
    kind(&datagram.bytes) > 8
}

#[test]
fn every_extended_packet_asks_for_a_mark_and_nothing_else_does() {
    let (mut net, client) = session([Extensions::default(); 2]);
    talk(&mut net, client, 120, 300);
    net.run(Duration::from_secs(2));
    assert!(net.log.iter().any(is_extended));
    for datagram in &net.log {
        assert_eq!(datagram.ecn == Ecn::Ect0, is_extended(datagram), "{:?}", kind(&datagram.bytes));
    }
    let stats = net.server.stats(client).expect("connected");
    assert!(stats.ecn && net.client(0).stats().ecn && stats.packets_marked == 0);
}

#[test]
fn who_does_not_agree_is_sent_no_mark() {
    let none = Extensions { ecn: false, ..Extensions::default() };
    for extensions in [[none, Extensions::default()], [Extensions::default(), none]] {
        let (mut net, client) = session(extensions);
        net.router = Box::new(|_| Ecn::CongestionExperienced);
        talk(&mut net, client, 120, 300);
        assert!(net.log.iter().all(|datagram| datagram.ecn == Ecn::NotCapable));
        let stats = net.server.stats(client).expect("still connected");
        assert!(!stats.ecn && stats.packets_marked == 0);
    }
}

#[test]
fn a_healthy_path_costs_no_byte() {
    let bytes = [true, false].map(|ecn| {
        let (mut net, client) = session([Extensions { ecn, ..Extensions::default() }; 2]);
        talk(&mut net, client, 240, 300);
        net.log.iter().map(|datagram| datagram.bytes.len()).sum::<usize>()
    });
    assert_eq!(bytes[0], bytes[1]);
}

#[test]
fn a_mark_slows_its_sender_down_once_a_round_trip_and_nobody_else() {
    let (mut net, client) = session([Extensions::default(); 2]);
    talk(&mut net, client, 120, 1000);
    let rate = |net: &Net| net.server.stats(client).expect("connected").budget_bytes_per_s;
    let before = rate(&net);
    // Every packet of one tenth of a second: one congestion, not six.
    let until = net.now + Duration::from_millis(100);
    net.router = Box::new(|datagram| match datagram.ecn {
        Ecn::Ect0 if datagram.from == server_address() => Ecn::CongestionExperienced,
        other => other,
    });
    while net.now < until {
        talk(&mut net, client, 1, 1000);
    }
    net.router = Box::new(|datagram| datagram.ecn);
    talk(&mut net, client, 20, 1000);
    let stats = net.server.stats(client).expect("connected");
    assert!((4..=8).contains(&stats.packets_marked), "{stats:?}");
    assert!(stats.ecn && rate(&net) < before, "{before} {stats:?}");
    assert!(stats.packets_lost == 0 && net.client(0).stats().packets_marked == 0);
}

#[test]
fn a_path_that_erases_marks_is_sent_none_and_harms_nobody() {
    for erased in [Ecn::NotCapable, Ecn::Ect1] {
        let (mut net, client) = session([Extensions::default(); 2]);
        net.router = Box::new(move |_| erased);
        talk(&mut net, client, 120, 300);
        let stats = net.server.stats(client).expect("connected");
        assert!(!stats.ecn && !net.client(0).stats().ecn, "{stats:?}");
        let at = net.log.len();
        talk(&mut net, client, 120, 300);
        assert!(net.log[at..].iter().all(|datagram| datagram.ecn == Ecn::NotCapable));
        // What is told of it ends too: the same bytes as on a path without a word of marks.
        let tick = |net: &Net| net.log[net.log.len() - 2..].iter().map(|one| one.bytes.len()).sum::<usize>();
        let (mut plain, there) = session([Extensions { ecn: false, ..Extensions::default() }; 2]);
        talk(&mut plain, there, 240, 300);
        assert_eq!(tick(&net), tick(&plain));
    }
}

#[test]
fn marks_on_everything_without_a_queue_are_not_believed_for_ever() {
    let (mut net, client) = session([Extensions::default(); 2]);
    net.router = Box::new(|datagram| match datagram.ecn {
        Ecn::Ect0 => Ecn::CongestionExperienced,
        other => other,
    });
    talk(&mut net, client, 60 * 20, 1000);
    let stats = net.server.stats(client).expect("connected");
    assert!(!stats.ecn, "{stats:?}");
    talk(&mut net, client, 60 * 20, 1000);
    let after = net.server.stats(client).expect("connected");
    assert_eq!(after.packets_marked, stats.packets_marked, "nothing is marked that does not ask for it");
    assert!(after.budget_bytes_per_s > 60_000, "{after:?}");
}

#[test]
fn another_path_is_tried_again() {
    let (mut net, client) = session([Extensions::default(); 2]);
    net.router = Box::new(|_| Ecn::NotCapable);
    talk(&mut net, client, 120, 300);
    assert!(!net.server.stats(client).expect("connected").ecn);
    net.router = Box::new(|datagram| datagram.ecn);
    net.rebind(0, std::net::SocketAddr::from(([10, 9, 9, 9], 77)));
    talk(&mut net, client, 240, 300);
    assert_eq!(net.server.counters().paths_moved, 1);
    assert!(net.server.stats(client).expect("connected").ecn && net.client(0).stats().ecn);
}

#[test]
fn more_marks_than_packets_are_a_lie() {
    let token = token(1);
    let (mut net, client) = session_with([Extensions::default(); 2], &token);
    talk(&mut net, client, 60, 300);
    let sent = net.log.iter().filter(|datagram| datagram.from == server_address()).count();
    let keys = net.extended_keys(client_address(0), &token);
    let tell = |sequence: u64, ce: usize, bare: u8| {
        let [low, high] = (ce as u16).to_le_bytes();
        seal_with(&keys.up, 13, &keys.id, sequence, &[2, low, high, bare, 0])
    };
    net.inject(client_address(0), &tell(10_000, sent / 2, 0));
    net.tick();
    assert!(matches!(net.state(0), ClientState::Connected) && net.server.stats(client).is_some());
    net.inject(client_address(0), &tell(10_001, sent + 100, 0));
    net.tick();
    let ended = net.events.iter().find_map(|event| match event {
        ServerEvent::Disconnected { reason, .. } => Some(*reason),
        ServerEvent::Connected { .. } => None,
    });
    assert!(
        matches!(ended, Some(DisconnectReason::Misbehaved(LinkError::MarksOfUnsent { .. }))),
        "{ended:?}"
    );
}
