//! The boards as players see them: `routes` parse and render, `rules` name the boards, the store orders them.

pub mod routes;
pub mod rules;
