//! Kicks and bans: who is banned gets no session, no ticket and no seat, game servers hear of it in order and within a
//! second, and nothing of it is lost with the backend.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use std::time::{Duration, Instant};

use backend_proto::players_v1::sanction::Kind as Told;
use backend_proto::players_v1::{
    BanRequest, KickRequest, ListSanctionsRequest, ListSuspicionsRequest, NewsReply, NewsRequest, Sanction,
    UnbanRequest,
};
use backend_proto::{AUTHORIZATION, SanctionsClient, SuspicionCount};
use backend_services::api::{Session, Ticket, TicketStatus};
use backend_services::clock::UnixMs;
use backend_services::crypto::SecretHash;
use backend_services::ids::PlayerId;
use backend_services::store::{Account, BanChange, Db, NewAccount, NewSanction};
use reqwest::StatusCode;
use serde_json::json;
use support::engines;
use support::process::{Backend, SERVICE_TOKEN};
use support::world::World;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

const NOW: UnixMs = UnixMs(1_700_000_000_000);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_engines_keep_sanctions_in_one_order() {
    for engine in engines::all().await {
        println!("engine {}", engine.name);
        let db = &engine.stores.db;
        a_ban_is_set_replaced_and_lifted(db).await;
        whoever_follows_misses_none(db).await;
        engine.stores.close().await;
    }
}

async fn a_ban_is_set_replaced_and_lifted(db: &Db) {
    let player = account(db).await;
    assert_eq!(db.ban_of(player).await.unwrap(), None);
    let first = sanction(db, player, BanChange::Set(Some(NOW.plus(Duration::from_secs(5))))).await;
    let second = sanction(db, player, BanChange::Set(None)).await;
    let third = sanction(db, player, BanChange::Keep).await;
    assert_eq!((second, third), (first + 1, first + 2));
    assert_eq!(db.ban_of(player).await.unwrap().map(|ban| ban.until), Some(None), "a kick leaves it");
    sanction(db, player, BanChange::Lift).await;
    assert_eq!(db.ban_of(player).await.unwrap(), None);
    let kept = db.sanctions_of(player, 10).await.unwrap();
    assert_eq!(kept.iter().map(|row| row.number).collect::<Vec<_>>(), [first + 3, third, second, first]);
    let stranger = PlayerId::random();
    let new = NewSanction {
        player: stranger,
        kind: "ban",
        change: BanChange::Keep,
        reason: "",
        actor: "t",
        now: NOW,
    };
    assert_eq!(db.sanction(&new).await.unwrap(), None);
    assert_eq!(db.last_sanction().await.unwrap(), first + 3, "and no number was used");
}

/// Writers race while a reader goes on from the last number that it has seen: it sees every one.
async fn whoever_follows_misses_none(db: &Db) {
    let before = db.last_sanction().await.unwrap();
    let mut writers = JoinSet::new();
    for _ in 0..16 {
        let db = db.clone();
        writers.spawn(async move {
            let player = account(&db).await;
            for _ in 0..8 {
                sanction(&db, player, BanChange::Keep).await;
            }
        });
    }
    let (mut last, mut seen) = (before, 0);
    while seen < 128 {
        for row in db.sanctions_after(last, 100).await.unwrap() {
            assert_eq!(row.number, last + 1, "none is left out, and none comes later");
            (last, seen) = (row.number, seen + 1);
        }
    }
    writers.join_all().await;
    assert_eq!(db.last_sanction().await.unwrap(), before + 128);
}

