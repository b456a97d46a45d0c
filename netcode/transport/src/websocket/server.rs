//! The server's end: accepts connections and is one [`Carrier`] for all of them. Owns the listener, its thread and the
//! table of open connections; must never know what they carry.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::{Notify, Semaphore},
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::{
        handshake::server::{ErrorResponse, Request, Response},
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
    },
};

use super::{
    WEBSOCKET_PROTOCOL, WebSocketError, WebSocketOptions,
    connection::{Shared, count_dropped, limits, serve, set_up},
    outbox::Outbox,
};
use crate::{Arrival, Carrier, CarrierCounters, DATAGRAM_BYTES_MAX, counters::count, parcels::Parcels};

/// WebSocket connections of many browsers, served by one thread. Peers are told apart by their TCP address: behind a
/// proxy, by the proxy's address and port.
#[derive(Debug)]
pub struct WebSocketServer {
    hall: Arc<Hall>,
    local_addr: SocketAddr,
    thread: Option<JoinHandle<()>>,
    arrived: Parcels<Arrival>,
    touched: Vec<Arc<Outbox>>,
}

/// What the carrier and its thread share.
#[derive(Debug)]
struct Hall {
    shared: Arc<Shared>,
    open: Mutex<HashMap<SocketAddr, Arc<Outbox>>>,
    /// Queues with news for their writers (each at most once), and the bell that says so: one wake-up a flush, not
    /// one a connection.
    touched: Mutex<Vec<Arc<Outbox>>>,
    bell: Notify,
}

impl WebSocketServer {
    /// Binds `addr` (port 0: any free one) and starts the thread.
    ///
    /// # Errors
    /// The address cannot be bound, or there is no thread to be had.
    pub fn open(addr: SocketAddr, options: WebSocketOptions) -> Result<Self, WebSocketError> {
        let bind = |source| WebSocketError::Bind { addr, source };
        let listener = std::net::TcpListener::bind(addr).map_err(bind)?;
        listener.set_nonblocking(true).map_err(bind)?;
        let local_addr = listener.local_addr().map_err(bind)?;
        let hall = Arc::new(Hall {
            shared: Shared::new(options),
            open: Mutex::default(),
            touched: Mutex::default(),
            bell: Notify::new(),
        });
        let runtime = runtime()?;
        let theirs = Arc::clone(&hall);
        let thread = thread::Builder::new()
            .name("websocket".into())
            .spawn(move || runtime.block_on(run(listener, theirs)))
            .map_err(WebSocketError::Thread)?;
        let (arrived, touched) = (Parcels::default(), Vec::new());
        Ok(Self { hall, local_addr, thread: Some(thread), arrived, touched })
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.hall.open().len()
    }

    /// Sleeps until a datagram is there to be read, at most `timeout`; whether there is one.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.hall.shared.inbox.wait(timeout)
    }
}

impl Carrier for WebSocketServer {
    fn receive_arrivals(&mut self, accept: &mut dyn FnMut(&Arrival, &mut [u8])) -> usize {
        self.hall.shared.inbox.take_all(&mut self.arrived);
        self.arrived.for_each(accept);
        self.arrived.len()
    }

    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        if datagram.len() > DATAGRAM_BYTES_MAX {
            count(&self.hall.shared.counters.dropped_oversize);
            return;
        }
        // Nobody there any more: lost without a word, as over UDP.
        if let Some(outbox) = self.hall.open().get(&to)
            && outbox.push(Instant::now(), datagram)
        {
            self.touched.push(Arc::clone(outbox));
        }
    }

    fn flush(&mut self) {
        if !self.touched.is_empty() {
            self.hall.touched().append(&mut self.touched);
            self.hall.bell.notify_one();
        }
    }

    fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    fn counters(&self) -> CarrierCounters {
        for outbox in self.hall.open().values() {
            count_dropped(&self.hall.shared, outbox);
        }
        self.hall.shared.counters.read()
    }
}

