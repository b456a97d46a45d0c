//! What the tests share: stores on both engines (with Postgres and Redis processes of their own), an allocator
//! that hands out servers, and a backend process to talk to and to kill.

#![allow(dead_code, unreachable_pub, reason = "each test uses its own part of this")]

pub mod allocator;
pub mod engines;
pub mod journey;
pub mod process;
pub mod world;

/// A device secret that no other call gives.
pub fn secret() -> String {
    format!("{:032x}{:016x}", fastrand::u128(..), fastrand::u64(..))
}
