//! Other players for those who have left a running match for good: asks the backend again and again while a seat is free
//! and the match has long enough to go, and lets newcomers in before it lets the backend send them. Must never know a
//! session nor who would fit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::time::Duration;

use backend_proto::{CancelBackfillRequest, RequestBackfillReply, RequestBackfillRequest};
use tokio::sync::mpsc as queue;
use tokio::time::{Instant, sleep, timeout_at};

use super::Command;
use super::results::{Destination, Failed};
use crate::game_match::RosterEntry;
use crate::room::{MatchReport, Report, Vacancy};
use crate::spec::format_match_id;

/// How long one question waits for news; less than the deadline of a call.
const WAIT_MS: u32 = 2000;
/// How long one question is tried.
const TRY_WITHIN: Duration = Duration::from_secs(5);
/// After a question that had no answer.
const PAUSE: Duration = Duration::from_secs(1);

/// The searches of all matches here.
#[derive(Default)]
pub(super) struct Searches(BTreeMap<u128, queue::UnboundedSender<Vacancy>>);

impl Searches {
    /// Passes a vacancy on to its match's search; the first of a match begins one, which is to be run.
    pub(super) fn note(
        &mut self,
        vacancy: Vacancy,
        to: &Destination,
        commands: &mpsc::Sender<Command>,
    ) -> Option<impl Future<Output = ()> + 'static> {
        let mut begun = None;
        let search = self.0.entry(vacancy.match_id).or_insert_with(|| {
            let (vacancies, vacant) = queue::unbounded_channel();
            begun = Some(run(to.clone(), vacant, commands.clone()));
            vacancies
        });
        // A receiver that is gone has learned that nobody is to be had.
        let _ = search.send(vacancy);
        begun
    }

    /// A match that is over looks for nobody.
    pub(super) fn end(&mut self, report: &Report) {
        match report {
            Report::Ended(MatchReport { match_id, .. }) | Report::Voided { match_id, .. } => {
                self.0.remove(match_id);
            }
            Report::Left(_) | Report::Closed => {}
        }
    }
}

/// What is asked for one match.
struct Search {
    match_id: String,
    terms: String,
    gone: BTreeSet<u64>,
    seated: BTreeSet<u64>,
    /// Nobody is looked for after this; `None`: the match has no end yet.
    until: Option<Instant>,
}

/// Looks for players for one match whenever a seat is free, until nobody tells of vacancies any more.
pub(super) async fn run(
    to: Destination,
    mut vacancies: queue::UnboundedReceiver<Vacancy>,
    commands: mpsc::Sender<Command>,
) {
    let Some(first) = vacancies.recv().await else { return };
    let mut search = Search::of(&first, Instant::now());
    loop {
        while let Ok(vacancy) = vacancies.try_recv() {
            search.note(&vacancy);
        }
        if search.until.is_some_and(|until| Instant::now() >= until) {
            return search.cancel(&to).await;
        }
        match search.ask(&to).await {
            Ok(reply) if !reply.running || !reply.fills => return,
            Ok(reply) => {
                let newcomers = search.newcomers(&reply);
                if newcomers.is_empty() && reply.open == 0 {
                    let Some(vacancy) = search.next_vacancy(&mut vacancies).await else { return };
                    search.note(&vacancy);
                } else if !newcomers.is_empty() {
                    let seat = Command::Seat { match_id: first.match_id, newcomers };
                    if commands.send(seat).is_err() {
                        return;
                    }
                }
            }
            Err(failed) if failed.for_good => {
                return tracing::warn!(why = failed.why, "nobody is looked for any more");
            }
            Err(failed) => {
                tracing::warn!(why = failed.why, "nobody is looked for right now");
                sleep(PAUSE).await;
            }
        }
    }
}

