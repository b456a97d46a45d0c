//! Clients that crashed and come back with their token alone: what they get, and what nobody else gets by it.

mod common;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use common::*;
use netcode_proto::channels::{CONTROL, GAME_RELIABLE_ORDERED};
use netcode_proto::{ClientId, ClientState, DisconnectReason, Extensions, ServerConfig, ServerEvent};
use netcode_token::aead::PacketKey;
use netcode_token::{Key, PublicToken, mint};

const CONNECTED: ClientState = ClientState::Connected;
const RESUME: u8 = 8;
const ACCEPTANCE: u8 = 7;

/// A net whose one client was connected for a second and is gone without a word.
fn crashed(seed: u64) -> (Net, Vec<u8>) {
    let (mut net, token) = (Net::new(server_config(), seed), token(1));
    net.connect(&token);
    net.run(Duration::from_secs(1));
    assert!(net.all_connected());
    net.clients.clear();
    (net, token)
}

/// Ten messages each way between the server and the newest client, all of which must arrive.
fn assert_talking(net: &mut Net) -> ClientId {
    // The client knows first: the server waits for its first packet.
    net.run(Duration::from_millis(500));
    let client = net.server.client_of_player(1).expect("connected");
    let number = net.clients.len() - 1;
    let (mut up, mut down) = (vec![], vec![]);
    for message in 0u8..10 {
        let now = net.now;
        net.server.send(now, client, CONTROL, &[message]).expect("room");
        net.client(number).send(now, GAME_RELIABLE_ORDERED, &[message]).expect("room");
        net.tick();
    }
    let done = net.run_until(|net| {
        up.extend(std::iter::from_fn(|| net.server.poll_message(client)).map(|message| message.1[0]));
        down.extend(std::iter::from_fn(|| net.client(number).poll_message()).map(|message| message.1[0]));
        up.len() >= 10 && down.len() >= 10
    });
    assert!(done && up.iter().copied().eq(0..10) && down.iter().copied().eq(0..10), "{up:?} {down:?}");
    client
}

/// The bytes of the newest datagram of this type to or from an address.
fn newest(net: &Net, address: SocketAddr, wanted: u8) -> Vec<u8> {
    let is_it = |datagram: &&Datagram| {
        kind(&datagram.bytes) == wanted && [datagram.from, datagram.to].contains(&address)
    };
    net.log.iter().rfind(is_it).expect("it was sent").bytes.clone()
}

#[test]
fn one_round_trip_leads_back() {
    for place in [0, 3] {
        let (mut net, token) = crashed(1);
        let old = net.server.client_of_player(1).expect("nobody told the server");
        let begun = net.now;
        net.resume_from(client_address(place), &token, 1);
        assert!(net.run_until(|net| net.all_connected()));
        // Two ways of 20 ms, each rounded up to ticks of 16.7 ms, and the tick in which it is seen.
        assert!(net.now.since(begun) <= Duration::from_millis(85), "{:?}", net.now.since(begun));
        let client = assert_talking(&mut net);
        assert_ne!(client, old);
        assert_eq!(net.server.address(client), Some(client_address(place)));
        let reason = DisconnectReason::Superseded;
        assert_eq!(net.events[1], ServerEvent::Disconnected { client: old, reason });
        let ServerEvent::Connected { player: 1, user_data, .. } = &net.events[2] else { panic!() };
        assert_eq!(**user_data, spec(1).user_data);
        let counters = net.server.counters();
        assert_eq!((counters.resumed, counters.extended, net.server.handshakes_len()), (1, 2, 0));
        assert_eq!(net.clients[0].1.client_index(), Some(client.index() as u32));
        let lengths: Vec<_> =
            net.log.iter().map(|datagram| (kind(&datagram.bytes), datagram.bytes.len())).collect();
        assert!(
            lengths.contains(&(RESUME, 1130))
                && lengths.iter().all(|(kind, len)| *len <= if *kind == 9 { 1472 } else { 1200 })
        );
    }
}

#[test]
fn a_resumed_session_is_as_good_as_any() {
    let (mut net, token) = crashed(1);
    net.resume_from(client_address(3), &token, 1);
    net.run(Duration::from_secs(1));
    net.rebind(0, client_address(9));
    net.run(Duration::from_secs(10));
    let client = assert_talking(&mut net);
    assert_eq!(net.server.address(client), Some(client_address(9)), "it moves");
    let now = net.now;
    net.client(0).disconnect(now);
    net.run(Duration::from_millis(200));
    assert_eq!(net.server.clients_len(), 0, "and says goodbye");
}

