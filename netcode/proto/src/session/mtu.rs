//! How long a datagram the path takes: packetisation-layer path MTU discovery for datagrams (RFC 8899), one sending
//! direction of one session. Owns which probe is due and what its fate means; must never know a key, a socket or a body.
//!
//! A probe is a packet of its own, padded to the length in question: what is lost with it is padding. The peer answers
//! with its sequence. Probes leave only beside payloads, so that an idle session stays silent, and no congestion
//! controller hears of their loss. As in RFC 9000 §14, what every path is taken for is 1200 bytes ([`BASE`]); unlike
//! there, a path that does not even carry that is served with [`LEAST`] until it does.

use std::time::Duration;

use netcode_wire::Time;

use super::phase::{MtuCause, MtuPhase};
use super::{DATAGRAM_BYTES_BASE, DATAGRAM_BYTES_LEAST, DATAGRAM_BYTES_MAX};

/// What one direction of a path carries, as far as it is known.
#[derive(Debug)]
pub(crate) struct PathMtu {
    phase: MtuPhase,
    /// The longest datagram that may carry something.
    size: usize,
    /// No datagram of this length or more is believed to pass.
    end: usize,
    /// The length that is tried, or confirmed, now.
    target: usize,
    /// Probes of that length, in the order of sending.
    probes: [Option<Probe>; PROBES_MAX],
    /// Before this nothing is sent.
    next_at: Time,
    /// When a finished search begins anew.
    raise_at: Time,
    /// Payloads may be vanishing: probes confirm the length in use, or the base after a black hole, without delay.
    doubted: bool,
}

#[derive(Debug, Clone, Copy)]
struct Probe {
    sequence: u64,
    at: Time,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing that anybody must know of.
    Same,
    /// The longest datagram is another one now, or is known to pass for the first time.
    Resized,
    /// Datagrams of the length in use vanish: it fell back.
    BlackHole,
}

impl PathMtu {
    pub(crate) const fn new() -> Self {
        Self {
            phase: MtuPhase::Disabled,
            size: BASE,
            end: MAX + 1,
            target: BASE,
            probes: [None; PROBES_MAX],
            next_at: Time::ZERO,
            raise_at: Time::ZERO,
            doubted: false,
        }
    }

    /// The longest datagram that may carry something.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    /// Both ends answer probes. The first leaves `after` now: sessions that begin together need not probe together.
    pub(crate) fn agree(&mut self, now: Time, after: Duration) {
        if self.advance(MtuCause::Agreed) {
            self.aim(BASE);
            self.next_at = now + after;
        }
    }

    /// Longer datagrams of the length in use were lost one after the other, shorter ones were not.
    pub(crate) fn doubt(&mut self, now: Time) {
        let settled = matches!(self.phase, MtuPhase::Searching | MtuPhase::Complete);
        if settled && !self.doubted {
            self.doubted = true;
            self.aim(self.size);
            self.next_at = now;
        }
    }

    /// The session has moved. `same_host`: only the port is another one, most probably the same path; what is known
    /// is confirmed. Otherwise everything begins anew.
    pub(crate) fn moved(&mut self, now: Time, same_host: bool) -> Fate {
        if same_host {
            self.doubt(now);
            return Fate::Same;
        }
        if !self.advance(MtuCause::Moved) {
            return Fate::Same;
        }
        self.end = MAX + 1;
        self.next_at = now;
        self.fall_back()
    }

    /// The length of the probe to send now, if one is due; `patience` is after how long an answer is overdue.
    pub(crate) fn poll_probe(&mut self, now: Time, patience: Duration) -> (Option<usize>, Fate) {
        if self.phase == MtuPhase::Disabled || now < self.next_at {
            return (None, Fate::Same);
        }
        if self.phase == MtuPhase::Complete && !self.doubted {
            if now < self.raise_at {
                return (None, Fate::Same);
            }
            self.advance(MtuCause::Raise);
            self.end = MAX + 1;
            self.search(now);
        }
        match self.probes[PROBES_MAX - 1] {
            Some(last) if now.since(last.at) < patience => (None, Fate::Same),
            Some(_) => (None, self.give_up(now)),
            None => (Some(self.target), Fate::Same),
        }
    }

    /// A probe of the length that `poll_probe` said has left.
    pub(crate) fn on_sent(&mut self, now: Time, sequence: u64, patience: Duration) {
        if let Some(free) = self.probes.iter_mut().find(|probe| probe.is_none()) {
            *free = Some(Probe { sequence, at: now });
        }
        // A search has time; where payloads may be vanishing, the three are sent one after the other.
        self.next_at = now + if self.doubted { URGENT_INTERVAL } else { patience };
    }

