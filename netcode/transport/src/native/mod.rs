//! Native UDP. Owns: sockets, their offloads and the thread that serves one. Must never know: packets, sessions.
//!
//! # What it costs, and what was chosen for that
//!
//! Measured by `examples/io_cost.rs` on a 2-core virtual machine (Linux 6.18, loopback) that was busy with other work:
//! ratios count, absolute numbers do not. A server at 60 Hz, each client sends 80 B and gets 250 B a tick:
//!
//! | µs of CPU a client a tick (of it on the tick thread; wake-ups a second) | 64 peers | 256 | 1024 |
//! |---|---|---|---|
//! | polled by the tick thread, plain | 2.71 (2.71; 60) | 2.01 (2.01; 60) | 2.26 (2.26; 60) |
//! | polled by the tick thread, batched | 2.78 (2.78; 60) | 2.16 (2.16; 59) | 2.23 (2.23; 60) |
//! | own threads, woken by every datagram | 6.24 (0.50; 1925) | 4.12 (0.20; 5856) | 3.59 (0.09; 16168) |
//! | own threads (default) | 3.59 (1.01; 186) | 2.62 (0.55; 184) | 2.24 (0.54; 200) |
//! | own receiving thread, the tick sends | 3.46 (2.61; 124) | 2.36 (1.89; 126) | 2.26 (1.86; 123) |
//!
//! *Wake-ups are what a thread of its own costs*, not the hand-over: woken by every datagram it costs 1.6 to 2.2 times
//! polling. So it rests between looks, 4 to 16 ms ([`UdpThreadConfig::gather`]), and the tick thread empties the socket
//! itself when it reads. What is left of the price is 1.3 times polling at 64 clients, 1.0 to 1.2 times at 256 (two
//! runs), none at 1024. It buys two things: the tick thread is free of three quarters of the work (most of all, of
//! `sendto`), and the kernel's buffer does not run over when a tick is late. Hence the default. Where cores are short
//! and servers are many, [`SendFrom::TickThread`] saves the sending thread, and [`UdpCarrier`] both. (The table was
//! taken while datagrams still told their destination, 20 ns each.)
//!
//! Bare calls, ns a datagram:
//!
//! | | send | receive |
//! |---|---|---|
//! | `sendto` / `recvfrom`, 250 peers, 250 B | 744 | 212–247 |
//! | `sendmsg` / `recvmmsg` by hand, nothing asked of the kernel | – | 211 |
//! | the same with ECN / with ECN, stamp, GRO | – | 243 / 271 |
//! | `quinn-udp` with all of it, batches of 32 / less the destination address | 774 | 300 / 281 |
//! | 64 × 1200 B to one peer, one by one | 876–1197 | 293–325 |
//! | 64 × 1200 B to one peer, GSO and GRO | 116 | 50 |
//!
//! *Batching alone gains nothing* (211 against 212): what counts is the number of datagrams, and what the kernel is
//! asked to tell of each. ECN and the stamp cost 60 ns; the stamp is what lets the thread rest, and so earns its price
//! many times over. One datagram goes by `sendto`, which is cheaper than `sendmsg`; a run to one peer by GSO, which is
//! 7 times cheaper to send and 6 times to receive. `quinn-udp` costs 10 ns more than calls written by hand: not worth
//! unsafe code of ours.
//!
//! # Why one socket
//!
//! More sockets at one port, measured by `examples/socket_plans.rs` (same machine, medians of 101 rounds in turns on one
//! thread; ns of CPU a datagram to send 250 B, to receive 80 B, and for the kernel to find the socket of what arrives):
//!
//! | | 64 peers | 250 | 1000 |
//! |---|---|---|---|
//! | one socket | 742 + 213 + 912 | 752 + 215 + 925 | 1220 + 325 + 1185 |
//! | 2 shards by SO_REUSEPORT | 737 + 220 + 908 | 770 + 223 + 925 | 1187 + 368 + 1200 |
//! | 4 shards | 737 + 226 + 911 | 762 + 226 + 924 | 1188 + 385 + 1203 |
//! | a connected socket a peer, epoll | 720 + 292 + 819 | 1115 + 364 + 1031 | 1988 + 1143 + 1783 |
//!
//! *Connected sockets do not pay*: they save 3 % of a send at 64 peers, lose a third of the receiving there for
//! epoll and one call a peer, and from 250 peers on are dearer in every column, twice at 1000: a socket a peer is
//! kilobytes of kernel memory a peer to pull through the caches. They would also have to be opened before a stranger
//! has proven anything, or be followed through every move of a session. *Shards do not pay*: a datagram costs the same
//! on each, and what they add is threads. One thread receives and one sends, about 2 and 1 million datagrams a second
//! by these numbers: at 60 Hz 15 000 clients, where a tick thread that seals each datagram is full at a few thousand.
//! Should one tick ever be fed by more than one core, rooms of their own processes are how this framework scales.
//!
//! An idle carrier wakes once a second; a look at an empty socket costs 0.3 µs.

mod carrier;
mod header;
mod options;
mod socket;
mod thread;

pub use carrier::UdpCarrier;
pub use options::{IoMode, SocketOptions, TransportError};
pub use socket::Abilities;
pub use thread::{SendFrom, UdpThread, UdpThreadConfig};
