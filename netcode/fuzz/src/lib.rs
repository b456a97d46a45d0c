//! The bodies of the fuzz targets: what is fed to each parser, and which laws hold whatever was fed.
//!
//! Owns no fuzzer: `fuzz_targets/` hands libFuzzer's bytes to these functions, and `netcode/tests/fuzz_corpus.rs`
//! replays the corpus through the very same ones on the stable toolchain. Must never know where its bytes come
//! from; no target reads a clock or draws a random number.
//!
//! A target breaks a law by panicking. It returns 0 when its bytes were refused at the door, and otherwise a
//! digest of everything that could be observed: equal bytes must give equal digests.

pub mod dense;
pub mod endpoint;
pub mod exchange;
mod feed;
pub mod link;
mod parts;
pub mod session;
pub mod snapshot;
pub mod token;
pub mod wire;

/// One fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name for `cargo fuzz run`, and its folder in `corpus/`.
    pub name: &'static str,
    /// Feeds it; panics when a law is broken.
    pub run: fn(&[u8]) -> u64,
    /// Inputs that it takes, made by the honest encoders: where the fuzzer begins.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: [Target; 14] = [
    Target { name: "wire_bits", run: wire::bits, seeds: wire::bits_seeds },
    Target { name: "wire_bytes", run: wire::bytes, seeds: wire::bytes_seeds },
    Target { name: "token_public", run: token::public, seeds: token::public_seeds },
    Target { name: "token_private", run: token::private, seeds: token::private_seeds },
    Target { name: "session", run: session::packets, seeds: session::packets_seeds },
    Target { name: "link", run: link::bodies, seeds: link::bodies_seeds },
    Target { name: "snapshot_receiver", run: snapshot::receiver, seeds: snapshot::receiver_seeds },
    Target { name: "snapshot_dense", run: dense::receiver, seeds: dense::receiver_seeds },
    Target { name: "snapshot_header", run: exchange::header, seeds: exchange::header_seeds },
    Target { name: "control", run: exchange::control, seeds: exchange::control_seeds },
    Target { name: "input_packet", run: exchange::input, seeds: exchange::input_seeds },
    Target { name: "telemetry", run: exchange::telemetry, seeds: exchange::telemetry_seeds },
    Target { name: "message_set", run: exchange::messages, seeds: exchange::messages_seeds },
    Target { name: "endpoint", run: endpoint::schedule, seeds: endpoint::schedule_seeds },
];
