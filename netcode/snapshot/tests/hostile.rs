//! Bytes from a hostile or broken server: refused with a reason, never a panic, never more memory than the
//! limit, and the receiver goes on as if they had not come.

use fastrand::Rng;
use netcode_derive::Replicate;
use netcode_snapshot::{
    Ack, ClientView, Feedback, Frame, History, NetId, Receiver, ReceiverLimits, Schema, SnapshotError,
    SnapshotHeader,
};
use netcode_wire::{BitReader, BitWriter, Tick, WireError};

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
struct Body {
    #[net(range(0.0..=100.0), step = 0.5)]
    x: f32,
    #[net(bits = 20)]
    y: u32,
    alive: bool,
}

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
struct Tag(u8);

fn schema() -> Schema {
    Schema::builder().component::<Body>().component::<Tag>().build()
}

fn fill(schema: &Schema, frame: &mut Frame, count: u32, at: f32) {
    for id in 0..count {
        frame.push(schema, NetId(id * 3), |writer| {
            writer.component(&Body { x: at + id as f32, y: id, alive: id % 2 == 0 });
            if id % 3 == 0 {
                writer.component(&Tag(id as u8));
            }
        });
    }
}

/// A server and a client that follow each other for `ticks` ticks.
fn pair(schema: &Schema, count: u32, ticks: u32) -> (History, ClientView, Receiver, Vec<Vec<u8>>) {
    let (mut history, mut view) = (History::default(), ClientView::new());
    let mut receiver = Receiver::default();
    let mut snapshots = Vec::new();
    for tick in 1..=ticks {
        let bytes = next(schema, &mut history, &mut view, count, tick);
        receiver.decode(schema, &mut BitReader::new(&bytes)).expect("all arrive in order");
        view.ack(receiver.ack().expect("one was decoded"));
        snapshots.push(bytes);
    }
    (history, view, receiver, snapshots)
}

fn next(schema: &Schema, history: &mut History, view: &mut ClientView, count: u32, tick: u32) -> Vec<u8> {
    let frame = history.extract(Tick(tick), |frame| fill(schema, frame, count, tick as f32 * 0.5));
    let relevant: Vec<_> = frame.entities().map(|id| (id, 1.0)).collect();
    let mut out = BitWriter::new();
    view.encode(schema, history, &relevant, Feedback::default(), 9_000, &mut out);
    out.into_bytes()
}

#[test]
fn random_bytes_never_panic_and_never_stick() {
    let schema = schema();
    let mut rng = Rng::with_seed(1);
    let (_, _, mut receiver, _) = pair(&schema, 10, 5);
    let ack = receiver.ack();
    let mut bytes = [0; 200];
    for _ in 0..20_000 {
        let len = rng.usize(0..bytes.len());
        rng.fill(&mut bytes[..len]);
        // Ticks that follow the last one get past the header.
        bytes[..4].copy_from_slice(&rng.u32(6..20).to_le_bytes());
        let before = receiver.latest().cloned();
        if receiver.decode(&schema, &mut BitReader::new(&bytes[..len])).is_err() {
            assert_eq!(receiver.ack(), ack);
            assert!(
                receiver.latest().zip(before.as_ref()).is_some_and(|(now, before)| now.same_state(before))
            );
        } else {
            receiver = pair(&schema, 10, 5).2;
        }
    }
}

#[test]
fn flipped_bits_never_panic() {
    let schema = schema();
    let (mut history, mut view, _, _) = pair(&schema, 12, 8);
    let good = next(&schema, &mut history, &mut view, 12, 9);
    for bit in 0..good.len() * 8 {
        let (_, _, mut receiver, _) = pair(&schema, 12, 8);
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let _ = receiver.decode(&schema, &mut BitReader::new(&bad));
        for len in [bit / 8, bad.len()] {
            let _ = receiver.decode(&schema, &mut BitReader::new(&bad[..len]));
        }
        assert!(receiver.latest().is_some());
    }
}

#[test]
fn a_snapshot_cut_short_changes_nothing() {
    let schema = schema();
    let (mut history, mut view, mut receiver, _) = pair(&schema, 12, 8);
    let good = next(&schema, &mut history, &mut view, 12, 9);
    for len in 0..good.len() - 1 {
        let read = receiver.decode(&schema, &mut BitReader::new(&good[..len]));
        assert_eq!(read, Err(SnapshotError::Wire(WireError::UnexpectedEnd)), "{len} of {}", good.len());
        assert_eq!(receiver.ack().map(|ack| ack.newest), Some(Tick(8)));
    }
    assert!(receiver.decode(&schema, &mut BitReader::new(&good)).is_ok());
}

#[test]
fn every_refusal_has_its_reason() {
    let schema = schema();
    let (_, _, mut receiver, snapshots) = pair(&schema, 4, 6);
    let mut read = |bytes: &[u8]| receiver.decode(&schema, &mut BitReader::new(bytes));
    assert_eq!(read(&snapshots[5]), Err(SnapshotError::Stale(Tick(6))));
    assert_eq!(read(&snapshots[1]), Err(SnapshotError::Stale(Tick(2))));

    let start = |tick, baseline: u32| {
        let mut out = BitWriter::new();
        let header =
            SnapshotHeader { tick: Tick(tick), baseline: Some(Tick(baseline)), ..Default::default() };
        header.encode(&mut out);
        out
    };
    let out = start(70, 20);
    assert_eq!(read(&out.into_bytes()), Err(SnapshotError::UnknownBaseline(Tick(20))));

    // Id 1 (gap 1 = `10` and four zeros) changes; the baseline has 0, 3, 6, 9.
    let mut out = start(7, 6);
    out.write_bits(0b01, 7);
    assert_eq!(read(&out.into_bytes()), Err(SnapshotError::UnknownEntity(NetId(1))));

    // Id 0 changes in the same components, the first one to a whole x of 255, beyond 200.
    let mut out = start(7, 6);
    out.write_bits(0b11000, 5);
    out.write_bits(0b11 | 255 << 2, 10);
    assert_eq!(
        read(&out.into_bytes()),
        Err(SnapshotError::Wire(WireError::Malformed("column beyond its range")))
    );
}

#[test]
fn more_entities_than_the_limit_are_refused() {
    let schema = schema();
    let (mut history, mut view) = (History::default(), ClientView::new());
    let bytes = next(&schema, &mut history, &mut view, 9, 1);
    let mut receiver = Receiver::new(ReceiverLimits { entities_max: 8 });
    let read = receiver.decode(&schema, &mut BitReader::new(&bytes));
    assert_eq!(read, Err(SnapshotError::TooManyEntities(8)));
    assert!(receiver.latest().is_none());

    // A server that knows the limit keeps it.
    let (mut history, mut view) = (History::default(), ClientView::with_limit(8));
    let bytes = next(&schema, &mut history, &mut view, 9, 1);
    assert!(receiver.decode(&schema, &mut BitReader::new(&bytes)).is_ok_and(|header| !header.complete));
    assert_eq!(receiver.latest().map(Frame::len), Some(8));
}

#[test]
fn a_lying_ack_harms_nobody_else() {
    let schema = schema();
    let mut rng = Rng::with_seed(2);
    let (mut history, mut view) = (History::new(16), ClientView::new());
    for tick in 1..2_000 {
        let count = rng.u32(0..12);
        next(&schema, &mut history, &mut view, count, tick);
        for _ in 0..rng.u32(0..4) {
            view.ack(Ack::new(Tick(tick.saturating_sub(rng.u32(0..70))), rng.u32(..)));
        }
    }
}
