//! The traits that a game's types implement by derive. Must never know how columns become bits in a packet.

use netcode_wire::{BitReader, BitWriter, Tick, WireError};

use crate::dense::Predict;
use crate::schema::Fnv;
use crate::{Audience, Fallback, Far, Field, NetId};

/// A component that the server shows to clients: a fixed row of quantised columns. Made by
/// `#[derive(Replicate)]`.
///
/// Law: `quantise(restore(columns)) == columns` for every row that `quantise` gives.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a replicated component",
    label = "clients cannot be shown this type",
    note = "put `#[derive(Replicate)]` on `{Self}` and say of each field how it is rounded: `#[net(…)]`"
)]
pub trait Replicate: Sized + Send + Sync + 'static {
    /// The type's name, part of the schema's hash.
    const NAME: &'static str;
    /// Its columns, in the order of `quantise`.
    const FIELDS: &'static [Field];
    /// `#[net(predicted)]`: the owner's client runs ahead of the server on it.
    const PREDICTED: bool = false;
    /// `#[net(visible = …)]`: whose client is told of it.
    const VISIBLE: Audience = Audience::EVERYONE;
    /// `#[net(every = …)]`: ticks from one time that clients are told of it to the next.
    const EVERY: u8 = 1;
    /// `#[net(far(…))]`: what who is far is told less of. `None`: everyone is told alike.
    const FAR: Option<Far> = None;
    /// `#[net(interpolate = "none")]` makes this false: clients show the last state instead of a blend.
    const INTERPOLATED: bool = true;
    /// `#[net(predictor = …)]`: what the dense codec expects of it. `None`: that it stays as it was.
    const PREDICT: Option<Predict> = None;
    /// Whether `PREDICT` is [`linear`](crate::dense::linear), which every build has.
    const PREDICT_LINEAR: bool = false;
    /// Which columns are references to entities (`Option<NetId>`): 0 is none, other values are ids plus one. A
    /// reference to an entity that is not there reads as `None`.
    const REFERENCES: &'static [u8] = &[];

    /// What stands in for columns that another build does not send; `out` has one place a column.
    fn fallbacks(out: &mut [Fallback]) {
        let _ = out;
    }

    /// Writes one value a column; `out` has exactly `FIELDS.len()` places.
    fn quantise(&self, out: &mut [u32]);

    /// The component that a row stands for; `columns` has exactly `FIELDS.len()` places. Any row gives a
    /// component without a panic.
    fn restore(columns: &[u32]) -> Self;

    /// The state between two others: `t` is 0 at `from`, 1 at `to`. What has no between stays at `from`
    /// until `t` reaches 1.
    fn interpolate(from: &Self, to: &Self, t: f32) -> Self;

    /// Rounds onto the wire's grid: `restore(quantise(self))`.
    fn snap(&mut self) {
        let mut row = [0; crate::COLUMNS_MAX];
        let row = &mut row[..Self::FIELDS.len()];
        self.quantise(row);
        *self = Self::restore(row);
    }
}

/// What a player does in one tick. Made by `#[derive(Input)]`; the attributes are those of `Replicate`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a player's input",
    label = "this type cannot be sent every tick",
    note = "put `#[derive(Input, Clone, Default, PartialEq)]` on `{Self}` and say of each field how it is rounded: `#[net(…)]`"
)]
pub trait Input: Clone + Default + PartialEq + Send + Sync + 'static {
    /// Width on the wire.
    const BITS: u32;
    /// Its columns, for [`inputs_hash`].
    const COLUMNS: &'static [Field] = &[];

    /// Writes exactly `BITS` bits.
    fn encode(&self, out: &mut BitWriter);

    /// Reads exactly `BITS` bits.
    ///
    /// # Errors
    /// Too few bits, or a value that no encoder writes.
    fn decode(from: &mut BitReader<'_>) -> Result<Self, WireError>;

    /// Rounds onto the wire's grid, so that the player's own prediction runs on what the server will read.
    fn snap(&mut self);
}

