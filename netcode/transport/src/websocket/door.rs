//! The server's door: who may come in, and what a stranger may cost until then. Owns the listener's loop and the
//! upgrade; must never know what goes on inside.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, yield_now},
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::{
        handshake::server::{ErrorResponse, Request, Response},
        http::{HeaderValue, StatusCode, header::SEC_WEBSOCKET_PROTOCOL},
    },
};

use super::{
    WEBSOCKET_PROTOCOL,
    connection::{limits, set_up},
    server::Hall,
};
use crate::counters::count;

/// Lets strangers in until the carrier ends.
pub(super) async fn accept_all(listener: TcpListener, hall: &Arc<Hall>) {
    let mut strangers = VecDeque::new();
    loop {
        let Ok((stream, remote)) = listener.accept().await else {
            // Out of descriptors, most likely: that must not become a busy loop.
            count(&hall.shared.counters.errors);
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        make_room(&mut strangers, hall);
        let asking = tokio::spawn(ask(stream, remote, Arc::clone(hall)));
        strangers.push_back(asking.abort_handle());
        // A request that is already here is read before the next stranger can take its place.
        yield_now().await;
    }
}

/// An honest request is there within a round trip: where there are too many, the oldest has had its chance.
fn make_room(strangers: &mut VecDeque<AbortHandle>, hall: &Hall) {
    if strangers.len() < hall.shared.options.handshakes_max {
        return;
    }
    strangers.retain(|stranger| !stranger.is_finished());
    if strangers.len() >= hall.shared.options.handshakes_max
        && let Some(oldest) = strangers.pop_front()
    {
        oldest.abort();
        refuse(hall, Refusal::Crowded);
    }
}

/// One stranger, until it is let in or not.
async fn ask(stream: TcpStream, remote: SocketAddr, hall: Arc<Hall>) {
    set_up(&stream);
    let within = hall.shared.options.handshake_timeout;
    match timeout(within, shake_hands(stream, &hall)).await {
        // A task of its own: this one ends, and with it the stranger's place.
        Ok(Ok(socket)) => drop(tokio::spawn(async move { hall.host(socket, remote).await })),
        Ok(Err(refusal)) => refuse(&hall, refusal),
        Err(_) => refuse(&hall, Refusal::Slow),
    }
}

/// Why a stranger was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not for us, or too long.
    Request,
    /// Not in time.
    Slow,
    /// Gave way to a newer one.
    Crowded,
    /// All places are taken.
    Full,
}

/// Counts it.
pub(super) fn refuse(hall: &Hall, refusal: Refusal) {
    let causes = &hall.shared.causes;
    count(&hall.shared.counters.errors);
    count(match refusal {
        Refusal::Request => &causes.refused_request,
        Refusal::Slow => &causes.refused_slow,
        Refusal::Crowded => &causes.refused_crowded,
        Refusal::Full => &causes.refused_full,
    });
}

async fn shake_hands(stream: TcpStream, hall: &Hall) -> Result<WebSocketStream<Guarded>, Refusal> {
    let mut refusal = Refusal::Request;
    #[allow(clippy::result_large_err, reason = "the library's signature")]
    let judge = |request: &Request, response| {
        if !hall.has_room() {
            refusal = Refusal::Full;
            return Err(no(StatusCode::SERVICE_UNAVAILABLE, "all places are taken"));
        }
        choose_protocol(request, response)
    };
    let guarded = Guarded { stream, allowed_bytes: Some(REQUEST_BYTES_MAX) };
    let shaken = accept_hdr_async_with_config(guarded, judge, Some(limits())).await;
    let mut socket = shaken.map_err(|_| refusal)?;
    socket.get_mut().allowed_bytes = None;
    Ok(socket)
}

/// Both sides must name the protocol: a browser closes the connection unless what it asked for is chosen, and what
/// does not ask for it is none of ours.
#[allow(clippy::result_large_err, reason = "the library's signature")]
fn choose_protocol(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let mut names = offered.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    if !names.any(|name| name.trim() == WEBSOCKET_PROTOCOL) {
        return Err(no(StatusCode::BAD_REQUEST, "unknown subprotocol"));
    }
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(WEBSOCKET_PROTOCOL));
    Ok(response)
}

fn no(status: StatusCode, why: &str) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(why.to_owned()));
    *response.status_mut() = status;
    response
}

/// A connection that may send only so much until it is let in.
#[derive(Debug)]
pub(super) struct Guarded {
    stream: TcpStream,
    /// What it may still send; at first, a request's worth. None: it was let in.
    allowed_bytes: Option<usize>,
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.allowed_bytes == Some(0) {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let came = buffer.filled().len() - before;
        self.allowed_bytes = self.allowed_bytes.map(|left| left.saturating_sub(came));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// What a request may take: those of browsers with their cookies take 1 to 3 KiB. What the library reads beyond it at
/// once (4 KiB) is the most that a stranger can make us hold.
const REQUEST_BYTES_MAX: usize = 8 << 10;
/// The pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
