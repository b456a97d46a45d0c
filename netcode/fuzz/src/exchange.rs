//! The messages of `netcode_snapshot::exchange`: whatever can be read can be written, and what is written then is
//! read back as the same. Must never know a channel.

use netcode_derive::{Input, Message};
use netcode_snapshot::{
    Ack, ClientWord, Control, Fate, InputPacket, Message, MessageError, MessageSet, NetId, SnapshotHeader,
    Telemetry, ViewTime,
};
use netcode_wire::{BitReader, BitWriter, Tick, WireError};

use super::feed::Digest;
use super::wire::assert_same_bits;

/// Every kind of field that an input can have.
#[derive(Input, Clone, Debug, Default, PartialEq)]
struct Controls {
    #[net(range(-1.0..=1.0), step = 0.125)]
    thrust: f32,
    #[net(angle, bits = 12)]
    heading: f32,
    #[net(signed, bits = 5)]
    turn: i32,
    #[net(bits = 10)]
    weapon: u16,
    fire: bool,
}

#[derive(Message, Debug)]
struct Ping(u32);

/// Every kind of field that a message can have.
#[derive(Message, Debug)]
struct Chat {
    #[net(max = 24)]
    text: String,
    #[net(max = 300)]
    blob: Vec<u8>,
    #[net(max = 9)]
    marks: Vec<Ping>,
    #[net(range(0.0..=9.0), step = 0.3)]
    near: f32,
    plain: f32,
    big: u64,
    signed: i32,
    #[net(bits = 7)]
    few: u8,
    team: bool,
}

#[derive(Message, Debug)]
struct Nothing;

/// [`Control`]: one form only for each word.
///
/// # Panics
/// When a law is broken.
pub fn control(input: &[u8]) -> u64 {
    let read = |from: &mut BitReader<'_>| Control::decode(from);
    exact(input, read, Control::encode)
}

/// [`SnapshotHeader`]. Two of its fields have readings that no encoder writes (a margin of −2048; an input tick more
/// than 2^31 away): they are written as the nearest that one does.
///
/// # Panics
/// When a law is broken.
pub fn header(input: &[u8]) -> u64 {
    let read = |from: &mut BitReader<'_>| SnapshotHeader::decode(from);
    let Some((header, _)) = decode(input, read) else { return 0 };
    assert!((-2048..=2047).contains(&header.input_margin));
    assert!(header.baseline.is_none_or(|baseline| (1..=63).contains(&header.tick.since(baseline))));
    stable(&header, read, SnapshotHeader::encode)
}

/// [`InputPacket`], whose input has every kind of field.
///
/// # Panics
/// When a law is broken.
pub fn input(input: &[u8]) -> u64 {
    let read = |from: &mut BitReader<'_>| InputPacket::<Controls>::decode(from);
    let Some((packet, _)) = decode(input, read) else { return 0 };
    assert!((1..=32).contains(&packet.inputs.len()));
    let ticks: Vec<Tick> = packet.ticks().map(|(tick, _)| tick).collect();
    assert_eq!((ticks.len(), ticks.last()), (packet.inputs.len(), Some(&packet.newest)));
    assert!(ticks.is_sorted());
    if let Some(ack) = packet.ack {
        assert!(matches!(ack.fate(ack.newest), Fate::Whole | Fate::Parts(_)));
        assert_eq!(ack.advance(ack.newest.next(), Some(1)).newest, ack.newest.next());
    }
    let digest = stable(&packet, read, InputPacket::encode);
    let mut out = BitWriter::new();
    packet.encode(&mut out);
    assert_eq!(InputPacket::decode(&mut BitReader::new(out.as_bytes())).as_ref(), Ok(&packet));
    digest
}

/// [`ClientWord`], telemetry first of all: one form only.
///
/// # Panics
/// When a law is broken.
pub fn telemetry(input: &[u8]) -> u64 {
    let read = |from: &mut BitReader<'_>| ClientWord::decode(from);
    exact(input, read, ClientWord::encode)
}

/// [`MessageSet`]: the frame, and a message of every kind of field behind it.
///
/// # Panics
/// When a law is broken.
pub fn messages(input: &[u8]) -> u64 {
    let set = set();
    let id = match set.open(input) {
        Ok((id, _)) => id,
        Err(MessageError::UnknownId(id)) => {
            assert!(usize::from(id) >= set.len() && input[0] == id);
            return 0;
        }
        Err(error) => {
            assert_eq!((error, input.len()), (MessageError::Wire(WireError::UnexpectedEnd), 0));
            return 0;
        }
    };
    match id {
        0 => message::<Ping>(&set, input),
        1 => message::<Chat>(&set, input),
        _ => message::<Nothing>(&set, input),
    }
}

fn message<M: Message>(set: &MessageSet, input: &[u8]) -> u64 {
    let Ok(message) = set.decode::<M>(input) else { return 0 };
    let (channel, once) = set.encode(&message).expect("registered");
    let again = set.decode::<M>(&once).expect("it was just written");
    assert_eq!(set.encode(&again), Ok((channel, once.clone())), "what is written is read as the same");
    // A length that is believed shows as memory: nothing is longer than its declared limit.
    assert!(once.len() <= 512, "{} bytes", once.len());
    let mut digest = Digest::new();
    digest.add(&once);
    digest.finish()
}

fn set() -> MessageSet {
    MessageSet::builder().message::<Ping>(2).message::<Chat>(5).message::<Nothing>(4).build()
}

