//! Gives the pool its clock and its matches their servers: open the match in the store (which binds the
//! players), allocate a server, mark it running, hand out places. Every step that fails undoes the ones
//! before it, and the tickets wait on with their age.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use agones_sdk::allocation::{AllocationRequest, AllocationResponse, GameServerSelector, MetaPatch};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::pool::Match;
use super::seats::{MATCH_ANNOTATION, Sitting, sheet};
use super::{Matchmaker, desk::Place};
use crate::clock::UnixMs;
use crate::crypto::random_u64;
use crate::ids::{MatchId, PlayerId};
use crate::store::{OpenMatch, StoreError};

/// Matches that look for a server at once; more wait for the next tick.
const ALLOCATIONS_MAX: usize = 32;
/// A match that has no server by then is given up: a crash lies between.
const ALLOCATING_MAX: Duration = Duration::from_secs(30);
/// Failed allocations are followed by a pause that doubles, up to this.
const PAUSE_MAX: Duration = Duration::from_secs(2);
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// Why a match did not start. The tickets go back in any case.
#[derive(Debug, thiserror::Error)]
enum StartFault {
    #[error("players are in another match")]
    Busy(Vec<PlayerId>),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Allocate(#[from] agones_sdk::allocation::AllocateError),
    #[error("server {0} has no usable address")]
    Address(String),
    #[error("connect token not minted: {0}")]
    Mint(#[from] netcode_token::TokenError),
    #[error("the match was given up while it waited for a server")]
    GivenUp,
}

/// Forms matches until `drain` turns true, then lets the ones that look for a server finish.
pub async fn run(matchmaker: Matchmaker, mut drain: watch::Receiver<bool>) {
    let mut clock = tokio::time::interval(matchmaker.settings.tick);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut starting: JoinSet<bool> = JoinSet::new();
    let mut pause = Pause::default();
    loop {
        tokio::select! {
            _ = drain.wait_for(|draining| *draining) => break,
            Some(started) = starting.join_next() => pause.note(started.unwrap_or(false), Instant::now()),
            () = look(&matchmaker, &mut clock) => {
                if starting.len() < ALLOCATIONS_MAX && !pause.is_on(Instant::now()) {
                    for found in matchmaker.desk.tick(Instant::now()) {
                        let matchmaker = matchmaker.clone();
                        starting.spawn(async move { start(&matchmaker, found).await });
                    }
                }
            }
        }
    }
    while starting.join_next().await.is_some() {}
}

/// Waits for the next tick or for news.
async fn look(matchmaker: &Matchmaker, clock: &mut tokio::time::Interval) {
    tokio::select! {
        _ = clock.tick() => {}
        () = matchmaker.desk.news.notified() => {}
    }
    if let Err(error) = matchmaker.release_freed().await {
        tracing::warn!(%error, "held tickets not looked at");
    }
}

/// Starts a match, or gives its tickets back. True unless the allocator or the store failed.
async fn start(matchmaker: &Matchmaker, found: Match) -> bool {
    let id = MatchId::random();
    match try_start(matchmaker, id, &found).await {
        Ok((places, server)) => {
            tracing::info!(%id, players = found.tickets.len(), server, "match started");
            metrics::counter!("matches_started_total").increment(1);
            matchmaker.desk.commit(&found, places, Instant::now());
            true
        }
        Err(StartFault::Busy(busy)) => {
            matchmaker.desk.give_back(&found, &busy);
            true
        }
        Err(fault) => {
            tracing::warn!(%id, %fault, "match not started; its tickets wait on");
            metrics::counter!("matches_not_started_total").increment(1);
            if let Err(error) = matchmaker.db.abandon_match(id).await {
                tracing::warn!(%id, %error, "match not abandoned; its deadline will free the players");
            }
            matchmaker.desk.give_back(&found, &[]);
            false
        }
    }
}

async fn try_start(
    matchmaker: &Matchmaker,
    id: MatchId,
    found: &Match,
) -> Result<(Vec<Place>, String), StartFault> {
    let players = found.tickets.iter().map(|ticket| ticket.player).collect();
    let opened = UnixMs::now();
    let open = OpenMatch { id, mode: found.mode, players, opened, deadline: opened.plus(ALLOCATING_MAX) };
    matchmaker.db.open_match(&open).await?.map_err(StartFault::Busy)?;

    let response = matchmaker.allocator.allocate(request(matchmaker, id, found)).await?;
    let address =
        address(&response).await.ok_or_else(|| StartFault::Address(response.game_server_name.clone()))?;
    let seated = (0..).zip(&found.tickets).map(|(seat, ticket)| {
        let (player, display_name, mu) = (ticket.player, ticket.display_name.as_str(), ticket.mu);
        matchmaker.place(&Sitting { id, player, display_name, seat, mu }, address)
    });
    let places = seated.collect::<Result<Vec<Place>, _>>()?;

    let settings = &matchmaker.settings;
    let length = Duration::from_secs(u64::from(settings.match_seconds)) + settings.match_grace;
    let deadline = UnixMs::now().plus(length);
    let server = response.game_server_name;
    if !matchmaker.db.start_match(id, &server, &address.to_string(), deadline).await? {
        return Err(StartFault::GivenUp);
    }
    Ok((places, server))
}

fn request(matchmaker: &Matchmaker, id: MatchId, found: &Match) -> AllocationRequest {
    let settings = &matchmaker.settings;
    let fleet = settings.fleet.iter().map(|fleet| ("agones.dev/fleet".to_owned(), fleet.clone()));
    let sheet = sheet(id, found, settings.match_seconds, random_u64());
    let sheet = serde_json::to_string(&sheet).expect("a sheet is plain JSON");
    AllocationRequest {
        namespace: settings.namespace.clone(),
        game_server_selectors: vec![GameServerSelector {
            match_labels: fleet.collect(),
            ..Default::default()
        }],
        metadata: Some(MetaPatch {
            labels: [("tickwright.dev/match-id".to_owned(), id.to_string())].into(),
            annotations: [(MATCH_ANNOTATION.to_owned(), sheet)].into(),
        }),
        ..Default::default()
    }
}

/// The server's UDP address; a host name is looked up.
async fn address(response: &AllocationResponse) -> Option<SocketAddr> {
    let port = u16::try_from(response.ports.first()?.port).ok()?;
    if let Ok(ip) = response.address.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, port));
    }
    tokio::net::lookup_host((response.address.as_str(), port)).await.ok()?.next()
}

/// No allocation is tried for a while after one failed: the fleet needs time to grow, not more requests.
#[derive(Default)]
struct Pause {
    failures: u32,
    until: Option<Instant>,
}

impl Pause {
    fn note(&mut self, succeeded: bool, now: Instant) {
        if succeeded {
            *self = Self::default();
            return;
        }
        // The failures of one round count once.
        if !self.is_on(now) {
            let longest = PAUSE_MIN.saturating_mul(1 << self.failures.min(8)).min(PAUSE_MAX);
            // Jitter, so that several matchmakers do not come back together.
            self.until = Some(now + longest.mul_f64(0.5 + 0.5 * fastrand::f64()));
            self.failures += 1;
        }
    }

    fn is_on(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_failures_and_end_with_a_success() {
        let (mut pause, mut now) = (Pause::default(), Instant::now());
        for _ in 0..10 {
            pause.note(false, now);
            pause.note(false, now);
            now = pause.until.expect("a pause");
            assert!(!pause.is_on(now));
        }
        pause.note(false, now);
        let length = pause.until.expect("a pause") - now;
        assert!(length >= PAUSE_MAX / 2 && length <= PAUSE_MAX, "{length:?}");
        pause.note(true, now);
        assert!(!pause.is_on(now));
    }
}
