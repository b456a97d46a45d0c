//! What a steady match costs in the dense codec: no allocation once the buffers have grown, and the memory that the
//! documentation states.

use std::collections::VecDeque;

use glam::Vec2;
use netcode_derive::Replicate;
use netcode_snapshot::{Ack, DenseReceiver, DenseView, Feedback, History, NetId, ReceiverLimits, Schema};
use netcode_wire::{BitReader, BitWriter, Tick};

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
#[net(predictor = "linear")]
struct Ship {
    #[net(range(-64.0..=64.0), step = 0.005)]
    pos: Vec2,
    #[net(angle, bits = 12)]
    heading: f32,
}

/// A server with ships that steer in curves, and one client six ticks away.
struct Match {
    schema: Schema,
    history: History,
    view: DenseView,
    receiver: DenseReceiver,
    out: BitWriter,
    relevant: Vec<(NetId, f32)>,
    acks: VecDeque<Ack>,
    tick: u32,
}

impl Match {
    fn new() -> Self {
        let schema = Schema::builder().component::<Ship>().build();
        Self {
            view: DenseView::new(&schema),
            receiver: DenseReceiver::new(&schema, ReceiverLimits::default()),
            schema,
            history: History::default(),
            out: BitWriter::with_capacity(8192),
            relevant: (0..SHIPS).map(|id| (NetId(id), 1.0)).collect(),
            acks: VecDeque::with_capacity(64),
            tick: 0,
        }
    }

    fn step(&mut self, budget_bits: usize) -> usize {
        self.tick += 1;
        let (schema, seconds) = (&self.schema, self.tick as f32 / 60.0);
        self.history.extract(Tick(self.tick), |frame| {
            for id in 0..SHIPS {
                let turn = seconds * (0.5 + id as f32 * 0.02) + id as f32;
                let ship = Ship { pos: Vec2::from_angle(turn) * 40.0, heading: turn };
                frame.push(schema, NetId(id), |entity| entity.component(&ship));
            }
        });
        if self.acks.len() == 6
            && let Some(ack) = self.acks.pop_front()
        {
            self.view.ack(ack);
        }
        self.out.clear();
        let stats = self.view.encode(
            schema,
            &self.history,
            &self.relevant,
            Feedback::default(),
            budget_bits,
            &mut self.out,
        );
        self.receiver.decode(schema, &mut BitReader::new(self.out.as_bytes())).expect("nothing is lost");
        self.acks.push_back(self.receiver.ack().expect("one was decoded"));
        stats.bits
    }
}

#[test]
fn a_steady_match_allocates_nothing() {
    for budget_bits in [100_000, 700] {
        let mut game = Match::new();
        (0..400).for_each(|_| _ = game.step(budget_bits));
        let allocated = allocation_counter::measure(|| (0..200).for_each(|_| _ = game.step(budget_bits)));
        assert_eq!(allocated.count_total, 0, "within {budget_bits} bits");
    }
}

#[test]
fn it_learns_how_ships_move() {
    let mut game = Match::new();
    let mut mean = |ticks: u32| (0..ticks).map(|_| game.step(100_000)).sum::<usize>() / ticks as usize;
    // The first eighty teach it.
    mean(80);
    let bits = mean(200) as f64 / f64::from(SHIPS);
    // Two coordinates at up to 65 units a tick and a heading, six ticks ahead.
    assert!((4.0..16.0).contains(&bits), "{bits:.1} bits a ship");
    // The model: 5 + 1 + 3 columns of 17,136 bytes; past states: 9 × 3 columns of 4 bytes a ship.
    let expected = 9 * 17_136 + SHIPS as usize * 9 * 3 * 4;
    for held in [game.view.bytes(), game.receiver.bytes()] {
        assert!((expected..expected + 500_000).contains(&held), "{held} bytes");
    }
}

const SHIPS: u32 = 48;

/// A client joins a world of 900 things: until its first acknowledgement each snapshot tells of all of them. What that took
/// is not held for ever.
#[test]
fn a_join_is_not_held_for_ever() {
    let schema = Schema::builder().component::<Ship>().build();
    let (mut history, mut acks) = (History::default(), VecDeque::new());
    let (mut view, mut receiver) =
        (DenseView::new(&schema), DenseReceiver::new(&schema, ReceiverLimits::default()));
    let relevant: Vec<_> = (0..900).map(|id| (NetId(id), 1.0)).collect();
    let mut held = Vec::new();
    for tick in 1..200_u32 {
        history.extract(Tick(tick), |frame| {
            for (id, _) in &relevant {
                let moved = if id.0 < 40 { tick as f32 * 0.1 } else { 0.0 };
                let pos = Vec2::new((id.0 % 100) as f32 - 50.0 + moved, moved * 0.7);
                frame.push(&schema, *id, |entity| entity.component(&Ship { pos, heading: moved }));
            }
        });
        let mut out = BitWriter::new();
        view.encode(&schema, &history, &relevant, Feedback::default(), 1 << 20, &mut out);
        receiver.decode(&schema, &mut BitReader::new(out.as_bytes())).expect("nothing is lost");
        acks.push_back(receiver.ack().expect("one was decoded"));
        if acks.len() > 6 {
            view.ack(acks.pop_front().expect("there are seven"));
        }
        held.push((view.bytes(), receiver.bytes()));
    }
    let (most, now) = (held.iter().max().expect("some"), held[held.len() - 1]);
    println!("at the most {most:?} bytes, then {now:?}");
    // The model, and nine states of everything, for which vectors may have taken twice as much.
    let lasting = 9 * 17_136 + 900 * (9 * 3 * 4 + 72) * 2;
    assert!(now.0 < lasting + 150_000 && now.1 < lasting + 150_000, "{now:?} of {lasting}");
    assert!(most.0 > now.0 + 400_000, "{most:?}, then {now:?}");
}
