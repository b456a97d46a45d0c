//! One client's view of the world: what it must be told, and what of it fits. Must never know how snapshots
//! travel, nor why an entity is relevant.
//!
//! A snapshot is a [`SnapshotHeader`], then records with ascending ids (`record.rs`), each with its columns
//! (`codec.rs`). Everything that the client does not surely hold is in every snapshot until it does, as far as
//! the budget goes: so a spawn, a change and a despawn are reliable in effect, and a lost snapshot costs one
//! tick. When not everything fits, what has waited longest, weighed by its priority, goes first.

mod ledger;
mod select;

use netcode_wire::{BitWriter, Tick};

use self::ledger::Ledger;
use self::select::Selection;
use crate::record::{Action, END_BITS, IdWriter, encode_end};
use crate::{Ack, ENTITIES_MAX, Frame, History, NetId, Schema, SnapshotHeader, codec};

/// What the server knows of one client's frames, and writes its snapshots from.
#[derive(Debug)]
pub struct ClientView {
    ledger: Ledger,
    entities_max: usize,
    visible: Vec<(NetId, f32)>,
    candidates: Vec<Candidate>,
    selection: Selection,
}

/// What a snapshot tells the client about its inputs: copied into the [`SnapshotHeader`].
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
    /// Entities that the client does not surely hold as they are, and that did not fit.
    pub deferred: usize,
    /// Relevant entities beyond the limit of entities shown: not told of at all.
    pub refused: usize,
}

/// An entity that the client must be told of.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// Its index in the ledger.
    entry: usize,
    id: NetId,
    news: News,
    score: f32,
}

/// What there is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    /// Its row in the frame, against its row in the frame of a tick before.
    Change {
        row: usize,
        base: Tick,
        base_row: usize,
    },
    /// Its row in the frame, whole.
    Whole {
        row: usize,
    },
    Gone,
}

/// All that a record is written from.
#[derive(Clone, Copy)]
struct Source<'a> {
    schema: &'a Schema,
    history: &'a History,
    frame: &'a Frame,
}

