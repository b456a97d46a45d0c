//! What a network path is like. Owns the named paths; must never know a packet.

use std::str::FromStr;

/// Losses that come in bursts (Gilbert 1960, Elliott 1963): the path is either good or bad, and each packet
/// may move it to the other state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    /// Chance per packet that a good path turns bad.
    pub begin: f64,
    /// Chance per packet that a bad path turns good; 1 / this = mean burst length in packets.
    pub end: f64,
    /// Share of packets lost while bad.
    pub loss: f64,
}

/// What a bottleneck does before its queue is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Aqm {
    /// Nothing: the queue fills up, and then the newest are dropped.
    #[default]
    Tail,
    /// CoDel (RFC 8289) with its defaults: once packets have waited for 5 ms for 100 ms, one after the other is marked if
    /// its sender is ECN-capable, and dropped if not, at a rising rate.
    CoDel,
}

/// What routers do to the ECN field (RFC 9000 §13.4.2 and its sources tell of all of them in the wild).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Meddling {
    /// Nothing.
    #[default]
    None,
    /// They clear it.
    Erase,
    /// They mark every capable packet, whatever the queue.
    MarkAll,
    /// They turn ECT(0) into ECT(1).
    Remark,
}

/// A path, both directions alike. Shares are 0..=1; each direction delays by half of `rtt_ms`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// Round trip without jitter, milliseconds.
    pub rtt_ms: f64,
    /// The round trip varies by ± this much, milliseconds; each direction by half of it, evenly spread.
    pub jitter_ms: f64,
    /// Share of packets lost one by one, in each direction.
    pub loss: f64,
    /// Losses in bursts, on top.
    pub burst: Option<Burst>,
    /// Share of packets delivered twice.
    pub duplicate: f64,
    /// Share of packets held back by one to three jitters plus 10 ms, so that later ones overtake them.
    pub reorder: f64,
    /// Share of packets that arrive with a flipped bit.
    pub corrupt: f64,
    /// Bottleneck in bits a second; `None` is unbounded.
    pub bandwidth_bps: Option<u64>,
    /// What waits at the bottleneck at most, milliseconds of its bandwidth; more is dropped.
    pub queue_ms: f64,
    /// How the bottleneck manages its queue.
    pub aqm: Aqm,
    /// What routers do to the congestion marks of packets.
    pub meddling: Meddling,
    /// A black hole: datagrams of more bytes than this vanish, and nobody is told.
    pub mtu_bytes: Option<usize>,
}

impl Profile {
    /// A path that only delays.
    #[must_use]
    pub const fn clean(rtt_ms: f64) -> Self {
        Self {
            rtt_ms,
            jitter_ms: 0.0,
            loss: 0.0,
            burst: None,
            duplicate: 0.0,
            reorder: 0.0,
            corrupt: 0.0,
            bandwidth_bps: None,
            queue_ms: 200.0,
            aqm: Aqm::Tail,
            meddling: Meddling::None,
            mtu_bytes: None,
        }
    }

    /// What the routers on this path do, drawn from numbers that are drawn anyway: what a seed showed before they did
    /// anything, it still shows.
    #[must_use]
    pub(crate) fn with_routers(self) -> Self {
        let bits = self.rtt_ms.to_bits();
        let aqm = if bits & 1 == 0 { Aqm::Tail } else { Aqm::CoDel };
        let meddling = match bits >> 1 & 15 {
            0 => Meddling::Erase,
            1 => Meddling::MarkAll,
            2 => Meddling::Remark,
            _ => Meddling::None,
        };
        Self { aqm, meddling, ..self }
    }

    /// The same room.
    #[must_use]
    pub const fn lan() -> Self {
        Self { jitter_ms: 0.2, ..Self::clean(1.0) }
    }

    /// A wired home: 20 ms, 0.1 % loss.
    #[must_use]
    pub const fn broadband() -> Self {
        Self { jitter_ms: 2.0, loss: 0.001, ..Self::clean(20.0) }
    }

    /// A busy wireless home: jitter, short bursts of loss, some reordering.
    #[must_use]
    pub const fn wifi() -> Self {
        let burst = Some(Burst { begin: 0.004, end: 0.4, loss: 0.7 });
        Self { jitter_ms: 12.0, loss: 0.005, burst, reorder: 0.005, ..Self::clean(35.0) }
    }

    /// A phone: 12 Mbit/s with a deep queue, bursts, jitter.
    #[must_use]
    pub const fn mobile4g() -> Self {
        let burst = Some(Burst { begin: 0.003, end: 0.25, loss: 0.8 });
        let clean = Self::clean(70.0);
        Self { jitter_ms: 25.0, loss: 0.01, burst, bandwidth_bps: Some(12_000_000), queue_ms: 400.0, ..clean }
    }

    /// What a player writes angry reviews about.
    #[must_use]
    pub const fn bad() -> Self {
        let burst = Some(Burst { begin: 0.01, end: 0.2, loss: 0.8 });
        Self {
            jitter_ms: 40.0,
            loss: 0.05,
            burst,
            duplicate: 0.01,
            reorder: 0.02,
            corrupt: 0.001,
            bandwidth_bps: Some(4_000_000),
            ..Self::clean(150.0)
        }
    }

    /// An uplink of 4 Mbit/s behind a modem that buffers a whole second.
    #[must_use]
    pub const fn bloat() -> Self {
        Self { jitter_ms: 2.0, bandwidth_bps: Some(4_000_000), queue_ms: 1000.0, ..Self::clean(40.0) }
    }

    /// What `cargo run --release` plays on: 60 ± 10 ms, 2 % loss.
    #[must_use]
    pub const fn demo() -> Self {
        Self { jitter_ms: 10.0, loss: 0.02, ..Self::clean(60.0) }
    }

    /// The path of the loss benchmark: 50 ± 5 ms, 5 % loss each way.
    #[must_use]
    pub const fn lossy() -> Self {
        Self { jitter_ms: 5.0, loss: 0.05, ..Self::clean(50.0) }
    }

    /// Every name that [`FromStr`] takes, with its path.
    pub const NAMED: [(&'static str, Self); 8] = [
        ("lan", Self::lan()),
        ("broadband", Self::broadband()),
        ("wifi", Self::wifi()),
        ("4g", Self::mobile4g()),
        ("bad", Self::bad()),
        ("bloat", Self::bloat()),
        ("demo", Self::demo()),
        ("lossy", Self::lossy()),
    ];
}

impl FromStr for Profile {
    type Err = ProfileError;

    fn from_str(name: &str) -> Result<Self, ProfileError> {
        let found = Self::NAMED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, profile)| *profile).ok_or_else(|| ProfileError(name.to_owned()))
    }
}

/// No path has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown network profile {0:?}: one of lan, broadband, wifi, 4g, bad, bloat, demo, lossy")]
pub struct ProfileError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_and_the_error_lists_them_all() {
        for (name, profile) in Profile::NAMED {
            assert_eq!(name.to_uppercase().parse::<Profile>(), Ok(profile));
            assert!(ProfileError(String::new()).to_string().contains(name));
        }
        assert!("dsl".parse::<Profile>().is_err());
    }
}
