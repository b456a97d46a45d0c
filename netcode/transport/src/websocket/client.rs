//! A native client's end: one connection as a [`Carrier`], for bots and tests that must take the browser's road.
//! Owns the connection and its thread; must never know what it carries.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    connect_async_with_config,
    tungstenite::{
        Error,
        client::IntoClientRequest,
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
    },
};

use super::{
    WEBSOCKET_PROTOCOL, WebSocketError, WebSocketOptions,
    connection::{Shared, count_dropped, limits, serve, set_up},
    outbox::Outbox,
    server::{FAREWELL, runtime},
};
use crate::{Arrival, Carrier, CarrierCounters, DATAGRAM_BYTES_MAX, counters::count, parcels::Parcels};

/// How far a [`WebSocketClient`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebSocketState {
    /// On its way. What is sent waits, until it is stale.
    Connecting,
    /// Open.
    Open,
    /// Over, or never was: nothing more comes or goes.
    Closed,
}

/// One WebSocket connection, served by a thread of its own or by a runtime that many share.
#[derive(Debug)]
pub struct WebSocketClient {
    line: Arc<Line>,
    thread: Option<JoinHandle<()>>,
    arrived: Parcels<Arrival>,
}

#[derive(Debug)]
struct Line {
    shared: Arc<Shared>,
    outbox: Arc<Outbox>,
    /// The address that the server goes by above.
    server: SocketAddr,
    state: AtomicU8,
}

impl WebSocketClient {
    /// Starts to connect to `url` (`ws://host:port/path`). Arrivals come from `server`, and only what is sent there
    /// is sent: whatever address the protocol above knows the server by.
    ///
    /// # Errors
    /// There is no thread to be had. That nobody answers at `url` shows in [`WebSocketClient::state`].
    pub fn open(url: &str, server: SocketAddr, options: WebSocketOptions) -> Result<Self, WebSocketError> {
        let line = Line::new(server, options);
        let (runtime, theirs, url) = (runtime()?, Arc::clone(&line), url.to_owned());
        let thread = thread::Builder::new()
            .name("websocket".into())
            .spawn(move || runtime.block_on(theirs.run(&url)))
            .map_err(WebSocketError::Thread)?;
        Ok(Self { line, thread: Some(thread), arrived: Parcels::default() })
    }

    /// [`WebSocketClient::open`] on a runtime that is already there: for a swarm, which has no use for thousands of
    /// threads. Dropping the client then waits for nothing; what was sent before is still sent while the runtime
    /// lives.
    pub fn open_on(runtime: &Handle, url: &str, server: SocketAddr, options: WebSocketOptions) -> Self {
        let line = Line::new(server, options);
        let (theirs, url) = (Arc::clone(&line), url.to_owned());
        runtime.spawn(async move { theirs.run(&url).await });
        Self { line, thread: None, arrived: Parcels::default() }
    }

    /// How far it is.
    pub fn state(&self) -> WebSocketState {
        match self.line.state.load(Ordering::Acquire) {
            CONNECTING => WebSocketState::Connecting,
            OPEN => WebSocketState::Open,
            _ => WebSocketState::Closed,
        }
    }

    /// Sleeps until a datagram is there to be read, at most `timeout`; whether there is one.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.line.shared.inbox.wait(timeout)
    }
}

impl Carrier for WebSocketClient {
    fn receive_arrivals(&mut self, accept: &mut dyn FnMut(&Arrival, &mut [u8])) -> usize {
        self.line.shared.inbox.take_all(&mut self.arrived);
        self.arrived.for_each(accept);
        self.arrived.len()
    }

    /// Sends at once: there is only one connection to gather for.
    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        if datagram.len() > DATAGRAM_BYTES_MAX {
            count(&self.line.shared.counters.dropped_oversize);
        } else if to == self.line.server && self.line.outbox.push(Instant::now(), datagram) {
            self.line.outbox.changed.notify_one();
        }
    }

    /// The server's address: this end has none that anyone could send to.
    fn local_addr(&self) -> SocketAddr {
        self.line.server
    }

    fn counters(&self) -> CarrierCounters {
        count_dropped(&self.line.shared, &self.line.outbox);
        self.line.shared.counters.read()
    }
}

impl Drop for WebSocketClient {
    fn drop(&mut self) {
        self.line.shared.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has already said so.
            let _ = thread.join();
        }
    }
}

impl Line {
    fn new(server: SocketAddr, options: WebSocketOptions) -> Arc<Self> {
        let shared = Shared::new(options);
        let outbox = shared.outbox();
        Arc::new(Self { shared, outbox, server, state: AtomicU8::new(CONNECTING) })
    }

    async fn run(&self, url: &str) {
        tokio::select! {
            () = self.connect_and_serve(url) => {}
            () = self.stopped() => {}
        }
        self.state.store(CLOSED, Ordering::Release);
        self.shared.inbox.close();
    }

    async fn connect_and_serve(&self, url: &str) {
        match timeout(CONNECT_TIMEOUT, self.connect(url)).await {
            Ok(Ok(socket)) => {
                self.state.store(OPEN, Ordering::Release);
                serve(socket, self.server, &self.shared, &self.outbox, None).await;
            }
            Ok(Err(_)) | Err(_) => count(&self.shared.counters.errors),
        }
    }

    async fn connect(&self, url: &str) -> Result<Socket, Error> {
        let mut request = url.into_client_request()?;
        let protocol = HeaderValue::from_static(WEBSOCKET_PROTOCOL);
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        let (socket, _) = connect_async_with_config(request, Some(limits()), true).await?;
        if let tokio_tungstenite::MaybeTlsStream::Plain(stream) = socket.get_ref() {
            set_up(stream);
        }
        Ok(socket)
    }

    /// Told to stop; what is queued is still sent, within reason.
    async fn stopped(&self) {
        self.shared.stop.notified().await;
        let by = Instant::now() + FAREWELL;
        while Instant::now() < by && !self.outbox.is_empty() {
            sleep(FAREWELL / 50).await;
        }
    }
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

const CONNECTING: u8 = 0;
const OPEN: u8 = 1;
const CLOSED: u8 = 2;
/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
