//! From a wish to play to a place in a match: `routes` parse and render, `desk` follows the shared `queue` of tickets
//! and holds the pool of the crate `matching`, `worker` finds servers. This file is what a caller can ask for.

mod asks;
pub mod backfill;
mod browser_url;
pub mod desk;
mod fill;
mod party;
pub mod queue;
mod ready;
pub mod routes;
mod shares;
pub mod ticket;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use matching::{Explanation, Millis};
use rating::Rating;
use tokio::sync::watch;

use self::desk::Desk;
use self::queue::{Entry, Put, Shifted};
use self::ready::{has_accepted, not_ready};
use self::ticket::{Member, Record, State};
use crate::accounts::tokens::Caller;
use crate::allocation::Servers;
use crate::allocation::connect::{Minter, Sitting};
use crate::api::{ReadyCheck, TicketRequest};
use crate::clock::UnixMs;
use crate::http::problem::ApiError;
use crate::ids::{MatchId, PlayerId, TicketId};
use crate::matches::rules::{in_mode, newcomer};
use crate::parties::Parties;
use crate::sanctions;
use crate::store::Db;

pub use self::browser_url::BrowserUrl;
pub use self::worker::run as run_worker;

/// News of a ticket reaches every node within this time, or the node is cut off.
const NEWS_MAX: Duration = Duration::from_secs(1);

/// Everything that the matchmaker is told at its start.
pub struct Settings {
    /// How often matches are looked for.
    pub tick: Duration,
    /// How long a match is played.
    pub match_seconds: u32,
    /// A match is given up this long after it should have ended.
    pub match_grace: Duration,
    /// A ticket that nobody asks for so long is dropped.
    pub idle_max: Duration,
}

/// A player's place in a match.
#[derive(Clone)]
pub struct Place {
    /// Which match.
    pub id: MatchId,
    /// Where its server listens.
    pub address: String,
    /// The connect token, base64.
    pub connect_token: String,
    /// When the token stops working.
    pub token_expires: Instant,
    /// The match ran already when the player was given a seat in it.
    pub filled: bool,
}

/// A ticket as its player sees it.
pub struct View {
    /// Which.
    pub id: TicketId,
    /// Where it stands.
    pub state: State,
    /// The place in the match, once there is one.
    pub place: Option<Place>,
    /// How long it waited, or has waited so far.
    pub waited: Duration,
    /// How much longer, probably.
    pub estimate: Option<Duration>,
    /// Why it waits, or was not ready.
    pub reason: Option<String>,
    /// What its players are asked.
    pub check: Option<ReadyCheck>,
}

/// The matchmaker of one process; cloning shares it.
#[derive(Clone)]
pub struct Matchmaker {
    /// The tickets.
    pub desk: Desk,
    /// Who plays together.
    pub parties: Parties,
    db: Db,
    servers: Servers,
    minter: Arc<Minter>,
    settings: Arc<Settings>,
}

impl Matchmaker {
    /// Over these parts.
    pub fn new(
        desk: Desk,
        parties: Parties,
        db: Db,
        servers: Servers,
        minter: Minter,
        settings: Settings,
    ) -> Self {
        Self { desk, parties, db, servers, minter: Arc::new(minter), settings: Arc::new(settings) }
    }

    /// Where its servers come from.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Follows the shared queue until `drain` turns true.
    pub async fn follow(self, drain: watch::Receiver<bool>) {
        self.desk.follow(drain).await;
    }

    /// Queues the caller; whoever is queued already gets the ticket that stands. The flag says whether the
    /// ticket is new.
    ///
    /// # Errors
    /// There is no such mode or no room, or the store failed.
    pub async fn enqueue(&self, caller: Caller, request: TicketRequest) -> Result<(View, bool), ApiError> {
        if self.parties.mates(caller.player).await?.len() > 1 {
            let detail = "you are in a party: its leader queues for all of you, or you leave it";
            return Err(ApiError::conflict("in_party", detail));
        }
        let member = self.member(caller.player, request.roles, &request.avoid).await?;
        self.enqueue_party(
            caller.player,
            vec![member],
            TicketRequest { roles: Vec::new(), avoid: Vec::new(), ..request },
        )
        .await
    }

