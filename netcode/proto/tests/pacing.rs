//! The second and further datagrams of a tick leave one after the other, at the rate of the send budget; the first never
//! waits, and an owner that never asks between ticks loses nothing.

mod common;

use std::time::Duration;

use common::*;
use netcode_proto::ClientId;
use netcode_proto::channels::{GAME_RELIABLE_UNORDERED, STATE};

/// How many datagrams a tick's parts sent, when the owner asks `parts` times a tick.
struct Played {
    at_flush: Vec<usize>,
    later: Vec<usize>,
    got: usize,
}

fn play(net: &mut Net, client: ClientId, ticks: u32, parts: u32, state: usize) -> Played {
    let mut played = Played { at_flush: vec![], later: vec![], got: 0 };
    for _ in 0..ticks {
        if state > 0 {
            let now = net.now;
            net.server.send(now, client, STATE, &vec![1; state]).expect("room");
        }
        let payloads = |net: &Net, from: usize| {
            let sent = net.log[from..].iter().filter(|datagram| datagram.from == server_address());
            sent.filter(|datagram| kind(&datagram.bytes) == 13).count()
        };
        let before = net.log.len();
        let tick = net.now;
        net.tick();
        played.at_flush.push(payloads(net, before));
        for part in 1..parts {
            let before = net.log.len();
            let now = tick + TICK * part / parts;
            assert!(net.server.poll_timeout().is_none_or(|at| at > tick));
            net.server.release(now);
            net.collect();
            played.later.push(payloads(net, before));
        }
        played.got +=
            std::iter::from_fn(|| net.client(0).poll_message()).map(|message| message.1.len()).sum::<usize>();
    }
    played
}

fn connected() -> (Net, ClientId) {
    let mut net = Net::new(server_config(), 1);
    net.connect(&token(1));
    net.run(Duration::from_secs(1));
    let client = net.server.client_of_player(1).expect("connected");
    (net, client)
}

#[test]
fn bulk_is_spread_over_the_tick() {
    let (mut net, client) = connected();
    play(&mut net, client, 2, 16, 0);
    let now = net.now;
    for _ in 0..3 {
        net.server.send(now, client, GAME_RELIABLE_UNORDERED, &vec![7; 60_000]).expect("room");
    }
    let played = play(&mut net, client, 60, 16, 0);
    assert_eq!(played.got, 180_000);
    assert!(played.at_flush.iter().all(|sent| *sent <= 4), "{:?}", played.at_flush);
    assert!(played.later.iter().all(|sent| *sent <= 8), "{:?}", played.later);
    assert!(played.later.iter().filter(|sent| **sent > 0).count() > 15, "{:?}", played.later);
}

#[test]
fn what_is_no_bulk_leaves_within_its_tick() {
    let (mut net, client) = connected();
    play(&mut net, client, 2, 16, 0);
    for _ in 0..30 {
        let played = play(&mut net, client, 1, 16, 5000);
        assert_eq!(played.at_flush, [1]);
        let later: usize = played.later.iter().sum();
        assert!((3..=4).contains(&later), "{:?}", played.later);
    }
}

#[test]
fn who_never_asks_between_ticks_sends_at_once_and_who_ceases_to_loses_nothing() {
    let (mut net, client) = connected();
    let played = play(&mut net, client, 20, 1, 5000);
    assert!(played.at_flush.iter().all(|sent| (4..=5).contains(sent)), "{:?}", played.at_flush);
    // Asked once, and then never again: one tick's rest leaves with the next.
    play(&mut net, client, 2, 16, 0);
    let played = play(&mut net, client, 20, 1, 5000);
    net.run(Duration::from_millis(100));
    let rest: usize =
        std::iter::from_fn(|| net.client(0).poll_message()).map(|message| message.1.len()).sum();
    assert_eq!(played.got + rest, 100_000);
    assert!(played.at_flush[2..].iter().all(|sent| *sent >= 4), "{:?}", played.at_flush);
}
