//! What the system offers beyond one call a datagram: segmentation, coalescing, ECN, "don't fragment"; and that all
//! of it is only cheaper, never different, from the plain calls.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use netcode_transport::{
    Arrival, Carrier, Ecn, IoMode, SocketOptions, UdpCarrier, UdpThread, UdpThreadConfig,
};

const PATIENCE: Duration = Duration::from_secs(10);
const MODES: [IoMode; 2] = [IoMode::Auto, IoMode::Plain];

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn options(io: IoMode) -> SocketOptions {
    SocketOptions { io, ..Default::default() }
}

fn threaded(io: IoMode) -> UdpThread {
    UdpThread::open(any_port(), UdpThreadConfig { socket: options(io), ..Default::default() })
        .expect("loopback has free ports")
}

fn collect(carrier: &mut impl Carrier, count: usize) -> Vec<(Arrival, Vec<u8>)> {
    let deadline = Instant::now() + PATIENCE;
    let mut all = Vec::new();
    while all.len() < count {
        carrier.receive_arrivals(&mut |arrival, bytes| all.push((*arrival, bytes.to_vec())));
        assert!(Instant::now() < deadline, "{} of {count} came", all.len());
        std::thread::yield_now();
    }
    all
}

#[test]
fn runs_to_one_peer_arrive_as_the_datagrams_they_were() {
    for (from, to) in MODES.into_iter().flat_map(|from| MODES.map(|to| (from, to))) {
        let mut sender = threaded(from);
        let mut first = UdpCarrier::open_with(any_port(), options(to)).unwrap();
        let mut second = threaded(to);
        // Runs of one length, shorter ends, longer ones after shorter ones, and the peers in turns.
        let lens = [1200, 1200, 1200, 700, 1200, 1, 1, 1, 2, 1200, 1200, 64];
        for (n, len) in lens.into_iter().enumerate() {
            sender.send(first.local_addr(), &vec![n as u8; len]);
        }
        for (n, len) in lens.into_iter().enumerate() {
            sender.send(first.local_addr(), &vec![100 + n as u8; len]);
            sender.send(second.local_addr(), &vec![100 + n as u8; len]);
        }
        sender.flush();
        let sent = |base: u8| lens.into_iter().enumerate().map(move |(n, len)| vec![base + n as u8; len]);
        let at_first: Vec<_> = collect(&mut first, 24).into_iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(at_first, sent(0).chain(sent(100)).collect::<Vec<_>>(), "{from:?} to {to:?}");
        let at_second = collect(&mut second, 12);
        assert!(at_second.iter().all(|(arrival, _)| arrival.from == sender.local_addr()));
        assert_eq!(
            at_second.into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>(),
            sent(100).collect::<Vec<_>>()
        );
        assert_eq!((sender.counters().datagrams_sent, sender.counters().errors), (36, 0));
        assert_eq!(sender.counters().bytes_sent, lens.iter().sum::<usize>() as u64 * 3);
    }
}

#[test]
fn plain_mode_claims_nothing() {
    let plain = UdpCarrier::open_with(any_port(), options(IoMode::Plain)).unwrap().abilities();
    assert!(!plain.batched);
    assert_eq!((plain.send_segments_max, plain.receive_segments_max), (1, 1));
}

#[cfg(target_os = "linux")]
#[test]
fn marks_of_capability_are_seen_by_the_peer() {
    let mut receiver = threaded(IoMode::Auto);
    for io in MODES {
        let silent = SocketOptions { mark_ecn: false, io, ..Default::default() };
        let mut silent = UdpCarrier::open_with(any_port(), silent).unwrap();
        let mut marking = UdpCarrier::open_with(any_port(), options(io)).unwrap();
        // The socket carries the mark: it must follow each datagram's wish, and nobody else's.
        for (ecn, expected) in
            [(Ecn::Ect0, Ecn::Ect0), (Ecn::NotCapable, Ecn::NotCapable), (Ecn::Ect0, Ecn::Ect0)]
        {
            marking.send_marked(receiver.local_addr(), ecn, b"perhaps");
            assert_eq!(collect(&mut receiver, 1)[0].0.ecn, expected, "{io:?}");
            silent.send_marked(receiver.local_addr(), ecn, b"never");
            assert_eq!(collect(&mut receiver, 1)[0].0.ecn, Ecn::NotCapable, "{io:?}");
        }
        marking.send(receiver.local_addr(), b"not");
        assert_eq!(collect(&mut receiver, 1)[0].0.ecn, Ecn::NotCapable);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn segmented_runs_are_marked_as_single_datagrams_are() {
    let mut sender = threaded(IoMode::Auto);
    let mut receiver = UdpCarrier::open(any_port()).unwrap();
    let wished: Vec<_> = (0..30).map(|n| if n / 7 % 2 == 0 { Ecn::Ect0 } else { Ecn::NotCapable }).collect();
    wished.iter().for_each(|ecn| sender.send_marked(receiver.local_addr(), *ecn, &[1; 500]));
    sender.flush();
    let marks: Vec<_> = collect(&mut receiver, 30).iter().map(|(arrival, _)| arrival.ecn).collect();
    assert_eq!(marks, wished);
}

#[cfg(target_os = "linux")]
#[test]
fn marks_survive_on_a_socket_for_both_families() {
    let all = SocketAddr::from(([0u16; 8], 0));
    let Ok(mut receiver) = UdpCarrier::open(all) else { return };
    for local in [any_port(), SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 0))] {
        // A machine without IPv6 has no socket for both families either.
        let mut marking = UdpThread::open(local, UdpThreadConfig::default()).unwrap();
        let to = SocketAddr::new(local.ip(), receiver.local_addr().port());
        (0..10).for_each(|_| marking.send_marked(to, Ecn::Ect0, &[1; 500]));
        marking.flush();
        let marks: Vec<_> = collect(&mut receiver, 10).iter().map(|(arrival, _)| arrival.ecn).collect();
        assert_eq!(marks, [Ecn::Ect0; 10], "{local}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn arrivals_carry_the_kernels_stamp_not_the_time_of_reading() {
    let mut receiver = UdpCarrier::open(any_port()).unwrap();
    let mut sender = UdpCarrier::open(any_port()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    // The kernel begins to stamp a little after the first socket of the machine asked for it: hence the loop.
    loop {
        let before = Instant::now();
        sender.send(receiver.local_addr(), b"stamped");
        // Loopback delivers within the send: what is read later still arrived before now.
        let sent = Instant::now();
        while sent.elapsed() < Duration::from_millis(20) {
            std::thread::yield_now();
        }
        let at = collect(&mut receiver, 1)[0].0.at;
        assert!(at >= before);
        if at <= sent + Duration::from_millis(5) {
            return;
        }
        assert!(Instant::now() < deadline, "read {:?} after it was sent", at - sent);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_path_cannot_carry_is_refused_not_fragmented() {
    // Loopback carries 65536 B: so the socket itself must refuse, and no fragment may arrive.
    for io in MODES {
        let receiver = UdpCarrier::open_with(any_port(), options(io)).unwrap();
        let mut sender = UdpCarrier::open_with(any_port(), options(io)).unwrap();
        assert!(sender.abilities().dont_fragment, "{io:?}");
        sender.send(receiver.local_addr(), &vec![0; 65_508]);
        assert_eq!((sender.counters().dropped_path_mtu, sender.counters().datagrams_sent), (1, 0), "{io:?}");
    }
}
