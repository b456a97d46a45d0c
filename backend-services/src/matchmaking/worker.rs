//! Gives the pool its clock and its matches their servers: open the match in the store (which binds the
//! players), allocate a server, mark it running, hand out places. Every step that fails undoes the ones
//! before it, and the tickets wait on with their age.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::pool::Match;
use super::{Matchmaker, desk::Place};
use crate::allocation::connect::Sitting;
use crate::allocation::{Admission, AllocationFault, MatchSheet, SheetPlayer, Wanted};
use crate::clock::UnixMs;
use crate::crypto::random_u64;
use crate::ids::{MatchId, PlayerId};
use crate::store::{OpenMatch, StoreError};

/// A match that has no server by then is given up: a crash lies between.
const ALLOCATING_MAX: Duration = Duration::from_secs(30);
/// Why a match did not start. The tickets go back in any case.
#[derive(Debug, thiserror::Error)]
enum StartFault {
    #[error("players are in another match")]
    Busy(Vec<PlayerId>),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Allocate(#[from] AllocationFault),
    #[error("connect token not minted: {0}")]
    Mint(#[from] netcode_token::TokenError),
    #[error("the match was given up while it waited for a server")]
    GivenUp,
}

/// Forms matches until `drain` turns true, then lets the ones that look for a server finish.
pub async fn run(matchmaker: Matchmaker, mut drain: watch::Receiver<bool>) {
    let mut clock = tokio::time::interval(matchmaker.settings.tick);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut starting = JoinSet::new();
    loop {
        tokio::select! {
            _ = drain.wait_for(|draining| *draining) => break,
            Some(_) = starting.join_next() => {}
            () = look(&matchmaker, &mut clock) => {
                if matchmaker.servers.room(Instant::now()) > 0 {
                    for found in matchmaker.desk.tick(Instant::now()) {
                        // A match for which there is no server waits with its tickets.
                        let Some(admission) = matchmaker.servers.admit(Instant::now()) else {
                            matchmaker.desk.give_back(&found, &[]);
                            continue;
                        };
                        let matchmaker = matchmaker.clone();
                        starting.spawn(async move { start(&matchmaker, admission, found).await });
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

/// Starts a match, or gives its tickets back.
async fn start(matchmaker: &Matchmaker, admission: Admission, found: Match) {
    let id = MatchId::random();
    match try_start(matchmaker, id, admission, &found).await {
        Ok((places, server)) => {
            tracing::info!(%id, players = found.tickets.len(), server, "match started");
            metrics::counter!("matches_started_total").increment(1);
            matchmaker.desk.commit(&found, places, Instant::now());
        }
        Err(StartFault::Busy(busy)) => {
            matchmaker.desk.give_back(&found, &busy);
        }
        Err(fault) => {
            tracing::warn!(%id, %fault, "match not started; its tickets wait on");
            metrics::counter!("matches_not_started_total").increment(1);
            if let Err(error) = matchmaker.db.abandon_match(id).await {
                tracing::warn!(%id, %error, "match not abandoned; its deadline will free the players");
            }
            matchmaker.desk.give_back(&found, &[]);
        }
    }
}

async fn try_start(
    matchmaker: &Matchmaker,
    id: MatchId,
    admission: Admission,
    found: &Match,
) -> Result<(Vec<Place>, String), StartFault> {
    let players = found.tickets.iter().map(|ticket| ticket.player).collect();
    let opened = UnixMs::now();
    let open = OpenMatch { id, mode: found.mode, players, opened, deadline: opened.plus(ALLOCATING_MAX) };
    matchmaker.db.open_match(&open).await?.map_err(StartFault::Busy)?;

    let server = matchmaker.servers.allocate(admission, &wanted(matchmaker, id, found)).await?;
    let seated = (0..).zip(&found.tickets).map(|(seat, ticket)| {
        let (player, display_name, mu) = (ticket.player, ticket.display_name.as_str(), ticket.mu);
        matchmaker.place(&Sitting { id, player, display_name, team: seat, mu }, server.address)
    });
    let places = seated.collect::<Result<Vec<Place>, _>>()?;

    let settings = &matchmaker.settings;
    let length = Duration::from_secs(u64::from(settings.match_seconds)) + settings.match_grace;
    let deadline = UnixMs::now().plus(length);
    if !matchmaker.db.start_match(id, &server.name, &server.address.to_string(), deadline).await? {
        return Err(StartFault::GivenUp);
    }
    Ok((places, server.name))
}

fn wanted(matchmaker: &Matchmaker, id: MatchId, found: &Match) -> Wanted {
    let player = |(seat, ticket): (u8, &super::pool::PoolTicket)| SheetPlayer {
        player: ticket.player.as_u64(),
        name: ticket.display_name.clone(),
        team: seat,
    };
    let sheet = MatchSheet {
        match_id: id.to_string(),
        mode: found.mode.to_owned(),
        seconds: matchmaker.settings.match_seconds,
        seed: random_u64() % PlayerId::LIMIT,
        players: (0..).zip(&found.tickets).map(player).collect(),
    };
    Wanted { id, sheet, latencies: Vec::new(), latency_max_ms: None }
}
