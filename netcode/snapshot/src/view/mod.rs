//! One client's view of the world: what it must be told, and what of it fits. Must never know how snapshots
//! travel, nor why an entity is relevant.
//!
//! A snapshot is one message or several, each a [`SnapshotHeader`], then records with ascending ids (`record.rs`), each
//! with its columns (`codec.rs`, copied from `shared.rs`). Everything that the client does not surely hold is in every
//! snapshot until it does, as far as the budget goes: so a spawn, a change and a despawn are reliable in effect, and a
//! lost message costs its entities one tick. When not everything fits, what has waited longest, weighed by its priority,
//! goes first.
//!
//! | step | file |
//! |---|---|
//! | who is in view, what the client holds of them | `columns.rs` |
//! | what was acknowledged | `ledger.rs` |
//! | news → the chosen ones | `select.rs` |
//! | what goes together | `together.rs` |
//! | the chosen ones → messages | `write.rs` |

mod columns;
mod ledger;
mod select;
mod together;
mod write;

use netcode_wire::{BitWriter, Tick};

use self::columns::Columns;
pub(crate) use self::columns::Entry;
use self::ledger::Ledger;
use self::select::Selection;
use self::together::Together;
pub(crate) use self::together::is_patient;
use self::write::{PartsSink, Room, Sink, WriterSink};
use crate::frame::Row;
use crate::record::{END_BITS, IdWriter};
use crate::shared::{Key, Source, Span};
use crate::{Ack, Budget, ENTITIES_MAX, Frame, History, NetId, Parts, Schema, SharedBits, SnapshotHeader};

/// What the server knows of one client's frames, and writes its snapshots from.
#[derive(Debug)]
pub struct ClientView {
    ledger: Ledger,
    entities_max: usize,
    /// The list of entities that the ledger's rows are for.
    layout: u32,
    /// Since when groups wait for longer messages.
    blocked_since: Option<Tick>,
    /// For [`ClientView::encode`], which shares with nobody.
    own_bits: Option<Box<SharedBits>>,
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
    /// All bits, headers included.
    pub bits: usize,
    /// Messages.
    pub parts: usize,
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
    /// Relevant entities that no snapshot has told of yet, refused ones included.
    pub missing: usize,
    /// Groups that were longer than a message for so long that they fell apart: their members come one by one.
    pub torn: usize,
    /// Whether the dense codec wrote it.
    pub dense: bool,
}

/// What one snapshot is worked out in. Nothing in it outlives the snapshot, so that all clients of a thread use one: it
/// stays in the processor's cache, which many clients' own would not.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    visible: Vec<(NetId, f32)>,
    merged: Columns,
    candidates: Vec<Candidate>,
    /// All of them, while it is tried how those that go together fit into parts.
    all: Vec<Candidate>,
    selection: Selection,
    together: Together,
}

