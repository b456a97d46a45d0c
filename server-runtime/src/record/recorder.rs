//! A tick's entries: in the making, and read back. Owns their layout; must never know what happens with a tape.
//!
//! | entry of the first tape | |
//! |---|---|
//! | varint, n | cues from before the tick's events were turned over |
//! | varint, n | cues from after that |
//! | varint, n | the inputs' bits, padded with zeros to a byte |
//! | 8 | digest of the tick's changes, little-endian |
//!
//! The second tape has an entry every [`FRAME_TICKS`] ticks.

use netcode_snapshot::{Frame, Input};
use netcode_wire::{BitReader, BitWriter, Tick};

use super::cue::Cue;
use super::file::{Recording, RecordingError};
use super::frames::{FlatFrame, digest};
use super::lines::{Line, Lines};
use super::tape::{Tape, read_entry, write_varint};

/// What tells one server's recordings from another's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) tick_hz: u16,
    pub(crate) schema_hash: u64,
    pub(crate) messages_hash: u64,
    pub(crate) input_bits: u32,
}

/// Records ticks into bounded memory.
#[derive(Debug)]
pub(crate) struct Recorder<I> {
    identity: Identity,
    story: Tape,
    frames: Tape,
    /// Cues of the tick to come, before and after its events were turned over.
    cues: [Vec<u8>; 2],
    turned: bool,
    pub(crate) lines: Lines<I>,
    bits: BitWriter,
    entry: Vec<u8>,
    before: FlatFrame,
    now: FlatFrame,
    /// The frame before is not on the tape.
    gap: bool,
    tick: Tick,
}

impl<I: Input> Recorder<I> {
    /// One that takes `bytes_max` for its tapes, and beside it the room of one tick's entries.
    pub(crate) fn new(identity: Identity, bytes_max: usize) -> Self {
        Self {
            identity,
            // A tick of a small match is 40 bytes of story and some hundreds of frame.
            story: Tape::new(bytes_max / 2),
            frames: Tape::new(bytes_max / 2),
            cues: [Vec::new(), Vec::new()],
            turned: false,
            lines: Lines::default(),
            bits: BitWriter::new(),
            entry: Vec::new(),
            before: FlatFrame::default(),
            now: FlatFrame::default(),
            gap: true,
            tick: Tick(0),
        }
    }

    /// Something happens to the world. A tick in which more happens than [`CUES_BYTES_MAX`] ends the story so far.
    pub(crate) fn cue(&mut self, cue: &Cue<'_>) {
        let cues = &mut self.cues[usize::from(self.turned)];
        cue.encode(cues);
        if cues.len() > CUES_BYTES_MAX {
            *cues = Vec::new();
            self.story.clear();
        }
    }

    /// The tick's events are turned over: cues from now on are of this tick.
    pub(crate) fn turn(&mut self) {
        self.turned = true;
    }

    /// A player's input for this tick; players come in ascending order.
    pub(crate) fn line(&mut self, line: Line<I>) {
        self.lines.now.push(line);
    }

    /// The tick is over, and this is how the world looks.
    pub(crate) fn commit(&mut self, tick: Tick, frame: &Frame) {
        self.tick = tick;
        self.bits.clear();
        self.lines.encode(&mut self.bits);
        self.entry.clear();
        for part in [&self.cues[0][..], &self.cues[1], self.bits.as_bytes()] {
            write_varint(&mut self.entry, part.len() as u64);
            self.entry.extend_from_slice(part);
        }
        self.entry.extend_from_slice(&digest(frame).to_le_bytes());
        if !self.story.push(tick.0, &self.entry) {
            self.story.clear();
        }
        self.cues.iter_mut().for_each(Vec::clear);
        self.turned = false;
        if tick.0.is_multiple_of(FRAME_TICKS) {
            self.commit_frame(tick, frame);
        }
    }

    fn commit_frame(&mut self, tick: Tick, frame: &Frame) {
        std::mem::swap(&mut self.before, &mut self.now);
        self.now.fill(frame);
        self.entry.clear();
        self.now.encode(&self.before, &mut self.entry);
        if self.gap || !self.frames.fits(self.entry.len()) {
            // A chunk's first frame stands alone.
            self.entry.clear();
            self.now.encode(&FlatFrame::default(), &mut self.entry);
            self.gap = !self.frames.push_first(tick.0, &self.entry);
            return;
        }
        self.frames.push(tick.0, &self.entry);
    }

