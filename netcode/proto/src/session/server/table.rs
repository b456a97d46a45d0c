//! The sessions of a server, by slot, by address and by player. Owns identity; must never know a packet.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use netcode_wire::Time;

use crate::session::challenge::TokenMark;
use crate::session::extension::{Accept, ConnectionId};
use crate::session::hash::KeyedHash;
use crate::session::path::Probe;
use crate::session::peer::Peer;
use crate::session::phase::ServerPhase;
use crate::session::{ClientId, HANDSHAKE_INTERVAL};

/// A client with a slot.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) player: u64,
    pub(crate) address: SocketAddr,
    /// The token that it lives by.
    pub(crate) mark: TokenMark,
    pub(crate) phase: ServerPhase,
    /// Whether it stands in the list of those with messages.
    pub(crate) is_ready: bool,
    /// The number of the flush in which it was last flushed alone; 0: none yet.
    pub(crate) flushed: u32,
    /// Expiry of the token that began it: a later one may take over.
    pub(crate) expire_unix_s: u64,
    /// When it was last told its slot.
    pub(crate) keep_alive_at: Time,
    /// What was agreed on beyond the standard.
    pub(crate) connection: Option<Accept>,
    /// Where the client may have gone.
    pub(crate) probe: Option<Probe>,
    pub(crate) peer: Peer,
}

impl Session {
    /// Whether a keep-alive is due. An unconfirmed client gets them whatever else is sent: before the first one
    /// reaches it, it cannot know that it is connected and drops all else.
    pub(crate) fn needs_keep_alive(&self, now: Time, keep_alive: Duration) -> bool {
        match self.phase {
            ServerPhase::Unconfirmed => now.since(self.keep_alive_at) >= HANDSHAKE_INTERVAL,
            _ => self.peer.is_quiet(now, keep_alive),
        }
    }

    /// Before when neither silence nor a keep-alive can be due.
    pub(crate) fn due_at(&self, keep_alive: Duration) -> Time {
        let keep_alive_at = match self.phase {
            ServerPhase::Unconfirmed => self.keep_alive_at.saturating_add(HANDSHAKE_INTERVAL),
            _ => self.peer.quiet_at(keep_alive),
        };
        keep_alive_at.min(self.peer.silent_at())
    }
}

#[derive(Debug, Default)]
struct Slot {
    generation: u16,
    session: Option<Box<Session>>,
}

/// Slots that grow with the clients that really came, and three indices into them.
#[derive(Debug)]
pub(crate) struct SessionTable {
    slots: Vec<Slot>,
    free: Vec<u16>,
    by_address: HashMap<SocketAddr, u16, KeyedHash>,
    by_player: HashMap<u64, u16, KeyedHash>,
    by_connection: HashMap<ConnectionId, u16, KeyedHash>,
    clients_max: usize,
}

impl SessionTable {
    pub(crate) fn new(clients_max: usize, hash: KeyedHash) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_address: HashMap::with_hasher(hash),
            by_player: HashMap::with_hasher(hash),
            by_connection: HashMap::with_hasher(hash),
            clients_max,
        }
    }

    /// Gives `session` a slot. Its address and player must be free, and a slot too: the caller saw to that.
    pub(crate) fn insert(&mut self, session: Session) -> ClientId {
        debug_assert!(!self.is_full(), "the caller checked for a free slot");
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u16
        });
        self.by_address.insert(session.address, slot);
        self.by_player.insert(session.player, slot);
        let place = &mut self.slots[usize::from(slot)];
        place.session = Some(Box::new(session));
        ClientId::new(slot, place.generation)
    }

    /// Frees the slot of `client`; nobody is ever called `client` again until 65,536 others had the slot.
    pub(crate) fn remove(&mut self, client: ClientId) -> Option<Box<Session>> {
        self.get(client)?;
        let slot = &mut self.slots[client.index()];
        let session = slot.session.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(client.index() as u16);
        self.forget_address(&session.address, client.index() as u16);
        self.by_player.remove(&session.player);
        if let Some(accept) = &session.connection {
            self.by_connection.remove(&accept.id);
        }
        Some(session)
    }

    pub(crate) fn get(&self, client: ClientId) -> Option<&Session> {
        let slot = self.slots.get(client.index())?;
        slot.session.as_deref().filter(|_| ClientId::new(client.index() as u16, slot.generation) == client)
    }

    pub(crate) fn get_mut(&mut self, client: ClientId) -> Option<&mut Session> {
        let slot = self.slots.get_mut(client.index())?;
        let same = ClientId::new(client.index() as u16, slot.generation) == client;
        slot.session.as_deref_mut().filter(|_| same)
    }

    pub(crate) fn at_address(&self, address: &SocketAddr) -> Option<ClientId> {
        self.by_address.get(address).map(|&slot| self.id_of(slot))
    }

    /// Who has this connection id.
    pub(crate) fn at_connection(&self, id: ConnectionId) -> Option<ClientId> {
        self.by_connection.get(&id).map(|&slot| self.id_of(slot))
    }

    /// Gives `client`, which has none yet, the connection id of `accept`. Nobody else may have it.
    pub(crate) fn connect(&mut self, client: ClientId, accept: Accept) {
        let Some(session) = self.get_mut(client) else { return };
        session.connection = Some(accept);
        self.by_connection.insert(accept.id, client.index() as u16);
    }

    /// Moves `client` to another address. Who was there before is no longer found by it, only by connection id.
    pub(crate) fn move_to(&mut self, client: ClientId, address: SocketAddr) {
        let Some(session) = self.get_mut(client) else { return };
        let old = std::mem::replace(&mut session.address, address);
        self.forget_address(&old, client.index() as u16);
        self.by_address.insert(address, client.index() as u16);
    }

    /// An address that another session has moved to stays that one's.
    fn forget_address(&mut self, address: &SocketAddr, slot: u16) {
        if self.by_address.get(address) == Some(&slot) {
            self.by_address.remove(address);
        }
    }

    pub(crate) fn of_player(&self, player: u64) -> Option<ClientId> {
        self.by_player.get(&player).map(|&slot| self.id_of(slot))
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.clients_max
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ClientId, &Session)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(index, slot)| {
            Some((ClientId::new(index as u16, slot.generation), slot.session.as_deref()?))
        })
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (ClientId, &mut Session)> {
        let slots = self.slots.iter_mut().enumerate();
        slots.filter_map(|(index, slot)| {
            Some((ClientId::new(index as u16, slot.generation), slot.session.as_deref_mut()?))
        })
    }

    fn id_of(&self, slot: u16) -> ClientId {
        ClientId::new(slot, self.slots[usize::from(slot)].generation)
    }
}