#[test]
fn every_life_is_resumed_over_a_bad_network_and_no_key_meets_a_nonce_twice() {
    for seed in 0..25 {
        let mut net = Net::bad(seed);
        let token = token(1);
        net.connect(&token);
        assert!(net.run_until(|net| net.all_connected()), "seed {seed}");
        for life in 1..=6 {
            net.run(Duration::from_millis(200));
            net.clients.clear();
            net.resume_from(client_address(u16::from(life) % 3), &token, life);
            let back =
                net.run_until(|net| net.all_connected() && net.server.counters().resumed == u64::from(life));
            assert!(back, "seed {seed} life {life}");
            assert_talking(&mut net);
        }
        // What the server seals outside of sessions never repeats a sequence, whatever the key.
        let own = net.log.iter().filter(|datagram| datagram.from == server_address());
        let own: Vec<u64> =
            own.map(|datagram| sequence(&datagram.bytes)).filter(|number| number >> 63 == 1).collect();
        assert_eq!(own.iter().collect::<HashSet<_>>().len(), own.len(), "seed {seed}");
        assert_salts_differ(&net, &token, 6);
    }
}

/// Every session had another salt, and its packets open under the keys of that salt alone.
fn assert_salts_differ(net: &Net, token: &[u8], lives: u8) {
    let key = PublicToken::decode(token).expect("a token").server_to_client;
    let mut salts = HashSet::new();
    for life in 1..=lives {
        let derived = key.derive(&[b"tickwright resumed session 1", &[life; 32]]);
        let acceptances = net.log.iter().filter(|datagram| kind(&datagram.bytes) == ACCEPTANCE);
        let texts = acceptances.filter_map(|datagram| try_open(&PacketKey::new(&derived), &datagram.bytes));
        let texts: HashSet<Vec<u8>> = texts.collect();
        assert!(!texts.is_empty(), "life {life}");
        for text in texts {
            assert!(salts.insert(text[8..].to_vec()), "life {life}");
        }
    }
}

fn try_open(key: &PacketKey, datagram: &[u8]) -> Option<Vec<u8>> {
    let start = 1 + usize::from(datagram[0] >> 4);
    let associated = [b"NETCODE 1.02\0", &PROTOCOL.to_le_bytes()[..], &datagram[..1]].concat();
    key.open(sequence(datagram), &associated, &mut datagram[start..].to_vec()).ok().map(|text| text.to_vec())
}

#[test]
fn a_session_that_ended_by_silence_can_be_resumed_and_by_will_cannot() {
    let (mut net, token) = crashed(1);
    net.run(Duration::from_secs(6));
    assert_eq!(net.server.clients_len(), 0);
    net.resume_from(client_address(3), &token, 1);
    net.run(Duration::from_secs(1));
    assert!(net.all_connected());
    assert_talking(&mut net);

    let refused = |net: &mut Net, fresh: u8, token: &[u8]| {
        net.clients.clear();
        let (reused, resumed) = (net.server.counters().requests_reused, net.server.counters().resumed);
        net.resume_from(client_address(4), token, fresh);
        net.run(Duration::from_secs(1));
        assert_eq!(net.state(0), ClientState::Connecting, "the server is silent");
        assert!(net.server.counters().requests_reused > reused && net.server.counters().resumed == resumed);
    };
    // The client's own goodbye.
    let now = net.now;
    net.client(0).disconnect(now);
    net.run(Duration::from_millis(200));
    refused(&mut net, 2, &token);

    // The server's.
    let (mut net, token) = crashed(2);
    let (now, client) = (net.now, net.server.client_of_player(1).expect("connected"));
    net.server.disconnect(now, client, 7);
    refused(&mut net, 1, &token);

    // A newer token's session.
    let (mut net, token) = crashed(3);
    let mut later = spec(1);
    later.expire_unix_s += 5;
    net.connect_from(client_address(6), &mint(&later, &private_key()).expect("sound")[..]);
    net.run(Duration::from_secs(1));
    refused(&mut net, 1, &token);
    assert_eq!(net.server.clients_len(), 1);

    // A token that no session began with.
    let never = common::token(1);
    refused(&mut net, 2, &never);
}

#[test]
fn an_expired_token_leads_nowhere() {
    let (mut net, token) = crashed(1);
    net.run(Duration::from_secs(30));
    net.resume_from(client_address(3), &token, 1);
    net.run(Duration::from_secs(6));
    assert_eq!(net.state(0), ClientState::Disconnected(DisconnectReason::RequestTimedOut));
    assert!(net.server.counters().requests_expired > 0 && net.server.clients_len() == 0);
}

