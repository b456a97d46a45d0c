//! The ready check over real processes, on both engines and over several nodes: who is asked, what one no comes to, that
//! ages are kept, and that it outlives the node that asked.

mod support;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use backend_services::api::{MatchAddress, Party, Session, Ticket, TicketStatus};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::journey::{register_many, sheets};
use support::process::{Answer, Backend};
use support::world::World;

const TICKETS: &str = "/v1/matchmaking/tickets";

fn modes(seconds: f64) -> Value {
    json!([
        { "mode": "duel", "teams": 2, "team_size": 1, "skill_gap": 100, "ready_check_s": seconds },
        { "mode": "duo", "teams": 2, "team_size": 2, "skill_gap": 100, "ready_check_s": seconds },
        { "mode": "quick", "teams": 2, "team_size": 1, "skill_gap": 100 },
    ])
}

async fn queue(node: &Backend, who: &Session, mode: &str) -> String {
    let answer = node.post(TICKETS, Some(&who.access_token), json!({ "mode": mode })).await;
    answer.expect::<Ticket>(StatusCode::CREATED).ticket_id
}

async fn poll(node: &Backend, who: &Session, id: &str, wait_ms: u32) -> Ticket {
    let path = format!("{TICKETS}/{id}?wait_ms={wait_ms}");
    node.get(&path, &who.access_token).await.expect(StatusCode::OK)
}

/// Polls until the caller is asked.
async fn asked(node: &Backend, who: &Session, id: &str) -> Ticket {
    let ticket = poll(node, who, id, 20_000).await;
    assert_eq!(ticket.status, TicketStatus::ReadyCheck, "{ticket:?}");
    ticket
}

async fn answer(node: &Backend, who: &Session, id: &str, body: Value) -> Answer {
    node.post(&format!("{TICKETS}/{id}/ready"), Some(&who.access_token), body).await
}

async fn accept(node: &Backend, who: &Session, id: &str) -> Ticket {
    answer(node, who, id, json!({ "accept": true })).await.expect(StatusCode::OK)
}

