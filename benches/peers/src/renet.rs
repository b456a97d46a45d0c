//! renet 2 over renet_netcode with encryption, default channels. The client is `NetcodeClientTransport` itself; the
//! server is the loop of `NetcodeServerTransport` (same calls in the same order), so that its socket can be counted.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use bytes::Bytes;
use contest::{BULK_BYTES, Class, Counted, Guest, Host, Job, Peer, Traffic};
use renet::{ConnectionConfig, DefaultChannel, RenetClient, RenetServer, ServerEvent};
use renet_netcode::{ClientAuthentication, ConnectToken, NetcodeClientTransport};
use renetcode::{NetcodeServer, ServerAuthentication, ServerConfig, ServerResult};

use crate::server_of;

const PROTOCOL: u64 = 7;

pub(crate) struct Renet;

impl Peer for Renet {
    type Host = RenetHost;
    type Guest = RenetGuest;

    fn host(job: &Job) -> anyhow::Result<RenetHost> {
        let socket = Counted::open()?;
        let config = ServerConfig {
            current_time: unix()?,
            max_clients: job.clients,
            protocol_id: PROTOCOL,
            public_addresses: vec![job.relay.unwrap_or(socket.local_addr()?)],
            authentication: ServerAuthentication::Secure { private_key: key(job)? },
        };
        Ok(RenetHost {
            socket,
            netcode: NetcodeServer::new(config),
            server: RenetServer::new(ConnectionConfig::default()),
            clients: Vec::new(),
            buffer: vec![0; 1400],
            updated: Instant::now(),
        })
    }

    fn guest(job: &Job, index: usize) -> anyhow::Result<RenetGuest> {
        let (now, id) = (unix()?, 1 + index as u64);
        let server = vec![server_of(job)?];
        let token = ConnectToken::generate(now, PROTOCOL, 300, id, 15, server, None, &key(job)?)?;
        let authentication = ClientAuthentication::Secure { connect_token: token };
        Ok(RenetGuest {
            client: RenetClient::new(ConnectionConfig::default()),
            transport: NetcodeClientTransport::new(now, authentication, contest::open()?)?,
            updated: Instant::now(),
        })
    }
}

pub(crate) struct RenetHost {
    socket: Counted,
    netcode: NetcodeServer,
    server: RenetServer,
    clients: Vec<u64>,
    buffer: Vec<u8>,
    updated: Instant,
}

impl RenetHost {
    /// `NetcodeServerTransport::update`.
    fn update(&mut self, past: Duration) -> anyhow::Result<()> {
        let Self { socket, netcode, server, buffer, .. } = self;
        netcode.update(past);
        loop {
            match socket.recv_from(buffer) {
                Ok((len, from)) => settle(netcode.process_packet(from, &mut buffer[..len]), socket, server),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        for client in netcode.clients_id() {
            settle(netcode.update_client(client), socket, server);
        }
        for client in server.disconnections_id() {
            settle(netcode.disconnect(client), socket, server);
        }
        Ok(())
    }
}

/// renet_netcode's `handle_server_result`.
fn settle(result: ServerResult<'_, '_>, socket: &Counted, server: &mut RenetServer) {
    let send = |payload: &[u8], to| drop(socket.send_to(payload, to));
    match result {
        ServerResult::None => {}
        ServerResult::PacketToSend { payload, addr } => send(payload, addr),
        ServerResult::Payload { client_id, payload } => drop(server.process_packet_from(payload, client_id)),
        ServerResult::ClientConnected { client_id, addr, payload, .. } => {
            server.add_connection(client_id);
            send(payload, addr);
        }
        ServerResult::ClientDisconnected { client_id, addr, payload } => {
            server.remove_connection(client_id);
            if let Some(payload) = payload {
                send(payload, addr);
            }
        }
    }
}

impl Host for RenetHost {
    fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    fn receive(&mut self, accept: &mut dyn FnMut(&[u8])) -> anyhow::Result<()> {
        let past = self.updated.elapsed();
        self.updated += past;
        self.server.update(past);
        self.update(past)?;
        while let Some(event) = self.server.get_event() {
            match event {
                ServerEvent::ClientConnected { client_id } => self.clients.push(client_id),
                ServerEvent::ClientDisconnected { client_id, .. } => {
                    self.clients.retain(|other| *other != client_id)
                }
            }
        }
        for client in &self.clients {
            while let Some(message) = self.server.receive_message(*client, DefaultChannel::Unreliable) {
                accept(&message);
            }
        }
        Ok(())
    }

    fn clients(&self) -> usize {
        self.clients.len()
    }

    fn send(&mut self, client: usize, class: Class, message: &[u8]) -> anyhow::Result<bool> {
        let channel = match class {
            Class::Unreliable => DefaultChannel::Unreliable,
            Class::Reliable => DefaultChannel::ReliableOrdered,
        };
        self.server.send_message(self.clients[client], channel, Bytes::copy_from_slice(message));
        Ok(true)
    }

    /// `NetcodeServerTransport::send_packets`.
    fn transmit(&mut self) -> anyhow::Result<()> {
        for client in self.server.clients_id() {
            let packets = self.server.get_packets_to_send(client).ok().context("a client without packets")?;
            for packet in packets {
                let Ok((to, payload)) = self.netcode.generate_payload_packet(client, &packet) else { break };
                if self.socket.send_to(payload, to).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn traffic(&self) -> Traffic {
        self.socket.traffic()
    }

    fn piece_bytes(&self) -> usize {
        BULK_BYTES
    }
}

pub(crate) struct RenetGuest {
    client: RenetClient,
    transport: NetcodeClientTransport,
    updated: Instant,
}

impl Guest for RenetGuest {
    fn receive(&mut self, accept: &mut dyn FnMut(Class, &[u8])) -> anyhow::Result<()> {
        let past = self.updated.elapsed();
        self.updated += past;
        self.client.update(past);
        self.transport.update(past, &mut self.client)?;
        for (channel, class) in [
            (DefaultChannel::Unreliable, Class::Unreliable),
            (DefaultChannel::ReliableOrdered, Class::Reliable),
        ] {
            let channel = u8::from(channel);
            while let Some(message) = self.client.receive_message(channel) {
                accept(class, &message);
            }
        }
        Ok(())
    }

    fn connected(&self) -> bool {
        self.client.is_connected()
    }

    fn send(&mut self, message: &[u8]) -> anyhow::Result<()> {
        self.client.send_message(DefaultChannel::Unreliable, Bytes::copy_from_slice(message));
        Ok(())
    }

    fn transmit(&mut self) -> anyhow::Result<()> {
        if self.client.is_connected() {
            self.transport.send_packets(&mut self.client)?;
        }
        Ok(())
    }
}

fn unix() -> anyhow::Result<Duration> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?)
}

fn key(job: &Job) -> anyhow::Result<[u8; 32]> {
    let mut key = [0; 32];
    for (place, byte) in key.iter_mut().enumerate() {
        let digits = job.secret.get(place * 2..place * 2 + 2).context("the secret is too short")?;
        *byte = u8::from_str_radix(digits, 16)?;
    }
    Ok(key)
}
