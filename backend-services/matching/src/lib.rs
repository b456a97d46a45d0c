//! Matchmaking without I/O: tickets of parties, rules as data, and a pool whose tick turns tickets into matches.
//! Time and seed are arguments; it must never know a store, a server or a clock.
//!
//! ```
//! use matching::{Millis, ModeRules, Player, Pool, RuleBook, Ticket};
//! let book = RuleBook { modes: vec![ModeRules::new("duel", 2, 1, 10.0)] };
//! let mut pool = Pool::new(&book, 1000, 7)?;
//! for id in 1..=2 {
//!     let party = vec![Player::new(id, 25.0, 8.0)];
//!     pool.enqueue(Ticket::new(u128::from(id), "duel", party, Millis(0)))?;
//! }
//! let found = pool.tick(Millis(100));
//! assert_eq!(found[0].teams.len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cycle;
mod estimate;
mod exact;
mod explain;
mod field;
mod group;
mod pool;
mod prepared;
mod ready;
mod refill;
mod roles;
mod rules;
mod search;
mod shape;
mod teams;
mod ticket;
mod trade;

pub use estimate::Estimator;
pub use explain::{Blocker, Change, Explanation};
pub use pool::{EnqueueFault, Match, Pause, Pool, Stand};
pub use prepared::TicketFault;
pub use ready::{Answers, Reply, Verdict, judge, reply};
pub use rules::{
    AGE_STEP_MS, Constraint, LATENCY_MAX_MS, Limits, ModeRules, Relation, RoleSlots, RuleBook, RulesFault,
    Step,
};
pub use teams::win_spread;
pub use ticket::{
    ATTRIBUTES_MAX, AVOID_MAX, Attribute, Backfill, Millis, NAME_BYTES_MAX, PARTY_MAX, Player, PlayerId,
    ROLES_MAX, Ticket, TicketId,
};
