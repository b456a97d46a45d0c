//! Players' states: whose word counts, on both engines, under races, and through the death of the backend.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use std::time::Duration;

use backend_proto::players_v1::open_reply::Fate as Opened;
use backend_proto::players_v1::save_reply::Fate as Saved;
use backend_proto::players_v1::{OpenReply, OpenRequest, SaveRequest};
use backend_proto::{AUTHORIZATION, CustodyClient};
use backend_services::api::PlayerState;
use backend_services::clock::UnixMs;
use backend_services::crypto::SecretHash;
use backend_services::custody::rules::{self, Saving};
use backend_services::ids::PlayerId;
use backend_services::store::{Account, Db, NewAccount};
use reqwest::StatusCode;
use serde_json::json;
use support::allocator::FakeAllocator;
use support::engines;
use support::process::{Backend, SERVICE_TOKEN};
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

const NOW: UnixMs = UnixMs(1_700_000_000_000);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_engines_hold_a_state_for_one_holder() {
    for engine in engines::all().await {
        println!("engine {}", engine.name);
        let db = &engine.stores.db;
        a_state_is_opened_saved_and_taken(db).await;
        racing_holders_get_fences_of_their_own(db).await;
        racing_saves_leave_the_highest_number_of_the_highest_fence(db).await;
        engine.stores.close().await;
    }
}

async fn a_state_is_opened_saved_and_taken(db: &Db) {
    let player = account(db).await;
    assert_eq!(db.state(player, "arena").await.unwrap(), None);
    assert_eq!(open(db, player, "a", false).await, Some(1));
    assert_eq!(open(db, player, "a", false).await, Some(1), "the answer was lost");
    assert_eq!(open(db, player, "b", false).await, None);
    assert_eq!(save(db, player, 1, 1, 10).await, rules::Saved::Saved);
    assert_eq!(save(db, player, 1, 1, 99).await, rules::Saved::Duplicate);
    assert_eq!(open(db, player, "b", true).await, Some(2));
    assert_eq!(save(db, player, 1, 2, 11).await, rules::Saved::Stale);
    assert_eq!(document(db, player).await, Some(10), "the late one changed nothing");
    assert_eq!(save(db, player, 2, 1, 12).await, rules::Saved::Saved);
    assert_eq!(document(db, player).await, Some(12));
    assert_eq!(db.state(player, "other").await.unwrap(), None, "another name is another state");
    let stranger = db.change_state(PlayerId::random(), "arena", |_| (None, ())).await.unwrap();
    assert_eq!(stranger, None);
}

async fn racing_holders_get_fences_of_their_own(db: &Db) {
    let player = account(db).await;
    let mut racers = JoinSet::new();
    for racer in 0..64 {
        let db = db.clone();
        racers.spawn(async move { open(&db, player, &format!("s{racer}"), true).await.unwrap() });
    }
    let mut fences = racers.join_all().await;
    fences.sort_unstable();
    assert_eq!(fences, (1..=64).collect::<Vec<u64>>());
}

/// Two servers, each with saves in any order and twice, one of them fenced out at some moment.
async fn racing_saves_leave_the_highest_number_of_the_highest_fence(db: &Db) {
    let player = account(db).await;
    let (mut racers, mut numbers) = (JoinSet::new(), (1..=16_u64).chain(1..=16).collect::<Vec<_>>());
    let first = open(db, player, "a", false).await.unwrap();
    fastrand::Rng::with_seed(5).shuffle(&mut numbers);
    for number in &numbers {
        let (db, number) = (db.clone(), *number);
        racers.spawn(async move {
            let _fate = save(&db, player, first, number, number).await;
        });
    }
    let second = open(db, player, "b", true).await.unwrap();
    for number in numbers {
        let db = db.clone();
        racers.spawn(async move {
            let _fate = save(&db, player, second, number, 100 + number).await;
        });
    }
    racers.join_all().await;
    assert_eq!(document(db, player).await, Some(116));
    assert_eq!(save(db, player, first, 99, 1).await, rules::Saved::Stale);
}

