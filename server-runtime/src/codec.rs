//! Which codec players' snapshots are written in: the operator's word for it. Must never know a codec.

use clap::ValueEnum;
use netcode_snapshot::CodecChoice;

/// How each player's snapshots are coded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SnapshotCodec {
    /// The shared codec; the dense one for players whose links take less than that needs.
    #[default]
    Auto,
    /// The shared codec, always: least processor time.
    Shared,
    /// The dense codec, always: fewest bytes.
    Dense,
}

impl SnapshotCodec {
    /// The choice for a player, `dense_clients` players having the dense codec already. Beyond
    /// [`DENSE_CLIENTS_MAX`] nobody else gets it by pressure: their snapshots are told in turns, as ever.
    pub(crate) fn choice(self, dense_clients: usize, is_dense: bool) -> CodecChoice {
        match self {
            Self::Auto if is_dense || dense_clients < DENSE_CLIENTS_MAX => CodecChoice::ByPressure,
            Self::Auto | Self::Shared => CodecChoice::Shared,
            Self::Dense => CodecChoice::Dense,
        }
    }
}

/// Players that have the dense codec by pressure at most: it costs a player some tenths of a millisecond a tick, and
/// some megabytes, which the shared codec's bits for everybody do not.
pub const DENSE_CLIENTS_MAX: usize = 64;
