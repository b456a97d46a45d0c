//! A whole random run of a pair of links, drawn from one seed: path, rate, traffic, cuts, stalled readers.

use std::time::Duration;

use netcode_proto::{ChannelId, ChannelSet, LinkConfig};
use netcode_wire::Time;

use crate::laws::Violation;
use crate::link_pair::LinkPair;
use crate::profile::{Burst, Profile};

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunReport {
    /// Virtual time.
    pub span: Duration,
    /// Datagrams that left, both ends.
    pub packets: u64,
    /// Messages sent, both ends.
    pub messages: u64,
    /// Messages that a full channel refused.
    pub refused: u64,
}

/// Plays the run of `seed`: ten to thirty seconds of traffic in changing weather, then a healed path.
///
/// # Errors
/// The law that was broken.
pub fn run_links(seed: u64) -> Result<RunReport, Violation> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let channels = ChannelSet::standard().with_message_bytes_max(rng.usize(2_000..200_000));
    let config = random_config(&mut rng);
    let hz = [10, 20, 30, 60, 60, 60, 128][rng.usize(0..7)];
    let mut pair = LinkPair::new(&channels, &config, random_profile(&mut rng), hz, seed);
    pair.set_paced(seed & 2 != 0);
    pair.set_ecn(seed & 4 != 0);
    let traffic = [Traffic::random(&mut rng), Traffic::random(&mut rng)];
    let end = Time::from_millis(rng.u64(10_000..30_000));
    let mut report = RunReport::default();
    let mut weather = Weather::default();
    let mut holes = Holes::new(seed);
    while pair.now() < end {
        let side = pair.step()?;
        weather.turn(&mut rng, &mut pair);
        holes.turn(&mut pair);
        report.refused += traffic[side].send(&mut rng, &mut pair, side, channels.message_bytes_max);
    }
    pair.set_profile(Profile::clean(60.0));
    pair.set_mtu(None);
    pair.set_down(0, false);
    pair.set_down(1, false);
    pair.settle(patience(&pair, config.rate_bytes_per_s))?;
    report.span = pair.now().since(Time::ZERO);
    for side in 0..2 {
        report.packets += pair.stats(side).packets_sent;
        report.messages += pair.ledger(side).messages();
    }
    Ok(report)
}

/// How long a healed path may take: what is queued at a tenth of the rate, and ten seconds.
fn patience(pair: &LinkPair, rate_bytes_per_s: u64) -> Duration {
    let queued = pair.stats(0).queued_bytes.max(pair.stats(1).queued_bytes) as u64;
    Duration::from_secs(10 + queued * 10 / rate_bytes_per_s.min(1_000_000))
}

fn random_config(rng: &mut fastrand::Rng) -> LinkConfig {
    LinkConfig {
        redundancy_bytes: [0, 80, 160, 400][rng.usize(0..4)],
        redundancy_message_bytes: rng.usize(0..200),
        rate_bytes_per_s: [100_000, 1_000_000, 6_000_000][rng.usize(0..3)],
        fragment_bytes: rng.usize(200..=1100),
        receive_bytes_max: rng.usize(20_000..500_000),
        ..LinkConfig::default()
    }
}

fn random_profile(rng: &mut fastrand::Rng) -> Profile {
    if rng.bool() {
        return Profile::NAMED[rng.usize(0..Profile::NAMED.len())].1;
    }
    let burst = Burst { begin: rng.f64() * 0.02, end: 0.1 + rng.f64() * 0.9, loss: rng.f64() };
    let rtt_ms = rng.f64() * 400.0;
    Profile {
        jitter_ms: rtt_ms * rng.f64(),
        loss: rng.f64() * [0.0, 0.02, 0.3][rng.usize(0..3)],
        burst: rng.bool().then_some(burst),
        duplicate: rng.f64() * 0.1,
        reorder: rng.f64() * 0.1,
        corrupt: rng.f64() * 0.01,
        bandwidth_bps: rng.bool().then(|| rng.u64(300_000..20_000_000)),
        queue_ms: 20.0 + rng.f64() * 500.0,
        ..Profile::clean(rtt_ms)
    }
    .with_routers()
}

/// Cuts, stalls and changes of path, each for a while.
#[derive(Debug, Default)]
struct Weather {
    next: Time,
}

impl Weather {
    fn turn(&mut self, rng: &mut fastrand::Rng, pair: &mut LinkPair) {
        if pair.now() < self.next {
            return;
        }
        self.next = pair.now() + Duration::from_millis(rng.u64(200..4000));
        for side in 0..2 {
            pair.set_down(side, rng.u32(0..10) == 0);
            pair.set_reads(side, rng.u32(0..10) != 0);
        }
        if rng.u32(0..4) == 0 {
            pair.set_profile(random_profile(rng));
        }
    }
}

/// MTU black holes, in one run of four: for a while, long datagrams vanish and short ones do not. Drawn apart from
/// the weather, as what a seed showed before there were holes.
#[derive(Debug)]
struct Holes {
    rng: fastrand::Rng,
    next: Option<Time>,
}

impl Holes {
    fn new(seed: u64) -> Self {
        let next = (seed % 4 == 1).then(|| Time::from_millis(1000));
        Self { rng: fastrand::Rng::with_seed(seed ^ 0x686f_6c65), next }
    }

    fn turn(&mut self, pair: &mut LinkPair) {
        if self.next.is_none_or(|next| pair.now() < next) {
            return;
        }
        self.next = Some(pair.now() + Duration::from_millis(self.rng.u64(200..5000)));
        let mtu = if self.rng.bool() { Some(self.rng.usize(100..1300)) } else { None };
        pair.set_mtu(mtu);
    }
}

/// What one end sends per flush.
#[derive(Debug)]
struct Traffic {
    /// Per channel: the chance of a message, the usual length, the chance of a long one.
    channels: Vec<(f64, usize, f64)>,
    bursts: bool,
}

impl Traffic {
    fn random(rng: &mut fastrand::Rng) -> Self {
        let one = |rng: &mut fastrand::Rng| {
            let chance = if rng.bool() { 0.0 } else { rng.f64() };
            (chance, rng.usize(4..300), if rng.u32(0..3) == 0 { rng.f64() * 0.02 } else { 0.0 })
        };
        Self { channels: (0..6).map(|_| one(rng)).collect(), bursts: rng.u32(0..5) == 0 }
    }

    /// Gives how many messages were refused.
    fn send(
        &self,
        rng: &mut fastrand::Rng,
        pair: &mut LinkPair,
        side: usize,
        message_bytes_max: usize,
    ) -> u64 {
        let mut refused = 0;
        for (channel, (chance, len, long)) in (0..).zip(&self.channels) {
            let copies = if self.bursts && rng.u32(0..50) == 0 { rng.u32(1..300) } else { 1 };
            for _ in 0..copies {
                if rng.f64() >= *chance {
                    continue;
                }
                let len =
                    if rng.f64() < *long { rng.usize(4..=message_bytes_max) } else { rng.usize(4..=*len) };
                refused += u64::from(pair.send(side, ChannelId(channel), len).is_err());
            }
        }
        refused
    }
}

impl std::ops::AddAssign for RunReport {
    fn add_assign(&mut self, other: Self) {
        self.span += other.span;
        self.packets += other.packets;
        self.messages += other.messages;
        self.refused += other.refused;
    }
}
