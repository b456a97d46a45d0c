//! One nonblocking UDP socket with what the system offers to make it cheap. Owns: the choice between batched and
//! plain system calls, the receive buffers. Must never know: threads, rings.
//!
//! `quinn-udp` does the system's part: `recvmmsg` with GRO, `sendmsg` with GSO, ECN, arrival stamps, "don't
//! fragment", each with its fallback, on Linux, the BSDs, macOS and Windows. Should it fail to set a socket up, or the
//! system refuse its calls later (an old kernel, a strict seccomp filter), the socket goes on with `recvfrom` and
//! `sendto` alone.

use std::{
    io::{self, ErrorKind, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use netcode_wire::Ecn;
use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, Transmit, UdpSocketState};
use socket2::SockRef;

use super::{
    IoMode, SocketOptions, TransportError,
    header::{EcnField, forbid_fragments},
};
use crate::{
    Arrival, DATAGRAM_BYTES_MAX,
    counters::{SharedCounters, count},
    parcels::Parcels,
};

/// What a socket can do on this system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// Batched calls are in use: arrivals are stamped and ECN-marked where the kernel can (Linux; ECN elsewhere too).
    pub batched: bool,
    /// Datagrams are never fragmented by the system: one too long for the path is lost, or refused at once when
    /// already the first link is too narrow, and counted as `dropped_path_mtu`. What path MTU discovery (RFC 8899)
    /// needs.
    pub dont_fragment: bool,
    /// Datagrams that one system call can send to one peer.
    pub send_segments_max: usize,
    /// Datagrams of one peer that one buffer can receive.
    pub receive_segments_max: usize,
}

/// A bound, nonblocking socket.
#[derive(Debug)]
pub(super) struct NativeSocket {
    socket: UdpSocket,
    state: Option<UdpSocketState>,
    ecn: EcnField,
    dont_fragment: bool,
    /// The system refused a batched call: plain ones from now on.
    refused: AtomicBool,
}

/// Where a socket receives into.
#[derive(Debug)]
pub(super) struct ReceiveBuffers {
    bytes: Box<[u8]>,
    meta: [RecvMeta; BATCH_SIZE],
    each_bytes: usize,
}

impl NativeSocket {
    pub(super) fn open(addr: SocketAddr, options: &SocketOptions) -> Result<Self, TransportError> {
        let socket = options.bind(addr)?;
        let state = match options.io {
            IoMode::Auto => {
                let state = UdpSocketState::new((&socket).into()).ok();
                forgo_destinations(&socket);
                state
            }
            IoMode::Plain => None,
        };
        let dont_fragment = match &state {
            Some(state) => !state.may_fragment(),
            None => forbid_fragments(&socket, addr),
        };
        let ecn = EcnField::new(addr, options.mark_ecn);
        Ok(Self { socket, state, ecn, dont_fragment, refused: AtomicBool::new(false) })
    }

    pub(super) fn udp(&self) -> &UdpSocket {
        &self.socket
    }

    pub(super) fn local_addr(&self) -> Result<SocketAddr, TransportError> {
        self.socket.local_addr().map_err(TransportError::Configure)
    }

    fn batched(&self) -> Option<&UdpSocketState> {
        self.state.as_ref().filter(|_| !self.refused.load(Relaxed))
    }

    pub(super) fn abilities(&self) -> Abilities {
        let batched = self.batched();
        Abilities {
            batched: batched.is_some(),
            // Socket options outlive a refused call.
            dont_fragment: self.dont_fragment,
            send_segments_max: batched.map_or(1, UdpSocketState::max_gso_segments),
            receive_segments_max: batched.map_or(1, UdpSocketState::gro_segments),
        }
    }

    /// Datagrams that the kernel's receive buffer holds at least.
    pub(super) fn datagrams_held_min(&self) -> usize {
        SockRef::from(&self.socket).recv_buffer_size().unwrap_or(0) / KERNEL_BYTES_EACH_MAX
    }

    /// Buffers that fit this socket: `batch` of them, fewer where batches do not pay.
    pub(super) fn buffers(&self, batch: usize) -> ReceiveBuffers {
        let (count, each_bytes) = match self.batched() {
            // Deliberate: whole runs that the kernel coalesced must fit, or their end is lost. The pages of a buffer
            // are touched only by runs of that length.
            Some(state) if state.gro_segments() > 1 => (batch.clamp(1, BATCH_SIZE), COALESCED_BYTES_MAX),
            Some(_) => (batch.clamp(1, BATCH_SIZE), DATAGRAM_BYTES_MAX + 1),
            None => (1, DATAGRAM_BYTES_MAX + 1),
        };
        let bytes = vec![0; count * each_bytes].into();
        ReceiveBuffers { bytes, meta: [RecvMeta::default(); BATCH_SIZE], each_bytes }
    }

