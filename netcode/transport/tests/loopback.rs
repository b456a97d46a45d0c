//! Both UDP carriers on real loopback sockets, on ports that the system chose. They wait for conditions, never for
//! a fixed time.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use netcode_transport::{
    Carrier, DATAGRAM_BYTES_MAX, SendFrom, TransportError, UdpCarrier, UdpThread, UdpThreadConfig,
};

const PATIENCE: Duration = Duration::from_secs(10);

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn thread_carrier(ring_datagrams_max: usize) -> UdpThread {
    UdpThread::open(any_port(), UdpThreadConfig { ring_datagrams_max, ..Default::default() })
        .expect("loopback has free ports")
}

/// Polls until `done`, yielding in between.
fn until(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "nothing came in {PATIENCE:?}");
        std::thread::yield_now();
    }
}

fn collect(carrier: &mut impl Carrier, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut all = Vec::new();
    until(|| {
        carrier.receive(&mut |from, bytes| all.push((from, bytes.to_vec())));
        all.len() >= count
    });
    all
}

fn exchange(a: &mut impl Carrier, b: &mut impl Carrier) {
    for n in 0..100u8 {
        a.send(b.local_addr(), &[n; 700]);
    }
    a.flush();
    let arrived = collect(b, 100);
    assert!(arrived.iter().all(|(from, _)| *from == a.local_addr()));
    let mut firsts: Vec<u8> = arrived.iter().map(|(_, bytes)| bytes[0]).collect();
    firsts.sort_unstable();
    assert_eq!(firsts, (0..100).collect::<Vec<_>>());
    assert!(arrived.iter().all(|(_, bytes)| bytes.len() == 700));
    b.send(a.local_addr(), b"answer");
    b.flush();
    assert_eq!(collect(a, 1), [(b.local_addr(), b"answer".to_vec())]);
}

#[test]
fn two_plain_carriers_exchange_datagrams() {
    exchange(&mut UdpCarrier::open(any_port()).unwrap(), &mut UdpCarrier::open(any_port()).unwrap());
}

#[test]
fn two_threaded_carriers_exchange_datagrams() {
    exchange(&mut thread_carrier(4096), &mut thread_carrier(4096));
}

#[test]
fn a_carrier_that_sends_from_the_tick_thread_exchanges_datagrams() {
    let config = UdpThreadConfig { send_from: SendFrom::TickThread, ..Default::default() };
    let open = || UdpThread::open(any_port(), config).expect("loopback has free ports");
    exchange(&mut open(), &mut open());
    // Nobody but the tick thread sends: what was flushed is gone, and counted, before `flush` returns.
    let (mut carrier, peer) = (open(), open());
    (0..100).for_each(|_| carrier.send(peer.local_addr(), &[1; 900]));
    carrier.flush();
    assert_eq!((carrier.counters().datagrams_sent, carrier.counters().bytes_sent), (100, 90_000));
}

#[test]
fn a_carrier_that_never_rests_exchanges_datagrams() {
    let config = UdpThreadConfig { gather: Duration::ZERO, ..Default::default() };
    let open = || UdpThread::open(any_port(), config).expect("loopback has free ports");
    exchange(&mut open(), &mut open());
}

#[test]
fn a_plain_and_a_threaded_carrier_exchange_datagrams() {
    exchange(&mut UdpCarrier::open(any_port()).unwrap(), &mut thread_carrier(4096));
}

#[test]
fn both_families_are_served_from_one_ipv6_socket_where_there_is_ipv6() {
    let all = SocketAddr::from(([0u16; 8], 0));
    let Ok(mut server) = UdpThread::open(all, UdpThreadConfig::default()) else {
        // No IPv6 on this machine: then the refusal must be the system's, which `open` already typed.
        return;
    };
    let mut client = UdpCarrier::open(any_port()).unwrap();
    client.send(SocketAddr::from(([127, 0, 0, 1], server.local_addr().port())), b"four");
    assert_eq!(collect(&mut server, 1)[0].1, b"four");
}

#[test]
fn a_taken_port_is_a_typed_error_that_names_it() {
    let held = UdpSocket::bind(any_port()).unwrap();
    let addr = held.local_addr().unwrap();
    let error = UdpThread::open(addr, UdpThreadConfig::default()).unwrap_err();
    assert!(matches!(error, TransportError::Bind { addr: named, .. } if named == addr));
    assert!(error.to_string().contains(&addr.to_string()));
    assert!(matches!(UdpCarrier::open(addr), Err(TransportError::Bind { .. })));
}

#[test]
fn a_full_ring_drops_the_newest_and_counts_every_one() {
    let mut server = thread_carrier(8);
    let mut client = UdpCarrier::open(any_port()).unwrap();
    for n in 0..20u8 {
        client.send(server.local_addr(), &[n]);
    }
    until(|| {
        let counters = server.counters();
        counters.datagrams_received + counters.dropped_ring_full == 20
    });
    assert_eq!(server.counters().datagrams_received, 8);
    let kept: Vec<u8> = collect(&mut server, 8).iter().map(|(_, bytes)| bytes[0]).collect();
    assert_eq!(kept, (0..8).collect::<Vec<_>>());
    // Once read, there is room again.
    client.send(server.local_addr(), b"later");
    assert_eq!(collect(&mut server, 1)[0].1, b"later");
}

#[test]
fn what_is_too_long_is_dropped_and_counted() {
    let mut plain = UdpCarrier::open(any_port()).unwrap();
    let mut threaded = thread_carrier(8);
    let stranger = UdpSocket::bind(any_port()).unwrap();
    for target in [plain.local_addr(), threaded.local_addr()] {
        stranger.send_to(&vec![1; DATAGRAM_BYTES_MAX + 1], target).unwrap();
        stranger.send_to(&vec![2; DATAGRAM_BYTES_MAX], target).unwrap();
    }
    assert_eq!(collect(&mut plain, 1)[0].1, vec![2; DATAGRAM_BYTES_MAX]);
    assert_eq!(collect(&mut threaded, 1)[0].1, vec![2; DATAGRAM_BYTES_MAX]);
    assert_eq!(plain.counters().dropped_oversize, 1);
    assert_eq!(threaded.counters().dropped_oversize, 1);
    threaded.send(stranger.local_addr().unwrap(), &vec![3; DATAGRAM_BYTES_MAX + 1]);
    assert_eq!(threaded.counters().dropped_oversize, 2);
}

#[test]
fn arrival_times_lie_between_sending_and_reading() {
    let mut server = thread_carrier(8);
    let mut client = UdpCarrier::open(any_port()).unwrap();
    let before = Instant::now();
    client.send(server.local_addr(), b"timed");
    assert!(server.wait(PATIENCE));
    let mut at = None;
    server.receive_timed(&mut |arrived, _, _| at = Some(arrived));
    let at = at.expect("wait said that one was there");
    assert!(before <= at && at <= Instant::now());
    assert!(!server.wait(Duration::ZERO));
}

#[test]
fn what_was_flushed_is_still_sent_when_the_carrier_ends_and_its_port_is_free_again() {
    let mut server = thread_carrier(4096);
    let addr = server.local_addr();
    let mut client = UdpCarrier::open(any_port()).unwrap();
    for n in 0..50u8 {
        server.send(client.local_addr(), &[n]);
    }
    let ended = Instant::now();
    drop(server);
    assert!(ended.elapsed() < PATIENCE);
    assert_eq!(collect(&mut client, 50).len(), 50);
    assert_eq!(UdpCarrier::open(addr).unwrap().local_addr(), addr);
}