/// What was read, and how many bits it took.
fn decode<T>(input: &[u8], read: impl Fn(&mut BitReader<'_>) -> Result<T, WireError>) -> Option<(T, usize)> {
    let mut from = BitReader::new(input);
    let value = read(&mut from).ok()?;
    assert!(from.position_bits() <= input.len() * 8);
    Some((value, from.position_bits()))
}

/// What is read is written as the very bits that were read.
fn exact<T: PartialEq + std::fmt::Debug>(
    input: &[u8],
    read: impl Fn(&mut BitReader<'_>) -> Result<T, WireError>,
    write: impl Fn(&T, &mut BitWriter),
) -> u64 {
    let Some((value, bits)) = decode(input, &read) else { return 0 };
    let mut out = BitWriter::new();
    write(&value, &mut out);
    assert_eq!(out.bit_len(), bits);
    assert_same_bits(input, out.as_bytes(), bits);
    stable(&value, read, write)
}

/// What is written is read, and written again as the same bits.
fn stable<T>(
    value: &T,
    read: impl Fn(&mut BitReader<'_>) -> Result<T, WireError>,
    write: impl Fn(&T, &mut BitWriter),
) -> u64 {
    let (mut once, mut twice) = (BitWriter::new(), BitWriter::new());
    write(value, &mut once);
    let again = read(&mut BitReader::new(once.as_bytes())).expect("it was just written");
    write(&again, &mut twice);
    assert_eq!((once.as_bytes(), once.bit_len()), (twice.as_bytes(), twice.bit_len()));
    let mut digest = Digest::new();
    digest.add(once.as_bytes());
    digest.finish()
}

fn written(write: impl FnOnce(&mut BitWriter)) -> Vec<u8> {
    let mut out = BitWriter::new();
    write(&mut out);
    out.into_bytes()
}

/// Every word.
#[must_use]
pub fn control_seeds() -> Vec<Vec<u8>> {
    let welcome = Control::Welcome {
        tick_hz: 60,
        snapshot_every: 2,
        tick: Tick(77),
        schema_hash: u64::MAX,
        messages_hash: 3,
        inputs_hash: 1 << 63,
        player: 9,
    };
    let heard = Control::Heard { sent_us: 1, server_us: 2 };
    let words = [welcome, Control::Owns { net_id: NetId(9) }, Control::OwnsNothing, heard];
    let schema = Control::Schema(super::snapshot::schema().describe());
    words
        .iter()
        .chain([&schema])
        .map(Control::to_bytes)
        .chain([Control::Goodbye { reason: 3 }.to_bytes()])
        .collect()
}

/// With everything and with nothing.
#[must_use]
pub fn header_seeds() -> Vec<Vec<u8>> {
    let full = SnapshotHeader {
        tick: Tick(500),
        baseline: Some(Tick(480)),
        older: Some(Tick(478)),
        complete: true,
        dense: false,
        part: Some(0),
        input_tick: Some(Tick(503)),
        input_margin: -30,
        late_inputs: 2,
        missing: 700,
    };
    let later = SnapshotHeader { tick: Tick(9), part: Some(63), ..SnapshotHeader::default() };
    let dense = SnapshotHeader { tick: Tick(9), dense: true, ..SnapshotHeader::default() };
    [full, later, dense, SnapshotHeader::default()]
        .iter()
        .map(|header| written(|out| header.encode(out)))
        .collect()
}

/// One, several, and the most inputs; every form of acknowledgement.
#[must_use]
pub fn input_seeds() -> Vec<Vec<u8>> {
    let acks = [None, Some(u32::MAX), Some(u32::MAX - 5), Some(0x0f0f_0f0f)];
    let packet = |earlier: Option<u32>, count: usize| InputPacket {
        ack: earlier.map(|earlier| Ack::new(Tick(90), earlier)),
        view: ViewTime { tick: Tick(88), fraction: 128 },
        newest: Tick(99),
        inputs: (0..count)
            .map(|place| Controls { turn: (place / 3) as i32, fire: place % 3 == 0, ..Controls::default() })
            .collect(),
    };
    let all = acks.iter().zip([1, 2, 9, 32]).map(|(ack, count)| packet(*ack, count));
    all.map(|packet| written(|out| packet.encode(out))).collect()
}

/// With columns and without, and the other word.
#[must_use]
pub fn telemetry_seeds() -> Vec<Vec<u8>> {
    let full = Telemetry {
        tick: Tick(7),
        predicted: (0..64).collect(),
        mispredictions: 300,
        correction_um: u32::MAX,
        rtt_us: 60_000,
        interpolation_delay_us: 40_000,
        loss: u16::MAX,
        sent_us: u64::MAX,
    };
    let words = [full, Telemetry::default()].map(ClientWord::Telemetry);
    words.iter().chain([&ClientWord::DescribeSchema]).map(|one| written(|out| one.encode(out))).collect()
}

/// Every message.
#[must_use]
pub fn messages_seeds() -> Vec<Vec<u8>> {
    let chat = Chat {
        text: "grüß dich".into(),
        blob: vec![7; 40],
        marks: vec![Ping(1), Ping(u32::MAX)],
        near: 4.2,
        plain: f32::NAN,
        big: u64::MAX,
        signed: i32::MIN,
        few: 100,
        team: true,
    };
    let set = set();
    let all = [set.encode(&Ping(5)), set.encode(&chat), set.encode(&Nothing)];
    all.into_iter().map(|one| one.expect("registered").1).collect()
}
