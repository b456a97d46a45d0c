//! What delivery costs: two links in memory, a server's usual tick of messages from one to the other.

#![allow(missing_docs, reason = "criterion's macros make functions without documentation")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use netcode_proto::{ChannelId, ChannelSet, Link, LinkConfig, channels};
use netcode_wire::Time;

const TICK: Duration = Duration::from_micros(16_667);
const BODY_BYTES: usize = 1175;

/// Two ends and the clock they share.
struct Wire {
    ends: [Link; 2],
    sequences: [u64; 2],
    now: Time,
    body: Vec<u8>,
}

impl Wire {
    fn new() -> Self {
        let end = || Link::new(&ChannelSet::standard(), LinkConfig::default());
        Self { ends: [end(), end()], sequences: [0; 2], now: Time::ZERO, body: Vec::new() }
    }

    /// One tick: `messages` from end 0, everything carried both ways. Messages that arrived; with `lossy`, every
    /// fiftieth body is lost.
    fn tick(&mut self, messages: &[(ChannelId, Vec<u8>)], lossy: bool) -> usize {
        self.now += TICK;
        for (channel, message) in messages {
            self.ends[0].send(self.now, *channel, message).expect("the queues are emptied every tick");
        }
        self.carry(0, 1, lossy);
        self.carry(1, 0, lossy);
        std::iter::from_fn(|| self.ends[1].receive()).count()
    }

    fn carry(&mut self, from: usize, to: usize, lossy: bool) {
        loop {
            self.body.clear();
            let sequence = self.sequences[from];
            if !self.ends[from].poll_body(self.now, sequence, BODY_BYTES, &mut self.body) {
                return;
            }
            self.sequences[from] += 1;
            if !(lossy && sequence % 50 == 49) {
                self.ends[to].handle_body(self.now, sequence, &self.body).expect("the other end wrote it");
            }
        }
    }
}

fn ticks(criterion: &mut Criterion) {
    let state = (channels::STATE, vec![1; 300]);
    let small = (channels::GAME_RELIABLE_ORDERED, vec![2; 24]);
    let large = (channels::GAME_RELIABLE_UNORDERED, vec![3; 8_000]);
    let cases = [
        ("state", vec![state.clone()]),
        ("state and 3 reliable", vec![state.clone(), small.clone(), small.clone(), small]),
        ("state and 8 kB", vec![state, large]),
    ];
    let mut group = criterion.benchmark_group("channel/tick");
    for (name, messages) in &cases {
        group.throughput(Throughput::Elements(messages.len() as u64));
        for lossy in [false, true] {
            let mut wire = Wire::new();
            let loss = if lossy { "2 % lost" } else { "none lost" };
            group.bench_function(BenchmarkId::new(*name, loss), |bench| {
                bench.iter(|| black_box(wire.tick(messages, lossy)));
            });
        }
    }
    group.finish();
}

criterion_group!(all, ticks);
criterion_main!(all);
