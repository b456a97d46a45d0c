//! An independent statement of the rules, written apart from the matcher: from the tickets and the rule book alone.
//! Shared by the tests beside it.

#![allow(dead_code, unreachable_pub, reason = "each test uses its own part of this")]

use std::collections::{BTreeMap, BTreeSet, HashMap};

use matching::{Attribute, Match, Millis, ModeRules, Player, Relation, Ticket, TicketId, win_spread};
use rating::Rating;

/// The value of one key at an age, by walking the steps anew.
fn at<T: Copy>(rules: &ModeRules, age_ms: u64, base: T, pick: impl Fn(&matching::Step) -> Option<T>) -> T {
    let passed = rules.expansion.iter().filter(|step| step.after_s * 1000.0 <= age_ms as f64);
    passed.filter_map(pick).next_back().unwrap_or(base)
}

fn gap(rules: &ModeRules, age_ms: u64) -> f64 {
    at(rules, age_ms, rules.skill_gap, |step| step.skill_gap) + rules.skill_gap_per_s * age_ms as f64 / 1000.0
}

/// Fails where a match breaks a rule at its age.
pub fn check(rules: &ModeRules, tickets: &HashMap<TicketId, Ticket>, found: &Match, now: Millis) {
    let parties: Vec<&Ticket> = found.tickets().map(|id| &tickets[&id]).collect();
    let age = |ticket: &Ticket| now.0 - ticket.queued.0;
    let oldest = parties.iter().map(|ticket| age(ticket)).max().expect("somebody");
    for ticket in &parties {
        assert_eq!((&ticket.mode, &ticket.build), (&found.mode, &found.build));
    }
    // Skill: every pair is within the mean of both gaps.
    for (index, one) in parties.iter().enumerate() {
        for other in &parties[..index] {
            let allowed = (gap(rules, age(one)) + gap(rules, age(other))) / 2.0;
            assert!((one.skill() - other.skill()).abs() <= allowed + 1e-9, "{found:?}");
        }
    }
    if let Some(region) = &found.region {
        for ticket in parties.iter().filter(|ticket| !ticket.latencies.is_empty()) {
            let limit = at(rules, age(ticket), rules.latency_ms, |step| step.latency_ms);
            assert!(ticket.latencies[region] <= limit, "{region}: {ticket:?}");
        }
    } else {
        assert!(rules.regions.is_empty());
    }
    for constraint in &rules.attributes {
        let bound = |ticket: &&&Ticket| {
            let dropped = |step: &&matching::Step| {
                step.after_s * 1000.0 <= age(ticket) as f64 && step.drop.contains(&constraint.key)
            };
            !rules.expansion.iter().any(|step| dropped(&step))
        };
        if parties.iter().any(|ticket| bound(&ticket)) {
            let values: Vec<&Attribute> = parties.iter().map(|t| &t.attributes[&constraint.key]).collect();
            assert!(agree(constraint.rule, &values), "{constraint:?}: {values:?}");
        }
    }
    let players: Vec<&Player> = parties.iter().flat_map(|ticket| &ticket.players).collect();
    for player in &players {
        assert!(!players.iter().any(|other| player.avoid.contains(&other.id)), "{player:?}");
    }
    if found.backfill.is_none() {
        check_teams(rules, tickets, found, oldest);
    }
}

fn check_teams(rules: &ModeRules, tickets: &HashMap<TicketId, Ticket>, found: &Match, oldest: u64) {
    let least = at(rules, oldest, rules.teams, |step| step.teams_min);
    assert!((least..=rules.teams).contains(&found.teams.len()), "{found:?}");
    let team = |ids: &Vec<TicketId>| -> Vec<Player> {
        ids.iter().flat_map(|id| tickets[id].players.clone()).collect()
    };
    let teams: Vec<Vec<Player>> = found.teams.iter().map(team).collect();
    let size = teams[0].len();
    let smallest = at(rules, oldest, rules.team_size, |step| step.team_size_min);
    assert!((smallest..=rules.team_size).contains(&size), "{found:?}");
    assert!(teams.iter().all(|team| team.len() == size), "{found:?}");
    let rated = |team: &Vec<Player>| team.iter().map(|p| Rating { mu: p.mu, sigma: p.sigma }).collect();
    let spread = win_spread(&teams.iter().map(rated).collect::<Vec<_>>());
    let limit = at(rules, oldest, rules.win_spread, |step| step.win_spread);
    assert!(spread <= limit + 1e-9 && (spread - found.win_spread).abs() < 1e-9, "{spread} {found:?}");
    let relaxed = rules.expansion.iter().any(|step| step.drop_roles);
    if !relaxed {
        assert!(teams.iter().all(|team| fills(rules, team)), "{found:?}");
    }
}

fn agree(rule: Relation, values: &[&Attribute]) -> bool {
    match rule {
        Relation::Equal => values.iter().all(|value| *value == values[0]),
        Relation::Within(span) => {
            let numbers =
                values.iter().map(|value| if let Attribute::Number(n) = value { *n } else { f64::NAN });
            let (least, most) = numbers.fold((f64::MAX, f64::MIN), |(a, b), n| (a.min(n), b.max(n)));
            most - least <= span
        }
        Relation::Overlap => {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for value in values {
                if let Attribute::Set(words) = value {
                    // A word may be listed twice in one set.
                    let words: BTreeSet<&str> = words.iter().map(String::as_str).collect();
                    words.into_iter().for_each(|word| *counts.entry(word).or_default() += 1);
                }
            }
            counts.values().any(|count| *count == values.len())
        }
    }
}

/// Whether some order of the players fills the slots: by trying all.
fn fills(rules: &ModeRules, team: &[Player]) -> bool {
    fn place(slots: &[&str], team: &[Player], used: &mut Vec<bool>) -> bool {
        let Some((slot, rest)) = slots.split_first() else { return true };
        (0..team.len()).any(|index| {
            let takes = team[index].roles.is_empty() || team[index].roles.iter().any(|role| role == slot);
            if used[index] || !takes {
                return false;
            }
            used[index] = true;
            let placed = place(rest, team, used);
            used[index] = false;
            placed
        })
    }
    let slots: Vec<&str> =
        rules.roles.iter().flat_map(|slots| std::iter::repeat_n(slots.role.as_str(), slots.count)).collect();
    place(&slots, team, &mut vec![false; team.len()])
}
