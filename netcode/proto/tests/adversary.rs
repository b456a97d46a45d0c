//! Strangers, thieves and liars: what they send costs no memory, earns nothing and disturbs nobody.

mod common;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use common::*;
use netcode_proto::channels::{CONTROL, GAME_RELIABLE_ORDERED};
use netcode_proto::{ClientState, Counters, DisconnectReason, LinkError, ServerEvent};
use netcode_token::aead::PacketKey;
use netcode_token::{Key, PublicToken, TokenSpec, mint};
use proptest::prelude::*;

/// The request that a client sends with a token of this spec.
fn request(spec: &TokenSpec, key: &Key) -> Vec<u8> {
    request_with(&mint(spec, key).expect("a sound spec")[..])
}

/// The request that a client sends with this token.
fn request_with(token: &[u8]) -> Vec<u8> {
    let token = PublicToken::decode(token).expect("a token");
    let numbers = [token.protocol_id.to_le_bytes(), token.expire_unix_s.to_le_bytes()].concat();
    [b"\0NETCODE 1.02\0", &numbers[..], &token.nonce, &token.private[..]].concat()
}

/// Two honest clients that have been connected for a second.
fn honest() -> Net {
    let mut net = Net::new(server_config(), 1);
    net.connect(&token(1));
    net.connect(&token(2));
    net.run(Duration::from_secs(1));
    assert!(net.all_connected());
    net
}

/// Twenty messages each way between server and every client, all of which must arrive.
fn assert_undisturbed(net: &mut Net) {
    let clients: Vec<_> =
        (1..=2).map(|player| net.server.client_of_player(player).expect("still there")).collect();
    for number in 0u8..20 {
        let now = net.now;
        for (place, &client) in clients.iter().enumerate() {
            net.server.send(now, client, CONTROL, &[number]).expect("room");
            net.client(place).send(now, GAME_RELIABLE_ORDERED, &[number]).expect("room");
        }
        net.tick();
    }
    net.run(Duration::from_millis(200));
    for (place, &client) in clients.iter().enumerate() {
        let up: Vec<u8> = std::iter::from_fn(|| net.server.poll_message(client)).map(|m| m.1[0]).collect();
        let down: Vec<u8> = std::iter::from_fn(|| net.client(place).poll_message()).map(|m| m.1[0]).collect();
        assert!(up.iter().copied().eq(0..20) && down.iter().copied().eq(0..20), "{up:?} {down:?}");
    }
    assert!(net.all_connected());
    let gone = net.events.iter().filter(|event| matches!(event, ServerEvent::Disconnected { .. }));
    assert_eq!(gone.count(), 0);
}

#[test]
fn a_stranger_earns_no_byte_and_costs_no_memory() {
    let mut net = honest();
    let tokens = net.server.tokens_len();
    let mut rng = fastrand::Rng::with_seed(3);
    for round in 0..20_000u32 {
        let len = [rng.usize(0..64), 18, 26, 326, 333, 1078, rng.usize(0..1500)][rng.usize(0..7)];
        let mut bytes: Vec<u8> = (0..len).map(|_| rng.u8(..)).collect();
        if let Some(prefix) = bytes.first_mut() {
            *prefix = [0, rng.u8(0..0xff), 0x10 | rng.u8(0..8), 0x80 | rng.u8(0..8)][rng.usize(0..4)];
        }
        if len == 1078 && rng.bool() {
            bytes[..14].copy_from_slice(b"\0NETCODE 1.02\0");
            bytes[14..22].copy_from_slice(&PROTOCOL.to_le_bytes());
            bytes[22..30].copy_from_slice(&(UNIX + 20).to_le_bytes());
        }
        // From nowhere, and from the very address of an honest client.
        let from = if rng.bool() { client_address(rng.u16(100..900)) } else { client_address(rng.u16(0..2)) };
        assert!(net.inject(from, &bytes).is_empty(), "round {round}");
    }
    assert_eq!((net.server.handshakes_len(), net.server.tokens_len()), (0, tokens));
    assert_undisturbed(&mut net);
}

