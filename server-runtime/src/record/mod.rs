//! The flight recorder: what a room's world was given, tick by tick, and what became of it, in bounded memory; and the
//! file that it is written to. Owns the format; must never know a socket, a clock nor a game.
//!
//! | file | owns |
//! |---|---|
//! | `tape` | bounded chunks of entries |
//! | `cue` | what happened to the world in a tick |
//! | `lines` | the players' inputs of a tick |
//! | `frames` | what the world looked like after it |
//! | `recorder` | a tick's entries, in the making |
//! | `file` | the tapes as a file, and back |
//! | `shelf` | the folder of files |
//!
//! Two tapes share the bound. The first one holds, for every tick since the room was made, all that came to the world
//! from outside it, and a digest of what changed; with the game's own code the ticks can be simulated again from that, and the first
//! one that comes out otherwise is found. The second one holds a frame a quarter of a second, the newest ones: by them a
//! difference is traced to an entity and a component.

mod cue;
mod file;
mod frames;
mod lines;
mod recorder;
pub(crate) mod shelf;
mod tape;

pub(crate) use cue::Cue;
pub use file::{Recording, RecordingError};
pub(crate) use frames::{FlatFrame, digest};
pub(crate) use lines::Line;
pub(crate) use recorder::{FRAME_TICKS, FrameReader, Identity, Moment, Moments, Recorder};
