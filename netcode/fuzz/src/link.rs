//! A link against a peer that has the keys and no honour: any bodies, any numbers, any clock. It finds the peer out
//! or goes on, within its bounds either way. Must never know a session.

use std::time::Duration;

use netcode_proto::{BODY_BYTES_MAX, ChannelId, ChannelSet, Link, LinkConfig};
use netcode_wire::Time;

use super::feed::{Digest, Feed, chunk};

/// A schedule of bodies, messages and time.
///
/// # Panics
/// When a law is broken.
pub fn bodies(input: &[u8]) -> u64 {
    let mut feed = Feed::new(input);
    let mut bench = Bench::new();
    for _ in 0..STEPS_MAX {
        if feed.is_empty() {
            break;
        }
        if !bench.step(&mut feed) {
            bench.digest.number(u64::MAX);
            break;
        }
        bench.judge();
    }
    if bench.taken == 0 { 0 } else { bench.digest.finish() }
}

struct Bench {
    link: Link,
    channels: ChannelSet,
    receive_bytes_max: usize,
    now: Time,
    /// Our next packet number.
    seq: u64,
    /// The peer's last one.
    peer_seq: u64,
    taken: u64,
    body: Vec<u8>,
    digest: Digest,
}

impl Bench {
    fn new() -> Self {
        let (channels, config) = (ChannelSet::standard(), LinkConfig::default());
        Self {
            receive_bytes_max: config.receive_bytes_max,
            link: Link::new(&channels, config),
            channels,
            now: Time::from_secs(1),
            seq: 100,
            peer_seq: 0,
            taken: 0,
            body: Vec::new(),
            digest: Digest::new(),
        }
    }

    /// Does one thing; false when the peer was found out, which ends the connection.
    fn step(&mut self, feed: &mut Feed<'_>) -> bool {
        match feed.u8() % 8 {
            // A body as it is.
            0 | 1 => {
                let seq = self.next_seq(feed);
                let body = feed.chunk();
                self.hand(seq, body)
            }
            // A piece of a message: its fields free, its bytes as many as they ask for.
            2 => {
                let seq = self.next_seq(feed);
                let body = piece(feed);
                self.hand(seq, &body)
            }
            // An acknowledgement of what may have been sent.
            3 => {
                let newest = self.seq.wrapping_sub(1 + u64::from(feed.u8()));
                let (run, seq) = (feed.u8() % 63, self.next_seq(feed));
                let [low, high, ..] = newest.to_le_bytes();
                self.hand(seq, &[1 | run << 2, low, high, feed.u8()])
            }
            4 => {
                let channel = ChannelId(feed.u8() % 7);
                let outcome = self.link.send(self.now, channel, &vec![5; usize::from(feed.u16())]);
                self.digest.add(format!("{outcome:?}").as_bytes());
                true
            }
            5 => {
                self.now += Duration::from_micros(u64::from(feed.u16()) << (feed.u8() % 12));
                self.flush();
                true
            }
            6 => {
                while let Some((channel, message)) = self.link.receive() {
                    self.digest.add(&[channel.0]);
                    self.digest.add(&message);
                }
                true
            }
            _ => {
                self.seq = self.seq.saturating_add(u64::from(feed.u16()));
                true
            }
        }
    }

    /// The number after the last, unless the feed wants another, up to the very last of the space.
    fn next_seq(&mut self, feed: &mut Feed<'_>) -> u64 {
        self.peer_seq = match feed.u8() {
            255 => feed.u64(),
            254 => self.peer_seq.saturating_add(u64::from(feed.u16())),
            back @ 128..254 => return self.peer_seq.saturating_sub(u64::from(back - 128)),
            ahead => self.peer_seq.saturating_add(1 + u64::from(ahead % 8)),
        };
        self.peer_seq
    }

    fn hand(&mut self, seq: u64, body: &[u8]) -> bool {
        match self.link.handle_body(self.now, seq, body) {
            Ok(()) => {
                self.taken += 1;
                true
            }
            Err(error) => {
                self.digest.add(error.to_string().as_bytes());
                false
            }
        }
    }

    fn flush(&mut self) {
        for _ in 0..64 {
            if !self.link.poll_body(self.now, self.seq, BODY_BYTES_MAX, &mut self.body) {
                break;
            }
            assert!((1..=BODY_BYTES_MAX).contains(&self.body.len()), "a link keeps to its budget");
            self.digest.add(&self.body);
            self.seq += 1;
        }
    }

    fn judge(&self) {
        let stats = self.link.stats();
        // Held back: two kinds of channels up to their bound and one message over it; the inbox up to its bound and
        // what one body can release into it.
        let held = 2 * (self.channels.reassembly_bytes_max + self.channels.message_bytes_max)
            + self.receive_bytes_max
            + self.channels.reassembly_bytes_max
            + SLACK;
        assert!(stats.held_bytes <= held, "{} bytes held", stats.held_bytes);
        let queued = self.channels.reassembly_bytes_max
            + self.channels.kinds().len() * self.channels.queue_bytes_max
            + SLACK;
        assert!(stats.queued_bytes <= queued, "{} bytes queued", stats.queued_bytes);
        assert!((0.0..=1.0).contains(&stats.loss), "{}", stats.loss);
    }
}

/// A body with one piece: channel, id, index, count and total from the feed.
fn piece(feed: &mut Feed<'_>) -> Vec<u8> {
    let (channel, id) = (feed.u8() % 6, feed.u16());
    let (index, count, total) =
        (u32::from(feed.u8()), 2 + u32::from(feed.u8()), u32::from(feed.u16()) << (feed.u8() % 2));
    let step = total.div_ceil(count);
    let bytes = (index * step).min(total)..((index + 1) * step).min(total);
    let mut body = vec![0, channel | 0x40];
    body.extend(id.to_le_bytes());
    [index, count, total].iter().for_each(|number| varint(*number, &mut body));
    body.extend(bytes.map(|at| at as u8));
    body
}

fn varint(mut value: u32, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// What honest links give to [`bodies`].
#[must_use]
pub fn bodies_seeds() -> Vec<Vec<u8>> {
    let mut peer = Link::new(&ChannelSet::standard(), LinkConfig::default());
    for (channel, len) in (0..6).zip([40, 32, 3000, 12, 200, 5000]) {
        peer.send(Time::ZERO, ChannelId(channel), &vec![channel; len]).expect("room");
    }
    let (mut honest, mut body, mut seq) = (Vec::new(), Vec::new(), 0);
    while peer.poll_body(Time::ZERO, seq, BODY_BYTES_MAX, &mut body) {
        honest.extend([0, 0]);
        honest.extend(chunk(&body));
        seq += 1;
    }
    honest.push(6);
    // Messages out, time, an acknowledgement of the first, time.
    let talk = vec![4, 1, 32, 0, 4, 0, 200, 0, 5, 10, 0, 10, 3, 0, 0, 0, 1, 5, 10, 0, 10, 6];
    let bomb = (0..20).flat_map(|id| [2, 0, 1, id, 0, 0, 38, 0x80, 0x3e, 0]).collect();
    let late = vec![0, 0, 1, 0, 0, 4, 5, 0xff, 0xff, 5, 10, 0, 10, 5, 0xff, 0xff, 11, 5, 0xff, 0xff, 11];
    vec![honest, talk, bomb, late]
}

const STEPS_MAX: usize = 200;
/// What one body can bring beyond a bound that is checked once a body.
const SLACK: usize = 64 << 10;
