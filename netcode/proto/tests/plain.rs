//! Our ends beside plain netcode 1.02 ones, and with each other: what is negotiated, and what a plain end sees of it.

mod common;

use std::time::Duration;

use common::*;
use netcode_proto::channels::{CONTROL, GAME_RELIABLE_ORDERED};
use netcode_proto::{ClientConfig, Extensions, ServerConfig};
use netcode_token::PublicToken;
use netcode_token::aead::PacketKey;

const FULL: Extensions = Extensions { enabled: true, aes_hardware: true, path_mtu: true, ecn: true };

/// A server and a client with these extensions.
fn net_of(server: Extensions, client: Extensions) -> Net {
    net_with(server, client, &token(1))
}

fn net_with(server: Extensions, client: Extensions, token: &[u8]) -> Net {
    let mut net = Net::new(ServerConfig { extensions: server, ..server_config() }, 1);
    let config = ClientConfig { extensions: client, ..ClientConfig::new(PROTOCOL) };
    net.connect_with(client_address(0), token, config);
    net
}

/// Ten messages each way, all of which must arrive.
fn assert_talking(net: &mut Net) {
    let client = net.server.client_of_player(1).expect("connected");
    for number in 0u8..10 {
        let now = net.now;
        net.server.send(now, client, CONTROL, &[number]).expect("room");
        net.client(0).send(now, GAME_RELIABLE_ORDERED, &[number]).expect("room");
        net.tick();
    }
    net.run(Duration::from_millis(300));
    let up: Vec<u8> = std::iter::from_fn(|| net.server.poll_message(client)).map(|m| m.1[0]).collect();
    let down: Vec<u8> = std::iter::from_fn(|| net.client(0).poll_message()).map(|m| m.1[0]).collect();
    assert!(up.iter().copied().eq(0..10) && down.iter().copied().eq(0..10), "{up:?} {down:?}");
}

