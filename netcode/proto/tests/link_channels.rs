//! What a link promises, on two links without a network: the test carries the bodies by hand.

use std::time::Duration;

use netcode_proto::channels::{
    CONTROL, GAME_RELIABLE_ORDERED, GAME_RELIABLE_UNORDERED, GAME_SEQUENCED, GAME_UNRELIABLE, STATE,
};
use netcode_proto::{ChannelId, ChannelKind, ChannelSet, Link, LinkConfig, LinkError, SendError};
use netcode_wire::Time;

/// One end: a link, its packet number and what it received.
struct End {
    link: Link,
    seq: u64,
    got: Vec<(ChannelId, Vec<u8>)>,
}

impl End {
    fn new(channels: &ChannelSet, config: &LinkConfig) -> Self {
        Self { link: Link::new(channels, config.clone()), seq: 0, got: Vec::new() }
    }

    /// Everything that is due now, as (packet number, body).
    fn flush(&mut self, now: Time) -> Vec<(u64, Vec<u8>)> {
        let (mut bodies, mut body) = (Vec::new(), Vec::new());
        while self.link.poll_body(now, self.seq, BUDGET, &mut body) {
            assert!(body.len() <= BUDGET, "{} bytes", body.len());
            bodies.push((self.seq, body.clone()));
            self.seq += 1;
        }
        bodies
    }

    fn take(&mut self, now: Time, bodies: &[(u64, Vec<u8>)]) {
        for (seq, body) in bodies {
            self.link.handle_body(now, *seq, body).expect("the peer is honest");
        }
        self.read();
    }

    fn read(&mut self) {
        self.got
            .extend(std::iter::from_fn(|| self.link.receive()).map(|(id, message)| (id, message.to_vec())));
    }
}

/// Two ends half a round trip of nothing apart, flushing at 60 Hz.
struct Two {
    a: End,
    b: End,
    now: Time,
}

impl Two {
    fn new(config: &LinkConfig) -> Self {
        let set = ChannelSet::standard();
        Self { a: End::new(&set, config), b: End::new(&set, config), now: Time::ZERO }
    }

    /// A tick: `a` speaks, then `b`. Gives how many bodies each sent.
    fn tick(&mut self) -> (usize, usize) {
        self.now += TICK;
        let from_a = self.a.flush(self.now);
        self.b.take(self.now, &from_a);
        let from_b = self.b.flush(self.now);
        self.a.take(self.now, &from_b);
        (from_a.len(), from_b.len())
    }

    fn ticks(&mut self, count: usize) -> (usize, usize) {
        (0..count).map(|_| self.tick()).fold((0, 0), |sum, sent| (sum.0 + sent.0, sum.1 + sent.1))
    }
}

const TICK: Duration = Duration::from_micros(16_667);
const BUDGET: usize = 1175;
const ALL: [ChannelId; 6] =
    [STATE, CONTROL, GAME_UNRELIABLE, GAME_SEQUENCED, GAME_RELIABLE_UNORDERED, GAME_RELIABLE_ORDERED];

#[test]
fn one_body_carries_everything_of_a_tick() {
    let mut two = Two::new(&LinkConfig::default());
    two.b.link.send(two.now, STATE, b"so that there is something to acknowledge").expect("room");
    two.tick();
    for channel in ALL {
        for message in [&b""[..], b"a", &[7; 120]] {
            two.a.link.send(two.now, channel, message).expect("room");
        }
    }
    assert_eq!(two.tick().0, 1);
    for channel in ALL {
        let got: Vec<&Vec<u8>> = two.b.got.iter().filter(|one| one.0 == channel).map(|one| &one.1).collect();
        assert_eq!(got, [&vec![], &b"a".to_vec(), &vec![7; 120]], "{channel:?}");
    }
}

#[test]
fn acknowledgements_breed_none_and_idle_links_are_silent() {
    let mut two = Two::new(&LinkConfig::default());
    assert_eq!(two.ticks(100), (0, 0));
    two.a.link.send(two.now, CONTROL, b"once").expect("room");
    let (from_a, from_b) = two.ticks(600);
    assert!(from_a <= 3, "the message, and two repeats at most while its acknowledgement waits: {from_a}");
    assert_eq!(from_b, 1, "one acknowledgement");
    assert_eq!(two.b.got, [(CONTROL, b"once".to_vec())]);
    assert!(
        two.a.link.is_settled() && two.a.link.next_timeout().is_none() && two.b.link.next_timeout().is_none()
    );
}

