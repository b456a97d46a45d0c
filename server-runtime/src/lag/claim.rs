//! Whether a client can have seen what it says it saw. Owns the judgement and its memory of one client; must never know
//! a pose, a shot, or how the claim travelled.
//!
//! A client says with each input which moment it showed. Two things are known of it that it cannot choose freely: which
//! snapshots it was sent, and which of them it has acknowledged. So, with the age of the newest acknowledged snapshot at
//! that input:
//!
//! * it cannot have seen more than movement continued a few ticks past that snapshot: what is newer was never sent;
//! * an honest client trails by as much as keeps a snapshot at hand nearly always: its distance is a high quantile of
//!   those very ages over the last seconds, so that it is never much more than the greatest of them.
//!
//! A claim outside is refused and counted, and answered with the last distance that could be true: the lie gains
//! nothing. Who acknowledges late on purpose is told little and late, as somebody with such a link is, and gets the
//! rewind that such a link gets: within the bound of [`LagConfig`](super::LagConfig).

use netcode_snapshot::ViewTime;
use netcode_wire::Tick;

/// What a client says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    /// The tick that its newest input is for.
    pub(crate) input: Tick,
    /// The moment it showed then.
    pub(crate) view: ViewTime,
}

/// What is known of the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence {
    /// The newest snapshot that it was sent and has acknowledged.
    pub(crate) acked: Option<Tick>,
}

/// The judge of one client's claims.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    /// The greatest age of the newest snapshot, a place for each part of the window.
    ages: [f32; PARTS],
    part: u32,
    /// The last distance that could be true.
    granted: Option<f32>,
    refused: u64,
}

impl Judge {
    pub(crate) fn new() -> Self {
        Self { ages: [f32::NEG_INFINITY; PARTS], part: 0, granted: None, refused: 0 }
    }

    /// How many ticks the client's view lies before its input, as far as that can be true.
    pub(crate) fn judge(&mut self, claim: Claim, evidence: Evidence) -> f32 {
        // Nobody has seen anything before the first snapshot.
        let Some(acked) = evidence.acked else { return 0.0 };
        let age = claim.input.since(acked) as f32;
        self.note(claim.input, age);
        let fraction = f32::from(claim.view.fraction) / 256.0;
        let distance = claim.input.since(claim.view.tick) as f32 - fraction;
        let oldest = self.ages.iter().copied().fold(age, f32::max);
        if (age - AHEAD_TICKS_MAX..=oldest + BEHIND_TICKS_MAX).contains(&distance) {
            return *self.granted.insert(distance);
        }
        self.refused += 1;
        self.granted.unwrap_or(age).min(oldest + BEHIND_TICKS_MAX).max(0.0)
    }

    /// The last distance that could be true.
    pub(crate) fn granted(&self) -> f32 {
        self.granted.unwrap_or(0.0)
    }

    /// Claims that could not be true, ever.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    fn note(&mut self, input: Tick, age: f32) {
        let part = input.0 / PART_TICKS;
        // What lies in between holds nothing; an input that jumps back counts for the present.
        for passed in 1..=part.saturating_sub(self.part).min(PARTS as u32) {
            self.ages[(self.part + passed) as usize % PARTS] = f32::NEG_INFINITY;
        }
        self.part = self.part.max(part);
        let place = &mut self.ages[self.part as usize % PARTS];
        *place = place.max(age);
    }
}

