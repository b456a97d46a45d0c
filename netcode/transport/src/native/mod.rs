//! Native UDP. Owns: sockets, their offloads and the thread that serves one. Must never know: packets, sessions.
//!
//! # What the kernel charges, and what was chosen for it
//!
//! NUMBERS
mod carrier;
mod options;
mod socket;
mod thread;

pub use carrier::UdpCarrier;
pub use options::{IoMode, SocketOptions, TransportError};
pub use socket::Abilities;
pub use thread::{SendFrom, UdpThread, UdpThreadConfig};
