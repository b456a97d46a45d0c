//! What a steady match costs: bytes an entity and tick, and no allocation once the buffers have grown.

use glam::Vec2;
use netcode_derive::Replicate;
use netcode_snapshot::{
    Ack, Budget, ClientView, Feedback, History, NetId, Parts, Receiver, Schema, SharedBits, SnapshotStats,
};
use netcode_wire::{BitReader, BitWriter, Tick};

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
struct Ship {
    #[net(range(-64.0..=64.0), step = 0.005)]
    pos: Vec2,
    #[net(range(-20.0..=20.0), step = 0.02)]
    vel: Vec2,
    #[net(angle, bits = 12)]
    heading: f32,
}

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
struct Hull {
    #[net(bits = 7)]
    hp: u8,
    #[net(bits = 10)]
    score: u16,
    shielded: bool,
}

/// A server with `count` ships that steer in curves, and one client, `delay` ticks away each way.
struct Match {
    schema: Schema,
    history: History,
    view: ClientView,
    receiver: Receiver,
    out: BitWriter,
    bits: SharedBits,
    parts: Parts,
    relevant: Vec<(NetId, f32)>,
    acks: std::collections::VecDeque<Ack>,
    tick: u32,
    count: u32,
    delay: usize,
}

impl Match {
    fn new(count: u32, delay: usize) -> Self {
        Self {
            schema: Schema::builder().component::<Ship>().component::<Hull>().build(),
            history: History::default(),
            view: ClientView::new(),
            receiver: Receiver::default(),
            out: BitWriter::with_capacity(4096),
            bits: SharedBits::new(),
            parts: Parts::new(),
            relevant: (0..count).map(|id| (NetId(id), 1.0)).collect(),
            acks: std::collections::VecDeque::with_capacity(64),
            tick: 0,
            count,
            delay,
        }
    }

    /// The world of the next tick.
    fn extract(&mut self) {
        self.tick += 1;
        let (schema, count, seconds) = (&self.schema, self.count, self.tick as f32 / 60.0);
        self.history.extract(Tick(self.tick), |frame| {
            for id in 0..count {
                let phase = id as f32;
                // A circle of 12 units at 8 units a second, breathing.
                let turn = seconds * 0.66 + phase + (seconds * 1.7 + phase).sin() * 0.3;
                let (sin, cos) = turn.sin_cos();
                let ship =
                    Ship { pos: Vec2::new(cos, sin) * 12.0, vel: Vec2::new(-sin, cos) * 8.0, heading: turn };
                frame.push(schema, NetId(id), |writer| {
                    writer.component(&ship);
                    writer.component(&Hull {
                        hp: 100,
                        score: (seconds as u16).min(1000),
                        shielded: id % 2 == 0,
                    });
                });
            }
        });
    }

    fn step(&mut self, budget_bits: usize) -> SnapshotStats {
        self.extract();
        self.out.clear();
        let feedback = Feedback { input_tick: Some(Tick(self.tick)), input_margin: 16, late_inputs: 0 };
        let (history, out) = (&self.history, &mut self.out);
        let stats = self.view.encode(&self.schema, history, &self.relevant, feedback, budget_bits, out);
        self.receiver
            .decode(&self.schema, &mut BitReader::new(self.out.as_bytes()))
            .expect("all arrive in order");
        self.acknowledge();
        stats
    }

    /// As `step`, in several parts from shared bits.
    fn step_in_parts(&mut self, budget: Budget) -> SnapshotStats {
        self.extract();
        let shared = (&self.schema, &self.history, &mut self.bits);
        let stats =
            self.view.encode_parts(shared, &self.relevant, Feedback::default(), budget, &mut self.parts);
        for part in self.parts.iter() {
            self.receiver.decode(&self.schema, &mut BitReader::new(part)).expect("all arrive in order");
        }
        self.acknowledge();
        stats
    }

    fn acknowledge(&mut self) {
        self.acks.push_back(self.receiver.ack().expect("one was decoded"));
        if self.acks.len() > self.delay {
            self.view.ack(self.acks.pop_front().expect("there is one"));
        }
    }
}

#[test]
fn a_moving_ship_costs_five_to_eight_bytes_a_tick() {
    // 60 ms of round trip at 60 Hz, and a tick of waiting at each end: six ticks.
    let mut game = Match::new(16, 6);
    (0..120).for_each(|_| _ = game.step(100_000));
    let bits: usize = (0..600).map(|_| game.step(100_000).bits).sum();
    let bytes_a_ship = bits as f64 / 8.0 / 600.0 / 16.0;
    println!("{bytes_a_ship:.2} bytes a ship and tick, header shared by 16");
    assert!(bytes_a_ship < 8.0, "{bytes_a_ship:.2}");
}

#[test]
fn a_steady_match_allocates_nothing() {
    for budget_bits in [100_000, 3_000] {
        let mut game = Match::new(64, 6);
        // Once around the history and the receiver's ring, so that every buffer has grown.
        (0..300).for_each(|_| _ = game.step(budget_bits));
        let allocated = allocation_counter::measure(|| (0..200).for_each(|_| _ = game.step(budget_bits)));
        assert_eq!(allocated.count_total, 0, "within {budget_bits} bits");
    }
}

#[test]
fn a_steady_match_in_parts_allocates_nothing() {
    // Room for all of a thousand, and for some.
    for budget in [Budget::several(1100, 64 * 1100), Budget::several(1100, 2_500)] {
        let mut game = Match::new(1000, 6);
        (0..300).for_each(|_| _ = game.step_in_parts(budget));
        let mut parts = 0;
        let allocated =
            allocation_counter::measure(|| (0..100).for_each(|_| parts += game.step_in_parts(budget).parts));
        assert!(parts >= 200, "{parts} parts within {budget:?}");
        assert_eq!(allocated.count_total, 0, "within {budget:?}");
    }
}
