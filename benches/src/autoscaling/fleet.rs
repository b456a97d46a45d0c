//! A fleet as Agones runs it, second by second: servers start, are allocated, end with their match and are replaced;
//! above the target the unused ones go. Spot machines are taken away after a notice. Owns the mechanics and the
//! figures; must never know how a policy decides.

use std::collections::VecDeque;

use fastrand::Rng;
use scaling::{Seen, SpotRules};

use super::Figures;
use super::trace::{Arrival, DAY_S, SYNC_S, Trace};

/// What an hour of a spot machine costs in hours of an on-demand machine.
const SPOT_PRICE: f64 = 0.35;
/// Shrinking so soon after growing is a flap.
const FLAP_S: u32 = 300;
/// Points of a day's curves: one every five minutes.
const POINT_S: u32 = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Starting { ready_s: u32 },
    Ready,
    Busy { until_s: u32, match_s: u32 },
}

#[derive(Clone, Copy, Debug)]
struct Server {
    stand: Stand,
    spot: bool,
    /// Its machine goes at this second.
    doomed_s: Option<u32>,
}

/// One moment of the reported day.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Point {
    /// Second of the day.
    pub second: u32,
    /// Servers in use.
    pub allocated: u32,
    /// Servers that the policy wants.
    pub replicas: u32,
    /// Servers that are ready.
    pub ready: u32,
}

/// The reported days of a run: all but the first, unless that is the only one.
#[derive(Clone, Debug, Default)]
pub(super) struct Day {
    seconds: u32,
    /// The curves of the last one.
    pub points: Vec<Point>,
    waits_s: Vec<u32>,
    idle_s: u64,
    spot_s: u64,
    on_demand_s: u64,
    lost: u32,
    flaps: u32,
    peak: u32,
}

struct Fleet<'a> {
    rules: SpotRules,
    rng: Rng,
    servers: Vec<Server>,
    waiting: VecDeque<Arrival>,
    target: u32,
    grown_s: Option<u32>,
    allocations: u64,
    day: Day,
    trace: &'a Trace,
}

/// Runs all days and gives those that count. `decide` is asked every [`SYNC_S`].
pub(super) fn run(trace: &Trace, rules: SpotRules, decide: &mut dyn FnMut(Seen, u64) -> u32) -> Day {
    let mut fleet = Fleet {
        rules,
        rng: Rng::with_seed(trace.seed ^ 0x5eed),
        servers: Vec::new(),
        waiting: VecDeque::new(),
        target: 0,
        grown_s: None,
        allocations: 0,
        day: Day::default(),
        trace,
    };
    let (mut arrivals, mut preemptions) =
        (trace.arrivals.iter().peekable(), trace.preemptions.iter().peekable());
    for now_s in 0..trace.seconds {
        if now_s == DAY_S && trace.seconds > DAY_S {
            // The first day was for learning.
            fleet.day = Day::default();
        }
        if now_s.is_multiple_of(SYNC_S) {
            // The first midnight is one of Unix time, so that the time of day is right.
            fleet.retarget(decide(fleet.seen(), u64::from(now_s)), now_s);
        }
        fleet.age(now_s);
        while let Some(preemption) = preemptions.next_if(|preemption| preemption.at_s == now_s) {
            fleet.preempt(preemption.share, now_s);
        }
        fleet.resize(now_s);
        while let Some(arrival) = arrivals.next_if(|arrival| arrival.at_s == now_s) {
            fleet.waiting.push_back(*arrival);
        }
        fleet.serve(now_s);
        fleet.count(now_s);
    }
    // Whoever still waits has waited this long at least.
    let left = std::mem::take(&mut fleet.waiting);
    fleet.day.waits_s.extend(left.iter().map(|arrival| trace.seconds - arrival.at_s));
    fleet.day
}