/// On both engines, on two nodes where there are two: what one decides holds at the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_banned_player_gets_nowhere() {
    for world in World::both(&modes(), &[]).await {
        println!("engine {}", world.name);
        let nodes = world.nodes();
        let (node, far) = (&nodes[0], nodes.last().unwrap());
        let (secret, other) = (support::secret(), far.player("Bob").await);
        let ada: Session = far.register(&secret, "Ada").await.expect(StatusCode::CREATED);
        let player = ada.player_id.parse().unwrap();
        let queued =
            far.post("/v1/matchmaking/tickets", Some(&ada.access_token), json!({ "mode": "arena" })).await;
        let ticket: Ticket = queued.expect(StatusCode::CREATED);
        ban(node, player, 0).await;

        let login = far.post("/v1/auth/guest/login", None, json!({ "device_secret": secret })).await;
        login.expect_problem(403, "player_banned");
        assert!(login.body.contains("cheating"), "the reason is told: {}", login.body);
        let refresh = json!({ "refresh_token": ada.refresh_token });
        far.post("/v1/auth/refresh", None, refresh.clone()).await.expect_problem(403, "player_banned");
        far.post("/v1/matchmaking/tickets", Some(&ada.access_token), json!({ "mode": "arena" }))
            .await
            .expect_problem(403, "player_banned");
        far.get("/v1/matchmaking/match", &ada.access_token).await.expect_problem(403, "player_banned");
        let path = format!("/v1/matchmaking/tickets/{}", ticket.ticket_id);
        let dropped: Ticket = far.get(&path, &ada.access_token).await.expect(StatusCode::OK);
        assert_eq!(dropped.status, TicketStatus::Cancelled);
        // Who is not banned finds nobody to play with.
        let waits =
            far.post("/v1/matchmaking/tickets", Some(&other.access_token), json!({ "mode": "arena" })).await;
        let waits: Ticket = waits.expect(StatusCode::CREATED);
        let path = format!("/v1/matchmaking/tickets/{}?wait_ms=400", waits.ticket_id);
        let waits: Ticket = far.get(&path, &other.access_token).await.expect(StatusCode::OK);
        assert_eq!(waits.status, TicketStatus::Queued);

        let mut client = client(node).await;
        let lift = UnbanRequest { player_id: player, reason: "mistaken".to_owned(), actor: "ops".to_owned() };
        client.unban(signed(lift)).await.unwrap();
        let refreshed = far.post("/v1/auth/refresh", None, refresh).await;
        refreshed.expect::<Session>(StatusCode::OK);
        let list = client.list_sanctions(signed(ListSanctionsRequest { player_id: player, limit: 0 })).await;
        let list = list.unwrap().into_inner();
        let told: Vec<(Told, &str)> = list.sanctions.iter().map(|s| (s.kind(), s.actor.as_str())).collect();
        assert_eq!((told, list.banned), (vec![(Told::Unban, "ops"), (Told::Ban, "ops")], false));
    }
}

/// A seat that was given a moment before the ban is not handed out after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_door_before_the_seat_is_shut() {
    let [world, _] = World::both(&modes(), &[]).await;
    let backend = world.node();
    let players = support::journey::register_many(&backend, 2).await;
    support::journey::queue_all(&backend, &players).await;
    let token = &players[0].access_token;
    let again = backend.get("/v1/matchmaking/match", token).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.body);
    ban(&backend, players[0].player_id.parse().unwrap(), 0).await;
    backend.get("/v1/matchmaking/match", token).await.expect_problem(403, "player_banned");
    let other = backend.get("/v1/matchmaking/match", &players[1].access_token).await;
    assert_eq!(other.status, StatusCode::OK, "the others' match goes on");
}

