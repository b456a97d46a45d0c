//! A whole random run of a server and its clients, drawn from one seed: joins, traffic, cuts, crashes,
//! takeovers, goodbyes, and strangers who send rubbish.

use std::time::Duration;

use netcode_proto::{
    ChannelId, ChannelSet, DATAGRAM_BYTES_BASE, DATAGRAM_BYTES_LEAST, DATAGRAM_BYTES_MAX, LinkConfig,
};
use netcode_wire::Time;

use crate::cluster::Cluster;
use crate::laws::Violation;
use crate::link_run::RunReport;
use crate::profile::{Burst, Profile};

/// Plays the run of `seed`.
///
/// # Errors
/// The law that was broken.
pub fn run_sessions(seed: u64) -> Result<RunReport, Violation> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut cluster = Cluster::new(&ChannelSet::standard(), &LinkConfig::default(), seed);
    let mut story = Story::random(&mut rng);
    let mut moves = Moves::new(seed);
    let mut returns = Returns::new(seed);
    let mut holes = Holes::new(seed);
    let mut report = RunReport::default();
    while cluster.now() < story.end {
        cluster.tick()?;
        story.turn(&mut rng, &mut cluster);
        moves.turn(&story, &mut cluster);
        returns.turn(&mut story, &mut cluster);
        holes.turn(&mut cluster);
        report.refused += story.talk(&mut rng, &mut cluster);
    }
    for seat in 0..cluster.seats_len() {
        cluster.set_down(seat, false);
        cluster.set_mtu(seat, None);
        cluster.set_profile(seat, Profile::clean(50.0));
    }
    cluster.run_for(HEALING)?;
    cluster.all_delivered(HEALING)?;
    cluster.all_extended()?;
    cluster.idle_for(Duration::from_secs(5))?;
    report.span = cluster.now().since(Time::ZERO);
    report.packets = cluster.datagrams();
    let messages = |seat| cluster.ledger(seat, false).messages() + cluster.ledger(seat, true).messages();
    report.messages = (0..cluster.seats_len()).map(messages).sum();
    Ok(report)
}

/// What will happen.
#[derive(Debug)]
struct Story {
    players: u64,
    end: Time,
    next: Time,
    seats: Vec<Fate>,
    /// The chance of a message per seat, direction and tick.
    chatter: f64,
    strangers: bool,
}

/// Where a seat stands in the story.
#[derive(Debug, Default, Clone, Copy)]
struct Fate {
    is_over: bool,
    down_until: Option<Time>,
}

/// Clients that change their address, in one run of three. Drawn apart from the story: what a seed showed before
/// there were moves, it still shows.
#[derive(Debug)]
struct Moves {
    rng: fastrand::Rng,
    next: Option<Time>,
}

impl Moves {
    fn new(seed: u64) -> Self {
        let next = seed.is_multiple_of(3).then(|| Time::from_millis(3000));
        Self { rng: fastrand::Rng::with_seed(seed ^ 0x6d6f_7665), next }
    }

    fn turn(&mut self, story: &Story, cluster: &mut Cluster) {
        let now = cluster.now();
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        self.next = Some(now + Duration::from_millis(self.rng.u64(500..4000)));
        let settled = |seat: &usize| {
            let is_up = !story.seats[*seat].is_over && cluster.is_up(*seat);
            // Only an extended session can move. Whatever was lost, an offer was heard by then.
            is_up && cluster.up_since(*seat).is_some_and(|at| now.since(at) > EXTENDED_AFTER)
        };
        let up: Vec<usize> = (0..story.seats.len()).filter(settled).collect();
        if let Some(&seat) = self.rng.choice(&up) {
            cluster.rebind(seat);
        }
    }
}

/// Crashed clients that come back with the token that they had, in every other run. Drawn apart, as moves are.
#[derive(Debug)]
struct Returns {
    rng: fastrand::Rng,
    next: Option<Time>,
}

