//! One open connection: messages in, datagrams out, until either side ends it. Owns both loops and the rules for
//! messages; must never know how it was opened.

use std::{
    future::pending,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        error::ProtocolError,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{WebSocketOptions, causes::Causes, outbox::Outbox};
use crate::{
    Arrival, DATAGRAM_BYTES_MAX, Ecn,
    counters::{SharedCounters, add, count},
    parcels::Parcels,
    ring::Ring,
};

/// What the carrier and the connections of its thread share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) inbox: Ring<Arrival>,
    pub(super) counters: SharedCounters,
    pub(super) causes: Causes,
    pub(super) options: WebSocketOptions,
    /// The carrier is ending: send what is queued, then stop.
    pub(super) stop: Notify,
}

impl Shared {
    pub(super) fn new(options: WebSocketOptions) -> Arc<Self> {
        Arc::new(Self {
            inbox: Ring::new(options.ring_datagrams_max),
            counters: SharedCounters::default(),
            causes: Causes::default(),
            options,
            stop: Notify::new(),
        })
    }

    pub(super) fn outbox(&self) -> Arc<Outbox> {
        Arc::new(Outbox::new(self.options.queue_datagrams_max, self.options.stale_after))
    }

    fn count_ending(&self, ending: Ending) {
        self.causes.count_ending(ending);
        match ending {
            Ending::Peer => {}
            Ending::Misuse(CloseCode::Size) => count(&self.counters.dropped_oversize),
            Ending::Misuse(_) | Ending::Idle | Ending::Unanswered => count(&self.counters.errors),
        }
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The peer closed it, or is gone.
    Peer,
    /// The peer sent text, or a message longer than any datagram.
    Misuse(CloseCode),
    /// Nothing came for too long.
    Idle,
    /// Nothing was sent to it for too long: nobody here knows it.
    Unanswered,
}

impl Ending {
    fn of(error: &Error) -> Self {
        match error {
            // Gone without a goodbye, as networks have it.
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Peer,
            Error::Capacity(_) => Self::Misuse(CloseCode::Size),
            Error::Protocol(_) | Error::Utf8(_) => Self::Misuse(CloseCode::Protocol),
            _ => Self::Peer,
        }
    }

    fn close_code(self) -> CloseCode {
        match self {
            Self::Peer => CloseCode::Normal,
            Self::Misuse(code) => code,
            Self::Idle => CloseCode::Away,
            Self::Unanswered => CloseCode::Policy,
        }
    }
}

/// Limits of the library, so that no message can make it hold more than a datagram.
pub(super) fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        // Every message goes to the kernel at once.
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(DATAGRAM_BYTES_MAX))
        .max_frame_size(Some(DATAGRAM_BYTES_MAX))
}

/// Sets `stream` up for datagrams: nothing is held back, and little queues up unsent where we cannot drop it.
pub(super) fn set_up(stream: &TcpStream) {
    // Deliberate: without these the carrier is slower, not wrong.
    let _ = stream.set_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
}

/// Serves `socket` until it ends, and counts why. With `answer_within`, a peer to which nothing was sent for so long
/// is closed.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    socket: WebSocketStream<S>,
    from: SocketAddr,
    shared: &Shared,
    outbox: &Outbox,
    answer_within: Option<Duration>,
) {
    let (mut sink, mut stream) = socket.split();
    let ending = tokio::select! {
        ending = read_all(&mut stream, from, shared) => ending,
        ending = write_all(&mut sink, shared, outbox) => ending,
        ending = unanswered(outbox, answer_within) => ending,
    };
    shared.count_ending(ending);
    let frame = CloseFrame { code: ending.close_code(), reason: "".into() };
    // The peer may well be gone.
    let _ = timeout(CLOSE_TIMEOUT, sink.send(Message::Close(Some(frame)))).await;
}

async fn read_all(
    stream: &mut (impl Stream<Item = Result<Message, Error>> + Unpin),
    from: SocketAddr,
    shared: &Shared,
) -> Ending {
    let mut burst = Parcels::default();
    let mut pace = Pace::new(Instant::now());
    loop {
        let Ok(message) = timeout(shared.options.idle_timeout, stream.next()).await else {
            return Ending::Idle;
        };
        match message {
            Some(Ok(Message::Binary(datagram))) => hand_in(&datagram, from, shared, &mut burst),
            Some(Ok(Message::Text(_))) => return Ending::Misuse(CloseCode::Unsupported),
            // The library answers pings; a raw frame is never handed out.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(_))) | None => return Ending::Peer,
            Some(Err(error)) => return Ending::of(&error),
        }
        let rest = pace.rest_after_one_more(Instant::now());
        if !rest.is_zero() {
            sleep(rest).await;
        }
    }
}

/// Queues what came for the tick thread. An empty message is no datagram.
fn hand_in(datagram: &Bytes, from: SocketAddr, shared: &Shared, burst: &mut Parcels<Arrival>) {
    if datagram.is_empty() {
        return;
    }
    burst.push(Arrival { from, at: Instant::now(), ecn: Ecn::NotCapable }, datagram);
    let pushed = shared.inbox.push_all(burst);
    shared.counters.received(pushed.datagrams, pushed.bytes);
    add(&shared.counters.dropped_ring_full, pushed.refused);
}

