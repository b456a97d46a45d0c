//! Owns: how a fleet moves to its size and to its newest template, as a pure function.
//! Must never know: which servers there are. Servers in use are never counted among those that may end.

use std::str::FromStr;

use super::scale::BufferSize;

/// Agones' `strategy.rollingUpdate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollingUpdate {
    /// So many servers more than the fleet's size while it is under way.
    pub surge: Share,
    /// So many servers fewer than the fleet's size may be Ready or in use while it is under way.
    pub unavailable: Share,
}

impl Default for RollingUpdate {
    /// Agones' own: a quarter each.
    fn default() -> Self {
        Self { surge: Share(BufferSize::Percent(25)), unavailable: Share(BufferSize::Percent(25)) }
    }
}

/// A number of servers, or a share of the fleet's size, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(pub BufferSize);

impl Share {
    fn of(self, size: u32) -> u32 {
        match self.0 {
            BufferSize::Count(count) => count,
            BufferSize::Percent(percent) => {
                u32::try_from((u64::from(size) * u64::from(percent)).div_ceil(100)).unwrap_or(u32::MAX)
            }
        }
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

/// Servers of one kind of template that are not ending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Not Ready yet.
    pub(super) starting: u32,
    /// Free.
    pub(super) ready: u32,
    /// Allocated or Reserved.
    pub(super) busy: u32,
}

impl Counts {
    fn living(self) -> u32 {
        self.starting + self.ready + self.busy
    }
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Servers of the newest template to start.
    pub(super) start: u32,
    /// Idle servers of the newest template to end.
    pub(super) retire: u32,
    /// Idle servers of older templates to end.
    pub(super) retire_old: u32,
}

/// The next step of a fleet of `desired` servers.
pub(super) fn step(desired: u32, rolling: RollingUpdate, newest: Counts, old: Counts) -> Step {
    // Those in use stay until their match ends, and count.
    let wanted = desired.saturating_sub(old.busy);
    let living = newest.living() + old.living();
    if old.starting + old.ready == 0 {
        return Step {
            start: wanted.saturating_sub(newest.living()),
            retire: newest.living().saturating_sub(wanted),
            retire_old: 0,
        };
    }
    let room = desired.saturating_add(rolling.surge.of(desired)).saturating_sub(living);
    let available = newest.ready + newest.busy + old.ready + old.busy;
    let needed = desired.saturating_sub(rolling.unavailable.of(desired));
    Step {
        start: wanted.saturating_sub(newest.living()).min(room),
        retire: newest.living().saturating_sub(wanted),
        // One that is not Ready yet serves nobody.
        retire_old: old.starting + old.ready.min(available.saturating_sub(needed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(starting: u32, ready: u32, busy: u32) -> Counts {
        Counts { starting, ready, busy }
    }

    #[track_caller]
    fn check(desired: u32, newest: Counts, old: Counts, expected: (u32, u32, u32)) {
        let step = step(desired, RollingUpdate::default(), newest, old);
        assert_eq!((step.start, step.retire, step.retire_old), expected);
    }

    #[test]
    fn without_an_update_only_the_size_counts() {
        check(4, counts(0, 0, 0), counts(0, 0, 0), (4, 0, 0));
        check(4, counts(1, 2, 0), counts(0, 0, 0), (1, 0, 0));
        check(4, counts(0, 4, 2), counts(0, 0, 0), (0, 2, 0));
        // Old ones in use count, and stay.
        check(4, counts(0, 1, 0), counts(0, 0, 2), (1, 0, 0));
        check(4, counts(0, 3, 0), counts(0, 0, 2), (0, 1, 0));
    }

    #[test]
    fn an_update_goes_in_steps() {
        // A quarter of 8: two more at a time, two fewer at a time.
        check(8, counts(0, 0, 0), counts(0, 8, 0), (2, 0, 2));
        check(8, counts(2, 0, 0), counts(0, 6, 0), (2, 0, 0));
        check(8, counts(0, 4, 0), counts(0, 6, 0), (0, 0, 4));
        // Those that are not Ready go at once.
        check(8, counts(2, 0, 0), counts(6, 0, 0), (2, 0, 6));
        // A quarter of one is one: the old one need not wait.
        check(1, counts(0, 0, 0), counts(0, 1, 0), (1, 0, 1));
    }

    /// Plays an update to its end from every small start and holds its promises at each step.
    #[test]
    fn servers_in_use_stay_and_the_limits_hold() {
        let rolling = RollingUpdate { unavailable: Share(BufferSize::Count(1)), ..RollingUpdate::default() };
        for desired in 1..=12_u32 {
            for busy in 0..=desired {
                let (mut newest, mut old) = (counts(0, 0, 0), counts(0, desired - busy, busy));
                for round in 0.. {
                    assert!(round < 100, "no end: {desired} {busy}");
                    let step = step(desired, rolling, newest, old);
                    if step == Step::default() && newest.starting == 0 {
                        break;
                    }
                    let starting = step.retire_old.min(old.starting);
                    old.starting -= starting;
                    old.ready -= step.retire_old - starting;
                    newest.ready += newest.starting - step.retire;
                    newest.starting = step.start;
                    assert_eq!(old.busy, busy);
                    assert!(newest.living() + old.living() <= desired + rolling.surge.of(desired));
                    assert!(newest.ready + old.ready + busy + 1 >= desired);
                }
                assert_eq!((newest, old), (counts(0, desired - busy, 0), counts(0, 0, busy)));
            }
        }
    }
}
