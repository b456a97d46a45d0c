//! Clients by id, by player and by address. Must never know what a session does.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use netcode_proto::ClientId;

/// One client, and what its session needs of its own.
#[derive(Debug)]
pub(crate) struct Seat<T> {
    /// The token's client id.
    pub(crate) player: u64,
    pub(crate) address: SocketAddr,
    /// When the token that it came with ends; 0 where that is unknown.
    pub(crate) expire_unix_s: u64,
    pub(crate) session: T,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u16,
    /// Whether who is in it stands in the list of those that have spoken.
    is_ready: bool,
    seat: Option<Seat<T>>,
}

/// At most `clients_max` clients.
#[derive(Debug)]
pub(crate) struct Seats<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u16>,
    by_player: HashMap<u64, u16>,
    by_address: HashMap<SocketAddr, u16>,
    /// Who has spoken, each once.
    ready: VecDeque<ClientId>,
    clients_max: usize,
}

impl<T> Seats<T> {
    pub(crate) fn new(clients_max: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_player: HashMap::new(),
            by_address: HashMap::new(),
            ready: VecDeque::new(),
            clients_max,
        }
    }

    /// Gives `seat` a slot; `None` when all are taken. Its player and address must be free.
    pub(crate) fn insert(&mut self, seat: Seat<T>) -> Option<ClientId> {
        if self.len() >= self.clients_max {
            return None;
        }
        debug_assert!(!self.by_player.contains_key(&seat.player), "the caller ended the earlier session");
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = u16::try_from(self.slots.len()).ok()?;
                self.slots.push(Slot { generation: 0, is_ready: false, seat: None });
                slot
            }
        };
        self.by_player.insert(seat.player, slot);
        self.by_address.insert(seat.address, slot);
        let place = &mut self.slots[usize::from(slot)];
        place.seat = Some(seat);
        Some(ClientId::new(slot, place.generation))
    }

    /// Frees the slot of `client`.
    pub(crate) fn remove(&mut self, client: ClientId) -> Option<Seat<T>> {
        self.get(client)?;
        let slot = &mut self.slots[client.index()];
        let seat = slot.seat.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        if std::mem::take(&mut slot.is_ready) {
            self.ready.retain(|ready| *ready != client);
        }
        self.free.push(client.index() as u16);
        self.by_player.remove(&seat.player);
        self.by_address.remove(&seat.address);
        Some(seat)
    }

    pub(crate) fn get(&self, client: ClientId) -> Option<&Seat<T>> {
        let slot = self.slots.get(client.index())?;
        slot.seat.as_ref().filter(|_| ClientId::new(client.index() as u16, slot.generation) == client)
    }

    pub(crate) fn get_mut(&mut self, client: ClientId) -> Option<&mut Seat<T>> {
        let slot = self.slots.get_mut(client.index())?;
        let same = ClientId::new(client.index() as u16, slot.generation) == client;
        slot.seat.as_mut().filter(|_| same)
    }

    /// Notes that `client` has spoken.
    pub(crate) fn note_ready(&mut self, client: ClientId) {
        if self.get(client).is_some() && !std::mem::replace(&mut self.slots[client.index()].is_ready, true) {
            self.ready.push_back(client);
        }
    }

    /// The next one that has spoken since it was last named.
    pub(crate) fn poll_ready(&mut self) -> Option<ClientId> {
        let client = self.ready.pop_front()?;
        self.slots[client.index()].is_ready = false;
        Some(client)
    }

    pub(crate) fn of_player(&self, player: u64) -> Option<ClientId> {
        self.by_player.get(&player).map(|&slot| self.id_of(slot))
    }

    #[cfg(feature = "laminar")]
    pub(crate) fn at_address(&self, address: &SocketAddr) -> Option<ClientId> {
        self.by_address.get(address).map(|&slot| self.id_of(slot))
    }

    #[cfg(feature = "laminar")]
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.clients_max
    }

    pub(crate) fn len(&self) -> usize {
        self.by_player.len()
    }

    /// Who is in slot `index`, counted from 0 to [`slots_len`](Self::slots_len).
    pub(crate) fn in_slot(&self, index: usize) -> Option<ClientId> {
        let slot = self.slots.get(index)?;
        slot.seat.as_ref().map(|_| ClientId::new(index as u16, slot.generation))
    }

    pub(crate) fn slots_len(&self) -> usize {
        self.slots.len()
    }

    fn id_of(&self, slot: u16) -> ClientId {
        ClientId::new(slot, self.slots[usize::from(slot)].generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(player: u64) -> Seat<()> {
        let address = SocketAddr::from(([10, 0, 0, 1], player as u16));
        Seat { player, address, expire_unix_s: 0, session: () }
    }

    #[test]
    fn a_slot_that_is_taken_again_has_another_id() {
        let mut seats = Seats::new(2);
        let first = seats.insert(seat(1)).unwrap();
        assert!(seats.insert(seat(2)).is_some());
        assert_eq!(seats.insert(seat(3)), None, "full");
        assert_eq!(seats.remove(first).map(|seat| seat.player), Some(1));
        assert!(seats.remove(first).is_none() && seats.of_player(1).is_none());
        let again = seats.insert(seat(1)).unwrap();
        assert!(again != first && again.index() == first.index());
        assert!(seats.get(first).is_none() && seats.get_mut(again).is_some());
        assert_eq!((seats.len(), seats.in_slot(again.index())), (2, Some(again)));
    }

    #[test]
    fn who_has_spoken_is_named_once_and_not_when_gone() {
        let mut seats = Seats::new(2);
        let clients = [1, 2].map(|player| seats.insert(seat(player)).unwrap());
        for client in [clients[1], clients[0], clients[1]] {
            seats.note_ready(client);
        }
        assert_eq!(seats.poll_ready(), Some(clients[1]));
        seats.note_ready(clients[1]);
        seats.remove(clients[0]);
        seats.note_ready(clients[0]);
        assert_eq!([seats.poll_ready(), seats.poll_ready()], [Some(clients[1]), None]);
    }
}
