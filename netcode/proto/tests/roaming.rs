//! Sessions that move: through loss and reordering, past thieves, copies and lies, and never at the cost of a third.

mod common;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use common::*;
use netcode_proto::channels::{CONTROL, GAME_RELIABLE_ORDERED};
use netcode_proto::{
    ClientConfig, ClientId, ClientState, DisconnectReason, Extensions, ServerConfig, ServerEvent,
};
use proptest::prelude::*;

const ELSEWHERE: u16 = 700;
const PATH_CHALLENGE: u8 = 10;
const PATH_RESPONSE: u8 = 11;

/// A net with one extended client of player 1, connected for a second.
fn settled(seed: u64) -> (Net, ClientId, Vec<u8>) {
    let (mut net, token) = (Net::new(server_config(), seed), token(1));
    net.connect(&token);
    net.run(Duration::from_secs(1));
    assert_eq!(net.server.counters().extended, 1);
    let client = net.server.client_of_player(1).expect("connected");
    (net, client, token)
}

/// A message each way every tick, for `ticks`; gives what arrived up and down.
fn talk(net: &mut Net, client: ClientId, ticks: u8) -> [Vec<u8>; 2] {
    let mut got = [vec![], vec![]];
    for number in 0..ticks {
        say(net, client, number);
        net.tick();
        listen(net, client, &mut got);
    }
    got
}

fn say(net: &mut Net, client: ClientId, number: u8) {
    let now = net.now;
    net.server.send(now, client, CONTROL, &[number]).expect("room");
    net.client(0).send(now, GAME_RELIABLE_ORDERED, &[number]).expect("room");
}

fn listen(net: &mut Net, client: ClientId, [up, down]: &mut [Vec<u8>; 2]) {
    up.extend(std::iter::from_fn(|| net.server.poll_message(client)).map(|message| message.1[0]));
    down.extend(std::iter::from_fn(|| net.client(0).poll_message()).map(|message| message.1[0]));
}

/// For every address that is not in `homes`: never more bytes to it than came from it, at no moment of the log, and
/// nothing but challenges before its first path response.
fn assert_no_amplification(log: &[Datagram], homes: &[SocketAddr]) {
    let mut accounts: HashMap<SocketAddr, (i64, bool)> = HashMap::new();
    for datagram in log {
        let (other, inbound) = match datagram.to == server_address() {
            true => (datagram.from, true),
            false => (datagram.to, false),
        };
        if homes.contains(&other) {
            continue;
        }
        let (credit, answered) = accounts.entry(other).or_default();
        if inbound {
            *credit += datagram.bytes.len() as i64;
            *answered |= kind(&datagram.bytes) == PATH_RESPONSE;
        } else if !*answered {
            *credit -= datagram.bytes.len() as i64;
            assert_eq!(kind(&datagram.bytes), PATH_CHALLENGE, "{other}");
            assert!(*credit >= 0, "{other} got {} bytes too many", -*credit);
        }
    }
}

#[test]
fn a_session_moves_within_two_round_trips_and_nobody_else_notices() {
    let (mut net, client, _) = settled(1);
    assert!(talk(&mut net, client, 10)[0].len() > 5);
    net.rebind(0, client_address(ELSEWHERE));
    let begun = net.now;
    let mut got = [vec![], vec![]];
    let moved = net.run_until(|net| {
        say(net, client, 1);
        listen(net, client, &mut got);
        net.server.address(client) == Some(client_address(ELSEWHERE))
    });
    // Packet, challenge, response: 20 ms each, and what arrives waits for the next tick of 16.7 ms.
    assert!(moved && net.now.since(begun) <= Duration::from_millis(135), "{:?}", net.now.since(begun));
    assert_eq!(net.server.client_of_player(1), Some(client));
    assert_eq!(net.events.len(), 1, "the client was connected once and that is all");
    assert_no_amplification(&net.log, &[client_address(0)]);
    let counters = net.server.counters();
    assert_eq!(counters.paths_moved, 1);
    assert!(counters.paths_challenged <= 2, "an answer takes 67 ms here, and after 50 it is asked again");
    net.run(Duration::from_secs(1));
    talk(&mut net, client, 30);
    assert!(net.all_connected());
}