/// Game servers at another node, and through the death of the backend.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn game_servers_hear_within_a_second_and_miss_nothing() {
    for world in World::both(&modes(), &[]).await {
        println!("engine {}", world.name);
        let mut nodes = world.nodes();
        let player = nodes[0].player("Ada").await.player_id.parse().unwrap();
        let mut server = client(nodes.last().unwrap()).await;
        let begun = news(&mut server, None, 0).await;
        assert!(begun.sanctions.is_empty());
        let waiting = tokio::spawn(async move {
            let reply = news(&mut server, Some(begun.last), 8000).await;
            (reply, Instant::now())
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        let decided = Instant::now();
        ban(&nodes[0], player, 0).await;
        let (heard, at) = waiting.await.unwrap();
        assert!(at.duration_since(decided) < Duration::from_secs(1), "{:?}", at.duration_since(decided));
        assert_eq!((heard.sanctions[0].player_id, heard.sanctions[0].kind()), (player, Told::Ban));

        // Decided, and everything killed before the server has asked again.
        let kick = KickRequest { player_id: player, reason: String::new(), actor: "ops".to_owned() };
        client(&nodes[0]).await.kick(signed(kick)).await.unwrap();
        nodes.drain(..).for_each(Backend::kill);
        let node = world.node();
        let mut server = client(&node).await;
        let missed = news(&mut server, Some(heard.last), 0).await;
        assert_eq!(missed.sanctions.iter().map(Sanction::kind).collect::<Vec<_>>(), [Told::Kick]);
        let fresh = news(&mut server, None, 8000).await;
        let kinds: Vec<Told> = fresh.sanctions.iter().map(Sanction::kind).collect();
        assert_eq!((kinds, fresh.last), (vec![Told::Ban], missed.last), "who begins is told bans, at once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ban_ends_in_time_and_nonsense_is_refused() {
    let [world, _] = World::both(&modes(), &[]).await;
    let backend = world.node();
    let secret = support::secret();
    let ada: Session = backend.register(&secret, "Ada").await.expect(StatusCode::CREATED);
    let player = ada.player_id.parse().unwrap();
    let login = json!({ "device_secret": secret });
    ban(&backend, player, UnixMs::now().0 + 1200).await;
    backend.post("/v1/auth/guest/login", None, login.clone()).await.expect_problem(403, "player_banned");
    tokio::time::sleep(Duration::from_millis(1300)).await;
    backend.post("/v1/auth/guest/login", None, login).await.expect::<Session>(StatusCode::OK);

    let mut client = client(&backend).await;
    let past =
        BanRequest { player_id: player, until_unix_ms: 5, reason: String::new(), actor: "t".to_owned() };
    assert_eq!(client.ban(signed(past.clone())).await.unwrap_err().code(), Code::InvalidArgument);
    let nobody = BanRequest { actor: String::new(), until_unix_ms: 0, ..past.clone() };
    assert_eq!(client.ban(signed(nobody)).await.unwrap_err().code(), Code::InvalidArgument);
    let stranger = BanRequest { player_id: 1, until_unix_ms: 0, ..past.clone() };
    assert_eq!(client.ban(signed(stranger)).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(client.ban(Request::new(past)).await.unwrap_err().code(), Code::Unauthenticated);
    let long = client.news(signed(NewsRequest { after: Some(0), wait_ms: 8001 })).await;
    assert_eq!(long.unwrap_err().code(), Code::InvalidArgument);
}

/// What a game server found suspicious comes with its result, and is there for whoever asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspicions_come_with_the_result_and_are_kept() {
    for world in World::both(&modes(), &[]).await {
        println!("engine {}", world.name);
        let backend = world.node();
        let players = support::journey::register_many(&backend, 2).await;
        support::journey::queue_all(&backend, &players).await;
        let sheet = support::journey::sheets(&world.allocator).remove(0);
        let mut result = support::journey::result_of(&sheet);
        let suspect = result.players[1].player_id;
        let told = |kind: &str, count| SuspicionCount { kind: kind.to_owned(), count };
        let mut rpc = support::journey::Rpc::connect(&backend).await;
        result.players[1].suspicions = vec![told("No Kind", 1)];
        assert_eq!(rpc.try_submit(&result).await.unwrap_err().code(), Code::InvalidArgument);
        result.players[1].suspicions = vec![told("input_flood", 900), told("view_refused", 7)];
        assert_eq!(rpc.submit(&result).await, (true, false));
        assert_eq!(rpc.submit(&result).await, (true, true));
        let mut client = client(&backend).await;
        for player_id in [suspect, 0] {
            let list = client.list_suspicions(signed(ListSuspicionsRequest { player_id, limit: 0 })).await;
            let rows = list.unwrap().into_inner().suspicions;
            let rows: Vec<(u64, &str, u64)> =
                rows.iter().map(|row| (row.player_id, row.kind.as_str(), row.count)).collect();
            assert_eq!(rows, [(suspect, "input_flood", 900), (suspect, "view_refused", 7)]);
        }
        let clean = ListSuspicionsRequest { player_id: result.players[0].player_id, limit: 0 };
        assert!(client.list_suspicions(signed(clean)).await.unwrap().into_inner().suspicions.is_empty());
    }
}

/// Duels.
fn modes() -> serde_json::Value {
    json!([{ "mode": "arena", "teams": 2, "team_size": 1, "skill_gap": 100 }])
}

async fn account(db: &Db) -> PlayerId {
    let account = Account { player: PlayerId::random(), display_name: "Ada".to_owned(), created: NOW };
    let secret = SecretHash::of(&support::secret());
    db.create_account(&NewAccount { account: account.clone(), secret }).await.unwrap();
    account.player
}

async fn sanction(db: &Db, player: PlayerId, change: BanChange) -> u64 {
    let kind = if change == BanChange::Keep { "kick" } else { "ban" };
    let new = NewSanction { player, kind, change, reason: "cheating", actor: "test", now: NOW };
    db.sanction(&new).await.unwrap().expect("an account")
}

async fn ban(backend: &Backend, player_id: u64, until_unix_ms: i64) {
    let (reason, actor) = ("cheating".to_owned(), "ops".to_owned());
    let request = BanRequest { player_id, until_unix_ms, reason, actor };
    client(backend).await.ban(signed(request)).await.unwrap();
}

async fn news(client: &mut SanctionsClient<Channel>, after: Option<u64>, wait_ms: u32) -> NewsReply {
    client.news(signed(NewsRequest { after, wait_ms })).await.unwrap().into_inner()
}

async fn client(backend: &Backend) -> SanctionsClient<Channel> {
    let endpoint = Endpoint::from_shared(backend.grpc.clone().expect("a gRPC port")).unwrap();
    SanctionsClient::new(endpoint.connect().await.unwrap())
}

fn signed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(AUTHORIZATION, format!("Bearer {SERVICE_TOKEN}").parse().unwrap());
    request
}