/// How far past the newest snapshot a client may continue movement (the default of netcode's client is 3), and two
/// ticks for a snapshot in parts, which is shown before it is acknowledged.
const AHEAD_TICKS_MAX: f32 = 5.0;
/// How far a client may trail the oldest snapshot that was the newest: a tick between two inputs, the least delay of one,
/// and what its sum is rounded by.
const BEHIND_TICKS_MAX: f32 = 3.0;
/// The window: 512 ticks, 8.5 s at 60 Hz. A delay that is no longer needed is given up at 5 % of time, so 12 ticks take 4 s.
const PARTS: usize = 8;
const PART_TICKS: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn view(position: f32) -> ViewTime {
        ViewTime { tick: Tick(position as u32), fraction: (position.fract() * 256.0) as u8 }
    }

    /// A client whose newest snapshot is `age` ticks old at each input, and which trails by `distance`.
    fn honest(judge: &mut Judge, ticks: std::ops::Range<u32>, age: fn(u32) -> u32, distance: f32) {
        for tick in ticks {
            let claim = Claim { input: Tick(tick), view: view(tick as f32 - distance) };
            let granted = judge.judge(claim, Evidence { acked: Some(Tick(tick - age(tick))) });
            assert!((granted - distance).abs() < 0.01, "{tick}: {granted}");
        }
        assert_eq!(judge.refused(), 0);
    }

    fn lie(judge: &mut Judge, input: u32, distance: f32, age: u32) -> f32 {
        let claim = Claim { input: Tick(input), view: view(input as f32 - distance) };
        judge.judge(claim, Evidence { acked: Some(Tick(input - age)) })
    }

    #[test]
    fn what_honest_clients_say_is_granted() {
        honest(&mut Judge::new(), 1000..3000, |_| 4, 5.25);
        // Jitter: now and then the newest snapshot is old, and the view trails by so much.
        honest(&mut Judge::new(), 1000..3000, |tick| if tick % 50 == 0 { 11 } else { 5 }, 11.5);
        // Movement continued past the newest one.
        honest(&mut Judge::new(), 1000..1004, |tick| tick - 990, 8.0);
    }

    #[test]
    fn a_moment_that_was_never_sent_gains_nothing() {
        let mut judge = Judge::new();
        honest(&mut judge, 1000..1200, |_| 8, 9.0);
        for newer in [0.0, 2.5, -40.0] {
            assert!((lie(&mut judge, 1200, newer, 8) - 9.0).abs() < 1e-3);
        }
        assert_eq!(judge.refused(), 3);
    }

    #[test]
    fn too_old_a_moment_gains_nothing_however_long_it_is_claimed() {
        let mut judge = Judge::new();
        honest(&mut judge, 1000..1200, |_| 4, 5.0);
        for input in 1200..5000 {
            assert!((lie(&mut judge, input, 15.0, 4) - 5.0).abs() < 1e-3);
        }
        assert_eq!(judge.refused(), 3800);
        // Who lies from the beginning gets what the newest snapshot allows.
        let mut judge = Judge::new();
        assert!((lie(&mut judge, 1000, 900.0, 4) - 4.0).abs() < 1e-3);
    }

    #[test]
    fn a_bad_moment_is_forgotten() {
        let mut judge = Judge::new();
        lie(&mut judge, 1000, 30.0, 30);
        assert_eq!(judge.refused(), 0, "the snapshot was as old");
        honest(&mut judge, 1001..2000, |_| 4, 5.0);
        assert!((lie(&mut judge, 2000, 30.0, 4) - 5.0).abs() < 1e-3);
        assert_eq!(judge.refused(), 1);
    }

    #[test]
    fn nothing_was_seen_before_the_first_snapshot() {
        let mut judge = Judge::new();
        let claim = Claim { input: Tick(100), view: view(80.0) };
        assert_eq!((judge.judge(claim, Evidence { acked: None }), judge.refused()), (0.0, 0));
    }

    #[test]
    fn ticks_from_the_ends_of_time_do_no_harm() {
        let mut judge = Judge::new();
        for (input, seen, acked) in
            [(u32::MAX, 0, 0), (0, u32::MAX, u32::MAX), (5, u32::MAX, 3), (u32::MAX, 7, 9)]
        {
            let claim = Claim { input: Tick(input), view: ViewTime { tick: Tick(seen), fraction: 255 } };
            assert!(judge.judge(claim, Evidence { acked: Some(Tick(acked)) }).is_finite());
        }
    }
}
