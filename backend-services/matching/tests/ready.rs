//! The laws of ready checks, by seed: a queue that changes tickets all or none, nodes that see it late and die, players who
//! accept, decline, go or are silent. Nobody is in two matches, no ticket is lost, nobody leaves but who was at fault, and
//! nothing begins that not all have accepted.

use std::collections::{BTreeMap, HashMap, HashSet};

use fastrand::Rng;
use matching::{
    Answers, Match, Millis, ModeRules, Player, Pool, Reply, RuleBook, Stand, Ticket, TicketId, Verdict,
    judge, reply,
};

/// Milliseconds that players have.
const PATIENCE: u64 = 2000;
/// Milliseconds of a step.
const STEP: u64 = 200;

/// Where a ticket stands in the shared queue.
#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    Queued,
    Asked {
        check: u64,
        deadline: Millis,
        players: usize,
        accepted: u16,
    },
    Playing(u64),
    /// By its own doing.
    Gone,
    Silent,
}

/// The shared queue: what all nodes can rely on.
#[derive(Default)]
struct Queue {
    at: HashMap<TicketId, At>,
    tickets: HashMap<TicketId, Ticket>,
    holder: u64,
}

impl Queue {
    /// All or none, from these states, for the holder of the lease.
    fn shift(&mut self, node: Option<u64>, to: Vec<(TicketId, At, At)>) -> bool {
        let sound = to.iter().all(|(id, from, _)| self.at[id] == *from);
        if !sound || node.is_some_and(|node| node != self.holder) {
            return false;
        }
        to.into_iter().for_each(|(id, _, at)| _ = self.at.insert(id, at));
        true
    }
}

/// A node's copy, which lags.
struct Node {
    number: u64,
    pool: Pool,
    copy: HashMap<TicketId, At>,
}

impl Node {
    fn new(number: u64, book: &RuleBook) -> Self {
        Self { number, pool: Pool::new(book, 10_000, number).expect("sound"), copy: HashMap::new() }
    }

    /// Reads the queue. What it misses of one change, it misses whole: changes are read in order.
    fn read(&mut self, queue: &Queue) {
        for (id, at) in &queue.at {
            let stand = match at {
                At::Queued => Stand::Waiting,
                At::Asked { .. } => Stand::Taken,
                _ => {
                    self.pool.remove(*id);
                    self.copy.remove(id);
                    continue;
                }
            };
            if self.pool.stand(*id).is_none() {
                self.pool.enqueue(queue.tickets[id].clone()).expect("one ticket a player");
            }
            self.pool.set(*id, stand);
            self.copy.insert(*id, at.clone());
        }
    }

    /// Asks the players of what the rules allow.
    fn form(&mut self, queue: &mut Queue, now: Millis, next: &mut u64) {
        for found in self.pool.tick(now) {
            let tickets: Vec<TicketId> = found.tickets().collect();
            let players = tickets.iter().map(|id| queue.tickets[id].players.len()).sum();
            *next += 1;
            let to = At::Asked { check: *next, deadline: now.plus(PATIENCE), players, accepted: 0 };
            if !queue.shift(Some(self.number), changes(&tickets, &At::Queued, &to)) {
                self.pool.give_back(&found);
            }
        }
    }

    /// Does what answers come to.
    fn resolve(&self, queue: &mut Queue, now: Millis, model: &mut Model) {
        let mut checks: BTreeMap<u64, Vec<(TicketId, At)>> = BTreeMap::new();
        for (id, at) in &self.copy {
            if let At::Asked { check, .. } = at {
                checks.entry(*check).or_default().push((*id, at.clone()));
            }
        }
        for (check, tickets) in checks {
            let (players, deadline) = match &tickets[0].1 {
                At::Asked { players, deadline, .. } => (*players, *deadline),
                _ => unreachable!("only what is asked is listed"),
            };
            let answers: Vec<Answers> = tickets.iter().map(|(id, at)| answers(queue, *id, at)).collect();
            match judge(players, &answers, deadline, now) {
                Verdict::Wait => {}
                Verdict::Start => {
                    let to = tickets.iter().map(|(id, at)| (*id, at.clone(), At::Playing(check)));
                    if queue.shift(Some(self.number), to.collect()) {
                        model.begun(queue, check, tickets.iter().map(|(id, _)| *id));
                    }
                }
                Verdict::Over { out, back } => {
                    assert_eq!(
                        out.len() + back.len(),
                        tickets.len(),
                        "no ticket is left in a check that is over"
                    );
                    let end = |id: &TicketId| if out.contains(id) { At::Silent } else { At::Queued };
                    let to = tickets.iter().map(|(id, at)| (*id, at.clone(), end(id)));
                    queue.shift(Some(self.number), to.collect());
                }
            }
        }
    }
}

fn changes(tickets: &[TicketId], from: &At, to: &At) -> Vec<(TicketId, At, At)> {
    tickets.iter().map(|id| (*id, from.clone(), to.clone())).collect()
}

fn answers(queue: &Queue, ticket: TicketId, at: &At) -> Answers {
    let accepted = if let At::Asked { accepted, .. } = at { *accepted } else { 0 };
    Answers { ticket, members: queue.tickets[&ticket].players.len(), accepted }
}

/// What the test knows by itself.
#[derive(Default)]
struct Model {
    /// Who has said yes to which check.
    yes: HashSet<(u64, u64)>,
    /// Who left by a no of a member, or went.
    went: HashSet<TicketId>,
    playing: HashSet<u64>,
    matches: usize,
}

