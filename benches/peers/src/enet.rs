//! ENet as rusty_enet, in the clear: channel 0 unreliable sequenced, channel 1 reliable. Its socket is counted through
//! its own `Socket` trait.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use contest::{BULK_BYTES, Class, Counted, Guest, Host, Job, Peer, Traffic};
use rusty_enet::{EventNoRef, HostSettings, MTU_MAX, Packet, PacketReceived, PeerID, Socket, SocketOptions};

use crate::server_of;

pub(crate) struct Enet;

struct Line(Counted);

impl Socket for Line {
    type Address = SocketAddr;
    type Error = io::Error;

    fn init(&mut self, _: SocketOptions) -> Result<(), io::Error> {
        Ok(())
    }

    fn send(&mut self, to: SocketAddr, bytes: &[u8]) -> Result<usize, io::Error> {
        match self.0.send_to(bytes, to) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            sent => sent,
        }
    }

    fn receive(
        &mut self,
        buffer: &mut [u8; MTU_MAX],
    ) -> Result<Option<(SocketAddr, PacketReceived)>, io::Error> {
        match self.0.recv_from(buffer) {
            Ok((len, from)) => Ok(Some((from, PacketReceived::Complete(len)))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn host_of(peers: usize) -> anyhow::Result<rusty_enet::Host<Line>> {
    let settings = HostSettings { peer_limit: peers, channel_limit: 2, ..HostSettings::default() };
    rusty_enet::Host::new(Line(Counted::open()?), settings).map_err(|error| anyhow::anyhow!("{error:?}"))
}

impl Peer for Enet {
    type Host = EnetHost;
    type Guest = EnetGuest;

    fn host(job: &Job) -> anyhow::Result<EnetHost> {
        Ok(EnetHost { host: host_of(job.clients)?, clients: Vec::new() })
    }

    fn guest(job: &Job, _: usize) -> anyhow::Result<EnetGuest> {
        let mut host = host_of(1)?;
        let server = host.connect(server_of(job)?, 2, 0).map_err(|error| anyhow::anyhow!("{error:?}"))?.id();
        Ok(EnetGuest { host, server, connected: false, pending: Vec::new() })
    }
}

pub(crate) struct EnetHost {
    host: rusty_enet::Host<Line>,
    clients: Vec<PeerID>,
}

impl Host for EnetHost {
    fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.host.socket().0.local_addr()?)
    }

    fn receive(&mut self, accept: &mut dyn FnMut(&[u8])) -> anyhow::Result<()> {
        while let Some(event) = self.host.service()? {
            match event.no_ref() {
                EventNoRef::Connect { peer, .. } => self.clients.push(peer),
                EventNoRef::Disconnect { peer, .. } => self.clients.retain(|other| *other != peer),
                EventNoRef::Receive { packet, .. } => accept(packet.data()),
            }
        }
        Ok(())
    }

    fn clients(&self) -> usize {
        self.clients.len()
    }

    fn send(&mut self, client: usize, class: Class, message: &[u8]) -> anyhow::Result<bool> {
        let (channel, packet) = match class {
            Class::Unreliable => (0, Packet::unreliable(message)),
            Class::Reliable => (1, Packet::reliable(message)),
        };
        Ok(self.host.peer_mut(self.clients[client]).send(channel, &packet).is_ok())
    }

    fn transmit(&mut self) -> anyhow::Result<()> {
        self.host.flush();
        Ok(())
    }

    fn traffic(&self) -> Traffic {
        self.host.socket().0.traffic()
    }

    fn piece_bytes(&self) -> usize {
        BULK_BYTES
    }
}

pub(crate) struct EnetGuest {
    host: rusty_enet::Host<Line>,
    server: PeerID,
    connected: bool,
    /// What arrived while sending.
    pending: Vec<(Class, Packet)>,
}

impl EnetGuest {
    fn service(&mut self) -> anyhow::Result<()> {
        while let Some(event) = self.host.service()? {
            match event.no_ref() {
                EventNoRef::Connect { .. } => self.connected = true,
                EventNoRef::Disconnect { .. } => anyhow::bail!("disconnected"),
                EventNoRef::Receive { channel_id, packet, .. } => {
                    let class = if channel_id == 1 { Class::Reliable } else { Class::Unreliable };
                    self.pending.push((class, packet));
                }
            }
        }
        Ok(())
    }
}

impl Guest for EnetGuest {
    fn receive(&mut self, accept: &mut dyn FnMut(Class, &[u8])) -> anyhow::Result<()> {
        self.service()?;
        for (class, packet) in self.pending.drain(..) {
            accept(class, packet.data());
        }
        Ok(())
    }

    fn connected(&self) -> bool {
        self.connected
    }

    fn send(&mut self, message: &[u8]) -> anyhow::Result<()> {
        let packet = Packet::unreliable(message);
        self.host.peer_mut(self.server).send(0, &packet).map_err(|error| anyhow::anyhow!("{error:?}"))
    }

    fn transmit(&mut self) -> anyhow::Result<()> {
        self.host.flush();
        Ok(())
    }
}
