//! The pool's laws, under random arrivals, cancels, pauses, failed starts and commits, by seed: nobody is in two
//! matches, no party is split, every match keeps its rules at its age, no ticket is lost, nobody waits for ever.

mod support;

use std::collections::{BTreeMap, HashMap, HashSet};

use fastrand::Rng;
use matching::{
    Attribute, Backfill, Blocker, Change, Constraint, EnqueueFault, Match, Millis, ModeRules, Pause, Player,
    PlayerId, Pool, Relation, RoleSlots, RuleBook, Stand, Step, Ticket, TicketFault, TicketId,
};

fn five_on_five() -> ModeRules {
    let mut rules = ModeRules::new("five", 2, 5, 6.0);
    rules.regions = ["eu", "us", "asia"].map(str::to_owned).to_vec();
    rules.skill_gap_per_s = 0.5;
    rules.latency_ms = 70;
    rules.win_spread = 0.4;
    rules.attributes = vec![
        Constraint { key: "platform".to_owned(), rule: Relation::Equal },
        Constraint { key: "maps".to_owned(), rule: Relation::Overlap },
        Constraint { key: "level".to_owned(), rule: Relation::Within(30.0) },
    ];
    rules.expansion = vec![
        Step { after_s: 5.0, latency_ms: Some(120), drop: vec!["level".to_owned()], ..Step::default() },
        Step { after_s: 10.0, skill_gap: Some(20.0), win_spread: Some(0.7), ..Step::default() },
        Step {
            after_s: 20.0,
            latency_ms: Some(300),
            win_spread: Some(1.0),
            team_size_min: Some(3),
            drop: vec!["platform".to_owned(), "maps".to_owned()],
            ..Step::default()
        },
    ];
    rules
}

fn roles() -> ModeRules {
    let mut rules = ModeRules::new("roles", 2, 3, 10.0);
    rules.skill_gap_per_s = 1.0;
    rules.roles =
        [("tank", 1), ("heal", 1)].map(|(role, count)| RoleSlots { role: role.to_owned(), count }).to_vec();
    rules
}

fn free_for_all() -> ModeRules {
    let mut rules = ModeRules::new("arena", 8, 1, 10.0);
    rules.skill_gap_per_s = 10.0;
    rules.expansion = vec![Step { after_s: 10.0, teams_min: Some(2), ..Step::default() }];
    rules
}

fn squads() -> ModeRules {
    let mut rules = ModeRules::new("squads", 5, 3, 15.0);
    rules.skill_gap_per_s = 2.0;
    rules
}

fn book() -> RuleBook {
    RuleBook { modes: vec![five_on_five(), roles(), free_for_all(), squads()] }
}

fn random_ticket(rng: &mut Rng, id: u64, rules: &ModeRules, now: Millis) -> Ticket {
    let size = if rng.bool() { 1 } else { rng.usize(1..=rules.team_size) };
    let level = rng.f64() * 40.0;
    let players = (0..size as u64).map(|member| {
        let mut player = Player::new(id * 16 + member, level + rng.f64() * 4.0, 1.0 + rng.f64() * 5.0);
        if !rules.roles.is_empty() && rng.u8(..) < 200 {
            player.roles = vec![["tank", "heal"][rng.usize(..2)].to_owned()];
        }
        if rng.u8(..) < 30 {
            player.avoid = vec![PlayerId(rng.u64(1..=id) * 16)];
        }
        player
    });
    let mut ticket = Ticket::new(u128::from(id), &rules.mode, players.collect(), now);
    for player in &mut ticket.players {
        player.avoid.retain(|avoided| avoided.0 / 16 != id);
    }
    ticket.build = ["1.0", "1.1"][rng.usize(..2)].to_owned();
    if rng.u8(..) < 220 {
        ticket.latencies = rules.regions.iter().map(|region| (region.clone(), rng.u16(10..250))).collect();
    }
    let word = |rng: &mut Rng, words: &[&str]| words[rng.usize(..words.len())].to_owned();
    ticket.attributes = BTreeMap::from([
        ("platform".to_owned(), Attribute::Text(word(rng, &["pc", "pc", "pc", "box"]))),
        ("maps".to_owned(), Attribute::Set((0..3).map(|_| word(rng, &["a", "b", "c", "d"])).collect())),
        ("level".to_owned(), Attribute::Number((rng.f64() * 60.0).round())),
    ]);
    ticket
}

