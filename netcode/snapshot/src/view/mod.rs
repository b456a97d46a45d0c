//! One client's view of the world: what it surely holds, what is on its way, what it must be told. Must never
//! know how snapshots travel, nor why an entity is relevant.

use netcode_wire::{BitWriter, Tick};

use crate::{Ack, History, NetId, Schema, codec};

/// What the server knows of one client's frames, and writes its snapshots from.
#[derive(Debug, Default)]
pub struct ClientView {
    newest_ack: Option<Tick>,
}

/// What a snapshot tells the client about its inputs: copied into the
/// [`SnapshotHeader`](crate::SnapshotHeader).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Feedback {
    /// The last input of this client that was simulated.
    pub input_tick: Option<Tick>,
    /// How early the newest input came, in 1/16 ticks; negative: late.
    pub input_margin: i16,
    /// Inputs that came too late since the last snapshot.
    pub late_inputs: u8,
}

/// What one snapshot was made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SnapshotStats {
    /// All bits, header included.
    pub bits: usize,
    /// Entities written whole.
    pub spawns: usize,
    /// Entities written against an earlier state.
    pub updates: usize,
    /// Entities taken away.
    pub despawns: usize,
    /// Entities that changed and did not fit.
    pub deferred: usize,
    /// Relevant entities beyond the limit of entities shown: not told of at all.
    pub refused: usize,
}

impl ClientView {
    /// The view of a client that holds nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes the snapshot of the newest frame in `history`, in at most `budget_bits` (never less than a
    /// header and an empty body: about 80 bits).
    ///
    /// `relevant`: who this client may see, in any order, with a positive priority each (what accumulates
    /// while an entity waits for room; 1 is ordinary). An entity that is not listed, or not in the frame, is
    /// taken away.
    ///
    /// # Panics
    /// When `history` is empty.
    pub fn encode(
        &mut self,
        schema: &Schema,
        history: &History,
        relevant: &[(NetId, f32)],
        feedback: Feedback,
        budget_bits: usize,
        out: &mut BitWriter,
    ) -> SnapshotStats {
        let _ = (
            schema,
            history,
            relevant,
            feedback,
            budget_bits,
            out,
            codec::encode_whole,
            codec::encode_change,
        );
        unimplemented!()
    }

    /// Takes what the client says it decoded. What was never sent, or is older than what is known, is ignored.
    pub fn ack(&mut self, ack: Ack) {
        let _ = ack;
    }

    /// The newest snapshot that the client is known to hold.
    #[must_use]
    pub fn newest_ack(&self) -> Option<Tick> {
        self.newest_ack
    }
}
