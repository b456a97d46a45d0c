//! What the benches and the comparisons share: whole rooms in memory. Measures nothing itself and owns no rule.

pub mod room;