#[test]
fn an_idle_session_moves_with_its_next_keep_alive() {
    let (mut net, client, _) = settled(1);
    net.run(Duration::from_secs(2));
    net.rebind(0, client_address(ELSEWHERE));
    net.run(Duration::from_millis(650));
    assert_eq!(net.server.address(client), Some(client_address(ELSEWHERE)));
    net.run(Duration::from_secs(10));
    assert_eq!((net.state(0), net.server.clients_len()), (ClientState::Connected, 1));
    assert_no_amplification(&net.log, &[client_address(0)]);
}

#[test]
fn nothing_reliable_is_lost_on_the_way_through_a_bad_network() {
    for seed in 0..40 {
        let mut net = Net::bad(seed);
        net.connect(&token(1));
        assert!(
            net.run_until(|net| net.all_connected() && net.server.counters().extended == 1),
            "seed {seed}"
        );
        let client = net.server.client_of_player(1).expect("connected");
        let mut got = [vec![], vec![]];
        for number in 0..120u8 {
            if number % 40 == 20 {
                net.rebind(0, client_address(ELSEWHERE + u16::from(number)));
            }
            say(&mut net, client, number);
            net.tick();
            listen(&mut net, client, &mut got);
        }
        let done = net.run_until(|net| {
            listen(net, client, &mut got);
            got.iter().all(|messages| messages.len() >= 120)
        });
        assert!(done && got.iter().all(|messages| messages.iter().copied().eq(0..120)), "seed {seed}");
        assert_eq!(net.server.address(client), Some(client_address(ELSEWHERE + 100)), "seed {seed}");
        assert_eq!(net.events.len(), 1, "seed {seed}");
        assert_no_amplification(&net.log, &[client_address(0)]);
    }
}

#[test]
fn a_restless_client_is_caught_when_it_rests() {
    let (mut net, client, _) = settled(1);
    let mut got = [vec![], vec![]];
    for hop in 0..40u8 {
        net.rebind(0, client_address(ELSEWHERE + u16::from(hop)));
        for _ in 0..2 {
            say(&mut net, client, hop);
            net.tick();
            listen(&mut net, client, &mut got);
        }
    }
    assert_eq!(net.server.address(client), Some(client_address(0)), "no stay was long enough for an answer");
    net.run(Duration::from_secs(1));
    listen(&mut net, client, &mut got);
    assert_eq!(net.server.address(client), Some(client_address(ELSEWHERE + 39)));
    assert!(got.iter().all(|messages| messages.len() == 80));
    assert_no_amplification(&net.log, &[client_address(0)]);
}

#[test]
fn two_clients_behind_one_router_may_change_places() {
    let mut net = Net::new(server_config(), 1);
    net.connect(&token(1));
    net.connect(&token(2));
    net.run(Duration::from_secs(1));
    let clients: Vec<_> =
        (1..=2).map(|player| net.server.client_of_player(player).expect("connected")).collect();
    net.rebind(0, client_address(1));
    net.rebind(1, client_address(0));
    net.run(Duration::from_secs(1));
    assert_eq!(net.server.address(clients[0]), Some(client_address(1)));
    assert_eq!(net.server.address(clients[1]), Some(client_address(0)));
    net.run(Duration::from_secs(10));
    assert!(net.all_connected() && net.server.clients_len() == 2 && net.events.len() == 2);

    // One leaves: the other is still found, and so is who comes to the address that is free.
    let now = net.now;
    net.client(0).disconnect(now);
    net.run(Duration::from_millis(200));
    assert_eq!(net.server.clients_len(), 1);
    net.clients.remove(0);
    net.connect_from(client_address(1), &token(3));
    net.run(Duration::from_secs(6));
    assert!(net.all_connected() && net.server.clients_len() == 2);
}

