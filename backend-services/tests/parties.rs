//! Parties over the real process: who may join, who leads, and that a party queues as one ticket and is never split.

mod support;

use backend_services::api::{Party, Session, Ticket, TicketStatus};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::allocator::FakeAllocator;
use support::process::Backend;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_party_gathers_and_plays_together() {
    let (state, allocator) = (tempfile::tempdir().expect("a folder"), FakeAllocator::start().await);
    let rules = state.path().join("rules.json");
    let book = json!({ "modes": [{ "mode": "duo", "teams": 2, "team_size": 2, "skill_gap": 100 }] });
    std::fs::write(&rules, book.to_string()).expect("a file");
    let file = rules.to_str().expect("UTF-8").to_owned();
    let backend = Backend::start_all(state.path(), &allocator, &["--rules", &file]);
    let mut players = Vec::new();
    for name in ["Ada", "Bob", "Cleo", "Dan", "Eve"] {
        players.push(backend.player(name).await);
    }
    let [ada, bob, cleo, dan, eve] = &players[..] else { panic!("five") };
    let post = async |who: &Session, path: &str, body: Value| {
        backend.post(&format!("/v1/parties{path}"), Some(&who.access_token), body).await
    };
    let delete = async |who: &Session, path: &str| {
        backend.ask(Method::DELETE, &format!("/v1/parties/me{path}"), Some(&who.access_token), None).await
    };
    backend.get("/v1/parties/me", &ada.access_token).await.expect_problem(404, "no_party");
    let party: Party = post(ada, "", json!({})).await.expect(StatusCode::CREATED);
    let again: Party = post(ada, "", json!({})).await.expect(StatusCode::OK);
    assert_eq!((party.code.len(), &party.party_id), (8, &again.party_id));

    post(bob, "/join", json!({ "code": "WRONG" })).await.expect_problem(404, "party_not_found");
    post(bob, "/join", json!({ "party_id": party.party_id })).await.expect_problem(403, "not_invited");
    let joined: Party = post(bob, "/join", json!({ "code": party.code })).await.expect(StatusCode::OK);
    assert_eq!(joined.members.iter().map(|m| m.leader).collect::<Vec<_>>(), [true, false]);
    post(cleo, "", json!({})).await.expect::<Party>(StatusCode::CREATED);
    post(cleo, "/join", json!({ "code": party.code })).await.expect_problem(409, "in_another_party");
    assert_eq!(delete(cleo, "").await.status, StatusCode::NO_CONTENT);
    post(bob, "/me/invites", json!({ "player_id": "x" })).await.expect_problem(422, "invalid_player_id");
    post(bob, "/me/invites", json!({ "player_id": cleo.player_id })).await.expect::<Party>(StatusCode::OK);
    let three: Party =
        post(cleo, "/join", json!({ "party_id": party.party_id })).await.expect(StatusCode::OK);
    assert_eq!(three.members.len(), 3);

    let duo = json!({ "mode": "duo" });
    post(bob, "/me/ticket", duo.clone()).await.expect_problem(403, "not_the_leader");
    post(ada, "/me/ticket", duo.clone()).await.expect_problem(422, "party_size");
    delete(bob, &format!("/members/{}", cleo.player_id)).await.expect_problem(403, "not_the_leader");
    assert_eq!(delete(ada, &format!("/members/{}", cleo.player_id)).await.status, StatusCode::NO_CONTENT);
    post(ada, "/me/leader", json!({ "player_id": bob.player_id })).await.expect::<Party>(StatusCode::OK);
    let ticket: Ticket = post(bob, "/me/ticket", duo.clone()).await.expect(StatusCode::CREATED);

    // Who leaves takes the ticket of all back.
    let path = |id: &str| format!("/v1/matchmaking/tickets/{id}?wait_ms=20000");
    assert_eq!(delete(bob, "").await.status, StatusCode::NO_CONTENT);
    let over: Ticket = backend.get(&path(&ticket.ticket_id), &ada.access_token).await.expect(StatusCode::OK);
    assert_eq!(over.status, TicketStatus::Cancelled);
    let alone: Party = backend.get("/v1/parties/me", &ada.access_token).await.expect(StatusCode::OK);
    assert!(alone.members.len() == 1 && alone.members[0].leader, "{alone:?}");

    post(bob, "/join", json!({ "code": party.code })).await.expect::<Party>(StatusCode::OK);
    let beat = json!({ "latencies": { "eu": 20 }, "roles": [] });
    post(bob, "/me/heartbeat", beat).await.expect::<Party>(StatusCode::OK);
    let ticket: Ticket = post(ada, "/me/ticket", duo.clone()).await.expect(StatusCode::CREATED);
    let mut places = Vec::new();
    for single in [dan, eve] {
        let one: Ticket = backend
            .post("/v1/matchmaking/tickets", Some(&single.access_token), duo.clone())
            .await
            .expect(StatusCode::CREATED);
        places.push((single, one.ticket_id));
    }
    places.extend([(ada, ticket.ticket_id.clone()), (bob, ticket.ticket_id)]);
    let mut seen = Vec::new();
    for (player, id) in places {
        let ticket: Ticket = backend.get(&path(&id), &player.access_token).await.expect(StatusCode::OK);
        seen.push(ticket.matched.expect("a place").match_id);
    }
    assert!(seen.iter().all(|id| *id == seen[0]));
    let sheet = allocator.asked().remove(0).request.metadata.expect("metadata");
    let sheet: Value = serde_json::from_str(&sheet.annotations["tickwright.dev/match"]).expect("a sheet");
    let team = |who: &Session| {
        let id: u64 = who.player_id.parse().expect("a number");
        let seats = sheet["players"].as_array().expect("a list");
        seats.iter().find(|seat| seat["player"] == id).expect("seated")["team"].clone()
    };
    assert_eq!(team(ada), team(bob));
    assert_eq!(team(dan), team(eve));
    assert_ne!(team(ada), team(dan));
}