impl Fleet<'_> {
    fn seen(&self) -> Seen {
        let count = |what: fn(&Stand) -> bool| {
            u32::try_from(self.servers.iter().filter(|server| what(&server.stand)).count()).expect("few")
        };
        Seen {
            replicas: self.target,
            ready: count(|stand| *stand == Stand::Ready),
            reserved: 0,
            allocated: count(|stand| matches!(stand, Stand::Busy { .. })),
            allocations: Some(self.allocations),
        }
    }

    fn retarget(&mut self, replicas: u32, now_s: u32) {
        if replicas < self.target && self.grown_s.is_some_and(|grown| now_s - grown <= FLAP_S) {
            self.day.flaps += 1;
        }
        if replicas > self.target {
            self.grown_s = Some(now_s);
        }
        self.target = replicas;
    }

    /// Starts end, matches end (and with them their servers), machines go.
    fn age(&mut self, now_s: u32) {
        let mut lost = Vec::new();
        self.servers.retain_mut(|server| {
            if let Stand::Starting { ready_s } = server.stand
                && ready_s <= now_s
            {
                server.stand = Stand::Ready;
            }
            match server.stand {
                Stand::Busy { until_s, .. } if until_s <= now_s => false,
                Stand::Busy { match_s, .. } if server.doomed_s.is_some_and(|at| at <= now_s) => {
                    lost.push(match_s);
                    false
                }
                _ => true,
            }
        });
        self.day.lost += u32::try_from(lost.len()).expect("few");
        // Their players queue again, for a whole match.
        self.waiting.extend(lost.into_iter().map(|match_s| Arrival { at_s: now_s, match_s }));
    }

    /// A share of the spot machines gets its notice: unused servers go at once, the others may play on until the end.
    fn preempt(&mut self, share: f64, now_s: u32) {
        let (rng, notice_s) = (&mut self.rng, self.rules.notice_s);
        self.servers.retain_mut(|server| {
            if !server.spot || server.doomed_s.is_some() || rng.f64() >= share {
                return true;
            }
            server.doomed_s = Some(now_s + notice_s);
            matches!(server.stand, Stand::Busy { .. })
        });
    }

    /// Towards the target: new servers, or fewer unused ones (those that start go first).
    fn resize(&mut self, now_s: u32) {
        let target = usize::try_from(self.target).expect("few");
        while self.servers.len() < target {
            let mix = self.rules.divide(self.target);
            let spot = self.servers.iter().filter(|server| server.spot).count()
                < usize::try_from(mix.spot).expect("few");
            let ready_s = now_s + self.trace.game.start_up_s(&mut self.rng);
            self.servers.push(Server { stand: Stand::Starting { ready_s }, spot, doomed_s: None });
        }
        for unused in [|stand: Stand| matches!(stand, Stand::Starting { .. }), |stand| stand == Stand::Ready]
        {
            while self.servers.len() > target
                && let Some(index) = self.servers.iter().rposition(|server| unused(server.stand))
            {
                self.servers.remove(index);
            }
        }
    }

    /// Gives ready servers to those who wait, the first first; short matches to spot machines, long ones to others.
    fn serve(&mut self, now_s: u32) {
        while let Some(arrival) = self.waiting.front().copied() {
            let spot = self.rules.prefers_spot(arrival.match_s);
            let ready = |server: &Server| server.stand == Stand::Ready;
            let best = self.servers.iter().position(|server| ready(server) && server.spot == spot);
            let Some(index) = best.or_else(|| self.servers.iter().position(ready)) else { return };
            let until_s = now_s + arrival.match_s;
            self.servers[index].stand = Stand::Busy { until_s, match_s: arrival.match_s };
            self.waiting.pop_front();
            self.allocations += 1;
            self.day.waits_s.push(now_s - arrival.at_s);
        }
    }

    fn count(&mut self, now_s: u32) {
        let seen = self.seen();
        let spot = u64::try_from(self.servers.iter().filter(|server| server.spot).count()).expect("few");
        let all = u64::try_from(self.servers.len()).expect("few");
        self.day.seconds += 1;
        self.day.spot_s += spot;
        self.day.on_demand_s += all - spot;
        self.day.idle_s += u64::from(seen.ready);
        self.day.peak = self.day.peak.max(u32::try_from(all).expect("few"));
        if now_s.is_multiple_of(POINT_S) && now_s + DAY_S >= self.trace.seconds {
            let (second, Seen { allocated, ready, .. }) = (now_s % DAY_S, seen);
            self.day.points.push(Point { second, allocated, replicas: self.target, ready });
        }
    }
}

impl Day {
    /// The day in numbers.
    pub(super) fn figures(&self, game: &str, policy: String) -> Figures {
        let mut waits_s = self.waits_s.clone();
        waits_s.sort_unstable();
        let all = waits_s.len().max(1);
        let quantile = |share: f64| waits_s.get(((all - 1) as f64 * share) as usize).copied().unwrap_or(0);
        let days = f64::from((self.seconds / DAY_S).max(1));
        let hours = |seconds: u64| seconds as f64 / 3600.0 / days;
        let paid = hours(self.spot_s + self.on_demand_s);
        Figures {
            game: game.to_owned(),
            policy,
            matches: u32::try_from(waits_s.len()).expect("some days' matches").saturating_sub(self.lost),
            served_at_once: waits_s.iter().filter(|wait| **wait == 0).count() as f64 / all as f64,
            p99_wait_s: f64::from(quantile(0.99)),
            max_wait_s: f64::from(quantile(1.0)),
            idle_server_minutes: hours(self.idle_s) * 60.0,
            server_hours: paid,
            cost: hours(self.spot_s) * SPOT_PRICE + hours(self.on_demand_s),
            cost_on_demand: paid,
            spot_share: if paid > 0.0 { hours(self.spot_s) / paid } else { 0.0 },
            matches_lost: self.lost,
            flaps: self.flaps,
            peak: self.peak,
        }
    }
}
