//! The ready check: a match that was found is put to its players before a server is taken. This file writes what the
//! rules of `matching::ready` say into the shared queue: a player's answer on any node, the question and what becomes of
//! it on the node that forms matches.

use std::collections::BTreeMap;
use std::time::Duration;

use matching::{Answers, Match, Millis, Reply, Verdict, judge, reply};

use super::desk::millis;
use super::queue::{Entry, Lease, Shifted};
use super::ticket::{Asked, NotReady, Record, State};
use super::{Matchmaker, View, unknown_ticket};
use crate::accounts::tokens::Caller;
use crate::api::{ReadyAnswer, ReadyCheck};
use crate::clock::UnixMs;
use crate::http::problem::ApiError;
use crate::ids::{MatchId, PlayerId, TicketId};
use crate::store::StoreError;

/// Answers of one party change the same ticket: more than its members never race.
const TRIES_MAX: usize = 2 * matching::PARTY_MAX;

impl Matchmaker {
    /// Takes one player's answer to a ready check.
    ///
    /// # Errors
    /// There is no such ticket, nobody asks, the answer comes too late, or the queue failed.
    pub async fn answer(&self, caller: Caller, id: TicketId, answer: &ReadyAnswer) -> Result<View, ApiError> {
        for _ in 0..TRIES_MAX {
            // Not this node's copy, which may lag behind the question.
            let entry = self.desk.queue().entry(id).await?;
            let entry = entry.filter(|entry| entry.record.has(caller.player)).ok_or_else(unknown_ticket)?;
            let State::Asked(asked) = &entry.state else {
                return self.unasked(caller.player, id, entry, answer);
            };
            if answer.check_id.as_ref().is_some_and(|check| *check != asked.id.to_string()) {
                return Err(over());
            }
            let member = entry.record.player_ids().position(|player| player == caller.player);
            let (deadline, now) = (millis(asked.deadline), millis(UnixMs::now()));
            let to = match reply(asked.accepted, member.unwrap_or(usize::MAX), answer.accept, deadline, now) {
                Reply::Accepted(accepted) => State::Asked(Asked { accepted, ..asked.clone() }),
                Reply::Leaves => State::NotReady(NotReady::Declined(caller.player)),
                Reply::Again => return self.view(id, caller.player, entry),
                Reply::TooLate => return Err(over()),
            };
            let from = [entry.state.clone()];
            if self.desk.queue().shift(&[(id, to.clone())], &from, None).await? == Shifted::Done {
                let word = if answer.accept { "accepted" } else { "declined" };
                metrics::counter!("ready_answers_total", "answer" => word).increment(1);
                return self.view(id, caller.player, Entry { record: entry.record, state: to });
            }
        }
        Err(ApiError::unavailable("store_busy", "the ticket changes too often; try again"))
    }

    /// An answer where nobody asks: fine if it had been given before, else too late.
    fn unasked(
        &self,
        player: PlayerId,
        id: TicketId,
        entry: Entry,
        answer: &ReadyAnswer,
    ) -> Result<View, ApiError> {
        if self.ready_check(&entry.record.mode).is_none() {
            return Err(ApiError::conflict("no_ready_check", "this mode asks nobody whether they are ready"));
        }
        match (&entry.state, answer.accept) {
            // It began, so this player had accepted: the answer to that was lost.
            (State::Starting(_) | State::Matched { .. }, true) => self.view(id, player, entry),
            (State::Starting(_) | State::Matched { .. }, false) => {
                Err(ApiError::conflict("already_matched", "the ticket is in a match by now"))
            }
            (State::NotReady(NotReady::Declined(who)), false) if *who == player => {
                self.view(id, player, entry)
            }
            _ => Err(over()),
        }
    }

    /// How long the players of a mode have, if they are asked.
    pub(super) fn ready_check(&self, mode: &str) -> Option<Duration> {
        let rules = self.desk.rules();
        let seconds = rules.position(mode).and_then(|place| rules.modes[place].ready_check_s);
        seconds.map(Duration::from_secs_f64)
    }

    /// The check as this player sees it.
    pub(super) fn check_view(&self, player: PlayerId, entry: &Entry) -> Option<ReadyCheck> {
        let State::Asked(asked) = &entry.state else { return None };
        let own = answers(entry, asked);
        let others = self.desk.asked(asked.id).into_iter();
        let others = others.filter(|other| other.record.id != entry.record.id);
        let count = |other: Entry| match &other.state {
            State::Asked(asked) => answers(&other, asked).count(),
            _ => 0,
        };
        let accepted = own.count() + others.map(count).sum::<usize>();
        Some(ReadyCheck {
            check_id: asked.id.to_string(),
            expires_in_ms: u64::try_from(asked.deadline.since(UnixMs::now()).as_millis()).unwrap_or(0),
            accepted: has_accepted(player, entry, asked),
            players_accepted: u32::try_from(accepted).unwrap_or(u32::MAX),
            players: asked.players.into(),
        })
    }

