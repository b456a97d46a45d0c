//! The alphabet of the wire: bits, bytes, quantised numbers, ticks and times.
//!
//! Owns how a number becomes bits and how bits become a number again. Must never know what a packet, a
//! channel, a snapshot or a key is. `no_std` + `alloc`, no dependencies; no function here panics on input
//! that came from outside, and none allocates more than the bytes that are really there.
#![no_std]

extern crate alloc;

pub mod bits;
pub mod bytes;
mod ecn;
mod error;
pub mod quant;
mod tick;
mod time;

pub use bits::{BitReader, BitWriter};
pub use bytes::{ByteReader, ByteWriter};
pub use ecn::Ecn;
pub use error::WireError;
pub use tick::Tick;
pub use time::Time;