    /// The peer has the probe with this sequence. `None`: there was none, or it was given up.
    pub(crate) fn on_answered(&mut self, now: Time, sequence: u64) -> Option<Fate> {
        self.probes.iter().flatten().find(|probe| probe.sequence == sequence)?;
        self.doubted = false;
        let before = self.size;
        match self.phase {
            MtuPhase::Base | MtuPhase::Error => {
                self.advance(MtuCause::Confirmed);
                self.size = BASE;
                self.search(now);
                return Some(Fate::Resized);
            }
            MtuPhase::Searching => {
                self.size = self.size.max(self.target);
                self.search(now);
            }
            MtuPhase::Complete | MtuPhase::Disabled => self.aim(self.size),
        }
        Some(if self.size == before { Fate::Same } else { Fate::Resized })
    }

    /// All probes of a length are lost.
    fn give_up(&mut self, now: Time) -> Fate {
        if self.doubted && matches!(self.phase, MtuPhase::Searching | MtuPhase::Complete) {
            // What vanished need not be tried again soon.
            self.end = if self.size > BASE { self.size } else { MAX + 1 };
            self.advance(MtuCause::BlackHole);
            self.next_at = now;
            self.fall_back();
            self.doubted = true;
            return Fate::BlackHole;
        }
        match self.phase {
            MtuPhase::Searching => {
                self.end = self.target;
                self.search(now);
                Fate::Same
            }
            MtuPhase::Base => {
                self.advance(MtuCause::Unconfirmed);
                self.size = LEAST;
                self.doubted = false;
                self.aim(BASE);
                self.next_at = now + ERROR_INTERVAL;
                Fate::Resized
            }
            MtuPhase::Error => {
                self.aim(BASE);
                self.next_at = now + ERROR_INTERVAL;
                Fate::Same
            }
            MtuPhase::Complete | MtuPhase::Disabled => Fate::Same,
        }
    }

    fn fall_back(&mut self) -> Fate {
        self.doubted = false;
        let before = std::mem::replace(&mut self.size, BASE);
        self.aim(BASE);
        if before == BASE { Fate::Same } else { Fate::Resized }
    }

    /// Takes the next length to try: the longest first, since most paths are Ethernet; then by halves.
    fn search(&mut self, now: Time) {
        if self.end > MAX {
            self.aim(MAX);
        } else {
            self.aim(self.size + (self.end - self.size) / 2);
        }
        self.next_at = now;
        if self.size >= MAX || self.end - self.size <= GRAIN {
            self.advance(MtuCause::Exhausted);
            self.raise_at = now + RAISE_INTERVAL;
            self.aim(self.size);
        }
    }

    fn aim(&mut self, target: usize) {
        self.target = target;
        self.probes = [None; PROBES_MAX];
    }

    fn advance(&mut self, cause: MtuCause) -> bool {
        let after = self.phase.after(cause);
        self.phase = after.unwrap_or(self.phase);
        after.is_some()
    }
}

