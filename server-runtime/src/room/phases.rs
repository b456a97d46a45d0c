//! The match's way: allocated, waiting, running, ended, closed, or void. Owns the reports that go to whoever
//! runs the room; must never know Agones or the backend.

use std::collections::{BTreeMap, BTreeSet};

use netcode_proto::{ClientId, ServerSession};
use netcode_snapshot::Control;
use netcode_wire::{Tick, Time};
use serde::Serialize;

use super::{Room, codes};
use crate::builder::ServerGame;
use crate::game_match::{
    Match, MatchEnded, MatchSpec, MatchStarted, Phase, RosterEntry, ScoreLine, Scoreboard, Turn,
};
use crate::player::PlayerId;
use crate::record::Cue;
use crate::suspicion::Suspicions;

/// News from a room to whoever runs it.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// A match was played to its end.
    Ended(MatchReport),
    /// A match was given up: it has no result.
    Voided {
        /// The match's id.
        match_id: u128,
        /// Why.
        reason: String,
    },
    /// A player has left a match for good that gets others.
    Left(Vacancy),
    /// The room has closed: no more ticks.
    Closed,
}

/// A seat that is free for somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vacancy {
    /// The match's id.
    pub match_id: u128,
    /// Who left.
    pub player: PlayerId,
    /// Who is on the roster, those who left included.
    pub roster: Vec<u64>,
    /// The terms of the match's sheet.
    pub terms: serde_json::Value,
    /// What is left of the match, microseconds; `None`: it has no end yet.
    pub left_us: Option<u64>,
}

/// The result of a match.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MatchReport {
    /// The match's id.
    pub match_id: u128,
    /// When play began.
    pub started_us: u64,
    /// When play ended.
    pub ended_us: u64,
    /// Everyone on the roster and everyone who played.
    pub players: Vec<PlayerReport>,
}

/// One player's part of the result.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PlayerReport {
    /// Who.
    pub player: PlayerId,
    /// The scoreboard's line.
    pub line: ScoreLine,
    /// 1 is best; equal scores share a place, and so do the players of a team.
    pub placement: u32,
    /// Whom the player played with; `None` where everybody played alone and nobody numbered them.
    pub team: Option<u8>,
    /// The same number for those who came as one party; 0 for who came alone.
    pub party: u32,
    /// Seconds connected.
    pub seconds_played: f32,
    /// Not there when the match ended.
    pub quit: bool,
    /// What the player did that honest clients do not, or seldom.
    pub suspicions: Suspicions,
}

impl<G: ServerGame> Room<G> {
    /// Makes this an open server: whoever has a valid token may join; play ends after `seconds` (0: never).
    pub fn open(&mut self, seed: u64, seconds: u32) {
        let spec = MatchSpec { seed, seconds, mode: "open".into(), ..MatchSpec::default() };
        self.begin_waiting(spec);
    }

    /// Makes this an open room for one match: whoever has a token for it may join.
    pub(crate) fn open_match(&mut self, spec: MatchSpec) {
        self.begin_waiting(spec);
    }

    /// Takes an allocated match. Ignored unless the room is idle.
    pub fn allocate(&mut self, spec: MatchSpec) {
        if self.phase() == Phase::Idle && !self.draining {
            self.managed = true;
            self.begin_waiting(spec);
        }
    }

    /// No new players; a running match goes on to its end. One that has not begun is given up, and an open one
    /// without an end is over now.
    pub fn drain(&mut self, now: Time) {
        self.draining = true;
        let open_end = self.clock.play_ticks == 0 && !self.managed;
        match self.phase() {
            Phase::Running if open_end => {
                self.dismiss(now, codes::NOT_OPEN);
                self.close();
            }
            Phase::Idle | Phase::Waiting => self.void(now, "drained before the match began"),
            Phase::Running | Phase::Ended | Phase::Closed => {}
        }
    }

    /// Gives the match up: players are told, no result is made.
    pub fn void(&mut self, now: Time, reason: &str) {
        let (match_id, phase) = (self.current_match().id, self.phase());
        if phase < Phase::Ended && (self.managed || phase == Phase::Running) {
            self.counts.matches_voided += 1;
            self.counts.void_reason = Some(reason.to_owned());
            self.reports.push_back(Report::Voided { match_id, reason: reason.to_owned() });
        }
        self.dismiss(now, codes::MATCH_VOID);
        self.close();
    }