async fn write_all(
    sink: &mut (impl Sink<Message, Error = Error> + Unpin),
    shared: &Shared,
    outbox: &Outbox,
) -> Ending {
    // The library wants to own what it sends. It has let go of it when `send` returns, so that this buffer serves
    // again and again.
    let mut owned = BytesMut::with_capacity(DATAGRAM_BYTES_MAX);
    let mut datagram = Vec::new();
    loop {
        while let Some(next) = outbox.pop(Instant::now(), std::mem::take(&mut datagram)) {
            owned.extend_from_slice(&next);
            if let Err(error) = sink.send(Message::Binary(owned.split().freeze())).await {
                return Ending::of(&error);
            }
            shared.counters.sent(1, next.len());
            datagram = next;
        }
        count_dropped(shared, outbox);
        outbox.changed.notified().await;
    }
}

/// Ends once nothing was sent to the peer for `within`. Nobody sends to strangers, so this is what a stranger's
/// connection lives, whatever it sends; a session is sent keep-alives more often.
async fn unanswered(outbox: &Outbox, within: Option<Duration>) -> Ending {
    let Some(within) = within else { return pending().await };
    loop {
        let left = within.saturating_sub(outbox.last_push().elapsed());
        if left.is_zero() {
            return Ending::Unanswered;
        }
        sleep(left).await;
    }
}

/// Moves what a queue dropped into the carrier's counters.
pub(super) fn count_dropped(shared: &Shared, outbox: &Outbox) {
    add(&shared.counters.dropped_send_full, usize::try_from(outbox.take_dropped()).unwrap_or(usize::MAX));
}

/// How fast a connection is read: beyond that TCP makes the peer wait, and others find room in the ring.
#[derive(Debug)]
struct Pace {
    since: Instant,
    messages: usize,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { since: now, messages: 0 }
    }

    /// Counts a message, and says how long to rest before the next.
    fn rest_after_one_more(&mut self, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.since);
        if passed >= PACE_WINDOW {
            *self = Self::new(now);
        }
        self.messages += 1;
        if self.messages < PACE_MESSAGES_MAX { Duration::ZERO } else { PACE_WINDOW.saturating_sub(passed) }
    }
}

/// Enough for a few datagrams at once, small for thousands of connections (the library's default is 128 KiB).
const READ_BUFFER_BYTES: usize = 4 << 10;
/// One datagram with its frame, and a pong.
const WRITE_BUFFER_BYTES_MAX: usize = 4 << 10;
/// What the kernel may hold that is not on its way yet: two datagrams of 1200 B with their frames, and some.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
const UNSENT_BYTES_MAX: u32 = 4 << 10;
/// How long a last word may take.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(200);
/// 512 messages in 100 ms: 40 times what a client sends at 128 Hz, and 6 MB/s of bulk.
const PACE_WINDOW: Duration = Duration::from_millis(100);
const PACE_MESSAGES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use tokio::io::{DuplexStream, duplex};
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    #[test]
    fn a_peer_that_sends_without_end_is_made_to_wait() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let rests: Vec<_> = (0..600).map(|_| pace.rest_after_one_more(start)).collect();
        assert!(rests[..PACE_MESSAGES_MAX - 1].iter().all(Duration::is_zero));
        assert!(rests[PACE_MESSAGES_MAX - 1..].iter().all(|rest| *rest == PACE_WINDOW));
        assert_eq!(pace.rest_after_one_more(start + PACE_WINDOW), Duration::ZERO);
    }

    async fn end(stream: DuplexStream, role: Role) -> WebSocketStream<DuplexStream> {
        WebSocketStream::from_raw_socket(stream, role, Some(limits())).await
    }

    /// Invariant 5: both ends of a connection, on this thread.
    #[test]
    fn a_connection_allocates_nothing_for_a_datagram() {
        let from = SocketAddr::from(([127, 0, 0, 1], 1));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let shared = [(); 2].map(|()| Shared::new(WebSocketOptions::default()));
        let outboxes = [0, 1].map(|n| shared[n].outbox());
        let mut taken = Parcels::default();
        let (a, b) = duplex(64 << 10);
        let both = async {
            let [a, b] = [end(a, Role::Server).await, end(b, Role::Client).await];
            tokio::join!(
                serve(a, from, &shared[0], &outboxes[0], None),
                serve(b, from, &shared[1], &outboxes[1], None)
            )
        };
        let mut both = std::pin::pin!(both);
        // Polled by hand: an executor has buffers of its own.
        let _timers = runtime.enter();
        let mut context = Context::from_waker(Waker::noop());
        let mut turn = || {
            for outbox in &outboxes {
                (0..4).for_each(|_| _ = outbox.push(Instant::now(), &[7; 250]));
                outbox.changed.notify_one();
            }
            while shared.iter().any(|shared| shared.inbox.len() < 4) {
                assert!(both.as_mut().poll(&mut context).is_pending(), "it ended");
            }
            for shared in &shared {
                shared.inbox.take_all(&mut taken);
                assert_eq!(taken.len(), 4);
            }
        };
        (0..50).for_each(|_| turn());
        let allocations = (0..50).map(|_| allocation_counter::measure(&mut turn).count_total).min();
        assert_eq!(allocations, Some(0));
    }
}
