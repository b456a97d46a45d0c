//! What a link costs: bytes that stay allocated for it, and allocations a packet. On two links with a delay of
//! 50 ms there and back between them, so that some packets are always under way.

use std::collections::VecDeque;
use std::time::Duration;

use netcode_proto::channels::{CONTROL, GAME_RELIABLE_ORDERED, GAME_SEQUENCED, GAME_UNRELIABLE, STATE};
use netcode_proto::{ChannelId, ChannelKind, ChannelSet, Link, LinkConfig};
use netcode_wire::Time;

/// A body on its way; the buffers go round.
struct Flying {
    due: Time,
    seq: u64,
    body: Vec<u8>,
}

/// Two links and what flies between them.
struct Two {
    links: [Link; 2],
    seqs: [u64; 2],
    flying: [VecDeque<Flying>; 2],
    spare: Vec<Vec<u8>>,
    now: Time,
    /// Every so many bodies one is lost; 0: none.
    lose_every: u64,
}

type Say<'a> = &'a [(ChannelId, usize)];

impl Two {
    fn new(set: &ChannelSet) -> Self {
        let link = || Link::new(set, LinkConfig::default());
        Self {
            links: [link(), link()],
            seqs: [0; 2],
            flying: [VecDeque::with_capacity(256), VecDeque::with_capacity(256)],
            spare: (0..256).map(|_| Vec::with_capacity(1200)).collect(),
            now: Time::ZERO,
            lose_every: 0,
        }
    }

    /// A tick in which each end says something. Gives how many messages arrived.
    fn tick(&mut self, says: [Say<'_>; 2]) -> usize {
        self.now += TICK;
        let mut messages = 0;
        for (side, say) in says.into_iter().enumerate() {
            while self.flying[1 - side].front().is_some_and(|flying| flying.due <= self.now) {
                let Some(Flying { seq, body, .. }) = self.flying[1 - side].pop_front() else { break };
                self.links[side].handle_body(self.now, seq, &body).expect("honest");
                self.spare.push(body);
            }
            while self.links[side].receive().is_some() {
                messages += 1;
            }
            for (channel, len) in say {
                self.links[side].send(self.now, *channel, &BYTES[..*len]).expect("room");
            }
            let mut body = self.spare.pop().expect("256 are enough");
            while self.links[side].poll_body(self.now, self.seqs[side], 1175, &mut body) {
                let seq = self.seqs[side];
                self.seqs[side] += 1;
                if self.lose_every > 0 && seq % self.lose_every == 7 {
                    continue;
                }
                self.flying[side].push_back(Flying { due: self.now + ONE_WAY, seq, body });
                body = self.spare.pop().expect("256 are enough");
            }
            self.spare.push(body);
        }
        messages
    }

    fn ticks(&mut self, count: usize, says: [Say<'_>; 2]) -> usize {
        (0..count).map(|_| self.tick(says)).sum()
    }
}

static BYTES: [u8; 60_000] = [7; 60_000];
const TICK: Duration = Duration::from_micros(16_667);
const ONE_WAY: Duration = Duration::from_millis(25);
/// The workload of the transport bench: 200 + 32 B down, 40 B up, 60 Hz.
const DOWN: Say<'_> = &[(STATE, 200), (GAME_RELIABLE_ORDERED, 32)];
const UP: Say<'_> = &[(STATE, 40)];

/// Bytes of both links after `work`, inline and on the heap, halved.
fn bytes_per_link(set: &ChannelSet, work: impl FnOnce(&mut Two)) -> usize {
    let mut two = Two::new(set);
    let mut links = None;
    let made = allocation_counter::measure(|| {
        let link = || Link::new(set, LinkConfig::default());
        links = Some([link(), link()]);
    });
    two.links = links.expect("made");
    let grown = allocation_counter::measure(|| work(&mut two));
    let heap = (made.bytes_current + grown.bytes_current) as usize;
    size_of::<Link>() + heap / 2
}

#[test]
fn a_link_in_a_match_takes_less_than_four_kibibytes() {
    let set = ChannelSet::standard();
    let fresh = bytes_per_link(&set, |_| ());
    assert!(fresh <= 1536, "{fresh} before the first packet");
    let playing = bytes_per_link(&set, |two| {
        two.ticks(1200, [DOWN, UP]);
    });
    assert!(playing <= 3968, "{playing} in a match");
    // 64 channels of which two are used cost 64 entries of the table, not 64 channels.
    let wide = bytes_per_link(&ChannelSet::new(&[ChannelKind::ReliableOrdered; 64]), |two| {
        two.ticks(1200, [&[(ChannelId(63), 32)], &[(ChannelId(0), 32)]]);
    });
    assert!(wide <= playing + 58 * 64, "{wide} with 64 channels");
}

#[test]
fn a_burst_is_given_back() {
    let set = ChannelSet::standard();
    let quiet = bytes_per_link(&set, |two| {
        let all = &[(CONTROL, 60_000), (STATE, 50_000), (GAME_SEQUENCED, 30_000)];
        two.tick([all, all]);
        two.ticks(600, [&[], &[]]);
    });
    // Here each link has rules of its own, which a server's links share.
    assert!(quiet <= 3584, "{quiet} after a burst of 140 kB each way");
}

/// Allocations of both ends in 20 s, after as long a time of the same.
fn allocations(set: &ChannelSet, lose_every: u64, says: [Say<'_>; 2]) -> u64 {
    let mut two = Two::new(set);
    two.lose_every = lose_every;
    two.ticks(1200, says);
    let mut got = 0;
    let counted = allocation_counter::measure(|| got = two.ticks(1200, says));
    assert!(got > 1000, "{got} messages arrived");
    counted.count_total
}

/// Also the load to profile: `valgrind --tool=callgrind --toggle-collect='*Link*poll_body*' <test> no_packet`.
#[test]
fn no_packet_allocates() {
    let set = ChannelSet::standard();
    assert_eq!(allocations(&set, 0, [DOWN, UP]), 0);
    assert_eq!(allocations(&set, 20, [DOWN, UP]), 0, "5 % lost");
    assert_eq!(allocations(&set, 0, [&[(STATE, 200), (CONTROL, 32), (GAME_SEQUENCED, 30)], UP]), 0);
    assert_eq!(allocations(&set, 0, [&[(GAME_UNRELIABLE, 500), (STATE, 600)], DOWN]), 0);
    let wide = ChannelSet::new(&[ChannelKind::ReliableOrdered; 64]);
    let all: Vec<(ChannelId, usize)> = (0..64).map(|channel| (ChannelId(channel), 8)).collect();
    assert_eq!(allocations(&wide, 0, [&all, UP_WIDE]), 0);
}

/// An answer on a wide set.
const UP_WIDE: Say<'_> = &[(ChannelId(0), 40)];
