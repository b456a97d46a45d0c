//! `#[derive(Replicate)]`, `#[derive(Input)]`, `#[derive(Message)]`, `#[derive(Enumeration)]`: from a game's
//! types to their columns and bits.
//!
//! Owns the attribute language below and nothing else: what the derived code calls lives in
//! `netcode_snapshot::support`. Must never know how columns travel.
//!
//! # Attributes of a field
//!
//! | attribute | on | columns |
//! |---|---|---|
//! | `#[net(range(-64.0..=64.0), step = 0.005)]` | `f32`, `Vec2`, `Vec3` | one a component, on a grid |
//! | `#[net(angle, bits = 12)]` | `f32`, radians | one, wraps |
//! | `#[net(quat, bits = 10)]` | `Quat` | smallest three: 2 + 3 × bits |
//! | `#[net(raw)]` | `f32`, `Vec2`, `Vec3` | 32 bits a component, exact |
//! | none, or `#[net(bits = 10)]` | `u8`, `u16`, `u32` | one; greater values are held at the greatest |
//! | none, or `#[net(signed, bits = 10)]` | `i8`, `i16`, `i32` | one, offset by half its range |
//! | `#[net(opaque)]` (with or without `bits`) | unsigned | one that is never near its last value: a name, a seed |
//! | none | `u64`, `i64` | two of 32 bits |
//! | none | `bool`, `NetId` | one |
//! | none | `Option<NetId>` in a component: an entity that may be absent | one; reads as `None` while the entity is not there |
//! | `#[net(enumeration)]` | an enum with `#[derive(Enumeration)]` | one: the variant's discriminant |
//! | `#[net(max = 16)]` | `String`, `Vec<u8>` in a component, at most 248 bytes; longer ones are cut off | its length, and one for four bytes |
//! | `#[net(max = 64)]` | `String`, `Vec<u8>`, `Vec<T: Message>`; messages only | |
//! | none | any `T: Message`, `Option<T>`, plain `f32`; messages only | |
//!
//! Text in a component has its columns whether they are used or not, so that a component is a fixed row: a name of 16 bytes
//! costs 133 bits when the entity appears, and a bit while it stays. Put it in a component of its own; what is long, or
//! said once, is a message.
//!
//! How far a value may be from what is shown, where it lies in its range: half a step; half of `2π / 2^bits` for an angle;
//! for a rotation of `bits` bits, an angle of at most `3.5 / (2^(bits − 1) − 1)` radians.
//!
//! Who sees an entity from afar may be told less of it: where the struct says from what distance on (below), on its fields:
//!
//! | attribute | on | from afar |
//! |---|---|---|
//! | `far_step = 0.1` | what has a `range` and a `step` | a step of the greatest power of two times `step` that is not beyond this |
//! | `far_bits = 6` | what is an `angle` or a `quat` | so many of its `bits` |
//!
//! Builds that differ understand each other by the names of components and fields (`netcode_snapshot::Schema::reading`).
//! For that, beside the others, on fields of components:
//!
//! | attribute | what |
//! |---|---|
//! | `#[net(default)]`, `#[net(default = 100)]` | what the field is when the server's build does not have it: put it on every field that is added later |
//! | `#[net(rename = "hull")]` | its name on the wire, where the Rust field has got another one |
//!
//! On one variant of an enumeration: `#[net(unknown)]`, which stands for variants that newer builds add.
//!
//! # Attributes of a struct
//!
//! Whose client is told of the component: `#[net(visible = "everyone")]` (the default: whoever is shown the entity),
//! `"owner"`, or an audience of the game's own, `#[net(visible = TEAM)]` with a constant of
//! `netcode_snapshot::Audience::custom`. How often clients are told of it: `#[net(every = 6)]`, every sixth tick, in
//! which entities take turns; between two times it is shown as it was.
//!
//! What who is far is told less of: `#[net(far(beyond = 60.0))]` (in the game's units, of the distance from anything that the
//! player owns; fields say how coarse they become), or `#[net(far(beyond = 60.0, every = 4))]`, less often too. An entity is
//! far when it is beyond the distance of each of its components that state one. What a player owns is never far, nor is
//! anything to who owns nothing that has a place. Others' shots are judged by what is true, not by what was rounded.
//!
//! `#[net(predicted)]`, `#[net(interpolate = "linear")]` (the default) or `"none"`; what the dense codec expects of the
//! component: `#[net(predictor = "linear")]` (it goes on as it went), `"none"` (the default: it stays), or the game's
//! own `#[net(predictor = path::to::function)]`, a `netcode_snapshot::dense::Predict`; `#[net(rename = "Ship")]`: its name
//! on the wire; and, where `netcode_snapshot` has
//! another name, `#[net(crate = path::to::it)]`.

mod attributes;
mod columns;
mod enumeration;
mod input;
mod message;
mod replicate;
mod shape;

use proc_macro::TokenStream;
use syn::DeriveInput;

/// Derives `netcode_snapshot::Replicate`.
#[proc_macro_derive(Replicate, attributes(net))]
pub fn derive_replicate(input: TokenStream) -> TokenStream {
    expand(input, replicate::expand)
}

/// Derives `netcode_snapshot::Input`. The type must also be `Clone + Default + PartialEq`.
#[proc_macro_derive(Input, attributes(net))]
pub fn derive_input(input: TokenStream) -> TokenStream {
    expand(input, input::expand)
}

/// Derives `netcode_snapshot::Message`, for structs and for enums.
#[proc_macro_derive(Message, attributes(net))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    expand(input, message::expand)
}

/// Derives `netcode_snapshot::Enumeration`, for enums without data. The type must also be `Copy`.
#[proc_macro_derive(Enumeration, attributes(net))]
pub fn derive_enumeration(input: TokenStream) -> TokenStream {
    expand(input, enumeration::expand)
}

fn expand(input: TokenStream, by: fn(&DeriveInput) -> syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    syn::parse::<DeriveInput>(input)
        .and_then(|input| by(&input))
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
