//! What the arena keeps of a pilot between matches: how often it has fired, hit, won and lost over. Owns the counting; must
//! never know where it is kept. `GET /v1/me/states/arena` shows it to its player.
#![allow(
    elided_lifetimes_in_paths,
    clippy::needless_pass_by_value,
    reason = "systems are read by what they ask for, and take it by value"
)]

use serde::{Deserialize, Serialize};
use server_runtime::prelude::*;

use crate::components::Ship;
use crate::rules;
use crate::server::Struck;

/// A pilot's sums over all matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Career {
    /// Matches played to their end.
    pub matches: u64,
    /// Shots fired.
    pub shots: u64,
    /// Of those, hits.
    pub hits: u64,
    /// Ships shot down.
    pub kills: u64,
    /// Ships lost.
    pub deaths: u64,
}

impl PlayerState for Career {
    const NAME: &'static str = "arena";
}

/// Counts, wherever the rules have spoken.
pub(crate) struct Careers;

impl Plugin for Careers {
    fn build(&self, setup: &mut Setup) {
        setup
            .add_systems(Stage::Simulate, count_shots.run_if(match_running))
            .add_systems(Stage::Replicate, (count_hits, count_match));
    }
}

fn count_shots(ships: Query<(&Owner, &Ship)>, mut careers: ResMut<PlayerStates<Career>>) {
    for (owner, _) in ships.iter().filter(|(_, ship)| rules::fired(ship)) {
        if let Some(career) = careers.of_mut(owner.0) {
            career.shots += 1;
        }
    }
}

fn count_hits(mut struck: EventReader<Struck>, mut careers: ResMut<PlayerStates<Career>>) {
    for struck in struck.read() {
        if let Some(shooter) = careers.of_mut(struck.shooter) {
            shooter.hits += 1;
            shooter.kills += u64::from(struck.downed);
        }
        if let Some(victim) = careers.of_mut(struck.victim) {
            victim.deaths += u64::from(struck.downed);
        }
    }
}

/// For everyone who is still there.
fn count_match(
    mut ended: EventReader<MatchEnded>,
    ships: Query<&Owner, With<Ship>>,
    mut careers: ResMut<PlayerStates<Career>>,
) {
    if ended.read().next().is_none() {
        return;
    }
    for owner in &ships {
        if let Some(career) = careers.of_mut(owner.0) {
            career.matches += 1;
        }
    }
}
