//! What an application can see of a session: where every byte went, what is queued, how the path is.

mod common;

use std::time::Duration;

use common::*;
use netcode_proto::channels::{CHANNELS_MAX, CONTROL, GAME_RELIABLE_ORDERED, STATE};
use netcode_proto::{ChannelId, ChannelStats};

#[test]
fn every_byte_that_left_is_in_the_ledger() {
    let mut net = Net::new(server_config(), 1);
    net.delay = Duration::from_millis(20);
    net.connect(&token(1));
    net.run(Duration::from_secs(1));
    let client = net.server.client_of_player(1).expect("connected");
    for number in 0..60 {
        let now = net.now;
        net.server.send(now, client, STATE, &[number; 200]).expect("room");
        net.server.send(now, client, CONTROL, &[number; 32]).expect("room");
        net.client(0).send(now, STATE, &[number; 40]).expect("room");
        net.tick();
    }
    let (server, own) = (net.server.stats(client).expect("connected"), net.clients[0].1.stats());
    let sums = (0..CHANNELS_MAX as u8).map(|channel| {
        let of = |stats: Option<ChannelStats>| stats.map_or(0, |stats| stats.sent_bytes);
        let channel = ChannelId(channel);
        (of(net.server.channel_stats(client, channel)), of(net.clients[0].1.channel_stats(channel)))
    });
    for (sum, line) in sums.zip(server.ledger.channel.into_iter().zip(own.ledger.channel)) {
        assert_eq!(sum, line);
    }
    assert!(server.ledger.channel[0] >= 60 * 200 && server.ledger.channel[1] >= 60 * 32, "{server:?}");
    // What the server sent before there was a session: challenges, 333 bytes each. Nothing else is missing.
    let of_session: usize = net
        .log
        .iter()
        .filter(|datagram| datagram.from == server_address() && kind(&datagram.bytes) != 2)
        .map(|datagram| datagram.bytes.len())
        .sum();
    assert_eq!(server.ledger.total(), of_session as u64);
    assert_eq!(server.ledger.total(), server.bytes_sent);
    assert!(server.rtt_us >= 40_000 && server.budget_bytes_per_s > 0 && server.loss < 0.01, "{server:?}");
}

#[test]
fn queues_show_what_waits_and_strangers_show_nothing() {
    let mut net = Net::new(server_config(), 1);
    net.connect(&token(1));
    net.run(Duration::from_secs(1));
    let client = net.server.client_of_player(1).expect("connected");
    for _ in 0..3 {
        let now = net.now;
        net.server.send(now, client, GAME_RELIABLE_ORDERED, &[7; 100]).expect("room");
    }
    let queued = net.server.channel_stats(client, GAME_RELIABLE_ORDERED).expect("there is one");
    assert_eq!((queued.queued_messages, queued.queued_bytes, queued.sent_bytes), (3, 3 * 132, 0));
    net.run(Duration::from_millis(500));
    let settled = net.server.channel_stats(client, GAME_RELIABLE_ORDERED).expect("there is one");
    assert_eq!((settled.queued_messages, settled.queued_bytes, settled.unsent_bytes), (0, 0, 0));
    assert_eq!(net.server.channel_stats(client, ChannelId(63)), None);
    net.clients.clear();
    let now = net.now;
    net.server.disconnect(now, client, 0);
    assert_eq!(net.server.channel_stats(client, STATE), None);
}