/// What the test believes.
#[derive(Default)]
struct Model {
    live: HashMap<TicketId, Ticket>,
    paused: HashSet<TicketId>,
    starting: Vec<Match>,
    /// Players bound to a match that has started.
    playing: HashMap<u64, usize>,
    matches: usize,
}

fn run(seed: u64, steps: u64) -> (usize, Vec<Match>) {
    let book = book();
    let mut rng = Rng::with_seed(seed);
    let mut pool = Pool::new(&book, 10_000, seed).expect("sound rules");
    let (mut model, mut history, mut id) = (Model::default(), Vec::new(), 0);
    for step in 0..steps {
        let now = Millis(step * 400);
        for _ in 0..rng.u64(0..6) {
            id += 1;
            let rules = &book.modes[rng.usize(..book.modes.len())];
            let ticket = random_ticket(&mut rng, id, rules, now);
            pool.enqueue(ticket.clone()).expect("a sound ticket");
            let again = pool.enqueue(ticket.clone()).expect_err("queued");
            assert!(matches!(again, EnqueueFault::Already { ticket: live, .. } if live == ticket.id));
            model.live.insert(ticket.id, ticket);
        }
        disturb(&mut rng, &mut pool, &mut model);
        let found = pool.tick(now);
        for made in &found {
            let rules = book.modes.iter().find(|rules| rules.mode == made.mode).expect("a mode");
            support::check(rules, &model.live, made, now);
            for ticket in made.tickets() {
                assert!(!model.paused.contains(&ticket), "a paused ticket was matched");
                assert_eq!(pool.stand(ticket), Some(Stand::Taken));
                assert!(!pool.cancel(ticket), "too late");
                assert!(!model.starting.iter().any(|other| other.tickets().any(|taken| taken == ticket)));
            }
        }
        history.extend(found.clone());
        model.starting.extend(found);
        settle(&mut rng, &mut pool, &mut model);
        let taken = model.starting.iter().flat_map(Match::tickets).count();
        assert_eq!(pool.len(), model.live.len(), "no ticket is lost");
        assert!(model.live.keys().all(|id| pool.stand(*id).is_some()) && taken <= pool.len());
        if let Some(id) = model.live.keys().min() {
            let told = pool.explain(*id, now).expect("a live ticket is explained");
            assert!(told.within_reach <= told.waiting && !told.sentence.is_empty());
        }
    }
    (model.matches, history)
}

/// Cancels, pauses and resumes some.
fn disturb(rng: &mut Rng, pool: &mut Pool, model: &mut Model) {
    let mut ids: Vec<TicketId> = model.live.keys().copied().collect();
    ids.sort_unstable();
    for id in ids {
        match rng.u8(..) {
            0..4 => {
                if pool.cancel(id) {
                    model.live.remove(&id);
                    model.paused.remove(&id);
                } else {
                    assert!(model.starting.iter().any(|made| made.tickets().any(|taken| taken == id)));
                }
            }
            4..10 if pool.pause(id, Pause::Deactivated) => drop(model.paused.insert(id)),
            10..60 if model.paused.contains(&id) => {
                assert!(pool.resume(id));
                model.paused.remove(&id);
            }
            _ => {}
        }
    }
}

/// Some matches start, some fail, some take longer.
fn settle(rng: &mut Rng, pool: &mut Pool, model: &mut Model) {
    for made in std::mem::take(&mut model.starting) {
        match rng.u8(..) {
            0..120 => {
                pool.commit(&made);
                model.matches += 1;
                for id in made.tickets() {
                    let ticket = model.live.remove(&id).expect("it was live");
                    for player in ticket.players {
                        let twice = model.playing.insert(player.id.0, model.matches);
                        assert_eq!(twice, None, "{player:?} is in two matches");
                    }
                }
            }
            120..180 => {
                pool.give_back(&made);
                assert!(
                    made.tickets()
                        .all(|id| pool.ticket(id).map(|t| t.queued) == model.live.get(&id).map(|t| t.queued))
                );
            }
            _ => model.starting.push(made),
        }
    }
}

