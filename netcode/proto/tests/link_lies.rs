//! What an authenticated but dishonest peer can do to a link: be found out, and nothing else.

use netcode_proto::channels::{CONTROL, GAME_RELIABLE_UNORDERED, STATE};
use netcode_proto::{ChannelSet, Link, LinkConfig, LinkError};
use netcode_wire::Time;
use proptest::prelude::*;

fn link() -> Link {
    Link::new(&ChannelSet::standard(), LinkConfig::default())
}

/// A link that has sent bodies 0, 2, 4 … below `2 * count`.
fn spoken(count: u64) -> Link {
    let (mut link, mut body) = (link(), Vec::new());
    for tick in 0..count {
        link.send(Time::from_millis(tick), STATE, &[1; 100]).expect("room");
        assert!(link.poll_body(Time::from_millis(tick), tick * 2, 1175, &mut body));
    }
    link
}

/// A piece: tag, id, index, count, total (all below 128 but the total), bytes.
fn piece(channel: u8, id: u16, index: u8, count: u8, total: u16, bytes: usize) -> Vec<u8> {
    let [low, high] = id.to_le_bytes();
    let total = [total as u8 | 0x80, (total >> 7) as u8];
    [&[0, channel | 0x40, low, high, index, count][..], &total, &vec![0; bytes]].concat()
}

#[test]
fn acknowledging_what_was_never_sent_is_found_out() {
    let check = |newest: u16, run: u8, expected: Result<(), LinkError>| {
        let [low, high] = newest.to_le_bytes();
        let body = [1 | run << 2, low, high, 0];
        assert_eq!(spoken(50).handle_body(Time::from_millis(60), 0, &body), expected, "{newest} run {run}");
    };
    check(98, 0, Ok(()));
    check(50, 0, Ok(()));
    check(98, 1, Err(LinkError::AckOfUnsent(98)));
    check(97, 0, Err(LinkError::AckOfUnsent(97)));
    check(99, 0, Err(LinkError::AckOfUnsent(99)));
    check(20_000, 0, Err(LinkError::AckOfUnsent(20_000)));
    assert!(matches!(link().handle_body(Time::ZERO, 0, &[1, 0, 0, 0]), Err(LinkError::AckOfUnsent(0))));
}

#[test]
fn numbers_at_the_end_of_the_space_only_end_what_came_before() {
    let (mut link, mut body) = (link(), Vec::new());
    // Old news, a jump to the end, what is just before it, and the last of all; whole messages and pieces.
    for (ms, seq) in [(0, 0), (1, u64::MAX - 3), (2, u64::MAX - 200), (3, u64::MAX), (4, u64::MAX - 1)] {
        let now = Time::from_millis(ms);
        assert_eq!(link.handle_body(now, seq, &[0, 0x80, ms as u8]), Ok(()), "{seq}");
        let (channel, message) = link.receive().expect("fresh");
        assert_eq!((channel, &message[..]), (STATE, &[ms as u8][..]));
        assert_eq!(link.handle_body(now, seq, &[0, 0x80, 9]), Ok(()), "a repeat of {seq}");
        assert!(link.receive().is_none());
        link.send(now, STATE, b"answer").expect("room");
        assert!(link.poll_body(now, ms, 1175, &mut body));
    }
    for (seq, index) in [(u64::MAX - 4, 0), (u64::MAX - 5, 1)] {
        assert_eq!(link.handle_body(Time::from_millis(9), seq, &piece(0, 3, index, 2, 200, 100)), Ok(()));
    }
    assert_eq!(link.receive().map(|(_, message)| message.len()), Some(200));
}

