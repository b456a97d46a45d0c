//! What each kind of channel promises, and how sessions end.

use std::collections::HashSet;
use std::time::Duration;

use netcode_proto::channels::ChannelId;
use netcode_proto::{ClientState, DisconnectReason, SendError, ServerEvent};

use crate::for_all;
use crate::world::{
    ORDERED, SEQUENCED, UNORDERED, UNRELIABLE, Weather, World, channels, guest_address, mint, spec,
};

const BAD: Weather = Weather { loss: 0.1, repeats: 0.05, jitter_ms: 40 };
const ALL: [ChannelId; 4] = [UNRELIABLE, SEQUENCED, UNORDERED, ORDERED];

/// Checks what was heard on each channel of messages numbered from 0 to `count`.
fn check(kind: crate::Kind, heard: &[(ChannelId, u32)], count: u32) {
    let on = |channel: ChannelId| heard.iter().filter(move |(on, _)| *on == channel).map(|(_, n)| *n);
    let once = |channel: ChannelId| {
        let set: HashSet<u32> = on(channel).collect();
        (set.len(), on(channel).count())
    };
    let all: Vec<u32> = (0..count).collect();
    assert_eq!(on(ORDERED).collect::<Vec<_>>(), all, "{}: ordered", kind.name);
    assert_eq!(once(UNORDERED), (count as usize, count as usize), "{}: unordered", kind.name);
    let sequenced: Vec<u32> = on(SEQUENCED).collect();
    assert!(sequenced.is_sorted_by(|a, b| a < b), "{}: sequenced {sequenced:?}", kind.name);
    assert!(sequenced.len() as u32 > count / 3, "{}: {} sequenced came", kind.name, sequenced.len());
    let (different, came) = once(UNRELIABLE);
    assert!(different as u32 > count * 3 / 4, "{}: {different} unreliable came", kind.name);
    assert!(different == came || !kind.notices_repeats, "{}: one came twice", kind.name);
}

#[test]
fn every_channel_keeps_its_promise_on_a_bad_network_both_ways() {
    for_all(|kind| {
        let mut world = World::new(kind, BAD);
        let (guest, client) = world.connected(&mint(&spec(1, 0)));
        let count = 300u32;
        let mut up = Vec::new();
        for n in 0..count {
            for channel in ALL {
                let message = n.to_le_bytes();
                world.guests[guest].session.send(world.now, channel, &message).unwrap();
                world.server.send(world.now, client, channel, &message).unwrap();
            }
            world.tick();
            up.extend(std::iter::from_fn(|| world.server.poll_message(client)));
        }
        for _ in 0..1000 {
            world.tick();
            up.extend(std::iter::from_fn(|| world.server.poll_message(client)));
        }
        let number = |(channel, bytes): &(ChannelId, netcode_proto::Bytes)| {
            (*channel, u32::from_le_bytes(bytes[..].try_into().unwrap()))
        };
        check(kind, &up.iter().map(number).collect::<Vec<_>>(), count);
        check(kind, &world.guests[guest].heard.iter().map(number).collect::<Vec<_>>(), count);
        let (ours, theirs) = (world.guests[guest].session.stats(), world.server.stats(client).unwrap());
        for stats in [ours, theirs] {
            // 20 to 60 ms each way, and up to a tick at each end.
            assert!((40_000..200_000).contains(&stats.rtt_us), "{}: {} us", kind.name, stats.rtt_us);
            assert!(stats.bytes_sent > 0 && stats.bytes_received > 0, "{}", kind.name);
        }
    });
}

#[test]
fn who_spoke_is_named_and_a_tick_may_go_client_by_client() {
    for_all(|kind| {
        let mut world = World::new(kind, Weather::default());
        let (first, one) = world.connected(&mint(&spec(1, 0)));
        let (second, two) = world.connected(&mint(&spec(2, 0)));
        let mut heard = Vec::new();
        for n in 0..60_u8 {
            let now = world.now;
            let mut say = |guest: usize, what: u8| {
                world.guests[guest].session.send(now, ORDERED, &[what]).unwrap();
            };
            say(first, n);
            if n.is_multiple_of(3) {
                say(second, 100 + n);
            }
            for client in [one, two] {
                world.server.send(now, client, UNORDERED, &[n]).unwrap();
                world.server.flush_client(now, client);
            }
            world.server.flush_rest(now);
            world.transmit();
            world.tick();
            while let Some(client) = world.server.poll_ready() {
                // Stops after each message, and is asked again until none is left.
                let mut more = true;
                while std::mem::take(&mut more) {
                    world.server.read_messages(client, &mut |_, message| {
                        heard.push((client, message[0]));
                        more = true;
                        false
                    });
                }
            }
        }
        let of = |client| heard.iter().filter(|one| one.0 == client).map(|one| one.1).collect::<Vec<_>>();
        let (of_one, of_two) = (of(one), of(two));
        // What was said last is still on its way.
        assert!(of_one.len() > 50 && of_one.iter().copied().eq(0..of_one.len() as u8), "{}", kind.name);
        assert!(of_two.len() > 16 && of_two.iter().zip(0..).all(|(said, n)| *said == 100 + 3 * n));
        for guest in [first, second] {
            assert!(world.guests[guest].heard.len() > 50, "{}", kind.name);
        }
    });
}

