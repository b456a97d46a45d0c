//! Tickwright's netcode: encrypted sessions, channels, replicated worlds, prediction and interpolation.
//!
//! This crate owns no logic: it is the door to the rooms below and their manual. It must never know an ECS.
//!
//! | room | owns |
//! |---|---|
//! | [`wire`] | bits, varints, quantisation, ticks and times |
//! | [`token`] | connect tokens and the seals they are made with: all that backend and game server share |
//! | [`proto`] | sessions (netcode 1.02), acknowledgements, channels, fragments: one datagram a peer a tick |
//! | [`snapshot`] | the world as quantised columns, deltas against what a client holds, the messages of a match |
//! | [`client`] | the player's half: clock, inputs, prediction, reconciliation, interpolation |
//! | [`transport`] | the carriers: UDP with and without threads, WebSocket for browsers (feature `websocket`), memory |
//!
//! Knowledge runs one way: `wire` ← `token`, `snapshot` ← `proto` ← `client`; `transport` knows none of them. Nothing
//! but `transport` touches a socket, a clock or a thread: everywhere else, time and datagrams are arguments, and what
//! is to be sent is polled.
//!
//! # What a game declares
//!
//! A component that players see, an input, and one pure function that server and client share:
//!
//! ```
//! use netcode::{Game, Input, Replicate, StepContext};
//!
//! #[derive(Clone, Debug, PartialEq, Replicate)]
//! #[net(predicted)]
//! struct Ship {
//!     #[net(range(-64.0..=64.0), step = 0.005)]
//!     x: f32,
//!     #[net(angle, bits = 12)]
//!     heading: f32,
//! }
//!
//! #[derive(Clone, Debug, Default, PartialEq, Input)]
//! struct Controls {
//!     thrust: bool,
//!     #[net(signed, bits = 2)]
//!     turn: i32,
//! }
//!
//! struct Arena;
//!
//! impl Game for Arena {
//!     type Input = Controls;
//!     type State = Ship;
//!
//!     fn step(ship: &mut Ship, controls: &Controls, context: StepContext) {
//!         ship.heading += controls.turn as f32 * 3.0 * context.dt;
//!         if controls.thrust {
//!             ship.x += ship.heading.cos() * 10.0 * context.dt;
//!         }
//!     }
//!
//!     fn distance(a: &Ship, b: &Ship) -> f32 {
//!         (a.x - b.x).abs()
//!     }
//! }
//! ```
//!
//! The derives write paths of `netcode_snapshot` and `netcode_wire`: a crate that uses them depends on those two as
//! well as on this one.
//!
//! Both sides step through [`client::step`], which rounds the result onto the wire's grid. So equal inputs give equal
//! bits, prediction is compared bit for bit, and a client on a good link is never corrected.
//!
//! # A tick, end to end
//!
//! 1. The client's clock says that tick `t` is due. The player's input for `t` is asked for, predicted at once, and
//!    sent with every earlier input that the server may still lack, an acknowledgement of the newest snapshot, and the
//!    moment at which remote entities were shown.
//! 2. The server simulates `t` with that input, or, where it is missing, with the last one for a bounded time.
//! 3. It extracts the world once into quantised columns, and writes each client the difference to what that client is
//!    known to hold, within a byte budget. The head of the snapshot says how early the client's input came.
//! 4. The client decodes; compares its own entity, column by column, with what it predicted for `t`; on a difference
//!    it replays its inputs from there, and lets the shown error fade. The feedback makes its clock a little faster or
//!    slower.
//! 5. Remote entities are shown a little in the past, between two snapshots; how little follows the jitter of their
//!    arrival.
//!
//! # What is promised, and the test that holds it
//!
//! | promise | test |
//! |---|---|
//! | at every acknowledged tick the client's frame is the server's, bit for bit | `netcode/tests/whole/journey.rs` |
//! | without loss the own movement is never mispredicted | `netcode/tests/whole/journey.rs` |
//! | with 60 ms RTT, 10 ms jitter and 2 % loss it hardly ever is | `netcode/tests/whole/journey.rs` |
//! | a newer token takes the older session over at once | `netcode/tests/whole/reconnect.rs` |
//! | a slow frame skips ticks and owes nothing | `netcode/tests/whole/frames.rs` |
//! | whatever an authentic server sends, the client goes on or leaves with a reason | `netcode/tests/whole/hostile.rs` |
//! | the same over real sockets | `netcode/tests/whole/sockets.rs`, `netcode/transport/tests/loopback.rs` |
//! | a session survives its broken WebSocket, and moves between carriers by proof alone | `netcode/transport/tests/sessions.rs` |
//! | after a stall of TCP comes the newest state, and everything reliable | `netcode/transport/tests/sessions.rs` |
//! | steady state allocates nothing in the client | `netcode/tests/allocations.rs` |

pub use netcode_client as client;
pub use netcode_proto as proto;
pub use netcode_snapshot as snapshot;
pub use netcode_token as token;
pub use netcode_transport as transport;
pub use netcode_wire as wire;

pub use netcode_client::{Client, ClientConfig, ClientState, ClientStats, Game, StepContext, WorldView};
pub use netcode_derive::{Enumeration, Input, Message, Replicate};
pub use netcode_proto::{ChannelId, channels};
pub use netcode_snapshot::{Enumeration, Input, Message, MessageSet, NetId, Replicate, Schema, ViewTime};
pub use netcode_wire::{Tick, Time};