#[test]
fn running_ahead_and_contradicting_are_found_out() {
    let check = |bodies: &[Vec<u8>], expected: LinkError| {
        let mut link = link();
        let outcomes: Vec<_> =
            (0..).zip(bodies).map(|(seq, body)| link.handle_body(Time::ZERO, seq, body)).collect();
        assert_eq!(outcomes.last(), Some(&Err(expected)), "{outcomes:?}");
        assert!(outcomes[..outcomes.len() - 1].iter().all(Result::is_ok), "{outcomes:?}");
    };
    // Channel 1, message 4096: the window is 0..4096.
    check(&[vec![0, 0x81, 0, 0x10, 9]], LinkError::WindowExceeded);
    check(&[piece(1, 3, 0, 2, 200, 100), piece(1, 3, 1, 2, 198, 99)], LinkError::Contradiction);
    // Cut anew, and anew, and anew: no honest path has so many lengths.
    let finer: Vec<Vec<u8>> = (2..8).map(|count| piece(1, 3, 0, count, 840, 840 / count as usize)).collect();
    check(&finer, LinkError::Contradiction);
    check(&[piece(1, 3, 0, 2, 200, 100), vec![0, 0x81, 3, 0, 9]], LinkError::Contradiction);
    check(&[piece(1, 0, 2, 2, 200, 100)], LinkError::Malformed("piece"));
}

#[test]
fn fragment_bombs_stop_at_the_reassembly_bound() {
    let bound = ChannelSet::standard().reassembly_bytes_max;
    for channel in [CONTROL, GAME_RELIABLE_UNORDERED] {
        let mut link = link();
        let outcome = (0..4000).try_for_each(|id: u16| {
            link.handle_body(Time::ZERO, u64::from(id), &piece(channel.0, id + 1, 0, 100, 16_000, 160))?;
            assert!(link.stats().held_bytes <= bound);
            Ok(())
        });
        assert_eq!(outcome, Err(LinkError::ReassemblyExceeded));
    }
    // Unreliable pieces push out older ones instead: losing them is no fault.
    let mut link = link();
    for id in 0..4000_u16 {
        let body = piece(STATE.0, id, 0, 100, 16_000, 160);
        link.handle_body(Time::ZERO, u64::from(id), &body).expect("allowed");
        assert!(link.stats().held_bytes <= bound);
    }
}

#[test]
fn repeated_packets_change_nothing() {
    let (mut a, mut b, mut body) = (link(), link(), Vec::new());
    for channel in [STATE, CONTROL] {
        a.send(Time::ZERO, channel, b"once").expect("room");
    }
    assert!(a.poll_body(Time::ZERO, 9, 1175, &mut body));
    for _ in 0..5 {
        b.handle_body(Time::ZERO, 9, &body).expect("honest");
    }
    assert_eq!(std::iter::from_fn(|| b.receive()).count(), 2);
    assert_eq!(b.stats().packets_stale, 4);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(bodies in prop::collection::vec((0..400_u64, prop::collection::vec(any::<u8>(), 0..80)), 1..8)) {
        let mut link = spoken(10);
        for (seq, body) in bodies {
            let _ = link.handle_body(Time::from_millis(20), seq, &body);
            while link.receive().is_some() {}
        }
        let mut out = Vec::new();
        link.poll_body(Time::from_millis(40), 1000, 1175, &mut out);
    }

    #[test]
    fn no_damage_to_honest_bodies_panics(
        messages in prop::collection::vec((0..6_u8, 0..3000_usize), 1..12),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (mut a, mut b, mut body) = (spoken(5), spoken(5), Vec::new());
        for (channel, len) in messages {
            a.send(Time::from_millis(9), netcode_proto::ChannelId(channel), &vec![5; len]).expect("room");
        }
        let mut seq = 100;
        while a.poll_body(Time::from_millis(9), seq, 1175, &mut body) {
            for (at, value) in &damage {
                let at = at.index(body.len());
                body[at] = *value;
            }
            let _ = b.handle_body(Time::from_millis(9), seq, &body);
            seq += 1;
        }
        prop_assert!(b.stats().held_bytes <= 3 << 20);
    }
}
