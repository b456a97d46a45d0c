//! One queue as one tick sees it: who seeks, in rows by region and party size, sorted by rating; whoever is
//! matched is stepped over. Owns nearness; must never know a rule.

use crate::group::Seeker;

/// The parties of one size that accept one region, by rating.
struct Row {
    skill: Vec<f64>,
    who: Vec<u32>,
    /// `after[i]`: a place at or beyond the next free one after `i`.
    after: Vec<u32>,
    /// `before[i]`: one above a place at or before the next free one before `i`.
    before: Vec<u32>,
}

/// All rows of a queue.
pub(crate) struct Field<'a> {
    pub(crate) seekers: Vec<Seeker<'a>>,
    pub(crate) taken: Vec<bool>,
    rows: Vec<Row>,
    sizes: usize,
    widest_half: f64,
}

impl<'a> Field<'a> {
    /// Of seekers sorted by rating.
    pub(crate) fn new(seekers: Vec<Seeker<'a>>, regions: usize, sizes: usize) -> Self {
        let mut rows: Vec<Row> = (0..regions * sizes).map(|_| Row::new()).collect();
        let mut widest_half: f64 = 0.0;
        for (who, seeker) in seekers.iter().enumerate() {
            widest_half = widest_half.max(seeker.limits.skill_gap / 2.0);
            let mut left = seeker.regions;
            while left != 0 {
                let region = left.trailing_zeros() as usize;
                left &= left - 1;
                rows[region * sizes + seeker.prepared.size - 1].push(seeker.prepared.skill, who as u32);
            }
        }
        for row in &mut rows {
            row.link();
        }
        Self { taken: vec![false; seekers.len()], seekers, rows, sizes, widest_half }
    }

    pub(crate) fn take(&mut self, members: impl IntoIterator<Item = u32>) {
        for who in members {
            self.taken[who as usize] = true;
        }
    }

    /// Free parties of one size near to a rating in one region, the nearest first, as `(distance, who)`:
    /// at most `count` that `wanted` says yes to, of at most `looks`.
    pub(crate) fn near(
        &mut self,
        (region, size): (usize, usize),
        anchor: u32,
        (count, looks): (usize, usize),
        out: &mut Vec<(f64, u32)>,
    ) {
        let own = &self.seekers[anchor as usize];
        let (centre, reach) = (own.prepared.skill, own.limits.skill_gap / 2.0 + self.widest_half);
        let row = &mut self.rows[region * self.sizes + size - 1];
        let start = row.skill.partition_point(|&skill| skill < centre) as u32;
        let (mut low, mut high) = (row.free_before(start, &self.taken), row.free_from(start, &self.taken));
        let mut found = 0;
        for _ in 0..looks {
            let below = low.map(|place| centre - row.skill[place as usize]);
            let above = high.map(|place| row.skill[place as usize] - centre);
            let (distance, place) = match (below, above, low, high) {
                (Some(below), Some(above), Some(low), _) if below < above => (below, low),
                (_, Some(above), _, Some(high)) => (above, high),
                (Some(below), None, Some(low), _) => (below, low),
                _ => return,
            };
            if distance > reach {
                return;
            }
            if Some(place) == low {
                low = row.free_before(place, &self.taken);
            } else {
                high = row.free_from(place + 1, &self.taken);
            }
            let who = row.who[place as usize];
            let other = &self.seekers[who as usize];
            let own = &self.seekers[anchor as usize];
            if who != anchor && own.low <= other.high && other.low <= own.high {
                out.push((distance, who));
                found += 1;
                if found == count {
                    return;
                }
            }
        }
    }
}

impl Row {
    const fn new() -> Self {
        Self { skill: Vec::new(), who: Vec::new(), after: Vec::new(), before: Vec::new() }
    }

    fn push(&mut self, skill: f64, who: u32) {
        self.skill.push(skill);
        self.who.push(who);
    }

    fn link(&mut self) {
        let length = self.who.len() as u32;
        self.after = (1..=length).collect();
        self.before = (0..length).collect();
    }

    /// The first free place at or after `start`.
    fn free_from(&mut self, start: u32, taken: &[bool]) -> Option<u32> {
        let mut place = start;
        while (place as usize) < self.who.len() && taken[self.who[place as usize] as usize] {
            place = self.after[place as usize];
        }
        // Whoever walks here again takes the short way: those in between never become free in this tick.
        let mut walked = start;
        while walked < place {
            walked = std::mem::replace(&mut self.after[walked as usize], place);
        }
        ((place as usize) < self.who.len()).then_some(place)
    }

    /// The last free place before `end`.
    fn free_before(&mut self, end: u32, taken: &[bool]) -> Option<u32> {
        let mut above = end;
        while above > 0 && taken[self.who[above as usize - 1] as usize] {
            above = self.before[above as usize - 1];
        }
        let mut walked = end;
        while walked > above {
            walked = std::mem::replace(&mut self.before[walked as usize - 1], above);
        }
        above.checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_places_are_stepped_over() {
        let mut row = Row::new();
        (0..10).for_each(|place| row.push(f64::from(place), place));
        row.link();
        let taken: Vec<bool> = (0..10).map(|place| (3..8).contains(&place)).collect();
        assert_eq!(row.free_from(3, &taken), Some(8));
        assert_eq!(row.after[3..8], [8; 5]);
        assert_eq!(row.free_before(8, &taken), Some(2));
        assert_eq!(row.before[7], 3);
        assert_eq!(row.free_from(2, &taken), Some(2));
        assert_eq!((row.free_before(0, &taken), row.free_from(10, &taken)), (None, None));
        let all = vec![true; 10];
        assert_eq!((row.free_before(10, &all), row.free_from(0, &all)), (None, None));
    }
}
