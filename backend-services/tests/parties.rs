//! Parties over real processes, on both engines and over several nodes: who may join, who leads, that a party queues as
//! one ticket and is never split, and what races come to.

mod support;

use std::time::Duration;

use backend_services::api::{Party, PartyInvites, Session, Ticket, TicketStatus};
use backend_services::clock::UnixMs;
use backend_services::ids::PlayerId;
use backend_services::parties::rules;
use backend_services::store::PartyWrite;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::journey::{register_many, sheets};
use support::process::{Answer, Backend};
use support::world::World;
use tokio::task::JoinSet;

const TICKETS: &str = "/v1/matchmaking/tickets";

fn duo() -> Value {
    json!([{ "mode": "duo", "teams": 2, "team_size": 2, "skill_gap": 100 }])
}

async fn post(node: &Backend, who: &Session, path: &str, body: Value) -> Answer {
    node.post(&format!("/v1/parties{path}"), Some(&who.access_token), body).await
}

async fn delete(node: &Backend, who: &Session, path: &str) -> Answer {
    node.ask(Method::DELETE, &format!("/v1/parties{path}"), Some(&who.access_token), None).await
}

async fn mine(node: &Backend, who: &Session) -> Party {
    node.get("/v1/parties/me", &who.access_token).await.expect(StatusCode::OK)
}

async fn poll(node: &Backend, who: &Session, id: &str) -> Ticket {
    node.get(&format!("{TICKETS}/{id}?wait_ms=20000"), &who.access_token).await.expect(StatusCode::OK)
}

async fn alone(node: &Backend, who: &Session) -> Ticket {
    node.post(TICKETS, Some(&who.access_token), json!({ "mode": "duo" })).await.expect(StatusCode::CREATED)
}

/// A party of these, led by the first.
async fn gather(node: &Backend, players: &[&Session]) -> Party {
    let mut party: Party = post(node, players[0], "", json!({})).await.expect(StatusCode::CREATED);
    for player in &players[1..] {
        party = post(node, player, "/join", json!({ "code": party.code })).await.expect(StatusCode::OK);
    }
    party
}

