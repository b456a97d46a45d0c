//! The pool's laws: one ticket a player, no player in two matches, every match within its rules at its age,
//! no ticket lost, nobody waits for ever.

use std::collections::HashSet;

use super::*;

const RULES: PoolRules = PoolRules {
    match_size: 8,
    match_size_min: 8,
    smaller_after: Duration::from_secs(10),
    window: 10.0,
    widen_per_s: 10.0,
    idle_max: Duration::from_secs(30),
    tickets_max: 10_000,
};

fn ticket(player: u64, mu: f64, queued: Instant) -> PoolTicket {
    let player = PlayerId::new(player).expect("an id");
    PoolTicket {
        id: TicketId::random(),
        player,
        display_name: format!("p{player}"),
        mode: "arena",
        mu,
        queued,
    }
}

fn fill(pool: &mut Pool, count: u64, mu: impl Fn(u64) -> f64, now: Instant) -> Vec<PoolTicket> {
    let tickets: Vec<PoolTicket> = (1..=count).map(|player| ticket(player, mu(player), now)).collect();
    for ticket in &tickets {
        assert_eq!(pool.enqueue(ticket.clone(), false, now), Enqueued::New);
    }
    tickets
}

/// An independent statement of the rules: one member, old enough for so small a match, is near to all.
fn assert_allowed(found: &Match, rules: PoolRules, now: Instant) {
    let window = |t: &PoolTicket| rules.window + rules.widen_per_s * (now - t.queued).as_secs_f64();
    let near = |a: &PoolTicket, b: &PoolTicket| (a.mu - b.mu).abs() <= (window(a) + window(b)) / 2.0;
    let large_enough = |anchor: &PoolTicket| {
        let late = now - anchor.queued >= rules.smaller_after;
        found.tickets.len() >= if late { rules.match_size_min } else { rules.match_size }
    };
    let anchors = found.tickets.iter().filter(|anchor| found.tickets.iter().all(|other| near(anchor, other)));
    assert!(anchors.into_iter().any(large_enough), "{found:?}");
    assert!(found.tickets.len() <= rules.match_size);
    assert!(found.tickets.is_sorted_by_key(|ticket| ticket.queued), "the oldest comes first");
}

#[test]
fn thirty_two_newcomers_make_four_matches_in_one_tick() {
    let (mut pool, now) = (Pool::new(RULES), Instant::now());
    fill(&mut pool, 35, |_| 25.0, now);
    let found = pool.tick(now);
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|found| found.tickets.len() == 8));
    let players: HashSet<PlayerId> = found.iter().flat_map(|m| &m.tickets).map(|t| t.player).collect();
    assert_eq!(players.len(), 32);
    assert!(pool.tick(now + Duration::from_secs(60)).is_empty(), "three are too few");
}

#[test]
fn near_players_are_preferred() {
    let (mut pool, now) = (Pool::new(RULES), Instant::now());
    // Sixteen between 20 and 35: the two matches are the two halves by rating.
    fill(&mut pool, 16, |player| 20.0 + ((player * 7) % 16) as f64, now);
    let mut groups: Vec<Vec<u64>> = Vec::new();
    for mut found in pool.tick(now) {
        found.tickets.sort_by(|a, b| a.mu.total_cmp(&b.mu));
        groups.push(found.tickets.iter().map(|t| t.mu as u64).collect());
    }
    assert!(groups.iter().all(|group| group.len() == 8 && group[7] - group[0] <= 15), "{groups:?}");
}

#[test]
fn far_players_meet_once_their_windows_have_grown() {
    let (mut pool, now) = (Pool::new(RULES), Instant::now());
    fill(&mut pool, 8, |player| if player <= 4 { 0.0 } else { 40.0 }, now);
    assert!(pool.tick(now + Duration::from_millis(2900)).is_empty());
    assert_eq!(pool.tick(now + Duration::from_secs(3)).len(), 1);
}

#[test]
fn a_smaller_match_will_do_after_a_while_if_the_rules_say_so() {
    let rules = PoolRules { match_size_min: 2, ..RULES };
    let (mut pool, now) = (Pool::new(rules), Instant::now());
    fill(&mut pool, 3, |_| 25.0, now);
    assert!(pool.tick(now + Duration::from_millis(9900)).is_empty());
    let found = pool.tick(now + Duration::from_secs(10));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].tickets.len(), 3);
}

#[test]
fn a_player_has_one_live_ticket() {
    let (mut pool, now) = (Pool::new(RULES), Instant::now());
    let first = ticket(1, 25.0, now);
    assert_eq!(pool.enqueue(first.clone(), false, now), Enqueued::New);
    assert_eq!(pool.enqueue(ticket(1, 25.0, now), false, now), Enqueued::Already(first.id));
    assert!(pool.cancel(first.id));
    assert!(!pool.cancel(first.id));
    assert_eq!(pool.enqueue(ticket(1, 25.0, now), false, now), Enqueued::New);
}

