//! What a client may be told before it connects. Owns the knobs and their defaults; must never know a game.

use netcode_proto::ClientConfig as SessionConfig;
use netcode_snapshot::{MessageSet, ReceiverLimits};

use crate::{ClockConfig, InterpolationConfig};

/// How a [`Client`](crate::Client) connects and behaves.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The session: protocol id, channels (equal to the server's), keep-alives.
    pub session: SessionConfig,
    /// The game's messages, registered in the same order as on the server.
    pub messages: MessageSet,
    /// The clock that decides how early inputs leave.
    pub clock: ClockConfig,
    /// How remote entities are played out.
    pub interpolation: InterpolationConfig,
    /// What the server may make this client keep.
    pub receiver: ReceiverLimits,
    /// Corrections of the player's own entity that are longer than this (in the game's unit) are shown at once
    /// instead of being smoothed.
    pub snap_distance: f32,
    /// Whether to tell the server ten times a second what is predicted here, for its live view.
    pub telemetry: bool,
    /// Game messages that wait to be polled at most. Beyond it unreliable ones are dropped and counted, and a
    /// reliable one ends the session, since losing it in silence would break its promise.
    pub messages_max: usize,
}

impl ClientConfig {
    /// The defaults, for the game and version that `protocol_id` names.
    #[must_use]
    pub fn new(protocol_id: u64) -> Self {
        Self {
            session: SessionConfig::new(protocol_id),
            messages: MessageSet::default(),
            clock: ClockConfig::default(),
            interpolation: InterpolationConfig::default(),
            receiver: ReceiverLimits::default(),
            snap_distance: f32::INFINITY,
            telemetry: false,
            messages_max: 4096,
        }
    }
}
