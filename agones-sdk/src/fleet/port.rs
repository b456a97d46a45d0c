//! Owns: choosing a port for a server. Must never know: which server it is for.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;

/// How many ports are tried before the choice fails.
const TRIES: u32 = 200;

/// A port of the range that is not in `taken` and that UDP and TCP can be bound to right now: a server that takes
/// browsers listens on both, at one number.
pub(super) fn choose(range: &RangeInclusive<u16>, taken: &BTreeSet<u16>) -> Option<u16> {
    if range.is_empty() {
        return None;
    }
    // Random, so that two fleets beside each other rarely want the same one at the same time.
    (0..TRIES).map(|_| fastrand::u16(range.clone())).find(|port| !taken.contains(port) && is_free(*port))
}

fn is_free(port: u16) -> bool {
    // On every address: a server that binds just one of them then finds it free as well.
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
        && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_ports_are_not_chosen() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(choose(&(port..=port), &BTreeSet::new()), None);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(choose(&(port..=port), &BTreeSet::new()), None);
        assert_eq!(choose(&(20_000..=20_001), &BTreeSet::from([20_000, 20_001])), None);
        assert!(choose(&super::super::PORTS_DEFAULT, &BTreeSet::new()).is_some());
    }
}