#[test]
fn whoever_comes_to_an_address_takes_over_from_who_is_there_now() {
    let mut net = Net::new(server_config(), 1);
    net.connect(&token(1));
    net.connect(&token(2));
    net.run(Duration::from_secs(1));
    // The first moves to where the second is, and the second elsewhere: that address is the first one's now.
    net.rebind(1, client_address(9));
    net.rebind(0, client_address(1));
    net.run(Duration::from_secs(1));
    net.clients.remove(0);
    net.connect_from(client_address(1), &token(3));
    net.run(Duration::from_secs(1));
    assert!(net.all_connected());
    assert_eq!((net.server.client_of_player(1), net.server.clients_len()), (None, 2));
}

#[test]
fn a_plain_session_does_not_move_and_makes_way() {
    let (mut net, client, _) = settled(1);
    let plain = ClientConfig { extensions: Extensions::NONE, ..ClientConfig::new(PROTOCOL) };
    net.connect_with(client_address(5), &token(2), plain);
    net.run(Duration::from_secs(1));
    // Its router forgot it and gave its port to the other one.
    net.rebind(1, client_address(6));
    let unknown = net.server.counters().dropped_unknown;
    net.run(Duration::from_secs(1));
    assert!(net.server.counters().dropped_unknown > unknown);
    net.rebind(0, client_address(5));
    net.run(Duration::from_secs(1));
    assert_eq!(net.server.address(client), Some(client_address(5)));
    let last = net.events.last();
    assert!(
        matches!(last, Some(ServerEvent::Disconnected { reason: DisconnectReason::Superseded, .. })),
        "{last:?}"
    );
    talk(&mut net, client, 10);
    assert_eq!(net.state(0), ClientState::Connected);
}

#[test]
fn copies_old_and_late_move_nothing_and_earn_nothing() {
    let (mut net, client, _) = settled(1);
    talk(&mut net, client, 20);
    net.run(Duration::from_millis(100));
    // Everything that ever went to the server, from elsewhere.
    let record = net.log.clone();
    for datagram in record.iter().filter(|datagram| datagram.to == server_address() && datagram.bytes[0] != 0)
    {
        assert!(net.inject(client_address(ELSEWHERE), &datagram.bytes).is_empty());
    }
    // What the server never saw, but newer ones of which it saw: late, not stolen.
    net.filter = Box::new(|datagram| datagram.to != server_address());
    let before = net.log.len();
    talk(&mut net, client, 3);
    let lost: Vec<_> =
        net.log[before..].iter().filter(|datagram| datagram.to == server_address()).cloned().collect();
    assert!(lost.len() >= 3);
    net.filter = Box::new(|_| true);
    talk(&mut net, client, 5);
    for datagram in lost {
        assert!(net.inject(client_address(ELSEWHERE), &datagram.bytes).is_empty());
    }
    assert_eq!(net.server.counters().paths_challenged, 0);
    assert_eq!(net.server.address(client), Some(client_address(0)));
    talk(&mut net, client, 10);
    assert!(net.all_connected());
}

#[test]
fn a_thief_of_the_newest_packet_is_asked_and_cannot_answer() {
    let (mut net, client, _) = settled(1);
    let thief = client_address(ELSEWHERE);
    let (mut earned, mut paid) = (0, 0);
    for round in 0..20u8 {
        // He takes a packet out of the air and sends it himself.
        net.filter = Box::new(|datagram| datagram.to != server_address());
        say(&mut net, client, round);
        let before = net.log.len();
        net.tick();
        net.tick();
        net.filter = Box::new(|_| true);
        let newest = net.log[before..].iter().rfind(|datagram| datagram.to == server_address()).cloned();
        let stolen = newest.expect("the client spoke").bytes;
        let answer = net.inject(thief, &stolen);
        earned += answer.iter().map(|datagram| datagram.bytes.len()).sum::<usize>();
        paid += stolen.len();
        assert!(earned <= paid, "{earned} of {paid}");
        assert_eq!(answer.first().map(|datagram| kind(&datagram.bytes)), Some(PATH_CHALLENGE));
        // He hands the challenge on to the client as if it came from the server: its answer comes from home.
        let now = net.now;
        net.client(0).handle_datagram(now, server_address(), &mut answer[0].bytes.clone());
        talk(&mut net, client, 8);
        // And the answer he saw he sends once more, from his address.
        let is_answer = |datagram: &&Datagram| kind(&datagram.bytes) == PATH_RESPONSE;
        let response = net.log.iter().rfind(is_answer).expect("the client answered").bytes.clone();
        assert!(net.inject(thief, &response).is_empty());
        assert_eq!(net.server.address(client), Some(client_address(0)));
    }
    assert_eq!(net.server.counters().paths_moved, 0);
    let to_thief: usize = net.log.iter().filter(|datagram| datagram.to == thief).map(|d| d.bytes.len()).sum();
    assert_eq!(to_thief, earned, "and nothing later");
    assert!(net.all_connected() && net.events.len() == 1);
}

