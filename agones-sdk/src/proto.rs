//! Owns: the generated messages and services of the Agones contracts, one module per package.
//! Must never know: how a sidecar, a client or a fleet behaves.
#![allow(
    missing_docs,
    clippy::all,
    clippy::allow_attributes_without_reason,
    unused_qualifications,
    unreachable_pub,
    clippy::needless_pass_by_value,
    clippy::uninlined_format_args,
    clippy::semicolon_if_nothing_returned,
    reason = "generated from proto/, where every message is commented"
)]

/// `agones.dev.sdk`: the stable SDK.
pub mod sdk {
    tonic::include_proto!("agones.dev.sdk");
}

/// `agones.dev.sdk.beta`: counters and lists.
pub mod beta {
    tonic::include_proto!("agones.dev.sdk.beta");
}

/// `agones.dev.sdk.alpha`: player tracking, being withdrawn upstream.
pub mod alpha {
    tonic::include_proto!("agones.dev.sdk.alpha");
}

/// `allocation`: the allocator service.
pub mod allocation {
    tonic::include_proto!("allocation");
}