/// The real backend over gRPC, killed again and again while a server saves: what was acknowledged is there, and a save
/// whose answer was lost is said again and changes nothing more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlives_the_backend() {
    let (folder, allocator) = (tempfile::tempdir().unwrap(), FakeAllocator::start().await);
    let mut backend = Backend::start_all(folder.path(), &allocator, &[]);
    let ada = backend.player("Ada").await;
    let player: u64 = ada.player_id.parse().unwrap();
    let path = "/v1/me/states/arena";
    backend.get(path, &ada.access_token).await.expect_problem(404, "state_not_found");
    backend.get("/v1/me/states/A%20b", &ada.access_token).await.expect_problem(404, "state_not_found");
    let opened = try_open(&backend, player, "a").await.unwrap();
    assert_eq!((opened.fate(), opened.fence, opened.document), (Opened::Opened, 1, None));
    let mut known = 0;
    for _ in 0..3 {
        let mut client = client(&backend).await;
        let saving = tokio::spawn(async move {
            let mut sequence = known;
            loop {
                match client.save(saving(player, 1, sequence + 1)).await {
                    Ok(reply) => assert_ne!(reply.into_inner().fate(), Saved::Stale),
                    Err(_) => return sequence,
                }
                sequence += 1;
            }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        backend.kill();
        let acknowledged = saving.await.unwrap();
        assert!(acknowledged > known, "some got through");
        backend = Backend::start_all(folder.path(), &allocator, &[]);
        let state: PlayerState = backend.get(path, &ada.access_token).await.expect(StatusCode::OK);
        let there = state.document["n"].as_u64().unwrap();
        assert!((acknowledged..=acknowledged + 1).contains(&there), "{acknowledged}, then {there}");
        known = there;
    }
    let mut client = client(&backend).await;
    let again = client.save(saving(player, 1, known)).await.unwrap().into_inner();
    assert_eq!(again.fate(), Saved::Duplicate);
    let held = client.open(opening(player, "b", false)).await.unwrap().into_inner();
    assert_eq!(held.fate(), Opened::Held, "who holds it is not forgotten either");
    let taken = client.open(opening(player, "b", true)).await.unwrap().into_inner();
    assert_eq!((taken.fence, taken.document), (2, Some(json!({ "n": known }).to_string())));
    let late = client.save(saving(player, 1, known + 1)).await.unwrap().into_inner();
    assert_eq!(late.fate(), Saved::Stale);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_and_strangers_are_refused() {
    let (folder, allocator) = (tempfile::tempdir().unwrap(), FakeAllocator::start().await);
    let backend = Backend::start_all(folder.path(), &allocator, &[]);
    let player: u64 = backend.player("Ada").await.player_id.parse().unwrap();
    let mut client = client(&backend).await;
    let unsigned = client.open(Request::new(opening(player, "a", false).into_inner())).await;
    assert_eq!(unsigned.unwrap_err().code(), Code::Unauthenticated);
    for player in [0, u64::MAX] {
        let refused = client.open(opening(player, "a", false)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    assert_eq!(client.open(opening(1, "a", false)).await.unwrap_err().code(), Code::NotFound);
    let mut long = saving(player, 1, 1);
    long.get_mut().document = Some(format!("{{\"a\":\"{}\"}}", "x".repeat(33_000)));
    assert_eq!(client.save(long).await.unwrap_err().code(), Code::InvalidArgument);
    let stale = client.save(saving(player, 1, 1)).await.unwrap().into_inner();
    assert_eq!(stale.fate(), Saved::Stale, "nobody has opened it");
}

async fn account(db: &Db) -> PlayerId {
    let account = Account { player: PlayerId::random(), display_name: "Ada".to_owned(), created: NOW };
    let secret = SecretHash::of(&support::secret());
    db.create_account(&NewAccount { account: account.clone(), secret }).await.unwrap();
    account.player
}

async fn open(db: &Db, player: PlayerId, holder: &str, force: bool) -> Option<u64> {
    let decide = |row: &_| {
        let opened = rules::open(row, holder, force);
        (opened.clone(), opened.map(|row| row.fence))
    };
    db.change_state(player, "arena", decide).await.unwrap().expect("an account")
}

async fn save(db: &Db, player: PlayerId, fence: u64, sequence: u64, number: u64) -> rules::Saved {
    let document = Some(json!({ "n": number }).to_string());
    let saving = Saving { fence, sequence, document, version: 3, release: false, now: NOW };
    rules::check_save(&saving).unwrap();
    let decide = |row: &_| {
        let (fate, row) = rules::save(row, &saving);
        (row, fate)
    };
    db.change_state(player, "arena", decide).await.unwrap().expect("an account")
}

async fn document(db: &Db, player: PlayerId) -> Option<u64> {
    let row = db.state(player, "arena").await.unwrap()?;
    serde_json::from_str::<serde_json::Value>(&row.document?).unwrap()["n"].as_u64()
}

async fn client(backend: &Backend) -> CustodyClient<Channel> {
    let endpoint = Endpoint::from_shared(backend.grpc.clone().expect("a gRPC port")).unwrap();
    CustodyClient::new(endpoint.connect().await.unwrap())
}

async fn try_open(backend: &Backend, player: u64, holder: &str) -> Result<OpenReply, Status> {
    Ok(client(backend).await.open(opening(player, holder, false)).await?.into_inner())
}

fn opening(player_id: u64, holder: &str, force: bool) -> Request<OpenRequest> {
    signed(OpenRequest { player_id, name: "arena".to_owned(), holder: holder.to_owned(), force })
}

fn saving(player_id: u64, fence: u64, sequence: u64) -> Request<SaveRequest> {
    let document = Some(json!({ "n": sequence }).to_string());
    let name = "arena".to_owned();
    signed(SaveRequest { player_id, name, fence, sequence, document, version: 1, release: false })
}

fn signed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(AUTHORIZATION, format!("Bearer {SERVICE_TOKEN}").parse().unwrap());
    request
}
