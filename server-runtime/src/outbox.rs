//! Messages on their way out. Owns the queue between systems and the wire and the choice of recipients; must
//! never know connections: it names players, the room finds them.

use bevy_ecs::prelude::*;
use netcode_proto::ChannelId;
use netcode_snapshot::{Message, MessageSet};

use crate::player::PlayerId;

/// Bytes of messages that one tick may queue. A game that says more in a tick is in a loop.
pub const OUTBOX_BYTES_MAX: usize = 4 << 20;

/// Where systems put messages for players. Every message type is registered once with `.message::<M>(channel)`.
///
/// ```
/// use server_runtime::prelude::*;
///
/// #[derive(Message)]
/// struct Scored { player: u64, points: u32 }
///
/// fn announce(mut outbox: ResMut<Outbox>) {
///     outbox.broadcast(&Scored { player: 7, points: 3 });
///     outbox.send(PlayerId(7), &Scored { player: 7, points: 3 });
/// }
/// # bevy_ecs::system::assert_is_system(announce);
/// ```
#[derive(Resource, Debug)]
pub struct Outbox {
    set: MessageSet,
    queued: Vec<Outgoing>,
    bytes: usize,
    dropped: u64,
}

/// One encoded message and who gets it.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) to: Recipient,
    pub(crate) channel: ChannelId,
    pub(crate) bytes: Vec<u8>,
}

/// Who gets a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recipient {
    Player(PlayerId),
    Everyone,
    EveryoneBut(PlayerId),
}

impl Recipient {
    pub(crate) fn includes(self, player: PlayerId) -> bool {
        match self {
            Self::Player(one) => one == player,
            Self::Everyone => true,
            Self::EveryoneBut(one) => one != player,
        }
    }
}

impl Outbox {
    pub(crate) fn new(set: MessageSet) -> Self {
        Self { set, queued: Vec::new(), bytes: 0, dropped: 0 }
    }

    /// To one player. A player who is not connected misses it.
    ///
    /// # Panics
    /// If `M` was not registered with `.message::<M>()`.
    pub fn send<M: Message>(&mut self, to: PlayerId, message: &M) {
        self.queue(Recipient::Player(to), message);
    }

    /// To every connected player.
    ///
    /// # Panics
    /// If `M` was not registered with `.message::<M>()`.
    pub fn broadcast<M: Message>(&mut self, message: &M) {
        self.queue(Recipient::Everyone, message);
    }

    /// To every connected player but one.
    ///
    /// # Panics
    /// If `M` was not registered with `.message::<M>()`.
    pub fn broadcast_except<M: Message>(&mut self, except: PlayerId, message: &M) {
        self.queue(Recipient::EveryoneBut(except), message);
    }

    /// What was queued since the last call, in order.
    pub(crate) fn drain(&mut self) -> std::vec::Drain<'_, Outgoing> {
        self.bytes = 0;
        self.queued.drain(..)
    }

    /// Messages refused because a tick queued more than [`OUTBOX_BYTES_MAX`].
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn queue<M: Message>(&mut self, to: Recipient, message: &M) {
        let Ok((channel, bytes)) = self.set.encode(message) else {
            panic!("message {0} is not registered: add .message::<{0}>(channel) to the builder", M::NAME);
        };
        if self.bytes + bytes.len() > OUTBOX_BYTES_MAX {
            self.dropped += 1;
            return;
        }
        self.bytes += bytes.len();
        self.queued.push(Outgoing { to, channel: ChannelId(channel), bytes });
    }
}