    /// All of it, as a file's bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        super::file::write(&self.identity, self.tick, [&self.story, &self.frames])
    }

    /// Bytes of memory that the tapes hold.
    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> usize {
        self.story.held_bytes() + self.frames.held_bytes()
    }
}

/// A tick as it was recorded.
#[derive(Debug)]
pub(crate) struct Moment<'a, I> {
    pub(crate) tick: u32,
    /// Before and after the tick's events were turned over.
    pub(crate) cues: [Vec<Cue<'a>>; 2],
    pub(crate) lines: &'a [Line<I>],
    pub(crate) digest: u64,
}

/// Reads a recording's story from its first tick on.
#[derive(Debug)]
pub(crate) struct Moments<I> {
    lines: Lines<I>,
    chunk: usize,
    at: usize,
    tick: u32,
}

impl<I: Input> Moments<I> {
    pub(crate) fn new() -> Self {
        Self { lines: Lines::default(), chunk: 0, at: 0, tick: 0 }
    }

    /// The next tick; `None` after the last.
    pub(crate) fn next<'a>(
        &'a mut self,
        recording: &'a Recording,
    ) -> Result<Option<Moment<'a, I>>, RecordingError> {
        let entry = loop {
            let Some(chunk) = recording.story().get(self.chunk) else { return Ok(None) };
            if self.at == 0 && chunk.first_tick != self.tick {
                if self.tick > 0 {
                    return Err(RecordingError::Malformed { what: "chunk", tick: chunk.first_tick });
                }
                self.tick = chunk.first_tick;
            }
            let mut rest = &chunk.bytes[self.at..];
            if rest.is_empty() {
                (self.chunk, self.at) = (self.chunk + 1, 0);
                continue;
            }
            let bad = RecordingError::Malformed { what: "entry", tick: self.tick };
            let entry = read_entry(&mut rest).ok_or(bad)?;
            self.at = chunk.bytes.len() - rest.len();
            break entry;
        };
        let tick = self.tick;
        self.tick += 1;
        let bad = |what| RecordingError::Malformed { what, tick };
        let mut rest = entry;
        let mut cues = [Vec::new(), Vec::new()];
        for cues in &mut cues {
            let mut bytes = read_entry(&mut rest).ok_or(bad("cues"))?;
            while !bytes.is_empty() {
                cues.push(Cue::decode(&mut bytes).ok_or(bad("cue"))?);
            }
        }
        let inputs = read_entry(&mut rest).ok_or(bad("inputs"))?;
        let digest = u64::from_le_bytes(rest.try_into().map_err(|_| bad("digest"))?);
        let lines = self.lines.decode(&mut BitReader::new(inputs)).map_err(|_| bad("inputs"))?;
        Ok(Some(Moment { tick, cues, lines, digest }))
    }
}

/// Reads a recording's frames, forwards.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    chunk: usize,
    at: usize,
    /// The tick of the next entry.
    next: u32,
    before: FlatFrame,
    now: FlatFrame,
}

impl FrameReader {
    /// The frame of `tick`, which is not before the last one asked for; `None`: it was not kept.
    pub(crate) fn at(
        &mut self,
        recording: &Recording,
        tick: u32,
    ) -> Result<Option<&FlatFrame>, RecordingError> {
        while let Some(chunk) = recording.frames().get(self.chunk) {
            if self.at == 0 {
                self.next = chunk.first_tick;
            }
            let mut rest = &chunk.bytes[self.at..];
            if rest.is_empty() {
                (self.chunk, self.at) = (self.chunk + 1, 0);
                continue;
            }
            if self.next > tick {
                return Ok(None);
            }
            if self.at == 0 {
                self.now.clear();
            }
            let bad = RecordingError::Malformed { what: "frame", tick: self.next };
            let entry = read_entry(&mut rest).ok_or(bad.clone())?;
            self.at = chunk.bytes.len() - rest.len();
            std::mem::swap(&mut self.before, &mut self.now);
            self.now.decode(&self.before, entry).ok_or(bad)?;
            let read = self.next;
            self.next = self.next.saturating_add(FRAME_TICKS);
            if read == tick {
                return Ok(Some(&self.now));
            }
        }
        Ok(None)
    }
}

/// Ticks from one frame on the tape to the next: more would cost more of the tick than a recorder may.
pub(crate) const FRAME_TICKS: u32 = 16;
/// Bytes of cues in one tick at most: a server that is told more in a tick is not recorded further.
const CUES_BYTES_MAX: usize = 1 << 20;
