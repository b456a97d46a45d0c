//! One direction of a virtual path: what goes in comes out later, twice, damaged, out of order or not at all.
//! Everything is drawn from the seed; must never know what the bytes mean.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;

use netcode_wire::{Ecn, Time};

use crate::codel::{CoDel, Verdict};
use crate::profile::{Aqm, Burst, Meddling, Profile};

/// One direction of a path.
#[derive(Debug)]
pub struct Conditioner {
    profile: Profile,
    rng: fastrand::Rng,
    burst_is_bad: bool,
    /// When the bottleneck has sent all that waits at it.
    bottleneck_free: Time,
    codel: CoDel,
    order: u64,
    waiting: BinaryHeap<Reverse<Waiting>>,
    spare: Vec<Vec<u8>>,
    down: bool,
    /// A black hole on top of the profile's.
    mtu_bytes: Option<usize>,
    stats: ConditionerStats,
}

/// What happened to the packets of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConditionerStats {
    /// Packets put in.
    pub pushed: u64,
    /// Bytes put in.
    pub pushed_bytes: u64,
    /// Packets that came out, copies included.
    pub delivered: u64,
    /// Packets lost.
    pub lost: u64,
    /// Packets dropped at the full bottleneck or at the full conditioner.
    pub overflowed: u64,
    /// Packets delivered twice.
    pub duplicated: u64,
    /// Packets delivered with a flipped bit.
    pub corrupted: u64,
    /// Packets longer than the path takes, gone without a word.
    pub oversized: u64,
    /// Packets marked by the bottleneck, and dropped by it before it was full because they could not be marked.
    pub managed: [u64; 2],
    /// The longest that a packet waited at the bottleneck, microseconds.
    pub queue_max_us: u64,
    /// What all packets waited there together, microseconds.
    pub queue_total_us: u64,
}

impl Conditioner {
    /// A path of this kind; equal seeds and equal pushes give equal weather.
    #[must_use]
    pub fn new(profile: Profile, seed: u64) -> Self {
        Self {
            profile,
            rng: fastrand::Rng::with_seed(seed),
            burst_is_bad: false,
            bottleneck_free: Time::ZERO,
            codel: CoDel::default(),
            order: 0,
            waiting: BinaryHeap::new(),
            spare: Vec::new(),
            down: false,
            mtu_bytes: None,
            stats: ConditionerStats::default(),
        }
    }

    /// Changes the weather for packets pushed from now on.
    pub fn set_profile(&mut self, profile: Profile) {
        self.profile = profile;
    }

    /// Cuts the path (every packet is lost) or heals it.
    pub fn set_down(&mut self, down: bool) {
        self.down = down;
    }

    /// Opens a black hole for packets of more bytes than this, whatever the profile says; `None` closes it.
    pub fn set_mtu(&mut self, mtu_bytes: Option<usize>) {
        self.mtu_bytes = mtu_bytes;
    }

    /// Puts a packet onto the path. `addr` comes out with it.
    pub fn push(&mut self, now: Time, addr: SocketAddr, bytes: &[u8]) {
        self.push_marked(now, addr, Ecn::NotCapable, bytes);
    }

    /// [`Conditioner::push`] of a packet whose IP header has this mark.
    pub fn push_marked(&mut self, now: Time, addr: SocketAddr, ecn: Ecn, bytes: &[u8]) {
        self.stats.pushed += 1;
        self.stats.pushed_bytes += bytes.len() as u64;
        let holes = [self.profile.mtu_bytes, self.mtu_bytes];
        if holes.into_iter().flatten().any(|mtu| bytes.len() > mtu) {
            self.stats.oversized += 1;
            return;
        }
        let lost = self.loses();
        let Some((departs, ecn)) = self.pass_bottleneck(now, ecn, bytes.len()) else { return };
        let ecn = meddle(self.profile.meddling, ecn);
        if lost {
            self.stats.lost += 1;
            return;
        }
        self.enqueue(departs, (addr, ecn), bytes);
        if self.chance(self.profile.duplicate) {
            self.stats.duplicated += 1;
            self.enqueue(departs, (addr, ecn), bytes);
        }
    }

    /// The next packet that is due at `now`, with the address it was pushed with.
    pub fn poll(&mut self, now: Time) -> Option<(SocketAddr, Vec<u8>)> {
        self.poll_marked(now).map(|(addr, _, bytes)| (addr, bytes))
    }

    /// [`Conditioner::poll`], and the mark that the packet has by now.
    pub fn poll_marked(&mut self, now: Time) -> Option<(SocketAddr, Ecn, Vec<u8>)> {
        if self.next_due()? > now {
            return None;
        }
        let Reverse(packet) = self.waiting.pop()?;
        self.stats.delivered += 1;
        Some((packet.addr, ecn_of(packet.ecn), packet.bytes))
    }

