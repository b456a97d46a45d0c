//! What a world costs: extracting a frame, writing one client's snapshot against a baseline four ticks old, and
//! reading it. One element is one ship.

#![allow(missing_docs, reason = "criterion's macros make functions without documentation")]

use std::hint::black_box;

use arena::{Ship, Vitals};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use netcode_snapshot::{ClientView, Feedback, Frame, History, NetId, Receiver, Schema};
use netcode_wire::{BitReader, BitWriter, Tick};
use server_runtime::prelude::Vec2;

/// Snapshots on their way to the client, and acks on their way back: 60 ms of round trip at 60 Hz.
const DELAY_TICKS: usize = 4;
/// Datagrams of 1200 bytes are the wire's; here everything may travel at once, so that the work is the same.
const BUDGET_BITS: usize = 8 * 65_536;

/// A world of ships on circles, one client of it, and what is on its way between them.
struct Match {
    schema: Schema,
    ships: u32,
    tick: Tick,
    history: History,
    view: ClientView,
    receiver: Receiver,
    relevant: Vec<(NetId, f32)>,
    on_the_way: Vec<Vec<u8>>,
}

impl Match {
    fn new(ships: u32) -> Self {
        Self {
            schema: arena::schema(),
            ships,
            tick: Tick(0),
            history: History::new(128),
            view: ClientView::new(),
            receiver: Receiver::default(),
            relevant: (1..=ships).map(|id| (NetId(id), 1.0)).collect(),
            on_the_way: Vec::new(),
        }
    }

    fn extract(&mut self) {
        self.tick = self.tick.next();
        let (schema, tick, ships) = (&self.schema, self.tick, self.ships);
        self.history.extract(tick, |frame: &mut Frame| {
            for id in 1..=ships {
                frame.push(schema, NetId(id), |entity| {
                    entity.component(&ship(id, tick));
                    entity.component(&Vitals::default());
                });
            }
        });
    }

    fn encode(&mut self, out: &mut BitWriter) {
        let feedback = Feedback::default();
        self.view.encode(&self.schema, &self.history, &self.relevant, feedback, BUDGET_BITS, out);
    }

    /// Hands the oldest snapshot to the client, and the client's ack to the server.
    fn deliver(&mut self) {
        if self.on_the_way.len() >= DELAY_TICKS {
            let bytes = self.on_the_way.remove(0);
            self.receiver.decode(&self.schema, &mut BitReader::new(&bytes)).expect("our own snapshot");
            self.view.ack(self.receiver.ack().expect("a snapshot was decoded"));
        }
    }

    /// Four seconds; gives the last snapshot's bytes.
    fn warm_up(&mut self) -> usize {
        (0..240).fold(0, |_, _| self.advance())
    }

    /// A whole tick; gives the snapshot's bytes.
    fn advance(&mut self) -> usize {
        self.extract();
        let mut out = BitWriter::with_capacity(4096);
        self.encode(&mut out);
        let bytes = out.into_bytes();
        let len = bytes.len();
        self.on_the_way.push(bytes);
        self.deliver();
        len
    }
}

fn ship(id: u32, tick: Tick) -> Ship {
    let angle = id as f32 * 0.7 + tick.0 as f32 * 0.01;
    let radius = 10.0 + (id % 20) as f32;
    let pos = on_circle(angle, radius);
    let vel = on_circle(angle + core::f32::consts::FRAC_PI_2, radius * 0.6);
    Ship { pos, vel, heading: angle, ..Ship::default() }
}

fn on_circle(angle: f32, radius: f32) -> Vec2 {
    Vec2::from_angle(angle) * radius
}

fn snapshots(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot");
    for ships in [8, 64, 512] {
        group.throughput(Throughput::Elements(u64::from(ships)));
        let mut world = Match::new(ships);
        let bytes = world.warm_up();
        println!("{ships} ships: {bytes} bytes a snapshot, {:.2} a ship", bytes as f64 / f64::from(ships));
        group.bench_function(BenchmarkId::new("extract", ships), |bench| bench.iter(|| world.extract()));
        let mut world = Match::new(ships);
        world.warm_up();
        let mut out = BitWriter::with_capacity(65_536);
        group.bench_function(BenchmarkId::new("encode", ships), |bench| {
            bench.iter(|| {
                out.clear();
                world.encode(&mut out);
                black_box(out.bit_len())
            });
        });
        let mut world = Match::new(ships);
        world.warm_up();
        group.bench_function(BenchmarkId::new("whole tick, decode included", ships), |bench| {
            bench.iter(|| black_box(world.advance()));
        });
    }
    group.finish();
}

criterion_group!(all, snapshots);
criterion_main!(all);
