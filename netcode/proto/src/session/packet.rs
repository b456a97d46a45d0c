//! Packets as bytes: prefix, sequence, sealed text, tag. Must never know a session's state.
//!
//! | bytes | field |
//! |---|---|
//! | 1 | prefix: type in the low 4 bits, length of the sequence (1 to 8) in the high 4 |
//! | 0 or 4 | connection id: in extended packets from a client |
//! | 1–8 | sequence, little-endian, high zero bytes left out |
//! | n | text, sealed |
//! | 16 | tag |
//!
//! The request alone has another form; see [`Request`].

use netcode_token::aead::{PacketKey, TAG_LEN};
use netcode_token::{NONCE_LEN, PRIVATE_LEN, VERSION};
use netcode_wire::{ByteReader, ByteWriter, WireError};

use super::challenge::SEALED_CHALLENGE_LEN;
use super::extension::{ACCEPT_TEXT_LEN, CONNECTION_ID_LEN, ConnectionId};
use super::path::COOKIE_LEN;
use super::replay::ReplayWindow;

/// The types of sealed packets, by their number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum PacketType {
    Denied = 1,
    Challenge = 2,
    Response = 3,
    KeepAlive = 4,
    Payload = 5,
    Disconnect = 6,
    Accept = 7,
    Probe = 9,
    PathChallenge = 10,
    PathResponse = 11,
    ProbeAnswer = 15,
}

impl PacketType {
    /// The type with this number, and whether its packet has the extended form. The request (0) is not sealed and not
    /// among them.
    fn from_number(number: u8) -> Option<(Self, bool)> {
        Some(match number {
            1 => (Self::Denied, false),
            2 => (Self::Challenge, false),
            3 => (Self::Response, false),
            4 => (Self::KeepAlive, false),
            5 => (Self::Payload, false),
            6 => (Self::Disconnect, false),
            7 => (Self::Accept, false),
            9 => (Self::Probe, true),
            10 => (Self::PathChallenge, true),
            11 => (Self::PathResponse, true),
            12 => (Self::KeepAlive, true),
            13 => (Self::Payload, true),
            14 => (Self::Disconnect, true),
            15 => (Self::ProbeAnswer, true),
            _ => return None,
        })
    }

    /// The number on the wire: the extended form is the bit of value 8.
    const fn number(self, form: Form) -> u8 {
        match form {
            Form::Standard => self as u8,
            Form::Extended | Form::Routed(_) => self as u8 | EXTENDED,
        }
    }

    /// Whether a text of `len` bytes can be of this type.
    fn fits(self, len: usize, extended: bool) -> bool {
        match self {
            Self::Denied | Self::Disconnect => len == 0,
            Self::Challenge | Self::Response => len == CHALLENGE_TEXT_LEN,
            Self::KeepAlive => len == KEEP_ALIVE_TEXT_LEN,
            Self::Payload if extended => (1..=EXTENDED_TEXT_MAX).contains(&len),
            Self::Payload => (1..=PAYLOAD_MAX).contains(&len),
            Self::Probe => (1..=EXTENDED_TEXT_MAX).contains(&len),
            Self::ProbeAnswer => len == PROBE_ANSWER_LEN,
            Self::Accept => len == ACCEPT_TEXT_LEN,
            Self::PathChallenge | Self::PathResponse => len == COOKIE_LEN,
        }
    }
}

/// How the packets of a session look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As the standard says.
    Standard,
    /// Under extended keys: from a server.
    Extended,
    /// Under extended keys and with the connection id in clear: from a client.
    Routed(ConnectionId),
}

impl Form {
    /// Whether packets of this form are sealed under the extended keys.
    pub(crate) const fn is_extended(self) -> bool {
        !matches!(self, Self::Standard)
    }
}

/// Whose packets are read: a client's carry the connection id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    Server,
}

/// What stands in clear before the sealed text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: PacketType,
    pub(crate) form: Form,
    pub(crate) sequence: u64,
    prefix: u8,
    /// Prefix, connection id and sequence, bytes.
    len: usize,
}