/// Equal on two sides exactly when they read each other's inputs: names, order, widths and grids of the fields. FNV-1a, 64
/// bits; part of the welcome.
#[must_use]
pub fn inputs_hash<I: Input>() -> u64 {
    let mut hash = Fnv::new();
    hash.number(u64::from(I::BITS));
    I::COLUMNS.iter().for_each(|field| hash.field(field.name, field));
    hash.finish()
}

/// A game message. Made by `#[derive(Message)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message",
    label = "this type cannot be sent as a message or inside one",
    note = "put `#[derive(Message)]` on `{Self}`"
)]
pub trait Message: Sized + Send + Sync + 'static {
    /// The type's name, part of the message set's hash.
    const NAME: &'static str;

    /// Writes the message.
    fn encode(&self, out: &mut BitWriter);

    /// Reads what `encode` wrote.
    ///
    /// # Errors
    /// Too few bits, a value that no encoder writes, or a length beyond the field's `max`.
    fn decode(from: &mut BitReader<'_>) -> Result<Self, WireError>;
}

/// An enum without data, for fields marked `#[net(enumeration)]`. Made by `#[derive(Enumeration)]`. A variant is sent as
/// its discriminant: give them numbers (`Idle = 0`) and builds whose enums differ still mean the same.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an enumeration",
    label = "the field is marked `#[net(enumeration)]`",
    note = "put `#[derive(Enumeration, Clone, Copy)]` on the enum `{Self}`, whose variants carry no data"
)]
pub trait Enumeration: Copy + Send + Sync + 'static {
    /// The greatest discriminant.
    const LAST: u32;
    /// The variant marked `#[net(unknown)]`, by its discriminant: it stands for those of newer builds.
    const UNKNOWN: Option<u32> = None;

    /// The variant's discriminant.
    fn index(self) -> u32;

    /// The variant of a discriminant; what is none of them gives the variant marked `#[net(unknown)]`, else the one
    /// declared last.
    fn from_index(index: u32) -> Self;
}

/// Plain values are messages too, so that lists and options of them need no type of their own.
macro_rules! plain_messages {
    ($($type:ty, $bits:literal, $value:ident => $write:expr, $read:expr;)*) => {$(
        impl Message for $type {
            const NAME: &'static str = stringify!($type);

            fn encode(&self, out: &mut BitWriter) {
                let $value = *self;
                out.write_bits($write, $bits);
            }

            fn decode(from: &mut BitReader<'_>) -> Result<Self, WireError> {
                let $value = from.read_bits($bits)?;
                Ok($read)
            }
        }
    )*};
}

plain_messages! {
    u8, 8, value => u64::from(value), value as u8;
    u16, 16, value => u64::from(value), value as u16;
    u32, 32, value => u64::from(value), value as u32;
    u64, 64, value => value, value;
    i8, 8, value => value as u64, value as i8;
    i16, 16, value => value as u64, value as i16;
    i32, 32, value => value as u64, value as i32;
    i64, 64, value => value as u64, value as i64;
    bool, 1, value => u64::from(value), value == 1;
    f32, 32, value => u64::from(value.to_bits()), f32::from_bits(value as u32);
    NetId, 32, value => u64::from(value.0), NetId(value as u32);
    Tick, 32, value => u64::from(value.0), Tick(value as u32);
}

impl Message for () {
    const NAME: &'static str = "()";

    fn encode(&self, _: &mut BitWriter) {}

    fn decode(_: &mut BitReader<'_>) -> Result<Self, WireError> {
        Ok(())
    }
}

impl<T: Message> Message for Option<T> {
    const NAME: &'static str = "Option";

    fn encode(&self, out: &mut BitWriter) {
        out.write_bool(self.is_some());
        if let Some(message) = self {
            message.encode(out);
        }
    }

    fn decode(from: &mut BitReader<'_>) -> Result<Self, WireError> {
        if from.read_bool()? { T::decode(from).map(Some) } else { Ok(None) }
    }
}
