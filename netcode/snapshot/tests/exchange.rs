//! The messages beside the columns: there and back, bit for bit; and what is no message is refused.

use netcode_derive::{Input, Message};
use netcode_snapshot::exchange::INPUTS_MAX;
use netcode_snapshot::{
    Ack, Control, Fate, InputPacket, MessageError, MessageSet, NetId, SnapshotHeader, Telemetry, ViewTime,
};
use netcode_wire::{BitReader, BitWriter, Tick, WireError};
use proptest::prelude::*;

#[derive(Input, Clone, Debug, Default, PartialEq)]
struct Controls {
    #[net(range(-1.0..=1.0), step = 0.125)]
    thrust: f32,
    fire: bool,
}

fn bits_of(encode: impl FnOnce(&mut BitWriter)) -> BitWriter {
    let mut out = BitWriter::new();
    encode(&mut out);
    out
}

fn input() -> impl Strategy<Value = Controls> {
    (0i32..3, any::<bool>()).prop_map(|(thrust, fire)| Controls { thrust: thrust as f32 * 0.5, fire })
}

prop_compose! {
    fn packet()(
        ack in prop::option::of((any::<u32>(), prop_oneof![Just(u32::MAX), Just(u32::MAX - 6), any::<u32>()])),
        (view, fraction, newest) in any::<(u32, u8, u32)>(),
        inputs in prop::collection::vec(input(), 1..=INPUTS_MAX),
    ) -> InputPacket<Controls> {
        let ack = ack.map(|(newest, earlier)| Ack::new(Tick(newest), earlier));
        InputPacket { ack, view: ViewTime { tick: Tick(view), fraction }, newest: Tick(newest), inputs }
    }
}

