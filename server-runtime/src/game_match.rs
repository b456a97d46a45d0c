//! The match: what it is, which phase it is in, who scored what. Owns the phase rules as pure functions of
//! ticks; must never know where a match comes from nor who is told its result.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use netcode_wire::Tick;
use serde::{Deserialize, Serialize};

use crate::player::PlayerId;

/// Where a match is in its life. It only ever moves down this list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// No match yet: a warm server waits to be allocated.
    #[default]
    Idle,
    /// Allocated; the expected players are on their way.
    Waiting,
    /// The match is played.
    Running,
    /// Over; the last messages are delivered.
    Ended,
    /// Nobody is served any more.
    Closed,
}

impl Phase {
    /// Its name in metrics and in the live feed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Ended => "ended",
            Self::Closed => "closed",
        }
    }
}

/// An expected player, as the matchmaker announced it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterEntry {
    /// Who. Accepted as a number or as a decimal string (JavaScript cannot hold 64 bits).
    #[serde(deserialize_with = "crate::spec::u64_or_string")]
    pub player: u64,
    /// Display name.
    #[serde(default)]
    pub name: String,
    /// Team.
    #[serde(default)]
    pub team: u8,
    /// The same number for those who came as one party; 0 for who came alone, or where it is not told.
    #[serde(default)]
    pub party: u32,
}

/// What is asked of this server: the content of the allocation's `tickwright.dev/match` annotation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchSpec {
    /// The match's id, decimal, hexadecimal or UUID text.
    #[serde(default, with = "crate::spec::match_id")]
    pub match_id: u128,
    /// Game mode.
    #[serde(default)]
    pub mode: String,
    /// Length of play in seconds; 0: until the game ends it.
    #[serde(default)]
    pub seconds: u32,
    /// Seed for everything random in the match.
    #[serde(default, deserialize_with = "crate::spec::u64_or_string")]
    pub seed: u64,
    /// Who may play; empty: whoever holds a valid token.
    #[serde(default)]
    pub players: Vec<RosterEntry>,
    /// By which terms the match gets other players when some leave for good: `left_s` is ours to read, the whole goes back
    /// to whoever is asked. Absent: it gets none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<serde_json::Value>,
}

/// The match being played, for systems to read. A game ends it early with [`Match::end`].
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// Its id; 0 when there is none.
    pub id: u128,
    /// Game mode.
    pub mode: String,
    /// Seed for everything random in it.
    pub seed: u64,
    /// Who is expected, and who has been.
    pub roster: Vec<RosterEntry>,
    /// By which terms it gets other players; absent: it gets none.
    pub backfill: Option<serde_json::Value>,
    /// Where it is in its life.
    pub phase: Phase,
    /// First tick of play.
    pub started_at: Option<Tick>,
    /// First tick after play; `None`: open end.
    pub ends_at: Option<Tick>,
    pub(crate) end_requested: bool,
}

impl Match {
    /// Ends the match at the end of this tick.
    pub fn end(&mut self) {
        self.end_requested = true;
    }

    /// Play is on.
    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }
}

/// Run condition: `system.run_if(match_running)`.
#[expect(clippy::needless_pass_by_value, reason = "systems take their parameters by value")]
pub fn match_running(current: Res<'_, Match>) -> bool {
    current.is_running()
}

/// Play begins this tick.
#[derive(bevy_ecs::message::Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchStarted;

/// Play is over as of this tick; the scoreboard is final once this tick's systems have run.
#[derive(bevy_ecs::message::Message, Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchEnded;

/// One player's account of the match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScoreLine {
    /// What placement is decided by; more is better.
    pub score: i64,
    /// Opponents defeated.
    pub kills: u32,
    /// Times defeated.
    pub deaths: u32,
}

/// Scores of the match. What stands here when it ends is the result that is submitted.
#[derive(Resource, Clone, Debug, Default)]
pub struct Scoreboard {
    lines: BTreeMap<PlayerId, ScoreLine>,
}

impl Scoreboard {
    /// A player's line, to write to.
    pub fn line(&mut self, player: PlayerId) -> &mut ScoreLine {
        self.lines.entry(player).or_default()
    }

    /// A player's line; zeros for someone unknown.
    pub fn of(&self, player: PlayerId) -> ScoreLine {
        self.lines.get(&player).copied().unwrap_or_default()
    }

    /// Everyone with their placement (1 is best; equal scores share one), best first.
    pub fn standings(&self) -> Vec<(u32, PlayerId, ScoreLine)> {
        let mut lines: Vec<_> = self.lines.iter().map(|(player, line)| (*player, *line)).collect();
        lines.sort_by_key(|(player, line)| (std::cmp::Reverse(line.score), *player));
        let mut placed: Vec<(u32, PlayerId, ScoreLine)> = Vec::with_capacity(lines.len());
        for (index, (player, line)) in (1u32..).zip(lines) {
            let tied = placed.last().filter(|(_, _, above)| above.score == line.score);
            placed.push((tied.map_or(index, |(place, _, _)| *place), player, line));
        }
        placed
    }