    /// Lets newcomers in, in the place of those who left.
    pub fn seat_newcomers(&mut self, newcomers: Vec<RosterEntry>) {
        self.note(&Cue::Newcomers(newcomers.clone()));
        let until = self.held_until(self.tick_at);
        let mut current = self.world.resource_mut::<Match>();
        for newcomer in newcomers {
            if current.roster.iter().all(|entry| entry.player != newcomer.player) {
                self.awaited.insert(PlayerId(newcomer.player), until);
                current.roster.push(newcomer);
            }
        }
    }

    /// Whoever has a seat and has not come yet is waited for as long as for one who was lost.
    fn await_the_missing(&mut self, now: Time) {
        let until = self.held_until(now);
        let roster = &self.world.resource::<Match>().roster;
        let here = |id: &PlayerId| self.players.iter().any(|player| player.id == *id);
        let missing = roster.iter().map(|entry| PlayerId(entry.player)).filter(|id| !here(id));
        self.awaited = missing.map(|id| (id, until)).collect();
    }

    /// A player is gone for good: where the match gets others, the seat is another's from now on.
    pub(super) fn vacate(&mut self, player: PlayerId) {
        let current = self.current_match();
        let Some(terms) = current.backfill.clone().filter(|_| current.phase == Phase::Running) else {
            return;
        };
        let left = |ends_at: Tick| {
            let ticks = u64::try_from(ends_at.since(self.tick)).unwrap_or(0);
            ticks * 1_000_000 / u64::from(self.tick_hz)
        };
        let vacancy = Vacancy {
            match_id: current.id,
            player,
            roster: current.roster.iter().map(|entry| entry.player).collect(),
            terms,
            left_us: current.ends_at.map(left),
        };
        self.vacated.insert(player);
        self.reports.push_back(Report::Left(vacancy));
    }

    /// News since the last call.
    pub fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// Whether the room is done.
    pub fn is_closed(&self) -> bool {
        self.current_match().phase == Phase::Closed
    }

    /// Whether a match runs that nobody is connected to.
    pub fn is_deserted(&self) -> bool {
        self.current_match().phase == Phase::Running && self.players.connected() == 0
    }

    /// Applies the phase rules to this tick.
    pub(super) fn turn_phase(&mut self, now: Time) {
        let connected = self.players.connected();
        let expected = self.current_match().roster.len();
        match self.clock.turn(self.current_match(), self.tick, connected, expected) {
            Turn::Stay => {}
            Turn::Start => self.start(now),
            Turn::End => self.end(now),
            Turn::Close => {
                self.dismiss(now, codes::MATCH_OVER);
                self.close();
            }
            Turn::Abandon => self.void(now, "no player came in time"),
        }
    }

    pub(super) fn begin_waiting(&mut self, spec: MatchSpec) {
        self.note(&Cue::Begin(Box::new(spec.clone())));
        self.clock.since = self.tick;
        self.clock.play_ticks = spec.seconds.saturating_mul(u32::from(self.tick_hz));
        let mut current = self.world.resource_mut::<Match>();
        *current = Match {
            id: spec.match_id,
            mode: spec.mode,
            seed: spec.seed,
            roster: spec.players,
            backfill: spec.backfill,
            phase: Phase::Waiting,
            ..Match::default()
        };
    }

    pub(super) fn start(&mut self, now: Time) {
        self.note(&Cue::Start);
        self.clock.since = self.tick;
        self.started_at = now;
        let ends_at = (self.clock.play_ticks > 0).then(|| Tick(self.tick.0 + self.clock.play_ticks));
        let tick = self.tick;
        let mut current = self.world.resource_mut::<Match>();
        current.phase = Phase::Running;
        current.started_at = Some(tick);
        current.ends_at = ends_at;
        self.await_the_missing(now);
        self.world.write_message(MatchStarted);
    }

    pub(super) fn end(&mut self, now: Time) {
        self.note(&Cue::End);
        self.clock.since = self.tick;
        self.world.resource_mut::<Match>().phase = Phase::Ended;
        self.world.write_message(MatchEnded);
        self.counts.matches_played += 1;
        self.ended_at = Some(now);
    }