impl Head {
    /// Reads the head of a datagram whose whole length fits its type.
    pub(crate) fn decode(datagram: &[u8], sender: Sender) -> Option<Self> {
        let (&prefix, rest) = datagram.split_first()?;
        let (kind, extended) = PacketType::from_number(prefix & 0x0f)?;
        let (form, rest) = match (extended, sender) {
            (false, _) => (Form::Standard, rest),
            (true, Sender::Server) => (Form::Extended, rest),
            (true, Sender::Client) => {
                let (id, rest) = rest.split_first_chunk::<CONNECTION_ID_LEN>()?;
                (Form::Routed(ConnectionId::from_bytes(*id)), rest)
            }
        };
        let sequence_len = usize::from(prefix >> 4);
        if !(1..=8).contains(&sequence_len) {
            return None;
        }
        // Checked before anything is split off: what remains holds at least a tag.
        let text_len = rest.len().checked_sub(sequence_len + TAG_LEN)?;
        if !kind.fits(text_len, extended) {
            return None;
        }
        let mut sequence = [0; 8];
        sequence[..sequence_len].copy_from_slice(&rest[..sequence_len]);
        let len = datagram.len() - rest.len() + sequence_len;
        Some(Self { kind, form, sequence: u64::from_le_bytes(sequence), prefix, len })
    }
}

/// Seals and opens the packets of one protocol.
#[derive(Debug, Clone)]
pub(crate) struct Sealer {
    /// Version, protocol id, and places for prefix and connection id.
    associated: [u8; ASSOCIATED_LEN + CONNECTION_ID_LEN],
}

impl Sealer {
    pub(crate) fn new(protocol_id: u64) -> Self {
        let mut associated = [0; ASSOCIATED_LEN + CONNECTION_ID_LEN];
        associated[..13].copy_from_slice(&VERSION);
        associated[13..21].copy_from_slice(&protocol_id.to_le_bytes());
        Self { associated }
    }

    /// Appends the sealed packet to `out`.
    pub(crate) fn seal(
        &self,
        out: &mut Vec<u8>,
        key: &PacketKey,
        (kind, form): (PacketType, Form),
        sequence: u64,
        text: &[u8],
    ) {
        let sequence_len = sequence_len(sequence);
        let prefix = kind.number(form) | (sequence_len as u8) << 4;
        out.push(prefix);
        if let Form::Routed(id) = form {
            out.extend_from_slice(&id.to_bytes());
        }
        out.extend_from_slice(&sequence.to_le_bytes()[..sequence_len]);
        let start = out.len();
        out.extend_from_slice(text);
        let (associated, len) = self.associated(prefix, form);
        let tag = key.seal(sequence, &associated[..len], &mut out[start..]);
        out.extend_from_slice(&tag);
    }

    /// Opens the packet in place and gives its text; `None` when it is not authentic.
    pub(crate) fn open<'a>(
        &self,
        datagram: &'a mut [u8],
        key: &PacketKey,
        head: Head,
    ) -> Option<&'a mut [u8]> {
        let (associated, len) = self.associated(head.prefix, head.form);
        key.open(head.sequence, &associated[..len], &mut datagram[head.len..]).ok()
    }

    /// What the tag binds besides the text, and how much of it counts.
    fn associated(&self, prefix: u8, form: Form) -> ([u8; ASSOCIATED_LEN + CONNECTION_ID_LEN], usize) {
        let mut associated = self.associated;
        associated[ASSOCIATED_LEN - 1] = prefix;
        match form {
            Form::Standard | Form::Extended => (associated, ASSOCIATED_LEN),
            Form::Routed(id) => {
                associated[ASSOCIATED_LEN..].copy_from_slice(&id.to_bytes());
                (associated, ASSOCIATED_LEN + CONNECTION_ID_LEN)
            }
        }
    }
}

/// Packets of one session, for measurements alone: what head, associated data and replay window cost around the cipher.
#[doc(hidden)]
#[derive(Debug)]
pub struct PacketBench {
    sealer: Sealer,
    key: PacketKey,
    replay: ReplayWindow,
}

impl PacketBench {
    /// A session under `key`.
    #[must_use]
    pub fn new(key: PacketKey) -> Self {
        Self { sealer: Sealer::new(1), key, replay: ReplayWindow::default() }
    }

    /// Seals `text` as an extended payload into `out`, which is cleared first.
    pub fn seal(&self, sequence: u64, text: &[u8], out: &mut Vec<u8>) {
        out.clear();
        self.sealer.seal(out, &self.key, (PacketType::Payload, Form::Extended), sequence, text);
    }