    /// Takes back a buffer that `poll` gave, so that long runs do not allocate.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(buffer);
        }
    }

    /// When the next packet is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Time> {
        self.waiting.peek().map(|Reverse(packet)| packet.due)
    }

    /// Forgets the longest wait and the sum, to measure from here on.
    pub fn reset_queue_stats(&mut self) {
        (self.stats.queue_max_us, self.stats.queue_total_us) = (0, 0);
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> ConditionerStats {
        self.stats
    }

    fn loses(&mut self) -> bool {
        let single = self.chance(self.profile.loss);
        let burst = self.profile.burst.is_some_and(|burst| self.burst_loses(burst));
        single || burst || self.down
    }

    fn burst_loses(&mut self, burst: Burst) -> bool {
        let turn = if self.burst_is_bad { burst.end } else { burst.begin };
        if self.chance(turn) {
            self.burst_is_bad = !self.burst_is_bad;
        }
        self.burst_is_bad && self.chance(burst.loss)
    }

    /// When the packet has left the bottleneck, and with which mark; `None` when it was dropped there.
    fn pass_bottleneck(&mut self, now: Time, mut ecn: Ecn, len: usize) -> Option<(Time, Ecn)> {
        let Some(bps) = self.profile.bandwidth_bps else { return Some((now, ecn)) };
        let start = self.bottleneck_free.max(now);
        let queue_us = start.since(now).as_micros() as u64;
        if start.since(now).as_secs_f64() * 1e3 > self.profile.queue_ms {
            self.stats.overflowed += 1;
            return None;
        }
        // The queue is first in, first out: what a packet will have waited when it leaves is known as it comes.
        let managed =
            self.profile.aqm == Aqm::CoDel && self.codel.judge(start, queue_us) == Verdict::Congested;
        if managed && ecn == Ecn::NotCapable {
            self.stats.managed[1] += 1;
            return None;
        }
        if managed {
            self.stats.managed[0] += 1;
            ecn = Ecn::CongestionExperienced;
        }
        self.stats.queue_max_us = self.stats.queue_max_us.max(queue_us);
        self.stats.queue_total_us += queue_us;
        let bits = (len as u64 + IP_UDP_BYTES) * 8;
        self.bottleneck_free = start + micros(bits as f64 * 1e6 / bps as f64);
        Some((self.bottleneck_free, ecn))
    }

    fn enqueue(&mut self, departs: Time, (addr, ecn): (SocketAddr, Ecn), bytes: &[u8]) {
        if self.waiting.len() >= WAITING_MAX {
            self.stats.overflowed += 1;
            return;
        }
        let Profile { rtt_ms, jitter_ms, reorder, corrupt, .. } = self.profile;
        let mut delay_ms = (rtt_ms + jitter_ms * (self.rng.f64() * 2.0 - 1.0)) / 2.0;
        if self.chance(reorder) {
            delay_ms += 10.0 + jitter_ms * (1.0 + 2.0 * self.rng.f64());
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(bytes);
        if !buffer.is_empty() && self.chance(corrupt) {
            let at = self.rng.usize(0..buffer.len());
            buffer[at] ^= 1 << self.rng.u32(0..8);
            self.stats.corrupted += 1;
        }
        self.order += 1;
        let due = departs + micros(delay_ms.max(0.0) * 1e3);
        self.waiting.push(Reverse(Waiting { due, order: self.order, addr, ecn: ecn as u8, bytes: buffer }));
    }

    fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.f64() < share
    }
}

/// A packet under way; ordered by when it is due, then by when it was pushed.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    due: Time,
    order: u64,
    addr: SocketAddr,
    ecn: u8,
    bytes: Vec<u8>,
}

fn ecn_of(number: u8) -> Ecn {
    let all = [Ecn::NotCapable, Ecn::Ect1, Ecn::Ect0, Ecn::CongestionExperienced];
    all[usize::from(number & 3)]
}

fn meddle(how: Meddling, ecn: Ecn) -> Ecn {
    match (how, ecn) {
        (_, Ecn::NotCapable) | (Meddling::Erase, _) => Ecn::NotCapable,
        (Meddling::None, ecn) => ecn,
        (Meddling::MarkAll, _) => Ecn::CongestionExperienced,
        (Meddling::Remark, _) => Ecn::Ect1,
    }
}

fn micros(micros: f64) -> std::time::Duration {
    std::time::Duration::from_micros(micros.round() as u64)
}

