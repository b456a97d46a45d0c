//! What a player's datagrams travel on: a UDP socket of its own, or a WebSocket as a browser would open it. Never knows
//! what a datagram holds, and nothing of the simulated weather.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use netcode_transport::{Carrier, WebSocketClient, WebSocketOptions, WebSocketState};
use netcode_wire::Time;
use tokio::runtime::Handle;

/// The largest datagram that is read.
const DATAGRAM_MAX: usize = netcode_transport::DATAGRAM_BYTES_MAX + 1;
/// Datagrams read from one socket before the next player gets its turn.
const DATAGRAMS_PER_ROUND: usize = 64;
/// How long after a broken WebSocket the next is opened: the session goes on over it.
const REOPEN_AFTER: std::time::Duration = std::time::Duration::from_millis(250);

/// One player's way to its server.
#[derive(Debug)]
pub(super) enum Road {
    /// Datagrams as they are.
    Udp {
        /// Nonblocking, of any local port.
        socket: UdpSocket,
        /// Where it reads into.
        buffer: Box<[u8; DATAGRAM_MAX]>,
    },
    /// Each datagram a message.
    WebSocket(Box<Line>),
}

/// A WebSocket, and what it takes to open it again.
#[derive(Debug)]
pub(super) struct Line {
    client: WebSocketClient,
    runtime: Handle,
    url: String,
    server: SocketAddr,
    broken_since: Option<Time>,
}

impl Road {
    /// A UDP socket that can reach `server`.
    ///
    /// # Errors
    /// A sentence: no socket.
    pub(super) fn udp(server: Option<&SocketAddr>) -> Result<Self, String> {
        let any: SocketAddr = match server {
            Some(SocketAddr::V6(_)) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            _ => (Ipv4Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).map_err(|e| format!("no socket: {e}"))?;
        socket.set_nonblocking(true).map_err(|e| format!("no socket: {e}"))?;
        Ok(Self::Udp { socket, buffer: Box::new([0; DATAGRAM_MAX]) })
    }

    /// A WebSocket to `url`, for the server that the session knows as `server`.
    pub(super) fn websocket(runtime: &Handle, url: &str, server: SocketAddr) -> Self {
        let client = WebSocketClient::open_on(runtime, url, server, WebSocketOptions::default());
        let (runtime, url) = (runtime.clone(), url.to_owned());
        Self::WebSocket(Box::new(Line { client, runtime, url, server, broken_since: None }))
    }

    /// Hands on what has arrived.
    pub(super) fn receive(&mut self, now: Time, accept: &mut dyn FnMut(SocketAddr, &[u8])) {
        match self {
            Self::Udp { socket, buffer } => {
                for _ in 0..DATAGRAMS_PER_ROUND {
                    match socket.recv_from(&mut buffer[..]) {
                        Ok((len, from)) => accept(from, &buffer[..len]),
                        // Nothing there, or an ICMP error of a server that is gone: the client's timeout decides.
                        Err(_) => break,
                    }
                }
            }
            Self::WebSocket(line) => {
                line.client.receive(&mut |from, bytes| accept(from, bytes));
                line.mend(now);
            }
        }
    }

    /// Sends one datagram; one that is lost is what the protocol is made for.
    pub(super) fn send(&mut self, to: SocketAddr, bytes: &[u8]) {
        match self {
            Self::Udp { socket, .. } => _ = socket.send_to(bytes, to),
            Self::WebSocket(line) => line.client.send(to, bytes),
        }
    }
}

impl Line {
    /// Opens it again where it broke, a little later: the session has moved to the new one with the next packet.
    fn mend(&mut self, now: Time) {
        if self.client.state() != WebSocketState::Closed {
            self.broken_since = None;
            return;
        }
        let since = *self.broken_since.get_or_insert(now);
        if now.since(since) >= REOPEN_AFTER {
            let options = WebSocketOptions::default();
            self.client = WebSocketClient::open_on(&self.runtime, &self.url, self.server, options);
            self.broken_since = None;
        }
    }
}
