//! laminar 0.5 as the session: its delivery guarantees, driven connection by connection without its sockets. Owns the
//! mapping and all that laminar leaves out (tokens, goodbyes, round-trip times, pieces); must never know a socket.
//!
//! **Nothing here is secret.** laminar does not encrypt: every message and the connect token itself travel in the clear,
//! whoever can write the address of a client into a datagram speaks in its name, and a token that is seen on its way
//! can be used first by somebody else. For trusted networks, and to compare with.
//!
//! | ours | laminar's |
//! |---|---|
//! | `Unreliable` | unreliable, one datagram a message |
//! | `UnreliableSequenced` | the same, two bytes of number before each message, stale ones dropped here |
//! | `ReliableUnordered`, `ReliableOrdered` | reliable-ordered, a stream a channel, long messages in pieces: laminar's own unordered may deliver twice, and its fragments come in any order |
//!
//! | file | owns |
//! |---|---|
//! | `frame` | the bytes inside laminar's packets |
//! | `post` | what laminar hands over: datagrams to send, packets received |
//! | `peer` | an established session, either end |
//! | `client`, `server` | the handshake, and the two traits |
//!
//! The handshake is netcode's in spirit: the client shows the request that its token is for, the server answers with a
//! cookie, and who sends the cookie back has shown that it receives where it says. A stranger costs no memory before
//! its token proved authentic, and is never sent more than it sent.

mod client;
mod frame;
mod peer;
mod post;
mod server;

pub use client::LaminarClientSession;
pub use server::LaminarServerSession;
