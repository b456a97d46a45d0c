//! What a socket writes into the IP header of all that it sends: the ECN field and "don't fragment". Owns the socket
//! options behind them; must never know a datagram.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use netcode_wire::Ecn;
use socket2::SockRef;

/// The ECN field of what a socket sends. It belongs to the socket, not to the call: one destination after the other
/// mostly wants the same, so it changes a few times a session, where a field in each call would cost every datagram.
#[derive(Debug)]
pub(super) struct EcnField {
    /// Whether marks are to be set at all.
    is_wanted: bool,
    is_ipv6: bool,
    is_marking: AtomicBool,
}

impl EcnField {
    pub(super) fn new(local: SocketAddr, is_wanted: bool) -> Self {
        Self { is_wanted, is_ipv6: local.is_ipv6(), is_marking: AtomicBool::new(false) }
    }

    /// What a datagram that asks for `ecn` gets.
    pub(super) fn granted(&self, ecn: Ecn) -> Ecn {
        if self.is_wanted && ecn == Ecn::Ect0 { Ecn::Ect0 } else { Ecn::NotCapable }
    }

    /// Sets the field for what is sent next; one thread at a time sends. A system that does not let us leaves datagrams
    /// unmarked, which their receiver reports.
    pub(super) fn set(&self, socket: &UdpSocket, ecn: Ecn) {
        let marking = self.granted(ecn) == Ecn::Ect0;
        if self.is_marking.load(Relaxed) != marking {
            self.is_marking.store(marking, Relaxed);
            let _ = write_field(&SockRef::from(socket), self.is_ipv6, if marking { ECT0 } else { 0 });
        }
    }
}

#[cfg(unix)]
fn write_field(socket: &SockRef<'_>, is_ipv6: bool, field: u32) -> io::Result<()> {
    if is_ipv6 {
        socket.set_tclass_v6(field)?;
        // Mapped IPv4 peers of a socket for both families; an IPv6-only one has none.
        let _ = socket.set_tos_v4(field);
        return Ok(());
    }
    socket.set_tos_v4(field)
}

#[cfg(not(unix))]
fn write_field(socket: &SockRef<'_>, _: bool, field: u32) -> io::Result<()> {
    socket.set_tos_v4(field)
}

/// Has datagrams refused or lost rather than cut in pieces, whatever the kernel believes of the path (it probes; the
/// session does that): `IP_PMTUDISC_PROBE`, as `quinn-udp` sets it in batched mode. Whether the system agreed.
#[cfg(target_os = "linux")]
pub(super) fn forbid_fragments(socket: &UdpSocket, local: SocketAddr) -> bool {
    use rustix::net::sockopt::{
        Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
    };
    // On an IPv6 socket the first is for mapped IPv4 peers, and may be refused where there can be none.
    let ipv4 = set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::PROBE).is_ok();
    if local.is_ipv6() {
        return set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::PROBE).is_ok();
    }
    ipv4
}

/// Elsewhere only batched mode can.
#[cfg(not(target_os = "linux"))]
pub(super) fn forbid_fragments(_: &UdpSocket, _: SocketAddr) -> bool {
    false
}

/// RFC 3168 §5: the ECN field is the low two bits of the type of service; ECT(0) is 10.
const ECT0: u32 = 0b10;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::net::sockopt::{
        Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, ip_mtu_discover, ipv6_mtu_discover,
    };

    use super::*;
    use crate::{IoMode, SocketOptions};

    #[test]
    fn nothing_is_fragmented_in_any_mode() {
        for io in [IoMode::Plain, IoMode::Auto] {
            let options = SocketOptions { io, ..SocketOptions::default() };
            let open = |local: SocketAddr| crate::UdpCarrier::open_with(local, options);
            let ipv4 = open(SocketAddr::from(([127, 0, 0, 1], 0))).expect("loopback has free ports");
            assert!(ipv4.abilities().dont_fragment, "{io:?}");
            assert_eq!(ip_mtu_discover(ipv4.socket()), Ok(Ipv4PathMtuDiscovery::PROBE), "{io:?}");
            // A machine without IPv6 has nothing to fragment there.
            let Ok(both) = open(SocketAddr::from(([0_u16; 8], 0))) else { return };
            assert!(both.abilities().dont_fragment, "{io:?}");
            assert_eq!(ip_mtu_discover(both.socket()), Ok(Ipv4PathMtuDiscovery::PROBE), "{io:?}");
            assert_eq!(ipv6_mtu_discover(both.socket()), Ok(Ipv6PathMtuDiscovery::PROBE), "{io:?}");
        }
    }
}
