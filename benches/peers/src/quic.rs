//! quinn 0.11 (QUIC, TLS 1.3 by ring) on tokio: unreliable messages as datagrams, reliable ones on one stream a client,
//! as many bytes as the kind of work says. One thread for the server, whose runtime runs between the ticks.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use contest::{BULK_BYTES, Class, Guest, Host, Job, Peer, RELIABLE_BYTES, Traffic, Work};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, Incoming, RecvStream, SendStream, ServerConfig,
    TokioRuntime,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::runtime::{Builder, Runtime};

use crate::server_of;

pub(crate) struct Quinn;

impl Peer for Quinn {
    type Host = QuinnHost;
    type Guest = QuinnGuest;

    fn host(_: &Job) -> anyhow::Result<QuinnHost> {
        // rustls chooses by default only where a single provider is compiled in: say which.
        let _ = ring::default_provider().install_default();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let certified = rcgen::generate_simple_self_signed(vec![NAME.into()])?;
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let config = ServerConfig::with_single_cert(vec![certified.cert.der().clone()], key.into())?;
        let endpoint = endpoint(&runtime, Some(config))?;
        let hall = Arc::new(Mutex::new(Hall::default()));
        runtime.spawn(admit(endpoint.clone(), Arc::clone(&hall)));
        Ok(QuinnHost { runtime, endpoint, hall })
    }

    fn guest(job: &Job, _: usize) -> anyhow::Result<QuinnGuest> {
        static RUNTIME: OnceLock<Runtime> = OnceLock::new();
        let runtime = match RUNTIME.get() {
            Some(runtime) => runtime,
            None => {
                let built = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
                RUNTIME.get_or_init(|| built)
            }
        };
        let endpoint = endpoint(runtime, None)?;
        let seat = Arc::new(Mutex::new(Seat::default()));
        let frame = if job.work == Work::Bulk { None } else { Some(RELIABLE_BYTES) };
        runtime.spawn(visit(endpoint, server_of(job)?, frame, Arc::clone(&seat)));
        Ok(QuinnGuest { seat })
    }
}

fn endpoint(runtime: &Runtime, server: Option<ServerConfig>) -> anyhow::Result<Endpoint> {
    let _inside = runtime.enter();
    Ok(Endpoint::new(EndpointConfig::default(), server, contest::open()?, Arc::new(TokioRuntime))?)
}

/// What the server's tasks share with its loop.
#[derive(Default)]
struct Hall {
    clients: Vec<Client>,
    inbox: Vec<Bytes>,
}

struct Client {
    connection: Connection,
    stream: SendStream,
    /// What the stream has not taken yet.
    backlog: Vec<u8>,
}

