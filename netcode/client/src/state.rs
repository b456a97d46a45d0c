//! Where a client stands, why it left, what it counted. Plain data; must never know how it came about.

use netcode_proto::{DisconnectReason, LinkStats};
use netcode_snapshot::{MessageError, SchemaMismatch, SnapshotError};
use netcode_wire::WireError;

/// Where a client stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClientState {
    /// Shaking hands, or waiting for the server's welcome.
    Connecting,
    /// Welcome: ticks run, inputs flow.
    Connected,
    /// Over; a new client needs a new token.
    Disconnected(LeaveReason),
}

/// Why a client left.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum LeaveReason {
    /// The session ended.
    #[error(transparent)]
    Session(#[from] DisconnectReason),
    /// The server said goodbye, with the game's code.
    #[error("server said goodbye, code {0}")]
    Goodbye(u8),
    /// The server is of another build, whose components this one's cannot be made of.
    #[error(transparent)]
    Schema(#[from] SchemaMismatch),
    /// The server is of another build, and the channel had no room to ask for its schema.
    #[error("channel has no room to ask for the server's schema")]
    SchemaUnasked,
    /// Server and client do not have the same game messages.
    #[error("server has message set {theirs:#x}, not {ours:#x}")]
    OtherMessages {
        /// Ours.
        ours: u64,
        /// The server's.
        theirs: u64,
    },
    /// Server and client do not have the same input: the server would read another one than was given.
    #[error("server has inputs {theirs:#x}, not {ours:#x}")]
    OtherInput {
        /// Ours.
        ours: u64,
        /// The server's.
        theirs: u64,
    },
    /// A control message could not be read.
    #[error("server sent an unreadable control message: {0}")]
    Control(WireError),
    /// A snapshot could not be read.
    #[error(transparent)]
    Snapshot(SnapshotError),
    /// Reliable game messages were not polled in time.
    #[error("application left more than {0} messages unread")]
    Unread(usize),
}

/// Why a game message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendMessageError {
    /// Its type is not in the message set.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Its channel does not take it.
    #[error(transparent)]
    Channel(#[from] netcode_proto::SendError),
}

/// A reliable-ordered message to the server and the reliable-ordered answer to it, timed by the application at both
/// ends. The two clocks have epochs of their own: only differences between trips of one session mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReliableTrip {
    /// Client's clock when the message was sent, microseconds.
    pub sent_us: u64,
    /// Server's clock when it was read there and the answer sent, microseconds.
    pub server_us: u64,
    /// Client's clock when the answer was read, microseconds.
    pub back_us: u64,
}

/// What a client counted since it connected.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClientStats {
    /// The link's own estimates and counters.
    pub link: LinkStats,
    /// Snapshots decoded.
    pub snapshots_received: u64,
    /// Snapshots dropped as older than the newest.
    pub snapshots_stale: u64,
    /// Snapshots dropped because how the server's columns lie was not known yet: its build is another one.
    pub snapshots_unread: u64,
    /// Snapshots decoded that the dense codec wrote: the link is too thin for the shared one.
    pub snapshots_dense: u64,
    /// Entities in view that the server has not told of yet, by the newest snapshot: what a late joiner waits for.
    pub entities_missing: u32,
    /// Share of the entities in view that are there, 0..=1; 0 before the first snapshot.
    pub world_share: f32,
    /// Snapshots in which the server had to do without this tick's input.
    pub snapshots_starved: u64,
    /// Inputs that reached the server too late, by its own account.
    pub late_inputs: u64,
    /// Predictions that authority confirmed bit for bit.
    pub confirmations: u64,
    /// Predictions that authority corrected.
    pub mispredictions: u64,
    /// The last correction, in the game's unit of distance.
    pub correction: f32,
    /// Times the own entity began another life.
    pub teleports: u64,
    /// Ticks passed over because a frame took too long.
    pub ticks_skipped: u64,
    /// Times the clock jumped instead of gliding.
    pub clock_jumps: u32,
    /// How far the client's tick is ahead of the newest snapshot, in ticks.
    pub input_lead_ticks: f32,
    /// How early the input that the server used last had arrived there, in ticks, by its own account; negative is late.
    pub input_margin_ticks: f32,
    /// Times the shown moment overtook the newest snapshot, so that movement was continued without knowledge.
    pub interpolation_stalls: u32,
    /// Times it overtook it by more than the bound, so that everybody else stood still.
    pub interpolation_holds: u32,
    /// How far behind an undelayed snapshot remote entities are shown, in microseconds.
    pub interpolation_delay_us: u64,
    /// Unreliable game messages dropped because they were not polled.
    pub messages_dropped: u64,
}
