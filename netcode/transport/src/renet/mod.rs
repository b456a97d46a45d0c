//! renet 2 as the session: its channels, its acknowledgements and its netcode layer (renetcode), driven without its
//! sockets. Owns the mapping; must never know a socket.
//!
//! renetcode keeps to netcode 1.02 as we do, so the connect tokens of our backend open a renet server, stock renet
//! clients with the same channels can join ours, and ours can join a stock renet server. What our sessions have beyond
//! the standard is not there.
//!
//! | ours | renet's |
//! |---|---|
//! | `Unreliable` | `Unreliable` |
//! | `UnreliableSequenced` | `Unreliable`, two bytes of number before each message, stale ones dropped here |
//! | `ReliableUnordered`, `ReliableOrdered` | the same, resent every 300 ms until acknowledged |
//! | channel's position | channel id |
//!
//! A token admits once, and one that ends later than that of the same player's session replaces that session: both are
//! seen to here, since renetcode itself would let the newcomer wait until the old session times out.

mod client;
mod server;
mod shape;

pub use client::RenetClientSession;
pub use server::{RENET_CLIENTS_MAX, RenetServerSession};

use std::time::Duration;

use ::renet::{ChannelConfig, ConnectionConfig, SendType};
use netcode_proto::channels::{ChannelKind, ChannelSet};
use netcode_wire::Time;

/// renet's channels for a channel set of ours.
fn connection_config(channels: &ChannelSet) -> ConnectionConfig {
    let kinds = channels.kinds().iter().zip(0u8..);
    let configs: Vec<ChannelConfig> = kinds
        .map(|(kind, channel_id)| ChannelConfig {
            channel_id,
            max_memory_usage_bytes: memory_bytes(channels),
            send_type: send_type(*kind),
        })
        .collect();
    ConnectionConfig {
        server_channels_config: configs.clone(),
        client_channels_config: configs,
        ..ConnectionConfig::default()
    }
}

fn send_type(kind: ChannelKind) -> SendType {
    match kind {
        ChannelKind::Unreliable | ChannelKind::UnreliableSequenced => SendType::Unreliable,
        ChannelKind::ReliableUnordered => SendType::ReliableUnordered { resend_time: RESEND_TIME },
        ChannelKind::ReliableOrdered => SendType::ReliableOrdered { resend_time: RESEND_TIME },
    }
}

/// What renet lets one channel hold. It ends a session whose channel holds more, so this is beyond what we let a
/// channel queue: its receiver counts whole slices, and never more than twice a message.
fn memory_bytes(channels: &ChannelSet) -> usize {
    2 * channels.queue_bytes_max.max(channels.reassembly_bytes_max)
}

/// Whether a channel takes `length` bytes more when renet says how much room it has.
fn has_room(channels: &ChannelSet, available_bytes: usize, length: usize) -> bool {
    let queued_bytes = memory_bytes(channels).saturating_sub(available_bytes);
    queued_bytes + length <= channels.queue_bytes_max
}

/// renet counts time in spans; ours never runs backwards, arrivals may.
#[derive(Clone, Copy, Debug)]
struct Watch(Time);

impl Watch {
    /// What has passed since the last call, if it is at least `least`.
    fn lap(&mut self, now: Time, least: Duration) -> Option<Duration> {
        let past = now.since(self.0);
        (past >= least && !past.is_zero()).then(|| {
            self.0 = now;
            past
        })
    }
}

/// renet's own default.
const RESEND_TIME: Duration = Duration::from_millis(300);

#[cfg(test)]
mod stock;
