//! Two carriers as one, so that players of both meet in one session layer. Owns: the choice between them, by address.
//! Must never know: packets, sessions.

use std::net::SocketAddr;

use netcode_wire::Ecn;

use crate::{Arrival, Carrier, CarrierCounters, tunnel::is_tunnel};

/// A carrier for the network (UDP) and, where there is one, a carrier of connections (WebSocket), whose peers have
/// addresses in a space of their own.
///
/// | a datagram | goes |
/// |---|---|
/// | to an address of the connections' space | to the connections; nowhere where there are none |
/// | to any other | to the network |
/// | from the network, with a sender of the connections' space | nowhere: it is forged, and counted `dropped_forged` |
///
/// The protocol above therefore needs to know nothing: a session moves from one to the other only as it moves between
/// two addresses of the network, by proof.
#[derive(Debug)]
pub struct Joined<A, B> {
    network: A,
    connections: Option<B>,
    forged: u64,
}

impl<A: Carrier, B: Carrier> Joined<A, B> {
    /// Joins the two; without connections it is `network` alone.
    pub fn new(network: A, connections: Option<B>) -> Self {
        Self { network, connections, forged: 0 }
    }

    /// The carrier for the network.
    pub fn network(&self) -> &A {
        &self.network
    }

    /// The carrier of connections.
    pub fn connections(&self) -> Option<&B> {
        self.connections.as_ref()
    }
}

impl<A: Carrier, B: Carrier> Carrier for Joined<A, B> {
    fn receive_arrivals(&mut self, accept: &mut dyn FnMut(&Arrival, &mut [u8])) -> usize {
        let mut forged = 0;
        let of_network = self.network.receive_arrivals(&mut |arrival, bytes| {
            if is_tunnel(&arrival.from) {
                forged += 1;
            } else {
                accept(arrival, bytes);
            }
        });
        self.forged += forged as u64;
        let of_connections = self.connections.as_mut().map_or(0, |all| all.receive_arrivals(accept));
        of_network - forged + of_connections
    }

    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        self.send_marked(to, Ecn::NotCapable, datagram);
    }

    fn send_marked(&mut self, to: SocketAddr, ecn: Ecn, datagram: &[u8]) {
        if !is_tunnel(&to) {
            self.network.send_marked(to, ecn, datagram);
        } else if let Some(connections) = &mut self.connections {
            connections.send(to, datagram);
        }
    }

    fn flush(&mut self) {
        self.network.flush();
        if let Some(connections) = &mut self.connections {
            connections.flush();
        }
    }

    /// The network's.
    fn local_addr(&self) -> SocketAddr {
        self.network.local_addr()
    }

    /// Of both together.
    fn counters(&self) -> CarrierCounters {
        let of_connections = self.connections.as_ref().map(Carrier::counters).unwrap_or_default();
        let both = self.network.counters() + of_connections;
        CarrierCounters { dropped_forged: both.dropped_forged + self.forged, ..both }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryCarrier, MemoryHub, tunnel::tunnel};

    /// Carriers of a network on which anyone may use any address, as a forger can.
    fn hub_with(addrs: &[SocketAddr]) -> Vec<MemoryCarrier> {
        let hub = MemoryHub::new();
        addrs.iter().map(|addr| hub.open(*addr).expect("a free address")).collect()
    }

    fn addr(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    fn read(carrier: &mut impl Carrier) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut all = Vec::new();
        let count = carrier.receive(&mut |from, bytes| all.push((from, bytes.to_vec())));
        assert_eq!(count, all.len());
        all
    }

    #[test]
    fn each_peer_is_answered_by_the_carrier_it_came_by() {
        let [network, mut by_network] = hub_with(&[addr(1), addr(7)]).try_into().unwrap();
        let [connections, mut by_connection] = hub_with(&[tunnel(0), tunnel(7)]).try_into().unwrap();
        let mut joined = Joined::new(network, Some(connections));
        by_network.send(addr(1), b"udp");
        by_connection.send(tunnel(0), b"tcp");
        assert_eq!(read(&mut joined), [(addr(7), b"udp".to_vec()), (tunnel(7), b"tcp".to_vec())]);
        joined.send(tunnel(7), b"to tcp");
        joined.send(addr(7), b"to udp");
        joined.flush();
        assert_eq!(read(&mut by_network), [(addr(1), b"to udp".to_vec())]);
        assert_eq!(read(&mut by_connection), [(tunnel(0), b"to tcp".to_vec())]);
        assert_eq!((joined.counters().datagrams_received, joined.counters().datagrams_sent), (2, 2));
        assert_eq!(joined.local_addr(), addr(1));
    }

    #[test]
    fn nobody_on_the_network_passes_for_a_connection() {
        let [network, mut forger] = hub_with(&[addr(1), tunnel(7)]).try_into().unwrap();
        let [connections] = hub_with(&[tunnel(0)]).try_into().unwrap();
        let mut joined = Joined::new(network, Some(connections));
        forger.send(addr(1), b"I am connection 7");
        assert_eq!(read(&mut joined), []);
        joined.send(tunnel(7), b"secret");
        assert_eq!(read(&mut forger), [], "what is meant for a connection never goes to the network");
        assert_eq!(joined.counters().dropped_forged, 1);
    }

    #[test]
    fn without_connections_their_space_is_empty() {
        let [network, mut peer, mut forger] = hub_with(&[addr(1), addr(2), tunnel(3)]).try_into().unwrap();
        let mut alone: Joined<_, MemoryCarrier> = Joined::new(network, None);
        peer.send(addr(1), b"hello");
        forger.send(addr(1), b"hello");
        assert_eq!(read(&mut alone), [(addr(2), b"hello".to_vec())]);
        alone.send(tunnel(3), b"nobody");
        assert_eq!(read(&mut forger), []);
        assert!(alone.connections().is_none());
        assert_eq!(alone.network().local_addr(), addr(1));
    }
}
