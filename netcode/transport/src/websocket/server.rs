//! The server's end: accepts connections and is one [`Carrier`] for all of them. Owns the listener, its thread and the
//! table of open connections; must never know what they carry.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    runtime::Runtime,
    sync::Notify,
    time::sleep,
};
use tokio_tungstenite::WebSocketStream;

use super::{
    WebSocketCounters, WebSocketError, WebSocketOptions,
    connection::{Shared, count_dropped, serve},
    door::{Refusal, accept_all, refuse},
    outbox::Outbox,
};
use crate::{
    Arrival, Carrier, CarrierCounters, DATAGRAM_BYTES_MAX, counters::count, parcels::Parcels, tunnel::tunnel,
};

/// WebSocket connections of many browsers, served by one thread. Each is known by an address of its own that no other
/// connection ever had and no peer of the network can have.
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
pub(super) struct Hall {
    pub(super) shared: Arc<Shared>,
    open: Mutex<HashMap<SocketAddr, Place>>,
    /// How many connections there were.
    numbers: AtomicU64,
    /// Queues with news for their writers (each at most once), and the bell that says so: one wake-up a flush, not
    /// one a connection.
    touched: Mutex<Vec<Arc<Outbox>>>,
    bell: Notify,
}

/// One open connection.
#[derive(Debug)]
struct Place {
    outbox: Arc<Outbox>,
    remote: SocketAddr,
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
        limit_kernel_buffers(&listener);
        let local_addr = listener.local_addr().map_err(bind)?;
        let hall = Arc::new(Hall {
            shared: Shared::new(options),
            open: Mutex::default(),
            numbers: AtomicU64::new(0),
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

    /// What became of connections so far.
    pub fn connection_counters(&self) -> WebSocketCounters {
        self.hall.shared.causes.read()
    }

    /// The TCP address behind a peer's address: its own, or that of the last proxy before us.
    pub fn remote(&self, peer: SocketAddr) -> Option<SocketAddr> {
        self.hall.open().get(&peer).map(|place| place.remote)
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
        if let Some(place) = self.hall.open().get(&to)
            && place.outbox.push(Instant::now(), datagram)
        {
            self.touched.push(Arc::clone(&place.outbox));
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
        for place in self.hall.open().values() {
            count_dropped(&self.hall.shared, &place.outbox);
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
    fn open(&self) -> MutexGuard<'_, HashMap<SocketAddr, Place>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touched(&self) -> MutexGuard<'_, Vec<Arc<Outbox>>> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more may come.
    pub(super) fn has_room(&self) -> bool {
        self.open().len() < self.shared.options.connections_max
    }

    /// One connection that was let in, to its end.
    pub(super) async fn host<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        socket: WebSocketStream<S>,
        remote: SocketAddr,
    ) {
        let Some((peer, outbox)) = self.admit(remote) else {
            refuse(self, Refusal::Full);
            return;
        };
        serve(socket, peer, &self.shared, &outbox, Some(self.shared.options.answer_within)).await;
        self.open().remove(&peer);
        count_dropped(&self.shared, &outbox);
    }

    /// Gives a connection its address and its queue, where there is still room.
    fn admit(&self, remote: SocketAddr) -> Option<(SocketAddr, Arc<Outbox>)> {
        let mut open = self.open();
        if open.len() >= self.shared.options.connections_max {
            return None;
        }
        count(&self.shared.causes.opened);
        let peer = tunnel(self.numbers.fetch_add(1, Relaxed));
        let outbox = self.shared.outbox();
        open.insert(peer, Place { outbox: Arc::clone(&outbox), remote });
        Some((peer, outbox))
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
    while Instant::now() < by && hall.open().values().any(|place| !place.outbox.is_empty()) {
        sleep(FAREWELL / 50).await;
    }
}

/// What the kernel may hold of a connection: inherited by those that come through `listener`. Without a limit it
/// would be megabytes for each peer that does not read, all of it old.
fn limit_kernel_buffers(listener: &std::net::TcpListener) {
    let socket = SockRef::from(listener);
    // Deliberate: more than asked for is worse, not wrong.
    let _ = socket.set_send_buffer_size(KERNEL_BUFFER_BYTES);
    let _ = socket.set_recv_buffer_size(KERNEL_BUFFER_BYTES);
}

/// An event loop for one thread.
pub(super) fn runtime() -> Result<Runtime, WebSocketError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(WebSocketError::Thread)
}

/// How long the last datagrams may take when the carrier ends.
pub(super) const FAREWELL: Duration = Duration::from_millis(500);
/// 64 KiB on the way at 200 ms of round trip are 2.6 Mbit/s: several times what a player is sent.
const KERNEL_BUFFER_BYTES: usize = 64 << 10;
