//! The REST calls of a bot's life. Knows the public API and nothing behind it.
//!
//! A call that meets a backend which is down is tried again with growing pauses for as long as the caller's patience
//! lasts: a restart of the backend must cost a player nothing but time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use backend_services::api::{
    Board, LoginRequest, MatchAddress, MatchOutcome, Party, PartyHeartbeat, PartyJoin, PartyRequest,
    PartyTicketRequest, Progression, ReadyAnswer, RefreshRequest, RegisterRequest, Session, Ticket,
    TicketRequest,
};
use reqwest::{Method, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// How long one call waits for its answer, beyond what the call itself asks the server to wait.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// First and longest pause between tries.
const RETRY_PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Why a call gave up.
#[derive(Debug, Error)]
pub enum BackendError {
    /// The backend could not be reached within the caller's patience.
    #[error("backend unreachable for {waited:?}: {cause}")]
    Unreachable {
        /// How long it was tried.
        waited: Duration,
        /// The last cause.
        cause: String,
    },
    /// The backend refused.
    #[error("backend answered {status}: {body}")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// Its problem document.
        body: String,
    },
    /// The answer was not of the documented form.
    #[error("backend answered out of contract: {0}")]
    OutOfContract(String),
}

impl BackendError {
    /// Whether the access token is no longer taken.
    pub fn is_unauthorised(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::UNAUTHORIZED)
    }

    /// Whether what was asked for is unknown (a ticket of before a restart, say).
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// Whether the state of things forbids it (an account that exists, a player in a match).
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::CONFLICT)
    }
}

/// The backend, as a player's machine sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Backend {
    base: String,
    http: reqwest::Client,
    patience: Duration,
}

impl Backend {
    /// `base` is the URL without a trailing slash; `patience` bounds how long one call is tried.
    pub fn new(base: &str, patience: Duration) -> Self {
        // Deliberate: no pool limit below the number of bots; each holds one long poll.
        Self { base: base.trim_end_matches('/').to_owned(), http: reqwest::Client::new(), patience }
    }

    /// Creates a guest account.
    pub async fn register(&self, request: &RegisterRequest) -> Result<Session, BackendError> {
        self.call(Method::POST, "/v1/auth/guest/register", None, Some(request), Duration::ZERO).await
    }

    /// Logs a guest in.
    pub async fn login(&self, request: &LoginRequest) -> Result<Session, BackendError> {
        self.call(Method::POST, "/v1/auth/guest/login", None, Some(request), Duration::ZERO).await
    }

    /// Rotates the refresh token.
    pub async fn refresh(&self, request: &RefreshRequest) -> Result<Session, BackendError> {
        self.call(Method::POST, "/v1/auth/refresh", None, Some(request), Duration::ZERO).await
    }

    /// Queues for a match; `latencies` are the player's round trips to regions, milliseconds.
    pub async fn queue(
        &self,
        token: &str,
        mode: &str,
        latencies: &BTreeMap<String, u16>,
    ) -> Result<Ticket, BackendError> {
        let (mode, latencies) = (mode.to_owned(), latencies.clone());
        let request = TicketRequest { mode, latencies, ..TicketRequest::default() };
        self.call(Method::POST, "/v1/matchmaking/tickets", Some(token), Some(&request), Duration::ZERO).await
    }

    /// Waits up to `wait` for news of a ticket.
    pub async fn ticket(&self, token: &str, id: &str, wait: Duration) -> Result<Ticket, BackendError> {
        let path = format!("/v1/matchmaking/tickets/{id}?wait_ms={}", wait.as_millis());
        self.call(Method::GET, &path, Some(token), None::<&()>, wait).await
    }