#[test]
fn a_failed_allocation_gives_tickets_back_with_their_age() {
    let (mut pool, now) = (Pool::new(RULES), Instant::now());
    let tickets = fill(&mut pool, 8, |_| 25.0, now);
    let found = pool.tick(now).remove(0);
    assert_eq!(pool.explain(tickets[0].id, now), Some(Reason::FindingServer));
    assert!(!pool.cancel(tickets[0].id), "a ticket in a match is not cancelled");
    assert!(pool.tick(now).is_empty(), "taken tickets are in no second match");
    pool.give_back(&found.tickets);
    let later = now + Duration::from_secs(1);
    let again = pool.tick(later).remove(0);
    assert!(again.tickets.iter().all(|ticket| ticket.queued == now));
    pool.commit(&again.tickets);
    assert!(pool.is_empty());
}

#[test]
fn a_held_ticket_waits_for_the_end_of_its_match() {
    let (mut pool, now) = (Pool::new(RULES), Instant::now());
    fill(&mut pool, 7, |_| 25.0, now);
    let held = ticket(8, 25.0, now);
    pool.enqueue(held.clone(), true, now);
    assert!(pool.tick(now).is_empty());
    assert_eq!(pool.explain(held.id, now), Some(Reason::InMatch));
    assert_eq!(pool.held(9), [(held.id, held.player)]);
    pool.release(held.id);
    assert_eq!(pool.tick(now).len(), 1);
}

#[test]
fn what_nobody_asks_for_expires() {
    let (mut pool, now) = (Pool::new(RULES), Instant::now());
    let tickets = fill(&mut pool, 3, |_| 25.0, now);
    pool.touch(tickets[0].id, now + Duration::from_secs(20));
    let expired: HashSet<TicketId> = pool.expire(now + Duration::from_secs(31)).into_iter().collect();
    assert_eq!(expired, HashSet::from([tickets[1].id, tickets[2].id]));
    assert_eq!(pool.len(), 1);
}

#[test]
fn a_full_pool_refuses() {
    let (mut pool, now) = (Pool::new(PoolRules { tickets_max: 2, ..RULES }), Instant::now());
    fill(&mut pool, 2, |_| 25.0, now);
    assert_eq!(pool.enqueue(ticket(3, 25.0, now), false, now), Enqueued::Full);
}

#[test]
fn a_waiting_ticket_can_be_asked_why() {
    let (mut pool, now) = (Pool::new(RULES), Instant::now());
    let tickets = fill(&mut pool, 4, |player| if player == 4 { 90.0 } else { 25.0 }, now);
    assert_eq!(pool.explain(tickets[0].id, now), Some(Reason::TooFew { near: 3, needed: 8 }));
    assert_eq!(pool.explain(tickets[3].id, now), Some(Reason::TooFew { near: 1, needed: 8 }));
}

/// Arrivals, cancellations, failed allocations and time, by seed: every law after every step.
#[test]
fn the_laws_hold_under_any_order_of_events() {
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let rules = PoolRules { match_size: random.usize(2..9), match_size_min: 2, ..RULES };
        let (mut pool, mut now) = (Pool::new(rules), Instant::now());
        let mut live: HashSet<TicketId> = HashSet::new();
        let mut open: Vec<Match> = Vec::new();
        for _ in 0..200 {
            now += Duration::from_millis(random.u64(0..500));
            match random.u8(..6) {
                0..=2 => {
                    let ticket = ticket(random.u64(1..60), random.f64() * 50.0, now);
                    if pool.enqueue(ticket.clone(), false, now) == Enqueued::New {
                        live.insert(ticket.id);
                    }
                }
                3 => {
                    if let Some(id) = live.iter().next().copied()
                        && pool.cancel(id)
                    {
                        live.remove(&id);
                    }
                }
                4 => {
                    if let Some(found) = open.pop() {
                        pool.give_back(&found.tickets);
                    }
                }
                _ => {
                    if let Some(found) = open.pop() {
                        pool.commit(&found.tickets);
                        found.tickets.iter().for_each(|ticket| _ = live.remove(&ticket.id));
                    }
                }
            }
            for found in pool.tick(now) {
                assert_allowed(&found, rules, now);
                open.push(found);
            }
            let taken: Vec<PlayerId> = open.iter().flat_map(|m| &m.tickets).map(|t| t.player).collect();
            let distinct: HashSet<PlayerId> = taken.iter().copied().collect();
            assert_eq!(taken.len(), distinct.len(), "seed {seed}: a player is in two matches");
            assert_eq!(pool.len(), live.len(), "seed {seed}: a ticket was lost");
        }
    }
}

#[test]
fn nobody_waits_for_ever() {
    let (mut pool, start) = (Pool::new(RULES), Instant::now());
    let outsider = ticket(1, 200.0, start);
    pool.enqueue(outsider.clone(), false, start);
    let mut next = 2;
    for second in 1..60 {
        let now = start + Duration::from_secs(second);
        for _ in 0..8 {
            pool.enqueue(ticket(next, 25.0, now), false, now);
            next += 1;
        }
        for found in pool.tick(now) {
            if found.tickets.iter().any(|ticket| ticket.id == outsider.id) {
                return;
            }
            pool.commit(&found.tickets);
        }
    }
    panic!("the outsider waited for a minute");
}
