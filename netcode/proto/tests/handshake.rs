//! How sessions begin, stay and end, over good networks and bad ones.

mod common;

use std::time::Duration;

use common::*;
use netcode_proto::channels::{CONTROL, GAME_RELIABLE_ORDERED};
use netcode_proto::{Client, ClientConfig, ClientState, ConnectError, DisconnectReason, ServerEvent};
use netcode_token::{Key, TokenError, mint};
use netcode_wire::Time;

const CONNECTED: ClientState = ClientState::Connected;

fn over(reason: DisconnectReason) -> ClientState {
    ClientState::Disconnected(reason)
}

fn disconnects(events: &[ServerEvent]) -> Vec<DisconnectReason> {
    let reason = |event: &ServerEvent| match event {
        ServerEvent::Disconnected { reason, .. } => Some(*reason),
        ServerEvent::Connected { .. } => None,
    };
    events.iter().filter_map(reason).collect()
}

#[test]
fn a_handshake_is_four_datagrams_of_known_length() {
    let mut net = Net::new(server_config(), 1);
    net.connect(&token(42));
    assert!(net.run_until(|net| net.all_connected() && !net.events.is_empty()));

    let lengths: Vec<_> = net.log.iter().map(|datagram| datagram.bytes.len()).take(4).collect();
    assert_eq!(lengths, [1078, 333, 326, 26]);
    let [ServerEvent::Connected { client, player, user_data }] = &net.events[..] else { panic!() };
    assert_eq!((*player, client.index()), (42, 0));
    assert_eq!(**user_data, spec(42).user_data);
    assert_eq!(net.server.player(*client), Some(42));
    assert_eq!(net.server.client_of_player(42), Some(*client));
    assert_eq!(net.server.address(*client), Some(client_address(0)));
    assert_eq!(net.server.clients().collect::<Vec<_>>(), [*client]);
    assert_eq!(net.clients[0].1.client_index(), Some(0));
    assert_eq!(net.server.handshakes_len(), 0);
}

#[test]
fn handshakes_and_reliable_messages_survive_a_bad_network() {
    for seed in 0..60 {
        let mut net = Net::bad(seed);
        for player in 1..=4 {
            net.connect(&token(player));
        }
        assert!(net.run_until(|net| net.all_connected() && net.server.clients_len() == 4), "seed {seed}");
        let clients: Vec<_> = net.server.clients().collect();
        for number in 0u8..20 {
            let now = net.now;
            for (place, client) in clients.iter().enumerate() {
                net.client(place).send(now, GAME_RELIABLE_ORDERED, &[number]).unwrap();
                net.server.send(now, *client, CONTROL, &[number, 1]).unwrap();
            }
            net.tick();
        }
        let (mut up, mut down) = (vec![vec![]; 4], vec![vec![]; 4]);
        let done = net.run_until(|net| {
            for place in 0..4 {
                up[place]
                    .extend(std::iter::from_fn(|| net.server.poll_message(clients[place])).map(|m| m.1[0]));
                down[place].extend(std::iter::from_fn(|| net.client(place).poll_message()).map(|m| m.1[0]));
            }
            up.iter().chain(&down).all(|messages| messages.len() >= 20)
        });
        assert!(done, "seed {seed}");
        assert!(up.iter().chain(&down).all(|messages| messages.iter().copied().eq(0..20)), "seed {seed}");
        assert!(net.all_connected(), "seed {seed}");
    }
}

