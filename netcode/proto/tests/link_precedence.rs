//! Priorities and weights, seen from outside: what arrives first where not everything fits.

use std::time::Duration;

use netcode_proto::channels::Precedence;
use netcode_proto::{ChannelId, ChannelKind, ChannelSet, Link, LinkConfig};
use netcode_wire::Time;

/// Channels of one kind with these (priority, weight)s.
fn set(kind: ChannelKind, precedence: &[(u8, u8)]) -> ChannelSet {
    let set = ChannelSet::new(&vec![kind; precedence.len()]);
    (0..).zip(precedence).fold(set, |set, (channel, (priority, weight))| {
        set.with_precedence(ChannelId(channel), Precedence { priority: *priority, weight: *weight })
    })
}

/// Sends bodies of `from` at 60 Hz until `bytes` arrived or it falls silent; gives the arrived bytes by channel.
fn arrived(set: &ChannelSet, mut from: Link, bytes: usize) -> Vec<usize> {
    let mut to = Link::new(set, LinkConfig::default());
    let mut got = vec![0; set.kinds().len()];
    let (mut body, mut seqs, mut now) = (Vec::new(), [0; 2], Time::ZERO);
    for _ in 0..600 {
        now += Duration::from_micros(16_667);
        while got.iter().sum::<usize>() < bytes && from.poll_body(now, seqs[0], 1175, &mut body) {
            to.handle_body(now, seqs[0], &body).expect("honest");
            seqs[0] += 1;
            while let Some((channel, message)) = to.receive() {
                got[channel.index()] += message.len();
            }
        }
        while to.poll_body(now, seqs[1], 1175, &mut body) {
            from.handle_body(now, seqs[1], &body).expect("honest");
            seqs[1] += 1;
        }
    }
    got
}

/// A link on which every channel has `count` messages of `len` bytes waiting.
fn loaded(set: &ChannelSet, count: usize, len: usize) -> Link {
    let mut link = Link::new(set, LinkConfig::default());
    for channel in (0..).take(set.kinds().len()) {
        for _ in 0..count {
            link.send(Time::ZERO, ChannelId(channel), &vec![channel; len]).expect("room");
        }
    }
    link
}

#[test]
fn small_messages_share_by_weight_below_a_strict_priority() {
    for kind in [ChannelKind::ReliableOrdered, ChannelKind::Unreliable] {
        let set = set(kind, &[(0, 30), (0, 10), (5, 1)]);
        let got = arrived(&set, loaded(&set, 100, 100), 10_000 + 8_000);
        assert_eq!(got[2], 10_000, "{kind:?}: the priority is strict");
        let share = got[0] as f64 / got[1] as f64;
        assert!((2.5..3.6).contains(&share), "{kind:?}: {got:?}");
        assert_eq!(
            arrived(&set, loaded(&set, 100, 100), usize::MAX),
            [10_000; 3],
            "{kind:?}: all come at last"
        );
    }
}

#[test]
fn long_messages_take_turns_by_weight() {
    // Cut to pieces of 1100 bytes each; a whole one of the heavy channel arrives for every one of the light.
    let set = set(ChannelKind::ReliableUnordered, &[(0, 10), (0, 30), (0, 30)]);
    let got = arrived(&set, loaded(&set, 10, 5000), 70_000);
    assert!(got[1].abs_diff(got[2]) <= 5000, "{got:?}");
    assert!(got[0] * 2 < got[1], "{got:?}");
}

#[test]
fn sixty_four_channels_deliver_everything() {
    for kind in [ChannelKind::ReliableOrdered, ChannelKind::UnreliableSequenced] {
        let precedence: Vec<(u8, u8)> = (0..64).map(|channel| (channel % 5, channel + 1)).collect();
        let set = set(kind, &precedence);
        assert_eq!(arrived(&set, loaded(&set, 20, 90), usize::MAX), [1800; 64], "{kind:?}");
    }
}
