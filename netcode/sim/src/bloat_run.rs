//! A run against one bottleneck behind a buffer of seconds, drawn from one seed: bulk without end beside
//! snapshots. The laws: no standing queue, and neither traffic starves.

use std::time::Duration;

use crate::figures::{Manner, Shared, shared_with};
use crate::laws::Violation;
use crate::link_run::RunReport;
use crate::profile::Profile;

/// Plays the run of `seed`: twenty seconds, judged from the fifth on.
///
/// # Errors
/// The law that was broken.
pub fn run_bloat(seed: u64) -> Result<RunReport, Violation> {
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x626c_6f61);
    let rtt_ms = 5.0 + rng.f64() * 195.0;
    let bps = rng.u64(1_500_000..16_000_000);
    let profile = Profile {
        jitter_ms: rtt_ms * rng.f64() * 0.2,
        loss: rng.f64() * 0.05,
        bandwidth_bps: Some(bps),
        queue_ms: 2000.0,
        ..Profile::clean(rtt_ms)
    };
    let snapshot_bytes = rng.usize(50..1100);
    let manner = Manner { ecn: seed & 4 != 0, ..Manner::default() };
    let got = shared_with(profile.with_routers(), snapshot_bytes, SPAN, seed, manner)?;
    judge(&got, bps, rtt_ms)?;
    Ok(RunReport { span: SPAN, ..RunReport::default() })
}

fn judge(got: &Shared, bps: u64, rtt_ms: f64) -> Result<(), Violation> {
    let bound_ms = 80 + (rtt_ms / 2.0) as u64;
    if got.queue_ms[1] > bound_ms {
        return Err(Violation::QueueStands { bps, queue_ms: got.queue_ms[1], bound_ms });
    }
    let capacity = bps / 8;
    for (what, bytes_per_s, percent) in [
        ("both together", got.bytes_per_s[0] + got.bytes_per_s[1], USED_PERCENT_MIN),
        ("bulk", got.bytes_per_s[1], BULK_PERCENT_MIN),
    ] {
        let bound = capacity * percent / 100;
        if bytes_per_s < bound {
            return Err(Violation::Starved { bps, what, bytes_per_s, bound });
        }
    }
    if got.expired > 0 {
        return Err(Violation::Starved { bps, what: "snapshots", bytes_per_s: got.bytes_per_s[0], bound: 0 });
    }
    Ok(())
}

const SPAN: Duration = Duration::from_secs(20);
/// What must be used of a bottleneck, with up to 5 % loss and jitter of a fifth of the round trip.
const USED_PERCENT_MIN: u64 = 40;
/// What bulk must get beside snapshots of at most 66 kB/s.
const BULK_PERCENT_MIN: u64 = 15;
