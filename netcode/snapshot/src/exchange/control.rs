//! What the server tells one client outside of snapshots. Owns its bits; must never know how it is delivered
//! (reliably and in order is what it needs).
//!
//! | bits | field |
//! |---|---|
//! | 8 | which: 0 welcome, 1 owns, 2 owns nothing, 3 goodbye, 4 heard, 5 schema |
//! | … | its fields, in the order below, whole width; a schema as `schema/description.rs` says |

use netcode_wire::{BitReader, BitWriter, Tick, WireError};

use crate::{NetId, SchemaDescription};

/// A word from the server to one client.
#[derive(Debug, Clone, PartialEq)]
pub enum Control {
    /// The first word: how this match runs.
    Welcome {
        /// Simulation ticks a second.
        tick_hz: u16,
        /// Ticks from one snapshot to the next.
        snapshot_every: u8,
        /// The server's tick when it said so.
        tick: Tick,
        /// [`Schema::hash`](crate::Schema::hash) of the server: a client with another one asks for the
        /// server's description ([`ClientWord::DescribeSchema`](crate::ClientWord::DescribeSchema)) before it decodes
        /// snapshots.
        schema_hash: u64,
        /// [`MessageSet::hash`](crate::MessageSet::hash) of the server.
        messages_hash: u64,
        /// [`inputs_hash`](crate::inputs_hash) of the game's input there: a client with another one must leave, for the
        /// server reads every input of the packet by its own widths.
        inputs_hash: u64,
        /// Who the server takes the client for.
        player: u64,
    },
    /// This entity is yours: predict it.
    Owns {
        /// Its name.
        net_id: NetId,
    },
    /// No entity is yours (any more).
    OwnsNothing,
    /// The match ends for you, for the game's own reason.
    Goodbye {
        /// The game's code.
        reason: u8,
    },
    /// Your [`Telemetry`](crate::Telemetry) was read.
    Heard {
        /// [`Telemetry::sent_us`](crate::Telemetry::sent_us), as it came.
        sent_us: u64,
        /// The server's own clock when it was read and this was sent, microseconds.
        server_us: u64,
    },
    /// How the columns of snapshots lie: the answer to [`ClientWord::DescribeSchema`](crate::ClientWord::DescribeSchema).
    Schema(SchemaDescription),
}

impl Control {
    /// Writes the word.
    pub fn encode(&self, out: &mut BitWriter) {
        match self {
            &Self::Welcome {
                tick_hz,
                snapshot_every,
                tick,
                schema_hash,
                messages_hash,
                inputs_hash,
                player,
            } => {
                out.write_bits(WELCOME, 8);
                out.write_bits(u64::from(tick_hz), 16);
                out.write_bits(u64::from(snapshot_every), 8);
                out.write_bits(u64::from(tick.0), 32);
                out.write_bits(schema_hash, 64);
                out.write_bits(messages_hash, 64);
                out.write_bits(inputs_hash, 64);
                out.write_bits(player, 64);
            }
            &Self::Owns { net_id } => {
                out.write_bits(OWNS, 8);
                out.write_bits(u64::from(net_id.0), 32);
            }
            Self::OwnsNothing => out.write_bits(OWNS_NOTHING, 8),
            &Self::Goodbye { reason } => {
                out.write_bits(GOODBYE, 8);
                out.write_bits(u64::from(reason), 8);
            }
            &Self::Heard { sent_us, server_us } => {
                out.write_bits(HEARD, 8);
                out.write_bits(sent_us, 64);
                out.write_bits(server_us, 64);
            }
            Self::Schema(description) => {
                out.write_bits(SCHEMA, 8);
                description.encode(out);
            }
        }
    }

    /// The word as a message of its own.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = BitWriter::with_capacity(32);
        self.encode(&mut out);
        out.into_bytes()
    }

    /// Reads what `encode` wrote.
    ///
    /// # Errors
    /// Too few bits, a word that does not exist, a rate of zero, or a schema that cannot be.
    pub fn decode(from: &mut BitReader<'_>) -> Result<Self, WireError> {
        match from.read_bits(8)? {
            WELCOME => Self::decode_welcome(from),
            OWNS => Ok(Self::Owns { net_id: NetId(from.read_bits(32)? as u32) }),
            OWNS_NOTHING => Ok(Self::OwnsNothing),
            GOODBYE => Ok(Self::Goodbye { reason: from.read_bits(8)? as u8 }),
            HEARD => Ok(Self::Heard { sent_us: from.read_bits(64)?, server_us: from.read_bits(64)? }),
            SCHEMA => Ok(Self::Schema(SchemaDescription::decode(from)?)),
            _ => Err(WireError::Malformed("kind of control message")),
        }
    }

    fn decode_welcome(from: &mut BitReader<'_>) -> Result<Self, WireError> {
        let (tick_hz, snapshot_every) = (from.read_bits(16)? as u16, from.read_bits(8)? as u8);
        if tick_hz == 0 || snapshot_every == 0 {
            return Err(WireError::Malformed("rate of a welcome"));
        }
        let tick = Tick(from.read_bits(32)? as u32);
        let (schema_hash, messages_hash) = (from.read_bits(64)?, from.read_bits(64)?);
        Ok(Self::Welcome {
            tick_hz,
            snapshot_every,
            tick,
            schema_hash,
            messages_hash,
            inputs_hash: from.read_bits(64)?,
            player: from.read_bits(64)?,
        })
    }
}

const WELCOME: u64 = 0;
const OWNS: u64 = 1;
const OWNS_NOTHING: u64 = 2;
const GOODBYE: u64 = 3;
const HEARD: u64 = 4;
const SCHEMA: u64 = 5;