    /// At the end of the last tick of play, when the systems have had their last word on the scores.
    pub(super) fn report_result(&mut self) {
        if let Some(ended_at) = self.ended_at.take() {
            self.keep_all_states(false);
            let report = self.match_report(ended_at);
            self.reports.push_back(Report::Ended(report));
        }
    }

    pub(super) fn close(&mut self) {
        if !self.is_closed() {
            self.note(&Cue::Close);
            self.keep_all_states(true);
            self.world.resource_mut::<Match>().phase = Phase::Closed;
            self.reports.push_back(Report::Closed);
        }
    }

    /// Says goodbye to one player, whose seat is held as ever.
    pub(super) fn dismiss_player(&mut self, now: Time, player: PlayerId, code: u8) {
        let client = self.players.get_mut(player).and_then(|player| player.client());
        let Some(client) = client else { return };
        self.say_goodbye(now, client, code);
        self.take_events(now);
    }

    /// Tells a client why, and ends its connection.
    pub(super) fn say_goodbye(&mut self, now: Time, client: ClientId, code: u8) {
        self.send_control(now, client, &Control::Goodbye { reason: code });
        self.net.flush_client(now, client);
        self.net.disconnect(now, client, code);
    }

    /// Says goodbye to everyone and ends their connections.
    fn dismiss(&mut self, now: Time, code: u8) {
        self.read_links(now);
        let clients: Vec<ClientId> = self.players.iter().filter_map(super::players::Player::client).collect();
        for client in &clients {
            self.send_control(now, *client, &Control::Goodbye { reason: code });
        }
        self.net.flush(now);
        for client in clients {
            self.net.disconnect(now, client, code);
        }
        self.take_events(now);
    }

    fn match_report(&mut self, now: Time) -> MatchReport {
        self.read_links(now);
        let roster: Vec<PlayerId> =
            self.current_match().roster.iter().map(|entry| PlayerId(entry.player)).collect();
        let present: Vec<PlayerId> = self.players.iter().map(|player| player.id).collect();
        {
            // Everyone matched into it gets a line, those who never came included.
            let mut board = self.world.resource_mut::<Scoreboard>();
            roster.iter().chain(&present).for_each(|player| drop_line(board.line(*player)));
        }
        let sides = Sides::of(&self.current_match().roster);
        let board = self.world.resource::<Scoreboard>();
        let standings = if sides.shared {
            board.team_standings(|player| sides.of_player(player).map_or(0, |(team, _)| team))
        } else {
            board.standings()
        };
        let players = standings
            .into_iter()
            .map(|(placement, id, line)| {
                let player = self.players.get_mut(id);
                let connected_us = player.as_ref().map_or(0, |player| player.totals.sum().connected_us);
                let suspicions = player.as_ref().map(|player| player.suspicions()).unwrap_or_default();
                let here = player.is_some_and(|player| player.client().is_some());
                let seconds_played = (connected_us as f64 / 1e6) as f32;
                let (team, party) = sides.of_player(id).unzip();
                let party = party.unwrap_or_default();
                PlayerReport {
                    player: id,
                    line,
                    placement,
                    team,
                    party,
                    seconds_played,
                    quit: !here,
                    suspicions,
                }
            })
            .collect();
        MatchReport {
            match_id: self.current_match().id,
            started_us: self.started_at.as_micros(),
            ended_us: now.as_micros(),
            players,
        }
    }
}

/// Who plays with whom, as the matchmaker announced it.
struct Sides {
    /// Team and party; empty where the roster names one team alone: then nobody was told of teams.
    seats: BTreeMap<PlayerId, (u8, u32)>,
    /// Some team has several players.
    shared: bool,
}

impl Sides {
    fn of(roster: &[RosterEntry]) -> Self {
        let teams: BTreeSet<u8> = roster.iter().map(|entry| entry.team).collect();
        if teams.len() < 2 {
            return Self { seats: BTreeMap::new(), shared: false };
        }
        let seat = |entry: &RosterEntry| (PlayerId(entry.player), (entry.team, entry.party));
        Self { seats: roster.iter().map(seat).collect(), shared: teams.len() < roster.len() }
    }

    fn of_player(&self, player: PlayerId) -> Option<(u8, u32)> {
        self.seats.get(&player).copied()
    }
}

/// The line exists now; nothing is written to it.
fn drop_line(_: &mut ScoreLine) {}