#[test]
fn the_keep_alive_is_repeated_until_the_client_has_confirmed() {
    let mut net = Net::new(server_config(), 1);
    let mut lost = 0;
    net.filter = Box::new(move |datagram| {
        lost += u32::from(datagram.from == server_address() && kind(&datagram.bytes) == 4);
        !(datagram.from == server_address() && kind(&datagram.bytes) == 4 && lost <= 5)
    });
    net.connect(&token(1));
    // Payloads flow all the while: they must not stand in for the keep-alive that the client waits for.
    let say = |net: &mut Net| {
        let (now, client) = (net.now, net.server.client_of_player(1));
        client.map(|client| net.server.send(now, client, CONTROL, b"x"));
        while net.client(0).poll_message().is_some() {}
    };
    let connected = net.run_until(|net| {
        say(net);
        net.all_connected()
    });
    assert!(connected);
    assert!(net.now.as_micros() < 800_000, "five lost keep-alives at 10 Hz: {:?}", net.now);
    net.run(Duration::from_millis(300));
    let before = net.log.len();
    for _ in 0..60 {
        say(&mut net);
        net.tick();
    }
    let after = net.log[before..].iter().filter(|datagram| matches!(kind(&datagram.bytes), 4 | 12));
    assert_eq!(after.count(), 0, "once confirmed, payloads are enough");
}

#[test]
fn an_idle_session_sends_two_datagrams_a_second() {
    let mut net = Net::new(server_config(), 1);
    net.connect(&token(1));
    net.run(Duration::from_secs(2));
    let before = (net.sent_by(server_address()), net.sent_by(client_address(0)));
    net.run(Duration::from_secs(20));
    let after = (net.sent_by(server_address()), net.sent_by(client_address(0)));
    assert!((36..=40).contains(&(after.0 - before.0)), "{}", after.0 - before.0);
    assert!((36..=40).contains(&(after.1 - before.1)), "{}", after.1 - before.1);
    assert!(net.all_connected());
}

#[test]
fn a_tick_of_traffic_is_one_datagram() {
    let mut net = Net::new(server_config(), 1);
    net.connect(&token(1));
    net.run(Duration::from_secs(1));
    let client = net.server.client_of_player(1).unwrap();
    let before = net.log.len();
    for _ in 0..60 {
        let now = net.now;
        net.server.send(now, client, CONTROL, &[1; 32]).unwrap();
        net.server.send(now, client, GAME_RELIABLE_ORDERED, &[2; 100]).unwrap();
        net.client(0).send(now, CONTROL, &[3; 40]).unwrap();
        net.tick();
        while net.server.poll_message(client).is_some() || net.client(0).poll_message().is_some() {}
    }
    let sent = &net.log[before..];
    // Beside what finds out how long a datagram the path takes: a few in ten minutes.
    let (probes, sent): (Vec<_>, Vec<_>) =
        sent.iter().partition(|datagram| matches!(kind(&datagram.bytes), 9 | 15));
    let from_server = sent.iter().filter(|datagram| datagram.from == server_address()).count();
    assert_eq!((from_server, sent.len() - from_server), (60, 60));
    assert!(probes.len() <= 12, "{}", probes.len());
}

#[test]
fn silence_ends_a_session_after_the_tokens_timeout() {
    let mut net = Net::new(server_config(), 1);
    net.connect(&token(1));
    net.run(Duration::from_secs(1));
    net.loss = 1.0;
    net.run(Duration::from_millis(4500));
    assert_eq!((net.state(0), net.server.clients_len()), (CONNECTED, 1));
    net.run(Duration::from_secs(1));
    assert_eq!((net.state(0), net.server.clients_len()), (over(DisconnectReason::TimedOut), 0));
    assert_eq!(disconnects(&net.events), [DisconnectReason::TimedOut]);
}

#[test]
fn goodbyes_arrive_over_a_bad_network_and_so_does_what_was_said_before() {
    for seed in 0..40 {
        let mut net = Net::bad(seed);
        net.connect(&token(1));
        net.connect(&token(2));
        assert!(net.run_until(|net| net.all_connected() && net.server.clients_len() == 2));
        net.run(Duration::from_millis(300));
        let now = net.now;
        net.client(0).disconnect(now);
        assert_eq!(net.state(0), over(DisconnectReason::ByUs(0)));
        let second = net.server.client_of_player(2).unwrap();
        net.server.disconnect(now, second, 3);
        net.run(Duration::from_millis(300));
        assert_eq!(net.state(1), over(DisconnectReason::ByPeer), "seed {seed}");
        assert_eq!(disconnects(&net.events), [DisconnectReason::ByUs(3), DisconnectReason::ByPeer]);
        let goodbyes = net.log.iter().filter(|datagram| matches!(kind(&datagram.bytes), 6 | 14));
        assert_eq!(goodbyes.count(), 20, "ten from each side");
    }
}

