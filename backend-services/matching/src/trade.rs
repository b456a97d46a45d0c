//! Second chances for parties that nothing fits: a match that was just formed and a match's worth of those left over
//! become two matches. What is left over in a long queue is mostly large parties, after the small ones that would have
//! filled up their teams have found each other. Owns the exchange; nobody who had a match loses it.

use crate::field::Field;
use crate::group::{Group, Seeker};
use crate::rules::ModeRules;
use crate::search::{Found, oldest};
use crate::shape::Shape;
use crate::teams::Division;

/// Parties left over that are looked at, the oldest.
const LEFT_MAX: usize = 48;
/// Matches that one party's exchange is tried with: those of the most parties, which come apart in the most ways.
const PARTNERS_MAX: usize = 8;
/// Matches' worths of leftovers that are tried around one party.
const HANDFULS_MAX: usize = 12;
/// Divisions into two matches that one tick looks at.
const LOOKS_MAX: u32 = 4000;
/// Of so many divisions that the rules allow, the most even one is taken.
const CHOICES_MAX: usize = 6;
/// More parties than this in both matches together have too many divisions.
const PARTIES_MAX: usize = 16;

/// Makes two matches of one and of parties left over, as often as that works; `left` are those, the oldest first, and
/// `most` is how many matches there may be.
pub(crate) fn trade(
    rules: &ModeRules,
    shapes: &[Shape],
    field: &mut Field<'_>,
    made: &mut Vec<Found>,
    left: &[u32],
    most: usize,
) {
    // Smaller forms are for those who have waited long; they are searched for as they are.
    let Some(shape) = shapes.first().filter(|shape| shape.teams >= 2) else { return };
    let mut looks = LOOKS_MAX;
    for &anchor in &left[..left.len().min(LEFT_MAX)] {
        if made.len() >= most || looks == 0 {
            return;
        }
        if field.taken[anchor as usize] || field.seekers[anchor as usize].prepared.size > shape.size {
            continue;
        }
        let free: Vec<u32> =
            left.iter().copied().take(LEFT_MAX).filter(|&who| !field.taken[who as usize]).collect();
        let mut exchange = Exchange { rules, shape, all: &field.seekers, looks: &mut looks };
        let Some((place, handful, pair)) = exchange.around(anchor, &free, made) else { continue };
        field.take(handful);
        let [one, other] = pair;
        made[place] = one;
        made.push(other);
    }
}

/// What stays the same while exchanges are tried.
struct Exchange<'a> {
    rules: &'a ModeRules,
    shape: &'a Shape,
    all: &'a [Seeker<'a>],
    looks: &'a mut u32,
}

impl Exchange<'_> {
    /// The match to open, who joins, and the two matches that come of it.
    fn around(&mut self, anchor: u32, free: &[u32], made: &[Found]) -> Option<(usize, Vec<u32>, [Found; 2])> {
        let own = &self.all[anchor as usize];
        let regions: Vec<usize> = (0..32).filter(|region| own.regions >> region & 1 == 1).collect();
        for region in regions {
            let here = |who: &u32| self.all[*who as usize].regions >> region & 1 == 1 && *who != anchor;
            let others: Vec<u32> = free.iter().copied().filter(here).collect();
            let mut handfuls = Vec::new();
            self.handfuls(
                &others,
                &mut vec![anchor],
                self.shape.players() - own.prepared.size,
                &mut handfuls,
            );
            if handfuls.is_empty() {
                continue;
            }
            let partners = self.partners(region, made);
            for handful in &handfuls {
                for &place in &partners {
                    let members = made[place].teams.concat();
                    if members.len() + handful.len() > PARTIES_MAX {
                        continue;
                    }
                    let everybody = [&handful[..], &members[..]].concat();
                    if let Some(pair) = self.divide(&everybody, region) {
                        return Some((place, handful.clone(), pair));
                    }
                    if *self.looks == 0 {
                        return None;
                    }
                }
            }
        }
        None
    }

    /// Whole matches of this region, those of the most parties first.
    fn partners(&self, region: usize, made: &[Found]) -> Vec<usize> {
        let parties = |place: &usize| made[*place].teams.iter().map(Vec::len).sum::<usize>();
        let players = |found: &Found| {
            let sizes = found.teams.iter().flatten().map(|&who| self.all[who as usize].prepared.size);
            sizes.sum::<usize>()
        };
        let whole =
            |place: &usize| made[*place].region == region && players(&made[*place]) == self.shape.players();
        let mut partners: Vec<usize> = (0..made.len()).filter(whole).collect();
        partners.sort_by_key(|place| std::cmp::Reverse(parties(place)));
        partners.truncate(PARTNERS_MAX);
        partners
    }

    /// Parties of exactly so many more players, the older ones preferred.
    fn handfuls(&self, others: &[u32], chosen: &mut Vec<u32>, wanted: usize, out: &mut Vec<Vec<u32>>) {
        if wanted == 0 {
            out.push(chosen.clone());
            return;
        }
        for (index, &who) in others.iter().enumerate() {
            if out.len() >= HANDFULS_MAX {
                return;
            }
            let size = self.all[who as usize].prepared.size;
            if size <= wanted {
                chosen.push(who);
                self.handfuls(&others[index + 1..], chosen, wanted - size, out);
                chosen.pop();
            }
        }
    }

    /// Everybody in two matches that the rules allow, the first one in the first.
    fn divide(&mut self, everybody: &[u32], region: usize) -> Option<[Found; 2]> {
        let size = self.all[*everybody.first()? as usize].prepared.size;
        let mut pairs = Vec::with_capacity(CHOICES_MAX);
        self.walk(everybody, region, (1, 1, size), &mut pairs);
        let uneven = |pair: &[Found; 2]| pair[0].spread + pair[1].spread;
        pairs.into_iter().min_by(|one, other| uneven(one).total_cmp(&uneven(other)))
    }

    /// `(next, mask, size)`: the next to decide on, who is in the first match, and their players.
    fn walk(
        &mut self,
        everybody: &[u32],
        region: usize,
        (next, mask, size): (usize, u32, usize),
        pairs: &mut Vec<[Found; 2]>,
    ) {
        let whole = self.shape.players();
        if *self.looks == 0 || pairs.len() == CHOICES_MAX {
            return;
        }
        if size == whole {
            *self.looks -= 1;
            let side = |inside: bool| -> Vec<u32> {
                let of = |index: &usize| (mask >> index & 1 == 1) == inside;
                (0..everybody.len()).filter(of).map(|index| everybody[index]).collect()
            };
            if let Some(one) = self.a_match(&side(true), region)
                && let Some(other) = self.a_match(&side(false), region)
            {
                pairs.push([one, other]);
            }
            return;
        }
        for index in next..everybody.len() {
            let grown = size + self.all[everybody[index] as usize].prepared.size;
            if grown <= whole {
                self.walk(everybody, region, (index + 1, mask | 1 << index, grown), pairs);
            }
        }
    }

    /// The match of exactly these parties.
    fn a_match(&self, members: &[u32], region: usize) -> Option<Found> {
        let mut group = Group::new(self.rules, 1 << region);
        if !members.iter().all(|&who| group.join(self.rules, self.all, who)) {
            return None;
        }
        let bound = members.iter().any(|&who| self.all[who as usize].limits.roles);
        let roles = if bound { &self.rules.roles[..] } else { &[] };
        let division = Division { all: self.all, shape: self.shape, roles };
        let teams = division.split(members)?;
        let spread = division.spread(&teams);
        (spread <= oldest(self.all, members).limits.win_spread).then_some(Found { region, teams, spread })
    }
}