impl Client {
    /// Gives the stream what it takes now. A task that awaits the write would wake only after the tick's datagram has
    /// left, and cost a second one.
    fn write(&mut self) -> anyhow::Result<()> {
        let mut context = Context::from_waker(Waker::noop());
        while !self.backlog.is_empty() {
            let taken = match pin!(self.stream.write(&self.backlog)).poll(&mut context) {
                Poll::Ready(taken) => taken?,
                Poll::Pending => break,
            };
            self.backlog.drain(..taken);
        }
        Ok(())
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn admit(endpoint: Endpoint, hall: Arc<Mutex<Hall>>) {
    while let Some(incoming) = endpoint.accept().await {
        let hall = Arc::clone(&hall);
        tokio::spawn(async move {
            // A client that breaks off is seen as one that is missing.
            let _ = attend(incoming, hall).await;
        });
    }
}

async fn attend(incoming: Incoming, hall: Arc<Mutex<Hall>>) -> anyhow::Result<()> {
    let connection = incoming.await?;
    let stream = connection.open_uni().await?;
    let id = connection.stable_id();
    lock(&hall).clients.push(Client { connection: connection.clone(), stream, backlog: Vec::new() });
    while let Ok(message) = connection.read_datagram().await {
        lock(&hall).inbox.push(message);
    }
    lock(&hall).clients.retain(|client| client.connection.stable_id() != id);
    Ok(())
}

pub(crate) struct QuinnHost {
    runtime: Runtime,
    endpoint: Endpoint,
    hall: Arc<Mutex<Hall>>,
}

impl Host for QuinnHost {
    fn address(&self) -> anyhow::Result<SocketAddr> {
        let port = self.endpoint.local_addr()?.port();
        Ok((Ipv4Addr::LOCALHOST, port).into())
    }

    fn receive(&mut self, accept: &mut dyn FnMut(&[u8])) -> anyhow::Result<()> {
        for message in lock(&self.hall).inbox.drain(..) {
            accept(&message);
        }
        Ok(())
    }

    fn clients(&self) -> usize {
        lock(&self.hall).clients.len()
    }

    fn send(&mut self, client: usize, class: Class, message: &[u8]) -> anyhow::Result<bool> {
        let mut hall = lock(&self.hall);
        let Some(client) = hall.clients.get_mut(client) else { return Ok(false) };
        if class == Class::Unreliable {
            return Ok(client.connection.send_datagram(Bytes::copy_from_slice(message)).is_ok());
        }
        client.backlog.extend_from_slice(message);
        Ok(true)
    }

    fn transmit(&mut self) -> anyhow::Result<()> {
        lock(&self.hall).clients.iter_mut().try_for_each(Client::write)
    }

    fn traffic(&self) -> Traffic {
        let mut traffic = Traffic::default();
        for client in &lock(&self.hall).clients {
            let stats = client.connection.stats();
            traffic.datagrams_out += stats.udp_tx.datagrams;
            traffic.bytes_out += stats.udp_tx.bytes;
            traffic.datagrams_in += stats.udp_rx.datagrams;
            traffic.bytes_in += stats.udp_rx.bytes;
        }
        traffic
    }

    fn piece_bytes(&self) -> usize {
        BULK_BYTES
    }

    fn wait(&mut self, until: Instant) {
        // Deliberate: the sleep is made inside the runtime, whose timer it needs.
        self.runtime.block_on(async { tokio::time::sleep_until(until.into()).await });
    }
}

/// What a client's tasks share with the swarm's loop.
#[derive(Default)]
struct Seat {
    connection: Option<Connection>,
    inbox: Vec<(Class, Bytes)>,
    failure: Option<String>,
}

async fn visit(endpoint: Endpoint, server: SocketAddr, frame: Option<usize>, seat: Arc<Mutex<Seat>>) {
    if let Err(error) = attend_server(endpoint, server, frame, &seat).await {
        lock(&seat).failure = Some(format!("{error:#}"));
    }
}

async fn attend_server(
    endpoint: Endpoint,
    server: SocketAddr,
    frame: Option<usize>,
    seat: &Arc<Mutex<Seat>>,
) -> anyhow::Result<()> {
    let connection = endpoint.connect_with(client_config()?, server, NAME)?.await?;
    lock(seat).connection = Some(connection.clone());
    let streams = connection.clone();
    let reliable = Arc::clone(seat);
    tokio::spawn(async move {
        if let Ok(stream) = streams.accept_uni().await {
            // An end of the stream is an end of the connection, which is seen below.
            let _ = read(stream, frame, &reliable).await;
        }
    });
    loop {
        let message = connection.read_datagram().await?;
        lock(seat).inbox.push((Class::Unreliable, message));
    }
}

async fn read(mut stream: RecvStream, frame: Option<usize>, seat: &Mutex<Seat>) -> anyhow::Result<()> {
    loop {
        let message = match frame {
            Some(bytes) => {
                let mut message = vec![0; bytes];
                stream.read_exact(&mut message).await?;
                message.into()
            }
            None => stream.read_chunk(usize::MAX, true).await?.context("the stream ended")?.bytes,
        };
        lock(seat).inbox.push((Class::Reliable, message));
    }
}

pub(crate) struct QuinnGuest {
    seat: Arc<Mutex<Seat>>,
}

impl Guest for QuinnGuest {
    fn receive(&mut self, accept: &mut dyn FnMut(Class, &[u8])) -> anyhow::Result<()> {
        let (inbox, failure) = {
            let mut seat = lock(&self.seat);
            (std::mem::take(&mut seat.inbox), seat.failure.clone())
        };
        for (class, message) in inbox {
            accept(class, &message);
        }
        failure.map_or(Ok(()), |failure| Err(anyhow::anyhow!(failure)))
    }

    fn connected(&self) -> bool {
        lock(&self.seat).connection.is_some()
    }

    fn send(&mut self, message: &[u8]) -> anyhow::Result<()> {
        if let Some(connection) = &lock(&self.seat).connection {
            connection.send_datagram(Bytes::copy_from_slice(message))?;
        }
        Ok(())
    }

    fn transmit(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

fn client_config() -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    let mut transport = quinn::TransportConfig::default();
    transport.max_idle_timeout(Some(Duration::from_secs(20).try_into()?));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// Deliberate: takes any certificate. The server is a sibling process on the loopback with a fresh one every run.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("QUIC is TLS 1.3".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The name in the certificate.
const NAME: &str = "localhost";
