//! The tapes as a file. Owns the file's layout and its version; must never know what an entry says.
//!
//! Numbers are little-endian.
//!
//! | bytes | field |
//! |---|---|
//! | 8 | `TWRECORD` |
//! | 2 | version: 1 |
//! | 2 | ticks a second |
//! | 8 | hash of the schema |
//! | 8 | hash of the messages |
//! | 4 | bits of an input |
//! | 1 | 1: the beginning of the story is gone, 0: it is there |
//! | 4 | last tick |
//! | 1, n | length of the server's name, and the name, UTF-8 |
//! | 4 | chunks that follow |
//! | 8 | FNV-1a (64 bits) of all above |
//! | each chunk: 1 | tape: 1 story, 2 frames |
//! | 4 | its first tick |
//! | 4 | its length |
//! | 8 | FNV-1a of the 9 bytes above and of its bytes |
//! | n | its entries |
//!
//! Whoever reads it looks at length and checksum before anything is believed; a file that ends early, or too late, is
//! refused.

use netcode_wire::Tick;

use super::recorder::Identity;
use super::tape::{Chunk, Tape};

/// A file that was read: what a server recorded.
#[derive(Debug)]
pub struct Recording {
    identity: Identity,
    begins_late: bool,
    last_tick: u32,
    story: Vec<Chunk>,
    frames: Vec<Chunk>,
}

/// A recording that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// It does not begin as recordings do.
    #[error("the file is no recording")]
    NotARecording,
    /// It was written by another version of the format.
    #[error("the recording has version {found}: this build reads {VERSION}")]
    Version {
        /// Its version.
        found: u16,
    },
    /// It ends before it is over.
    #[error("the recording is cut off at byte {at}")]
    Truncated {
        /// Its length.
        at: usize,
    },
    /// Bytes follow its end.
    #[error("the recording is followed by {bytes} bytes that are none of it")]
    TooLong {
        /// How many.
        bytes: usize,
    },
    /// A checksum is wrong.
    #[error("the recording is damaged near byte {at}")]
    Damaged {
        /// Where the part that is wrong begins.
        at: usize,
    },
    /// The checksums are right, but no recorder writes such a thing.
    #[error("the recording has a malformed {what} at tick {tick}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// Where.
        tick: u32,
    },
    /// It was made by another game, or by another version of this one.
    #[error("the recording is of another game: {what} differs")]
    OtherGame {
        /// What differs.
        what: &'static str,
    },
    /// What it was bounded to was too little for all: only the newest part is there, which cannot be simulated.
    #[error("the recording begins at tick {tick}, too late to simulate it: raise --record-mib")]
    BeginsLate {
        /// Its first tick.
        tick: u32,
    },
}

