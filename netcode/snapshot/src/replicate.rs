//! The traits that a game's types implement by derive. Must never know how columns become bits in a packet.

use netcode_wire::{BitReader, BitWriter, Tick, WireError};

use crate::dense::Predict;
use crate::{Field, NetId};

/// A component that the server shows to clients: a fixed row of quantised columns. Made by
/// `#[derive(Replicate)]`.
///
/// Law: `quantise(restore(columns)) == columns` for every row that `quantise` gives.
pub trait Replicate: Sized + Send + Sync + 'static {
    /// The type's name, part of the schema's hash.
    const NAME: &'static str;
    /// Its columns, in the order of `quantise`.
    const FIELDS: &'static [Field];
    /// `#[net(predicted)]`: the owner's client runs ahead of the server on it.
    const PREDICTED: bool = false;
    /// `#[net(interpolate = "none")]` makes this false: clients show the last state instead of a blend.
    const INTERPOLATED: bool = true;
    /// `#[net(predictor = …)]`: what the dense codec expects of it. `None`: that it stays as it was.
    const PREDICT: Option<Predict> = None;

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
pub trait Input: Clone + Default + PartialEq + Send + Sync + 'static {
    /// Width on the wire.
    const BITS: u32;

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

/// A game message. Made by `#[derive(Message)]`.
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

/// An enum without data, for fields marked `#[net(enumeration)]`. Made by `#[derive(Enumeration)]`.
pub trait Enumeration: Copy + Send + Sync + 'static {
    /// The greatest index: one less than the number of variants.
    const LAST: u32;

    /// The variant's place, in the order of declaration.
    fn index(self) -> u32;

    /// The variant at a place; a place past the end gives the last variant.
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