/// What IPv4 and UDP add to each datagram on the wire.
const IP_UDP_BYTES: u64 = 28;
/// Packets under way at most; more are dropped, as a full path would.
const WAITING_MAX: usize = 1 << 16;
/// Buffers kept for reuse.
const SPARE_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;

    const ADDR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

    /// Pushes `count` packets a millisecond apart and gives (push time, arrival time) of what came out.
    fn run(profile: Profile, seed: u64, count: u64) -> (Vec<(u64, u64)>, ConditionerStats) {
        let mut path = Conditioner::new(profile, seed);
        let mut out = Vec::new();
        for ms in 0..count + 2000 {
            let now = Time::from_millis(ms);
            if ms < count {
                path.push(now, ADDR, &ms.to_le_bytes());
            }
            while let Some((addr, bytes)) = path.poll(now) {
                assert_eq!(addr, ADDR);
                let pushed = bytes[..].try_into().map(u64::from_le_bytes).expect("eight bytes went in");
                out.push((pushed, ms));
                path.recycle(bytes);
            }
        }
        (out, path.stats())
    }

    #[test]
    fn a_clean_path_delays_by_half_the_round_trip() {
        let (out, stats) = run(Profile::clean(50.0), 1, 100);
        assert_eq!(out.len(), 100);
        assert!(out.iter().all(|(pushed, arrived)| arrived - pushed == 25));
        assert_eq!((stats.lost, stats.delivered), (0, 100));
    }

    #[test]
    fn equal_seeds_give_equal_weather() {
        assert_eq!(run(Profile::bad(), 7, 2000), run(Profile::bad(), 7, 2000));
        assert_ne!(run(Profile::bad(), 7, 2000), run(Profile::bad(), 8, 2000));
    }

    #[test]
    fn shares_come_out_as_declared() {
        let profile = Profile { loss: 0.05, duplicate: 0.02, corrupt: 0.01, ..Profile::clean(20.0) };
        let (_, stats) = run(profile, 3, 50_000);
        let share = |count: u64| count as f64 / 50_000.0;
        assert!((share(stats.lost) - 0.05).abs() < 0.005, "{stats:?}");
        assert!((share(stats.duplicated) - 0.02).abs() < 0.004, "{stats:?}");
        assert!((share(stats.corrupted) - 0.01).abs() < 0.003, "{stats:?}");
    }

    #[test]
    fn bursts_lose_neighbours() {
        let burst = Burst { begin: 0.01, end: 0.2, loss: 1.0 };
        let (out, stats) = run(Profile { burst: Some(burst), ..Profile::clean(20.0) }, 4, 50_000);
        // In the long run the path is bad for begin / (begin + end) = 4.8 % of the packets, 5 in a row.
        assert!((stats.lost as f64 / 50_000.0 - 0.0476).abs() < 0.01, "{stats:?}");
        let gaps: Vec<u64> =
            out.windows(2).map(|pair| pair[1].0 - pair[0].0 - 1).filter(|gap| *gap > 0).collect();
        let mean = gaps.iter().sum::<u64>() as f64 / gaps.len() as f64;
        assert!((3.5..6.5).contains(&mean), "mean burst {mean}");
    }

    #[test]
    fn a_black_hole_swallows_what_is_too_long_and_nothing_else() {
        let mut path = Conditioner::new(Profile { mtu_bytes: Some(1000), ..Profile::clean(10.0) }, 1);
        for len in [999, 1000, 1001, 1472] {
            path.push(Time::ZERO, ADDR, &vec![0; len]);
        }
        let lens: Vec<usize> =
            std::iter::from_fn(|| path.poll(Time::MAX)).map(|(_, bytes)| bytes.len()).collect();
        assert_eq!((lens, path.stats().oversized), (vec![999, 1000], 2));
    }

    #[test]
    fn jitter_stays_within_its_bounds_and_a_bottleneck_queues_then_drops() {
        let (out, _) = run(Profile { jitter_ms: 10.0, ..Profile::clean(60.0) }, 5, 5000);
        assert!(out.iter().all(|(pushed, arrived)| (25..=36).contains(&(arrived - pushed))));
        // 36 B a millisecond are 288 kbit/s; 144 kbit/s lets half of them through once the queue is full.
        let narrow = Profile { bandwidth_bps: Some(144_000), queue_ms: 50.0, ..Profile::clean(0.0) };
        let (out, stats) = run(narrow, 6, 2000);
        assert!((950..=1080).contains(&out.len()), "{}", out.len());
        assert!(out.iter().all(|(pushed, arrived)| arrived - pushed <= 53));
        assert_eq!(stats.overflowed + stats.delivered, 2000);
    }
}
