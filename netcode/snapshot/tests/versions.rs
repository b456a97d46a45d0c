//! Two builds of one game that meet: an old client with a new server, a new client with an old server, through both
//! codecs, over a link that loses and delays. What a client reads is what the server had, as far as both know it.

use fastrand::Rng;
use netcode_derive::{Enumeration, Replicate};
use netcode_snapshot::{
    Ack, ClientView, Control, DenseReceiver, DenseView, EntityWriter, Feedback, Frame, History, NetId,
    Receiver, ReceiverLimits, Replicate, Schema, SchemaDescription, SchemaMismatch, SnapshotError,
};
use netcode_wire::{BitReader, BitWriter, Tick, WireError};

/// The first release.
mod old {
    use super::*;

    #[derive(Enumeration, Clone, Copy, Debug, PartialEq)]
    pub(crate) enum Kind {
        Scout = 1,
        #[net(unknown)]
        Other = 7,
    }

    #[derive(Replicate, Clone, Copy, Debug, PartialEq)]
    pub(crate) struct Relic {
        #[net(bits = 4)]
        pub(crate) age: u8,
    }

    #[derive(Replicate, Clone, Copy, Debug, PartialEq)]
    #[net(predicted, predictor = "linear")]
    pub(crate) struct Ship {
        #[net(range(-64.0..=64.0), step = 0.005)]
        pub(crate) x: f32,
        #[net(angle, bits = 10)]
        pub(crate) heading: f32,
        #[net(enumeration)]
        pub(crate) kind: Kind,
        #[net(bits = 4, default)]
        pub(crate) mines: u8,
    }

    pub(crate) fn schema() -> Schema {
        Schema::builder().component::<Relic>().component::<Ship>().build()
    }
}

/// The next one: a component less and one more, another order, fields more and one less, variants more, a field renamed.
mod new {
    use super::*;

    #[derive(Enumeration, Clone, Copy, Debug, PartialEq)]
    pub(crate) enum Kind {
        Scout = 1,
        Heavy = 2,
        Other = 7,
        Tender = 9,
    }

    #[derive(Replicate, Clone, Copy, Debug, PartialEq)]
    pub(crate) struct Shield {
        #[net(range(0.0..=1.0), step = 0.01)]
        pub(crate) charge: f32,
        pub(crate) owner: Option<NetId>,
    }

    #[derive(Replicate, Clone, Copy, Debug, PartialEq)]
    #[net(predicted, predictor = "linear", rename = "Ship")]
    pub(crate) struct Vessel {
        #[net(default = 100)]
        pub(crate) hull: u8,
        #[net(enumeration)]
        pub(crate) kind: Kind,
        #[net(angle, bits = 10, rename = "heading")]
        pub(crate) course: f32,
        #[net(range(-64.0..=64.0), step = 0.005)]
        pub(crate) x: f32,
        #[net(range(0.0..=8.0), step = 0.5, default = 1.5)]
        pub(crate) speed: f32,
    }

    pub(crate) fn schema() -> Schema {
        Schema::builder().component::<Shield>().component::<Vessel>().build()
    }
}

/// One end of each codec.
enum Pair {
    Shared(Box<(ClientView, Receiver)>),
    Dense(Box<(DenseView, DenseReceiver)>),
}

impl Pair {
    fn send(&mut self, schema: &Schema, history: &History) -> Vec<u8> {
        let frame = history.newest().expect("just extracted");
        let relevant: Vec<_> = frame.entities().map(|id| (id, 1.0)).collect();
        let mut out = BitWriter::new();
        let feedback = Feedback::default();
        match self {
            Self::Shared(both) => both.0.encode(schema, history, &relevant, feedback, 2_000, &mut out),
            Self::Dense(both) => both.0.encode(schema, history, &relevant, feedback, 2_000, &mut out),
        };
        out.into_bytes()
    }