    /// The same where players have teams: a team's place is by the sum of its players' scores, and it is each of its
    /// players'. Best team first, and within it the best player.
    pub fn team_standings(&self, team_of: impl Fn(PlayerId) -> u8) -> Vec<(u32, PlayerId, ScoreLine)> {
        let mut sums: BTreeMap<u8, i64> = BTreeMap::new();
        for (player, line) in &self.lines {
            let sum = sums.entry(team_of(*player)).or_default();
            *sum = sum.saturating_add(line.score);
        }
        let place_of = |team: u8| {
            let ahead = sums.values().filter(|sum| **sum > sums[&team]).count();
            u32::try_from(ahead + 1).expect("teams are numbered by eight bits")
        };
        let placed = self.lines.iter().map(|(player, line)| (place_of(team_of(*player)), *player, *line));
        let mut placed: Vec<_> = placed.collect();
        placed.sort_by_key(|(place, player, line)| {
            (*place, team_of(*player), std::cmp::Reverse(line.score), *player)
        });
        placed
    }

    /// Forgets everyone.
    pub fn clear(&mut self) {
        self.lines.clear();
    }
}

/// The bounds on a match's phases, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PhaseLimits {
    /// Longest wait for expected players.
    pub(crate) waiting_ticks: u32,
    /// How long an ended match stays to deliver its last messages.
    pub(crate) grace_ticks: u32,
}

/// What the phase rules say about this tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing changes.
    Stay,
    /// Play begins.
    Start,
    /// Play is over.
    End,
    /// The grace is over.
    Close,
    /// Nobody came.
    Abandon,
}

/// The phase rules, with the tick of the last change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PhaseClock {
    pub(crate) limits: PhaseLimits,
    /// When the present phase began.
    pub(crate) since: Tick,
    /// Length of play; 0 is open.
    pub(crate) play_ticks: u32,
}

impl PhaseClock {
    /// What happens at `tick`, given how many players are connected and how many are expected.
    pub(crate) fn turn(&self, current: &Match, tick: Tick, connected: usize, expected: usize) -> Turn {
        let elapsed = u32::try_from(tick.since(self.since)).unwrap_or(0);
        match current.phase {
            Phase::Idle | Phase::Closed => Turn::Stay,
            Phase::Waiting if connected > 0 && connected >= expected => Turn::Start,
            Phase::Waiting if elapsed < self.limits.waiting_ticks => Turn::Stay,
            Phase::Waiting if connected > 0 => Turn::Start,
            // Without a roster nobody in particular is late: the server stays open.
            Phase::Waiting if expected == 0 => Turn::Stay,
            Phase::Waiting => Turn::Abandon,
            Phase::Running if current.end_requested => Turn::End,
            Phase::Running if self.play_ticks > 0 && elapsed >= self.play_ticks => Turn::End,
            Phase::Running => Turn::Stay,
            Phase::Ended if elapsed >= self.limits.grace_ticks => Turn::Close,
            Phase::Ended => Turn::Stay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_share_a_place() {
        let mut board = Scoreboard::default();
        board.line(PlayerId(1)).score = 5;
        board.line(PlayerId(2)).score = 9;
        board.line(PlayerId(3)).score = 5;
        board.line(PlayerId(4)).score = 1;
        let places: Vec<_> =
            board.standings().into_iter().map(|(place, player, _)| (place, player.0)).collect();
        assert_eq!(places, [(1, 2), (2, 1), (2, 3), (4, 4)]);
    }

    #[test]
    fn a_team_shares_the_place_of_its_sum() {
        let mut board = Scoreboard::default();
        for (player, score) in [(1, 9), (2, 0), (3, 5), (4, 5), (5, 4), (6, 5)] {
            board.line(PlayerId(player)).score = score;
        }
        let team_of = |player: PlayerId| u8::try_from((player.0 - 1) / 2).unwrap();
        let places: Vec<_> = board.team_standings(team_of).into_iter().map(|(p, id, _)| (p, id.0)).collect();
        assert_eq!(places, [(1, 3), (1, 4), (2, 1), (2, 2), (2, 6), (2, 5)]);
    }

    #[test]
    fn phases_turn_when_their_rule_says() {
        let limits = PhaseLimits { waiting_ticks: 100, grace_ticks: 30 };
        let clock = PhaseClock { limits, since: Tick(1000), play_ticks: 600 };
        let check = |phase, tick, connected, expected, turn| {
            let current = Match { phase, ..Match::default() };
            assert_eq!(clock.turn(&current, Tick(tick), connected, expected), turn, "{phase:?} {tick}");
        };
        check(Phase::Idle, 9999, 5, 0, Turn::Stay);
        check(Phase::Waiting, 1001, 7, 8, Turn::Stay);
        check(Phase::Waiting, 1001, 8, 8, Turn::Start);
        check(Phase::Waiting, 1100, 7, 8, Turn::Start);
        check(Phase::Waiting, 1100, 0, 8, Turn::Abandon);
        check(Phase::Waiting, 9999, 0, 0, Turn::Stay);
        check(Phase::Waiting, 1000, 1, 0, Turn::Start);
        check(Phase::Running, 1599, 0, 8, Turn::Stay);
        check(Phase::Running, 1600, 8, 8, Turn::End);
        check(Phase::Ended, 1029, 8, 8, Turn::Stay);
        check(Phase::Ended, 1030, 8, 8, Turn::Close);
        check(Phase::Closed, 9999, 8, 8, Turn::Stay);
    }

    #[test]
    fn a_game_may_end_its_match() {
        let limits = PhaseLimits { waiting_ticks: 1, grace_ticks: 1 };
        let clock = PhaseClock { limits, since: Tick(0), play_ticks: 0 };
        let mut current = Match { phase: Phase::Running, ..Match::default() };
        assert_eq!(clock.turn(&current, Tick(100_000), 1, 1), Turn::Stay);
        current.end();
        assert_eq!(clock.turn(&current, Tick(100_001), 1, 1), Turn::End);
    }
}
