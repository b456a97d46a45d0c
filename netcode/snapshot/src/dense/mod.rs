//! The dense codec: the same frames in a third of the bits, for thin links and replays. Must never know an ECS nor a
//! socket, as all of the crate.
//!
//! A [`DenseView`] and a [`DenseReceiver`] take the places of [`ClientView`](crate::ClientView) and
//! [`Receiver`](crate::Receiver). What they send is coded by context: every number by how probable it is after what
//! both sides know, in a binary range coder (`range.rs`) with mixed context models (`mix.rs`, `symbol.rs`), as the
//! difference from what the component's predictor expects (`past.rs`, [`Predict`]).
//!
//! # The law of the confirmed
//!
//! A snapshot is coded against its *baseline*: the newest one that the client is known to hold. Model and past states
//! are those that follow from the snapshots which the client decoded up to the baseline, each applied once, in order
//! (`world.rs`); a client never decodes a snapshot older than its newest, and its acknowledgement names those it did
//! decode, so the server knows exactly these. What is on its way teaches nothing until it is acknowledged, what is
//! lost never does, and coding changes nothing: so no loss, delay, copy or reorder can make the two sides differ.
//! Against one state for each snapshot this learns from every snapshot and not from every sixth, and it keeps one model
//! a client instead of sixty-four. Where an acknowledgement leaves a gap (33 ticks or more without one), or none came
//! for 63 ticks, both sides forget everything and begin a new *epoch*, which the snapshot names. An epoch begins with
//! nothing; or, where another codec's snapshots came before, with the frame that the client acknowledged last, which both
//! sides know: then its first snapshots have a baseline.
//!
//! # What it holds
//!
//! For each client, on both sides: 16.9 KiB of model a column; 9 states of each entity, 4 bytes a column; and of each
//! snapshot on its way at most 4096 numbers of 24 bytes, and what it told. Snapshots that tell of a whole world take as much
//! (200 KiB each for 900 entities of eight columns, one a tick until the first is acknowledged); their memory is given back
//! once they have ended.
//!
//! # How far
//!
//! A baseline is never older than 63 ticks. Where acknowledgements take longer, a second at 60 Hz, there is none, and every
//! snapshot tells everything whole, as the shared codec's do then; where they take about as long, epochs end almost as soon
//! as they have a baseline. Such a link is one for a server of fewer ticks a second.
//!
//! # Bits
//!
//! | bits | what |
//! |---|---|
//! | 57 or more | [`SnapshotHeader`](crate::SnapshotHeader) |
//! | 4 | epoch |
//! | 8n, to the end of the message | range-coded news (`scribe.rs`) |

mod flight;
mod mix;
mod past;
mod range;
mod receiver;
mod scribe;
mod symbol;
mod view;
mod world;

pub use past::{Past, Predict, Turn, linear, rotation_at};
pub(crate) use receiver::DenseReader;
pub use receiver::DenseReceiver;
pub(crate) use scribe::HEAD_COLUMNS;
pub use view::DenseView;

use crate::ring::place;

/// Past states that are kept of each entity.
pub const PAST_MAX: usize = 8;

const EPOCH_BITS: u32 = 4;
const EPOCHS: u8 = 1 << EPOCH_BITS;