    /// Opens what `seal` made, as a session does; the text's length, `None` when it is not fresh or not authentic.
    pub fn open(&mut self, datagram: &mut [u8]) -> Option<usize> {
        let head =
            Head::decode(datagram, Sender::Server).filter(|head| self.replay.is_fresh(head.sequence))?;
        let len = self.sealer.open(datagram, &self.key, head)?.len();
        self.replay.mark(head.sequence);
        Some(len)
    }
}

/// How many bytes of a sequence are written: at least one, also for zero.
pub(crate) fn sequence_len(sequence: u64) -> usize {
    (8 - sequence.leading_zeros() as usize / 8).max(1)
}

/// A connection request: the one packet in clear.
///
/// | bytes | field |
/// |---|---|
/// | 1 | 0 |
/// | 13 | version |
/// | 8 | protocol id |
/// | 8 | token's expiry, unix seconds |
/// | 24 | token's nonce |
/// | 1024 | token's private part, sealed |
#[derive(Debug)]
pub struct Request<'a> {
    /// When the token ends to admit anyone, unix seconds: as claimed, until the private part opened with it.
    pub expire_unix_s: u64,
    /// What the private part is sealed with.
    pub nonce: [u8; NONCE_LEN],
    /// The token's private part, for [`netcode_token::open_private`].
    pub private: &'a mut [u8],
}

impl<'a> Request<'a> {
    /// Whether a datagram claims to be a request; everything else is checked by `decode`.
    #[must_use]
    pub fn is_claimed(datagram: &[u8]) -> bool {
        datagram.first() == Some(&0)
    }

    /// Reads a request of this version and protocol. Nothing in it is proven.
    pub fn decode(datagram: &'a mut [u8], protocol_id: u64) -> Option<Self> {
        if datagram.len() != REQUEST_BYTES {
            return None;
        }
        let (head, private) = datagram.split_at_mut(REQUEST_BYTES - PRIVATE_LEN);
        let mut input = ByteReader::new(&head[1..]);
        let ours = input.array() == Ok(VERSION) && input.u64() == Ok(protocol_id);
        let (expire_unix_s, nonce) = (input.u64().ok()?, input.array().ok()?);
        ours.then_some(Self { expire_unix_s, nonce, private })
    }

    /// Writes a request.
    #[must_use]
    pub fn encode(
        protocol_id: u64,
        expire_unix_s: u64,
        nonce: &[u8; NONCE_LEN],
        private: &[u8; PRIVATE_LEN],
    ) -> Box<[u8; REQUEST_BYTES]> {
        let mut bytes = Box::new([0; REQUEST_BYTES]);
        let written = write_request(bytes.as_mut_slice(), protocol_id, expire_unix_s, nonce, private);
        written.expect("the request's length is the sum of its fields");
        bytes
    }
}

fn write_request(
    out: &mut [u8],
    protocol_id: u64,
    expire_unix_s: u64,
    nonce: &[u8],
    private: &[u8],
) -> Result<(), WireError> {
    let mut writer = ByteWriter::new(out);
    writer.u8(0)?;
    writer.slice(&VERSION)?;
    writer.u64(protocol_id)?;
    writer.u64(expire_unix_s)?;
    writer.slice(nonce)?;
    writer.slice(private)
}

/// How long a packet from a server with this sequence and text is, sealed.
pub(crate) fn sealed_len(sequence: u64, text_len: usize) -> usize {
    1 + sequence_len(sequence) + text_len + TAG_LEN
}

/// A keep-alive's text: the client's slot and how many slots there are; from a client, its offer.
pub(crate) fn keep_alive_text(index: u32, clients_max: u32) -> [u8; KEEP_ALIVE_TEXT_LEN] {
    let mut text = [0; KEEP_ALIVE_TEXT_LEN];
    text[..4].copy_from_slice(&index.to_le_bytes());
    text[4..].copy_from_slice(&clients_max.to_le_bytes());
    text
}