#[test]
fn whoever_carried_the_packets_for_a_while_loses_the_session_when_he_stops() {
    let (mut net, client, _) = settled(1);
    // Out of everybody's sight but his: as a router on the way, he overtakes each packet.
    let carrier = client_address(ELSEWHERE);
    net.rebind(0, carrier);
    net.run(Duration::from_secs(1));
    assert_eq!(net.server.address(client), Some(carrier));
    net.rebind(0, client_address(0));
    net.run(Duration::from_secs(1));
    assert_eq!(net.server.address(client), Some(client_address(0)), "home is a path like any other");
    assert_eq!((net.server.counters().paths_moved, net.events.len()), (2, 1));
}

#[test]
fn an_answer_must_be_right_from_there_and_asked_for() {
    let (mut net, client, token) = settled(1);
    let keys = net.extended_keys(client_address(0), &token);
    net.clients.clear();
    let (home, away) = (client_address(0), client_address(ELSEWHERE));
    let mut sequence = 500;
    let mut send = |net: &mut Net, from: SocketAddr, kind: u8, text: &[u8]| {
        sequence += 1;
        net.inject(from, &seal_with(&keys.up, kind, &keys.id, sequence, text))
    };
    let unexpected = |net: &Net| net.server.counters().dropped_unexpected;
    // Nobody asked.
    send(&mut net, home, PATH_RESPONSE, &[0; 8]);
    assert_eq!(unexpected(&net), 1);
    // Asked there, and answered wrongly, or rightly from elsewhere.
    let challenge = send(&mut net, away, 12, &[0; 8]);
    let cookie = open_with(&keys.down, &challenge[0].bytes);
    let mut wrong = cookie.clone();
    wrong[7] ^= 1;
    send(&mut net, away, PATH_RESPONSE, &wrong);
    send(&mut net, client_address(ELSEWHERE + 1), PATH_RESPONSE, &cookie);
    assert_eq!((unexpected(&net), net.server.address(client)), (3, Some(home)));
    // That address is the one in doubt now, and its challenge is another one.
    send(&mut net, away, PATH_RESPONSE, &cookie);
    assert_eq!((unexpected(&net), net.server.address(client)), (4, Some(home)));
    net.run(Duration::from_millis(60));
    let challenge = send(&mut net, away, 12, &[0; 8]);
    let again = open_with(&keys.down, &challenge[0].bytes);
    assert_ne!(again, cookie, "an answer is good for one doubt");
    send(&mut net, away, PATH_RESPONSE, &again);
    assert_eq!((unexpected(&net), net.server.address(client)), (4, Some(away)));
    // Once there, it is asked no more.
    send(&mut net, away, PATH_RESPONSE, &again);
    assert_eq!(unexpected(&net), 5);
}

#[test]
fn a_client_that_names_victims_gets_them_no_more_than_it_sends() {
    let (mut net, client, token) = settled(1);
    let keys = net.extended_keys(client_address(0), &token);
    net.clients.clear();
    let (mut came, mut went) = (0, 0);
    for sequence in 0..4000u64 {
        // Keep-alives and the shortest payloads, in bursts, from ever new addresses and back again.
        let from = SocketAddr::from(([172, 16, (sequence % 7) as u8, (sequence / 50) as u8], 53));
        let (kind, text): (u8, &[u8]) = if sequence % 3 == 0 { (12, &[0; 8]) } else { (13, &[0]) };
        let datagram = seal_with(&keys.up, kind, &keys.id, 1000 + sequence, text);
        came += datagram.len();
        let answer = net.inject(from, &datagram);
        assert!(answer.iter().all(|datagram| datagram.to == from && datagram.bytes.len() <= 33));
        went += answer.iter().map(|datagram| datagram.bytes.len()).sum::<usize>();
        if sequence % 10 == 0 {
            net.now += TICK;
        }
    }
    assert!(went > 0 && went <= came, "{went} of {came}");
    assert_eq!((net.server.address(client), net.server.clients_len()), (Some(client_address(0)), 1));
}

