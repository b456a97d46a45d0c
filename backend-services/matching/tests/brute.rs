//! Up to twelve tickets: what the pool makes of them is worth at least nine tenths of the best that trying
//! everything finds, and the search for large queues is measured by the same yardstick.

mod support;

use std::collections::HashMap;

use fastrand::Rng;
use matching::{Match, Millis, ModeRules, Player, Pool, RuleBook, Ticket, TicketId, win_spread};
use rating::Rating;

/// Players who play, less by how uneven their match is.
fn value(players: usize, spread: f64) -> f64 {
    players as f64 * (1.0 - spread)
}

/// The best value of any set of matches of two teams, by trying all of them: no code of the matcher.
fn brute(rules: &ModeRules, tickets: &[Ticket], now: Millis) -> f64 {
    let matches: Vec<(usize, f64)> = (1..1_usize << tickets.len())
        .filter_map(|mask| best_match(rules, tickets, mask, now).map(|value| (mask, value)))
        .collect();
    fn pack(matches: &[(usize, f64)], used: usize) -> f64 {
        let free = matches.iter().enumerate().filter(|(_, (mask, _))| mask & used == 0);
        free.map(|(index, (mask, value))| value + pack(&matches[index + 1..], used | mask))
            .fold(0.0, f64::max)
    }
    pack(&matches, 0)
}

fn best_match(rules: &ModeRules, tickets: &[Ticket], mask: usize, now: Millis) -> Option<f64> {
    let members: Vec<&Ticket> =
        (0..tickets.len()).filter(|i| mask >> i & 1 == 1).map(|i| &tickets[i]).collect();
    let players: usize = members.iter().map(|ticket| ticket.players.len()).sum();
    if players != rules.teams * rules.team_size {
        return None;
    }
    let gap =
        |ticket: &Ticket| rules.skill_gap + rules.skill_gap_per_s * (now.0 - ticket.queued.0) as f64 / 1000.0;
    for (index, one) in members.iter().enumerate() {
        for other in &members[..index] {
            if (one.skill() - other.skill()).abs() > (gap(one) + gap(other)) / 2.0 {
                return None;
            }
        }
    }
    let near = |region: &String| members.iter().all(|ticket| ticket.latencies[region] <= rules.latency_ms);
    if !rules.regions.iter().any(near) {
        return None;
    }
    let rate = |ticket: &Ticket| -> Vec<Rating> {
        ticket.players.iter().map(|p| Rating { mu: p.mu, sigma: p.sigma }).collect()
    };
    let mut best: Option<f64> = None;
    for half in 0..1_usize << members.len() {
        let side = |inside: bool| -> Vec<Rating> {
            let of = |index: &usize| (half >> index & 1 == 1) == inside;
            (0..members.len()).filter(of).flat_map(|index| rate(members[index])).collect()
        };
        let teams = [side(true), side(false)];
        if teams[0].len() == rules.team_size && teams[1].len() == rules.team_size {
            let spread = win_spread(&teams);
            if spread <= rules.win_spread && best.is_none_or(|most| value(players, spread) > most) {
                best = Some(value(players, spread));
            }
        }
    }
    best
}

fn case(rng: &mut Rng, team_size: usize) -> (ModeRules, Vec<Ticket>) {
    let mut rules = ModeRules::new("ranked", 2, team_size, 8.0 + rng.f64() * 20.0);
    rules.regions = ["eu", "us"].map(str::to_owned).to_vec();
    rules.latency_ms = 100;
    rules.skill_gap_per_s = 0.5;
    rules.win_spread = 0.6 + 0.4 * rng.f64();
    let count = rng.u64(4..=12);
    let ticket = |id: u64| {
        let size = if rng.u8(..) < 150 { 1 } else { rng.u64(1..=team_size as u64) };
        let level = 25.0 + 12.0 * (rng.f64() - 0.5);
        let players =
            (0..size).map(|m| Player::new(id * 8 + m, level + 4.0 * rng.f64(), 2.0 + 4.0 * rng.f64()));
        let mut ticket = Ticket::new(u128::from(id), "ranked", players.collect(), Millis(rng.u64(0..10_000)));
        ticket.latencies = rules.regions.iter().map(|region| (region.clone(), rng.u16(20..140))).collect();
        ticket
    };
    let tickets = (1..=count).map(ticket).collect();
    (rules, tickets)
}

fn ours(rules: &ModeRules, tickets: &[Ticket], now: Millis, exact: bool) -> f64 {
    let mut pool = Pool::new(&RuleBook { modes: vec![rules.clone()] }, 100, 1).expect("sound");
    if !exact {
        pool = pool.without_exact();
    }
    tickets.iter().for_each(|ticket| pool.enqueue(ticket.clone()).expect("sound"));
    let by_id: HashMap<TicketId, Ticket> = tickets.iter().map(|ticket| (ticket.id, ticket.clone())).collect();
    let worth = |made: &Match| {
        support::check(rules, &by_id, made, now);
        let players = made.tickets().map(|id| by_id[&id].players.len()).sum();
        value(players, made.win_spread)
    };
    pool.tick(now).iter().map(worth).sum()
}

#[test]
fn few_tickets_are_matched_as_well_as_by_trying_everything() {
    let mut rng = Rng::with_seed(12);
    let (mut possible, mut best, mut greedy) = (0, 0.0, 0.0);
    for round in 0..120 {
        let (rules, tickets) = case(&mut rng, 1 + round % 5);
        let now = Millis(10_000);
        let most = brute(&rules, &tickets, now);
        let got = ours(&rules, &tickets, now, true);
        assert!(got <= most + 1e-9, "round {round}: the yardstick missed a match");
        assert!(got >= 0.9 * most, "round {round}: {got} of {most}");
        possible += usize::from(most > 0.0);
        (best, greedy) = (best + most, greedy + ours(&rules, &tickets, now, false));
    }
    assert!(possible > 60, "{possible} cases with a match say little");
    println!(
        "{possible} of 120 cases have a match; the search for large queues reaches {:.3} of the best",
        greedy / best
    );
    assert!(greedy >= 0.8 * best, "{greedy} of {best}");
}