#[test]
fn the_laws_hold_whatever_happens() {
    let matches: usize = (0..24).map(|seed| run(seed, 150).0).sum();
    assert!(matches > 500, "{matches} matches say little");
}

#[test]
fn equal_pools_make_equal_matches() {
    assert_eq!(run(99, 120).1, run(99, 120).1);
}

#[test]
fn everybody_plays_in_the_end() {
    let mut rules = free_for_all();
    rules.expansion.clear();
    let mut pool = Pool::new(&RuleBook { modes: vec![rules] }, 1000, 1).expect("sound");
    for player in 1..=8_u64 {
        let mu = if player <= 4 { 0.0 } else { 40.0 };
        let ticket = Ticket::new(u128::from(player), "arena", vec![Player::new(player, mu, 8.0)], Millis(0));
        pool.enqueue(ticket).expect("sound");
    }
    assert!(pool.tick(Millis(2500)).is_empty());
    let told = pool.explain(TicketId(1), Millis(2500)).expect("live");
    assert_eq!((told.blocker, told.within_reach, told.lost_to_skill), (Blocker::Skill, 4, 4));
    assert_eq!(told.changes, [Change::Wait { wait_ms: 5000, players: 8 }]);
    assert_eq!(
        told.sentence,
        "4 of 8 players are within reach (4 beyond your rating ± 35.0); in 5 s 8 will be within reach"
    );
    assert_eq!(pool.tick(Millis(3000)).len(), 1);
}

/// A stream that never ends serves those first who came first: nobody starves behind newcomers.
#[test]
fn long_waiters_are_served_first() {
    let mut pool =
        Pool::new(&RuleBook { modes: vec![five_on_five()] }, 1000, 1).expect("sound").without_exact();
    let ticket = |id: u64, queued: u64| {
        let mut ticket =
            Ticket::new(u128::from(id), "five", vec![Player::new(id, 25.0, 3.0)], Millis(queued));
        ticket.attributes = BTreeMap::from([
            ("platform".to_owned(), Attribute::Text("pc".to_owned())),
            ("maps".to_owned(), Attribute::Set(vec!["a".to_owned()])),
            ("level".to_owned(), Attribute::Number(1.0)),
        ]);
        ticket
    };
    (0..37).for_each(|id| pool.enqueue(ticket(id + 1, 37 - id)).expect("sound"));
    let found = pool.tick(Millis(100));
    assert_eq!(found.len(), 3);
    let oldest = |made: &Match| made.tickets().map(|id| id.0).max();
    assert_eq!(oldest(&found[0]), Some(37), "the oldest is in the first match");
}

/// Ten who are alike find each other and leave nobody whom two fours and a pair could play with: two matches come of the
/// one, and whoever had one keeps it.
#[test]
fn large_parties_left_over_get_a_second_chance() {
    let book = RuleBook { modes: vec![ModeRules::new("plain", 2, 5, 20.0)] };
    let mut pool = Pool::new(&book, 1000, 1).expect("sound");
    let mut tickets = HashMap::new();
    let mut party = |id: u64, size: u64, mu: f64, queued: u64| {
        let players = (0..size).map(|member| Player::new(id * 16 + member, mu, 3.0)).collect();
        let ticket = Ticket::new(u128::from(id), "plain", players, Millis(queued));
        pool.enqueue(ticket.clone()).expect("sound");
        tickets.insert(ticket.id, ticket);
    };
    (1..=10).for_each(|id| party(id, 1, 25.0, 0));
    [(11, 4), (12, 4), (13, 2)].into_iter().for_each(|(id, size)| party(id, size, 28.0, 50));
    let found = pool.tick(Millis(100));
    for made in &found {
        support::check(&book.modes[0], &tickets, made, Millis(100));
    }
    let matched: HashSet<TicketId> = found.iter().flat_map(Match::tickets).collect();
    assert_eq!((found.len(), matched.len()), (2, 13), "{found:?}");
    // Where there may be one match only, nothing is traded.
    found.iter().for_each(|made| pool.give_back(made));
    assert_eq!(pool.tick_some(Millis(200), 1, |_| true).len(), 1);
}