/// Length of a connection request, bytes.
pub const REQUEST_BYTES: usize = 1 + 13 + 8 + 8 + NONCE_LEN + PRIVATE_LEN;
/// A challenge's and a response's text: the challenge's sequence, then the sealed challenge.
pub(crate) const CHALLENGE_TEXT_LEN: usize = 8 + SEALED_CHALLENGE_LEN;
const KEEP_ALIVE_TEXT_LEN: usize = 8;
/// The bit of the type that tells the extended form.
const EXTENDED: u8 = 8;
/// The longest payload that the standard allows, bytes.
const PAYLOAD_MAX: usize = 1200;
/// The longest text of the extended form: in the longest datagram, without connection id and with one byte of sequence.
const EXTENDED_TEXT_MAX: usize = super::DATAGRAM_BYTES_MAX - 1 - 1 - TAG_LEN;
/// The answer to a probe is its sequence.
const PROBE_ANSWER_LEN: usize = 8;
const ASSOCIATED_LEN: usize = 13 + 8 + 1;

const _: () = assert!(REQUEST_BYTES == 1078, "the standard's figure");
const _: () = assert!(super::BODY_BYTES_BASE <= PAYLOAD_MAX && super::BODY_BYTES_MAX <= EXTENDED_TEXT_MAX);
// Whatever a request earns is shorter than the request: nobody can be flooded through us.
const _: () = assert!(1 + 8 + CHALLENGE_TEXT_LEN + TAG_LEN < REQUEST_BYTES);

#[cfg(test)]
mod tests {
    use netcode_token::Key;
    use proptest::prelude::*;

    use super::*;

    fn key() -> PacketKey {
        PacketKey::new(&Key::from_bytes(std::array::from_fn(|place| place as u8)))
    }

    /// Keep-alives written by the reference implementation: (sequence, bytes).
    fn golden() -> Vec<(u64, Vec<u8>)> {
        let text = include_str!("../../../token/tests/netcode-1.02-vectors.txt");
        let lines = text.lines().filter_map(|line| line.strip_prefix("PKT "));
        let unhex = |hex: &str| -> Vec<u8> {
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
        };
        lines
            .map(|line| {
                (line.split(' ').next().unwrap().parse().unwrap(), unhex(line.rsplit(' ').next().unwrap()))
            })
            .collect()
    }

    #[test]
    fn the_reference_packets_are_ours() {
        let sealer = Sealer::new(0x1234_5678_90AB_CDEF);
        assert_eq!(golden().len(), 10);
        for (sequence, mut bytes) in golden() {
            let mut sealed = Vec::new();
            let shape = (PacketType::KeepAlive, Form::Standard);
            sealer.seal(&mut sealed, &key(), shape, sequence, &keep_alive_text(3, 32));
            assert_eq!(sealed, bytes);
            assert_eq!(sealed.len(), sealed_len(sequence, 8));
            let head = Head::decode(&bytes, Sender::Server).unwrap();
            assert_eq!((head.kind, head.sequence), (PacketType::KeepAlive, sequence));
            assert_eq!(sealer.open(&mut bytes, &key(), head).unwrap(), keep_alive_text(3, 32));
        }
    }

    #[test]
    fn a_sequence_takes_one_to_eight_bytes() {
        let check = |sequence, expected| assert_eq!(sequence_len(sequence), expected, "{sequence}");
        check(0, 1);
        for bytes in 1..8 {
            check((1 << (8 * bytes)) - 1, bytes);
            check(1 << (8 * bytes), bytes + 1);
        }
        check(u64::MAX, 8);
    }

