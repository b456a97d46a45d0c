//! The WebSocket carriers over loopback: what arrives, what is dropped for being stale, and what gets a peer closed.
//! Tests wait for conditions, never for a fixed time.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use netcode_transport::{
    Carrier, DATAGRAM_BYTES_MAX, WEBSOCKET_PROTOCOL, WebSocketClient, WebSocketError, WebSocketOptions,
    WebSocketServer, WebSocketState,
};
use tokio_tungstenite::tungstenite::{
    self, Message, WebSocket, client::IntoClientRequest, http::header::SEC_WEBSOCKET_PROTOCOL,
    protocol::frame::coding::CloseCode,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn server_with(options: WebSocketOptions) -> WebSocketServer {
    WebSocketServer::open(any_port(), options).expect("loopback has free ports")
}

fn server() -> WebSocketServer {
    server_with(WebSocketOptions::default())
}

fn url(server: &WebSocketServer) -> String {
    format!("ws://{}/", server.local_addr())
}

fn client(server: &WebSocketServer) -> WebSocketClient {
    WebSocketClient::open(&url(server), server.local_addr(), WebSocketOptions::default())
        .expect("threads are to be had")
}

/// A peer of the library alone, that can do what no carrier does.
fn bare(server: &WebSocketServer) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(server.local_addr()).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket can time out");
    tungstenite::client(url(server), stream).expect("the server shakes hands").0
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not in {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn collect(carrier: &mut impl Carrier, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut all = Vec::new();
    until("datagrams", || {
        carrier.receive(&mut |from, bytes| all.push((from, bytes.to_vec())));
        all.len() >= count
    });
    all
}

/// The code that the server closes with.
fn close_code(mut peer: WebSocket<TcpStream>) -> CloseCode {
    loop {
        match peer.read() {
            Ok(Message::Close(frame)) => return frame.expect("the server says why").code,
            Ok(_) => {}
            Err(error) => panic!("closed without a word: {error}"),
        }
    }
}

#[test]
fn datagrams_go_both_ways_whole_and_apart() {
    let mut server = server();
    let mut clients = [client(&server), client(&server), client(&server)];
    let lens = [1, 125, 126, 1200, DATAGRAM_BYTES_MAX];
    for (n, client) in clients.iter_mut().enumerate() {
        // Sent before the connection is open: it waits.
        lens.iter().for_each(|len| client.send(client.local_addr(), &vec![n as u8; *len]));
    }
    let arrived = collect(&mut server, 15);
    assert_eq!(server.connections(), 3);
    for n in 0..3u8 {
        let of_one: Vec<_> = arrived.iter().filter(|(_, bytes)| bytes[0] == n).collect();
        assert!(of_one.iter().all(|(from, _)| *from == of_one[0].0), "one client has one address");
        assert_eq!(of_one.iter().map(|(_, bytes)| bytes.len()).collect::<Vec<_>>(), lens);
        server.send(of_one[0].0, &[100 + n; 700]);
    }
    server.flush();
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(collect(client, 1), [(server.local_addr(), vec![100 + n as u8; 700])]);
        assert_eq!(client.state(), WebSocketState::Open);
    }
    assert_eq!((server.counters().datagrams_received, server.counters().datagrams_sent), (15, 3));
    drop(clients);
    until("gone", || server.connections() == 0);
    // To one who has left: lost without a word.
    server.send(arrived[0].0, b"anyone?");
    server.flush();
}

#[test]
fn a_slow_reader_gets_the_newest_and_never_a_backlog() {
    let options = WebSocketOptions { queue_datagrams_max: 8, ..Default::default() };
    let mut server = server_with(options);
    let mut peer = bare(&server);
    peer.send(Message::binary(&b"hello"[..])).unwrap();
    let to = collect(&mut server, 1)[0].0;
    // It does not read: the kernel's buffers fill up, then the queue does.
    let mut sent = 0u32;
    until("the queue overflows", || {
        for _ in 0..100 {
            sent += 1;
            let mut datagram = [0; 1200];
            datagram[..4].copy_from_slice(&sent.to_le_bytes());
            server.send(to, &datagram);
            server.flush();
        }
        server.counters().dropped_send_full >= 1000
    });
    // It reads again: old ones that the kernel held, then the newest, in order and without the ones between.
    let mut seen = Vec::new();
    while seen.last() != Some(&sent) {
        match peer.read() {
            Ok(Message::Binary(bytes)) => seen.push(u32::from_le_bytes(bytes[..4].try_into().unwrap())),
            Ok(_) => {}
            Err(error) => panic!("after {} of {sent}: {error}", seen.len()),
        }
        // The last may have been stale by now: a fresh one follows, as in a game.
        if server.counters().datagrams_sent == seen.len() as u64 && seen.last() != Some(&sent) {
            sent += 1;
            let mut datagram = [0; 1200];
            datagram[..4].copy_from_slice(&sent.to_le_bytes());
            server.send(to, &datagram);
            server.flush();
        }
    }
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "in order");
    let counters = server.counters();
    assert_eq!(
        counters.datagrams_sent + counters.dropped_send_full,
        u64::from(sent),
        "each one is accounted for"
    );
    assert_eq!(counters.datagrams_sent, seen.len() as u64);
}

