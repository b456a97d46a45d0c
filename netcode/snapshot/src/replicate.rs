//! The traits that a game's types implement by derive. Must never know how columns become bits in a packet.

use netcode_wire::{BitReader, BitWriter, WireError};

use crate::Field;

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