#[test]
fn a_lone_acknowledgement_waits_25_ms_and_no_longer() {
    let mut two = Two::new(&LinkConfig { redundancy_bytes: 0, ..LinkConfig::default() });
    let ms = Time::from_millis;
    two.a.link.send(ms(0), CONTROL, b"x").expect("room");
    let bodies = two.a.flush(ms(0));
    two.b.take(ms(10), &bodies);
    assert_eq!(two.b.link.next_timeout(), Some(ms(35)));
    assert!(two.b.flush(ms(11)).is_empty());
    assert!(two.b.flush(ms(12)).is_empty() && !two.b.link.has_urgent(ms(34)));
    assert!(two.b.link.has_urgent(ms(35)));
    let ack = two.b.flush(ms(35));
    assert_eq!((ack.len(), ack[0].1.len()), (1, 4));
    two.a.take(ms(45), &ack);
    // 45 ms less the 25 that the peer says it waited (in steps of 256 µs).
    assert_eq!(two.a.link.stats().rtt_us / 1000, 20);
}

#[test]
fn an_acknowledgement_leaves_early_when_the_next_flush_would_be_late() {
    let mut two = Two::new(&LinkConfig { redundancy_bytes: 0, ..LinkConfig::default() });
    two.tick();
    two.a.link.send(two.now, CONTROL, b"x").expect("room");
    let bodies = two.a.flush(two.now + Duration::from_millis(2));
    two.b.take(two.now + Duration::from_millis(2), &bodies);
    two.now += TICK;
    assert_eq!(two.b.flush(two.now).len(), 1, "14.7 ms old now, 31 ms at the next flush");
}

#[test]
fn a_full_channel_says_so_and_recovers() {
    let mut two = Two::new(&LinkConfig::default());
    for channel in [GAME_RELIABLE_ORDERED, GAME_SEQUENCED] {
        let taken = (0..100_000).take_while(|_| two.a.link.send(two.now, channel, &[1; 100]).is_ok()).count();
        assert!((1000..10_000).contains(&taken), "{channel:?} took {taken}");
        assert_eq!(two.a.link.send(two.now, channel, &[1; 100]), Err(SendError::ChannelFull));
        two.ticks(60);
        assert_eq!(two.b.got.iter().filter(|one| one.0 == channel).count(), taken);
        assert_eq!(two.a.link.stats().queued_bytes, 0, "acknowledged data costs nothing");
        assert_eq!(two.a.link.send(two.now, channel, &[1; 100]), Ok(()));
    }
    let long = vec![0; 65_537];
    let error = Err(SendError::MessageTooLong { length: 65_537, limit: 65_536 });
    assert_eq!(two.a.link.send(two.now, STATE, &long), error);
    assert_eq!(two.a.link.send(two.now, ChannelId(6), b""), Err(SendError::NoSuchChannel(6)));
}

#[test]
fn a_lost_packet_costs_one_tick() {
    let mut two = Two::new(&LinkConfig::default());
    let mut sent = 0_u32;
    for tick in 0..300 {
        two.now += TICK;
        two.a.link.send(two.now, GAME_RELIABLE_ORDERED, &sent.to_le_bytes()).expect("room");
        sent += 1;
        let from_a = two.a.flush(two.now);
        assert_eq!(from_a.len(), 1);
        let is_lost = tick % 20 == 7;
        if !is_lost {
            two.b.take(two.now, &from_a);
        }
        assert_eq!(two.b.got.len(), if is_lost { sent as usize - 1 } else { sent as usize }, "tick {tick}");
        let from_b = two.b.flush(two.now);
        two.a.take(two.now, &from_b);
    }
    let stats = two.a.link.stats();
    assert_eq!(stats.packets_lost, 15);
    assert!((0.02..0.08).contains(&stats.loss), "{}", stats.loss);
}