const BASE: usize = DATAGRAM_BYTES_BASE;
const MAX: usize = DATAGRAM_BYTES_MAX;
const LEAST: usize = DATAGRAM_BYTES_LEAST;
/// Probes of one length that must all be lost (MAX_PROBES of RFC 8899 §5.1.2): at 5 % loss each way once in 1000.
const PROBES_MAX: usize = 3;
/// A search ends when it can gain less than this.
const GRAIN: usize = 8;
/// How long a found length stands before a longer one is tried again (PMTU_RAISE_TIMER, RFC 8899 §5.1.1).
const RAISE_INTERVAL: Duration = Duration::from_secs(600);
/// How often a path that does not carry [`BASE`] is tried again.
const ERROR_INTERVAL: Duration = Duration::from_secs(1);
/// Between probes of a length that is in use: a tick at 60 Hz and a little.
const URGENT_INTERVAL: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(150);

    /// Plays `span` in ticks of 16 ms on a path that carries `mtu` and loses `loses` of the probes; gives the probes.
    fn play(
        path: &mut PathMtu,
        now: &mut Time,
        span: Duration,
        mtu: usize,
        mut loses: impl FnMut() -> bool,
    ) -> u32 {
        let (end, mut sequence, mut probes) = (*now + span, now.as_micros(), 0);
        let mut answers = std::collections::VecDeque::new();
        while *now < end {
            *now += Duration::from_millis(16);
            while answers.front().is_some_and(|(due, _)| *due <= *now) {
                let (_, answered) = answers.pop_front().expect("just seen");
                path.on_answered(*now, answered);
            }
            if let (Some(size), _) = path.poll_probe(*now, PATIENCE) {
                path.on_sent(*now, sequence, PATIENCE);
                probes += 1;
                if size <= mtu && !loses() {
                    answers.push_back((*now + Duration::from_millis(50), sequence));
                }
                sequence += 1;
            }
        }
        probes
    }

    fn settled(mtu: usize) -> (PathMtu, Time, u32) {
        let (mut path, mut now) = (PathMtu::new(), Time::ZERO);
        path.agree(Time::ZERO, Duration::ZERO);
        let probes = play(&mut path, &mut now, Duration::from_secs(20), mtu, || false);
        (path, now, probes)
    }

    #[test]
    fn nothing_is_probed_before_both_agree() {
        let mut path = PathMtu::new();
        let mut now = Time::ZERO;
        assert_eq!(play(&mut path, &mut now, Duration::from_secs(5), 1472, || false), 0);
        assert_eq!((path.phase, path.size()), (MtuPhase::Disabled, BASE));
        assert_eq!(path.moved(now, false), Fate::Same);
    }

    #[test]
    fn the_usual_path_takes_two_probes_and_any_path_few() {
        let (path, _, probes) = settled(1472);
        assert_eq!((path.phase, path.size(), probes), (MtuPhase::Complete, MAX, 2));
        for mtu in 1200..1472 {
            let (path, _, probes) = settled(mtu);
            assert_eq!(path.phase, MtuPhase::Complete);
            assert!(
                path.size() <= mtu && path.size() + GRAIN > mtu && probes <= 20,
                "{mtu}: {} {probes}",
                path.size()
            );
        }
    }

    #[test]
    fn a_finished_search_rests_for_ten_minutes_and_then_finds_the_wider_path() {
        let (mut path, mut now, _) = settled(1400);
        assert_eq!(play(&mut path, &mut now, Duration::from_secs(570), 1472, || false), 0);
        play(&mut path, &mut now, Duration::from_secs(20), 1472, || false);
        assert_eq!(path.size(), 1472);
    }

    #[test]
    fn a_black_hole_is_found_once_it_is_suspected() {
        let (mut path, mut now, _) = settled(1472);
        path.doubt(now);
        play(&mut path, &mut now, Duration::from_millis(200), 1472, || false);
        assert_eq!((path.phase, path.size()), (MtuPhase::Complete, 1472), "a false alarm costs a probe");
        path.doubt(now);
        play(&mut path, &mut now, Duration::from_millis(230), 1300, || false);
        assert_eq!(path.size(), BASE);
        play(&mut path, &mut now, Duration::from_secs(10), 1300, || false);
        assert!((1292..=1300).contains(&path.size()), "{}", path.size());
    }

    #[test]
    fn a_path_below_the_base_is_served_and_left_when_it_heals() {
        let (mut path, mut now, _) = settled(1472);
        path.doubt(now);
        let probes = play(&mut path, &mut now, Duration::from_secs(10), 1000, || false);
        assert_eq!((path.phase, path.size()), (MtuPhase::Error, LEAST));
        assert!(probes < 40, "{probes}");
        play(&mut path, &mut now, Duration::from_secs(5), 1472, || false);
        assert_eq!(path.phase, MtuPhase::Complete);
        assert!(path.size() >= BASE);
    }

    #[test]
    fn another_network_is_measured_anew_and_another_port_confirmed() {
        let (mut path, now, _) = settled(1472);
        assert_eq!(path.moved(now, true), Fate::Same);
        assert_eq!((path.size(), path.poll_probe(now, PATIENCE).0), (1472, Some(1472)));
        assert_eq!(path.moved(now, false), Fate::Resized);
        assert_eq!((path.size(), path.poll_probe(now, PATIENCE).0), (BASE, Some(BASE)));
    }

    proptest! {
        #[test]
        fn whatever_is_lost_no_length_is_used_that_did_not_pass(
            mtus in prop::collection::vec(1200usize..1500, 1..6), seed in any::<u64>(), loss in 0.0f64..0.5
        ) {
            let (mut rng, mut path, mut now) = (fastrand::Rng::with_seed(seed), PathMtu::new(), Time::ZERO);
            path.agree(Time::ZERO, Duration::ZERO);
            for mtu in mtus {
                path.moved(now, false);
                play(&mut path, &mut now, Duration::from_secs(20), mtu, || rng.f64() < loss);
                prop_assert!(path.size() <= mtu.min(MAX) && path.size() >= LEAST);
            }
        }
    }
}