impl ClientView {
    /// The view of a client that holds nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(ENTITIES_MAX)
    }

    /// As `new`, for a client that takes at most `entities_max` entities
    /// ([`ReceiverLimits`](crate::ReceiverLimits)).
    #[must_use]
    pub fn with_limit(entities_max: usize) -> Self {
        let (visible, candidates) = (Vec::new(), Vec::new());
        Self { ledger: Ledger::new(), entities_max, visible, candidates, selection: Selection::default() }
    }

    /// Writes the snapshot of the newest frame in `history`, in at most `budget_bits` (but never less than a
    /// header and an empty body: under 130 bits). To be called at most once a frame.
    ///
    /// `relevant`: who this client may see, in any order (ascending is cheapest), with a priority each: what
    /// accumulates while an entity waits for room; 1 is ordinary, 1/64 to 64 count. An entity that is not
    /// listed, or not in the frame, is taken away.
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
        let frame = history.newest().expect("a frame is extracted before it is sent");
        let source = Source { schema, history, frame };
        self.ledger.begin(frame.tick());
        let refused = self.observe(frame, relevant);
        self.gather(source);

        let Feedback { input_tick, input_margin, late_inputs } = feedback;
        let baseline = self.ledger.baseline(frame.tick());
        let (tick, complete) = (frame.tick(), refused == 0);
        let header = SnapshotHeader { tick, baseline, complete, input_tick, input_margin, late_inputs };
        let start = out.bit_len();
        let budget_end = start + budget_bits;
        header.encode(out);
        let body = out.bit_len();
        let mut deferred = 0;
        if !write_records(source, &self.candidates, budget_end, out) {
            out.truncate(start);
            SnapshotHeader { complete: false, ..header }.encode(out);
            debug_assert_eq!(out.bit_len(), body, "both headers have one length");
            deferred = self.selection.choose(source, &mut self.candidates, budget_end.saturating_sub(body));
            write_records(source, &self.candidates, usize::MAX, out);
        }
        let stats =
            SnapshotStats { bits: out.bit_len() - start, deferred, refused, ..SnapshotStats::default() };
        self.note(tick, stats)
    }

    /// Takes what the client says it decoded. What was never sent, or is older than what is known, is ignored.
    pub fn ack(&mut self, ack: Ack) {
        self.ledger.acknowledge(ack);
    }

    /// The newest snapshot that the client is known to hold.
    #[must_use]
    pub fn newest_ack(&self) -> Option<Tick> {
        self.ledger.newest_ack()
    }

    /// Number of entities that the client holds, may hold, or is about to.
    #[must_use]
    pub fn entities(&self) -> usize {
        self.ledger.entries.len()
    }

    /// Brings the ledger in line with who is in view; gives how many were refused.
    fn observe(&mut self, frame: &Frame, relevant: &[(NetId, f32)]) -> usize {
        self.visible.clear();
        self.visible.extend_from_slice(relevant);
        if !self.visible.is_sorted_by_key(|(id, _)| *id) {
            self.visible.sort_unstable_by_key(|(id, _)| *id);
        }
        self.visible.dedup_by_key(|(id, _)| *id);
        let mut rows = frame.rows().iter().peekable();
        self.visible.retain(|(id, _)| {
            while rows.next_if(|row| row.id < *id).is_some() {}
            rows.next_if(|row| row.id == *id).is_some()
        });
        self.ledger.observe(frame.tick(), &self.visible, self.entities_max)
    }

    /// Lists what the client does not surely hold as it is.
    fn gather(&mut self, source: Source<'_>) {
        let frame = source.frame;
        let has_baseline = self.ledger.baseline(frame.tick()).is_some();
        // Both frames hold nearly the same entities: the next one is next in both.
        let (mut row, mut guess) = (0, 0);
        self.candidates.clear();
        for (place, entry) in self.ledger.entries.iter_mut().enumerate() {
            let news = if entry.leaving {
                News::Gone
            } else {
                row += frame.rows()[row..].iter().take_while(|row| row.id < entry.id).count();
                if entry.is_settled(frame.rows()[row].stamp) {
                    entry.base = Some(frame.tick());
                    entry.score = 0.0;
                    continue;
                }
                let base = entry.base.filter(|_| has_baseline);
                let known = base
                    .and_then(|base| Some((base, source.history.frame(base)?.row_near(entry.id, guess)?)));
                guess = known.map_or(guess, |(_, base_row)| base_row) + 1;
                known.map_or(News::Whole { row }, |(base, base_row)| News::Change { row, base, base_row })
            };
            // What the client has never heard of, and what is gone, matters more than one more step of a motion.
            let weight = match news {
                News::Gone => 8.0,
                _ if !entry.sent => 4.0,
                _ => 1.0,
            };
            self.candidates.push(Candidate { entry: place, id: entry.id, news, score: entry.score * weight });
        }
    }

    /// Notes what the snapshot says, and counts it.
    fn note(&mut self, tick: Tick, mut stats: SnapshotStats) -> SnapshotStats {
        for candidate in &self.candidates {
            self.ledger.note(tick, candidate.entry);
            match candidate.news {
                News::Change { .. } => stats.updates += 1,
                News::Whole { .. } => stats.spawns += 1,
                News::Gone => stats.despawns += 1,
            }
        }
        stats
    }
}

impl Default for ClientView {
    fn default() -> Self {
        Self::new()
    }
}

impl Candidate {
    fn action(&self) -> Action {
        match self.news {
            News::Change { .. } => Action::Change,
            News::Whole { .. } => Action::Whole,
            News::Gone => Action::Gone,
        }
    }

    fn action_bits(&self) -> usize {
        if self.action() == Action::Change { 1 } else { 2 }
    }

    /// Writes what follows the head of the record. Depends on nothing but the entity and its base.
    fn encode_columns<'a>(&self, source: Source<'a>, out: &mut BitWriter) {
        let Source { schema, history, frame } = source;
        let entity = |frame: &'a Frame, row: usize| frame.entity(&frame.rows()[row]);
        match self.news {
            News::Gone => {}
            News::Whole { row } => codec::encode_whole(schema, &entity(frame, row), out),
            News::Change { row, base, base_row } => {
                let before = history.frame(base).expect("the base was in the history when it was chosen");
                codec::encode_change(schema, &entity(frame, row), &entity(before, base_row), out);
            }
        }
    }
}

/// Writes records and the end mark; false when they pass `budget_end` (what was written is to be undone then).
fn write_records(
    source: Source<'_>,
    candidates: &[Candidate],
    budget_end: usize,
    out: &mut BitWriter,
) -> bool {
    let mut ids = IdWriter::default();
    for candidate in candidates {
        ids.encode(candidate.id, candidate.action(), out);
        candidate.encode_columns(source, out);
        if out.bit_len() + END_BITS > budget_end {
            return false;
        }
    }
    encode_end(out);
    true
}
