//! Our own transport as a contestant: sessions over a carrier, as a real server would hold them. Owns the loop's wiring;
//! must never know what is measured.

use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use contest::{BULK_BYTES, Class, Guest, Host, Job, Peer, Traffic, Work};
use netcode_proto::channels::{GAME_RELIABLE_ORDERED, GAME_UNRELIABLE};
use netcode_proto::{
    ChannelSet, Client, ClientConfig, ClientId, ClientState, Extensions, Server, ServerConfig, ServerEvent,
};
use netcode_token::aead::has_aes_hardware;
use netcode_token::{Key, TokenSpec, USER_DATA_LEN, mint};
use netcode_transport::{Carrier, SocketOptions, UdpCarrier, UdpThread, UdpThreadConfig};
use netcode_wire::Time;

const PROTOCOL: u64 = 0x5449_434B_0000_0003;

/// How the server holds its socket.
pub trait OpenCarrier: Carrier + Sized {
    /// Binds a free port of the loopback.
    ///
    /// # Errors
    /// As the carrier's own.
    fn open_for_contest() -> anyhow::Result<Self>;
}

impl OpenCarrier for UdpCarrier {
    fn open_for_contest() -> anyhow::Result<Self> {
        Ok(Self::open_with(ANY_PORT, SocketOptions { receive_batch: 16, ..socket() })?)
    }
}

impl OpenCarrier for UdpThread {
    fn open_for_contest() -> anyhow::Result<Self> {
        Ok(Self::open(ANY_PORT, UdpThreadConfig { socket: socket(), ..UdpThreadConfig::default() })?)
    }
}

/// Our transport; the server's socket is a `C`, the clients' are plain ones.
#[derive(Debug)]
pub struct Tickwright<C>(PhantomData<C>);

impl<C: OpenCarrier> Peer for Tickwright<C> {
    type Host = TickwrightHost<C>;
    type Guest = TickwrightGuest;

    fn host(job: &Job) -> anyhow::Result<Self::Host> {
        let mut config = ServerConfig::new(PROTOCOL, Key::from_hex(&job.secret)?);
        config.clients_max = job.clients;
        config.unix_at_zero_s = unix_s()?;
        config.channels = channels(job);
        config.seed = fresh_seed();
        config.extensions = extensions();
        Ok(TickwrightHost {
            server: Server::new(config),
            carrier: C::open_for_contest()?,
            clients: Vec::with_capacity(job.clients),
            epoch: Instant::now(),
            now: Time::ZERO,
            flushed: 0,
            piece_bytes: BULK_BYTES,
        })
    }

    fn guest(job: &Job, index: usize) -> anyhow::Result<TickwrightGuest> {
        TickwrightGuest::new(job, index)
    }
}

/// The server.
#[derive(Debug)]
pub struct TickwrightHost<C> {
    server: Server,
    carrier: C,
    clients: Vec<ClientId>,
    epoch: Instant,
    /// When this tick began.
    now: Time,
    /// The clients before this one have got what this tick has for them.
    flushed: usize,
    piece_bytes: usize,
}

impl<C: Carrier> TickwrightHost<C> {
    /// Composes what the clients before `end` are due, and sends it group by group: what waits to be sent stays small.
    fn flush_until(&mut self, end: usize) {
        let Self { server, carrier, clients, now, flushed, .. } = self;
        while *flushed < end.min(clients.len()) {
            server.flush_client(*now, clients[*flushed]);
            *flushed += 1;
            if flushed.is_multiple_of(SEND_GROUP) {
                send_all(server, carrier);
            }
        }
    }
}

impl<C: Carrier> Host for TickwrightHost<C> {
    fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.carrier.local_addr())
    }

    fn receive(&mut self, accept: &mut dyn FnMut(&[u8])) -> anyhow::Result<()> {
        let Self { server, carrier, clients, epoch, now, .. } = self;
        carrier.receive_arrivals(&mut |arrival, datagram| {
            server.handle_arrival(time_of(arrival.at, *epoch), arrival.from, arrival.ecn, datagram);
        });
        *now = time_since(*epoch);
        server.step(*now);
        while let Some(event) = server.poll_event() {
            match event {
                ServerEvent::Connected { client, .. } => clients.push(client),
                ServerEvent::Disconnected { client, .. } => clients.retain(|other| *other != client),
            }
        }
        server.poll_messages(&mut |_, _, message| accept(message));
        Ok(())
    }

    fn clients(&self) -> usize {
        self.clients.len()
    }

    fn send(&mut self, client: usize, class: Class, message: &[u8]) -> anyhow::Result<bool> {
        let channel = match class {
            Class::Unreliable => GAME_UNRELIABLE,
            Class::Reliable => GAME_RELIABLE_ORDERED,
        };
        // Who comes before this one has all that it gets in this tick.
        self.flush_until(client);
        Ok(self.server.send(self.now, self.clients[client], channel, message).is_ok())
    }

    fn transmit(&mut self) -> anyhow::Result<()> {
        self.flush_until(self.clients.len());
        self.flushed = 0;
        send_all(&mut self.server, &mut self.carrier);
        self.carrier.flush();
        Ok(())
    }

    fn traffic(&self) -> Traffic {
        let counters = self.carrier.counters();
        Traffic {
            datagrams_out: counters.datagrams_sent,
            bytes_out: counters.bytes_sent,
            datagrams_in: counters.datagrams_received,
            bytes_in: counters.bytes_received,
        }
    }

    fn piece_bytes(&self) -> usize {
        self.piece_bytes
    }
}