impl Returns {
    fn new(seed: u64) -> Self {
        let next = seed.is_multiple_of(2).then_some(Time::ZERO);
        Self { rng: fastrand::Rng::with_seed(seed ^ 0x7265_7475), next }
    }

    fn turn(&mut self, story: &mut Story, cluster: &mut Cluster) {
        if self.next.is_none_or(|next| cluster.now() < next) || story.seats.len() >= SEATS_MAX {
            return;
        }
        self.next = Some(cluster.now() + Duration::from_millis(self.rng.u64(50..3000)));
        let crashed: Vec<usize> = (0..story.seats.len()).filter(|seat| cluster.can_resume(*seat)).collect();
        if let Some(&seat) = self.rng.choice(&crashed) {
            cluster.resume(seat, path(&mut self.rng));
            story.seats.push(Fate::default());
        }
    }
}

/// Paths of sessions that stand become narrower and wider, in one run of four, without a word to anybody: down to what
/// every path takes. Drawn apart, as moves are.
#[derive(Debug)]
struct Holes {
    rng: fastrand::Rng,
    next: Option<Time>,
}

impl Holes {
    fn new(seed: u64) -> Self {
        let next = (seed % 4 == 1).then_some(Time::ZERO);
        Self { rng: fastrand::Rng::with_seed(seed ^ 0x6d74_7521), next }
    }

    fn turn(&mut self, cluster: &mut Cluster) {
        if self.next.is_none_or(|next| cluster.now() < next) {
            return;
        }
        self.next = Some(cluster.now() + Duration::from_millis(self.rng.u64(100..6000)));
        let up: Vec<usize> = (0..cluster.seats_len()).filter(|seat| cluster.is_up(*seat)).collect();
        if let Some(&seat) = self.rng.choice(&up) {
            let mtu = match self.rng.u32(0..4) {
                0 => None,
                1 => Some(self.rng.usize(DATAGRAM_BYTES_LEAST..DATAGRAM_BYTES_BASE)),
                _ => Some(self.rng.usize(DATAGRAM_BYTES_BASE..DATAGRAM_BYTES_MAX)),
            };
            cluster.set_mtu(seat, mtu);
        }
    }
}

impl Story {
    fn random(rng: &mut fastrand::Rng) -> Self {
        Self {
            players: rng.u64(1..7),
            end: Time::from_millis(rng.u64(8_000..25_000)),
            next: Time::ZERO,
            seats: Vec::new(),
            chatter: rng.f64(),
            strangers: rng.bool(),
        }
    }

    fn turn(&mut self, rng: &mut fastrand::Rng, cluster: &mut Cluster) {
        let now = cluster.now();
        for (seat, fate) in self.seats.iter_mut().enumerate() {
            if fate.down_until.is_some_and(|until| until <= now) {
                fate.down_until = None;
                cluster.set_down(seat, false);
            }
        }
        if self.strangers && rng.u32(0..10) == 0 {
            rubbish(rng, cluster);
        }
        if now >= self.next {
            self.next = now + Duration::from_millis(rng.u64(50..2500));
            self.event(rng, cluster);
        }
    }

    fn event(&mut self, rng: &mut fastrand::Rng, cluster: &mut Cluster) {
        let alive: Vec<usize> = (0..self.seats.len()).filter(|seat| !self.seats[*seat].is_over).collect();
        let Some(&seat) = rng.choice(&alive).filter(|_| rng.u32(0..3) > 0) else {
            return self.join(rng, cluster);
        };
        match rng.u32(0..12) {
            0 => cluster.leave(seat),
            1 => cluster.kick(seat),
            2 => cluster.crash(seat),
            3 => {
                // Longer than the timeout: either end may give up.
                cluster.excuse_silence(seat);
                return self.cut(seat, cluster, Duration::from_secs(12));
            }
            4..7 => return self.cut(seat, cluster, Duration::from_millis(rng.u64(50..1500))),
            _ => return cluster.set_profile(seat, path(rng)),
        }
        // A kick before the session stands does nothing: the seat lives on.
        self.seats[seat].is_over = cluster.client(seat).is_none() || !cluster.is_up(seat);
    }