#[test]
fn a_clean_path_repeats_nothing_and_costs_nine_bytes() {
    let mut two = Two::new(&LinkConfig::default());
    let traffic = |two: &mut Two| {
        two.a.link.send(two.now, STATE, &[1; 200]).expect("room");
        two.a.link.send(two.now, GAME_RELIABLE_ORDERED, &[2; 32]).expect("room");
        two.b.link.send(two.now, STATE, &[3; 40]).expect("room");
    };
    for _ in 0..120 {
        traffic(&mut two);
        assert_eq!(two.tick(), (1, 1));
    }
    traffic(&mut two);
    let body = &two.a.flush(two.now + TICK)[0].1;
    // Head 1, acks 3, reliable message 1 + 2 + 1, unreliable message 1.
    assert_eq!(body.len(), 232 + 9);
    let stats = two.a.link.stats();
    assert_eq!(stats.ledger.total(), stats.bytes_sent);
    assert_eq!((stats.packets_lost, stats.messages_repeated), (0, 0));
}

#[test]
fn a_reader_that_stalls_slows_the_sender_and_loses_nothing() {
    let config = LinkConfig { receive_bytes_max: 10_000, ..LinkConfig::default() };
    let mut two = Two::new(&config);
    let mut sent = 0_u32;
    for _ in 0..600 {
        two.now += TICK;
        for _ in 0..4 {
            let mut message = [0; 200];
            message[..4].copy_from_slice(&sent.to_le_bytes());
            sent += u32::from(two.a.link.send(two.now, GAME_RELIABLE_ORDERED, &message).is_ok());
        }
        for (seq, body) in two.a.flush(two.now) {
            two.b.link.handle_body(two.now, seq, &body).expect("no close");
        }
        assert!(two.b.link.stats().held_bytes < 14_000, "{}", two.b.link.stats().held_bytes);
        let from_b = two.b.flush(two.now);
        two.a.take(two.now, &from_b);
    }
    assert!(two.b.link.stats().packets_refused > 0);
    two.b.read();
    two.ticks(300);
    let numbers: Vec<u32> =
        two.b.got.iter().map(|one| u32::from_le_bytes(*one.1.first_chunk().expect("4"))).collect();
    assert_eq!(numbers, (0..sent).collect::<Vec<_>>());
    assert!(two.a.link.is_settled());
}

#[test]
fn long_messages_arrive_whole_on_every_channel() {
    let mut two = Two::new(&LinkConfig::default());
    for len in [1101, 2200, 2201, 30_000, 65_536] {
        for channel in ALL {
            let message: Vec<u8> = (0..len).map(|at| (at * 31 / 7) as u8).collect();
            two.a.link.send(two.now, channel, &message).expect("room");
            two.ticks(20);
            assert_eq!(two.b.got.pop(), Some((channel, message)), "{len} on {channel:?}");
            assert!(two.b.got.is_empty());
        }
    }
    assert_eq!(two.b.link.stats().held_bytes, 0);
}

#[test]
fn the_rate_limit_holds_unreliable_messages_back_and_then_drops_them() {
    let config = LinkConfig { rate_bytes_per_s: 10_000, burst_bytes: 2000, ..LinkConfig::default() };
    let mut two = Two::new(&config);
    for _ in 0..600 {
        let _ = two.a.link.send(two.now, STATE, &[0; 500]);
        two.tick();
    }
    let stats = two.a.link.stats();
    assert!((80_000..130_000).contains(&stats.bytes_sent), "10 s at 10 kB/s: {}", stats.bytes_sent);
    assert!(stats.messages_expired > 300 && stats.queued_bytes < 6000, "{stats:?}");
    assert_eq!(two.a.link.room_bytes(two.now, BUDGET), 0);
}