#[test]
fn a_request_earns_less_than_it_cost() {
    let mut net = honest();
    let request = request(&spec(9), &private_key());
    assert_eq!(request.len(), 1078);
    for _ in 0..5 {
        let answer = net.inject(client_address(9), &request);
        assert_eq!(answer.iter().map(|datagram| datagram.bytes.len()).collect::<Vec<_>>(), [333]);
    }
    assert_eq!(net.server.handshakes_len(), 1);
}

#[test]
fn a_request_must_be_whole_true_ours_and_young() {
    let check = |spec: &TokenSpec, key: &Key, bend: &dyn Fn(&mut Vec<u8>), dropped: fn(&Counters) -> u64| {
        let mut net = Net::new(server_config(), 1);
        net.run(Duration::from_millis(100));
        let mut bytes = request(spec, key);
        bend(&mut bytes);
        assert!(net.inject(client_address(9), &bytes).is_empty());
        assert_eq!(dropped(net.server.counters()), 1, "{:?}", net.server.counters());
        assert_eq!((net.server.handshakes_len(), net.server.tokens_len()), (0, 0));
    };
    let (good, key) = (spec(9), private_key());
    let invalid = |counters: &Counters| counters.requests_invalid;
    let expired = |counters: &Counters| counters.requests_expired;

    check(&good, &Key::from_bytes([1; 32]), &|_| (), invalid);
    check(&TokenSpec { protocol_id: 1, ..good.clone() }, &key, &|_| (), invalid);
    check(
        &TokenSpec { servers: vec!["10.0.0.2:4000".parse().unwrap()], ..good.clone() },
        &key,
        &|_| (),
        invalid,
    );
    check(&TokenSpec { expire_unix_s: UNIX, ..good.clone() }, &key, &|_| (), expired);
    for len in [1, 17, 1077] {
        check(&good, &key, &|bytes| bytes.truncate(len), invalid);
    }
    check(&good, &key, &|bytes| bytes.push(0), invalid);
    // 1..14 version, 14..22 protocol, 22..30 expiry, 30..54 nonce, 54..1078 the private part and its tag.
    for place in [1, 13, 14, 21, 22, 30, 53, 54, 500, 1061, 1062, 1077] {
        check(&good, &key, &|bytes| bytes[place] ^= 1, invalid);
    }
    check(&good, &key, &|bytes| bytes[22..30].fill(0), expired);
}

#[test]
fn a_token_is_good_for_one_address_and_one_session() {
    let mut net = Net::new(server_config(), 1);
    let token = token(1);
    net.connect(&token);
    net.run(Duration::from_millis(50));
    // The thief copies the request while the owner is still shaking hands, and again later.
    let stolen = net.log[0].bytes.clone();
    assert!(net.inject(client_address(66), &stolen).is_empty());
    net.run(Duration::from_secs(1));
    assert!(net.all_connected());
    assert!(net.inject(client_address(66), &stolen).is_empty());
    assert_eq!(net.server.counters().requests_reused, 2);

    // Its session once over, the token is spent for the owner too: a second one would reuse its sequences.
    let now = net.now;
    net.client(0).disconnect(now);
    net.run(Duration::from_millis(200));
    assert_eq!(net.server.clients_len(), 0);
    assert!(net.inject(client_address(0), &stolen).is_empty());
    assert_eq!(net.server.counters().requests_reused, 3);

    // And when it has expired, nothing of it is kept.
    net.run(Duration::from_secs(31));
    assert_eq!(net.server.tokens_len(), 0);
    assert!(net.inject(client_address(0), &stolen).is_empty());
    assert_eq!(net.server.counters().requests_expired, 1);
}

#[test]
fn everything_replayed_changes_nothing() {
    let mut net = honest();
    assert_undisturbed(&mut net);
    let record = net.log.clone();
    let events = net.events.len();
    for datagram in &record {
        if datagram.to == server_address() {
            assert!(net.inject(datagram.from, &datagram.bytes).is_empty());
        } else {
            let (now, place) = (net.now, usize::from(datagram.to.port() - 5000));
            net.client(place).handle_datagram(now, server_address(), &mut datagram.bytes.clone());
            assert!(net.client(place).poll_transmit().is_none());
        }
    }
    assert_eq!(net.events.len(), events);
    let replayed = net.server.counters().dropped_replayed;
    let sealed =
        record.iter().filter(|datagram| datagram.to == server_address() && kind(&datagram.bytes) >= 4);
    assert_eq!(replayed, sealed.count() as u64);
    assert_undisturbed(&mut net);
}