    /// Queues a party as one ticket; the caller is one of it.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_party(
        &self,
        caller: PlayerId,
        mut members: Vec<Member>,
        request: TicketRequest,
    ) -> Result<(View, bool), ApiError> {
        if self.desk.rules().position(&request.mode).is_none() {
            return Err(ApiError::invalid("unknown_mode", "there is no mode of this name"));
        }
        for member in &mut members {
            self.rate(member, &request.mode).await?;
        }
        let now = UnixMs::now();
        let id = TicketId::random();
        let record = Record {
            id: id.to_string(),
            mode: request.mode,
            build: request.build.unwrap_or_default(),
            players: members.iter().map(|member| member.player.to_string()).collect(),
            members,
            latencies: request.latencies,
            attributes: request.attributes,
            queued: desk::millis(now),
            fills: None,
        };
        self.desk.check(&record).map_err(|fault| refused(&fault))?;
        let mut state = State::Queued;
        for player in record.player_ids() {
            sanctions::admit(&self.db, player, now).await?;
            if self.db.live_match_of(player).await?.is_some() {
                state = State::Held;
            }
        }
        let entry = Entry { record, state };
        match self.desk.queue().put(&entry, self.desk.tickets_max(), now).await? {
            Put::New => Ok((self.view(id, caller, entry)?, true)),
            Put::Already(live) => {
                let entry = self.entry(caller, live).await.map_err(|_| {
                    ApiError::conflict("member_queued", "a member of the party is queued already")
                })?;
                Ok((self.view(live, caller, entry)?, false))
            }
            Put::Full => Err(ApiError::unavailable("queue_full", "the queue has its most tickets")),
        }
    }

    /// A player as a ticket names one; the rating is that of the mode once there is a ticket.
    ///
    /// # Errors
    /// The account is gone, an id is none, or the store failed.
    pub async fn member(
        &self,
        player: PlayerId,
        roles: Vec<String>,
        avoid: &[String],
    ) -> Result<Member, ApiError> {
        let account = self.db.account(player).await?;
        let account = account.ok_or_else(|| ApiError::unauthorized("account_gone", "the account is gone"))?;
        let Rating { mu, sigma } = Rating::NEWCOMER;
        let id = |text: &String| {
            let id: Result<PlayerId, _> = text.parse();
            id.map(PlayerId::as_u64)
                .map_err(|_| ApiError::invalid("invalid_ticket", "avoid lists player ids"))
        };
        Ok(Member {
            player: player.as_u64(),
            name: account.display_name,
            mu,
            sigma,
            roles,
            avoid: avoid.iter().map(id).collect::<Result<_, _>>()?,
        })
    }

    async fn rate(&self, member: &mut Member, mode: &str) -> Result<(), ApiError> {
        let Some(player) = PlayerId::new(member.player) else { return Ok(()) };
        if let Some(row) = self.db.rating_in(player, mode).await? {
            Rating { mu: member.mu, sigma: member.sigma } = in_mode(&row);
        }
        Ok(())
    }

    /// The caller's ticket, at once or when it stops being queued or asks something of the caller, `patience` at most;
    /// at once when `drain` turns true.
    ///
    /// # Errors
    /// It is not the caller's, or there is none.
    pub async fn ticket(
        &self,
        caller: Caller,
        id: TicketId,
        patience: Duration,
        mut drain: watch::Receiver<bool>,
    ) -> Result<View, ApiError> {
        let bell = self.desk.bell(id);
        let end = tokio::time::Instant::now() + patience;
        // It also tells the queue that somebody still asks, and the party that a member is there.
        self.desk.queue().touch(id, UnixMs::now()).await?;
        if self.entry(caller.player, id).await?.record.members.len() > 1 {
            self.parties.heard(caller.player).await?;
        }
        loop {
            let rung = bell.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            let entry = self.entry(caller.player, id).await?;
            let asked =
                matches!(&entry.state, State::Asked(asked) if !has_accepted(caller.player, &entry, asked));
            if matches!(entry.state, State::Matched { .. }) {
                // The last door before the seat.
                sanctions::admit(&self.db, caller.player, UnixMs::now()).await?;
            }
            if asked || entry.state.is_final() || tokio::time::Instant::now() >= end || *drain.borrow() {
                return self.view(id, caller.player, entry);
            }
            tokio::select! {
                () = rung => {}
                _ = drain.wait_for(|draining| *draining) => {}
                () = tokio::time::sleep_until(end) => {}
            }
        }
    }

    /// Takes the caller's ticket back.
    ///
    /// # Errors
    /// It is not there, or in a match by now.
    pub async fn cancel(&self, caller: Caller, id: TicketId) -> Result<(), ApiError> {
        self.entry(caller.player, id).await?;
        if self.drop_ticket(id, &State::Cancelled).await? {
            return Ok(());
        }
        Err(ApiError::conflict("already_matched", "the ticket is in a match by now"))
    }

    /// The caller's ticket looks for nobody until it is activated. It keeps its age.
    ///
    /// # Errors
    /// It is not there, or in a match by now.
    pub async fn deactivate(&self, caller: Caller, id: TicketId) -> Result<(), ApiError> {
        self.change(caller, id, &State::Paused, &[State::Queued, State::Held, State::Paused]).await
    }

    /// The caller's ticket looks for opponents again.
    ///
    /// # Errors
    /// It is not there, or in a match by now.
    pub async fn activate(&self, caller: Caller, id: TicketId) -> Result<(), ApiError> {
        // Held, and not queued: whether a match still holds somebody is looked at before it goes on.
        let entry = self.entry(caller.player, id).await?;
        if matches!(entry.state, State::Queued | State::Held) {
            return Ok(());
        }
        self.change(caller, id, &State::Held, &[State::Paused]).await?;
        self.desk.players_freed();
        Ok(())
    }

    /// Why the caller's ticket waits.
    ///
    /// # Errors
    /// It is not there, or waits no more.
    pub async fn explain(&self, caller: Caller, id: TicketId) -> Result<Explanation, ApiError> {
        let entry = self.entry(caller.player, id).await?;
        if entry.state.is_final() {
            return Err(ApiError::conflict("ticket_over", "the ticket waits no more"));
        }
        let bell = self.desk.bell(id);
        let rung = bell.notified();
        tokio::pin!(rung);
        rung.as_mut().enable();
        if let Some(told) = self.desk.explain(id, UnixMs::now()) {
            return Ok(told);
        }
        // Queued this moment on another node, or on this one: the news of it is on the way.
        _ = tokio::time::timeout(NEWS_MAX, rung).await;
        self.desk.explain(id, UnixMs::now()).ok_or_else(unknown_ticket)
    }

    /// The caller's running match with a fresh connect token: for a player who lost the first, or the game.
    ///
    /// # Errors
    /// There is none, or the store failed.
    pub async fn running_match(&self, caller: Caller) -> Result<Place, ApiError> {
        let none = || ApiError::not_found("no_running_match", "you are in no running match");
        sanctions::admit(&self.db, caller.player, UnixMs::now()).await?;
        let (live, team) = self.db.live_match_of(caller.player).await?.ok_or_else(none)?;
        let address: SocketAddr = live.address.and_then(|text| text.parse().ok()).ok_or_else(none)?;
        let account = self.db.account(caller.player).await?.ok_or_else(none)?;
        let rating = self.db.rating_in(caller.player, &live.mode).await?.unwrap_or_else(newcomer);
        let (player, mu) = (caller.player, in_mode(&rating).mu);
        let sitting = Sitting { id: live.id, player, display_name: &account.display_name, team, mu };
        self.place(&sitting, address)
    }

    fn place(&self, sitting: &Sitting<'_>, address: SocketAddr) -> Result<Place, ApiError> {
        let connect_token = self.minter.mint(sitting, address, UnixMs::now()).map_err(|error| {
            tracing::error!(%error, "connect token not minted");
            ApiError::unavailable("no_connect_token", "no connect token could be made")
        })?;
        let token_expires = Instant::now() + self.minter.lifetime;
        Ok(Place {
            id: sitting.id,
            address: address.to_string(),
            connect_token,
            token_expires,
            filled: false,
        })
    }

    /// The ticket, if it is this player's: as this node knows it while it waits, else as the queue does.
    async fn entry(&self, player: PlayerId, id: TicketId) -> Result<Entry, ApiError> {
        let entry = match self.desk.entry(id) {
            Some(entry) => Some(entry),
            None => self.desk.queue().entry(id).await?,
        };
        entry.filter(|entry| entry.record.has(player)).ok_or_else(unknown_ticket)
    }

    async fn change(&self, caller: Caller, id: TicketId, to: &State, from: &[State]) -> Result<(), ApiError> {
        let entry = self.entry(caller.player, id).await?;
        if entry.state == *to {
            return Ok(());
        }
        match self.desk.queue().shift(&[(id, to.clone())], from, None).await? {
            Shifted::Done => Ok(()),
            Shifted::Fenced | Shifted::Stale(_) => match self.desk.queue().entry(id).await? {
                Some(entry)
                    if entry.state == *to || (entry.state == State::Expired && *to == State::Cancelled) =>
                {
                    Ok(())
                }
                Some(_) => Err(ApiError::conflict("already_matched", "the ticket is in a match by now")),
                None => Err(unknown_ticket()),
            },
        }
    }

    fn view(&self, id: TicketId, player: PlayerId, entry: Entry) -> Result<View, ApiError> {
        let now = UnixMs::now();
        let until = match &entry.state {
            State::Matched { id, .. } => Millis(id.made_unix_ms()),
            _ => desk::millis(now),
        };
        let waiting = !entry.state.is_final();
        let reason = match &entry.state {
            State::NotReady(why) => Some(not_ready(&entry.record, *why)),
            state => waiting.then(|| self.reason(id, state, now)),
        };
        Ok(View {
            id,
            check: self.check_view(player, &entry),
            place: self.seat(player, &entry)?,
            waited: Duration::from_millis(until.since(entry.record.queued)),
            estimate: if waiting && !matches!(entry.state, State::Asked(_)) {
                self.desk.estimate(&entry.record, now)
            } else {
                None
            },
            reason,
            state: entry.state,
        })
    }

    /// Why a ticket waits. A ticket of this moment may not have come round to this node yet.
    fn reason(&self, id: TicketId, state: &State, now: UnixMs) -> String {
        if matches!(state, State::Asked(_)) {
            return "a match is found; it begins when all its players have said that they are ready"
                .to_owned();
        }
        let told = self.desk.explain(id, now).map(|told| told.sentence);
        told.unwrap_or_else(|| match state {
            State::Held => "your running match has not ended yet".to_owned(),
            _ => "the ticket has just been queued".to_owned(),
        })
    }

    /// The player's place, with a fresh connect token.
    fn seat(&self, player: PlayerId, entry: &Entry) -> Result<Option<Place>, ApiError> {
        let State::Matched { id, address, team, filled } = &entry.state else { return Ok(None) };
        let member = entry.record.members.iter().find(|member| member.player == player.as_u64());
        let (Some(member), Ok(address)) = (member, address.parse()) else { return Ok(None) };
        let sitting = Sitting { id: *id, player, display_name: &member.name, team: *team, mu: member.mu };
        self.place(&sitting, address).map(|place| Some(Place { filled: *filled, ..place }))
    }
}

fn refused(fault: &matching::TicketFault) -> ApiError {
    use matching::TicketFault as Fault;
    let code = match fault {
        Fault::UnknownMode(_) => "unknown_mode",
        Fault::PartySize { .. } => "party_size",
        Fault::UnknownRegion(_) => "unknown_region",
        Fault::UnknownRole(_) => "unknown_role",
        Fault::AttributeMissing(_) | Fault::AttributeKind { .. } => "invalid_attribute",
        _ => "invalid_ticket",
    };
    ApiError::invalid(code, fault.to_string())
}

fn unknown_ticket() -> ApiError {
    ApiError::not_found("ticket_not_found", "you have no such ticket; queue again")
}