fn team(sheet: &Value, who: &Session) -> Option<u64> {
    let id: u64 = who.player_id.parse().expect("a number");
    let seats = sheet["players"].as_array().expect("a list");
    seats.iter().find(|seat| seat["player"] == id).and_then(|seat| seat["team"].as_u64())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_party_gathers_and_plays_together() {
    for world in World::both(&duo(), &[]).await {
        let nodes = world.nodes();
        println!("{}: {} nodes", world.name, nodes.len());
        // Every other request goes to another node, where there is one.
        let (one, other) = (&nodes[0], nodes.last().expect("a node"));
        let players = register_many(one, 5).await;
        let [ada, bob, cleo, ..] = &players[..] else { panic!("five") };
        who_may_join(one, other, ada, bob, cleo).await;
        who_decides(one, other, ada, bob, cleo).await;
        plays_together(&world, one, other, &players).await;
    }
}

async fn who_may_join(one: &Backend, other: &Backend, ada: &Session, bob: &Session, cleo: &Session) {
    one.get("/v1/parties/me", &ada.access_token).await.expect_problem(404, "no_party");
    post(one, ada, "", json!({ "members_max": 1 })).await.expect_problem(422, "invalid_size");
    let party: Party = post(one, ada, "", json!({ "members_max": 5 })).await.expect(StatusCode::CREATED);
    let again: Party = post(other, ada, "", json!({})).await.expect(StatusCode::OK);
    assert_eq!((party.code.len(), party.members_max, &party.party_id), (8, 5, &again.party_id));
    assert!(party.code_expires_in_s > 800, "{party:?}");

    post(one, bob, "/join", json!({})).await.expect_problem(422, "code_or_id");
    post(one, bob, "/join", json!({ "code": "WRONG" })).await.expect_problem(404, "party_not_found");
    post(one, bob, "/join", json!({ "party_id": party.party_id })).await.expect_problem(403, "not_invited");
    let code = party.code.to_lowercase();
    let joined: Party = post(other, bob, "/join", json!({ "code": code })).await.expect(StatusCode::OK);
    assert_eq!(joined.members.iter().map(|m| m.leader).collect::<Vec<_>>(), [true, false]);
    post(one, cleo, "", json!({})).await.expect::<Party>(StatusCode::CREATED);
    post(one, cleo, "/join", json!({ "code": party.code })).await.expect_problem(409, "in_another_party");
    assert_eq!(delete(other, cleo, "/me").await.status, StatusCode::NO_CONTENT);

    post(one, bob, "/me/invites", json!({ "player_id": "x" })).await.expect_problem(422, "invalid_player_id");
    post(one, bob, "/me/invites", json!({ "player_id": "77" })).await.expect_problem(404, "unknown_player");
    let wanted = json!({ "player_id": cleo.player_id });
    let told = post(one, bob, "/me/invites", wanted.clone()).await.expect::<Party>(StatusCode::OK);
    assert!(told.invited.len() == 1 && told.invited[0] == cleo.player_id);
    let ask = async || -> PartyInvites {
        other.get("/v1/parties/invites", &cleo.access_token).await.expect(StatusCode::OK)
    };
    let seen = ask().await.invites;
    assert_eq!((seen.len(), &seen[0].party_id, seen[0].members), (1, &party.party_id, 2));
    let path = format!("/invites/{}", party.party_id);
    assert_eq!(delete(one, cleo, &path).await.status, StatusCode::NO_CONTENT);
    assert!(ask().await.invites.is_empty(), "turned down");
    post(one, ada, "/me/invites", wanted).await.expect::<Party>(StatusCode::OK);
    let by_id = json!({ "party_id": party.party_id });
    let three: Party = post(other, cleo, "/join", by_id).await.expect(StatusCode::OK);
    assert_eq!((three.members.len(), three.invited.len()), (3, 0));
}

async fn who_decides(one: &Backend, other: &Backend, ada: &Session, bob: &Session, cleo: &Session) {
    let old = mine(one, ada).await.code;
    post(one, bob, "/me/ticket", json!({ "mode": "duo" })).await.expect_problem(403, "not_the_leader");
    post(one, ada, "/me/ticket", json!({ "mode": "duo" })).await.expect_problem(422, "party_size");
    post(one, bob, "/me/code", json!({})).await.expect_problem(403, "not_the_leader");
    let kick = format!("/me/members/{}", cleo.player_id);
    delete(one, bob, &kick).await.expect_problem(403, "not_the_leader");
    assert_eq!(delete(other, ada, &kick).await.status, StatusCode::NO_CONTENT);
    delete(other, ada, &kick).await.expect_problem(404, "not_a_member");
    post(one, cleo, "/join", json!({ "code": old })).await.expect_problem(404, "party_not_found");
    let fresh: Party = post(one, ada, "/me/code", json!({})).await.expect(StatusCode::OK);
    assert!(fresh.code != old && mine(other, bob).await.code == fresh.code);
    let to = json!({ "player_id": bob.player_id });
    post(other, ada, "/me/leader", to).await.expect::<Party>(StatusCode::OK);
    post(other, ada, "/me/code", json!({})).await.expect_problem(403, "not_the_leader");
}

async fn plays_together(world: &World, one: &Backend, other: &Backend, players: &[Session]) {
    let [ada, bob, _, dan, eve] = players else { panic!("five") };
    let duo = json!({ "mode": "duo" });
    let ticket: Ticket = post(one, bob, "/me/ticket", duo.clone()).await.expect(StatusCode::CREATED);
    assert_eq!(mine(other, ada).await.ticket_id, Some(ticket.ticket_id.clone()));
    let single = one.post(TICKETS, Some(&ada.access_token), duo.clone()).await;
    single.expect_problem(409, "in_party");
    // Any member may take it back.
    let path = format!("{TICKETS}/{}", ticket.ticket_id);
    let answer = other.ask(Method::DELETE, &path, Some(&ada.access_token), None).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(poll(one, bob, &ticket.ticket_id).await.status, TicketStatus::Cancelled);

    // Who leaves takes the ticket of all back, and the longest member leads on.
    let ticket: Ticket = post(one, bob, "/me/ticket", duo.clone()).await.expect(StatusCode::CREATED);
    assert_eq!(delete(other, bob, "/me").await.status, StatusCode::NO_CONTENT);
    assert_eq!(poll(one, ada, &ticket.ticket_id).await.status, TicketStatus::Cancelled);
    let left = mine(one, ada).await;
    assert!(left.members.len() == 1 && left.members[0].leader && left.members[0].here, "{left:?}");
    // Who joins takes back what both sides wait for.
    let lone = alone(one, bob).await;
    post(one, bob, "/join", json!({ "code": left.code })).await.expect::<Party>(StatusCode::OK);
    assert_eq!(poll(other, bob, &lone.ticket_id).await.status, TicketStatus::Cancelled);

    let beat = json!({ "latencies": { "eu": 20 }, "roles": [] });
    post(other, bob, "/me/heartbeat", beat).await.expect::<Party>(StatusCode::OK);
    let ticket: Ticket = post(other, ada, "/me/ticket", duo.clone()).await.expect(StatusCode::CREATED);
    let again: Ticket = post(one, ada, "/me/ticket", duo).await.expect(StatusCode::OK);
    assert_eq!(again.ticket_id, ticket.ticket_id);
    let mut places = vec![(ada, ticket.ticket_id.clone()), (bob, ticket.ticket_id)];
    for single in [dan, eve] {
        places.push((single, alone(one, single).await.ticket_id));
    }
    let mut seen = Vec::new();
    for (player, id) in places {
        seen.push(poll(other, player, &id).await.matched.expect("a place").match_id);
    }
    assert!(seen.iter().all(|id| *id == seen[0]));
    let sheet = sheets(&world.allocator).remove(0);
    let teams = [ada, bob, dan, eve].map(|who| team(&sheet, who).expect("seated"));
    assert!(teams[0] == teams[1] && teams[2] == teams[3] && teams[0] != teams[2], "{sheet}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_join_a_party_of_five() {
    for world in World::both(&duo(), &[]).await {
        let nodes = world.nodes();
        let players = register_many(&nodes[0], 65).await;
        let size = json!({ "members_max": 5 });
        let party: Party = post(&nodes[0], &players[0], "", size).await.expect(StatusCode::CREATED);
        let code = json!({ "code": party.code });
        let mut joins = JoinSet::new();
        for (number, player) in players[1..].iter().enumerate() {
            let node = &nodes[number % nodes.len()];
            let request = node.client.post(format!("{}/v1/parties/join", node.http));
            let request = request.bearer_auth(&player.access_token).json(&code);
            joins.spawn(async move {
                let answer = request.send().await.expect("an answer");
                let status = answer.status();
                (number, Answer { status, body: answer.text().await.expect("a body") })
            });
        }
        let mut answers = joins.join_all().await;
        answers.sort_by_key(|(number, _)| *number);
        let answers: Vec<Answer> = answers.into_iter().map(|(_, answer)| answer).collect();
        let joined = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
        assert_eq!(joined, 4, "{}", world.name);
        for answer in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
            answer.expect_problem(409, "party_full");
        }
        let kept = mine(nodes.last().expect("a node"), &players[0]).await;
        assert_eq!(kept.members.len(), 5);
        let mut inside = 0;
        for (player, answer) in players[1..].iter().zip(&answers) {
            let found = nodes[0].get("/v1/parties/me", &player.access_token).await.status;
            assert_eq!(found == StatusCode::OK, answer.status == StatusCode::OK);
            inside += usize::from(found == StatusCode::OK);
        }
        assert_eq!(inside, 4);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn codes_cannot_be_guessed_for_long() {
    let [world, _] = World::both(&duo(), &["--party-code", "0.5"]).await;
    let node = world.node();
    let players = register_many(&node, 3).await;
    for _ in 0..10 {
        let guess = post(&node, &players[1], "/join", json!({ "code": "AAAAAAAA" })).await;
        guess.expect_problem(404, "party_not_found");
    }
    let guess = post(&node, &players[1], "/join", json!({ "code": "AAAAAAAA" })).await;
    guess.expect_problem(429, "too_many_codes");
    let party: Party = post(&node, &players[0], "", json!({})).await.expect(StatusCode::CREATED);
    while mine(&node, &players[0]).await.code_expires_in_s > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let late = post(&node, &players[2], "/join", json!({ "code": party.code })).await;
    late.expect_problem(404, "party_not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_silent_leader_is_followed_and_then_out() {
    for world in World::both(&duo(), &["--party-away", "0.6", "--party-gone", "1.8"]).await {
        let nodes = world.nodes();
        let node = nodes.last().expect("a node");
        let players = register_many(node, 3).await;
        let [ada, bob, cleo] = &players[..] else { panic!("three") };
        gather(node, &[ada, bob]).await;
        let leads = |party: &Party, who: &Session| {
            party.members.iter().any(|member| member.leader && member.player_id == who.player_id)
        };
        let start = std::time::Instant::now();
        let told = loop {
            let told = mine(node, bob).await;
            if leads(&told, bob) {
                break told;
            }
            assert!(start.elapsed() < Duration::from_secs(5), "{told:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert!(told.members.len() == 2 && !told.members[0].here, "{told:?}");
        let ticket: Ticket =
            post(node, bob, "/me/ticket", json!({ "mode": "duo" })).await.expect(StatusCode::CREATED);
        while mine(node, bob).await.members.len() == 2 {
            assert!(start.elapsed() < Duration::from_secs(8));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(poll(node, bob, &ticket.ticket_id).await.status, TicketStatus::Cancelled);
        // A party that nobody is in any more ends without being asked.
        let code = mine(node, bob).await.code;
        tokio::time::sleep(Duration::from_millis(2600)).await;
        let join = post(node, cleo, "/join", json!({ "code": code })).await;
        join.expect_problem(404, "party_not_found");
        node.get("/v1/parties/me", &bob.access_token).await.expect_problem(404, "no_party");
    }
}

/// A member leaves while the match is being made: either the ticket is gone for both, or both are in the match, in one
/// team. Never one without the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_leaves_amid_a_commit_splits_nobody() {
    for world in World::both(&duo(), &[]).await {
        let nodes = world.nodes();
        world.allocator.slow(Duration::from_millis(20));
        let (mut together, mut neither) = (0, 0);
        for round in 0..24_u64 {
            let players = register_many(&nodes[0], 4).await;
            let [ada, bob, dan, eve] = &players[..] else { panic!("four") };
            let node = &nodes[round as usize % nodes.len()];
            gather(node, &[ada, bob]).await;
            let singles = [alone(&nodes[0], dan).await.ticket_id, alone(&nodes[0], eve).await.ticket_id];
            // From well before the ticket to well after it.
            let (early, late) = (12_u64.saturating_sub(round), (round * 2).saturating_sub(24));
            let queue = async {
                tokio::time::sleep(Duration::from_millis(early)).await;
                post(node, ada, "/me/ticket", json!({ "mode": "duo" })).await
            };
            let leave = async {
                tokio::time::sleep(Duration::from_millis(late)).await;
                delete(nodes.last().expect("a node"), bob, "/me").await
            };
            let (queued, left) = tokio::join!(queue, leave);
            assert_eq!(left.status, StatusCode::NO_CONTENT, "{}", left.body);
            let ticket: Ticket = queued.expect(StatusCode::CREATED);
            // Bob was faster: Ada's ticket is a single's, and waits for a fourth. Else it comes to an end.
            let path = format!("{TICKETS}/{}?wait_ms=20000", ticket.ticket_id);
            let over = match node.get(&path, &bob.access_token).await {
                of_both if of_both.status == StatusCode::OK => Some(of_both.expect::<Ticket>(StatusCode::OK)),
                _ => None,
            };
            let mut seated = Vec::new();
            for who in [ada, bob] {
                let answer = node.get("/v1/matchmaking/match", &who.access_token).await;
                seated.push(answer.status == StatusCode::OK);
            }
            let of_both = sheets(&world.allocator).into_iter().find(|sheet| team(sheet, bob).is_some());
            match of_both {
                Some(sheet) => {
                    assert_eq!(team(&sheet, ada), team(&sheet, bob), "round {round}: {sheet}");
                    assert_eq!(seated, [true, true]);
                    together += 1;
                }
                None => {
                    assert!(!seated[1], "round {round}: {over:?}");
                    neither += 1;
                }
            }
            for (who, id) in [(dan, &singles[0]), (eve, &singles[1]), (ada, &ticket.ticket_id)] {
                // In a match by now, or over: then there is nothing to take back.
                _ = node.ask(Method::DELETE, &format!("{TICKETS}/{id}"), Some(&who.access_token), None).await;
            }
        }
        println!("{}: {together} rounds played together, {neither} without", world.name);
        assert!(together > 0 && neither > 0, "one of the two sides was never seen");
    }
}

/// A member's leave is on disk, and the node that wrote it died before it took the ticket back: the ticket is not what the
/// party is, and no match takes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_dies_between_two_stores_splits_nobody() {
    let world = World::production(&duo(), &[]).await;
    let node = world.node();
    let players = register_many(&node, 4).await;
    let [ada, bob, dan, eve] = &players[..] else { panic!("four") };
    gather(&node, &[ada, bob]).await;
    let ticket: Ticket =
        post(&node, ada, "/me/ticket", json!({ "mode": "duo" })).await.expect(StatusCode::CREATED);

    let stores = world.stores().await;
    let gone: PlayerId = bob.player_id.parse().expect("an id");
    let row = stores.db.party_of(gone).await.expect("a store").expect("a party");
    let mut party: rules::Party = serde_json::from_str(&row.body).expect("a party");
    party.members.retain(|member| member.player != gone.as_u64());
    let body = serde_json::to_string(&party).expect("JSON");
    let write = PartyWrite {
        id: &row.id,
        code: &row.code,
        body: &body,
        revision: Some(row.revision),
        joined: &[],
        gone: &[gone],
        invited: None,
        ends: false,
        now: UnixMs::now(),
    };
    assert!(stores.db.write_party(&write).await.expect("a store"));
    assert!(!stores.db.write_party(&write).await.expect("a store"), "the revision is another by now");

    alone(&node, dan).await;
    alone(&node, eve).await;
    assert_eq!(poll(&node, ada, &ticket.ticket_id).await.status, TicketStatus::Cancelled);
    assert!(sheets(&world.allocator).is_empty());
}
