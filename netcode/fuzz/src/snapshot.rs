//! The snapshot receiver, in the middle of an honest stream: what is refused changes nothing, and what is taken
//! keeps every bound. Must never know what a frame is shown as.

use std::sync::OnceLock;

use netcode_derive::Replicate;
use netcode_snapshot::{
    ClientView, ComponentId, Feedback, Frame, History, NetId, Receiver, ReceiverLimits, Schema, SnapshotError,
};
use netcode_wire::{BitReader, BitWriter, Tick};

use super::feed::{Digest, Feed, chunk};

/// Every kind of column.
#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
#[net(predictor = "linear")]
struct Body {
    #[net(range(-64.0..=64.0), step = 0.005)]
    x: f32,
    #[net(angle, bits = 12)]
    heading: f32,
    #[net(raw)]
    exact: f32,
    #[net(signed, bits = 9)]
    spin: i32,
    #[net(bits = 20)]
    score: u32,
    alive: bool,
}

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
struct Tag(#[net(opaque)] u32);

/// A number of honest snapshots, then chunks that are decoded as snapshots. A chunk may have its first 32 bits
/// replaced by the tick that is due: else few would pass the header.
///
/// # Panics
/// When a law is broken.
pub fn receiver(input: &[u8]) -> u64 {
    let mut feed = Feed::new(input);
    let schema = schema();
    let mut receiver = Receiver::new(ReceiverLimits { entities_max: ENTITIES_MAX });
    for bytes in &honest()[..usize::from(feed.u8()) % (HONEST + 1)] {
        receiver.decode(&schema, &mut BitReader::new(bytes)).expect("an honest stream");
    }
    let (mut digest, mut taken) = (Digest::new(), 0_u64);
    for _ in 0..CHUNKS_MAX {
        if feed.is_empty() {
            break;
        }
        let ahead = feed.u8();
        let mut bytes = feed.chunk().to_vec();
        if let (1..128, Some(head)) = (ahead, bytes.first_chunk_mut()) {
            let newest = receiver.latest().map_or(0, |frame| frame.tick().0);
            *head = newest.saturating_add(u32::from(ahead)).to_le_bytes();
        }
        match decode(&schema, &mut receiver, &bytes) {
            Ok(()) => taken += 1,
            Err(error) => digest.add(error.to_string().as_bytes()),
        }
    }
    if let Some(frame) = receiver.latest() {
        digest_frame(&schema, frame, &mut digest);
    }
    if taken == 0 { 0 } else { digest.finish() }
}

fn decode(schema: &Schema, receiver: &mut Receiver, bytes: &[u8]) -> Result<(), SnapshotError> {
    let (ack, before) = (receiver.ack(), receiver.latest().cloned());
    let outcome = receiver.decode(schema, &mut BitReader::new(bytes));
    let latest = receiver.latest();
    match outcome {
        Ok(header) => {
            assert!(receiver.ack().is_none_or(|ack| ack.newest <= header.tick));
            assert!(ack.is_none_or(|ack| ack.newest < header.tick), "time goes forward");
            judge(schema, latest.expect("the one just taken"), header.tick);
            assert!(receiver.frames().map(Frame::tick).is_sorted());
            Ok(())
        }
        Err(error) => {
            assert_eq!(receiver.ack(), ack);
            assert!(match (latest, &before) {
                (Some(now), Some(before)) => now.tick() == before.tick() && now.same_state(before),
                (now, before) => now.is_none() && before.is_none(),
            });
            Err(error)
        }
    }
}

/// Every column is below its field's bound, ids ascend, no entity is from the future, nobody exceeds the limit.
pub(super) fn judge(schema: &Schema, frame: &Frame, tick: Tick) {
    assert_eq!(frame.tick(), tick);
    assert!(frame.len() <= ENTITIES_MAX);
    let ids: Vec<NetId> = frame.entities().collect();
    assert!(ids.is_sorted_by(|one, next| one < next));
    for id in ids {
        assert!(frame.stamp(id).is_some_and(|stamp| stamp <= tick));
        for component in frame.components(id) {
            let columns = frame.columns(id, component).expect("it is there");
            for (column, field) in columns.iter().zip(schema.fields(component)) {
                assert!(u64::from(*column) < 1 << field.bits, "{} of {id} is {column}", field.name);
            }
        }
        if let Some(body) = frame.get::<Body>(schema, id) {
            assert!((-64.1..=64.1).contains(&body.x), "{body:?}");
        }
    }
}

pub(super) fn digest_frame(schema: &Schema, frame: &Frame, digest: &mut Digest) {
    digest.number(u64::from(frame.tick().0));
    for id in frame.entities() {
        digest.number(u64::from(id.0));
        for component in (0..schema.len()).map(|place| ComponentId(place as u8)) {
            let columns = frame.columns(id, component).unwrap_or_default();
            columns.iter().for_each(|column| digest.number(u64::from(*column)));
        }
    }
}

pub(super) fn schema() -> Schema {
    Schema::builder().component::<Body>().component::<Tag>().build()
}

/// An honest stream: entities that move, come and go.
fn honest() -> &'static [Vec<u8>] {
    static STREAM: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    STREAM.get_or_init(|| stream(HONEST as u32))
}

fn stream(ticks: u32) -> Vec<Vec<u8>> {
    let schema = schema();
    let (mut history, mut view) = (History::default(), ClientView::with_limit(ENTITIES_MAX));
    let mut receiver = Receiver::new(ReceiverLimits { entities_max: ENTITIES_MAX });
    let mut all = Vec::new();
    for tick in 1..=ticks {
        let frame = history.extract(Tick(tick), |frame| fill(&schema, frame, tick));
        let relevant: Vec<_> = frame.entities().map(|id| (id, 1.0)).collect();
        let mut out = BitWriter::new();
        view.encode(&schema, &history, &relevant, Feedback::default(), 4_000, &mut out);
        let bytes = out.into_bytes();
        receiver.decode(&schema, &mut BitReader::new(&bytes)).expect("honest");
        view.ack(receiver.ack().expect("one was decoded"));
        all.push(bytes);
    }
    all
}

pub(super) fn fill(schema: &Schema, frame: &mut Frame, tick: u32) {
    for id in (0..8).filter(|id| !(id + tick).is_multiple_of(7)) {
        let at = tick as f32 * 0.3 + id as f32;
        let body =
            Body { x: at, heading: at, exact: at, spin: id as i32 - 3, score: tick * 9, alive: id % 2 == 0 };
        frame.push(schema, NetId(id * id * 40), |writer| {
            writer.component(&body);
            if id % 3 == 0 {
                writer.component(&Tag(id));
            }
        });
    }
}

/// What an honest server gives to [`receiver`].
#[must_use]
pub fn receiver_seeds() -> Vec<Vec<u8>> {
    let stream = stream(HONEST as u32 + 3);
    let from = |start: usize| {
        let rest = stream[start..].iter().flat_map(|bytes| [vec![0], chunk(bytes)].concat());
        [start as u8].into_iter().chain(rest).collect()
    };
    vec![from(0), from(2), from(HONEST)]
}

const HONEST: usize = 4;
const CHUNKS_MAX: usize = 16;
/// Low, so that a fuzzer reaches it.
pub(super) const ENTITIES_MAX: usize = 40;
