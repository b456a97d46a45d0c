//! What happens to a match after it has started: `rpc` takes results from game servers, `rules` say what they
//! are worth to ratings, `earnings` what they are worth on boards, `record` how they are kept; `watch` gives up
//! matches whose server is gone.

pub mod earnings;
pub mod record;
pub mod rpc;
pub mod rules;
pub mod watch;