    fn take(&mut self, schema: &Schema, bytes: &[u8]) -> Option<Frame> {
        let mut from = BitReader::new(bytes);
        let (taken, latest) = match self {
            Self::Shared(both) => (both.1.decode(schema, &mut from), both.1.latest()),
            Self::Dense(both) => (both.1.decode(schema, &mut from), both.1.latest()),
        };
        match taken {
            Ok(_) => latest.cloned(),
            Err(SnapshotError::Stale(_) | SnapshotError::UnknownBaseline(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn ack(&self) -> Option<Ack> {
        match self {
            Self::Shared(both) => both.1.ack(),
            Self::Dense(both) => both.1.ack(),
        }
    }

    fn learn(&mut self, ack: Ack) {
        match self {
            Self::Shared(both) => both.0.ack(ack),
            Self::Dense(both) => both.0.ack(ack),
        }
    }
}

/// A server of `theirs` shows `fill` at each tick; `check` holds what a client of `ours` reads against the tick's truth.
/// A quarter of all is lost, and the rest up to four ticks late.
fn play(
    theirs: &Schema,
    ours: &Schema,
    fill: fn(&mut EntityWriter<'_>, u32, u32),
    check: impl Fn(&Schema, &Frame, NetId, u32),
) {
    let reading = ours.reading(&theirs.describe()).expect("the builds understand each other");
    reading.check_dense().expect("both have the linear predictor");
    assert_eq!(reading.hash(), theirs.hash());
    let dense = DenseReceiver::new(&reading, ReceiverLimits::default());
    let shared = Pair::Shared(Box::new((ClientView::new(), Receiver::default())));
    let pairs = [shared, Pair::Dense(Box::new((DenseView::new(theirs), dense)))];
    for (seed, mut pair) in (1..).zip(pairs) {
        let mut rng = Rng::with_seed(seed);
        let mut down: Vec<(u32, Vec<u8>)> = Vec::new();
        let mut up: Vec<(u32, Ack)> = Vec::new();
        let (mut history, mut checked) = (History::default(), 0);
        for tick in 1..400 {
            history.extract(Tick(tick), |frame| {
                for id in 0..12 {
                    // Somebody comes and goes.
                    if id != tick / 40 {
                        frame.push(theirs, NetId(id), |entity| fill(entity, id, tick));
                    }
                }
            });
            let bytes = pair.send(theirs, &history);
            let mut flies = || (rng.u8(..4) > 0).then(|| tick + rng.u32(1..5));
            down.extend(flies().map(|due| (due, bytes)));
            up.extend(pair.ack().and_then(|ack| Some((flies()?, ack))));
            let due = down.extract_if(.., |(due, _)| *due <= tick).collect::<Vec<_>>();
            for (_, bytes) in due {
                let Some(frame) = pair.take(&reading, &bytes) else { continue };
                for id in frame.entities() {
                    check(&reading, &frame, id, frame.stamp(id).expect("it is there").0);
                    checked += 1;
                }
            }
            let due = up.extract_if(.., |(due, _)| *due <= tick).collect::<Vec<_>>();
            due.into_iter().for_each(|(_, ack)| pair.learn(ack));
        }
        assert!(checked > 1500, "{checked}");
    }
}

fn x(id: u32, tick: u32) -> f32 {
    (tick as f32 * 0.02 * (id + 1) as f32).sin() * 60.0
}

fn course(id: u32, tick: u32) -> f32 {
    (tick + id) as f32 * 0.05
}

fn fill_new(entity: &mut EntityWriter<'_>, id: u32, tick: u32) {
    entity.component(&new::Vessel {
        hull: (tick / 7) as u8,
        kind: [new::Kind::Scout, new::Kind::Heavy, new::Kind::Other, new::Kind::Tender]
            [(tick / 50 + id) as usize % 4],
        course: course(id, tick),
        x: x(id, tick),
        speed: (tick % 16) as f32 * 0.5,
    });
    if (tick / 30 + id).is_multiple_of(2) {
        entity.component(&new::Shield { charge: (tick % 100) as f32 * 0.01, owner: Some(NetId(id)) });
    }
}

fn fill_old(entity: &mut EntityWriter<'_>, id: u32, tick: u32) {
    entity.component(&old::Ship {
        x: x(id, tick),
        heading: course(id, tick),
        kind: if id.is_multiple_of(2) { old::Kind::Scout } else { old::Kind::Other },
        mines: (tick % 9) as u8,
    });
    if id > 5 {
        entity.component(&old::Relic { age: (tick / 20 % 16) as u8 });
    }
}

#[test]
fn an_old_client_reads_a_new_server() {
    play(&new::schema(), &old::schema(), fill_new, |schema, frame, id, tick| {
        let mut expected = old::Ship {
            x: x(id.0, tick),
            heading: course(id.0, tick),
            // Heavy and Tender are news to it.
            kind: if (tick / 50 + id.0).is_multiple_of(4) { old::Kind::Scout } else { old::Kind::Other },
            // The new build knows no mines.
            mines: 0,
        };
        expected.snap();
        assert_eq!(frame.get::<old::Ship>(schema, id), Some(expected), "{id} at {tick}");
        assert_eq!(frame.get::<old::Relic>(schema, id), None);
    });
}

#[test]
fn a_new_client_reads_an_old_server() {
    play(&old::schema(), &new::schema(), fill_old, |schema, frame, id, tick| {
        let kind = if id.0.is_multiple_of(2) { new::Kind::Scout } else { new::Kind::Other };
        let mut expected =
            new::Vessel { hull: 100, kind, course: course(id.0, tick), x: x(id.0, tick), speed: 1.5 };
        expected.snap();
        assert_eq!(frame.get::<new::Vessel>(schema, id), Some(expected), "{id} at {tick}");
        assert_eq!(frame.get::<new::Shield>(schema, id), None);
    });
}

/// What `Ours` says of a server that has `Theirs`, in the words that a log will have.
fn refusal<Ours: Replicate, Theirs: Replicate>() -> String {
    let ours = Schema::builder().component::<Ours>().build();
    let theirs = Schema::builder().component::<Theirs>().build();
    ours.reading(&theirs.describe()).map_or_else(|error| error.to_string(), |_| "none".to_owned())
}

macro_rules! builds {
    ($($name:ident { $($body:tt)* })*) => {$(
        mod $name {
            use super::*;

            #[derive(Replicate)]
            #[allow(dead_code, reason = "only its columns are looked at")]
            pub(crate) struct Thing { $($body)* }
        }
    )*};
}

builds! {
    small { #[net(bits = 4)] n: u8 }
    large { #[net(bits = 6)] n: u8 }
    signed { #[net(bits = 6)] n: i8 }
    coarse { #[net(range(0.0..=8.0), step = 0.5)] n: f32 }
    fine { #[net(range(0.0..=8.0), step = 0.25)] n: f32 }
    longer { #[net(range(0.0..=9.0), step = 0.5)] n: f32 }
    turn { #[net(angle, bits = 8)] n: f32 }
    turns { #[net(angle, bits = 9)] n: f32 }
    more { #[net(bits = 4)] n: u8, #[net(bits = 3)] extra: u8 }
    closed { #[net(enumeration)] n: Closed }
    wider { #[net(enumeration)] n: Wider }
}

#[derive(Enumeration, Clone, Copy)]
enum Closed {
    A,
    B,
}

#[derive(Enumeration, Clone, Copy)]
enum Wider {
    A,
    B,
    C,
}

#[derive(Replicate)]
#[net(predicted)]
struct Own {
    alive: bool,
}

#[test]
fn what_cannot_be_made_is_refused_by_name() {
    assert_eq!(refusal::<small::Thing, small::Thing>(), "none");
    assert_eq!(
        refusal::<large::Thing, small::Thing>(),
        "none",
        "fewer values on one grid are values of ours"
    );
    assert_eq!(refusal::<longer::Thing, coarse::Thing>(), "none");
    assert_eq!(refusal::<wider::Thing, closed::Thing>(), "none");
    assert_eq!(refusal::<small::Thing, more::Thing>(), "none", "what we lack is left out");
    assert_eq!(
        refusal::<small::Thing, large::Thing>(),
        "server sends Thing.n as a range of 64 values from 0 by 1, and here it is a range of 16 values from 0 by 1"
    );
    assert_eq!(
        refusal::<fine::Thing, coarse::Thing>(),
        "server sends Thing.n as a range of 17 values from 0 by 0.5, and here it is a range of 33 values from 0 by 0.25"
    );
    assert!(refusal::<large::Thing, signed::Thing>().starts_with("server sends Thing.n as"));
    assert!(
        refusal::<turns::Thing, turn::Thing>().contains("a turn in 256 parts, and here it is a turn in 512")
    );
    assert_eq!(
        refusal::<more::Thing, small::Thing>(),
        "server does not send Thing.extra, which has no `#[net(default)]` here"
    );
    assert_eq!(
        refusal::<closed::Thing, wider::Thing>(),
        "server knows variants up to 2 of Thing.n, and here the last is 1 and none is `#[net(unknown)]`"
    );
    assert_eq!(refusal::<Own, small::Thing>(), "server does not replicate Own, which this client predicts");
    assert_eq!(refusal::<small::Thing, Own>(), "none", "nobody has a thing");
}

#[test]
fn a_games_own_predictor_needs_the_columns_it_was_written_for() {
    mod given {
        use super::*;
        #[derive(Replicate)]
        #[net(predictor = netcode_snapshot::dense::linear)]
        pub(crate) struct Thing {
            #[net(bits = 4)]
            pub(crate) n: u8,
        }
    }
    let given = Schema::builder().component::<given::Thing>().build();
    let other = Schema::builder().component::<more::Thing>().build();
    assert_eq!(given.check_dense(), Ok(()));
    assert_eq!(given.reading(&given.describe()).unwrap().check_dense(), Ok(()));
    let reading = other.reading(&given.describe());
    let lacks = |component| Err(SchemaMismatch::OtherPredictor { component });
    assert_eq!(
        reading.map(|schema| schema.check_dense()),
        Err(SchemaMismatch::NoField { component: "Thing", field: "extra" })
    );
    let unknown = Schema::builder().component::<Own>().build();
    let mut theirs = Schema::builder().component::<given::Thing>().component::<Own>();
    assert_eq!(unknown.reading(&theirs.build().describe()).unwrap().check_dense(), lacks(None));
    theirs = Schema::builder().component::<given::Thing>();
    let small = Schema::builder().component::<small::Thing>().build();
    assert_eq!(small.reading(&theirs.build().describe()).unwrap().check_dense(), lacks(Some("Thing")));
}

#[test]
fn a_description_returns_and_nothing_else_is_one() {
    for schema in [old::schema(), new::schema(), Schema::builder().build()] {
        let word = Control::Schema(schema.describe());
        let bytes = word.to_bytes();
        assert_eq!(Control::decode(&mut BitReader::new(&bytes)), Ok(word));
        assert_eq!(schema.describe().hash(), schema.hash());
        for len in 1..bytes.len() - 1 {
            let cut = Control::decode(&mut BitReader::new(&bytes[..len]));
            assert_eq!(cut, Err(WireError::UnexpectedEnd), "{len} of {} bytes", bytes.len());
        }
    }
    // Any bits: never a panic, and what is read can be read with.
    let mut rng = Rng::with_seed(9);
    let (ours, sound) = (old::schema(), old::schema().describe());
    let mut out = BitWriter::new();
    sound.encode(&mut out);
    let mut read = 0;
    for _ in 0..20_000 {
        let mut bytes = out.as_bytes().to_vec();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(..bytes.len());
            bytes[at] ^= 1 << rng.u8(..8);
        }
        let Ok(description) = SchemaDescription::decode(&mut BitReader::new(&bytes)) else { continue };
        let Ok(reading) = ours.reading(&description) else { continue };
        let noise: Vec<u8> = (0..60).map(|_| rng.u8(..)).collect();
        let _ = Receiver::default().decode(&reading, &mut BitReader::new(&noise));
        read += 1;
    }
    assert!(read > 100, "{read}");
}