#[test]
fn no_sequence_seals_twice_and_the_two_spaces_never_meet() {
    let mut net = Net::bad(5);
    net.connect(&token(1));
    net.connect(&token(2));
    net.run(Duration::from_secs(2));
    // One of them moves: sequences go on where they were.
    net.rebind(0, client_address(9));
    net.run(Duration::from_secs(2));
    assert_eq!(net.server.counters().paths_moved, 1);
    for player in 1..=2 {
        let (now, client) = (net.now, net.server.client_of_player(player).unwrap());
        net.server.disconnect(now, client, 0);
    }
    net.run(Duration::from_secs(1));
    let mut seen: HashMap<_, Vec<u64>> = HashMap::new();
    for datagram in net.log.iter().filter(|datagram| datagram.bytes[0] != 0) {
        let from_client = datagram.to == server_address();
        let read = if from_client { client_sequence } else { sequence };
        let sequence = read(&datagram.bytes);
        let global = matches!(kind(&datagram.bytes), 1 | 2);
        assert_eq!(global, sequence >= 1 << 63);
        assert!((1..=8).contains(&(datagram.bytes[0] >> 4)));
        // Both forms count in one space, wherever the client is: a key never sees a sequence twice.
        let client = if from_client { datagram.from } else { datagram.to };
        let player = if client == client_address(9) { client_address(0) } else { client };
        seen.entry((from_client, player)).or_default().push(sequence);
    }
    assert_eq!(seen.len(), 4);
    for (pair, mut sequences) in seen {
        let sent = sequences.len();
        sequences.sort_unstable();
        sequences.dedup();
        assert_eq!(sequences.len(), sent, "{pair:?}");
    }
}

#[test]
fn a_client_that_breaks_the_rules_is_closed_and_only_that_one() {
    let mut net = honest();
    let token = token(3);
    let evil = net.connect(&token);
    net.run(Duration::from_secs(1));
    let client = net.server.client_of_player(3).unwrap();
    // Authentic, and no body that any link writes: flags without `ACK`.
    let answer = net.inject(client_address(evil as u16), &seal_as_client(&token, 5, 0xff, &[4]));
    assert_eq!(answer.len(), 10, "ten disconnects");
    net.run(Duration::from_millis(100));
    let reason = DisconnectReason::Misbehaved(LinkError::Malformed("body head"));
    assert_eq!(net.events.last(), Some(&ServerEvent::Disconnected { client, reason }));
    assert_eq!(net.state(evil), ClientState::Disconnected(DisconnectReason::ByPeer));
    net.clients.truncate(2);
    net.events.clear();
    assert_undisturbed(&mut net);
}

#[test]
fn a_packet_of_a_session_never_has_a_sequence_of_the_server_s_own_space() {
    let mut net = honest();
    let token = PublicToken::decode(&token(1)).expect("a token");
    let (up, down) = (PacketKey::new(&token.client_to_server), PacketKey::new(&token.server_to_client));
    for sequence in [1 << 63, (1 << 63) + 7, u64::MAX - 1, u64::MAX] {
        for packet in [4, 5, 6] {
            let text: &[u8] = [&[0; 8][..], &[0, 0x80, 1], &[]][packet as usize - 4];
            net.inject(client_address(0), &seal_with(&up, packet, &[], sequence, text));
            let mut datagram = seal_with(&down, packet, &[], sequence, text);
            let now = net.now;
            net.client(0).handle_datagram(now, server_address(), &mut datagram);
        }
    }
    let client = net.clients[0].1.counters();
    assert_eq!((net.server.counters().dropped_malformed, client.dropped_malformed), (12, 12));
    assert_undisturbed(&mut net);
}