#[test]
fn the_last_words_of_a_client_can_be_read_after_its_end() {
    let mut net = Net::new(server_config(), 1);
    net.connect(&token(1));
    net.run(Duration::from_secs(1));
    let client = net.server.client_of_player(1).unwrap();
    let now = net.now;
    net.client(0).send(now, CONTROL, b"bye").unwrap();
    net.client(0).disconnect(now);
    assert!(net.run_until(|net| !disconnects(&net.events).is_empty()));
    assert_eq!(net.server.client_of_player(1), None);
    assert_eq!(net.server.player(client), Some(1));
    assert_eq!(net.server.poll_message(client).map(|message| message.1.to_vec()), Some(b"bye".to_vec()));
    net.tick();
    assert_eq!(net.server.player(client), None, "forgotten a step after the event was polled");
}

#[test]
fn a_full_server_denies_and_the_client_goes_on_to_the_next() {
    let mut net = Net::new(server_config(), 1);
    for player in 1..=4 {
        net.connect(&token(player));
    }
    net.run(Duration::from_secs(1));
    assert!(net.all_connected());
    let late = net.connect(&token(5));
    let mut elsewhere = spec(6);
    elsewhere.servers.push("10.9.9.9:1".parse().unwrap());
    let later = net.connect(&mint(&elsewhere, &private_key()).unwrap()[..]);
    net.run(Duration::from_secs(1));
    assert_eq!(net.state(late), over(DisconnectReason::Denied));
    assert_eq!(net.state(later), ClientState::Connecting);
    assert_eq!(net.clients[later].1.server(), "10.9.9.9:1".parse().unwrap());
    assert_eq!(net.server.counters().denied, 2);

    let now = net.now;
    net.client(0).disconnect(now);
    net.run(Duration::from_millis(100));
    let next = net.connect(&token(7));
    assert!(net.run_until(|net| net.state(next) == CONNECTED), "the slot is free again");
    assert_eq!(net.clients[next].1.client_index(), Some(0));
}

#[test]
fn a_client_gives_up_with_a_reason() {
    let mut net = Net::new(server_config(), 1);
    let mut two = spec(1);
    two.servers.insert(0, "10.9.9.9:1".parse().unwrap());
    let second = net.connect(&mint(&two, &private_key()).unwrap()[..]);
    assert!(
        net.run_until(|net| net.state(second) == CONNECTED),
        "the first server is silent, the second is not"
    );

    net.loss = 1.0;
    let silent = net.connect(&token(2));
    let mut short = spec(3);
    (short.expire_unix_s, short.timeout_s) = (UNIX + 2, 0);
    let expired = net.connect(&mint(&short, &private_key()).unwrap()[..]);
    net.run(Duration::from_secs(6));
    assert_eq!(net.state(silent), over(DisconnectReason::RequestTimedOut));
    assert_eq!(net.state(expired), over(DisconnectReason::TokenExpired));

    net.loss = 0.0;
    net.filter = Box::new(|datagram| kind(&datagram.bytes) != 3);
    let unheard = net.connect(&token(4));
    net.run(Duration::from_secs(6));
    assert_eq!(net.state(unheard), over(DisconnectReason::ResponseTimedOut));
}