impl Recording {
    /// Reads a file's bytes.
    ///
    /// # Errors
    /// Anything is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordingError> {
        let mut file = File { bytes, at: 0 };
        if bytes.len() < MAGIC.len() || file.take(MAGIC.len())? != MAGIC {
            return Err(RecordingError::NotARecording);
        }
        let version = u16::from_le_bytes(file.array()?);
        if version != VERSION {
            return Err(RecordingError::Version { found: version });
        }
        let tick_hz = u16::from_le_bytes(file.array()?);
        let (schema_hash, messages_hash) =
            (u64::from_le_bytes(file.array()?), u64::from_le_bytes(file.array()?));
        let input_bits = u32::from_le_bytes(file.array()?);
        let [begins_late] = file.array()?;
        let last_tick = u32::from_le_bytes(file.array()?);
        let [name_len] = file.array()?;
        let name = file.take(usize::from(name_len))?.to_vec();
        let chunks = u32::from_le_bytes(file.array()?);
        let head = &bytes[..file.at];
        if u64::from_le_bytes(file.array()?) != checksum(&[head]) {
            return Err(RecordingError::Damaged { at: 0 });
        }
        let name = String::from_utf8(name).map_err(|_| RecordingError::Damaged { at: 0 })?;
        let identity = Identity { name, tick_hz, schema_hash, messages_hash, input_bits };
        let mut recording = Self {
            identity,
            begins_late: begins_late != 0,
            last_tick,
            story: Vec::new(),
            frames: Vec::new(),
        };
        for _ in 0..chunks {
            recording.read_chunk(&mut file)?;
        }
        match bytes.len() - file.at {
            0 => Ok(recording),
            bytes => Err(RecordingError::TooLong { bytes }),
        }
    }

    fn read_chunk(&mut self, file: &mut File<'_>) -> Result<(), RecordingError> {
        let at = file.at;
        let head: [u8; 9] = file.array()?;
        let sum = u64::from_le_bytes(file.array()?);
        let word = |place: usize| u32::from_le_bytes(*head[place..].first_chunk().expect("nine bytes"));
        let bytes = file.take(word(5) as usize)?.to_vec();
        if sum != checksum(&[&head, &bytes]) {
            return Err(RecordingError::Damaged { at });
        }
        let chunk = Chunk { first_tick: word(1), bytes };
        match head[0] {
            STORY => self.story.push(chunk),
            FRAMES => self.frames.push(chunk),
            _ => return Err(RecordingError::Damaged { at }),
        }
        Ok(())
    }

    /// The name of the server that made it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// Ticks a second.
    #[must_use]
    pub fn tick_hz(&self) -> u16 {
        self.identity.tick_hz
    }

    /// Its last tick.
    #[must_use]
    pub fn last_tick(&self) -> u32 {
        self.last_tick
    }

    /// Whether it is of this game, and whole from its first tick on.
    pub(crate) fn fits(&self, game: &Identity) -> Result<(), RecordingError> {
        let ours = &self.identity;
        let pairs = [
            ("the schema", ours.schema_hash, game.schema_hash),
            ("the list of messages", ours.messages_hash, game.messages_hash),
            ("the input", u64::from(ours.input_bits), u64::from(game.input_bits)),
        ];
        if let Some((what, ..)) = pairs.into_iter().find(|(_, ours, theirs)| ours != theirs) {
            return Err(RecordingError::OtherGame { what });
        }
        match self.story.first() {
            Some(first) if self.begins_late => Err(RecordingError::BeginsLate { tick: first.first_tick }),
            _ => Ok(()),
        }
    }

    /// The same with other bytes in it, as if they had been written so.
    #[cfg(test)]
    pub(crate) fn bent(mut self, mut bend: impl FnMut(&mut [u8])) -> Self {
        self.story.iter_mut().chain(&mut self.frames).for_each(|chunk| bend(&mut chunk.bytes));
        self
    }

    /// The same without frames, as where they had to make room.
    #[cfg(test)]
    pub(crate) fn without_frames(mut self) -> Self {
        self.frames.clear();
        self
    }

    pub(crate) fn story(&self) -> &[Chunk] {
        &self.story
    }

    pub(crate) fn frames(&self) -> &[Chunk] {
        &self.frames
    }
}

/// The bytes of a file of these tapes.
pub(super) fn write(identity: &Identity, last_tick: Tick, [story, frames]: [&Tape; 2]) -> Vec<u8> {
    let of = |tape: &Tape| tape.chunks().map(|chunk| chunk.bytes.len() + CHUNK_HEAD_BYTES).sum::<usize>();
    let mut out = Vec::with_capacity(HEAD_BYTES + of(story) + of(frames));
    let name = identity.name.as_bytes();
    // Deliberate: a longer name loses its end, at whatever character that is; the name is for people.
    let name = &name[..identity.name.floor_char_boundary(name.len().min(255))];
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&identity.tick_hz.to_le_bytes());
    out.extend_from_slice(&identity.schema_hash.to_le_bytes());
    out.extend_from_slice(&identity.messages_hash.to_le_bytes());
    out.extend_from_slice(&identity.input_bits.to_le_bytes());
    out.push(u8::from(story.has_lost()));
    out.extend_from_slice(&last_tick.0.to_le_bytes());
    out.push(name.len() as u8);
    out.extend_from_slice(name);
    out.extend_from_slice(&((story.chunks().len() + frames.chunks().len()) as u32).to_le_bytes());
    let sum = checksum(&[&out]);
    out.extend_from_slice(&sum.to_le_bytes());
    for (kind, tape) in [(STORY, story), (FRAMES, frames)] {
        for chunk in tape.chunks() {
            let mut head = [kind; 9];
            head[1..5].copy_from_slice(&chunk.first_tick.to_le_bytes());
            head[5..].copy_from_slice(&(chunk.bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(&head);
            out.extend_from_slice(&checksum(&[&head, &chunk.bytes]).to_le_bytes());
            out.extend_from_slice(&chunk.bytes);
        }
    }
    out
}

struct File<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> File<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], RecordingError> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(RecordingError::Truncated { at: self.bytes.len() })?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordingError> {
        Ok(*self.take(N)?.first_chunk().expect("as many were taken"))
    }
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo): against accidents, not against anybody.
fn checksum(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

const MAGIC: &[u8] = b"TWRECORD";
/// The format above. Another one gets another number.
const VERSION: u16 = 1;
const STORY: u8 = 1;
const FRAMES: u8 = 2;
/// More than the head and a chunk's head have.
const HEAD_BYTES: usize = 512;
const CHUNK_HEAD_BYTES: usize = 17;
