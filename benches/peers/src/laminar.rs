//! laminar 0.5, in the clear, driven by `manual_poll` of its connection manager over a counted socket (its own `Socket` is
//! the same manager over a plain one).
//!
//! laminar acknowledges only in reliable packets, and gives a peer up after 512 unacknowledged ones: a client that sends
//! only unreliable input would be dropped after 8.5 s. So the client adds one reliable byte a tick, as its users must.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use contest::{Class, Counted, Guest, Host, Job, Peer, Traffic, Work};
use laminar::{
    Config, ConnectionManager, DatagramSocket, DeliveryGuarantee, Packet, SocketEvent, VirtualConnection,
};

use crate::server_of;

pub(crate) struct Laminar;

#[derive(Debug)]
struct Line(Counted);

impl DatagramSocket for Line {
    fn send_packet(&mut self, to: &SocketAddr, payload: &[u8]) -> io::Result<usize> {
        self.0.send_to(payload, *to)
    }

    fn receive_packet<'a>(&mut self, buffer: &'a mut [u8]) -> io::Result<(&'a [u8], SocketAddr)> {
        self.0.recv_from(buffer).map(|(len, from)| (&buffer[..len], from))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn is_blocking_mode(&self) -> bool {
        false
    }
}

type Manager = ConnectionManager<Line, VirtualConnection>;

fn manager(job: &Job) -> anyhow::Result<Manager> {
    let config = Config {
        idle_connection_timeout: Duration::from_secs(10),
        heartbeat_interval: Some(Duration::from_millis(500)),
        max_unestablished_connections: job.clients.try_into()?,
        ..Config::default()
    };
    Ok(ConnectionManager::new(Line(Counted::open()?), config))
}

fn is_reliable(packet: &Packet) -> bool {
    packet.delivery_guarantee() == DeliveryGuarantee::Reliable
}

impl Peer for Laminar {
    type Host = LaminarHost;
    type Guest = LaminarGuest;

    fn host(job: &Job) -> anyhow::Result<LaminarHost> {
        Ok(LaminarHost { manager: manager(job)?, clients: Vec::new() })
    }

    fn guest(job: &Job, _: usize) -> anyhow::Result<LaminarGuest> {
        Ok(LaminarGuest {
            manager: manager(job)?,
            server: server_of(job)?,
            connected: false,
            greeted: Instant::now(),
            idle: job.work == Work::Idle,
        })
    }
}

pub(crate) struct LaminarHost {
    manager: Manager,
    clients: Vec<SocketAddr>,
}

impl Host for LaminarHost {
    fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.manager.socket().local_addr()?)
    }

    fn receive(&mut self, accept: &mut dyn FnMut(&[u8])) -> anyhow::Result<()> {
        self.manager.manual_poll(Instant::now());
        while let Ok(event) = self.manager.event_receiver().try_recv() {
            match event {
                SocketEvent::Packet(packet) if packet.payload() == GREETING => {
                    // Both must have sent before laminar calls it a connection.
                    let answer = Packet::reliable_unordered(packet.addr(), GREETING.to_vec());
                    self.manager.event_sender().send(answer)?;
                }
                SocketEvent::Packet(packet) if !is_reliable(&packet) => accept(packet.payload()),
                SocketEvent::Packet(_) => {}
                SocketEvent::Connect(address) => self.clients.push(address),
                SocketEvent::Timeout(_) => {}
                SocketEvent::Disconnect(address) => self.clients.retain(|other| *other != address),
            }
        }
        Ok(())
    }

    fn clients(&self) -> usize {
        self.clients.len()
    }

    fn send(&mut self, client: usize, class: Class, message: &[u8]) -> anyhow::Result<bool> {
        let (to, payload) = (self.clients[client], message.to_vec());
        let packet = match class {
            Class::Unreliable => Packet::unreliable(to, payload),
            Class::Reliable => Packet::reliable_ordered(to, payload, None),
        };
        self.manager.event_sender().send(packet)?;
        Ok(true)
    }

    fn transmit(&mut self) -> anyhow::Result<()> {
        self.manager.manual_poll(Instant::now());
        Ok(())
    }

    fn traffic(&self) -> Traffic {
        self.manager.socket().0.traffic()
    }

    fn piece_bytes(&self) -> usize {
        // 16 fragments of 1024 bytes are the most that laminar takes.
        16 * 1024
    }
}

pub(crate) struct LaminarGuest {
    manager: Manager,
    server: SocketAddr,
    connected: bool,
    greeted: Instant,
    idle: bool,
}

impl Guest for LaminarGuest {
    fn receive(&mut self, accept: &mut dyn FnMut(Class, &[u8])) -> anyhow::Result<()> {
        self.manager.manual_poll(Instant::now());
        while let Ok(event) = self.manager.event_receiver().try_recv() {
            match event {
                SocketEvent::Packet(packet) if packet.payload() == GREETING => {}
                SocketEvent::Packet(packet) => {
                    let class = if is_reliable(&packet) { Class::Reliable } else { Class::Unreliable };
                    accept(class, packet.payload());
                }
                SocketEvent::Connect(_) => self.connected = true,
                SocketEvent::Timeout(_) | SocketEvent::Disconnect(_) => anyhow::bail!("disconnected"),
            }
        }
        Ok(())
    }

    fn connected(&self) -> bool {
        self.connected
    }

    fn send(&mut self, message: &[u8]) -> anyhow::Result<()> {
        self.manager.event_sender().send(Packet::unreliable(self.server, message.to_vec()))?;
        Ok(())
    }

    fn transmit(&mut self) -> anyhow::Result<()> {
        if self.connected && !self.idle {
            self.manager.event_sender().send(Packet::reliable_unordered(self.server, vec![0]))?;
        } else if !self.connected && self.greeted.elapsed() > Duration::from_millis(200) {
            self.greeted = Instant::now();
            self.manager.event_sender().send(Packet::reliable_unordered(self.server, GREETING.to_vec()))?;
        }
        self.manager.manual_poll(Instant::now());
        Ok(())
    }
}

/// What opens a connection; never measured.
const GREETING: &[u8] = b"hello";