    /// Receives one batch and hands on what is of allowed length.
    ///
    /// # Errors
    /// What the system said; [`Failure::of`] tells whether it matters.
    pub(super) fn receive_batch(
        &self,
        buffers: &mut ReceiveBuffers,
        counters: &SharedCounters,
        accept: &mut dyn FnMut(&Arrival, &mut [u8]),
    ) -> io::Result<()> {
        let Some(state) = self.batched() else {
            return self.receive_one(buffers, counters, accept);
        };
        let ReceiveBuffers { bytes, meta, each_bytes } = buffers;
        let filled = {
            let mut chunks = bytes.chunks_exact_mut(*each_bytes);
            let mut slices: [_; BATCH_SIZE] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            let count = slices.iter().take_while(|slice| !slice.is_empty()).count();
            state.recv((&self.socket).into(), &mut slices[..count], meta)
        };
        let filled = filled.inspect_err(|error| self.note_refusal(error))?;
        let clock = ArrivalClock::read();
        for (meta, buffer) in meta[..filled].iter().zip(bytes.chunks_exact_mut(*each_bytes)) {
            let arrival =
                Arrival { from: meta.addr, at: clock.instant_of(meta.timestamp), ecn: ecn_of(meta.ecn) };
            for datagram in buffer[..meta.len].chunks_mut(meta.stride.max(1)) {
                hand_on(&arrival, datagram, counters, accept);
            }
        }
        Ok(())
    }

    fn receive_one(
        &self,
        buffers: &mut ReceiveBuffers,
        counters: &SharedCounters,
        accept: &mut dyn FnMut(&Arrival, &mut [u8]),
    ) -> io::Result<()> {
        let (len, from) = self.socket.recv_from(&mut buffers.bytes)?;
        let arrival = Arrival { from, at: Instant::now(), ecn: Ecn::NotCapable };
        hand_on(&arrival, &mut buffers.bytes[..len], counters, accept);
        Ok(())
    }

    /// A system that knows no batched calls says so by one of these; a datagram never causes them.
    fn note_refusal(&self, error: &io::Error) {
        if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) {
            self.refused.store(true, Relaxed);
        }
    }

    /// Sends one datagram, marked as asked. One thread at a time sends.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn send(&self, (to, ecn): (SocketAddr, Ecn), datagram: &[u8]) -> io::Result<()> {
        self.ecn.set(&self.socket, ecn);
        // Deliberate: `sendto`, also in batched mode. For one datagram it is the cheapest call there is.
        self.socket.send_to(datagram, to).map(drop)
    }

    /// Datagrams of `burst` from `start` on that one call can send: one peer and mark, one length (the last may be
    /// shorter).
    pub(super) fn run_len(&self, burst: &Parcels<(SocketAddr, Ecn)>, start: usize) -> usize {
        let segments_max = self.batched().map_or(1, UdpSocketState::max_gso_segments);
        let (to, len) = (burst.head(start), burst.run(start..start + 1).len());
        let mut count = 1;
        while count < segments_max
            && len > 0
            && start + count < burst.len()
            && burst.head(start + count) == to
        {
            let next = burst.run(start + count..start + count + 1).len();
            if next > len || next == 0 || burst.run(start..start + count).len() + next > RUN_BYTES_MAX {
                break;
            }
            count += 1;
            if next < len {
                break;
            }
        }
        count
    }

    /// Sends `bytes`, datagrams of `segment_bytes` each to one peer (the last may be shorter), by one call.
    ///
    /// # Errors
    /// What the system said. Then none of them was sent.
    pub(super) fn send_run(
        &self,
        (to, ecn): (SocketAddr, Ecn),
        bytes: &[u8],
        segment_bytes: usize,
    ) -> io::Result<()> {
        let Some(state) = self.batched() else {
            return Err(ErrorKind::Unsupported.into());
        };
        let run = Transmit {
            destination: to,
            // Its call overrides what the socket is set to.
            ecn: (self.ecn.granted(ecn) == Ecn::Ect0).then_some(EcnCodepoint::Ect0),
            contents: bytes,
            segment_size: Some(segment_bytes),
            src_ip: None,
        };
        state.try_send((&self.socket).into(), &run)
    }

    /// Sleeps until there is something to read, at most `timeout`.
    #[cfg(unix)]
    pub(super) fn wait_readable(&self, timeout: Duration) {
        wait(&self.socket, rustix::event::PollFlags::IN, timeout);
    }

    /// Sleeps until there is room to write, at most `timeout`.
    #[cfg(unix)]
    pub(super) fn wait_writable(&self, timeout: Duration) {
        wait(&self.socket, rustix::event::PollFlags::OUT, timeout);
    }

    /// Where the system offers nothing better, a nap stands for a wait.
    #[cfg(not(unix))]
    pub(super) fn wait_readable(&self, timeout: Duration) {
        std::thread::sleep(timeout.min(NAP));
    }

    /// Where the system offers nothing better, a nap stands for a wait.
    #[cfg(not(unix))]
    pub(super) fn wait_writable(&self, timeout: Duration) {
        std::thread::sleep(timeout.min(NAP));
    }
}

