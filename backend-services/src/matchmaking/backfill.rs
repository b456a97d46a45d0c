//! What a game server asks for a running match that has lost players, and what it is told: a ticket of the match in the
//! shared queue, and the seats as the store has them. Owns the words between the two; must never know how newcomers
//! are chosen (`matching`) nor how they are seated (`fill`).
//!
//! | step | who | how |
//! |---|---|---|
//! | the match asks | game server, any node | its ticket is `queued`; it lapses when the server no longer asks |
//! | newcomers are found | the node that forms the mode's matches | both tickets are `starting` |
//! | they are seated | the same | rows of the store; the match's ticket is `offered` |
//! | the server has read of them | game server, any node | it names them as seated: the match's ticket is `matched` |
//! | they are told the address | the node that seated them | their tickets are `matched` |

use std::time::Duration;

use matching::{Millis, ModeRules, TicketFault};
use tokio::sync::watch;
use tokio::time::Instant;

use super::desk::millis;
use super::queue::{Entry, Put};
use super::ticket::{Fills, Member, Record, State, Terms};
use super::{Matchmaker, Settings};
use crate::clock::UnixMs;
use crate::ids::{MatchId, PlayerId, TicketId};
use crate::matches::rules::newcomer;
use crate::store::{MatchSeat, RunningMatch, StoreError};

/// A match whose server has not asked for so long gets nobody any more.
pub const LAPSE: Duration = Duration::from_secs(10);
/// The longest that one question waits; shorter than a call may take.
pub const WAIT_MAX: Duration = Duration::from_secs(8);

/// What a game server asks.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Its match.
    pub id: MatchId,
    /// As its match sheet says.
    pub terms: Terms,
    /// Who has left for good.
    pub gone: Vec<PlayerId>,
    /// Who the server knows to hold a seat.
    pub seated: Vec<PlayerId>,
    /// How long it waits for news.
    pub wait: Duration,
}

/// What it is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// The match runs.
    pub running: bool,
    /// The mode's rules fill running matches.
    pub fills: bool,
    /// Seats that nobody holds.
    pub open: usize,
    /// Who holds a seat.
    pub seats: Vec<MatchSeat>,
}

