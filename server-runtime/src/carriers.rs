//! The sockets that players come by: UDP, and beside it WebSocket where it is asked for. Owns opening them and what is
//! said of them; must never know a session nor a tick.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use netcode_transport::{
    Carrier, Joined, TransportError, UdpThread, UdpThreadConfig, WebSocketOptions, WebSocketServer,
};

use crate::drive::{RunError, reachable};
use crate::options::ServerOptions;
use crate::transport::Transport;

/// Every way by which players come, as one carrier.
pub(crate) type Carriers = Joined<UdpThread, WebSocketServer>;

/// Opens what `options` ask for.
pub(crate) fn open(options: &ServerOptions) -> Result<Carriers, RunError> {
    // One number for both, and any will do: what is free for UDP may not be so for TCP.
    let any_will_do = options.port == 0 && options.websocket_port.is_none();
    let mut tries = if any_will_do { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        match open_once(options) {
            Err(RunError::WebSocket { .. }) if tries > 0 => {}
            opened => return opened,
        }
    }
}

fn open_once(options: &ServerOptions) -> Result<Carriers, RunError> {
    let udp =
        open_udp(SocketAddr::new(options.bind, options.port)).map_err(|cause| RunError::Udp { cause })?;
    let Some(port) = websocket_port(options, udp.local_addr().port()) else {
        return Ok(Joined::new(udp, None));
    };
    let limits = WebSocketOptions {
        connections_max: usize::from(options.clients_max) + STRANGERS_MAX,
        ..WebSocketOptions::default()
    };
    let websocket = WebSocketServer::open(SocketAddr::new(options.bind, port), limits);
    Ok(Joined::new(udp, Some(websocket.map_err(|cause| RunError::WebSocket { cause })?)))
}

fn open_udp(address: SocketAddr) -> Result<UdpThread, TransportError> {
    UdpThread::open(address, UdpThreadConfig::default())
}

/// Where WebSockets are taken: nowhere unless asked for, and with `--transport websocket` beside UDP, at the port of
/// the same number.
fn websocket_port(options: &ServerOptions, udp_port: u16) -> Option<u16> {
    let beside = (options.transport == Transport::WebSocket).then_some(udp_port);
    options.websocket_port.or(beside)
}

/// Where UDP players reach this machine.
pub(crate) fn udp_address(carriers: &Carriers) -> SocketAddr {
    reachable(carriers.local_addr())
}

/// Where WebSocket players do.
pub(crate) fn websocket_address(carriers: &Carriers) -> Option<SocketAddr> {
    carriers.connections().map(|websocket| reachable(websocket.local_addr()))
}

/// Adds what the carriers threw away, by cause.
pub(crate) fn add_drops(carriers: &Carriers, drops: &mut BTreeMap<String, u64>) {
    let all = carriers.counters();
    let mut add = |cause: &str, count| _ = drops.insert(cause.to_owned(), count);
    add("ring_full", all.dropped_ring_full);
    add("oversize", all.dropped_oversize);
    add("send_full", all.dropped_send_full);
    add("path_mtu", all.dropped_path_mtu);
    add("forged", all.dropped_forged);
    add("socket_error", carriers.network().counters().errors);
    let Some(websocket) = carriers.connections() else { return };
    let counters = websocket.connection_counters();
    add("websocket_request", counters.refused_request);
    add("websocket_slow", counters.refused_slow);
    add("websocket_crowded", counters.refused_crowded);
    add("websocket_full", counters.refused_full);
    add("websocket_misuse", counters.closed_misuse);
    add("websocket_idle", counters.closed_idle);
    add("websocket_unanswered", counters.closed_unanswered);
}

/// Tries to find a number that is free for UDP and TCP. One of a thousand is taken on a busy machine.
const PORT_TRIES: u32 = 8;
/// Places for connections beyond the players': for those who have not shown a token yet, and for the old connections
/// of those who come again. Each is given up after seconds without an answer.
const STRANGERS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn websockets_are_taken_only_where_asked_for() {
        let check = |transport, websocket_port: Option<u16>, expected| {
            let options = ServerOptions { transport, websocket_port, ..ServerOptions::default() };
            assert_eq!(super::websocket_port(&options, 7000), expected, "{transport} {websocket_port:?}");
        };
        check(Transport::Udp, None, None);
        check(Transport::Udp, Some(0), Some(0));
        check(Transport::WebSocket, None, Some(7000));
        check(Transport::WebSocket, Some(8000), Some(8000));
    }
}