#[cfg(unix)]
fn wait(socket: &UdpSocket, what: rustix::event::PollFlags, timeout: Duration) {
    let mut fds = [rustix::event::PollFd::new(socket, what)];
    // An error (an interrupted call) is an early return: the caller looks again anyway.
    let _ = rustix::event::poll(&mut fds, timeout.try_into().ok().as_ref());
}

/// Which of our addresses a datagram came to is of no interest here, costs 20 ns each, and does harm: quinn-udp 0.6.3
/// has room for 96 bytes of what the kernel tells of a datagram, and where GRO and a stamp come with the destination
/// (24 + 32 + 32 or 40), the ECN mark (24) no longer fits and is lost.
#[cfg(target_os = "linux")]
fn forgo_destinations(socket: &UdpSocket) {
    use nix::sys::socket::{setsockopt, sockopt};
    // Where it cannot be turned off it was never on.
    let _ = setsockopt(socket, sockopt::Ipv4PacketInfo, &false);
    let _ = setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &false);
}

#[cfg(not(target_os = "linux"))]
fn forgo_destinations(_: &UdpSocket) {}

fn hand_on(
    arrival: &Arrival,
    datagram: &mut [u8],
    counters: &SharedCounters,
    accept: &mut dyn FnMut(&Arrival, &mut [u8]),
) {
    if datagram.len() > DATAGRAM_BYTES_MAX {
        count(&counters.dropped_oversize);
    } else if !datagram.is_empty() {
        accept(arrival, datagram);
    }
}

fn ecn_of(codepoint: Option<EcnCodepoint>) -> Ecn {
    match codepoint {
        None => Ecn::NotCapable,
        Some(EcnCodepoint::Ect0) => Ecn::Ect0,
        Some(EcnCodepoint::Ect1) => Ecn::Ect1,
        Some(EcnCodepoint::Ce) => Ecn::CongestionExperienced,
    }
}

/// Turns the kernel's wall-clock stamps into instants.
struct ArrivalClock {
    now: Instant,
    unix: Duration,
}

impl ArrivalClock {
    fn read() -> Self {
        // Deliberate: the wall clock first. Should the thread lose the core in between, arrivals look a little later
        // than they were, never earlier than they were sent.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { now: Instant::now(), unix }
    }

    /// A stamp from the future, or of long ago, is the wall clock having been set: then it arrived now.
    fn instant_of(&self, stamp: Option<Duration>) -> Instant {
        let age = stamp.and_then(|stamp| self.unix.checked_sub(stamp)).filter(|age| *age < STAMP_AGE_MAX);
        age.and_then(|age| self.now.checked_sub(age)).unwrap_or(self.now)
    }
}

/// What a socket error means to a datagram carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing to read, or no room to write.
    WouldBlock,
    /// Says nothing of this socket: an interrupted call, or Windows reporting that some earlier datagram found
    /// nobody (as a connection reset). Go on.
    Passing,
    /// The datagram does not fit the path, and must not be fragmented.
    PathMtu,
    /// Anything else.
    Other,
}