    /// Puts a match to its players. False: it was not to be had.
    pub(super) async fn ask(
        &self,
        lease: &Lease,
        found: &Match,
        entries: &[Entry],
        patience: Duration,
    ) -> Result<bool, StoreError> {
        if entries.len() != found.tickets().count() || !self.fit(entries).await? {
            return Ok(false);
        }
        let (id, deadline) = (MatchId::random(), UnixMs::now().plus(patience));
        let players = entries.iter().map(|entry| entry.record.members.len()).sum::<usize>();
        let question = |entry: &Entry| {
            let own = matching::TicketId(entry.record.ticket_id().as_u128());
            let team = found.teams.iter().position(|tickets| tickets.contains(&own));
            let asked = Asked {
                id,
                deadline,
                players: u16::try_from(players).unwrap_or(u16::MAX),
                team: u8::try_from(team.unwrap_or(0)).unwrap_or(u8::MAX),
                accepted: 0,
                region: found.region.clone(),
            };
            (entry.record.ticket_id(), State::Asked(asked))
        };
        let asked = self.take(lease, entries, entries.iter().map(question).collect()).await?;
        if asked {
            metrics::counter!("ready_checks_total").increment(1);
        }
        Ok(asked)
    }

    /// Ends a check that came to nothing. One change: no ticket is left behind in it.
    pub(super) async fn call_off(
        &self,
        lease: &Lease,
        entries: &[Entry],
        out: &[matching::TicketId],
    ) -> Result<(), StoreError> {
        let end = |entry: &Entry| {
            let id = entry.record.ticket_id();
            let leaves = out.contains(&matching::TicketId(id.as_u128()));
            (id, if leaves { State::NotReady(NotReady::Silent) } else { State::Queued })
        };
        if self.take(lease, entries, entries.iter().map(end).collect()).await? {
            metrics::counter!("ready_checks_off_total").increment(1);
        }
        Ok(())
    }

    /// Changes all these tickets or none, each from where it stands for us. False: they stand elsewhere, or the lease is
    /// lost.
    pub(super) async fn take(
        &self,
        lease: &Lease,
        entries: &[Entry],
        to: Vec<(TicketId, State)>,
    ) -> Result<bool, StoreError> {
        let mut from: Vec<State> = Vec::new();
        for entry in entries {
            if !from.contains(&entry.state) {
                from.push(entry.state.clone());
            }
        }
        let queue = self.desk.queue();
        match queue.shift(&to, &from, Some(lease)).await? {
            Shifted::Done => Ok(true),
            Shifted::Fenced => Ok(false),
            Shifted::Stale(stale) => {
                for id in stale {
                    self.desk.correct(id, queue.entry(id).await?);
                }
                Ok(false)
            }
        }
    }
}

/// What is to be done about the tickets of one check.
pub(super) fn verdict(entries: &[Entry], now: UnixMs) -> Verdict {
    let mut deadline = Millis(0);
    let (mut players, mut all) = (0, Vec::new());
    for entry in entries {
        if let State::Asked(asked) = &entry.state {
            (players, deadline) = (usize::from(asked.players), millis(asked.deadline));
            all.push(answers(entry, asked));
        }
    }
    judge(players, &all, deadline, millis(now))
}

/// The match that these tickets were asked for.
pub(super) fn wanted(entries: &[Entry]) -> Option<Match> {
    let first = entries.first()?;
    let mut teams: BTreeMap<u8, Vec<matching::TicketId>> = BTreeMap::new();
    let mut where_to = None;
    for entry in entries {
        let State::Asked(asked) = &entry.state else { return None };
        let own = matching::TicketId(entry.record.ticket_id().as_u128());
        teams.entry(asked.team).or_default().push(own);
        where_to.clone_from(&asked.region);
    }
    Some(Match {
        mode: first.record.mode.clone(),
        build: first.record.build.clone(),
        region: where_to,
        teams: teams.into_values().collect(),
        backfill: None,
        win_spread: 0.0,
    })
}

/// Whether this player need not be asked any more.
pub(super) fn has_accepted(player: PlayerId, entry: &Entry, asked: &Asked) -> bool {
    let member = entry.record.player_ids().position(|other| other == player);
    member.is_some_and(|member| member < 16 && asked.accepted & (1 << member) != 0)
}

/// Why a ticket was not ready, for a human.
pub(super) fn not_ready(record: &Record, why: NotReady) -> String {
    match why {
        NotReady::Declined(player) => {
            let who = record.members.iter().find(|member| member.player == player.as_u64());
            format!("{} declined the match", who.map_or("a player", |member| &member.name))
        }
        NotReady::Silent if record.members.len() > 1 => {
            "not everybody in the party said in time that they are ready".to_owned()
        }
        NotReady::Silent => "you did not say in time that you are ready".to_owned(),
    }
}

fn answers(entry: &Entry, asked: &Asked) -> Answers {
    Answers {
        ticket: matching::TicketId(entry.record.ticket_id().as_u128()),
        members: entry.record.members.len(),
        accepted: asked.accepted,
    }
}

fn over() -> ApiError {
    ApiError::conflict("ready_check_over", "that ready check is over; look at the ticket")
}