impl Model {
    fn begun(&mut self, queue: &Queue, check: u64, tickets: impl Iterator<Item = TicketId>) {
        self.matches += 1;
        for player in tickets.flat_map(|id| &queue.tickets[&id].players) {
            assert!(self.playing.insert(player.id.0), "{:?} is in two matches", player.id);
            assert!(self.yes.contains(&(player.id.0, check)), "{:?} had not accepted", player.id);
        }
    }

    /// Players answer, or go.
    fn answer(&mut self, rng: &mut Rng, queue: &mut Queue, now: Millis) {
        let mut ids: Vec<TicketId> = queue.at.keys().copied().collect();
        ids.sort();
        for id in ids {
            let at = queue.at[&id].clone();
            if matches!(at, At::Queued | At::Asked { .. }) && rng.u16(..1000) < 4 {
                assert!(queue.shift(None, vec![(id, at, At::Gone)]));
                self.went.insert(id);
                continue;
            }
            let At::Asked { check, deadline, players, accepted } = at.clone() else { continue };
            let member = rng.usize(..queue.tickets[&id].players.len());
            let player = queue.tickets[&id].players[member].id.0;
            if rng.u8(..100) < 50 {
                continue;
            }
            let accept = rng.u8(..100) < 95;
            match reply(accepted, member, accept, deadline, now) {
                Reply::Accepted(accepted) => {
                    self.yes.insert((player, check));
                    let to = At::Asked { check, deadline, players, accepted };
                    assert!(queue.shift(None, vec![(id, at, to)]));
                }
                Reply::Leaves => {
                    assert!(!accept && queue.shift(None, vec![(id, at, At::Gone)]));
                    self.went.insert(id);
                }
                Reply::Again => assert!(self.yes.contains(&(player, check))),
                Reply::TooLate => assert!(now >= deadline),
            }
        }
    }
}

fn run(seed: u64) -> (usize, usize) {
    let mut rules = ModeRules::new("squads", 2, 3, 20.0);
    rules.skill_gap_per_s = 5.0;
    let book = RuleBook { modes: vec![rules] };
    let mut rng = Rng::with_seed(seed);
    let (mut queue, mut model) = (Queue { holder: 1, ..Queue::default() }, Model::default());
    let (mut nodes, mut born) = (vec![Node::new(1, &book), Node::new(2, &book)], 2);
    let (mut next, mut id, mut silent) = (0, 0, 0);
    for step in 0..400_u64 {
        let now = Millis(step * STEP);
        for _ in 0..if step < 300 { rng.u64(0..3) } else { 0 } {
            id += 1;
            let level = rng.f64() * 40.0;
            let party = (0..rng.u64(1..=3)).map(|member| Player::new(id * 4 + member, level, 5.0));
            let ticket = Ticket::new(u128::from(id), "squads", party.collect(), now);
            queue.at.insert(ticket.id, At::Queued);
            queue.tickets.insert(ticket.id, ticket);
        }
        model.answer(&mut rng, &mut queue, now);
        for node in &mut nodes {
            // Some read late, and act on what they knew.
            if rng.u8(..100) < 70 {
                node.read(&queue);
            }
            // One that has lost the lease and does not know it tries too.
            if node.number == queue.holder || rng.u8(..100) < 20 {
                node.resolve(&mut queue, now, &mut model);
                node.form(&mut queue, now, &mut next);
            }
        }
        if rng.u8(..100) < 5 {
            // The holder dies; another takes the lease, and a fresh one comes.
            nodes.retain(|node| node.number != queue.holder);
            born += 1;
            nodes.push(Node::new(born, &book));
            queue.holder = nodes[0].number;
        }
        assert_eq!(queue.at.len(), queue.tickets.len(), "no ticket is lost");
        silent = queue.at.values().filter(|at| **at == At::Silent).count();
        for (ticket, at) in &queue.at {
            assert_eq!(*at == At::Gone, model.went.contains(ticket), "who leaves by itself, and only it");
        }
    }
    // Those who were silent had time: their whole party's acceptance of that check never came.
    let mut last = Node::new(u64::MAX, &book);
    queue.holder = last.number;
    let end = Millis(400 * STEP + PATIENCE);
    last.read(&queue);
    last.resolve(&mut queue, end, &mut model);
    let stuck = queue.at.values().filter(|at| matches!(at, At::Asked { .. })).count();
    assert_eq!(stuck, 0, "nobody is asked for ever");
    (model.matches, silent)
}

#[test]
fn no_race_loses_a_ticket_or_doubles_a_player() {
    let (mut matches, mut silent) = (0, 0);
    for seed in 0..30 {
        let (made, gone) = run(seed);
        (matches, silent) = (matches + made, silent + gone);
    }
    assert!(matches > 250 && silent > 50, "{matches} matches, {silent} silent: the test says little");
}

/// A pool to which a check gives its tickets back finds the same match again, as old as they are.
#[test]
fn who_comes_back_has_kept_its_age() {
    let book = RuleBook { modes: vec![ModeRules::new("duel", 2, 1, 10.0)] };
    let mut pool = Pool::new(&book, 10, 1).expect("sound");
    for id in 1..=2 {
        let player = vec![Player::new(id, 25.0, 8.0)];
        pool.enqueue(Ticket::new(u128::from(id), "duel", player, Millis(id))).expect("room");
    }
    let found: Vec<Match> = pool.tick(Millis(1000));
    let ids: Vec<TicketId> = found[0].tickets().collect();
    ids.iter().for_each(|id| pool.set(*id, Stand::Waiting));
    assert_eq!(ids.iter().filter_map(|id| pool.ticket(*id)).map(|t| t.queued.0).sum::<u64>(), 3);
    assert_eq!(pool.tick(Millis(2000)).len(), 1);
}
