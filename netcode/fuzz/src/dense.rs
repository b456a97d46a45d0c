//! The dense receiver, in the middle of an honest stream: what is refused changes no frame, and what is taken keeps
//! every bound. Must never know what a frame is shown as.

use std::sync::OnceLock;

use netcode_snapshot::{DenseReceiver, DenseView, Feedback, History, NetId, ReceiverLimits, SnapshotError};
use netcode_wire::{BitReader, BitWriter, Tick};

use super::feed::{Digest, Feed, chunk};
use super::snapshot::{ENTITIES_MAX, digest_frame, fill, judge, schema};

/// A number of honest snapshots, then chunks that are decoded as snapshots. A chunk may have its first 32 bits replaced
/// by the tick that is due: else few would pass the header.
///
/// # Panics
/// When a law is broken.
pub fn receiver(input: &[u8]) -> u64 {
    let mut feed = Feed::new(input);
    let schema = schema();
    let mut receiver = DenseReceiver::new(&schema, ReceiverLimits { entities_max: ENTITIES_MAX });
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
        let (ack, before) = (receiver.ack(), receiver.latest().cloned());
        match receiver.decode(&schema, &mut BitReader::new(&bytes)) {
            Ok(header) => {
                assert!(ack.is_none_or(|ack| ack.newest < header.tick), "time goes forward");
                judge(&schema, receiver.latest().expect("the one just taken"), header.tick);
                taken += 1;
            }
            Err(error) => {
                assert_eq!(receiver.ack(), ack);
                assert!(match (receiver.latest(), &before) {
                    (Some(now), Some(before)) => now.tick() == before.tick() && now.same_state(before),
                    (now, before) => now.is_none() && before.is_none(),
                });
                refused(error, &mut digest);
            }
        }
    }
    if let Some(frame) = receiver.latest() {
        digest_frame(&schema, frame, &mut digest);
    }
    if taken == 0 { 0 } else { digest.finish() }
}

fn refused(error: SnapshotError, digest: &mut Digest) {
    digest.add(error.to_string().as_bytes());
}

/// An honest stream: entities that move, come and go.
fn honest() -> &'static [Vec<u8>] {
    static STREAM: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    STREAM.get_or_init(|| stream(HONEST as u32))
}

fn stream(ticks: u32) -> Vec<Vec<u8>> {
    let schema = schema();
    let (mut history, mut view) = (History::default(), DenseView::with_limit(&schema, ENTITIES_MAX));
    let mut receiver = DenseReceiver::new(&schema, ReceiverLimits { entities_max: ENTITIES_MAX });
    let mut all = Vec::new();
    for tick in 1..=ticks {
        let frame = history.extract(Tick(tick), |frame| fill(&schema, frame, tick));
        let relevant: Vec<(NetId, f32)> = frame.entities().map(|id| (id, 1.0)).collect();
        let mut out = BitWriter::new();
        view.encode(&schema, &history, &relevant, Feedback::default(), 4_000, &mut out);
        let bytes = out.into_bytes();
        receiver.decode(&schema, &mut BitReader::new(&bytes)).expect("honest");
        view.ack(receiver.ack().expect("one was decoded"));
        all.push(bytes);
    }
    all
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

/// More than a snapshot's way: model and past states are in use.
const HONEST: usize = 12;
const CHUNKS_MAX: usize = 16;
