//! The bytes inside laminar's packets. Must never know a session.
//!
//! | first byte | rest |
//! |---|---|
//! | 0 hello | netcode's connection request, 1078 bytes |
//! | 1 challenge | cookie, 16 bytes |
//! | 2 answer | the same cookie |
//! | 3 welcome | |
//! | 4 denied | |
//! | 5 bye | |
//! | 6 ping, 7 pong | sender's time, microseconds, 8 bytes little-endian; a pong repeats the ping's |
//! | 8 nudge | : a reliable packet for what laminar writes into its head |
//! | 9 message, 10 piece with more to come | channel, bytes |

use ::laminar::{Connection, Packet, VirtualConnection};
use netcode_proto::REQUEST_BYTES;

use super::post::Post;

pub(super) const HELLO: u8 = 0;
pub(super) const CHALLENGE: u8 = 1;
pub(super) const ANSWER: u8 = 2;
pub(super) const WELCOME: u8 = 3;
pub(super) const DENIED: u8 = 4;
pub(super) const BYE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const PONG: u8 = 7;
pub(super) const NUDGE: u8 = 8;
pub(super) const MESSAGE: u8 = 9;
pub(super) const PIECE: u8 = 10;

pub(super) const COOKIE_BYTES: usize = 16;
/// What shows that somebody receives where it says.
pub(super) type Cookie = [u8; COOKIE_BYTES];

/// What of the handshake a datagram holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Handshake<'a> {
    Hello(&'a mut [u8]),
    Challenge(Cookie),
    Answer(Cookie),
    Welcome,
    Denied,
}

/// laminar's head of an unreliable packet, which is always the same: the handshake is read and written without laminar,
/// so that a stranger's bytes never reach a state of its.
#[derive(Debug)]
pub(super) struct Envelope {
    head: Vec<u8>,
}

impl Envelope {
    pub(super) fn new(post: &mut Post) -> Self {
        let nobody = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let at = post.at(netcode_wire::Time::ZERO);
        let mut connection = VirtualConnection::new(nobody, post.config(), at);
        connection.process_event(post, Packet::unreliable(nobody, Vec::new()), at);
        let head = post.outgoing.poll().map(|transmit| transmit.bytes.to_vec());
        post.outgoing.counters = netcode_proto::Counters::default();
        Self { head: head.expect("laminar sends what it is given") }
    }

    /// A datagram of the handshake.
    pub(super) fn seal(&self, kind: u8, rest: &[u8]) -> Vec<u8> {
        [&self.head, &[kind][..], rest].concat()
    }

    /// What of the handshake a datagram holds, if anything.
    pub(super) fn open<'a>(&self, datagram: &'a mut [u8]) -> Option<Handshake<'a>> {
        if !datagram.starts_with(&self.head) {
            return None;
        }
        let (kind, rest) = datagram[self.head.len()..].split_first_mut()?;
        match (*kind, rest.len()) {
            (HELLO, REQUEST_BYTES) => Some(Handshake::Hello(rest)),
            (CHALLENGE, COOKIE_BYTES) => Some(Handshake::Challenge((&*rest).try_into().ok()?)),
            (ANSWER, COOKIE_BYTES) => Some(Handshake::Answer((&*rest).try_into().ok()?)),
            (WELCOME, 0) => Some(Handshake::Welcome),
            (DENIED, 0) => Some(Handshake::Denied),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_is_read_as_it_was_written_and_nothing_else_is() {
        let envelope = Envelope::new(&mut Post::new());
        let check = |kind: u8, rest: &[u8], expected: Option<Handshake<'_>>| {
            let mut datagram = envelope.seal(kind, rest);
            assert_eq!(envelope.open(&mut datagram), expected, "kind {kind}");
            let len = datagram.len();
            assert_eq!(envelope.open(&mut datagram[..len - 1]), None, "kind {kind} cut short");
            datagram.push(0);
            assert_eq!(envelope.open(&mut datagram), None, "kind {kind} with a tail");
        };
        check(HELLO, &[7; REQUEST_BYTES], Some(Handshake::Hello(&mut [7; REQUEST_BYTES])));
        check(CHALLENGE, &[1; 16], Some(Handshake::Challenge([1; 16])));
        check(ANSWER, &[2; 16], Some(Handshake::Answer([2; 16])));
        check(WELCOME, &[], Some(Handshake::Welcome));
        check(DENIED, &[], Some(Handshake::Denied));
        check(BYE, &[], None);
        check(MESSAGE, &[0, 1], None);
        assert_eq!(envelope.open(&mut [WELCOME]), None, "without laminar's head");
    }
}