#[test]
fn handshakes_that_nobody_finishes_are_bounded_and_pass() {
    let mut net = honest();
    for player in 0..300 {
        net.inject(client_address(1000 + player), &request(&spec(1000 + u64::from(player)), &private_key()));
    }
    // 2 × 4 slots + 64.
    assert_eq!(net.server.handshakes_len(), 72);
    assert_eq!(net.server.counters().requests_overflowed, 228);
    net.run(Duration::from_secs(6));
    assert_eq!(net.server.handshakes_len(), 0);
    let late = net.connect(&token(3));
    assert!(net.run_until(|net| net.state(late) == ClientState::Connected));
    assert_undisturbed(&mut net);
}

#[test]
fn a_response_from_elsewhere_or_to_another_challenge_admits_nobody() {
    let mut net = Net::new(server_config(), 1);
    net.filter = Box::new(|datagram| kind(&datagram.bytes) != 3);
    net.connect(&token(1));
    net.connect(&token(2));
    net.run(Duration::from_millis(200));
    let responses: Vec<_> = net.log.iter().filter(|datagram| kind(&datagram.bytes) == 3).cloned().collect();
    let (first, second) = (
        responses.iter().find(|datagram| datagram.from == client_address(0)).unwrap(),
        responses.iter().find(|datagram| datagram.from == client_address(1)).unwrap(),
    );
    assert!(net.inject(client_address(7), &first.bytes).is_empty());
    assert_eq!(net.server.counters().dropped_unknown, 1);
    assert!(net.inject(client_address(0), &second.bytes).is_empty());
    assert_eq!(net.server.counters().dropped_forged, 1);
    assert_eq!(net.server.clients_len(), 0);
    assert_eq!(net.inject(client_address(0), &first.bytes).len(), 1, "the true one does");
}

/// Seals a packet as the client of `token` would.
fn seal_as_client(token: &[u8], kind: u8, sequence: u8, text: &[u8]) -> Vec<u8> {
    let key = PacketKey::new(&PublicToken::decode(token).expect("a token").client_to_server);
    let mut datagram = vec![0x10 | kind, sequence];
    datagram.extend_from_slice(text);
    let associated = [b"NETCODE 1.02\0", &PROTOCOL.to_le_bytes()[..], &datagram[..1]].concat();
    let tag = key.seal(u64::from(sequence), &associated, &mut datagram[2..]);
    datagram.extend_from_slice(&tag);
    datagram
}

/// The challenge that the server sent to `address`, opened with the client's key.
fn challenge_at(net: &Net, address: SocketAddr, token: &[u8]) -> Vec<u8> {
    let is_it = |datagram: &&Datagram| datagram.to == address && kind(&datagram.bytes) == 2;
    let mut bytes = net.log.iter().find(is_it).expect("it was challenged").bytes.clone();
    let key = PacketKey::new(&PublicToken::decode(token).expect("a token").server_to_client);
    let associated = [b"NETCODE 1.02\0", &PROTOCOL.to_le_bytes()[..], &bytes[..1]].concat();
    let sequence = sequence(&bytes);
    key.open(sequence, &associated, &mut bytes[9..]).expect("ours").to_vec()
}

#[test]
fn a_challenge_answers_for_its_own_token_only() {
    // The attacker holds two tokens, even of one player: one it shows from home, one with a forged sender.
    for second in [1, 2] {
        let mut net = Net::new(server_config(), 1);
        net.filter = Box::new(|_| false);
        let (mine, forged) = (token(1), token(second));
        net.connect(&mine);
        net.connect(&forged);
        net.tick();
        for place in 0..2 {
            let Datagram { from, bytes, .. } = net.log[place].clone();
            net.inject(from, &bytes);
        }
        let seen = challenge_at(&net, client_address(0), &mine);
        let unseen = challenge_at(&net, client_address(1), &forged);
        let answer = net.inject(client_address(1), &seal_as_client(&forged, 3, 0, &seen));
        assert!(answer.is_empty());
        assert_eq!((net.server.counters().dropped_forged, net.server.clients_len()), (1, 0));
        assert_eq!(net.inject(client_address(1), &seal_as_client(&forged, 3, 0, &unseen)).len(), 1);
    }
}