    /// Says that the player is ready for the match of this check. One that is over needs no answer.
    pub async fn ready(&self, token: &str, id: &str, check_id: String) -> Result<(), BackendError> {
        let path = format!("/v1/matchmaking/tickets/{id}/ready");
        let answer = ReadyAnswer { accept: true, check_id: Some(check_id) };
        match self.call::<_, Ticket>(Method::POST, &path, Some(token), Some(&answer), Duration::ZERO).await {
            Err(error) if !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }

    /// Founds a party of at most `members`.
    pub async fn found(&self, token: &str, members: u8) -> Result<Party, BackendError> {
        let request = PartyRequest { members_max: Some(members) };
        self.call(Method::POST, "/v1/parties", Some(token), Some(&request), Duration::ZERO).await
    }

    /// Joins a party by its code.
    pub async fn join(&self, token: &str, code: String) -> Result<Party, BackendError> {
        let request = PartyJoin { code: Some(code), party_id: None };
        self.call(Method::POST, "/v1/parties/join", Some(token), Some(&request), Duration::ZERO).await
    }

    /// The player's party, in which asking counts as being there; `None`: it is in none.
    pub async fn party(&self, token: &str) -> Result<Option<Party>, BackendError> {
        match self.call(Method::GET, "/v1/parties/me", Some(token), None::<&()>, Duration::ZERO).await {
            Ok(party) => Ok(Some(party)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tells the party what the player has measured.
    pub async fn tell_latencies(
        &self,
        token: &str,
        latencies: &BTreeMap<String, u16>,
    ) -> Result<Party, BackendError> {
        let request = PartyHeartbeat { latencies: Some(latencies.clone()), ..PartyHeartbeat::default() };
        let path = "/v1/parties/me/heartbeat";
        self.call(Method::POST, path, Some(token), Some(&request), Duration::ZERO).await
    }

    /// Queues the party that the player leads.
    pub async fn queue_party(&self, token: &str, mode: &str) -> Result<Ticket, BackendError> {
        let request = PartyTicketRequest { mode: mode.to_owned(), ..PartyTicketRequest::default() };
        let path = "/v1/parties/me/ticket";
        self.call(Method::POST, path, Some(token), Some(&request), Duration::ZERO).await
    }

    /// Leaves the party.
    pub async fn leave(&self, token: &str) -> Result<(), BackendError> {
        let path = "/v1/parties/me";
        match self.send(Method::DELETE, path, Some(token), None::<&()>, Duration::ZERO).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// The match that this player is in, when there is one; for a client that missed the news of it.
    pub async fn running_match(&self, token: &str) -> Result<Option<MatchAddress>, BackendError> {
        let path = "/v1/matchmaking/match";
        match self.call(Method::GET, path, Some(token), None::<&()>, Duration::ZERO).await {
            Ok(address) => Ok(Some(address)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a match did to this player; waits up to `wait` for its result to take effect.
    pub async fn outcome(&self, token: &str, id: &str, wait: Duration) -> Result<MatchOutcome, BackendError> {
        let path = format!("/v1/matches/{id}/outcome?wait_ms={}", wait.as_millis());
        self.call(Method::GET, &path, Some(token), None::<&()>, wait).await
    }

    /// What the player has earned.
    pub async fn progression(&self, token: &str) -> Result<Progression, BackendError> {
        self.call(Method::GET, "/v1/me/progression", Some(token), None::<&()>, Duration::ZERO).await
    }

    /// The top of a board.
    pub async fn leaderboard(&self, board: &str, limit: u32) -> Result<Board, BackendError> {
        let path = format!("/v1/leaderboards/{board}?limit={limit}");
        self.call(Method::GET, &path, None, None::<&()>, Duration::ZERO).await
    }

    async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Q>,
        server_waits: Duration,
    ) -> Result<A, BackendError> {
        let text = self.send(method, path, token, body, server_waits).await?;
        serde_json::from_str(&text).map_err(|e| BackendError::OutOfContract(e.to_string()))
    }

    /// The text of the answer; tried again while the backend is away.
    async fn send<Q: Serialize>(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Q>,
        server_waits: Duration,
    ) -> Result<String, BackendError> {
        let started = Instant::now();
        let mut pause = RETRY_PAUSES.0;
        loop {
            let cause = match self.once(&method, path, token, body, server_waits).await {
                Ok(text) => return Ok(text),
                Err(TryError::Refused(status, body)) if !status.is_server_error() => {
                    return Err(BackendError::Refused { status, body });
                }
                Err(TryError::Refused(status, _)) => status.to_string(),
                Err(TryError::Transport(cause)) => cause,
            };
            if started.elapsed() + pause > self.patience {
                return Err(BackendError::Unreachable { waited: started.elapsed(), cause });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_PAUSES.1);
        }
    }

    async fn once<Q: Serialize>(
        &self,
        method: &Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Q>,
        server_waits: Duration,
    ) -> Result<String, TryError> {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method.clone(), url).timeout(CALL_TIMEOUT + server_waits);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(|e| TryError::Transport(e.to_string()))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|e| TryError::Transport(e.to_string()))?;
        if status.is_success() { Ok(text) } else { Err(TryError::Refused(status, text)) }
    }
}

enum TryError {
    Transport(String),
    Refused(StatusCode, String),
}