/// The types of packets sent by one side.
fn kinds(net: &Net, from_server: bool) -> Vec<u8> {
    let sent = net.log.iter().filter(|datagram| (datagram.from == server_address()) == from_server);
    let mut kinds: Vec<u8> = sent.map(|datagram| kind(&datagram.bytes)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

#[test]
fn a_plain_client_sees_nothing_but_the_standard() {
    for server in [FULL, Extensions::NONE] {
        let mut net = net_of(server, Extensions::NONE);
        net.run(Duration::from_secs(1));
        assert_talking(&mut net);
        let now = net.now;
        net.client(0).disconnect(now);
        net.run(Duration::from_millis(100));
        assert_eq!(kinds(&net, true), [2, 4, 5]);
        assert_eq!(kinds(&net, false), [0, 3, 4, 5, 6]);
        assert_eq!((net.server.counters().extended, net.clients[0].1.counters().extended), (0, 0));
    }
}

#[test]
fn what_a_plain_client_is_sent_does_not_depend_on_the_servers_extensions() {
    let token = token(1);
    let run = |extensions| {
        let mut net = net_with(extensions, Extensions::NONE, &token);
        net.run(Duration::from_secs(3));
        net.log.into_iter().map(|datagram| datagram.bytes).collect::<Vec<_>>()
    };
    assert_eq!(run(FULL), run(Extensions::NONE), "byte for byte");
}

#[test]
fn a_plain_server_sees_nothing_but_the_standard() {
    for client in [FULL, Extensions::NONE] {
        let mut net = net_of(Extensions::NONE, client);
        net.run(Duration::from_secs(3));
        assert_talking(&mut net);
        assert_eq!(kinds(&net, true), [2, 4, 5]);
        assert_eq!(kinds(&net, false), [0, 3, 4, 5]);
        let malformed = net.server.counters().dropped_malformed + net.server.counters().dropped_unexpected;
        assert_eq!(malformed, 0);
        // The offer costs a plain server ten keep-alives in all, then nothing.
        let before = net.sent_by(client_address(0));
        net.run(Duration::from_secs(10));
        assert!(net.sent_by(client_address(0)) - before <= 20);
    }
}

#[test]
fn both_ends_choose_the_cipher_that_both_have_hardware_for() {
    for (server, client) in [(true, true), (true, false), (false, true), (false, false)] {
        let extensions = |aes_hardware| Extensions { aes_hardware, ..FULL };
        let token = token(1);
        let mut net = net_with(extensions(server), extensions(client), &token);
        net.run(Duration::from_secs(1));
        assert_talking(&mut net);
        assert_eq!((net.server.counters().extended, net.clients[0].1.counters().extended), (1, 1));
        let accept = net.log.iter().find(|datagram| kind(&datagram.bytes) == 7).expect("accepted");
        let key = PacketKey::new(&PublicToken::decode(&token).expect("a token").server_to_client);
        let text = open_with(&key, &accept.bytes);
        assert_eq!(text[4], u8::from(server && client), "the cipher");
        assert_eq!(net.server.counters().dropped_forged, 0);
        assert_eq!(net.clients[0].1.counters().dropped_forged, 0);
    }
}

#[test]
fn an_extended_session_leaves_the_standards_form_behind() {
    let mut net = net_of(FULL, FULL);
    net.run(Duration::from_secs(1));
    assert_talking(&mut net);
    let before = net.log.len();
    assert_talking(&mut net);
    let now = net.now;
    net.client(0).disconnect(now);
    net.run(Duration::from_millis(200));
    let late = &net.log[before..];
    assert!(late.iter().all(|datagram| kind(&datagram.bytes) & 8 != 0));
    // A client's packets are four bytes longer: the connection id, the same in all.
    let ids: Vec<_> =
        late.iter().filter(|datagram| datagram.to == server_address()).map(|d| &d.bytes[1..5]).collect();
    assert!(ids.len() > 10 && ids.iter().all(|id| *id == ids[0]));
    assert_eq!(net.server.clients_len(), 0);
}

#[test]
fn the_negotiation_survives_a_bad_network() {
    for seed in 0..40 {
        let mut net = Net::bad(seed);
        for player in 1..=4 {
            net.connect(&token(player));
        }
        let agreed = net.run_until(|net| {
            net.server.counters().extended == 4
                && net.clients.iter().all(|(_, client)| client.counters().extended == 1)
        });
        assert!(agreed, "seed {seed}: {:?}", net.server.counters());
        net.run(Duration::from_secs(1));
        assert!(net.all_connected());
    }
}

#[test]
fn the_standards_key_is_gone_when_its_packets_are_too_old() {
    let token = token(1);
    let key = PacketKey::new(&PublicToken::decode(&token).expect("a token").client_to_server);
    let mut net = net_with(FULL, FULL, &token);
    net.run(Duration::from_secs(1));
    // A packet of the standard's form, never delivered, sealed before the client went over to the extended one.
    let late = seal_with(&key, 4, &[], 0x40, &[0; 8]);
    let unexpected = net.server.counters().dropped_unexpected;
    net.inject(client_address(0), &late);
    assert_eq!(net.server.counters().dropped_unexpected, unexpected, "the key is still there");
    let client = net.server.client_of_player(1).expect("connected");
    for _ in 0..400 {
        let now = net.now;
        net.client(0).send(now, GAME_RELIABLE_ORDERED, &[1]).expect("room");
        net.tick();
        while net.server.poll_message(client).is_some() {}
    }
    net.run(Duration::from_millis(300));
    while net.server.poll_message(client).is_some() {}
    let late = seal_with(&key, 4, &[], 0x7000, &[0; 8]);
    net.inject(client_address(0), &late);
    assert_eq!(net.server.counters().dropped_unexpected, unexpected + 1, "and now it is not");
    assert_talking(&mut net);
}

#[test]
fn an_offer_is_made_until_it_is_heard_whatever_else_is_sent() {
    let mut net = net_of(FULL, FULL);
    // No acceptance arrives for three seconds in which both ends talk in every tick.
    net.filter = Box::new(|datagram| kind(&datagram.bytes) != 7);
    assert!(net.run_until(|net| net.all_connected() && net.server.client_of_player(1).is_some()));
    for _ in 0..180 {
        talk_for_a_tick(&mut net);
    }
    assert_eq!(net.clients[0].1.counters().extended, 0);
    let offers =
        net.log.iter().filter(|datagram| datagram.to == server_address() && kind(&datagram.bytes) == 4);
    assert!((10..=15).contains(&offers.count()), "often at first, then now and then");
    net.filter = Box::new(|_| true);
    for _ in 0..66 {
        talk_for_a_tick(&mut net);
    }
    assert_eq!((net.server.counters().extended, net.clients[0].1.counters().extended), (1, 1));
}

/// One tick in which both ends say something.
fn talk_for_a_tick(net: &mut Net) {
    let (now, client) = (net.now, net.server.client_of_player(1).expect("connected"));
    net.server.send(now, client, CONTROL, &[1]).expect("room");
    net.client(0).send(now, CONTROL, &[1]).expect("room");
    net.tick();
    while net.server.poll_message(client).is_some() || net.client(0).poll_message().is_some() {}
}
