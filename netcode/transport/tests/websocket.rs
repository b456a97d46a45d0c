//! The WebSocket carriers over loopback: what arrives, what is dropped for being stale, and what gets a peer closed.
//! Tests wait for conditions, never for a fixed time.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use netcode_transport::{
    Carrier, DATAGRAM_BYTES_MAX, WEBSOCKET_PROTOCOL, WebSocketClient, WebSocketError, WebSocketOptions,
    WebSocketServer, WebSocketState,
};
use tokio_tungstenite::tungstenite::{
    self, HandshakeError, Message, WebSocket,
    client::IntoClientRequest,
    http::{StatusCode, header::SEC_WEBSOCKET_PROTOCOL},
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
    asking_for(server, Some(WEBSOCKET_PROTOCOL)).expect("the server shakes hands")
}

/// The same, where the server may refuse it: then with the status.
fn asking_for(
    server: &WebSocketServer,
    protocols: Option<&str>,
) -> Result<WebSocket<TcpStream>, Option<StatusCode>> {
    let mut request = url(server).into_client_request().expect("a url of our own");
    if let Some(protocols) = protocols {
        let protocols = protocols.parse().expect("plain letters");
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocols);
    }
    match tungstenite::client(request, stranger(server)) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(tungstenite::Error::Http(response))) => Err(Some(response.status())),
        Err(_) => Err(None),
    }
}

/// A TCP connection and nothing more.
fn stranger(server: &WebSocketServer) -> TcpStream {
    let stream = TcpStream::connect(server.local_addr()).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket can time out");
    stream
}

