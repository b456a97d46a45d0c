//! The journey that most tests begin with: guests, tickets, seats, results. Owns the words to the backend; judges nothing
//! but that they were taken.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use backend_proto::signature::{self, RESULT_KEY_ANNOTATION, ResultKey};
use backend_proto::{
    CancelBackfillRequest, MatchResult, MatchesClient, PlayerResult, ReportLostRequest, RequestBackfillReply,
    RequestBackfillRequest,
};
use backend_services::api::{MatchAddress, Session, Ticket, TicketStatus};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tonic::Request;
use tonic::transport::Channel;

use super::allocator::{Asked, FakeAllocator};
use super::process::{Answer, Backend, SERVICE_TOKEN};

const MATCH: &str = "tickwright.dev/match";

/// So many guests, newly registered.
pub async fn register_many(backend: &Backend, count: usize) -> Vec<Session> {
    let mut players = Vec::new();
    for number in 0..count {
        players.push(backend.player(&format!("bot-{number}")).await);
    }
    players
}

/// Queues everybody and waits until all have their place.
pub async fn queue_all(backend: &Backend, players: &[Session]) -> Vec<MatchAddress> {
    let mut tickets = Vec::new();
    for player in players {
        let answer = backend
            .post("/v1/matchmaking/tickets", Some(&player.access_token), json!({ "mode": "arena" }))
            .await;
        assert!(answer.status.is_success(), "{}", answer.body);
        tickets.push(answer.expect::<Ticket>(answer.status).ticket_id);
    }
    let mut seated = Vec::new();
    for (player, id) in players.iter().zip(tickets) {
        let path = format!("/v1/matchmaking/tickets/{id}?wait_ms=20000");
        let ticket: Ticket = backend.get(&path, &player.access_token).await.expect(StatusCode::OK);
        assert_eq!(ticket.status, TicketStatus::Matched, "{ticket:?}");
        seated.push(ticket.matched.expect("a place"));
    }
    seated
}

/// The keys of the matches that [`sheets`] has seen, by match id: what their servers would know.
static KEYS: Mutex<Option<HashMap<String, ResultKey>>> = Mutex::new(None);

/// The key of a match that [`sheets`] has seen.
pub fn key_of(match_id: &str) -> Option<ResultKey> {
    KEYS.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(match_id).cloned()
}

/// What the servers were told, in the order of their allocation. From then on [`Rpc`] signs for these matches.
pub fn sheets(allocator: &FakeAllocator) -> Vec<Value> {
    let sheet = |asked: Asked| {
        let metadata = asked.request.metadata.expect("metadata");
        let sheet: Value = serde_json::from_str(&metadata.annotations[MATCH]).expect("a sheet");
        let key = metadata.annotations[RESULT_KEY_ANNOTATION].parse().expect("a key");
        let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get_or_insert_default().insert(sheet["match_id"].as_str().expect("text").to_owned(), key);
        sheet
    };
    allocator.asked().into_iter().map(sheet).collect()
}

/// A result in which the players finish in the order of their seats.
pub fn result_of(sheet: &Value) -> MatchResult {
    let players = sheet["players"].as_array().expect("a list");
    let entry = |(place, player): (u32, &Value)| PlayerResult {
        player_id: player["player"].as_u64().expect("a number"),
        score: (i64::try_from(players.len()).expect("few") + 1 - i64::from(place)) * 100,
        placement: place,
        seconds_played: 60.0,
        ..Default::default()
    };
    MatchResult {
        match_id: sheet["match_id"].as_str().expect("text").to_owned(),
        server: "fake".to_owned(),
        players: (1..).zip(players).map(entry).collect(),
        ..Default::default()
    }
}

/// What a game server tells of matches.
pub struct Rpc(MatchesClient<Channel>);

impl Rpc {
    pub async fn connect(backend: &Backend) -> Self {
        Self(MatchesClient::new(channel(backend).await))
    }

    /// Signed, where the match is known.
    pub async fn try_submit(&mut self, result: &MatchResult) -> Result<(bool, bool), tonic::Status> {
        let result = match key_of(&result.match_id) {
            Some(key) => signature::seal(&key, result.clone()),
            None => result.clone(),
        };
        self.try_submit_as_is(result).await
    }

    pub async fn try_submit_as_is(&mut self, result: MatchResult) -> Result<(bool, bool), tonic::Status> {
        let reply = self.0.submit_result(signed(result)).await?.into_inner();
        Ok((reply.accepted, reply.duplicate))
    }

    pub async fn submit(&mut self, result: &MatchResult) -> (bool, bool) {
        self.try_submit(result).await.expect("an answer")
    }

    pub async fn backfill(&mut self, request: RequestBackfillRequest) -> RequestBackfillReply {
        self.0.request_backfill(signed(request)).await.expect("an answer").into_inner()
    }

    pub async fn cancel_backfill(&mut self, match_id: &str) -> bool {
        let request = CancelBackfillRequest { match_id: match_id.to_owned() };
        self.0.cancel_backfill(signed(request)).await.expect("an answer").into_inner().changed
    }

    pub async fn lost(&mut self, match_id: &str) -> bool {
        let reason = "nobody came".to_owned();
        let report = ReportLostRequest { match_id: match_id.to_owned(), reason, ..Default::default() };
        let report = match key_of(match_id) {
            Some(key) => signature::seal_lost(&key, report),
            None => report,
        };
        self.try_lost_as_is(report).await.expect("an answer")
    }

    pub async fn try_lost_as_is(&mut self, report: ReportLostRequest) -> Result<bool, tonic::Status> {
        Ok(self.0.report_lost(signed(report)).await?.into_inner().changed)
    }
}

/// The backend's gRPC.
pub async fn channel(backend: &Backend) -> Channel {
    let url = backend.grpc.clone().expect("gRPC");
    Channel::from_shared(url).expect("a URL").connect().await.expect("connects")
}

/// With the service token.
pub fn signed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let token = format!("Bearer {SERVICE_TOKEN}").parse().expect("ASCII");
    request.metadata_mut().insert(backend_proto::AUTHORIZATION, token);
    request
}

/// Asks for the next pair of tokens.
pub async fn refresh(backend: &Backend, token: &str) -> Answer {
    backend.post("/v1/auth/refresh", None, json!({ "refresh_token": token })).await
}