    #[test]
    fn lengths_are_checked_before_every_split() {
        let head_of = |prefix: u8, len: usize| {
            let mut datagram = vec![0; len];
            datagram[0] = prefix;
            Head::decode(&datagram, Sender::Client).map(|head| head.kind)
        };
        assert_eq!(Head::decode(&[], Sender::Client), None);
        for prefix in 0..=255 {
            for len in 1..18 {
                assert_eq!(head_of(prefix, len), None, "{prefix:#x} {len}");
            }
        }
        assert_eq!(head_of(0x16, 18), Some(PacketType::Disconnect));
        assert_eq!(head_of(0x06, 18), None, "no sequence");
        assert_eq!(head_of(0x96, 26), None, "nine bytes of sequence");
        assert_eq!(head_of(0x1f, 18), None, "an answer is eight bytes");
        assert_eq!(head_of(0x18, 18), None, "no such type");
        assert_eq!(head_of(0x10, 18), None, "a request is not sealed");
        assert_eq!(head_of(0x15, 18), None, "an empty payload");
        assert_eq!(head_of(0x85, 9 + 1200 + 16), Some(PacketType::Payload));
        assert_eq!(head_of(0x85, 9 + 1201 + 16), None);
        assert_eq!(head_of(0x14, 26), Some(PacketType::KeepAlive));
        assert_eq!(head_of(0x14, 27), None);
        assert_eq!(head_of(0x12, 326), Some(PacketType::Challenge));
        assert_eq!(head_of(0x13, 325), None);
        assert_eq!(head_of(0x17, 42), Some(PacketType::Accept));
        assert_eq!(head_of(0x17, 41), None);
        // The connection id of a client's packet counts before anything else.
        assert_eq!(head_of(0x1e, 21), None);
        assert_eq!(head_of(0x1e, 22), Some(PacketType::Disconnect));
        assert_eq!(head_of(0x1c, 30), Some(PacketType::KeepAlive));
        assert_eq!(head_of(0x1b, 30), Some(PacketType::PathResponse));
        assert_eq!(head_of(0x1f, 30), Some(PacketType::ProbeAnswer));
        assert_eq!(head_of(0x19, 1472), Some(PacketType::Probe));
        assert_eq!(head_of(0x8d, 13 + 1454 + 16), Some(PacketType::Payload));
        assert_eq!(head_of(0x8d, 13 + 1455 + 16), None);
        let from_server = |datagram: &[u8]| Head::decode(datagram, Sender::Server).map(|head| head.kind);
        assert_eq!(from_server(&[&[0x1a][..], &[0; 25]].concat()), Some(PacketType::PathChallenge));
        assert_eq!(from_server(&[&[0x1e][..], &[0; 17]].concat()), Some(PacketType::Disconnect));
    }

    #[test]
    fn the_connection_id_stands_in_clear_and_cannot_be_changed() {
        let id = ConnectionId::from_bytes([1, 2, 3, 4]);
        let (sealer, mut sealed) = (Sealer::new(9), Vec::new());
        sealer.seal(&mut sealed, &key(), (PacketType::Payload, Form::Routed(id)), 0x77, &[5; 3]);
        assert_eq!(sealed[..6], [0x1d, 1, 2, 3, 4, 0x77]);
        assert_eq!(sealed.len(), 1 + 4 + 1 + 3 + 16);
        let head = Head::decode(&sealed, Sender::Client).unwrap();
        assert_eq!((head.form, head.sequence), (Form::Routed(id), 0x77));
        assert_eq!(sealer.open(&mut sealed.clone(), &key(), head).unwrap(), [5; 3]);
        sealed[2] ^= 1;
        let head = Head::decode(&sealed, Sender::Client).unwrap();
        assert_eq!(sealer.open(&mut sealed, &key(), head), None);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..1300), protocol in any::<u64>()) {
            for sender in [Sender::Client, Sender::Server] {
                if let Some(head) = Head::decode(&bytes, sender) {
                    let mut sealed = bytes.clone();
                    prop_assert_eq!(Sealer::new(protocol).open(&mut sealed, &key(), head), None);
                }
            }
            prop_assert!(Request::decode(&mut bytes, protocol).is_none());
        }

        #[test]
        fn packets_survive_the_round_trip_and_no_flip(sequence in any::<u64>(), text in prop::collection::vec(any::<u8>(), 1..60), flip in any::<prop::sample::Index>(), bit in 0u8..8, id in any::<[u8; 4]>(), which in 0usize..3) {
            let (form, sender) = [
                (Form::Standard, Sender::Client),
                (Form::Extended, Sender::Server),
                (Form::Routed(ConnectionId::from_bytes(id)), Sender::Client),
            ][which];
            let (sealer, mut sealed) = (Sealer::new(9), Vec::new());
            sealer.seal(&mut sealed, &key(), (PacketType::Payload, form), sequence, &text);
            let mut flipped = sealed.clone();
            flipped[flip.index(sealed.len())] ^= 1u8 << bit;
            let head = Head::decode(&flipped, sender);
            let opened = head.and_then(|head| sealer.open(&mut flipped, &key(), head).map(|_| ()));
            prop_assert_eq!(opened, None);
            let head = Head::decode(&sealed, sender).unwrap();
            prop_assert_eq!((head.sequence, head.form), (sequence, form));
            prop_assert_eq!(&*sealer.open(&mut sealed, &key(), head).unwrap(), &text[..]);
        }
    }
}