#[test]
fn who_breaks_the_rules_is_closed_and_nobody_else() {
    let mut server = server();
    let mut honest = client(&server);
    let mut talker = bare(&server);
    talker.send(Message::text("hello?")).unwrap();
    assert_eq!(close_code(talker), CloseCode::Unsupported);
    let mut shouter = bare(&server);
    shouter.send(Message::binary(vec![0; DATAGRAM_BYTES_MAX + 1])).unwrap();
    assert_eq!(close_code(shouter), CloseCode::Size);
    assert_eq!(server.counters().dropped_oversize, 1);
    // An empty message is no datagram, a ping none either.
    let mut odd = bare(&server);
    odd.send(Message::binary(Vec::new())).unwrap();
    odd.send(Message::Ping(b"?"[..].into())).unwrap();
    assert!(matches!(odd.read(), Ok(Message::Pong(_))));
    honest.send(honest.local_addr(), b"still here");
    assert_eq!(collect(&mut server, 1)[0].1, b"still here");
    assert_eq!(server.connections(), 2);
}

#[test]
fn what_is_no_handshake_ends_there() {
    let server = server();
    let mut stranger = TcpStream::connect(server.local_addr()).unwrap();
    stranger.set_read_timeout(Some(PATIENCE)).unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // An answer, a reset or a plain end: whatever it is, it comes.
    let _ = stranger.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 101"));
    until("counted", || server.counters().errors == 1);
    assert_eq!(server.connections(), 0);
}

#[test]
fn there_are_no_more_connections_than_allowed() {
    let server = server_with(WebSocketOptions { connections_max: 1, ..Default::default() });
    let first = client(&server);
    until("open", || first.state() == WebSocketState::Open && server.connections() == 1);
    let second = client(&server);
    until("refused", || second.state() == WebSocketState::Closed);
    assert_eq!(first.state(), WebSocketState::Open);
    drop(first);
    until("gone", || server.connections() == 0);
    let third = client(&server);
    until("there is room again", || third.state() == WebSocketState::Open && server.connections() == 1);
}

#[test]
fn a_silent_connection_is_closed() {
    let idle_timeout = Duration::from_millis(50);
    let server = server_with(WebSocketOptions { idle_timeout, ..Default::default() });
    assert_eq!(close_code(bare(&server)), CloseCode::Away);
    until("gone", || server.connections() == 0);
}

#[test]
fn a_browser_gets_the_subprotocol_it_asks_for() {
    let server = server();
    let mut request = url(&server).into_client_request().unwrap();
    request
        .headers_mut()
        .insert(SEC_WEBSOCKET_PROTOCOL, format!("chat, {WEBSOCKET_PROTOCOL}").parse().unwrap());
    let stream = TcpStream::connect(server.local_addr()).unwrap();
    let (_peer, response) = tungstenite::client(request, stream).unwrap();
    assert_eq!(response.headers()[SEC_WEBSOCKET_PROTOCOL], WEBSOCKET_PROTOCOL);
}

#[test]
fn what_was_flushed_is_still_sent_when_the_carrier_ends_and_its_port_is_free_again() {
    let mut server = server();
    let mut client = client(&server);
    client.send(client.local_addr(), b"hello");
    let to = collect(&mut server, 1)[0].0;
    let addr = server.local_addr();
    (0..20u8).for_each(|n| server.send(to, &[n; 300]));
    drop(server);
    assert_eq!(collect(&mut client, 20).len(), 20);
    until("closed", || client.state() == WebSocketState::Closed);
    drop(WebSocketServer::open(addr, WebSocketOptions::default()).expect("the port is free"));
}

#[test]
fn failures_to_open_are_told() {
    let held = TcpListener::bind(any_port()).unwrap();
    let addr = held.local_addr().unwrap();
    let error = WebSocketServer::open(addr, WebSocketOptions::default()).unwrap_err();
    assert!(matches!(error, WebSocketError::Bind { addr: named, .. } if named == addr));
    drop(held);
    let nobody = WebSocketClient::open(&format!("ws://{addr}/"), addr, WebSocketOptions::default()).unwrap();
    until("refused", || nobody.state() == WebSocketState::Closed);
    assert_eq!(nobody.counters().errors, 1);
}
