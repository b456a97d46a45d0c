//! What happens to a match after it has started: `rpc` takes results from game servers, `rules` say what they
//! are worth to ratings, `earnings` what they are worth on boards, `effects` all that they change, `record` how they are
//! kept; `news` and `routes` tell the players; `backfill` reads what servers want of the matchmaker; `watch` gives up
//! matches whose server is gone.

pub mod backfill;
pub mod earnings;
pub mod effects;
pub mod news;
pub mod record;
pub mod routes;
pub mod rpc;
pub mod rules;
pub mod watch;