    fn join(&mut self, rng: &mut fastrand::Rng, cluster: &mut Cluster) {
        if self.seats.len() >= SEATS_MAX {
            return;
        }
        cluster.join(rng.u64(1..=self.players), path(rng));
        self.seats.push(Fate::default());
    }

    fn cut(&mut self, seat: usize, cluster: &mut Cluster, span: Duration) {
        cluster.set_down(seat, true);
        self.seats[seat].down_until = Some(cluster.now() + span);
    }

    /// Gives how many messages were not taken.
    fn talk(&self, rng: &mut fastrand::Rng, cluster: &mut Cluster) -> u64 {
        let mut refused = 0;
        for seat in 0..self.seats.len() {
            for down in [false, true] {
                if !cluster.is_up(seat) || rng.f64() >= self.chatter {
                    continue;
                }
                let len = if rng.u32(0..200) == 0 { rng.usize(4..20_000) } else { rng.usize(4..200) };
                refused += u64::from(!cluster.send(seat, down, ChannelId(rng.u8(0..6)), len));
            }
        }
        refused
    }
}

/// Something that no honest end would send now.
fn rubbish(rng: &mut fastrand::Rng, cluster: &mut Cluster) {
    let overheard = cluster.captured(rng.usize(0..64)).unwrap_or_default();
    let mut bytes: Vec<u8> = match rng.u32(0..5) {
        0 => (0..rng.usize(0..1300)).map(|_| rng.u8(..)).collect(),
        // The length of a request, and its type.
        1 => std::iter::once(0).chain((1..1078).map(|_| rng.u8(..))).collect(),
        // A replay, and a forgery of what was heard.
        2 => overheard,
        3 => overheard.into_iter().enumerate().map(|(at, byte)| if at == 5 { !byte } else { byte }).collect(),
        // A short sealed packet of any type.
        _ => std::iter::once(rng.u8(0..7) | rng.u8(0..9) << 4)
            .chain((0..rng.usize(0..60)).map(|_| rng.u8(..)))
            .collect(),
    };
    if cluster.seats_len() > 0 && rng.bool() {
        let seat = rng.usize(0..cluster.seats_len());
        cluster.inject_as(seat, &mut bytes);
    } else {
        cluster.inject(&mut bytes);
    }
}

/// A path on which eight seconds of silence do not happen by bad luck.
fn path(rng: &mut fastrand::Rng) -> Profile {
    if rng.bool() {
        return Profile::NAMED[rng.usize(0..Profile::NAMED.len())].1;
    }
    let rtt_ms = rng.f64() * 300.0;
    Profile {
        jitter_ms: rtt_ms * rng.f64() * 0.5,
        loss: rng.f64() * 0.15,
        burst: rng.bool().then(|| Burst {
            begin: rng.f64() * 0.01,
            end: 0.2 + rng.f64() * 0.8,
            loss: rng.f64(),
        }),
        duplicate: rng.f64() * 0.1,
        reorder: rng.f64() * 0.1,
        corrupt: rng.f64() * 0.01,
        bandwidth_bps: rng.bool().then(|| rng.u64(500_000..20_000_000)),
        queue_ms: 50.0 + rng.f64() * 300.0,
        ..Profile::clean(rtt_ms)
    }
    .with_routers()
}

/// A client whose session stands for so long has heard that it is extended, also in bad weather.
const EXTENDED_AFTER: Duration = Duration::from_secs(6);
/// Clients started in one run at most.
const SEATS_MAX: usize = 12;
/// What a healed path is given to deliver everything: handshakes under way, backed-off probes, queues.
const HEALING: Duration = Duration::from_secs(20);