impl Search {
    fn of(vacancy: &Vacancy, now: Instant) -> Self {
        // A match that says nothing of it is filled to its end.
        let spare_s = vacancy.terms["left_s"].as_f64().filter(|left| *left >= 0.0).unwrap_or(0.0).min(1e6);
        let left = vacancy.left_us.map(Duration::from_micros);
        let mut search = Self {
            match_id: format_match_id(vacancy.match_id),
            terms: vacancy.terms.to_string(),
            gone: BTreeSet::new(),
            seated: vacancy.roster.iter().copied().collect(),
            until: left.map(|left| now + left.saturating_sub(Duration::from_secs_f64(spare_s))),
        };
        search.note(vacancy);
        search
    }

    fn note(&mut self, vacancy: &Vacancy) {
        self.gone.insert(vacancy.player.0);
        self.seated.remove(&vacancy.player.0);
    }

    /// Those who hold a seat and of whom nothing was known; from now on it is.
    fn newcomers(&mut self, reply: &RequestBackfillReply) -> Vec<RosterEntry> {
        let new = reply.seats.iter().filter(|seat| !self.gone.contains(&seat.player_id));
        let new = new.filter(|seat| self.seated.insert(seat.player_id));
        new.map(|seat| RosterEntry {
            player: seat.player_id,
            name: seat.name.clone(),
            team: u8::try_from(seat.team).unwrap_or(u8::MAX),
            party: 0,
        })
        .collect()
    }

    async fn next_vacancy(&self, vacancies: &mut queue::UnboundedReceiver<Vacancy>) -> Option<Vacancy> {
        match self.until {
            Some(until) => timeout_at(until, vacancies.recv()).await.ok().flatten(),
            None => vacancies.recv().await,
        }
    }

    async fn ask(&self, to: &Destination) -> Result<RequestBackfillReply, Failed> {
        let request = RequestBackfillRequest {
            match_id: self.match_id.clone(),
            terms: self.terms.clone(),
            gone: self.gone.iter().copied().collect(),
            seated: self.seated.iter().copied().collect(),
            wait_ms: WAIT_MS,
        };
        to.try_within(TRY_WITHIN, async |mut client| {
            Ok(client.request_backfill(to.request(request.clone())?).await?.into_inner())
        })
        .await
    }

    async fn cancel(&self, to: &Destination) {
        let request = CancelBackfillRequest { match_id: self.match_id.clone() };
        let cancelled = to.try_within(TRY_WITHIN, async |mut client| {
            Ok(client.cancel_backfill(to.request(request.clone())?).await?.into_inner().changed)
        });
        match cancelled.await {
            Ok(changed) => tracing::info!(changed, "the match nears its end: nobody is looked for any more"),
            Err(failed) => tracing::warn!(why = failed.why, "the search was not cancelled; it lapses"),
        }
    }
}

#[cfg(test)]
mod tests {
    use backend_proto::BackfillSeat;

    use super::*;
    use crate::player::PlayerId;

    fn vacancy(player: u64, left_us: Option<u64>) -> Vacancy {
        let terms = serde_json::json!({ "left_s": 20.0, "build": "7" });
        Vacancy { match_id: 7, player: PlayerId(player), roster: vec![1, 2, 3], terms, left_us }
    }

    #[tokio::test]
    async fn the_end_of_the_match_ends_the_search() {
        let now = Instant::now();
        assert_eq!(Search::of(&vacancy(2, None), now).until, None);
        let search = Search::of(&vacancy(2, Some(50_000_000)), now);
        assert_eq!(search.until, Some(now + Duration::from_secs(30)));
        assert_eq!(Search::of(&vacancy(2, Some(5_000_000)), now).until, Some(now));
    }

    #[tokio::test]
    async fn newcomers_are_told_once_and_who_left_is_none() {
        let mut search = Search::of(&vacancy(2, None), Instant::now());
        assert_eq!(search.seated.iter().copied().collect::<Vec<_>>(), [1, 3]);
        let seat = |player_id| BackfillSeat { player_id, name: "n".to_owned(), team: 1 };
        let reply = RequestBackfillReply {
            running: true,
            fills: true,
            open: 0,
            seats: [1, 2, 3, 9].into_iter().map(seat).collect(),
        };
        let new: Vec<u64> = search.newcomers(&reply).iter().map(|entry| entry.player).collect();
        assert_eq!(new, [9]);
        assert!(search.newcomers(&reply).is_empty());
    }
}
