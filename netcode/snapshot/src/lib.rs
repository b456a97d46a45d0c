//! World state as quantised columns: schema, frames, baselines, deltas, and the messages that carry them.
//!
//! Owns what a replicated world looks like between the server that knows it and the client that is shown it.
//! Must never know an ECS, a socket, a clock, a key or a packet: a [`Frame`] goes in, bits come out, and the
//! same bits give a [`Frame`] again on the other side.
//!
//! # The path of a world
//!
//! | step | who | where |
//! |---|---|---|
//! | components → columns of bounded integers | server, once a tick | [`Replicate::quantise`], [`History::extract`] |
//! | columns → bits against what this client holds | server, per client | [`ClientView::encode`], [`DenseView::encode`]; the one or the other: [`AdaptiveView`] |
//! | bits → columns | client | [`Receiver::decode`] |
//! | columns → components | client | [`Frame::get`] |
//! | "this is what I hold" | client → server | [`Receiver::ack`], [`ClientView::ack`] |
//!
//! # The law
//!
//! For every entity in a client's decoded frame, its columns equal, bit for bit, the columns of the server's
//! frame at the entity's [`Frame::stamp`], whatever was lost, duplicated or reordered on the way. It is held by
//! `tests/law.rs`.
//!
//! # A round
//!
//! ```
//! use netcode_derive::Replicate;
//! use netcode_snapshot::{ClientView, Feedback, History, NetId, Receiver, Replicate, Schema};
//! use netcode_wire::{BitReader, BitWriter, Tick};
//!
//! #[derive(Replicate, Clone, Copy, Debug, PartialEq)]
//! struct Ship {
//!     #[net(range(-64.0..=64.0), step = 0.005)]
//!     x: f32,
//!     #[net(angle, bits = 12)]
//!     heading: f32,
//!     #[net(bits = 7)]
//!     hull: u8,
//! }
//!
//! let schema = Schema::builder().component::<Ship>().build();
//! let (mut history, mut view, mut receiver) = (History::default(), ClientView::new(), Receiver::default());
//! for tick in 1..=3 {
//!     // Server: the world once a tick, then the bits of each client, within its budget.
//!     let mut ship = Ship { x: tick as f32 * 0.5, heading: 0.0, hull: 100 };
//!     ship.snap();
//!     history.extract(Tick(tick), |frame| {
//!         frame.push(&schema, NetId(7), |entity| entity.component(&ship));
//!     });
//!     let mut out = BitWriter::new();
//!     let stats = view.encode(&schema, &history, &[(NetId(7), 1.0)], Feedback::default(), 9_000, &mut out);
//!     assert!(tick == 1 || stats.updates == 1);
//!
//!     // Client: bits to components.
//!     let header = receiver.decode(&schema, &mut BitReader::new(out.as_bytes()))?;
//!     let shown = receiver.latest().and_then(|frame| frame.get::<Ship>(&schema, NetId(7)));
//!     assert_eq!((header.tick, shown), (Tick(tick), Some(ship)));
//!
//!     // And back: in the next input packet.
//!     view.ack(receiver.ack().expect("a snapshot was decoded"));
//! }
//! # Ok::<(), netcode_snapshot::SnapshotError>(())
//! ```
//!
//! # Identity
//!
//! A [`NetId`] names one entity for the whole life of a match (what only some may see of it has names beside it,
//! [`Audience`]): the server counts them up and never gives one
//! out twice. An entity that leaves a client's interest and comes back keeps its id. (A reused id would still
//! decode to the right columns; but a client would blend the old entity into the new one.)

mod adaptive;
mod audience;
mod codec;
pub mod dense;
mod error;
pub mod exchange;
mod far;
mod field;
mod frame;
mod history;
mod id;
mod parts;
mod receiver;
mod record;
mod replicate;
mod ring;
mod schema;
mod shared;
#[doc(hidden)]
pub mod support;
mod view;

pub use adaptive::{AdaptiveView, CodecChoice};
pub use audience::Audience;
pub use dense::{DenseReceiver, DenseView};
pub use error::SnapshotError;
pub use exchange::{
    Ack, ClientWord, Control, Fate, InputPacket, MessageError, MessageSet, MessageSetBuilder, Partial,
    SnapshotHeader, Telemetry, ViewTime,
};
pub use far::Far;
pub use field::{Fallback, Field, FieldKind};
pub use frame::{EntityWriter, Frame};
pub use history::History;
pub use id::{ComponentId, NetId};
pub use parts::{Budget, Parts};
pub use receiver::{Receiver, ReceiverLimits};
pub use replicate::{Enumeration, Input, Message, Replicate, inputs_hash};
pub use schema::{
    DESCRIPTION_BYTES_MAX, NAME_BYTES_MAX, Schema, SchemaBuilder, SchemaDescription, SchemaMismatch,
};
pub use shared::SharedBits;
pub use view::{ClientView, Feedback, SnapshotStats};

/// Greatest number of component types in a schema: presence is a 64-bit mask.
pub const COMPONENTS_MAX: usize = 64;
/// Greatest number of columns in one component.
pub const COLUMNS_MAX: usize = 64;
/// Default bound on the entities one client is shown at a time, on both sides.
pub const ENTITIES_MAX: usize = 16_384;
/// Decoded frames a client keeps, counted in ticks; a baseline is never older than this less one.
pub const RECEIVER_TICKS: usize = 64;
/// Most messages that one snapshot is spread over.
pub const PARTS_MAX: usize = 64;
/// Frames a server keeps by default, counted in ticks.
pub const HISTORY_TICKS: usize = 128;
