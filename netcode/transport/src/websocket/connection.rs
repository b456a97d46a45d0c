//! One open connection: messages in, datagrams out, until either side ends it. Owns both loops and the rules for
//! messages; must never know how it was opened.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{WebSocketOptions, outbox::Outbox};
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
    pub(super) options: WebSocketOptions,
    /// The carrier is ending: send what is queued, then stop.
    pub(super) stop: Notify,
}

impl Shared {
    pub(super) fn new(options: WebSocketOptions) -> Arc<Self> {
        Arc::new(Self {
            inbox: Ring::new(options.ring_datagrams_max),
            counters: SharedCounters::default(),
            options,
            stop: Notify::new(),
        })
    }

    pub(super) fn outbox(&self) -> Arc<Outbox> {
        Arc::new(Outbox::new(self.options.queue_datagrams_max, self.options.stale_after))
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
}

impl Ending {
    fn of(error: &Error) -> Self {
        match error {
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

/// Serves `socket` until it ends, and says why.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    socket: WebSocketStream<S>,
    from: SocketAddr,
    shared: &Shared,
    outbox: &Outbox,
) -> Ending {
    let (mut sink, mut stream) = socket.split();
    let ending = tokio::select! {
        ending = read_all(&mut stream, from, shared) => ending,
        ending = write_all(&mut sink, shared, outbox) => ending,
    };
    if let Ending::Misuse(code) = ending {
        count(if code == CloseCode::Size {
            &shared.counters.dropped_oversize
        } else {
            &shared.counters.errors
        });
    }
    let frame = CloseFrame { code: ending.close_code(), reason: "".into() };
    // The peer may well be gone.
    let _ = timeout(CLOSE_TIMEOUT, sink.send(Message::Close(Some(frame)))).await;
    ending
}

async fn read_all(
    stream: &mut (impl Stream<Item = Result<Message, Error>> + Unpin),
    from: SocketAddr,
    shared: &Shared,
) -> Ending {
    let mut burst = Parcels::default();
    loop {
        let Ok(message) = timeout(shared.options.idle_timeout, stream.next()).await else {
            return Ending::Idle;
        };
        match message {
            Some(Ok(Message::Binary(datagram))) => {
                if !datagram.is_empty() {
                    let arrival = Arrival { from, at: Instant::now(), ecn: Ecn::NotCapable };
                    burst.push(arrival, &datagram);
                    let pushed = shared.inbox.push_all(&mut burst);
                    shared.counters.received(pushed.datagrams, pushed.bytes);
                    add(&shared.counters.dropped_ring_full, pushed.refused);
                }
            }
            Some(Ok(Message::Text(_))) => return Ending::Misuse(CloseCode::Unsupported),
            // The library answers pings; a raw frame is never handed out.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(_))) | None => return Ending::Peer,
            Some(Err(error)) => return Ending::of(&error),
        }
    }
}

async fn write_all(
    sink: &mut (impl Sink<Message, Error = Error> + Unpin),
    shared: &Shared,
    outbox: &Outbox,
) -> Ending {
    loop {
        while let Some(buffer) = outbox.pop(Instant::now()) {
            let datagram = Message::binary(tokio_tungstenite::tungstenite::Bytes::copy_from_slice(&buffer));
            if let Err(error) = sink.send(datagram).await {
                return Ending::of(&error);
            }
            shared.counters.sent(1, buffer.len());
            outbox.give_back(buffer);
        }
        count_dropped(shared, outbox);
        outbox.changed.notified().await;
    }
}

/// Moves what a queue dropped into the carrier's counters.
pub(super) fn count_dropped(shared: &Shared, outbox: &Outbox) {
    add(&shared.counters.dropped_send_full, usize::try_from(outbox.take_dropped()).unwrap_or(usize::MAX));
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
