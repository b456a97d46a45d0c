//! Parties and singles under everything at once, on two nodes: they accept, decline, are silent, cancel and queue again, and
//! the node that forms matches is killed, twice. Then they calm down, and everybody must be in exactly one match, with its
//! whole party in its team.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use backend_services::api::{MatchAddress, Party, Session, Ticket, TicketStatus};
use fastrand::Rng;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use support::journey::{register_many, sheets};
use support::world::World;
use tokio::task::JoinSet;

const TICKETS: &str = "/v1/matchmaking/tickets";
/// How long everybody misbehaves.
const CHAOS: Duration = Duration::from_secs(6);
/// All are in a match by then, or the test has failed.
const END: Duration = Duration::from_secs(60);

/// The nodes that live, and a way to ask any of them.
#[derive(Clone)]
struct Cluster {
    nodes: Arc<RwLock<Vec<String>>>,
    client: reqwest::Client,
}

impl Cluster {
    /// What a node answers, if one does.
    async fn ask<T: DeserializeOwned>(
        &self,
        rng: &mut Rng,
        who: &Session,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Option<T> {
        let node = {
            let nodes = self.nodes.read().expect("no panic");
            nodes[rng.usize(..nodes.len())].clone()
        };
        let mut request = self.client.request(method, format!("{node}{path}")).bearer_auth(&who.access_token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.timeout(Duration::from_secs(5)).send().await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        answer.json().await.ok()
    }
}

/// How a player comes by its ticket.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Single,
    Leader,
    Mate,
}

struct Player {
    who: Session,
    part: Part,
    cluster: Cluster,
    rng: Rng,
    calm: Instant,
    last: Option<String>,
}

impl Player {
    /// Until it is in a match: which.
    async fn live(mut self) -> (String, String) {
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < END, "{} found no match", self.who.display_name);
            let address: Option<MatchAddress> = self.ask(Method::GET, "/v1/matchmaking/match", None).await;
            if let Some(address) = address {
                return (self.who.player_id, address.match_id);
            }
            match self.ticket().await {
                Some(id) => self.follow(&id).await,
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn ask<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Option<T> {
        self.cluster.ask(&mut self.rng, &self.who, method, path, body).await
    }

    async fn ticket(&mut self) -> Option<String> {
        let mode = || Some(json!({ "mode": "duo" }));
        let queued: Option<Ticket> = match self.part {
            Part::Single => self.ask(Method::POST, TICKETS, mode()).await,
            Part::Leader => self.ask(Method::POST, "/v1/parties/me/ticket", mode()).await,
            Part::Mate => {
                let party: Option<Party> = self.ask(Method::GET, "/v1/parties/me", None).await;
                let found = party?.ticket_id.filter(|ticket| self.last.as_ref() != Some(ticket))?;
                self.last = Some(found.clone());
                return Some(found);
            }
        };
        queued.map(|ticket| ticket.ticket_id)
    }

    /// Until the ticket is over, or nobody knows it.
    async fn follow(&mut self, id: &str) {
        let mut failed = 0;
        while failed < 5 {
            let path = format!("{TICKETS}/{id}?wait_ms=500");
            let Some(ticket) = self.ask::<Ticket>(Method::GET, &path, None).await else {
                failed += 1;
                tokio::time::sleep(Duration::from_millis(30)).await;
                continue;
            };
            let wild = Instant::now() < self.calm;
            match ticket.status {
                TicketStatus::ReadyCheck if ticket.ready_check.is_some_and(|check| !check.accepted) => {
                    let roll = self.rng.u8(..100);
                    if wild && roll < 10 {
                        tokio::time::sleep(Duration::from_millis(1300)).await;
                        continue;
                    }
                    let answer = json!({ "accept": !wild || roll >= 25 });
                    let path = format!("{TICKETS}/{id}/ready");
                    _ = self.ask::<Ticket>(Method::POST, &path, Some(answer)).await;
                }
                TicketStatus::Queued if wild && self.rng.u8(..100) < 10 => {
                    _ = self.ask::<Value>(Method::DELETE, &format!("{TICKETS}/{id}"), None).await;
                }
                TicketStatus::Queued | TicketStatus::ReadyCheck => {
                    // Held by a match whose news was lost on the way.
                    let path = "/v1/matchmaking/match";
                    if self.ask::<MatchAddress>(Method::GET, path, None).await.is_some() {
                        return;
                    }
                }
                _ => return,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everybody_ends_in_one_match_with_its_party() {
    let modes = json!([
        { "mode": "duo", "teams": 2, "team_size": 2, "skill_gap": 100, "ready_check_s": 1.0 }
    ]);
    let world = World::production(&modes, &["--match-seconds", "600"]).await;
    world.allocator.slow(Duration::from_millis(15));
    // The first to start holds the lease.
    let (mut leader, mut follower) = (world.node(), world.node());
    let players = register_many(&follower, 24).await;
    let pairs: Vec<(String, String)> =
        players[..12].chunks(2).map(|two| (two[0].player_id.clone(), two[1].player_id.clone())).collect();
    for two in players[..12].chunks(2) {
        let founded = follower.post("/v1/parties", Some(&two[0].access_token), json!({})).await;
        let code = json!({ "code": founded.expect::<Party>(StatusCode::CREATED).code });
        let joined = follower.post("/v1/parties/join", Some(&two[1].access_token), code).await;
        joined.expect::<Party>(StatusCode::OK);
    }
    let nodes = Arc::new(RwLock::new(vec![leader.http.clone(), follower.http.clone()]));
    let cluster = Cluster { nodes: nodes.clone(), client: reqwest::Client::new() };
    let mut lives = JoinSet::new();
    for (number, who) in players.into_iter().enumerate() {
        let part = match number {
            12.. => Part::Single,
            _ if number % 2 == 0 => Part::Leader,
            _ => Part::Mate,
        };
        let (cluster, calm) = (cluster.clone(), Instant::now() + CHAOS);
        let rng = Rng::with_seed(number as u64);
        lives.spawn(Player { who, part, cluster, rng, calm, last: None }.live());
    }
    for pause in [CHAOS / 5, CHAOS / 2] {
        tokio::time::sleep(pause).await;
        let fresh = world.node();
        *nodes.write().expect("no panic") = vec![follower.http.clone(), fresh.http.clone()];
        leader.kill();
        (leader, follower) = (follower, fresh);
    }
    let ended: BTreeMap<String, String> = lives.join_all().await.into_iter().collect();
    assert_eq!(ended.len(), 24, "nobody is lost");
    let mut matches: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
    for (player, found) in &ended {
        matches.entry(found).or_default().insert(player);
    }
    let told = sheets(&world.allocator);
    println!("{} matches of {} that were tried", matches.len(), told.len());
    let mut teams: BTreeMap<String, (String, u64)> = BTreeMap::new();
    for (found, players) in &matches {
        let sheet =
            told.iter().find(|sheet| sheet["match_id"] == found.as_str()).expect("its server was told");
        let seats = sheet["players"].as_array().expect("a list");
        let seated: BTreeSet<String> = seats.iter().map(|seat| seat["player"].to_string()).collect();
        let playing: BTreeSet<String> = players.iter().map(|player| (*player).clone()).collect();
        assert_eq!(seated, playing, "whoever is in a match plays it and no other");
        for seat in seats {
            let team = seat["team"].as_u64().expect("a team");
            teams.insert(seat["player"].to_string(), ((*found).clone(), team));
        }
    }
    for (one, other) in &pairs {
        assert_eq!(teams[one], teams[other], "a party was split");
    }
    drop((leader, follower));
}
