//! Figures that say how good the link is, on fixed runs: latency of small reliable messages on a lossy path,
//! and how long a long one takes. Virtual time, so they repeat to the microsecond.

use std::time::Duration;

use netcode_proto::{ChannelId, ChannelSet, LinkConfig, SendError, channels};
use netcode_wire::Time;

use crate::laws::Violation;
use crate::link_pair::LinkPair;
use crate::profile::Profile;

/// How the ends of a run send.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manner {
    /// The datagrams of a flush one after the other at the rate of the send budget, instead of at once.
    pub paced: bool,
    /// Packets are marked as ECN-capable, and marks are answered.
    pub ecn: bool,
}

impl Manner {
    fn take(self, pair: &mut LinkPair) {
        pair.set_paced(self.paced);
        pair.set_ecn(self.ecn);
    }
}

/// How long reliable messages took, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// Half took at most this.
    pub p50_us: u32,
    /// 95 of 100 took at most this.
    pub p95_us: u32,
    /// 99 of 100 took at most this.
    pub p99_us: u32,
    /// The longest.
    pub max_us: u32,
    /// Bytes of body a flush, both ends' mean.
    pub body_bytes_per_flush: u32,
}

/// 32 bytes reliable-ordered a tick in each direction, 60 Hz, for `span`, from sending to delivery.
///
/// # Errors
/// The law that was broken.
pub fn reliable_latency(profile: Profile, span: Duration, seed: u64) -> Result<Latency, Violation> {
    let mut pair = LinkPair::new(&ChannelSet::standard(), &LinkConfig::default(), profile, 60, seed);
    while pair.now() < Time::ZERO + span {
        let side = pair.await_flush()?;
        pair.send(side, channels::GAME_RELIABLE_ORDERED, 32).map_err(full)?;
        pair.step()?;
    }
    let bytes: u64 = [0, 1].into_iter().map(|side| pair.stats(side).bytes_sent).sum();
    let flushes = 2.0 * 60.0 * pair.now().as_secs_f64();
    pair.settle(Duration::from_secs(5))?;
    let mut all: Vec<u32> =
        [0, 1].into_iter().flat_map(|side| pair.ledger(side).latencies_us()).copied().collect();
    all.sort_unstable();
    let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize];
    let body_bytes_per_flush = (bytes as f64 / flushes) as u32;
    Ok(Latency { p50_us: at(0.5), p95_us: at(0.95), p99_us: at(0.99), max_us: at(1.0), body_bytes_per_flush })
}

/// What one long message cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bulk {
    /// From sending to delivery.
    pub took: Duration,
    /// Bytes sent for each byte of the message.
    pub overhead_percent: u32,
    /// Datagrams of the busiest flush.
    pub flush_packets_max: u64,
    /// The longest that a packet waited at the bottleneck, and all of them on average, milliseconds.
    pub queue_ms: [u64; 2],
    /// Share of the packets that were dropped at the full bottleneck, and that were lost or damaged on the path.
    pub lost_percent: [f64; 2],
}

/// One reliable message of `bytes`, flushed at 60 Hz, on an otherwise idle link.
///
/// # Errors
/// The law that was broken.
pub fn bulk(profile: Profile, bytes: usize, seed: u64) -> Result<Bulk, Violation> {
    bulk_with(profile, bytes, seed, Manner::default())
}

/// [`bulk`] in a manner.
///
/// # Errors
/// The law that was broken.
pub fn bulk_with(profile: Profile, bytes: usize, seed: u64, manner: Manner) -> Result<Bulk, Violation> {
    let channels = ChannelSet::standard().with_message_bytes_max(bytes);
    let mut pair = LinkPair::new(&channels, &LinkConfig::default(), profile, 60, seed);
    manner.take(&mut pair);
    pair.run_for(Duration::from_millis(500))?;
    while pair.await_flush()? != 0 {
        pair.step()?;
    }
    let began = pair.now();
    pair.send(0, channels::GAME_RELIABLE_UNORDERED, bytes).map_err(full)?;
    while pair.ledger(0).latencies_us().is_empty() && pair.now().since(began) < Duration::from_secs(60) {
        pair.step()?;
    }
    let took = pair.ledger(0).latencies_us().first().copied().unwrap_or(u32::MAX);
    pair.settle(Duration::from_secs(5))?;
    let sent = pair.stats(0).bytes_sent as f64;
    let path = pair.path(0);
    let percent = |count: u64| count as f64 * 100.0 / path.pushed.max(1) as f64;
    Ok(Bulk {
        queue_ms: [path.queue_max_us / 1000, path.queue_total_us / path.pushed.max(1) / 1000],
        lost_percent: [percent(path.overflowed), percent(path.lost + path.corrupted)],
        took: Duration::from_micros(u64::from(took)),
        overhead_percent: ((sent / bytes as f64 - 1.0) * 100.0) as u32,
        flush_packets_max: pair.flush_packets_max(0),
    })
}