impl Drop for WebSocketServer {
    fn drop(&mut self) {
        self.flush();
        self.hall.shared.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has already said so.
            let _ = thread.join();
        }
    }
}

impl Hall {
    fn open(&self) -> MutexGuard<'_, HashMap<SocketAddr, Arc<Outbox>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touched(&self) -> MutexGuard<'_, Vec<Arc<Outbox>>> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection, from its first byte to its last.
    async fn host(&self, stream: TcpStream, from: SocketAddr) {
        set_up(&stream);
        let Ok(Some(socket)) = timeout(HANDSHAKE_TIMEOUT, shake_hands(stream)).await else {
            count(&self.shared.counters.errors);
            return;
        };
        let outbox = self.shared.outbox();
        if !self.admit(from, &outbox) {
            count(&self.shared.counters.errors);
            return;
        }
        serve(socket, from, &self.shared, &outbox).await;
        self.open().remove(&from);
        count_dropped(&self.shared, &outbox);
    }

    fn admit(&self, from: SocketAddr, outbox: &Arc<Outbox>) -> bool {
        let mut open = self.open();
        let room = open.len() < self.shared.options.connections_max;
        if room {
            open.insert(from, Arc::clone(outbox));
        }
        room
    }

    /// Passes the carrier's bell on to the writers.
    async fn ring_on(&self) {
        let mut touched = Vec::new();
        loop {
            self.bell.notified().await;
            std::mem::swap(&mut *self.touched(), &mut touched);
            touched.drain(..).for_each(|outbox| outbox.changed.notify_one());
        }
    }
}

async fn run(listener: std::net::TcpListener, hall: Arc<Hall>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        count(&hall.shared.counters.errors);
        return;
    };
    let for_bell = Arc::clone(&hall);
    tokio::spawn(async move { for_bell.ring_on().await });
    tokio::select! {
        () = accept_all(listener, &hall) => {}
        () = hall.shared.stop.notified() => {}
    }
    // What was flushed is still sent, within reason. The connections end with the runtime.
    let by = Instant::now() + FAREWELL;
    while Instant::now() < by && hall.open().values().any(|outbox| !outbox.is_empty()) {
        sleep(FAREWELL / 50).await;
    }
}

async fn accept_all(listener: TcpListener, hall: &Arc<Hall>) {
    // Beyond the open connections, so that slow handshakes keep nobody out but other handshakes.
    let strangers = Arc::new(Semaphore::new(HANDSHAKES_MAX + hall.shared.options.connections_max));
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            // Out of descriptors, most likely: that must not become a busy loop.
            count(&hall.shared.counters.errors);
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&strangers).try_acquire_owned() else {
            count(&hall.shared.counters.errors);
            continue;
        };
        let hall = Arc::clone(hall);
        tokio::spawn(async move {
            hall.host(stream, from).await;
            drop(place);
        });
    }
}

async fn shake_hands(stream: TcpStream) -> Option<WebSocketStream<TcpStream>> {
    accept_hdr_async_with_config(stream, choose_protocol, Some(limits())).await.ok()
}

/// A browser that names subprotocols closes the connection unless one of them is chosen.
#[allow(clippy::result_large_err, reason = "the library's signature")]
fn choose_protocol(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let names = offered.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    if names.into_iter().any(|name| name.trim() == WEBSOCKET_PROTOCOL) {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(WEBSOCKET_PROTOCOL));
    }
    Ok(response)
}

/// An event loop for one thread.
pub(super) fn runtime() -> Result<Runtime, WebSocketError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(WebSocketError::Thread)
}

/// How long a stranger may take to say what it wants.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Strangers that shake hands at the same time.
const HANDSHAKES_MAX: usize = 256;
/// How long the last datagrams may take when the carrier ends.
pub(super) const FAREWELL: Duration = Duration::from_millis(500);
/// The pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
