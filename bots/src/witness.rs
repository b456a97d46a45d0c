//! What players were told, kept so that somebody can hold the services to it. Knows neither a process nor a call.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use backend_services::api::{LoginRequest, MatchAddress, PlayerOutcome};

/// Keeps what it is told, by player.
#[derive(Debug, Default)]
pub struct Witness(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    accounts: BTreeMap<String, Account>,
    seats: BTreeMap<String, Seat>,
}

/// An account, and what its player was told.
#[derive(Debug, Clone)]
pub struct Account {
    /// What it logs in with.
    pub credentials: LoginRequest,
    /// What each match did to the player, by match.
    pub told: BTreeMap<String, PlayerOutcome>,
}

/// A player in a match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// Which match.
    pub match_id: String,
    /// Where, `host:port`.
    pub server: String,
}

impl Witness {
    /// An account was made.
    pub fn made(&self, player: &str, credentials: &LoginRequest) {
        let account = Account { credentials: credentials.clone(), told: BTreeMap::new() };
        self.lock().accounts.insert(player.to_owned(), account);
    }

    /// A player goes to a match.
    pub fn seated(&self, player: &str, at: &MatchAddress) {
        let seat = Seat { match_id: at.match_id.clone(), server: at.server_address.clone() };
        self.lock().seats.insert(player.to_owned(), seat);
    }

    /// A player has left it, however.
    pub fn rose(&self, player: &str) {
        self.lock().seats.remove(player);
    }

    /// A player was told what a match did to it.
    pub fn told(&self, player: &str, match_id: &str, outcome: &PlayerOutcome) {
        if let Some(account) = self.lock().accounts.get_mut(player) {
            account.told.insert(match_id.to_owned(), outcome.clone());
        }
    }

    /// Every account, by player.
    pub fn accounts(&self) -> BTreeMap<String, Account> {
        self.lock().accounts.clone()
    }

    /// Who is in a match now.
    pub fn seats(&self) -> BTreeMap<String, Seat> {
        self.lock().seats.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