/// What snapshots and bulk got of one path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shared {
    /// Bytes a second of snapshots that arrived, and of bulk.
    pub bytes_per_s: [u64; 2],
    /// The longest and the mean wait at the bottleneck, milliseconds.
    pub queue_ms: [u64; 2],
    /// Share of the packets that were dropped at the full bottleneck.
    pub full_percent: f64,
    /// Share of the packets that the bottleneck marked, and that it dropped because they could not be marked.
    pub managed_percent: [f64; 2],
    /// Snapshots that the link dropped unsent.
    pub expired: u64,
}

/// Snapshots of up to `snapshot_bytes` a tick at 60 Hz, as long as the link says that there is room for, beside
/// bulk without end; from the fifth second of `span` on.
///
/// # Errors
/// The law that was broken.
pub fn shared(
    profile: Profile,
    snapshot_bytes: usize,
    span: Duration,
    seed: u64,
) -> Result<Shared, Violation> {
    shared_with(profile, snapshot_bytes, span, seed, Manner::default())
}

/// [`shared`] in a manner.
///
/// # Errors
/// The law that was broken.
pub fn shared_with(
    profile: Profile,
    snapshot_bytes: usize,
    span: Duration,
    seed: u64,
    manner: Manner,
) -> Result<Shared, Violation> {
    // Queues of 2 MiB: no path here holds as much under way.
    let channels = ChannelSet::standard().with_message_bytes_max(1 << 20);
    let mut pair = LinkPair::new(&channels, &LinkConfig::default(), profile, 60, seed);
    manner.take(&mut pair);
    let began = pair.now() + Duration::from_secs(5);
    let booked = |pair: &LinkPair, channel: ChannelId| pair.ledger(0).delivered_bytes(channel);
    let mut before = None;
    while pair.now() < Time::ZERO + span {
        if before.is_none() && pair.now() >= began {
            before = Some([channels::STATE, channels::GAME_RELIABLE_UNORDERED].map(|one| booked(&pair, one)));
            pair.reset_queue_stats(0);
        }
        if pair.await_flush()? == 0 {
            let len = snapshot_bytes.min(pair.room_bytes(0));
            if len > 0 {
                pair.send(0, channels::STATE, len).map_err(full)?;
            }
            while pair.stats(0).queued_bytes < 1 << 20 {
                pair.send(0, channels::GAME_RELIABLE_UNORDERED, 30_000).map_err(full)?;
            }
        }
        pair.step()?;
    }
    let path = pair.path(0);
    let after = [channels::STATE, channels::GAME_RELIABLE_UNORDERED].map(|one| booked(&pair, one));
    let before = before.unwrap_or_default();
    let seconds = span.saturating_sub(Duration::from_secs(5)).as_secs().max(1);
    Ok(Shared {
        bytes_per_s: [0, 1].map(|which| (after[which] - before[which]) / seconds),
        queue_ms: [path.queue_max_us / 1000, path.queue_total_us / path.pushed.max(1) / 1000],
        full_percent: path.overflowed as f64 * 100.0 / path.pushed.max(1) as f64,
        managed_percent: path.managed.map(|count| count as f64 * 100.0 / path.pushed.max(1) as f64),
        expired: pair.stats(0).messages_expired,
    })
}

/// A queue that refuses this little traffic leaves it undelivered.
fn full(_: SendError) -> Violation {
    Violation::Undelivered { channel: 0, missing: 1, after: Duration::ZERO }
}
