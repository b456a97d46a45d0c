//! The game's own messages: which exist, on which channel, and how one is framed. Owns the byte that names a
//! message; must never know what a channel promises.
//!
//! | bits | field |
//! |---|---|
//! | 8 | id: the message's place in the set |
//! | … | the message |

use std::any::TypeId;
use std::sync::Arc;

use netcode_wire::{BitReader, BitWriter, WireError};

use crate::Message;
use crate::schema::Fnv;

/// The message types of a game, in order of registration: the same on both sides. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct MessageSet {
    entries: Arc<Vec<Entry>>,
}

/// Builds a [`MessageSet`].
#[derive(Debug, Default)]
pub struct MessageSetBuilder {
    entries: Vec<Entry>,
}

/// Why bytes on a game channel are not the message that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// No message of the set has this id.
    #[error("peer sent a message of unknown id {0}")]
    UnknownId(u8),
    /// It is another message of the set.
    #[error("message has id {found}, not {wanted}")]
    OtherMessage {
        /// The id in the bytes.
        found: u8,
        /// The id of the type asked for.
        wanted: u8,
    },
    /// The type asked for is not in the set.
    #[error("message type {0} is not registered")]
    NotRegistered(&'static str),
    /// The bits are wrong.
    #[error("peer sent an unreadable message: {0}")]
    Wire(#[from] WireError),
}

#[derive(Debug)]
struct Entry {
    type_id: TypeId,
    name: &'static str,
    channel: u8,
}

impl MessageSet {
    /// An empty list to add messages to.
    #[must_use]
    pub fn builder() -> MessageSetBuilder {
        MessageSetBuilder::default()
    }

    /// The id of `M`, when registered.
    #[must_use]
    pub fn id_of<M: Message>(&self) -> Option<u8> {
        let wanted = TypeId::of::<M>();
        self.entries.iter().position(|entry| entry.type_id == wanted).map(|place| place as u8)
    }

    /// The channel that `M` travels on, when registered.
    #[must_use]
    pub fn channel_of<M: Message>(&self) -> Option<u8> {
        Some(self.entries[usize::from(self.id_of::<M>()?)].channel)
    }

    /// The type name of a message.
    #[must_use]
    pub fn name(&self, id: u8) -> Option<&'static str> {
        self.entries.get(usize::from(id)).map(|entry| entry.name)
    }

    /// Number of message types.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no message is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Equal on two sides that registered the same names on the same channels in the same order.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let mut hash = Fnv::new();
        for entry in self.entries.iter() {
            hash.text(entry.name);
            hash.number(u64::from(entry.channel));
        }
        hash.finish()
    }

    /// The channel to send on and the bytes to send.
    ///
    /// # Errors
    /// [`MessageError::NotRegistered`].
    pub fn encode<M: Message>(&self, message: &M) -> Result<(u8, Vec<u8>), MessageError> {
        let mut out = BitWriter::with_capacity(64);
        let channel = self.encode_into(message, &mut out)?;
        Ok((channel, out.into_bytes()))
    }

    /// Writes a framed message; gives the channel to send it on.
    ///
    /// # Errors
    /// [`MessageError::NotRegistered`]; nothing is written then.
    pub fn encode_into<M: Message>(&self, message: &M, out: &mut BitWriter) -> Result<u8, MessageError> {
        let id = self.id_of::<M>().ok_or(MessageError::NotRegistered(M::NAME))?;
        out.write_bits(u64::from(id), 8);
        message.encode(out);
        Ok(self.entries[usize::from(id)].channel)
    }

    /// The id of a framed message, and a reader at its first bit.
    ///
    /// # Errors
    /// [`MessageError::Wire`] when empty, [`MessageError::UnknownId`].
    pub fn open<'a>(&self, bytes: &'a [u8]) -> Result<(u8, BitReader<'a>), MessageError> {
        let mut from = BitReader::new(bytes);
        let id = from.read_bits(8)? as u8;
        if usize::from(id) >= self.entries.len() {
            return Err(MessageError::UnknownId(id));
        }
        Ok((id, from))
    }

    /// Reads a framed message of type `M`.
    ///
    /// # Errors
    /// It is not an `M`, or not readable.
    pub fn decode<M: Message>(&self, bytes: &[u8]) -> Result<M, MessageError> {
        let wanted = self.id_of::<M>().ok_or(MessageError::NotRegistered(M::NAME))?;
        let (found, mut from) = self.open(bytes)?;
        if found != wanted {
            return Err(MessageError::OtherMessage { found, wanted });
        }
        Ok(M::decode(&mut from)?)
    }
}

impl MessageSetBuilder {
    /// Adds `M` as the next message, to travel on `channel`.
    ///
    /// # Panics
    /// When `M` is there already, or 256 others are.
    #[must_use]
    pub fn message<M: Message>(mut self, channel: u8) -> Self {
        let type_id = TypeId::of::<M>();
        assert!(self.entries.len() < MESSAGES_MAX, "a message set has at most {MESSAGES_MAX} messages");
        assert!(self.entries.iter().all(|known| known.type_id != type_id), "registered twice: {}", M::NAME);
        self.entries.push(Entry { type_id, name: M::NAME, channel });
        self
    }

    /// The finished set.
    #[must_use]
    pub fn build(self) -> MessageSet {
        MessageSet { entries: Arc::new(self.entries) }
    }
}

const MESSAGES_MAX: usize = 256;