#[test]
fn a_full_server_denies_and_a_plain_one_is_silent() {
    let (mut net, token) = crashed(1);
    net.run(Duration::from_secs(6));
    for player in 2..=5 {
        net.connect(&common::token(player));
    }
    net.run(Duration::from_secs(1));
    let late = net.resume_from(client_address(9), &token, 1);
    net.run(Duration::from_millis(300));
    assert_eq!(net.state(late), ClientState::Disconnected(DisconnectReason::Denied));

    let mut net = Net::new(ServerConfig { extensions: Extensions::NONE, ..server_config() }, 1);
    net.connect(&token);
    net.run(Duration::from_secs(1));
    let late = net.resume_from(client_address(9), &token, 1);
    net.run(Duration::from_secs(6));
    assert_eq!(net.state(late), ClientState::Disconnected(DisconnectReason::RequestTimedOut));
    assert_eq!(net.state(0), CONNECTED);
}

#[test]
fn without_the_tokens_key_a_copied_token_is_of_no_use() {
    let (mut net, token) = crashed(1);
    let request = net.log[0].bytes.clone();
    let thief = Key::from_bytes([66; 32]);
    let key = PacketKey::new(&thief.derive(&[b"tickwright resume proof 1", &[5; 32]]));
    let mut text = 0x5457_0001u32.to_le_bytes();
    let tag = key.seal(0, &[], &mut text);
    let forged = [&[RESUME], &request[1..], &[5; 32], &text, &tag].concat();
    assert_eq!(forged.len(), 1130);
    assert!(net.inject(client_address(8), &forged).is_empty());
    assert_eq!(net.server.counters().dropped_forged, 1);
    // Nor is a proof for other tokens, other random parts, or other games.
    net.resume_from(client_address(3), &token, 1);
    net.tick();
    let sound = newest(&net, client_address(3), RESUME);
    for place in [1, 14, 22, 30, 54, 1077, 1078, 1109, 1110, 1113, 1114, 1129] {
        let mut bent = sound.clone();
        bent[place] ^= 1;
        assert!(net.inject(client_address(8), &bent).is_empty(), "byte {place}");
    }
    for len in [1, 1078, 1129] {
        assert!(net.inject(client_address(8), &sound[..len]).is_empty());
    }
    assert_eq!(net.server.handshakes_len(), 0);
    assert!(net.run_until(|net| net.all_connected()));
}

#[test]
fn requests_played_back_change_nothing_and_earn_less_than_they_cost() {
    let (mut net, token) = crashed(1);
    net.resume_from(client_address(3), &token, 1);
    net.run(Duration::from_secs(1));
    let client = assert_talking(&mut net);
    let events = net.events.len();
    let resume = newest(&net, client_address(3), RESUME);
    let mut sequences = HashSet::new();
    for round in 0..200u16 {
        let answer = net.inject(client_address(300 + round % 90), &resume);
        assert!(answer.iter().map(|datagram| datagram.bytes.len()).sum::<usize>() <= 49);
        assert!(answer.iter().all(|datagram| sequences.insert(sequence(&datagram.bytes))));
        assert!(net.server.handshakes_len() <= 1, "one attempt a token");
    }
    // Nor does anything else that ever went to the server.
    for datagram in net.log.clone().iter().filter(|datagram| datagram.to == server_address()) {
        net.inject(datagram.from, &datagram.bytes);
        net.inject(client_address(303), &datagram.bytes);
    }
    net.run(Duration::from_secs(1));
    assert_eq!((net.events.len(), net.server.client_of_player(1)), (events, Some(client)));
    assert_talking(&mut net);
    net.run(Duration::from_secs(6));
    assert_eq!(net.server.handshakes_len(), 0);
}

#[test]
fn answers_played_back_neither_begin_nor_end_a_session() {
    let (mut net, token) = crashed(1);
    net.resume_from(client_address(3), &token, 1);
    net.run(Duration::from_secs(1));
    assert_talking(&mut net);
    let record: Vec<_> =
        net.log.iter().filter(|datagram| datagram.from == server_address()).cloned().collect();
    let play = |net: &mut Net| {
        let now = net.now;
        for datagram in &record {
            net.client(0).handle_datagram(now, server_address(), &mut datagram.bytes.clone());
        }
    };
    // To the client itself: its replay window stays where it is.
    play(&mut net);
    assert_talking(&mut net);
    // To its next life, before the server hears of that.
    net.clients.clear();
    net.resume_from(client_address(3), &token, 2);
    play(&mut net);
    assert_eq!(net.state(0), ClientState::Connecting);
    assert!(net.run_until(|net| net.all_connected()));
    assert_talking(&mut net);
}

#[test]
fn a_client_that_does_not_resume_takes_no_acceptance_for_an_answer() {
    let (mut net, token) = crashed(1);
    let acceptance = newest(&net, client_address(0), ACCEPTANCE);
    net.filter = Box::new(|_| false);
    net.connect(&token);
    let now = net.now;
    net.client(0).handle_datagram(now, server_address(), &mut acceptance.clone());
    assert_eq!(net.state(0), ClientState::Connecting);
    assert_eq!(net.clients[0].1.counters().dropped_unexpected, 1);
}
