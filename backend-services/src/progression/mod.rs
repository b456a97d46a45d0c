//! What players have to show for their matches: experience, levels, achievements. `rules` are the data that says what
//! counts, `career` the pure fold of one match into what a player has, `routes` what REST shows of it. Moved by
//! results alone, in the transaction that counts them; no client can report anything here.

pub mod career;
pub mod routes;
pub mod rules;
