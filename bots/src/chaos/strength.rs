//! Whether everything is back, and whether a match is without its server. Knows the pages of fleet and backend.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::{
    demo::stack::{FleetHealth, GameServerRow, Stack},
    witness::Seat,
};

/// How often is asked.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// A player whose server is gone hears of it by silence (10 s), or at once when the port is closed, and goes; who is
/// still there after so long is in a match without a server.
const ORPHAN_AFTER: Duration = Duration::from_secs(20);

/// What must hold for everything to be back.
pub(super) struct Strength {
    warm: u32,
    killed: Option<u32>,
}

impl Strength {
    /// Before anybody was killed.
    pub(super) fn before(warm: u32) -> Self {
        Self { warm, killed: None }
    }

    /// After this process was.
    pub(super) fn without(warm: u32, killed: u32) -> Self {
        Self { warm, killed: Some(killed) }
    }

    /// Waits until it holds.
    ///
    /// # Errors
    /// What is missing after `within`.
    pub(super) async fn wait(&self, stack: &Stack, within: Duration) -> Result<(), String> {
        let give_up = Instant::now() + within;
        loop {
            let Some(missing) = self.missing(stack).await else { return Ok(()) };
            if Instant::now() >= give_up {
                return Err(format!("not back after {within:?}: {missing}"));
            }
            sleep(ASK_EVERY).await;
        }
    }

    async fn missing(&self, stack: &Stack) -> Option<String> {
        let pids = stack.pids().await;
        if self.killed.is_some_and(|killed| [pids.backend, pids.autoscaler, pids.fleet].contains(&killed)) {
            return Some("the process is not started again".into());
        }
        if !stack.backend_is_ready().await {
            return Some("the backend is not ready".into());
        }
        let Some(servers) = stack.game_servers().await else { return Some("the fleet is away".into()) };
        if servers.iter().any(|server| server.pid.is_some() && server.pid == self.killed) {
            return Some("the fleet has not noticed".into());
        }
        let Some(health) = stack.fleet_health().await else { return Some("the fleet is away".into()) };
        below(&health, self.warm)
    }
}

/// What the fleet lacks. Pure.
fn below(health: &FleetHealth, warm: u32) -> Option<String> {
    let serving = health.ready + health.allocated + health.reserved;
    if serving >= health.desired && health.desired >= warm {
        return None;
    }
    Some(format!("{serving} servers of {} ({} starting)", health.desired, health.starting))
}

/// Players in matches whose servers the fleet does not have.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// Since when each player's match has been without a server, and whether it was told.
    since: BTreeMap<String, (Instant, bool)>,
}

impl Orphans {
    /// Who has been without a server for too long by `now`; each stay is told once. Pure.
    pub(super) fn look(
        &mut self,
        seats: &BTreeMap<String, Seat>,
        servers: &[GameServerRow],
        now: Instant,
    ) -> Vec<String> {
        let served = |seat: &Seat| {
            let port = seat.server.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            servers.iter().any(|server| server.port == port && server.state == "Allocated")
        };
        self.since.retain(|player, _| seats.get(player).is_some_and(|seat| !served(seat)));
        let mut late = Vec::new();
        for (player, seat) in seats.iter().filter(|(_, seat)| !served(seat)) {
            let (since, told) = self.since.entry(player.clone()).or_insert((now, false));
            if !*told && now.duration_since(*since) >= ORPHAN_AFTER {
                *told = true;
                late.push(format!("player {player} in match {} without a server", seat.match_id));
            }
        }
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(port: u16, state: &str) -> GameServerRow {
        GameServerRow { name: "a".into(), state: state.into(), admin: None, port: Some(port), pid: Some(1) }
    }

    #[test]
    fn strength_counts_those_who_serve() {
        let health =
            |desired, ready, allocated| FleetHealth { desired, ready, allocated, ..FleetHealth::default() };
        assert_eq!(below(&health(4, 2, 2), 2), None);
        assert!(below(&health(4, 1, 2), 2).is_some());
        assert!(below(&health(0, 0, 0), 2).is_some(), "a fleet that wants nobody has not been told yet");
    }

    #[test]
    fn who_stays_without_a_server_is_told_once() {
        let start = Instant::now();
        let seat = Seat { match_id: "m".into(), server: "127.0.0.1:7000".into() };
        let seats = BTreeMap::from([("p".to_owned(), seat)]);
        let mut orphans = Orphans::default();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(orphans.look(&seats, &[server(7000, "Allocated")], at(0)).is_empty());
        for seconds in [1, 20] {
            assert!(orphans.look(&seats, &[server(7000, "Ready")], at(seconds)).is_empty());
        }
        assert_eq!(orphans.look(&seats, &[server(7001, "Allocated")], at(21)).len(), 1);
        assert!(orphans.look(&seats, &[], at(22)).is_empty());
        // Back in time, or gone: nobody is late.
        assert!(orphans.look(&BTreeMap::new(), &[], at(23)).is_empty());
        assert!(orphans.look(&seats, &[], at(24)).is_empty());
    }
}
