//! One look at one queue: who seeks now, running matches first, then the longest waiting; few by trying everything,
//! many by search. Changes the pool only by noting whose search found nothing.

use crate::exact;
use crate::field::Field;
use crate::group::Seeker;
use crate::pool::{Match, Pool, Slot, Stand};
use crate::refill::{Refill, fill};
use crate::rules::{GAP_MAX, Limits, ModeRules};
use crate::search::{Found, Search};
use crate::ticket::{Millis, TicketId};
use crate::trade::trade;

/// Every party whose search found nothing is looked at again after this long; those who join meanwhile find it.
const RETRY_MS: u64 = 1000;
/// So many of them, the oldest, are looked at in every tick: they have waited longest, and whoever has just come may be
/// who they lack. A bound, because a queue in which nobody fits must not cost a search each all the time.
const EAGER_MAX: usize = 256;

impl Pool {
    /// One queue: running matches first, then the longest waiting, for so many new matches at `most`.
    pub(crate) fn look(&mut self, key: &(usize, String), now: Millis, most: usize) -> Vec<Match> {
        let (rules, shapes) = &self.rules[key.0];
        let sorted = &self.queues[key].sorted;
        let slots = sorted.iter().filter_map(|&place| Some((place, self.slots[place as usize].as_ref()?)));
        let waiting = slots.filter(|(_, slot)| slot.stand == Stand::Waiting);
        let seekers: Vec<Seeker<'_>> = waiting.map(|(place, slot)| seeker(rules, place, slot, now)).collect();
        let mut refills: Vec<&Refill> = self
            .refills
            .values()
            .filter(|(mode, r)| *mode == key.0 && r.backfill.build == key.1 && !r.taken)
            .map(|(_, r)| r)
            .collect();
        refills.sort_by_key(|refill| (refill.backfill.queued, refill.backfill.id));
        let (found, barren) = if self.exact && seekers.len() <= exact::SEEKERS_MAX && refills.is_empty() {
            let mut best = exact::solve(rules, shapes, &seekers);
            best.truncate(most);
            (named(best, &seekers, None), Vec::new())
        } else {
            self.greedy(key, seekers, &refills, (now, most))
        };
        let made = found.into_iter().map(|(found, backfill)| self.render(key, &found, backfill)).collect();
        for place in barren {
            if let Some(slot) = self.slots[place as usize].as_mut() {
                slot.retry = now.plus(RETRY_MS);
            }
        }
        made
    }

    /// The matches as slots, and the slots whose search found nothing.
    #[allow(clippy::type_complexity, reason = "two lists that live for one call")]
    fn greedy(
        &self,
        key: &(usize, String),
        seekers: Vec<Seeker<'_>>,
        refills: &[&Refill],
        (now, most): (Millis, usize),
    ) -> (Vec<(Found, Option<TicketId>)>, Vec<u32>) {
        let (rules, shapes) = &self.rules[key.0];
        let slot = |seeker: &Seeker<'_>| self.slots[seeker.slot as usize].as_ref();
        let due = |seeker: &Seeker<'_>| slot(seeker).is_some_and(|slot| slot.retry <= now);
        let mut anchors: Vec<u32> = (0..seekers.len() as u32).collect();
        let tie = |who: u32| slot(&seekers[who as usize]).map_or(0, |slot| slot.tie);
        anchors.sort_by_cached_key(|&who| (std::cmp::Reverse(seekers[who as usize].age_ms), tie(who)));
        let mut eager = EAGER_MAX;
        anchors.retain(|&who| {
            let due = due(&seekers[who as usize]);
            eager -= usize::from(!due && eager > 0);
            due || eager > 0
        });
        let mut field = Field::new(seekers, rules.regions.len().max(1), rules.team_size);
        let (mut found, mut barren) = (Vec::new(), Vec::new());
        for refill in refills {
            let place = field.seekers.len() as u32;
            field.seekers.push(present(rules, refill, now));
            field.taken.push(true);
            if let Some(made) = fill(rules, &mut field, refill, place) {
                field.take(made.teams.iter().flatten().copied());
                found.extend(named(vec![made], &field.seekers, Some(refill.backfill.id)));
            }
        }
        let mut search = Search::new(rules, shapes);
        let mut made: Vec<Found> = Vec::new();
        for anchor in anchors {
            if made.len() >= most {
                break;
            }
            if field.taken[anchor as usize] {
                continue;
            }
            if let Some(one) = search.around(&mut field, anchor) {
                field.take(one.teams.iter().flatten().copied());
                made.push(one);
            } else {
                barren.push(anchor);
            }
        }
        trade(rules, shapes, &mut field, &mut made, &barren, most);
        barren.retain(|&who| !field.taken[who as usize]);
        let barren = barren.into_iter().map(|who| field.seekers[who as usize].slot).collect();
        found.extend(named(made, &field.seekers, None));
        (found, barren)
    }

    fn render(&self, key: &(usize, String), found: &Found, backfill: Option<TicketId>) -> Match {
        let rules = &self.rules[key.0].0;
        let id = |place: &u32| self.slots[*place as usize].as_ref().map(|slot| slot.ticket.id);
        Match {
            mode: rules.mode.clone(),
            build: key.1.clone(),
            region: rules.regions.get(found.region).cloned(),
            teams: found.teams.iter().map(|team| team.iter().filter_map(id).collect()).collect(),
            backfill,
            win_spread: found.spread,
        }
    }
}

/// The same with slots in place of seekers.
fn named(
    found: Vec<Found>,
    all: &[Seeker<'_>],
    backfill: Option<TicketId>,
) -> Vec<(Found, Option<TicketId>)> {
    let slots = |team: Vec<u32>| team.into_iter().map(|who| all[who as usize].slot).collect();
    let rename = |found: Found| Found { teams: found.teams.into_iter().map(slots).collect(), ..found };
    found.into_iter().map(|found| (rename(found), backfill)).collect()
}

pub(crate) fn seeker<'a>(rules: &ModeRules, place: u32, slot: &'a Slot, now: Millis) -> Seeker<'a> {
    let age_ms = now.since(slot.ticket.queued);
    let limits = rules.limits(age_ms);
    let (skill, half) = (slot.prepared.skill, limits.skill_gap / 2.0);
    Seeker {
        players: &slot.ticket.players,
        prepared: &slot.prepared,
        limits,
        low: skill - half,
        high: skill + half,
        regions: slot.prepared.regions(rules, &limits),
        age_ms,
        slot: place,
    }
}

/// Those who still play in a match, as one party that accepts by the match's own waiting.
fn present<'a>(rules: &ModeRules, refill: &'a Refill, now: Millis) -> Seeker<'a> {
    let limits = rules.limits(now.since(refill.backfill.queued));
    let empty = refill.present.is_empty();
    let half = if empty { GAP_MAX } else { limits.skill_gap / 2.0 };
    let limits = Limits { skill_gap: half * 2.0, bound: 0, ..limits };
    let named = refill.backfill.region.as_ref();
    let region = named.and_then(|name| rules.regions.iter().position(|region| region == name));
    Seeker {
        players: &refill.present,
        prepared: &refill.prepared,
        limits,
        low: refill.prepared.skill - half,
        high: refill.prepared.skill + half,
        regions: 1 << region.unwrap_or(0),
        age_ms: now.since(refill.backfill.queued),
        slot: u32::MAX,
    }
}