#[test]
fn nobody_is_admitted_while_events_wait_to_be_polled() {
    let mut net = Net::new(server_config(), 1);
    // 4 × 4 slots + 64 events, two for each player who comes and goes.
    for player in 0..60u8 {
        let token = token(u64::from(player) + 1);
        let address = client_address(u16::from(player));
        net.inject(address, &request_with(&token));
        let challenge = challenge_at(&net, address, &token);
        net.inject(address, &seal_as_client(&token, 3, 0, &challenge));
        net.inject(address, &seal_as_client(&token, 6, 1, &[]));
    }
    let events = std::iter::from_fn(|| net.server.poll_event()).count();
    assert_eq!(events, 80);
    assert_eq!(net.server.counters().connected, 40);
    assert_eq!(net.server.counters().requests_overflowed, 20);
}

#[test]
fn a_client_listens_to_its_server_only_and_to_nothing_before_its_time() {
    let mut net = Net::new(server_config(), 1);
    net.filter = Box::new(|datagram| datagram.to == server_address() || kind(&datagram.bytes) == 2);
    net.connect(&token(1));
    net.run(Duration::from_millis(200));
    let client = net.server.client_of_player(1).unwrap();
    net.server.send(net.now, client, CONTROL, b"early").unwrap();
    net.tick();
    let of_kind = |net: &Net, number: u8| {
        let found = net
            .log
            .iter()
            .find(|datagram| datagram.from == server_address() && kind(&datagram.bytes) == number);
        found.expect("it was sent").bytes.clone()
    };
    let (keep_alive, payload) = (of_kind(&net, 4), of_kind(&net, 5));
    let now = net.now;
    let state = |net: &mut Net, from: SocketAddr, bytes: &[u8]| {
        net.client(0).handle_datagram(now, from, &mut bytes.to_vec());
        net.state(0)
    };
    assert_eq!(state(&mut net, server_address(), &payload), ClientState::Connecting);
    assert_eq!(net.clients[0].1.counters().dropped_unexpected, 1);
    assert_eq!(state(&mut net, client_address(5), &keep_alive), ClientState::Connecting);
    assert_eq!(net.clients[0].1.counters().dropped_unknown, 1);
    assert_eq!(state(&mut net, server_address(), &keep_alive), ClientState::Connected);
    assert!(net.client(0).poll_message().is_none());
    // What came too early was not taken for seen: a copy that comes late is welcome.
    state(&mut net, server_address(), &payload);
    assert_eq!(net.client(0).poll_message().map(|message| message.1.to_vec()), Some(b"early".to_vec()));
}

#[test]
fn a_server_whose_outbox_nobody_polls_stays_bounded() {
    let mut net = honest();
    let request = request(&spec(9), &private_key());
    // Each is answered with 333 bytes; the outbox holds 49 MB of them and the datagram that filled it.
    let rounds = 4096 * 10 * 1200 / 333 + 100;
    for _ in 0..rounds {
        net.server.handle_datagram(net.now, client_address(9), &mut request.clone());
    }
    let counters = net.server.counters();
    assert!(counters.outbox_overflowed > 90 && counters.outbox_overflowed < 100, "{counters:?}");
    assert_eq!(net.server.handshakes_len(), 1);
    while net.server.poll_transmit().is_some() {}
    assert_undisturbed(&mut net);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn random_bytes_and_flipped_bits_never_disturb_the_honest(
        garbage in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..1300), any::<bool>(), 0u16..4), 0..40),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u8..8), 0..60),
    ) {
        let mut net = honest();
        assert_undisturbed(&mut net);
        for (bytes, to_server, number) in garbage {
            if to_server {
                prop_assert!(net.inject(client_address(number), &bytes).is_empty());
            } else {
                let now = net.now;
                net.client(usize::from(number % 2)).handle_datagram(now, server_address(), &mut bytes.clone());
            }
        }
        let record = net.log.clone();
        for (which, place, bit) in flips {
            let mut datagram = record[which.index(record.len())].clone();
            let place = place.index(datagram.bytes.len());
            datagram.bytes[place] ^= 1 << bit;
            if datagram.to == server_address() {
                prop_assert!(net.inject(datagram.from, &datagram.bytes).is_empty());
            } else {
                let (now, number) = (net.now, usize::from(datagram.to.port() - 5000));
                net.client(number).handle_datagram(now, server_address(), &mut datagram.bytes);
            }
        }
        assert_undisturbed(&mut net);
    }
}
