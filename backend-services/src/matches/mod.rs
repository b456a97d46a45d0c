//! What happens to a match after it has started: `rpc` takes results from game servers, `rules` say what they
//! are worth, `watch` gives up matches whose server is gone.

pub mod rpc;
pub mod rules;
pub mod watch;