#[test]
fn a_link_tells_what_it_may_send_and_what_waits() {
    let config =
        LinkConfig { rate_bytes_per_s: 300_000, rate_floor_bytes_per_s: 20_000, ..LinkConfig::default() };
    let mut two = Two::new(&config);
    two.a.link.send(two.now, CONTROL, &[1; 100]).expect("room");
    two.a.link.send(two.now, CONTROL, &vec![1; 30_000]).expect("room");
    two.a.link.send(two.now, STATE, &[1; 50]).expect("room");
    let of = |two: &Two, channel| two.a.link.channel_stats(channel).expect("there is one");
    let control = of(&two, CONTROL);
    assert_eq!((control.queued_messages, control.queued_bytes, control.sent_bytes), (2, 30_164, 0));
    // Tag, id, length, message; the long one leaves in pieces and delays nothing.
    assert_eq!((control.unsent_bytes, of(&two, STATE).unsent_bytes), (104, 52));
    assert_eq!(two.a.link.channel_stats(ChannelId(6)), None);
    two.ticks(60);
    let stats = two.a.link.stats();
    assert_eq!((of(&two, CONTROL).queued_messages, of(&two, STATE).queued_messages), (0, 0));
    assert_eq!(of(&two, CONTROL).sent_bytes, stats.ledger.channel[1]);
    assert!(stats.queue_delay_us == 0 && stats.rtt_us < 256, "no path between these two: {stats:?}");
    assert!((20_000..=300_000).contains(&stats.budget_bytes_per_s), "{stats:?}");
}

#[test]
fn room_is_what_fits_beside_what_waits() {
    let mut two = Two::new(&LinkConfig::default());
    two.ticks(3);
    two.a.link.send(two.now, CONTROL, &[1; 300]).expect("room");
    let room = two.a.link.room_bytes(two.now, BUDGET);
    two.a.link.send(two.now, STATE, &vec![2; room]).expect("room");
    assert_eq!(two.tick().0, 1, "both in one body");
    assert!(room > 650, "{room}");
}

#[test]
fn a_dead_path_is_probed_seldom_and_its_return_is_noticed() {
    let mut two = Two::new(&LinkConfig::default());
    two.a.link.send(two.now, CONTROL, b"lost").expect("room");
    let mut bodies = 0;
    for _ in 0..600 {
        two.now += TICK;
        bodies += two.a.flush(two.now).len();
    }
    assert!((18..40).contains(&bodies), "at most about two a second: {bodies}");
    two.ticks(40);
    assert_eq!(two.b.got, [(CONTROL, b"lost".to_vec())]);
    assert!(two.a.link.is_settled());
}

#[test]
fn what_an_end_without_the_channel_hears_is_an_error() {
    let wide = ChannelSet::standard();
    let narrow = ChannelSet::new(&[ChannelKind::Unreliable]);
    let (mut a, mut b) = (End::new(&wide, &LinkConfig::default()), End::new(&narrow, &LinkConfig::default()));
    a.link.send(Time::ZERO, CONTROL, b"x").expect("room");
    let bodies = a.flush(Time::ZERO);
    assert_eq!(b.link.handle_body(Time::ZERO, 0, &bodies[0].1), Err(LinkError::NoSuchChannel(1)));
}

#[test]
fn numbers_go_round_the_sixteen_bits_under_loss() {
    let mut two = Two::new(&LinkConfig::default());
    let mut rng = fastrand::Rng::with_seed(4);
    let mut sent = [0_u32; 2];
    while sent[0] < 150_000 || !two.a.link.is_settled() {
        two.now += TICK;
        for (channel, sent) in [GAME_RELIABLE_ORDERED, GAME_RELIABLE_UNORDERED].into_iter().zip(&mut sent) {
            for _ in 0..if *sent < 150_000 { 100 } else { 0 } {
                *sent += u32::from(two.a.link.send(two.now, channel, &sent.to_le_bytes()).is_ok());
            }
        }
        let mut bodies = two.a.flush(two.now);
        bodies.retain(|_| rng.f32() > 0.1);
        // The two newest arrive the wrong way round.
        let len = bodies.len();
        bodies.rotate_right(len.min(1));
        two.b.take(two.now, &bodies);
        let from_b = two.b.flush(two.now);
        two.a.take(two.now, &from_b);
    }
    let numbers = |channel| {
        let of_channel = two.b.got.iter().filter(move |one| one.0 == channel);
        of_channel.map(|one| u32::from_le_bytes(*one.1.first_chunk().expect("4 bytes"))).collect::<Vec<_>>()
    };
    assert_eq!(numbers(GAME_RELIABLE_ORDERED), (0..sent[0]).collect::<Vec<_>>());
    let mut unordered = numbers(GAME_RELIABLE_UNORDERED);
    unordered.sort_unstable();
    assert_eq!(unordered, (0..sent[1]).collect::<Vec<_>>());
}
