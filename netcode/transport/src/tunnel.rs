//! Addresses for peers that UDP cannot reach, in a space of their own. Owns: which addresses those are. Must never
//! know: what tunnels there are.
//!
//! The protocol above tells peers apart by their address. A peer on TCP may well have the same IP address and port as
//! another on UDP, and behind a proxy all peers share one IP address: so a connection is not known by its remote
//! address, but by a number that only this process gives out. It is written as an IPv6 address of `100::/64`, the
//! block that routers discard (RFC 6666). Numbers are never given twice, so that whoever comes after a closed
//! connection is not taken for the one that left.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Whether `addr` stands for a connection of this process, not for a place on the network.
pub(crate) fn is_tunnel(addr: &SocketAddr) -> bool {
    match addr.ip() {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => ip.segments()[..4] == DISCARD,
    }
}

/// The address of connection `number`.
pub(crate) fn tunnel(number: u64) -> SocketAddr {
    let [a, b, c, d] = [48, 32, 16, 0].map(|shift| (number >> shift & 0xffff) as u16);
    let [e, f, g, h] = DISCARD;
    SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::new(e, f, g, h, a, b, c, d), PORT, 0, 0))
}

/// The upper half of `100::/64`.
const DISCARD: [u16; 4] = [0x100, 0, 0, 0];
/// Any port but 0, which means "none" in places.
const PORT: u16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_an_address_that_no_peer_of_the_network_has() {
        let numbers = [0, 1, 0xffff, 0x1_0000, u64::MAX];
        let all = numbers.map(tunnel);
        assert!(all.iter().all(is_tunnel));
        assert!((1..all.len()).all(|n| !all[..n].contains(&all[n])), "{all:?}");
        for other in ["127.0.0.1:1", "[::1]:1", "[::ffff:1.0.0.0]:1", "[100:0:0:1::1]:1", "[2001:db8::1]:1"] {
            assert!(!is_tunnel(&other.parse().unwrap()), "{other}");
        }
    }
}