/// An entity that the client must be told of.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// Its place in the ledger.
    entry: u32,
    /// What counts beside its score.
    weight: f32,
    span: Span,
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
        Self { ledger: Ledger::new(), entities_max, layout: 0, blocked_since: None, own_bits: None }
    }

    /// Writes the snapshot of the newest frame in `history` as one message, in at most `budget_bits` (but never less
    /// than a header and an empty body: under 130 bits). To be called at most once a frame. For one client or two: many
    /// share their bits with [`ClientView::encode_parts`].
    ///
    /// `relevant`: who this client may see, in any order (ascending is cheapest), with a priority each: what
    /// accumulates while an entity waits for room; 1 is ordinary, 1/64 to 64 count. An entity that is not
    /// listed, or not in the frame, is taken away. Who is far is listed as such ([`NetId::from_afar`]).
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
        let mut bits = self.own_bits.take().unwrap_or_default();
        let mut sink = WriterSink::new(out, budget_bits);
        let stats = self.encode_into((schema, history, &mut bits), relevant, feedback, &mut sink);
        self.own_bits = Some(bits);
        stats
    }

    /// As [`ClientView::encode`], as one message or several within `budget`, from bits that all clients share. `bits` is
    /// always used with the same `history`; `parts` is overwritten and has one message at least.
    ///
    /// # Panics
    /// When `history` is empty.
    pub fn encode_parts(
        &mut self,
        (schema, history, bits): (&Schema, &History, &mut SharedBits),
        relevant: &[(NetId, f32)],
        feedback: Feedback,
        budget: Budget,
        parts: &mut Parts,
    ) -> SnapshotStats {
        parts.clear();
        self.encode_into((schema, history, bits), relevant, feedback, &mut PartsSink::new(parts, budget))
    }

    /// Takes what the client says it decoded. What was never sent, or is older than what is known, is ignored.
    pub fn ack(&mut self, ack: Ack) {
        self.ledger.acknowledge(&ack);
    }

    /// The view of a client that another codec's snapshots were sent to, as [`Ledger::resume`] takes it.
    pub(crate) fn resume(
        entities_max: usize,
        newest_ack: Option<Tick>,
        on_their_way: &[Tick],
        entries: &[Entry],
    ) -> Self {
        let ledger = Ledger::resume(newest_ack, on_their_way, entries);
        Self { ledger, ..Self::with_limit(entities_max) }
    }

    /// The client's frame of the newest snapshot that it is known to hold; each stamp is a tick at which the server's
    /// entity was so; and who in it is as who is far is told. `None`: there is none, or it is not known in full.
    pub(crate) fn confirmed(&self, history: &History) -> Option<(Frame, Vec<NetId>)> {
        let columns = &self.ledger.columns;
        let (mut frame, mut far) = (Frame::new(self.ledger.newest_ack()?), Vec::new());
        for place in 0..columns.len() {
            if columns.is_unsure(place) {
                return None;
            }
            let Some(stamp) = columns.bases[place].checked_sub(1).map(Tick) else { continue };
            let (id, class) = (columns.ids[place], columns.flags[place].base_class());
            frame.copy_entity(history.frame(stamp)?, id, class, stamp)?;
            far.extend(class.is_far().then_some(id));
        }
        Some((frame, far))
    }

    /// Everybody whom the client may show.
    pub(crate) fn may_be_shown(&self) -> impl Iterator<Item = NetId> + '_ {
        let columns = &self.ledger.columns;
        columns.ids.iter().zip(&columns.flags).filter(|(_, flags)| flags.sent()).map(|(id, _)| *id)
    }

    /// The newest snapshot that the client is known to hold.
    #[must_use]
    pub fn newest_ack(&self) -> Option<Tick> {
        self.ledger.newest_ack()
    }

    /// Number of entities that the client holds, may hold, or is about to.
    #[must_use]
    pub fn entities(&self) -> usize {
        self.ledger.columns.len()
    }

    fn encode_into(
        &mut self,
        (schema, history, bits): (&Schema, &History, &mut SharedBits),
        relevant: &[(NetId, f32)],
        feedback: Feedback,
        sink: &mut impl Sink,
    ) -> SnapshotStats {
        let frame = history.newest().expect("a frame is extracted before it is sent");
        let tick = frame.tick();
        bits.begin(tick);
        let mut space = std::mem::take(&mut bits.workspace);
        self.ledger.begin(tick);
        let refused = self.observe(frame, relevant, &mut space);
        let Workspace { candidates, all, selection, together, .. } = &mut space;
        let news_bits = self.gather(Source { schema, history, frame }, bits, candidates);

        let Feedback { input_tick, input_margin, late_inputs } = feedback;
        let (baseline, older) = (self.ledger.baseline(tick), self.ledger.older(tick));
        let complete = refused == 0;
        let mut header = SnapshotHeader {
            tick,
            baseline,
            older,
            complete,
            dense: false,
            part: None,
            input_tick,
            input_margin,
            late_inputs,
            missing: refused as u32,
        };
        let count = candidates.len();
        let room = sink.room_bits(&header);
        let is_split = news_bits + END_BITS > room.one_bits && room.parts_max > 1;
        header.part = is_split.then_some(0);
        together.clear();
        let rows = frame.rows();
        let may_group = frame.has_groups() && news_bits + END_BITS > room.one_bits;
        let mut written = None;
        if news_bits + END_BITS <= room.one_bits || is_split {
            if may_group {
                together.gather(candidates, &self.ledger.columns, rows);
            }
            written = self.write(bits, (candidates, together), header, sink);
        }
        if written.is_none() {
            header.complete = false;
            // What goes together may need the parts otherwise than by its bits: then it is one message.
            for is_split in [is_split, false] {
                // As long as it can be: what is chosen only makes it shorter.
                header.missing = (refused + self.untold(&[])) as u32;
                header.part = is_split.then_some(0);
                let room = sink.room_bits(&header);
                if may_group && is_split {
                    all.clone_from(candidates);
                }
                let with = (&mut *selection, &mut *together, may_group.then_some(rows));
                self.choose(room, (is_split, tick), candidates, with);
                header.missing = (refused + self.untold(candidates)) as u32;
                written = self.write(bits, (candidates, together), header, sink);
                if written.is_some() || !is_split {
                    break;
                }
                assert!(together.any(), "what was chosen fits");
                together.clear();
                candidates.clone_from(all);
            }
        }
        self.blocked_since = together.blocked_since(self.blocked_since, tick);
        let stats = SnapshotStats {
            bits: written.expect("what was chosen fits"),
            parts: sink.parts(),
            deferred: count - candidates.len(),
            refused,
            missing: header.missing as usize,
            torn: together.torn(),
            ..SnapshotStats::default()
        };
        let stats = self.note(tick, bits, candidates, stats);
        bits.workspace = space;
        stats
    }

    /// Leaves the candidates that fit. `rows`: the frame's, where entities may have groups.
    fn choose(
        &self,
        room: Room,
        (is_split, now): (bool, Tick),
        candidates: &mut Vec<Candidate>,
        (selection, together, rows): (&mut Selection, &mut Together, Option<&[Row]>),
    ) {
        let columns = &self.ledger.columns;
        let record_bits_max = room.record_bits_max();
        let mut greatest = 0;
        candidates.retain(|candidate| {
            let bits = candidate.span.bits() as usize;
            let fits = bits <= record_bits_max;
            greatest = if fits { bits.max(greatest) } else { greatest };
            fits
        });
        let room_bits = if is_split { room.all_bits(greatest) } else { room.one_bits - END_BITS };
        let message_bits = if is_split { record_bits_max } else { room_bits };
        if let Some(rows) = rows {
            together.gather(candidates, columns, rows);
        }
        let is_patient = is_patient(self.blocked_since, now);
        let with = (&mut *together, message_bits, is_patient);
        selection.choose(candidates, (&columns.ids, &columns.scores), room_bits, with);
        if let Some(rows) = rows {
            together.gather(candidates, columns, rows);
        }
    }

    /// How many entities in view the client was never told of, and is not with those chosen.
    fn untold(&self, chosen: &[Candidate]) -> usize {
        let flags = &self.ledger.columns.flags;
        let told = chosen.iter().filter(|candidate| !flags[candidate.entry as usize].sent()).count();
        flags.iter().filter(|flags| !flags.sent()).count() - told
    }

    /// Brings the ledger in line with who is in view; gives how many were refused.
    fn observe(&mut self, frame: &Frame, relevant: &[(NetId, f32)], space: &mut Workspace) -> usize {
        if self.layout == frame.layout() && self.ledger.columns.gather_same(relevant) {
            return 0;
        }
        self.layout = frame.layout();
        let mut visible = relevant;
        if !relevant.is_sorted_by(|(one, _), (next, _)| one.row() < next.row()) {
            space.visible.clear();
            space.visible.extend_from_slice(relevant);
            // Near before far, where it is listed as both.
            space.visible.sort_unstable_by_key(|(id, _)| (id.row(), id.is_far()));
            space.visible.dedup_by_key(|(id, _)| id.row());
            visible = &space.visible;
        }
        let columns = &mut self.ledger.columns;
        let refused = space.merged.merge(columns, frame, visible, self.entities_max);
        std::mem::swap(columns, &mut space.merged);
        refused
    }

    /// Lists what the client does not surely hold as it is; gives its bits in one run.
    fn gather(
        &mut self,
        source: Source<'_>,
        bits: &mut SharedBits,
        candidates: &mut Vec<Candidate>,
    ) -> usize {
        let frame = source.frame;
        let (now, rows) = (frame.tick(), frame.rows());
        let baseline = self.ledger.baseline(now);
        let ages = match (baseline, self.ledger.older(now)) {
            (Some(baseline), Some(older)) => (now.since(baseline) as u8, baseline.since(older) as u8),
            _ => (0, 0),
        };
        let columns = &mut self.ledger.columns;
        candidates.clear();
        let (mut ids, mut total) = (IdWriter::default(), 0);
        let (mut key, mut table) = (None, 0);
        for place in 0..columns.len() {
            let flags = columns.flags[place];
            // What the client has never heard of, and what is gone, matters more than one more step of a motion.
            let (span, weight) = if flags.leaving() {
                (bits.gone(), 8.0)
            } else {
                let row = columns.rows[place] as usize;
                if columns.is_settled(place, rows[row].stamp_as(flags.class())) {
                    columns.keep(place, now);
                    continue;
                }
                let wanted = match baseline {
                    Some(_) => Key::of(columns.bases[place], columns.older[place], ages, flags.classes()),
                    None => Key::whole(flags.classes()),
                };
                if key != Some(wanted) {
                    (key, table) = (Some(wanted), bits.table(wanted, source));
                }
                (bits.record(table, row, source), if flags.sent() { 1.0 } else { 4.0 })
            };
            total += ids.head(columns.ids[place]).1 as usize + span.bits() as usize;
            candidates.push(Candidate { entry: place as u32, weight, span });
        }
        total
    }

    /// Notes what the snapshot says, and counts it.
    fn note(
        &mut self,
        tick: Tick,
        bits: &SharedBits,
        candidates: &[Candidate],
        mut stats: SnapshotStats,
    ) -> SnapshotStats {
        let columns = &mut self.ledger.columns;
        for candidate in candidates {
            let entry = candidate.entry as usize;
            columns.note(entry, tick);
            stats.updates += usize::from(bits.is_change(candidate.span));
            stats.despawns += usize::from(columns.flags[entry].leaving());
        }
        stats.spawns = candidates.len() - stats.updates - stats.despawns;
        stats
    }
}

impl Default for ClientView {
    fn default() -> Self {
        Self::new()
    }
}