#[test]
fn a_running_match_is_filled() {
    let mut pool = Pool::new(&RuleBook { modes: vec![roles()] }, 1000, 1).expect("sound");
    let party = |id: u64, mu: f64, role: &str| {
        let mut player = Player::new(id, mu, 3.0);
        player.roles = vec![role.to_owned()];
        Ticket::new(u128::from(id), "roles", vec![player], Millis(0))
    };
    for ticket in [party(1, 25.0, "tank"), party(2, 26.0, "heal"), party(3, 90.0, "heal")] {
        pool.enqueue(ticket).expect("sound");
    }
    let seated = |id: u64, role: &str| {
        let mut player = Player::new(id, 25.0, 3.0);
        player.roles = vec![role.to_owned()];
        player
    };
    let teams = vec![
        vec![seated(10, "tank"), seated(11, "tank")],
        vec![seated(12, "tank"), seated(13, "heal"), seated(14, "heal")],
    ];
    let mut backfill = Backfill {
        id: TicketId(100),
        mode: "roles".to_owned(),
        build: String::new(),
        region: None,
        teams,
        avoid: Vec::new(),
        attributes: BTreeMap::new(),
        queued: Millis(0),
    };
    pool.enqueue_backfill(backfill.clone()).expect("sound");
    let found = pool.tick(Millis(100));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].backfill, Some(TicketId(100)));
    assert_eq!(found[0].teams, [vec![TicketId(2)], vec![]], "the healer, and not the one far away");
    assert!(!pool.cancel(TicketId(100)), "it is being filled");
    pool.commit(&found[0]);
    assert_eq!(pool.len(), 2);
    backfill.teams[0].push(seated(15, "heal"));
    assert_eq!(pool.enqueue_backfill(backfill), Err(TicketFault::NoFreePlace));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut pool = Pool::new(&book(), 2, 1).expect("sound");
    let mut refuse = |change: fn(&mut Ticket), expected: &str| {
        let mut ticket = random_ticket(&mut Rng::with_seed(3), 1, &five_on_five(), Millis(0));
        change(&mut ticket);
        assert_eq!(pool.enqueue(ticket).expect_err(expected).to_string(), expected);
    };
    refuse(|t| t.mode = "chess".to_owned(), "there is no mode \"chess\"");
    refuse(|t| t.players.clear(), "a party of this mode has 1 to 5 players, not 0");
    refuse(|t| t.players = vec![Player::new(7, 1.0, 1.0); 2], "player 7 is in the party twice");
    refuse(|t| t.players = vec![Player::new(7, f64::NAN, 1.0)], "the rating of player 7 is out of range");
    refuse(|t| t.players = vec![Player::new(7, 1.0, 0.0)], "the rating of player 7 is out of range");
    refuse(|t| _ = t.latencies.insert("mars".to_owned(), 1), "the mode has no region \"mars\"");
    refuse(|t| t.players[0].roles.push("tank".to_owned()), "the mode has no role \"tank\"");
    refuse(|t| drop(t.attributes.remove("maps")), "the mode needs the attribute \"maps\"");
    refuse(
        |t| drop(t.attributes.insert("maps".to_owned(), Attribute::Number(1.0))),
        "the attribute \"maps\" must be a set of words, not empty",
    );
    refuse(|t| t.build = "x".repeat(65), "bytes of the build's name may be at most 64");
    refuse(|t| t.players[0].avoid = vec![PlayerId(1); 33], "players to avoid may be at most 32");
    for id in [1, 2] {
        let party = vec![Player::new(id, 25.0, 8.0)];
        pool.enqueue(Ticket::new(u128::from(id), "arena", party, Millis(0))).expect("room");
    }
    let third = Ticket::new(3, "arena", vec![Player::new(3, 25.0, 8.0)], Millis(0));
    assert_eq!(pool.enqueue(third), Err(EnqueueFault::Full));
}
