//! From a wish to play to a place in a match: `routes` parse and render, `desk` keeps the tickets, `pool`
//! holds the rule, `worker` gives it its clock and its matches their servers (from `allocation`).

mod browser_url;
pub mod desk;
pub mod pool;
pub mod routes;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use self::desk::{CancelFault, Desk, Place, Status, View};
use self::pool::{Enqueued, PoolTicket};
use crate::accounts::tokens::Caller;
use crate::allocation::Servers;
use crate::allocation::connect::{Minter, Sitting};
use crate::clock::UnixMs;
use crate::http::problem::ApiError;
use crate::ids::TicketId;
use crate::matches::rules::newcomer;
use crate::store::{Db, StoreError};

pub use self::browser_url::BrowserUrl;
pub use self::worker::run as run_worker;

/// The modes that can be queued for.
pub const MODES: [&str; 1] = ["arena"];

/// Everything that the matchmaker is told at its start.
pub struct Settings {
    /// How often matches are looked for.
    pub tick: Duration,
    /// How long a match is played.
    pub match_seconds: u32,
    /// A match is given up this long after it should have ended.
    pub match_grace: Duration,
}

/// The matchmaker of one process; cloning shares it.
#[derive(Clone)]
pub struct Matchmaker {
    /// The tickets.
    pub desk: Desk,
    db: Db,
    servers: Servers,
    minter: Arc<Minter>,
    settings: Arc<Settings>,
}

impl Matchmaker {
    /// Over these parts.
    pub fn new(desk: Desk, db: Db, servers: Servers, minter: Minter, settings: Settings) -> Self {
        Self { desk, db, servers, minter: Arc::new(minter), settings: Arc::new(settings) }
    }

    /// Where its servers come from.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Queues the caller; whoever is queued already gets the ticket that stands. The flag says whether the
    /// ticket is new.
    ///
    /// # Errors
    /// There is no such mode or no room, or the store failed.
    pub async fn enqueue(&self, caller: Caller, mode: &str) -> Result<(View, bool), ApiError> {
        let mode = MODES.into_iter().find(|known| *known == mode);
        let mode = mode.ok_or_else(|| ApiError::invalid("unknown_mode", "there is no mode of this name"))?;
        let account = self.db.account(caller.player).await?;
        let account = account.ok_or_else(|| ApiError::unauthorized("account_gone", "the account is gone"))?;
        let rating = self.db.rating(caller.player).await?.unwrap_or_else(newcomer);
        let held = self.db.live_match_of(caller.player).await?.is_some();
        let now = Instant::now();
        let ticket = PoolTicket {
            id: TicketId::random(),
            player: caller.player,
            display_name: account.display_name,
            mode,
            mu: rating.mu,
            queued: now,
        };
        let (fresh, enqueued) = (ticket.id, self.desk.enqueue(ticket, held, now));
        let (id, new) = match enqueued {
            Enqueued::New => (fresh, true),
            Enqueued::Already(id) => (id, false),
            Enqueued::Full => {
                return Err(ApiError::unavailable("queue_full", "the queue has its most tickets"));
            }
        };
        let view = self.desk.view(id, caller.player, now).ok_or_else(unknown_ticket)?;
        Ok((view, new))
    }

    /// The caller's ticket, at once or when it stops being queued, `patience` at most; at once when `drain`
    /// turns true.
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
        let mut status = self.desk.watch(id, caller.player).ok_or_else(unknown_ticket)?;
        // The view also tells the pool that somebody still asks.
        self.desk.view(id, caller.player, Instant::now()).ok_or_else(unknown_ticket)?;
        tokio::select! {
            _ = status.wait_for(|status| *status != Status::Queued) => {}
            _ = drain.wait_for(|draining| *draining) => {}
            () = tokio::time::sleep(patience) => {}
        }
        self.desk.view(id, caller.player, Instant::now()).ok_or_else(unknown_ticket)
    }

    /// Takes the caller's ticket back.
    ///
    /// # Errors
    /// It is not there, or in a match by now.
    pub fn cancel(&self, caller: Caller, id: TicketId) -> Result<(), ApiError> {
        self.desk.cancel(id, caller.player, Instant::now()).map_err(|fault| match fault {
            CancelFault::Unknown => unknown_ticket(),
            CancelFault::InMatch => ApiError::conflict("already_matched", "the ticket is in a match by now"),
        })
    }

    /// The caller's running match with a fresh connect token: for a player who lost the first, or the game.
    ///
    /// # Errors
    /// There is none, or the store failed.
    pub async fn running_match(&self, caller: Caller) -> Result<Place, ApiError> {
        let none = || ApiError::not_found("no_running_match", "you are in no running match");
        let (live, seat) = self.db.live_match_of(caller.player).await?.ok_or_else(none)?;
        let address: SocketAddr = live.address.and_then(|text| text.parse().ok()).ok_or_else(none)?;
        let account = self.db.account(caller.player).await?.ok_or_else(none)?;
        let rating = self.db.rating(caller.player).await?.unwrap_or_else(newcomer);
        let (player, mu) = (caller.player, rating.mu);
        let sitting = Sitting { id: live.id, player, display_name: &account.display_name, team: seat, mu };
        self.place(&sitting, address).map_err(|error| {
            tracing::error!(%error, "connect token not minted");
            ApiError::unavailable("no_connect_token", "no connect token could be made")
        })
    }

    fn place(&self, sitting: &Sitting<'_>, address: SocketAddr) -> Result<Place, netcode_token::TokenError> {
        let connect_token = self.minter.mint(sitting, address, UnixMs::now())?;
        let token_expires = Instant::now() + self.minter.lifetime;
        Ok(Place { id: sitting.id, address: address.to_string(), connect_token, token_expires })
    }

    /// Looks again at tickets whose players were in a match.
    async fn release_freed(&self) -> Result<(), StoreError> {
        /// Store reads in one look; the rest waits for the next.
        const LOOK_MAX: usize = 64;
        for (ticket, player) in self.desk.held(LOOK_MAX) {
            if self.db.live_match_of(player).await?.is_none() {
                self.desk.release(ticket);
            }
        }
        Ok(())
    }
}

fn unknown_ticket() -> ApiError {
    ApiError::not_found("ticket_not_found", "you have no such ticket; queue again")
}