#[test]
fn long_messages_arrive_whole_and_what_is_sent_early_waits() {
    for_all(|kind| {
        let mut world = World::new(kind, BAD);
        let long: Vec<u8> = (0..40_000u32).map(|n| (n % 251) as u8).collect();
        let guest = world.join(&mint(&spec(1, 0)));
        world.guests[guest].session.send(world.now, ORDERED, b"first").unwrap();
        world.guests[guest].session.send(world.now, ORDERED, &long).unwrap();
        world.run_until(|world| world.state(guest) == ClientState::Connected);
        let Some(&ServerEvent::Connected { client, .. }) = world.events.first() else {
            panic!("nobody came")
        };
        world.server.send(world.now, client, UNORDERED, &long).unwrap();
        let mut up = Vec::new();
        for _ in 0..1500 {
            world.tick();
            up.extend(std::iter::from_fn(|| world.server.poll_message(client)));
        }
        assert_eq!(up.len(), 2, "{}", kind.name);
        assert!(&up[0].1[..] == b"first" && up[1].1[..] == long[..], "{}: up", kind.name);
        let down = &world.guests[guest].heard;
        assert!(down.len() == 1 && down[0].1[..] == long[..], "{}: down", kind.name);
    });
}

#[test]
fn a_full_channel_says_so_and_takes_more_once_it_has_drained() {
    for_all(|kind| {
        let mut world = World::new(kind, Weather::default());
        let (guest, client) = world.connected(&mint(&spec(1, 0)));
        world.weather.loss = 1.0;
        let message = [9; 1000];
        let mut taken = 0;
        let full = loop {
            match world.server.send(world.now, client, ORDERED, &message) {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
            assert!(taken < 2000, "{}: no limit", kind.name);
        };
        assert_eq!(full, SendError::ChannelFull, "{}", kind.name);
        assert!(taken * 1000 <= channels().queue_bytes_max);
        world.run(Duration::from_secs(2));
        world.weather.loss = 0.0;
        world.run(Duration::from_secs(20));
        assert_eq!(world.guests[guest].heard.len(), taken, "{}: all that was taken arrived", kind.name);
        world.server.send(world.now, client, ORDERED, &message).unwrap();
        assert_eq!(world.events.len(), 1, "{}: nobody was let go for it", kind.name);
    });
}

#[test]
fn what_cannot_be_sent_is_refused_and_who_is_gone_takes_nothing() {
    for_all(|kind| {
        let mut world = World::new(kind, Weather::default());
        let (guest, client) = world.connected(&mint(&spec(1, 0)));
        let absent = Err(SendError::NoSuchChannel(9));
        let long = vec![0; channels().message_bytes_max + 1];
        let now = world.now;
        let guest = &mut world.guests[guest].session;
        assert_eq!(guest.send(now, ChannelId(9), b"x"), absent, "{}", kind.name);
        assert!(matches!(guest.send(now, ORDERED, &long), Err(SendError::MessageTooLong { .. })));
        assert_eq!(world.server.send(now, client, ChannelId(9), b"x"), absent, "{}", kind.name);
        assert!(world.server.send(now, client, ORDERED, &long).is_err());
        world.server.disconnect(now, client, 3);
        assert_eq!(world.server.send(now, client, ORDERED, b"x"), Ok(()), "{}", kind.name);
        assert_eq!(world.server.poll_message(client), None);
        assert_eq!((world.server.stats(client), world.server.address(client)), (None, None));
        assert_eq!(world.server.budget_bytes(client), 0);
    });
}

#[test]
fn both_ends_learn_that_and_why_it_ended() {
    for_all(|kind| {
        let mut world = World::new(kind, Weather { loss: 0.3, ..Weather::default() });
        let (first, one) = world.connected(&mint(&spec(1, 0)));
        let (second, two) = world.connected(&mint(&spec(2, 0)));
        world.guests[first].session.disconnect(world.now);
        world.server.disconnect(world.now, two, 77);
        world.run(Duration::from_secs(1));
        let ended = |client, reason| ServerEvent::Disconnected { client, reason };
        for expected in [ended(one, DisconnectReason::ByPeer), ended(two, DisconnectReason::ByUs(77))] {
            assert!(world.events.contains(&expected), "{}: {:?}", kind.name, world.events);
        }
        assert_eq!(world.state(first), ClientState::Disconnected(DisconnectReason::ByUs(0)));
        assert_eq!(world.state(second), ClientState::Disconnected(DisconnectReason::ByPeer));
        assert_eq!(world.server.clients_len(), 0);
    });
}

#[test]
fn silence_ends_a_session_at_both_ends_and_quiet_does_not() {
    for_all(|kind| {
        let mut world = World::new(kind, Weather::default());
        let (guest, client) = world.connected(&mint(&spec(1, 0)));
        world.run(Duration::from_secs(20));
        assert_eq!(world.state(guest), ClientState::Connected, "{}: keep-alives", kind.name);
        world.weather.loss = 1.0;
        world.run(Duration::from_secs(4));
        assert_eq!(world.state(guest), ClientState::Connected, "{}: too early", kind.name);
        world.run(Duration::from_secs(3));
        assert_eq!(world.state(guest), ClientState::Disconnected(DisconnectReason::TimedOut));
        let lost = ServerEvent::Disconnected { client, reason: DisconnectReason::TimedOut };
        assert_eq!(world.events.last(), Some(&lost), "{}", kind.name);
        assert_eq!(world.server.address(client), None);
    });
}

#[test]
fn a_server_that_is_not_there_is_given_up() {
    for_all(|kind| {
        let mut world = World::new(kind, Weather { loss: 1.0, ..Weather::default() });
        let guest = world.join(&mint(&spec(1, 0)));
        world.run(Duration::from_secs(7));
        let gone = ClientState::Disconnected(DisconnectReason::RequestTimedOut);
        assert_eq!(world.state(guest), gone, "{}", kind.name);
        world.intercept(guest_address(0));
    });
}