/// A party of two, led by the first.
async fn pair(node: &Backend, ada: &Session, bob: &Session) {
    let party: Party =
        node.post("/v1/parties", Some(&ada.access_token), json!({})).await.expect(StatusCode::CREATED);
    let join = json!({ "code": party.code });
    node.post("/v1/parties/join", Some(&bob.access_token), join).await.expect::<Party>(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_accept_and_the_match_begins() {
    for world in World::both(&modes(20.0), &[]).await {
        let nodes = world.nodes();
        let (one, other) = (&nodes[0], nodes.last().expect("a node"));
        let players = register_many(one, 5).await;
        let [ada, bob, dan, eve, fay] = &players[..] else { panic!("five") };
        let lone = queue(one, fay, "quick").await;
        answer(one, fay, &lone, json!({ "accept": true })).await.expect_problem(409, "no_ready_check");
        pair(one, ada, bob).await;
        let path = "/v1/parties/me/ticket";
        let party = other.post(path, Some(&ada.access_token), json!({ "mode": "duo" })).await;
        let party = party.expect::<Ticket>(StatusCode::CREATED).ticket_id;
        let early = answer(other, ada, &party, json!({ "accept": true })).await;
        early.expect_problem(409, "ready_check_over");
        let seats = [
            (ada, party.clone()),
            (bob, party),
            (dan, queue(one, dan, "duo").await),
            (eve, queue(other, eve, "duo").await),
        ];
        for (number, (who, id)) in seats.iter().enumerate() {
            let told = asked(other, who, id).await;
            let check = told.ready_check.expect("a check");
            assert!(!check.accepted && check.players == 4 && check.expires_in_ms > 5000, "{check:?}");
            assert!(told.matched.is_none() && told.reason.is_some());
            let wrong = json!({ "accept": true, "check_id": "another" });
            answer(one, who, id, wrong).await.expect_problem(409, "ready_check_over");
            let told = answer(one, who, id, json!({ "accept": true, "check_id": check.check_id })).await;
            let told = told.expect::<Ticket>(StatusCode::OK);
            if number < 3 {
                assert!(told.ready_check.is_some_and(|check| check.accepted), "{number}");
                assert!(world.allocator.asked().is_empty(), "no server before all are ready");
                // Who has answered is not woken before there is news.
                assert_eq!(poll(one, who, id, 50).await.status, TicketStatus::ReadyCheck);
                accept(other, who, id).await;
            }
        }
        for (who, id) in &seats {
            assert_eq!(poll(other, who, id, 20_000).await.status, TicketStatus::Matched);
            // The answer was lost and comes again.
            assert_eq!(accept(one, who, id).await.status, TicketStatus::Matched);
            let late = answer(one, who, id, json!({ "accept": false })).await;
            late.expect_problem(409, "already_matched");
        }
        let sheet = sheets(&world.allocator).remove(0);
        let team = |who: &Session| {
            let id: u64 = who.player_id.parse().expect("a number");
            let seats = sheet["players"].as_array().expect("a list");
            seats.iter().find(|seat| seat["player"] == id).expect("seated")["team"].clone()
        };
        assert!(team(ada) == team(bob) && team(dan) == team(eve) && team(ada) != team(dan), "{sheet}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_no_sends_the_others_back_as_old_as_they_are() {
    for world in World::both(&modes(20.0), &[]).await {
        let nodes = world.nodes();
        let (one, other) = (&nodes[0], nodes.last().expect("a node"));
        let players = register_many(one, 6).await;
        let [ada, bob, dan, eve, fay, gus] = &players[..] else { panic!("six") };
        // A party's member declines: the whole party leaves, with the reason.
        pair(one, ada, bob).await;
        let singles = [queue(one, dan, "duo").await, queue(one, eve, "duo").await];
        tokio::time::sleep(Duration::from_millis(400)).await;
        let path = "/v1/parties/me/ticket";
        let party = other.post(path, Some(&ada.access_token), json!({ "mode": "duo" })).await;
        let party = party.expect::<Ticket>(StatusCode::CREATED).ticket_id;
        asked(one, dan, &singles[0]).await;
        accept(one, dan, &singles[0]).await;
        asked(other, ada, &party).await;
        accept(other, ada, &party).await;
        let no = json!({ "accept": false });
        let told: Ticket = answer(one, bob, &party, no.clone()).await.expect(StatusCode::OK);
        assert_eq!(told.status, TicketStatus::NotReady);
        let gone = poll(other, ada, &party, 20_000).await;
        assert_eq!(gone.status, TicketStatus::NotReady);
        assert_eq!(gone.reason.as_deref(), Some("bot-1 declined the match"));
        answer(other, ada, &party, json!({ "accept": true })).await.expect_problem(409, "ready_check_over");
        answer(other, bob, &party, no).await.expect::<Ticket>(StatusCode::OK);
        for (who, id) in [(dan, &singles[0]), (eve, &singles[1])] {
            let start = Instant::now();
            let back = loop {
                let ticket = poll(other, who, id, 0).await;
                if ticket.status == TicketStatus::Queued {
                    break ticket;
                }
                assert!(start.elapsed() < Duration::from_secs(5), "{ticket:?}");
            };
            assert!(back.waited_ms >= 400, "it keeps its age: {back:?}");
            answer(one, who, id, json!({ "accept": true })).await.expect_problem(409, "ready_check_over");
        }
        // They meet others, and are asked again.
        let more = [queue(one, fay, "duo").await, queue(one, gus, "duo").await];
        for (who, id) in [(dan, &singles[0]), (eve, &singles[1]), (fay, &more[0]), (gus, &more[1])] {
            asked(one, who, id).await;
            accept(other, who, id).await;
        }
        for (who, id) in [(dan, &singles[0]), (gus, &more[1])] {
            assert_eq!(poll(one, who, id, 20_000).await.status, TicketStatus::Matched);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_is_silent_or_goes_is_out_and_nobody_else() {
    for world in World::both(&modes(1.5), &[]).await {
        let nodes = world.nodes();
        let (one, other) = (&nodes[0], nodes.last().expect("a node"));
        let players = register_many(one, 4).await;
        let [ada, bob, dan, eve] = &players[..] else { panic!("four") };
        let (first, second) = (queue(one, ada, "duel").await, queue(one, bob, "duel").await);
        asked(other, ada, &first).await;
        accept(other, ada, &first).await;
        let silent = asked(one, bob, &second).await;
        let start = Instant::now();
        while poll(one, bob, &second, 0).await.status == TicketStatus::ReadyCheck {
            assert!(start.elapsed() < Duration::from_secs(10), "{silent:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let out = poll(one, bob, &second, 0).await;
        assert_eq!(out.status, TicketStatus::NotReady);
        assert_eq!(out.reason.as_deref(), Some("you did not say in time that you are ready"));
        answer(one, bob, &second, json!({ "accept": true })).await.expect_problem(409, "ready_check_over");
        assert_eq!(poll(other, ada, &first, 0).await.status, TicketStatus::Queued);
        // Who takes the ticket back while asked, or queues again, harms only its own.
        let third = queue(one, dan, "duel").await;
        asked(one, dan, &third).await;
        let path = format!("{TICKETS}/{third}");
        let gone = other.ask(Method::DELETE, &path, Some(&dan.access_token), None).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT);
        let fourth = queue(other, eve, "duel").await;
        for (who, id) in [(eve, &fourth), (ada, &first)] {
            let start = Instant::now();
            // The check that Dan left may still be on its way out.
            while poll(one, who, id, 1000).await.status != TicketStatus::Matched {
                assert!(start.elapsed() < Duration::from_secs(10));
                _ = answer(one, who, id, json!({ "accept": true })).await;
                _ = answer(one, eve, &fourth, json!({ "accept": true })).await;
                _ = answer(one, ada, &first, json!({ "accept": true })).await;
            }
        }
        let seated: MatchAddress =
            one.get("/v1/matchmaking/match", &ada.access_token).await.expect(StatusCode::OK);
        let theirs: MatchAddress =
            one.get("/v1/matchmaking/match", &eve.access_token).await.expect(StatusCode::OK);
        assert_eq!(seated.match_id, theirs.match_id);
    }
}

/// The node that asked is killed: the answers are in the shared queue, and the next holder of the lease goes on from them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_check_outlives_the_node_that_asked() {
    let world = World::production(&modes(60.0), &[]).await;
    // The first to start holds the lease, so it is the one that is killed.
    let (mut leader, mut follower) = (world.node(), world.node());
    for round in 0..3_usize {
        let eight = register_many(&follower, 8).await;
        let mut tickets = Vec::new();
        for player in &eight {
            tickets.push(queue(&follower, player, "duel").await);
        }
        let mut seats = eight.iter().zip(&tickets);
        // So many have answered before the kill; the others do after it.
        for (who, id) in seats.by_ref().take(round * 3) {
            asked(&leader, who, id).await;
            accept(&leader, who, id).await;
        }
        for (who, id) in seats.clone() {
            asked(&leader, who, id).await;
        }
        leader.kill();
        for (who, id) in seats {
            asked(&follower, who, id).await;
            accept(&follower, who, id).await;
        }
        let mut matches: HashMap<String, usize> = HashMap::new();
        for (who, id) in eight.iter().zip(&tickets) {
            let mut ticket = poll(&follower, who, id, 20_000).await;
            // A match whose start died with the node is asked about again.
            while ticket.status == TicketStatus::ReadyCheck {
                for (who, id) in eight.iter().zip(&tickets) {
                    _ = answer(&follower, who, id, json!({ "accept": true })).await;
                }
                ticket = poll(&follower, who, id, 20_000).await;
            }
            assert_eq!(ticket.status, TicketStatus::Matched, "round {round}: {ticket:?}");
            let seated = ticket.matched.expect("a place").match_id;
            let live: MatchAddress =
                follower.get("/v1/matchmaking/match", &who.access_token).await.expect(StatusCode::OK);
            assert_eq!(live.match_id, seated, "round {round}: the ticket and the store agree");
            *matches.entry(seated).or_default() += 1;
        }
        assert!(matches.len() == 4 && matches.values().all(|players| *players == 2), "{round}: {matches:?}");
        (leader, follower) = (follower, world.node());
    }
}

/// A lone process is killed amid a check: nobody could answer, so nobody is at fault, and all are asked again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_check_of_a_lone_process_is_asked_again() {
    let [world, _] = World::both(&modes(0.5), &[]).await;
    let node = world.node();
    let two = register_many(&node, 2).await;
    let tickets = [queue(&node, &two[0], "duel").await, queue(&node, &two[1], "duel").await];
    asked(&node, &two[0], &tickets[0]).await;
    node.kill();
    tokio::time::sleep(Duration::from_millis(600)).await;
    let node = world.node();
    for (who, id) in two.iter().zip(&tickets) {
        asked(&node, who, id).await;
    }
    for (who, id) in two.iter().zip(&tickets) {
        accept(&node, who, id).await;
    }
    assert_eq!(poll(&node, &two[0], &tickets[0], 20_000).await.status, TicketStatus::Matched);
}
