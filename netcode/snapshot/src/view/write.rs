//! The chosen records as messages: one, or parts that each stand alone. Owns where one part ends; must never know why a
//! record was chosen.

use netcode_wire::BitWriter;

use super::together::Together;
use super::{Candidate, ClientView};
use crate::record::{END_BITS, IdWriter, encode_end};
use crate::{Budget, NetId, PARTS_MAX, Parts, SharedBits, SnapshotHeader};

/// Where a snapshot is written to.
pub(super) trait Sink {
    /// Takes back what was written.
    fn restart(&mut self);

    /// Begins part `index`: where to, and the bits that it may have; `None` when there is no room for another.
    fn part(&mut self, index: usize) -> Option<(&mut BitWriter, usize)>;

    /// Messages begun.
    fn parts(&self) -> usize;

    /// Bits for records when there is one message, bits for all records when there are several.
    fn room_bits(&self, header: &SnapshotHeader) -> Room;
}

/// What may be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Bits for records and the end mark in a single message; at least the end mark.
    pub(super) one_bits: usize,
    /// Bits of records that parts may have together, were records infinitely small.
    several_bits: usize,
    /// Bits of records in one further part.
    part_bits: usize,
    pub(super) parts_max: usize,
}

/// One message in a writer of the caller's.
pub(super) struct WriterSink<'a> {
    out: &'a mut BitWriter,
    start: usize,
    budget_bits: usize,
    begun: bool,
}

/// Several messages.
pub(super) struct PartsSink<'a> {
    parts: &'a mut Parts,
    budget: Budget,
    used_bytes: usize,
}

impl Room {
    /// Bits that one record may have: what is longer is never sent.
    pub(super) fn record_bits_max(&self) -> usize {
        self.one_bits.max(self.part_bits) - HEAD_BITS_MAX.min(self.one_bits)
    }

    /// Bits within which records of at most `greatest` bits surely fit into parts, wherever one ends and the next begins.
    pub(super) fn all_bits(&self, greatest: usize) -> usize {
        // A part leaves less than one record's room unused, and its first id is longer than it was in one run.
        let together = self.several_bits.saturating_sub(self.parts_max * (greatest + 2 * HEAD_BITS_MAX));
        // What one full part can hold goes there at the latest.
        together.max(self.part_bits.saturating_sub(HEAD_BITS_MAX))
    }
}

impl ClientView {
    /// Writes the candidates, as one message or (when the header says so) as parts, in which nothing that goes together is
    /// torn; gives the bits. `None` when they do not fit.
    pub(super) fn write(
        &mut self,
        bits: &SharedBits,
        (candidates, together): (&[Candidate], &Together),
        header: SnapshotHeader,
        sink: &mut impl Sink,
    ) -> Option<usize> {
        sink.restart();
        let tick = header.tick;
        self.ledger.begin_parts(tick);
        let mut rest = candidates;
        let mut total = 0;
        for index in 0.. {
            let part = header.part.map(|_| index as u8);
            let (out, limit) = sink.part(index)?;
            let start = out.bit_len();
            let limit = start + limit;
            SnapshotHeader { part, ..header }.encode(out);
            let end_bits = END_BITS + usize::from(part.is_some());
            let mut writer = IdWriter::default();
            let mut count = 0;
            let ids = &self.ledger.columns.ids;
            let first = candidates.len() - rest.len();
            // Where what goes together begins.
            let mut run = (out.bit_len(), 0);
            for candidate in rest {
                if !together.is_glued(first + count) {
                    run = (out.bit_len(), count);
                }
                let (head, head_bits) = writer.head(ids[candidate.entry as usize]);
                let bits_after = out.bit_len() + head_bits as usize + candidate.span.bits() as usize;
                if bits_after + end_bits > limit {
                    out.truncate(run.0);
                    count = run.1;
                    break;
                }
                bits.append(candidate.span, head, head_bits, out);
                count += 1;
            }
            encode_end(out);
            let (written, others) = rest.split_at(count);
            if part.is_some() {
                out.write_bool(others.is_empty());
            }
            total += out.bit_len() - start;
            if let Some(last) = written.last() {
                let last = ids[last.entry as usize];
                self.ledger.note_part(tick, last);
            } else {
                // Only the first can be empty: its end lies before every id.
                self.ledger.note_part(tick, NetId(0));
            }
            rest = others;
            if rest.is_empty() {
                return Some(total);
            }
            // The first part may share its datagram with much else.
            if part.is_none() || count == 0 && index > 0 {
                return None;
            }
        }
        None
    }
}

impl<'a> WriterSink<'a> {
    pub(super) fn new(out: &'a mut BitWriter, budget_bits: usize) -> Self {
        let start = out.bit_len();
        Self { out, start, budget_bits, begun: false }
    }
}

impl Sink for WriterSink<'_> {
    fn restart(&mut self) {
        self.out.truncate(self.start);
        self.begun = false;
    }

    fn part(&mut self, index: usize) -> Option<(&mut BitWriter, usize)> {
        self.begun = true;
        (index == 0).then_some((&mut *self.out, self.budget_bits))
    }

    fn parts(&self) -> usize {
        usize::from(self.begun)
    }

    fn room_bits(&self, header: &SnapshotHeader) -> Room {
        let one_bits = self.budget_bits.saturating_sub(header.bits()).max(END_BITS);
        Room { one_bits, several_bits: 0, part_bits: 0, parts_max: 1 }
    }
}

impl<'a> PartsSink<'a> {
    pub(super) fn new(parts: &'a mut Parts, budget: Budget) -> Self {
        Self { parts, budget, used_bytes: 0 }
    }
}

impl Sink for PartsSink<'_> {
    fn restart(&mut self) {
        self.parts.clear();
        self.used_bytes = 0;
    }

    fn part(&mut self, index: usize) -> Option<(&mut BitWriter, usize)> {
        self.used_bytes += self.parts.last_bytes();
        let bits = self.budget.part_bits(index, self.used_bytes);
        // The first one is always there: the client's feedback is in it.
        (index == 0 || bits >= PART_BITS_MIN).then(|| (self.parts.push(), bits))
    }

    fn parts(&self) -> usize {
        self.parts.len()
    }

    fn room_bits(&self, header: &SnapshotHeader) -> Room {
        let Budget { first_bytes, part_bytes, total_bytes } = self.budget;
        let first = first_bytes.min(total_bytes);
        let one_bits = (first * 8).saturating_sub(header.bits()).max(END_BITS);
        let further = (total_bytes - first).checked_div(part_bytes).unwrap_or(0).min(PARTS_MAX - 1);
        let further = if part_bytes * 8 >= PART_BITS_MIN { further } else { 0 };
        let part_bits = if further > 0 { part_bytes * 8 - PART_OVERHEAD_BITS } else { 0 };
        let first_bits = (first * 8).saturating_sub(header.bits() + PART_OVERHEAD_BITS);
        Room { one_bits, several_bits: first_bits + further * part_bits, part_bits, parts_max: further + 1 }
    }
}

/// Header of a later part, end mark, the bit after it, and what is left of the last byte: 48 + 5 + 1 + 7.
const PART_OVERHEAD_BITS: usize = 61;
/// A part smaller than this is not worth its header.
const PART_BITS_MIN: usize = 512;
/// The longest id: five bits of prefix and 32.
const HEAD_BITS_MAX: usize = 37;