#[test]
fn who_does_not_have_the_keys_is_nobody_wherever_he_is() {
    let (mut net, client, token) = settled(1);
    let keys = net.extended_keys(client_address(0), &token);
    let forged = netcode_token::aead::PacketKey::new(&netcode_token::Key::from_bytes([3; 32]));
    for sequence in 0..200u64 {
        for (id, from) in
            [(keys.id, ELSEWHERE), (keys.id, 0), ([0xff, 0xff, 1, 2], ELSEWHERE), ([0, 0, 7, 7], ELSEWHERE)]
        {
            let datagram = seal_with(&forged, 12, &id, 10_000 + sequence, &[0; 8]);
            assert!(net.inject(client_address(from), &datagram).is_empty());
        }
    }
    let counters = net.server.counters();
    assert_eq!((counters.dropped_forged, counters.dropped_unknown), (400, 400));
    assert_eq!((counters.paths_challenged, net.server.address(client)), (0, Some(client_address(0))));
    talk(&mut net, client, 10);
    assert!(net.all_connected());
}

#[test]
fn a_goodbye_from_a_new_address_is_heard_and_not_answered() {
    let (mut net, _, _) = settled(1);
    net.rebind(0, client_address(ELSEWHERE));
    let now = net.now;
    net.client(0).disconnect(now);
    net.run(Duration::from_millis(300));
    assert_eq!(net.server.clients_len(), 0);
    let sent = net.log.iter().filter(|datagram| datagram.to == client_address(ELSEWHERE));
    assert_eq!(sent.count(), 0);
}

#[test]
fn a_server_that_keeps_to_the_standard_follows_nobody() {
    let mut net = Net::new(ServerConfig { extensions: Extensions::NONE, ..server_config() }, 1);
    net.connect(&token(1));
    net.run(Duration::from_secs(1));
    net.rebind(0, client_address(ELSEWHERE));
    net.run(Duration::from_secs(6));
    assert_eq!(net.server.clients_len(), 0, "silent, as far as it can tell");
    assert_eq!(net.server.counters().paths_challenged, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Any mixture of moves, thefts and copies: the session ends where the client is, and nobody else is paid.
    #[test]
    fn wherever_it_wanders_the_session_follows_the_client(
        seed in any::<u64>(),
        steps in prop::collection::vec((0u8..4, any::<prop::sample::Index>(), 0u16..5), 1..40),
    ) {
        let (mut net, client, _) = settled(seed);
        (net.loss, net.duplicate, net.jitter) = (0.1, 0.1, Duration::from_millis(30));
        let mut got = [vec![], vec![]];
        let mut said = 0u8;
        for (step, which, place) in steps {
            let address = client_address(ELSEWHERE + place);
            match step {
                0 => net.rebind(0, address),
                1 => {
                    let record = net.log[which.index(net.log.len())].clone();
                    if record.to == server_address() && record.bytes[0] != 0 {
                        net.inject(client_address(ELSEWHERE + 50 + place), &record.bytes);
                    }
                }
                _ => {
                    say(&mut net, client, said);
                    said += 1;
                }
            }
            net.tick();
            listen(&mut net, client, &mut got);
        }
        let home = net.clients[0].0;
        let done = net.run_until(|net| {
            listen(net, client, &mut got);
            net.server.address(client) == Some(home) && got.iter().all(|messages| messages.len() >= usize::from(said))
        });
        prop_assert!(done, "{:?} at {:?}, {:?}", net.server.address(client), home, net.server.counters());
        prop_assert!(got.iter().all(|messages| messages.iter().copied().eq(0..said)));
        prop_assert_eq!(net.events.len(), 1);
    }
}
