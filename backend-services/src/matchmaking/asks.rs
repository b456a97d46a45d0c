//! What a match asks of a server: its sheet, and the ways to regions that its rules accept. Pure but for the sheet's seed.

use std::collections::BTreeMap;

use matching::{Attribute, Constraint, Match, ModeRules, RuleBook};

use super::desk::millis;
use super::queue::Entry;
use super::ticket::Terms;
use super::worker::Seat;
use crate::allocation::{MatchSheet, SheetPlayer, Wanted};
use crate::clock::UnixMs;
use crate::crypto::random_u64;
use crate::ids::{MatchId, PlayerId};

/// What this match wants, `seconds` long, of tickets as old as they are `now`.
pub(super) fn wanted(
    book: &RuleBook,
    seconds: u32,
    id: MatchId,
    found: &Match,
    seats: &[Seat],
    entries: &[Entry],
    now: UnixMs,
) -> Wanted {
    let rules = book.modes.iter().find(|rules| rules.mode == found.mode);
    let player = |seat: &Seat| SheetPlayer {
        player: seat.player.as_u64(),
        name: seat.name.clone(),
        team: seat.team,
        party: seat.party,
    };
    let sheet = MatchSheet {
        match_id: id.to_string(),
        mode: found.mode.clone(),
        seconds,
        seed: random_u64() % PlayerId::LIMIT,
        players: seats.iter().map(player).collect(),
        backfill: rules.and_then(|rules| terms(rules, found, entries)),
    };
    let (latencies, latency_max_ms) = ways(rules, entries, now);
    Wanted { id, sheet, result_key: None, latencies, latency_max_ms }
}

/// The ways of each party that measured any, without end where the rules do not accept them at its age; and the longest that
/// they accept of anybody. A region that is not on every list is too far for somebody: the limit leaves it out.
fn ways(
    rules: Option<&ModeRules>,
    entries: &[Entry],
    now: UnixMs,
) -> (Vec<BTreeMap<String, u32>>, Option<u32>) {
    let limit = |entry: &Entry| {
        let rules = rules.filter(|rules| !rules.regions.is_empty())?;
        Some(rules.limits(millis(now).since(entry.record.queued)).latency_ms)
    };
    let measured = entries.iter().filter(|entry| !entry.record.latencies.is_empty());
    let accepted = |entry: &Entry| {
        let limit = limit(entry);
        // Too far for this party is too far for the match, also where another party accepts as much.
        let far = |ms: u16| if limit.is_none_or(|limit| ms <= limit) { u32::from(ms) } else { u32::MAX };
        entry.record.latencies.iter().map(|(region, ms)| (region.clone(), far(*ms))).collect()
    };
    (measured.map(accepted).collect(), entries.iter().filter_map(limit).max().map(u32::from))
}

/// By which terms the match gets other players, where its mode's rules want that.
fn terms(rules: &ModeRules, found: &Match, entries: &[Entry]) -> Option<serde_json::Value> {
    let left_s = rules.backfill_left_s?;
    let mut attributes = BTreeMap::new();
    for Constraint { key, .. } in &rules.attributes {
        let mut all = entries.iter().filter_map(|entry| entry.record.attributes.get(key)).cloned();
        // Words that all share, where these are sets; else the first one's, which the rule holds near the others'.
        let common = all.next().map(|first| all.fold(first, shared));
        attributes.extend(common.map(|common| (key.clone(), common)));
    }
    let terms = Terms { left_s, region: found.region.clone(), build: found.build.clone(), attributes };
    serde_json::to_value(terms).ok()
}

fn shared(one: Attribute, other: Attribute) -> Attribute {
    match (one, other) {
        (Attribute::Set(mut words), Attribute::Set(others)) => {
            words.retain(|word| others.contains(word));
            Attribute::Set(words)
        }
        (one, _) => one,
    }
}

#[cfg(test)]
mod tests {
    use matching::{Millis, Step};