/// Why nobody is looked for.
#[derive(Debug, thiserror::Error)]
pub enum BackfillFault {
    /// The terms make no sense for the mode.
    #[error(transparent)]
    Terms(#[from] TicketFault),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Matchmaker {
    /// Frees the seats of those who are gone, looks for others, and says who holds a seat: at once if that is news to
    /// the server, else when it is, or after the wish's wait.
    ///
    /// # Errors
    /// The terms make no sense, or the store failed.
    pub async fn backfill(
        &self,
        wish: &Wish,
        mut drain: watch::Receiver<bool>,
    ) -> Result<Told, BackfillFault> {
        let end = Instant::now() + wish.wait.min(WAIT_MAX);
        self.free_seats(wish).await?;
        loop {
            let ticket = self.desk.queue().ticket_named(&name(wish.id)).await?;
            let bell = self.desk.bell(ticket.unwrap_or(TicketId::from_u128(0)));
            let rung = bell.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            // The ticket before the seats: who is offered has a seat by then.
            let entry = match ticket {
                Some(id) => self.desk.queue().entry(id).await?,
                None => None,
            };
            let Some(running) = self.db.running_match(wish.id, newcomer()).await? else {
                return Ok(Told::default());
            };
            let Some(rules) = self.filling(&running.mode) else {
                return Ok(Told { running: true, seats: running.seats, ..Told::default() });
            };
            let open = rules.players().saturating_sub(running.seats.len());
            let news = running.seats.iter().any(|seat| !wish.seated.contains(&seat.player));
            let settled = self.follow_wish(wish, entry, &running, rules, news).await?;
            let waited = Instant::now() >= end || *drain.borrow();
            if news || settled || open == 0 || waited {
                return Ok(Told { running: true, fills: true, open, seats: running.seats });
            }
            tokio::select! {
                () = rung => {}
                _ = drain.wait_for(|draining| *draining) => {}
                () = tokio::time::sleep_until(end) => {}
            }
        }
    }

    /// The match wants nobody any more. False: nobody was being looked for, or newcomers are on their way.
    ///
    /// # Errors
    /// The store failed.
    pub async fn cancel_backfill(&self, id: MatchId) -> Result<bool, StoreError> {
        let Some(ticket) = self.desk.queue().ticket_named(&name(id)).await? else { return Ok(false) };
        let to = [(ticket, State::Cancelled)];
        Ok(self.desk.queue().shift(&to, &[State::Queued], None).await? == super::queue::Shifted::Done)
    }

    fn filling(&self, mode: &str) -> Option<&ModeRules> {
        self.desk.rules().modes.iter().find(|rules| rules.mode == mode && rules.backfill_left_s.is_some())
    }

    async fn free_seats(&self, wish: &Wish) -> Result<(), StoreError> {
        if wish.gone.is_empty() {
            return Ok(());
        }
        let running = self.db.running_match(wish.id, newcomer()).await?;
        if running.is_some_and(|running| self.filling(&running.mode).is_some()) {
            self.db.leave_match(wish.id, &wish.gone).await?;
            self.desk.players_freed();
        }
        Ok(())
    }

    /// Makes the match's ticket what the wish says. True: the server's last news is settled, and it should ask anew.
    async fn follow_wish(
        &self,
        wish: &Wish,
        entry: Option<Entry>,
        running: &RunningMatch,
        rules: &ModeRules,
        news: bool,
    ) -> Result<bool, BackfillFault> {
        let (queue, now) = (self.desk.queue(), UnixMs::now());
        let fills = fills(wish, running, rules);
        let open = running.seats.len() < rules.players();
        let Some(Entry { record, state }) = entry.filter(|entry| !entry.state.is_final()) else {
            if open && !news {
                self.look_for(wish, running, fills, millis(now)).await?;
            }
            return Ok(false);
        };
        let id = record.ticket_id();
        match state {
            State::Offered(_) if !news => {
                let address = running.address.clone();
                let to = [(id, State::Matched { id: wish.id, address, team: 0, filled: false })];
                queue.shift(&to, &[state], None).await?;
                return Ok(true);
            }
            // Somebody else has left meanwhile: another gap, as old as the first.
            State::Queued if record.fills.as_ref() != Some(&fills) => {
                queue.shift(&[(id, State::Cancelled)], &[State::Queued], None).await?;
                if open {
                    self.look_for(wish, running, fills, record.queued).await?;
                }
            }
            _ => queue.touch(id, seen(&self.settings, now)).await?,
        }
        Ok(false)
    }

    async fn look_for(
        &self,
        wish: &Wish,
        running: &RunningMatch,
        fills: Fills,
        queued: Millis,
    ) -> Result<(), BackfillFault> {
        let record = Record {
            id: TicketId::random().to_string(),
            mode: running.mode.clone(),
            build: wish.terms.build.clone(),
            members: Vec::new(),
            players: vec![name(wish.id)],
            latencies: std::collections::BTreeMap::new(),
            attributes: wish.terms.attributes.clone(),
            queued,
            fills: Some(fills),
        };
        self.desk.check(&record)?;
        let entry = Entry { record, state: State::Queued };
        let seen = seen(&self.settings, UnixMs::now());
        if self.desk.queue().put(&entry, self.desk.tickets_max(), seen).await? == Put::Full {
            tracing::warn!(id = %wish.id, "the queue has its most tickets: nobody is looked for");
        }
        Ok(())
    }
}

/// Under which name the match's ticket is found: players' names are numbers.
fn name(id: MatchId) -> String {
    format!("match {id}")
}

/// As if it had been asked for earlier, so that it lapses sooner than a player's.
fn seen(settings: &Settings, now: UnixMs) -> UnixMs {
    let earlier = settings.idle_max.saturating_sub(LAPSE);
    UnixMs(now.0.saturating_sub(i64::try_from(earlier.as_millis()).unwrap_or(0)))
}

fn fills(wish: &Wish, running: &RunningMatch, rules: &ModeRules) -> Fills {
    let mut teams = vec![Vec::new(); rules.teams];
    for seat in &running.seats {
        if let Some(team) = teams.get_mut(usize::from(seat.team)) {
            team.push(Member {
                player: seat.player.as_u64(),
                name: seat.name.clone(),
                mu: seat.mu,
                sigma: seat.sigma,
                roles: Vec::new(),
                avoid: Vec::new(),
            });
        }
    }
    let gone = running.gone.iter().map(|player| player.as_u64()).collect();
    Fills { match_id: wish.id.to_string(), region: wish.terms.region.clone(), teams, gone }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_match_lapses_sooner_than_a_player() {
        let settings = |idle_s| Settings {
            tick: Duration::from_millis(100),
            match_seconds: 60,
            match_grace: Duration::ZERO,
            idle_max: Duration::from_secs(idle_s),
        };
        // What was not seen for `idle_max` goes: 45 s for a player, 10 s for a match.
        assert_eq!(seen(&settings(45), UnixMs(100_000)), UnixMs(65_000));
        assert_eq!(seen(&settings(5), UnixMs(100_000)), UnixMs(100_000));
    }
}
