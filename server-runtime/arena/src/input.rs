//! What a player may ask of a ship in one tick. Never knows where the wish comes from: keys, a stick or a pilot.

use netcode_derive::Input;

/// The stick and the trigger.
#[derive(Clone, Debug, Default, PartialEq, Input)]
pub struct Controls {
    /// −1 (full to the right, clockwise) to 1 (full to the left).
    #[net(range(-1.0..=1.0), step = 0.0625)]
    pub turn: f32,
    /// −1 (brake, then backwards) to 1 (full ahead).
    #[net(range(-1.0..=1.0), step = 0.25)]
    pub thrust: f32,
    /// Whether the trigger is held.
    pub fire: bool,
}