/// Reads what still comes until the other side has closed.
fn drain(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    // An answer, a reset or a plain end: whatever it is, it comes.
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// The address that the server knows a peer by.
fn address_of(server: &mut WebSocketServer, peer: &mut WebSocket<TcpStream>) -> SocketAddr {
    peer.send(Message::binary(&b"hello"[..])).expect("it was let in");
    collect(server, 1)[0].0
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

fn numbered(number: u32) -> [u8; 1200] {
    let mut datagram = [0; 1200];
    datagram[..4].copy_from_slice(&number.to_le_bytes());
    datagram
}

#[test]
fn a_stalled_reader_gets_the_newest_and_never_a_backlog() {
    const QUEUE: u32 = 8;
    let options = WebSocketOptions { queue_datagrams_max: QUEUE as usize, ..Default::default() };
    let mut server = server_with(options);
    let mut peer = bare(&server);
    let to = address_of(&mut server, &mut peer);
    let mut sent = 0;
    let mut send = |server: &mut WebSocketServer| {
        sent += 1;
        server.send(to, &numbered(sent));
        server.flush();
        sent
    };
    // It does not read: one by one, until the kernel takes no more.
    let (mut under_way, mut since) = (0, Instant::now());
    until("the kernel's buffers are full", || {
        send(&mut server);
        let taken = server.counters().datagrams_sent;
        if taken > under_way {
            (under_way, since) = (taken, Instant::now());
        }
        since.elapsed() > Duration::from_millis(300)
    });
    assert!(under_way * 1200 < 1 << 20, "{under_way} are under way");
    // From here on nothing leaves, and the queue holds a few.
    let stalled = server.counters();
    (0..5000).for_each(|_| _ = send(&mut server));
    let last = send(&mut server);
    assert_eq!(server.counters().datagrams_sent, stalled.datagrams_sent);
    assert!(server.counters().dropped_send_full >= 5000, "{:?}", server.counters());
    // It reads again: first what was under way, then the newest, and nothing of what was sent in between.
    let mut seen = Vec::new();
    while seen.last().is_none_or(|newest| *newest < last) {
        match peer.read() {
            Ok(Message::Binary(bytes)) => seen.push(u32::from_le_bytes(bytes[..4].try_into().unwrap())),
            Ok(_) => {}
            Err(error) => panic!("after {} of {last}: {error}", seen.len()),
        }
        // All of the queue may have been stale by now: a fresh one follows, as in a game.
        if server.counters().datagrams_sent == seen.len() as u64 {
            send(&mut server);
        }
    }
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "in order");
    // One was in the writer's hands.
    let late: Vec<_> = seen.iter().skip(under_way as usize + 1).collect();
    assert!(!late.is_empty() && late.iter().all(|number| **number > last - QUEUE), "{last}: {late:?}");
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
fn what_asks_for_something_else_is_refused_and_counted() {
    let server = server();
    assert_eq!(asking_for(&server, None).err(), Some(Some(StatusCode::BAD_REQUEST)));
    assert_eq!(asking_for(&server, Some("chat, mqtt")).err(), Some(Some(StatusCode::BAD_REQUEST)));
    let requests: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 a TLS hello\r\n\r\n",
        &[0; 64],
    ];
    for request in requests {
        let mut stranger = stranger(&server);
        stranger.write_all(request).unwrap();
        stranger.shutdown(Shutdown::Write).unwrap();
        assert!(!drain(stranger).starts_with(b"HTTP/1.1 101"));
    }
    until("counted", || server.connection_counters().refused_request == 6);
    assert_eq!((server.connections(), server.counters().errors), (0, 6));
}

#[test]
fn a_request_without_end_is_cut_off() {
    let server = server();
    let mut stranger = stranger(&server);
    stranger.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let line = format!("x-padding: {}\r\n", "x".repeat(1000));
    // It may be cut off while it still writes.
    let written = (0..1000).take_while(|_| stranger.write_all(line.as_bytes()).is_ok()).count();
    assert!(written >= 8, "a long request is none yet");
    until("cut off", || server.connection_counters().refused_request == 1);
    assert!(drain(stranger).is_empty());
}

#[test]
fn who_dawdles_at_the_door_is_sent_away() {
    let handshake_timeout = Duration::from_millis(100);
    let server = server_with(WebSocketOptions { handshake_timeout, ..Default::default() });
    let silent = stranger(&server);
    let mut slow = stranger(&server);
    // A byte now and then: each is progress, and none of them helps.
    while slow.write_all(b"G").is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(drain(silent).is_empty());
    until("counted", || server.connection_counters().refused_slow == 2);
}

#[test]
fn a_crowd_at_the_door_keeps_nobody_out() {
    let server = server_with(WebSocketOptions { handshakes_max: 4, ..Default::default() });
    let (mut crowd, mut honest) = (Vec::new(), Vec::new());
    for round in 1..=5 {
        crowd.extend((0..20).map(|_| stranger(&server)));
        honest.push(client(&server));
        until("open", || server.connections() == round);
    }
    // Those of the last round may still stand there.
    let counters = server.connection_counters();
    assert!((96..=100).contains(&counters.refused_crowded), "{counters:?}");
    assert!(honest.iter().all(|client| client.state() == WebSocketState::Open));
}

#[test]
fn a_flood_of_requests_leaves_nothing_behind() {
    let mut server = server();
    let mut honest = client(&server);
    for _ in 0..300 {
        let mut stranger = stranger(&server);
        // The server may be done with it before the last byte.
        let _ = stranger.write_all(b"GET /index.html HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    }
    until("all refused", || server.connection_counters().refused_request == 300);
    honest.send(honest.local_addr(), b"still here");
    assert_eq!(collect(&mut server, 1)[0].1, b"still here");
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_stranger_is_closed_whatever_it_sends_and_whoever_is_answered_stays() {
    let answer_within = Duration::from_millis(300);
    let mut server = server_with(WebSocketOptions { answer_within, ..Default::default() });
    let mut known = bare(&server);
    let to = address_of(&mut server, &mut known);
    let stranger = bare(&server);
    let mut talking = stranger.get_ref().try_clone().unwrap();
    // A masked empty-keyed binary frame of one byte.
    let frame = [0x82, 0x81, 0, 0, 0, 0, 7];
    until("closed", || {
        // It may be gone already.
        let _ = talking.write_all(&frame);
        server.receive(&mut |_, _| ());
        server.send(to, b"you are known");
        server.flush();
        server.connection_counters().closed_unanswered == 1
    });
    assert_eq!(close_code(stranger), CloseCode::Policy);
    assert_eq!(server.connections(), 1);
    until("its session is over", || server.connections() == 0);
    assert_eq!(close_code(known), CloseCode::Policy);
}

#[test]
fn connections_are_told_apart_by_addresses_that_are_never_given_twice() {
    let mut server = server();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let mut peer = bare(&server);
        let local = peer.get_ref().local_addr().unwrap();
        let address = address_of(&mut server, &mut peer);
        assert_eq!(server.remote(address), Some(local));
        assert_ne!(address, local);
        assert!(!seen.contains(&address), "{address} again");
        seen.push(address);
        drop(peer);
        until("gone", || server.connections() == 0);
        assert_eq!(server.remote(address), None);
    }
    assert_eq!(server.connection_counters().opened, 5);
}

#[test]
fn there_are_no_more_connections_than_allowed() {
    let server = server_with(WebSocketOptions { connections_max: 1, ..Default::default() });
    let first = client(&server);
    until("open", || first.state() == WebSocketState::Open && server.connections() == 1);
    let second = client(&server);
    until("refused", || second.state() == WebSocketState::Closed);
    assert_eq!(
        asking_for(&server, Some(WEBSOCKET_PROTOCOL)).err(),
        Some(Some(StatusCode::SERVICE_UNAVAILABLE))
    );
    until("counted", || server.connection_counters().refused_full == 2);
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
    assert!(asking_for(&server, Some(&format!("chat,{WEBSOCKET_PROTOCOL}"))).is_ok());
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