/// A client.
#[derive(Debug)]
pub struct TickwrightGuest {
    client: Client,
    carrier: UdpCarrier,
    epoch: Instant,
}

impl TickwrightGuest {
    fn new(job: &Job, index: usize) -> anyhow::Result<Self> {
        let server = job.connect.ok_or_else(|| anyhow::anyhow!("no address to connect to"))?;
        let unix_s = unix_s()?;
        let spec = TokenSpec {
            protocol_id: PROTOCOL,
            create_unix_s: unix_s,
            expire_unix_s: unix_s + 60,
            timeout_s: 10,
            client_id: 1 + index as u64,
            servers: vec![server],
            user_data: [0; USER_DATA_LEN],
        };
        let token = mint(&spec, &Key::from_hex(&job.secret)?)?;
        let mut config = ClientConfig::new(PROTOCOL);
        config.channels = channels(job);
        config.extensions = extensions();
        Ok(Self {
            client: Client::connect(Time::ZERO, &token[..], config)?,
            carrier: UdpCarrier::open_with(ANY_PORT, socket())?,
            epoch: Instant::now(),
        })
    }
}

impl Guest for TickwrightGuest {
    fn receive(&mut self, accept: &mut dyn FnMut(Class, &[u8])) -> anyhow::Result<()> {
        let Self { client, carrier, epoch } = self;
        carrier.receive_arrivals(&mut |arrival, datagram| {
            client.handle_arrival(time_of(arrival.at, *epoch), arrival.from, arrival.ecn, datagram);
        });
        client.step(time_since(*epoch));
        while let Some((channel, message)) = client.poll_message() {
            let reliable = channel == GAME_RELIABLE_ORDERED;
            accept(if reliable { Class::Reliable } else { Class::Unreliable }, &message);
        }
        if let ClientState::Disconnected(reason) = client.state() {
            anyhow::bail!("disconnected: {reason:?}");
        }
        Ok(())
    }

    fn connected(&self) -> bool {
        self.client.state() == ClientState::Connected
    }

    fn send(&mut self, message: &[u8]) -> anyhow::Result<()> {
        Ok(self.client.send(time_since(self.epoch), GAME_UNRELIABLE, message)?)
    }

    fn transmit(&mut self) -> anyhow::Result<()> {
        self.client.flush(time_since(self.epoch));
        while let Some(transmit) = self.client.poll_transmit() {
            self.carrier.send_marked(transmit.to, transmit.ecn, transmit.bytes);
        }
        Ok(())
    }
}

/// Sends all that waits.
fn send_all(server: &mut Server, carrier: &mut impl Carrier) {
    while let Some(transmit) = server.poll_transmit() {
        carrier.send_marked(transmit.to, transmit.ecn, transmit.bytes);
    }
}

/// The default channels; for the bulk, with messages long enough to hold it.
fn channels(job: &Job) -> ChannelSet {
    match job.work {
        Work::Bulk => ChannelSet::standard().with_message_bytes_max(BULK_BYTES),
        _ => ChannelSet::standard(),
    }
}

fn time_since(epoch: Instant) -> Time {
    time_of(Instant::now(), epoch)
}

fn time_of(at: Instant, epoch: Instant) -> Time {
    Time::ZERO + at.saturating_duration_since(epoch)
}

fn unix_s() -> anyhow::Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// What this machine can do: the faster cipher where the processor has instructions for it.
fn extensions() -> Extensions {
    Extensions { aes_hardware: has_aes_hardware(), ..Extensions::default() }
}

/// Buffers as large as everybody's here.
fn socket() -> SocketOptions {
    SocketOptions { receive_buffer_bytes: 4 << 20, send_buffer_bytes: 4 << 20, ..SocketOptions::default() }
}

/// Any number that differs from run to run.
fn fresh_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos() as u64
}

/// Clients whose datagrams are sent in one go: some 20 kB of them wait instead of a tick's.
const SEND_GROUP: usize = 64;
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