impl Failure {
    pub(super) fn of(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::WouldBlock,
            ErrorKind::Interrupted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused => {
                Self::Passing
            }
            _ if quinn_udp::is_msg_size_err(error) => Self::PathMtu,
            _ => Self::Other,
        }
    }

    /// Counts a datagram that could not be sent for this.
    pub(super) fn count_unsent(self, counters: &SharedCounters) {
        count(match self {
            Self::WouldBlock => &counters.dropped_send_full,
            Self::PathMtu => &counters.dropped_path_mtu,
            Self::Passing | Self::Other => &counters.errors,
        });
    }
}

/// What a datagram of up to 1472 B costs of the kernel's buffer with a driver that receives into half pages:
/// 2048 and its head of 256.
const KERNEL_BYTES_EACH_MAX: usize = 2304;
/// The kernel coalesces up to one IP packet's worth of datagrams.
const COALESCED_BYTES_MAX: usize = 1 << 16;
/// What one call may send to one peer: 65535 − 40 IPv6 − 8 UDP, and IPv6 counts its header apart: the IPv4 bound
/// 65507 = 65535 − 20 − 8 holds for both.
const RUN_BYTES_MAX: usize = 65_507;
/// The longest that a datagram plausibly lay in the kernel.
const STAMP_AGE_MAX: Duration = Duration::from_secs(2);
/// How long systems without `poll` nap.
#[cfg(not(unix))]
const NAP: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn any_port() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    fn socket() -> NativeSocket {
        NativeSocket::open(any_port(), &SocketOptions::default()).expect("loopback has free ports")
    }

    fn burst(all: &[(u16, usize)]) -> Parcels<(SocketAddr, Ecn)> {
        let mut burst = Parcels::default();
        for (port, len) in all {
            burst.push((SocketAddr::from(([10, 0, 0, 1], *port)), Ecn::NotCapable), &vec![0; *len]);
        }
        burst
    }

    #[test]
    fn runs_are_of_one_peer_and_one_length() {
        let socket = socket();
        if socket.abilities().send_segments_max < 8 {
            // No segmentation here: then every run is one datagram.
            assert_eq!(socket.run_len(&burst(&[(1, 100), (1, 100)]), 0), 1);
            return;
        }
        let check =
            |all: &[(u16, usize)], expected| assert_eq!(socket.run_len(&burst(all), 0), expected, "{all:?}");
        check(&[(1, 100)], 1);
        check(&[(1, 100), (2, 100)], 1);
        check(&[(1, 100), (1, 100), (1, 100), (2, 100)], 3);
        check(&[(1, 100), (1, 50), (1, 50)], 2);
        check(&[(1, 100), (1, 101)], 1);
        check(&[(1, 0), (1, 0)], 1);
        check(&[(1, 100), (1, 0)], 1);
        check(&[(1, 2000); 64], 65_507 / 2000);
        let mut mixed = burst(&[(1, 100)]);
        mixed.push((SocketAddr::from(([10, 0, 0, 1], 1)), Ecn::Ect0), &[0; 100]);
        assert_eq!(socket.run_len(&mixed, 0), 1, "one call, one mark");
    }

    #[test]
    fn stamps_become_instants_and_wild_ones_mean_now() {
        let clock = ArrivalClock { now: Instant::now(), unix: Duration::from_secs(1000) };
        let ago = |age: Duration| clock.now.checked_sub(age).unwrap();
        assert_eq!(clock.instant_of(Some(Duration::from_millis(999_990))), ago(Duration::from_millis(10)));
        assert_eq!(clock.instant_of(None), clock.now);
        assert_eq!(clock.instant_of(Some(Duration::from_secs(1001))), clock.now);
        assert_eq!(clock.instant_of(Some(Duration::from_secs(1))), clock.now);
    }

    #[test]
    fn a_refused_batched_call_leaves_the_plain_ones() {
        let (a, b) = (socket(), socket());
        a.note_refusal(&ErrorKind::WouldBlock.into());
        assert!(a.abilities().batched);
        let mut buffers = a.buffers(8);
        a.note_refusal(&ErrorKind::Unsupported.into());
        assert_eq!((a.abilities().batched, a.abilities().send_segments_max), (false, 1));
        b.send((a.local_addr().unwrap(), Ecn::NotCapable), b"plain").unwrap();
        a.wait_readable(Duration::from_secs(10));
        let mut got = Vec::new();
        a.receive_batch(&mut buffers, &SharedCounters::default(), &mut |_, bytes| {
            got.extend_from_slice(bytes);
        })
        .unwrap();
        assert_eq!(got, b"plain");
    }
}
