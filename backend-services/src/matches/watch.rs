//! Gives up matches that will never report: past their deadline, or on a server that the fleet no longer has.
//! Their players are free to queue again.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::clock::UnixMs;
use crate::ids::MatchId;
use crate::matchmaking::desk::Desk;
use crate::store::{Db, LiveMatch, StoreError};

/// How often live matches are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A server must be missing in so many looks in a row: its result may be on the way.
const MISSES_MAX: u32 = 3;
const FLEET_TIMEOUT: Duration = Duration::from_secs(2);
/// More of the fleet's answer is not read.
const FLEET_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A server as the fleet lists it.
#[derive(Clone, Debug, Deserialize)]
pub struct FleetServer {
    name: String,
    state: String,
}

/// Looks after live matches until `drain` turns true. `fleet_http` is the base URL of a fleet that answers
/// `GET /gameservers.json`; without it only deadlines count.
pub async fn run(db: Db, desk: Desk, fleet_http: Option<String>, mut drain: watch::Receiver<bool>) {
    let mut clock = tokio::time::interval(LOOK_EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let client = reqwest::Client::builder().timeout(FLEET_TIMEOUT).build().unwrap_or_default();
    let mut absences = Absences::default();
    loop {
        tokio::select! {
            _ = drain.wait_for(|draining| *draining) => return,
            _ = clock.tick() => {}
        }
        let servers = match &fleet_http {
            Some(url) => ask_fleet(&client, url).await,
            None => None,
        };
        if let Err(error) = look(&db, &desk, &mut absences, servers.as_deref()).await {
            tracing::warn!(%error, "live matches not looked at");
        }
    }
}

async fn look(
    db: &Db,
    desk: &Desk,
    absences: &mut Absences,
    servers: Option<&[FleetServer]>,
) -> Result<(), StoreError> {
    let live = db.live_matches().await?;
    metrics::gauge!("matches_live").set(live.len() as f64);
    let now = UnixMs::now();
    for (id, why) in absences.lost(&live, servers, now) {
        if db.lose_match(id, now).await? {
            tracing::warn!(%id, why, "match lost; its players are free");
            metrics::counter!("matches_lost_total").increment(1);
            desk.players_freed();
        }
    }
    Ok(())
}

/// The fleet's servers; `None` when it does not say: then nobody is missing.
async fn ask_fleet(client: &reqwest::Client, url: &str) -> Option<Vec<FleetServer>> {
    let answer = client.get(format!("{}/gameservers.json", url.trim_end_matches('/'))).send().await.ok()?;
    let body = answer.error_for_status().ok()?.bytes().await.ok()?;
    if body.len() > FLEET_BYTES_MAX {
        return None;
    }
    serde_json::from_slice(&body).ok()
}

/// How often in a row each match's server was missing. Pure.
#[derive(Debug, Default)]
struct Absences(HashMap<MatchId, u32>);

impl Absences {
    /// Which live matches are to be given up now, and why.
    fn lost(
        &mut self,
        live: &[LiveMatch],
        servers: Option<&[FleetServer]>,
        now: UnixMs,
    ) -> Vec<(MatchId, &'static str)> {
        self.0.retain(|id, _| live.iter().any(|game| game.id == *id));
        let mut lost = Vec::new();
        for game in live {
            if now >= game.deadline {
                lost.push((game.id, "its deadline has passed"));
            } else if let (Some(servers), Some(name)) = (servers, &game.server) {
                let alive = servers.iter().any(|server| server.name == *name && server.state == "Allocated");
                let misses = self.0.entry(game.id).or_default();
                *misses = if alive { 0 } else { *misses + 1 };
                if *misses >= MISSES_MAX {
                    lost.push((game.id, "the fleet no longer has its server"));
                }
            }
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MatchState;

    fn game(server: Option<&str>, deadline: i64) -> LiveMatch {
        LiveMatch {
            id: MatchId::random(),
            mode: "duel".to_owned(),
            state: MatchState::Running,
            server: server.map(str::to_owned),
            address: None,
            opened: UnixMs(0),
            deadline: UnixMs(deadline),
        }
    }

    fn server(name: &str, state: &str) -> FleetServer {
        FleetServer { name: name.to_owned(), state: state.to_owned() }
    }

    #[test]
    fn a_deadline_is_the_end() {
        let games = [game(None, 1000), game(Some("a"), 2000)];
        let lost = Absences::default().lost(&games, None, UnixMs(1000));
        assert_eq!(lost.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [games[0].id]);
    }

    #[test]
    fn a_server_must_be_missing_in_a_row() {
        let games = [game(Some("a"), 9999)];
        let mut absences = Absences::default();
        let (there, dead) = ([server("a", "Allocated")], [server("a", "Unhealthy")]);
        let mut look = |servers: Option<&[FleetServer]>| absences.lost(&games, servers, UnixMs(1)).len();
        assert_eq!([look(Some(&[])), look(Some(&dead)), look(Some(&there))], [0, 0, 0]);
        assert_eq!([look(Some(&[])), look(None), look(Some(&dead)), look(Some(&[]))], [0, 0, 0, 1]);
    }
}
