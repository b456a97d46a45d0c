//! Would more sockets than one pay for a server? `cargo run --release -p netcode-transport --example socket_plans`.
//!
//! Owns the measurement behind "one socket" in `src/native/mod.rs`: one socket, one connected socket a peer, and shards
//! of one port by SO_REUSEPORT, in turns on one thread, so that rows of one run compare. CPU time, medians.

use std::{
    error::Error,
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
};

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("epoll and balanced SO_REUSEPORT are Linux's");
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn Error>> {
    use plans::{Batched, Connected, Shards, median};

    for peers in [64, 250, 1000] {
        let crowd = plans::Crowd::open(peers)?;
        let mut servers: Vec<(&str, Box<dyn plans::Plan>)> = vec![
            ("one socket, batched (our carrier)", Box::new(Batched::open()?)),
            ("one socket", Box::new(Shards::open(1)?)),
            ("2 shards of one port", Box::new(Shards::open(2)?)),
            ("4 shards of one port", Box::new(Shards::open(4)?)),
            ("a connected socket a peer, epoll", Box::new(Connected::open(&crowd)?)),
        ];
        println!(
            "{peers} peers, {} B down, {} B up: ns of CPU a datagram",
            plans::DOWN_BYTES,
            plans::UP_BYTES
        );
        println!("{:36} {:>8} {:>8} {:>16}", "", "send", "receive", "kernel delivers");
        let mut rows = vec![[const { Vec::new() }; 3]; servers.len()];
        for _ in 0..plans::ROUNDS {
            for ((_, server), row) in servers.iter_mut().zip(&mut rows) {
                let round = plans::round(&mut **server, &crowd);
                (0..3).for_each(|column| row[column].push(round[column]));
            }
        }
        for ((name, _), row) in servers.iter().zip(rows) {
            let [send, receive, deliver] = row.map(median);
            println!("{name:36} {send:8.0} {receive:8.0} {deliver:16.0}");
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
mod plans {
    use super::{Error, ErrorKind, SocketAddr, UdpSocket};
    use netcode_transport::{Carrier, SocketOptions, UdpCarrier};
    use rustix::{
        event::epoll,
        time::{ClockId, clock_gettime},
    };
    use socket2::{Domain, Protocol, Socket, Type};

    pub(super) const ROUNDS: usize = 101;
    pub(super) const DOWN_BYTES: usize = 250;
    pub(super) const UP_BYTES: usize = 80;

    type Result<T> = std::result::Result<T, Box<dyn Error>>;

    /// The peers' sockets.
    pub(super) struct Crowd {
        sockets: Vec<UdpSocket>,
        addresses: Vec<SocketAddr>,
    }

    impl Crowd {
        pub(super) fn open(peers: usize) -> Result<Self> {
            let (mut sockets, mut addresses) = (Vec::new(), Vec::new());
            for _ in 0..peers {
                let socket = UdpSocket::bind(any_port())?;
                socket.set_nonblocking(true)?;
                addresses.push(socket.local_addr()?);
                sockets.push(socket);
            }
            Ok(Self { sockets, addresses })
        }
    }

    /// A way to serve all peers at one address.
    pub(super) trait Plan {
        fn address(&self) -> SocketAddr;
        fn send(&mut self, crowd: &Crowd);
        /// How many came.
        fn receive(&mut self) -> usize;
    }

    /// Our carrier: batched calls on one socket.
    pub(super) struct Batched(UdpCarrier);

    impl Batched {
        pub(super) fn open() -> Result<Self> {
            let options = SocketOptions { receive_batch: 32, ..Default::default() };
            Ok(Self(UdpCarrier::open_with(any_port(), options)?))
        }
    }

    impl Plan for Batched {
        fn address(&self) -> SocketAddr {
            self.0.local_addr()
        }

        fn send(&mut self, crowd: &Crowd) {
            crowd.addresses.iter().for_each(|to| self.0.send(*to, &[1; DOWN_BYTES]));
        }

        fn receive(&mut self) -> usize {
            self.0.receive(&mut |_, _| ())
        }
    }

    /// Sockets of one port, looked at in turns, a call a datagram. A peer is answered by any of them.
    pub(super) struct Shards(Vec<UdpSocket>);

    impl Shards {
        pub(super) fn open(shards: usize) -> Result<Self> {
            let (mut sockets, mut address) = (Vec::new(), any_port());
            for _ in 0..shards {
                let socket = shared_port(address)?;
                socket.set_nonblocking(true)?;
                address = socket.local_addr()?;
                sockets.push(socket);
            }
            Ok(Self(sockets))
        }
    }

    impl Plan for Shards {
        fn address(&self) -> SocketAddr {
            self.0[0].local_addr().expect("it is bound")
        }

        fn send(&mut self, crowd: &Crowd) {
            for (index, to) in crowd.addresses.iter().enumerate() {
                // The peers' buffers hold a round.
                let _ = self.0[index % self.0.len()].send_to(&[1; DOWN_BYTES], to);
            }
        }

        fn receive(&mut self) -> usize {
            let mut buffer = [0; 2048];
            let mut all =
                |socket: &UdpSocket| std::iter::from_fn(|| socket.recv_from(&mut buffer).ok()).count();
            self.0.iter().map(&mut all).sum()
        }
    }

    fn shared_port(address: SocketAddr) -> Result<UdpSocket> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_port(true)?;
        socket.set_recv_buffer_size(1 << 20)?;
        socket.set_send_buffer_size(1 << 20)?;
        socket.bind(&address.into())?;
        Ok(socket.into())
    }

    /// A socket for each peer, connected to it, all of one port; epoll tells which have something.
    pub(super) struct Connected {
        address: SocketAddr,
        sockets: Vec<UdpSocket>,
        epoll: std::os::fd::OwnedFd,
        events: Vec<epoll::Event>,
    }

    impl Connected {
        pub(super) fn open(crowd: &Crowd) -> Result<Self> {
            let mut address = any_port();
            let (mut sockets, epoll) = (Vec::new(), epoll::create(epoll::CreateFlags::CLOEXEC)?);
            for peer in &crowd.addresses {
                let socket = shared_port(address)?;
                socket.connect(peer)?;
                socket.set_nonblocking(true)?;
                address = socket.local_addr()?;
                let data = epoll::EventData::new_u64(sockets.len() as u64);
                epoll::add(&epoll, &socket, data, epoll::EventFlags::IN)?;
                sockets.push(socket);
            }
            let events = Vec::with_capacity(sockets.len());
            Ok(Self { address, sockets, epoll, events })
        }
    }

    impl Plan for Connected {
        fn address(&self) -> SocketAddr {
            self.address
        }

        fn send(&mut self, _: &Crowd) {
            for socket in &self.sockets {
                // The peers' buffers hold a round.
                let _ = socket.send(&[1; DOWN_BYTES]);
            }
        }

        fn receive(&mut self) -> usize {
            let (mut received, mut buffer) = (0, [0; 2048]);
            self.events.clear();
            let at_once = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
            if epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&at_once))
                .is_err()
            {
                return 0;
            }
            for event in &self.events {
                let socket = &self.sockets[event.data.u64() as usize];
                // One more call than datagrams, as edge-triggered readers and those who look for more pay it; level
                // triggered, one datagram a look is enough: the cheaper is measured.
                received += usize::from(socket.recv(&mut buffer).is_ok());
            }
            received
        }
    }

    /// One tick: the server sends to all, all answer, the server reads. CPU time of each part, ns a datagram.
    pub(super) fn round(server: &mut dyn Plan, crowd: &Crowd) -> [f64; 3] {
        let each = crowd.sockets.len() as f64;
        let begin = own_cpu_ns();
        server.send(crowd);
        let sent = own_cpu_ns();
        let mut buffer = [0; 2048];
        for socket in &crowd.sockets {
            while !matches!(socket.recv(&mut buffer), Err(error) if error.kind() == ErrorKind::WouldBlock) {}
        }
        let answering = own_cpu_ns();
        for socket in &crowd.sockets {
            // On loopback the kernel finds the server's socket within this call: what more sockets cost shows here.
            socket.send_to(&[1; UP_BYTES], server.address()).expect("loopback takes it");
        }
        let answered = own_cpu_ns();
        let mut received = 0;
        while received < crowd.sockets.len() {
            received += server.receive();
        }
        let read = own_cpu_ns();
        [sent - begin, read - answered, answered - answering].map(|ns| ns as f64 / each)
    }

    pub(super) fn median(mut all: Vec<f64>) -> f64 {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    }

    fn any_port() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    fn own_cpu_ns() -> u64 {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
}
