//! Bytes of a game channel → typed event in the world. Must never know who may send what: systems judge.

use bevy_ecs::prelude::*;
use netcode_proto::ChannelId;
use netcode_snapshot::Message;
use netcode_wire::{BitReader, WireError};

use crate::player::{FromPlayer, PlayerId};

/// Knows how to read one message type.
#[derive(Clone, Copy)]
pub(crate) struct Inbound {
    channel: ChannelId,
    accept: fn(&mut World, PlayerId, &[u8]) -> Result<(), WireError>,
}

impl Inbound {
    pub(crate) fn new<M: Message>(channel: ChannelId) -> Self {
        Self { channel, accept: accept::<M> }
    }
}

/// Reads `[u8 message id][bits]` and hands it to the systems.
///
/// # Errors
/// The id is unknown, belongs to another channel, or the bits are not a message of that type.
pub(crate) fn deliver(
    table: &[Inbound],
    world: &mut World,
    player: PlayerId,
    channel: ChannelId,
    bytes: &[u8],
) -> Result<(), WireError> {
    let (id, bits) = bytes.split_first().ok_or(WireError::UnexpectedEnd)?;
    let inbound = table.get(usize::from(*id)).ok_or(WireError::Malformed("message id is not registered"))?;
    if inbound.channel != channel {
        return Err(WireError::Malformed("message came by another type's channel"));
    }
    (inbound.accept)(world, player, bits)
}

fn accept<M: Message>(world: &mut World, player: PlayerId, bits: &[u8]) -> Result<(), WireError> {
    let message = M::decode(&mut BitReader::new(bits))?;
    world.write_message(FromPlayer { player, message });
    Ok(())
}