    use super::*;
    use crate::allocation::region::rank;
    use crate::ids::TicketId;
    use crate::matchmaking::ticket::{Record, State};

    const REGIONS: [&str; 4] = ["eu", "us", "asia", "south"];

    fn rules() -> ModeRules {
        let mut rules = ModeRules::new("ranked", 2, 1, 10.0);
        rules.regions = REGIONS.map(str::to_owned).to_vec();
        rules.latency_ms = 80;
        rules.expansion = vec![
            Step { after_s: 5.0, latency_ms: Some(120), ..Step::default() },
            Step { after_s: 15.0, latency_ms: Some(200), ..Step::default() },
        ];
        rules
    }

    fn entry(queued: u64, latencies: BTreeMap<String, u16>) -> Entry {
        let record = Record {
            id: TicketId::random().to_string(),
            mode: "ranked".to_owned(),
            build: String::new(),
            members: Vec::new(),
            players: Vec::new(),
            latencies,
            attributes: BTreeMap::new(),
            queued: Millis(queued),
            fills: None,
        };
        Entry { record, state: State::Queued }
    }

    /// The region rule against trying everything: of the regions that every party accepts at its own age, one with room
    /// before one without, then the one whose furthest party is nearest.
    #[test]
    fn the_region_is_the_best_that_every_party_accepts_at_its_age() {
        let mut random = fastrand::Rng::with_seed(7);
        let (rules, now) = (rules(), UnixMs(60_000));
        let (mut chosen, mut expanded) = (0, 0);
        for round in 0..4000 {
            let entries: Vec<Entry> = (0..random.usize(1..5))
                .map(|_| {
                    let known = REGIONS.iter().filter(|_| random.u8(0..10) > 0).copied().collect::<Vec<_>>();
                    let way = known.into_iter().map(|region| (region.to_owned(), random.u16(10..250)));
                    let ways = way.collect();
                    entry(
                        60_000 - random.u64(0..25_000),
                        if random.u8(0..10) == 0 { BTreeMap::new() } else { ways },
                    )
                })
                .collect();
            let room: Vec<bool> = REGIONS.iter().map(|_| random.bool()).collect();
            let (latencies, limit) = ways(Some(&rules), &entries, now);
            let ranked = rank(&REGIONS, &latencies, limit, |index| room[index]);

            let parties: Vec<&Entry> =
                entries.iter().filter(|entry| !entry.record.latencies.is_empty()).collect();
            let own = |entry: &Entry| rules.limits(60_000 - entry.record.queued.0).latency_ms;
            let accepts = |entry: &Entry, region: &str| {
                entry.record.latencies.get(region).is_some_and(|ms| *ms <= own(entry))
            };
            let worst = |region: &str| parties.iter().map(|entry| entry.record.latencies[region]).max();
            let mut expected: Vec<usize> = (0..REGIONS.len())
                .filter(|index| parties.iter().all(|entry| accepts(entry, REGIONS[*index])))
                .collect();
            expected.sort_by_key(|index| (!room[*index], worst(REGIONS[*index]), *index));
            let found: Vec<usize> = ranked.iter().map(|ranked| ranked.index).collect();
            assert_eq!(found, expected, "round {round}: {latencies:?} {limit:?}");
            chosen += usize::from(!found.is_empty());
            expanded += usize::from(found.first().is_some_and(|index| worst(REGIONS[*index]) > Some(80)));
        }
        assert!(chosen > 1000 && expanded > 100, "{chosen} {expanded}: the property was hardly tried");
    }

    #[test]
    fn a_mode_without_regions_has_no_limit() {
        let rules = ModeRules::new("arena", 2, 1, 10.0);
        let far = entry(0, [("eu".to_owned(), 1900)].into());
        assert_eq!(ways(Some(&rules), std::slice::from_ref(&far), UnixMs(9)).1, None);
        assert_eq!(ways(Some(&rules), &[far], UnixMs(9)).0.len(), 1);
    }
}