prop_compose! {
    fn header()(
        tick in 100u32.., age in prop::option::of(1u32..64), span in prop::option::of(1u32..37), complete: bool,
        input_age in prop::option::of(-300i64..100), input_margin in -2047i16..=2047, late_inputs: u8,
        part in prop::option::of(0u8..64), dense: bool, missing in prop_oneof![Just(0), any::<u32>()],
    ) -> SnapshotHeader {
        let input_tick = input_age.map(|age| Tick((i64::from(tick) - age).min(i64::from(u32::MAX)) as u32));
        let baseline = age.map(|age| Tick(tick - age));
        let older = baseline.and_then(|baseline: Tick| Some(Tick(baseline.0 - span?)));
        let tick = Tick(tick);
        match part {
            Some(1..) => SnapshotHeader { tick, baseline, older, complete, part, ..SnapshotHeader::default() },
            _ => {
                let dense = dense && part.is_none();
                SnapshotHeader {
                    tick,
                    baseline,
                    older,
                    complete,
                    dense,
                    part,
                    input_tick,
                    input_margin,
                    late_inputs,
                    missing,
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn input_packets_return(packet in packet()) {
        let out = bits_of(|out| packet.encode(out));
        let mut from = BitReader::new(out.as_bytes());
        prop_assert_eq!(&InputPacket::decode(&mut from), &Ok(packet.clone()));
        prop_assert!(from.remaining_bits() < 8);
        let ticks: Vec<_> = packet.ticks().map(|(tick, _)| tick).collect();
        prop_assert_eq!(ticks.len(), packet.inputs.len());
        prop_assert_eq!(ticks.last(), Some(&packet.newest));
    }

    #[test]
    fn headers_return(header in header()) {
        let out = bits_of(|out| header.encode(out));
        prop_assert_eq!(SnapshotHeader::decode(&mut BitReader::new(out.as_bytes())), Ok(header));
        prop_assert_eq!(header.bits(), out.bit_len());
    }

    #[test]
    fn telemetry_returns(
        predicted in prop::collection::vec(any::<u32>(), 0..=64),
        (tick, mispredictions, correction_um, rtt_us, interpolation_delay_us, loss) in any::<(u32, u32, u32, u32, u32, u16)>(),
        sent_us in any::<u64>(),
    ) {
        let tick = Tick(tick);
        let telemetry = Telemetry { tick, predicted, mispredictions, correction_um, rtt_us, interpolation_delay_us, loss, sent_us };
        let out = bits_of(|out| telemetry.encode(out));
        prop_assert_eq!(Telemetry::decode(&mut BitReader::new(out.as_bytes())), Ok(telemetry));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = SnapshotHeader::decode(&mut BitReader::new(&bytes));
        let _ = InputPacket::<Controls>::decode(&mut BitReader::new(&bytes));
        let _ = Control::decode(&mut BitReader::new(&bytes));
        let _ = Telemetry::decode(&mut BitReader::new(&bytes));
        let _ = messages().decode::<Ping>(&bytes);
    }

    #[test]
    fn an_ack_tells_what_was_decoded(
        decoded in prop::collection::btree_map(1u32..200, prop_oneof![3 => Just(None), 1 => any::<u64>().prop_map(Some)], 1..60),
    ) {
        let mut ack: Option<Ack> = None;
        for (tick, parts) in &decoded {
            let tick = Tick(*tick);
            ack = Some(ack.unwrap_or(Ack::only(tick)).advance(tick, *parts));
        }
        let ack = ack.expect("there is one");
        let newest = ack.newest.0;
        let mut partial = 0;
        for tick in (0..=newest).rev() {
            let expected = match decoded.get(&tick) {
                _ if newest - tick > 32 => Fate::Unknown,
                None => Fate::Lost,
                Some(None) => Fate::Whole,
                Some(Some(parts)) => Fate::Parts(*parts),
            };
            partial += u32::from(matches!(expected, Fate::Parts(_)));
            // Eight can be named, and nothing is said from the ninth on.
            let expected = if partial > 8 { Fate::Unknown } else { expected };
            prop_assert_eq!(ack.fate(Tick(tick)), expected, "{} of {}", tick, newest);
        }
        prop_assert_eq!(ack.fate(Tick(newest + 1)), Fate::Unknown);
        let packet = InputPacket { ack: Some(ack), inputs: vec![Controls::default()], ..Default::default() };
        let out = bits_of(|out| packet.encode(out));
        prop_assert_eq!(InputPacket::decode(&mut BitReader::new(out.as_bytes())), Ok(packet));
    }
}

#[test]
fn a_repeated_input_costs_one_bit() {
    let bits = |inputs: Vec<Controls>| {
        let packet = InputPacket { ack: Some(Ack::new(Tick(9), u32::MAX)), inputs, ..Default::default() };
        bits_of(|out| packet.encode(out)).bit_len()
    };
    let same = Controls { thrust: 1.0, fire: true };
    // 36 ack, 40 view, 32 newest, 5 count, 5 + 1 the input.
    assert_eq!(bits(vec![same.clone()]), 119);
    assert_eq!(bits(vec![same.clone(); 20]), 119 + 19);
    assert_eq!(bits(vec![same, Controls::default()]), 119 + 1 + 6);
}

#[test]
fn of_too_many_inputs_the_newest_go_out() {
    let inputs: Vec<_> = (0..40).map(|place| Controls { thrust: 0.0, fire: place == 39 }).collect();
    let packet = InputPacket { newest: Tick(100), inputs, ..Default::default() };
    let out = bits_of(|out| packet.encode(out));
    let read = InputPacket::<Controls>::decode(&mut BitReader::new(out.as_bytes())).expect("readable");
    assert_eq!((read.inputs.len(), read.inputs[31].fire), (32, true));
    assert_eq!(read.ticks().next().map(|(tick, _)| tick), Some(Tick(69)));

    let none = InputPacket::<Controls>::default();
    let out = bits_of(|out| none.encode(out));
    let read = InputPacket::<Controls>::decode(&mut BitReader::new(out.as_bytes())).expect("readable");
    assert_eq!(read.inputs, [Controls::default()]);
}

#[test]
fn control_returns() {
    let welcome = Control::Welcome {
        tick_hz: 60,
        snapshot_every: 1,
        tick: Tick(77),
        schema_hash: 0x0123_4567_89ab_cdef,
        messages_hash: u64::MAX,
        inputs_hash: 0x8000_0000_0000_0001,
        player: 42,
    };
    for control in
        [welcome, Control::Owns { net_id: NetId(9) }, Control::OwnsNothing, Control::Goodbye { reason: 3 }]
    {
        assert_eq!(Control::decode(&mut BitReader::new(&control.to_bytes())), Ok(control));
    }
    let unknown = Control::decode(&mut BitReader::new(&[200, 0]));
    assert_eq!(unknown, Err(WireError::Malformed("kind of control message")));
    let stopped = Control::decode(&mut BitReader::new(&[0; 64]));
    assert_eq!(stopped, Err(WireError::Malformed("rate of a welcome")));
}

#[derive(Message, Debug, PartialEq)]
struct Ping(u32);

#[derive(Message, Debug, PartialEq)]
struct Pong {
    #[net(max = 8)]
    text: String,
}

#[derive(Message, Debug, PartialEq)]
struct Stranger;

fn messages() -> MessageSet {
    MessageSet::builder().message::<Ping>(2).message::<Pong>(5).build()
}

#[test]
fn messages_find_their_channel_and_their_type() {
    let set = messages();
    let pong = Pong { text: "hello".into() };
    let (channel, bytes) = set.encode(&pong).expect("registered");
    assert_eq!((channel, bytes[0], set.name(1)), (5, 1, Some("Pong")));
    assert_eq!(set.open(&bytes).map(|(id, _)| id), Ok(1));
    assert_eq!(set.decode::<Pong>(&bytes), Ok(pong));
    assert_eq!(set.decode::<Ping>(&bytes), Err(MessageError::OtherMessage { found: 1, wanted: 0 }));
    assert_eq!(set.encode(&Stranger), Err(MessageError::NotRegistered("Stranger")));
    assert_eq!(set.decode::<Ping>(&[7, 0]), Err(MessageError::UnknownId(7)));
    assert_eq!(set.decode::<Ping>(&[]), Err(MessageError::Wire(WireError::UnexpectedEnd)));
    assert_eq!(set.decode::<Ping>(&[0, 1]), Err(MessageError::Wire(WireError::UnexpectedEnd)));
    let other = MessageSet::builder().message::<Pong>(5).message::<Ping>(2).build();
    assert_ne!(set.hash(), other.hash());
    assert_eq!(set.hash(), messages().hash());
}