#[test]
fn a_newer_token_of_the_same_player_takes_over_at_once() {
    for same_address in [true, false] {
        let mut net = Net::new(server_config(), 1);
        net.connect(&token(1));
        net.run(Duration::from_secs(1));
        let old = net.server.client_of_player(1).unwrap();
        let mut newer = spec(1);
        newer.expire_unix_s += 1;
        let address = client_address(if same_address { 0 } else { 1 });
        if same_address {
            net.clients.clear();
        }
        net.connect_from(address, &mint(&newer, &private_key()).unwrap()[..]);
        let begun = net.now;
        assert!(net.run_until(|net| net.clients.last().unwrap().1.state() == CONNECTED));
        assert!(net.now.since(begun) < Duration::from_millis(200), "two round trips, no timeout");
        assert_eq!(disconnects(&net.events), [DisconnectReason::Superseded]);
        let new = net.server.client_of_player(1).unwrap();
        assert_ne!(new, old);
        assert_eq!(net.server.address(new), Some(address));
        net.run(Duration::from_millis(200));
        if !same_address {
            assert_eq!(net.state(0), over(DisconnectReason::ByPeer), "the old one is told");
        }
        assert_eq!(net.server.clients_len(), 1);

        // The token that was replaced is of no use any more, nor is any older one.
        let older = net.clients.len();
        net.connect_from(client_address(8), &token(1));
        net.run(Duration::from_secs(1));
        assert_eq!(net.state(older), over(DisconnectReason::Denied));
        assert_eq!(net.server.client_of_player(1), Some(new));
    }
}

#[test]
fn another_player_at_the_same_address_takes_over_too() {
    let mut net = Net::new(server_config(), 1);
    net.connect(&token(1));
    net.run(Duration::from_secs(1));
    net.clients.clear();
    net.connect_from(client_address(0), &token(2));
    net.run(Duration::from_secs(1));
    assert!(net.all_connected());
    assert_eq!(net.server.client_of_player(1), None);
    assert_eq!(disconnects(&net.events), [DisconnectReason::Superseded]);
    assert_eq!(net.server.clients_len(), 1);
}

#[test]
fn a_client_refuses_a_token_that_is_not_for_it() {
    let connect = |token: &[u8]| Client::connect(Time::ZERO, token, ClientConfig::new(PROTOCOL)).map(|_| ());
    assert_eq!(connect(&[]), Err(ConnectError::Token(TokenError::Truncated)));
    let mut other = spec(1);
    other.protocol_id = 5;
    let token = mint(&other, &Key::generate()).unwrap();
    assert_eq!(connect(&token[..]), Err(ConnectError::WrongProtocol { token: 5, ours: PROTOCOL }));
}

#[test]
fn equal_runs_are_equal_byte_for_byte() {
    // Tokens hold random keys: both runs use the same ones.
    let tokens: Vec<_> = (1..=3).map(token).collect();
    let run = || {
        let mut net = Net::bad(11);
        for token in &tokens {
            net.connect(token);
        }
        net.run(Duration::from_secs(3));
        net.log.into_iter().map(|datagram| (datagram.to, datagram.bytes)).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn the_last_words_of_a_server_go_out_before_its_goodbyes() {
    let mut net = Net::new(server_config(), 1);
    net.connect(&token(1));
    net.run(Duration::from_secs(1));
    let (now, client) = (net.now, net.server.client_of_player(1).unwrap());
    net.server.send(now, client, CONTROL, b"closing").unwrap();
    net.server.disconnect(now, client, 9);
    net.run(Duration::from_millis(100));
    assert_eq!(net.client(0).poll_message().map(|message| message.1.to_vec()), Some(b"closing".to_vec()));
    assert_eq!(net.state(0), over(DisconnectReason::ByPeer));
    assert_eq!(net.server.send(now, client, CONTROL, b"too late"), Ok(()), "its event says that it is gone");
    assert_eq!((net.server.stats(client), net.server.budget_bytes(client)), (None, 0));
}

#[test]
fn an_address_that_was_left_belongs_to_nobody() {
    let mut net = Net::new(server_config(), 1);
    net.connect(&token(1));
    net.run(Duration::from_secs(1));
    let now = net.now;
    net.client(0).disconnect(now);
    net.run(Duration::from_millis(100));
    net.connect_from(client_address(5), &token(2));
    net.run(Duration::from_secs(1));
    net.connect_from(client_address(0), &token(3));
    net.run(Duration::from_secs(1));
    assert_eq!(
        (net.state(1), net.state(2)),
        (CONNECTED, CONNECTED),
        "the slot's next owner is left in peace"
    );
    assert_eq!(net.server.clients_len(), 2);
}
