//! What every handler can reach: stores, tokens, the matchmaker, limits. One value, shared.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;

use crate::accounts::{Accounts, tokens::Tokens};
use crate::config::Role;
use crate::http::Routes;
use crate::http::limit::{Limiter, Rate, Verdict};
use crate::http::problem::ApiError;
use crate::leaderboards::rules::Boards;
use crate::matches::news::News;
use crate::matchmaking::{BrowserUrl, Matchmaker};
use crate::progression::rules::Rules;
use crate::store::Stores;

/// Addresses that are told apart by the limiter.
const LIMITED_ADDRESSES_MAX: usize = 65_536;

/// The shared state; cloning shares it.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What an [`App`] is made of.
pub struct Parts {
    /// Which routes are served.
    pub role: Role,
    /// The stores.
    pub stores: Stores,
    /// Which boards there are.
    pub boards: Boards,
    /// What matches are worth beside ratings.
    pub progression: Rules,
    /// Tells of results.
    pub news: News,
    /// Signs and checks access tokens.
    pub tokens: Arc<Tokens>,
    /// Guest accounts.
    pub accounts: Accounts,
    /// The matchmaker, in the roles that have one.
    pub matchmaker: Option<Matchmaker>,
    /// Where browsers find the servers, if they do.
    pub browser_url: Option<BrowserUrl>,
    /// How often an address may ask.
    pub limits: Limits,
    /// Where metrics are rendered; absent in tests that do not ask.
    pub metrics: Option<PrometheusHandle>,
    /// Turns true once, when the process should end.
    pub draining: watch::Receiver<bool>,
}

impl App {
    /// Of these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The routes of this role.
    pub fn routes(role: Role) -> Routes {
        let mut routes = crate::http::ops::routes();
        if role.has(Role::Accounts) {
            routes = routes.merge(crate::accounts::routes::routes()).merge(crate::custody::routes::routes());
        }
        if role.has(Role::Matchmaking) {
            routes = routes.merge(crate::matchmaking::routes::routes());
            routes = routes.merge(crate::parties::routes::routes()).merge(crate::matches::routes::routes());
        }
        if role.has(Role::Leaderboards) {
            routes = routes.merge(crate::leaderboards::routes::routes());
            routes = routes.merge(crate::progression::routes::routes());
        }
        routes
    }

    /// Which routes are served.
    pub fn role(&self) -> Role {
        self.0.role
    }

    /// The stores.
    pub fn stores(&self) -> &Stores {
        &self.0.stores
    }

    /// Which boards there are.
    pub fn boards(&self) -> &Boards {
        &self.0.boards
    }

    /// What matches are worth beside ratings.
    pub fn progression(&self) -> &Rules {
        &self.0.progression
    }

    /// Tells of results.
    pub fn news(&self) -> &News {
        &self.0.news
    }

    /// Where browsers find the servers, if they do.
    pub fn browser_url(&self) -> Option<&BrowserUrl> {
        self.0.browser_url.as_ref()
    }

    /// Signs and checks access tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// Guest accounts.
    pub fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    /// How often an address may ask.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Turns true once, when the process should end.
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.0.draining.clone()
    }

    /// The matchmaker.
    ///
    /// # Errors
    /// This role has none; its routes are not served then.
    pub fn matchmaker(&self) -> Result<&Matchmaker, ApiError> {
        let missing = || ApiError::unavailable("not_served", "this process does not serve matchmaking");
        self.0.matchmaker.as_ref().ok_or_else(missing)
    }

    /// Prometheus' text format.
    pub fn render_metrics(&self) -> String {
        let mut text = self.0.metrics.as_ref().map(PrometheusHandle::render).unwrap_or_default();
        operate::exposition::process::write(&mut text);
        text
    }
}

/// One limiter for log-ins, which cost most and are guessed at, and one for all requests.
pub struct Limits {
    auth: Mutex<Limiter<IpAddr>>,
    any: Mutex<Limiter<IpAddr>>,
}

impl Limits {
    /// With full buckets.
    pub fn new(auth: Rate, any: Rate, now: Instant) -> Self {
        let limiter = |rate| Mutex::new(Limiter::new(rate, LIMITED_ADDRESSES_MAX, now));
        Self { auth: limiter(auth), any: limiter(any) }
    }

    /// Takes one request of this address.
    pub fn take(&self, peer: IpAddr, auth: bool, now: Instant) -> Verdict {
        let limiter = if auth { &self.auth } else { &self.any };
        limiter.lock().unwrap_or_else(PoisonError::into_inner).take(peer, now)
    }
}
