//! One bot's life: register, log in, queue, be matched, play, hear what came of it, and queue again until the run is
//! over.
//!
//! Everything that can go wrong on the way is part of the journey: a backend that restarts, a ticket that is gone, a
//! server that dies in the middle of a match. The bot notes it and goes on, as a player would.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use backend_services::api::{
    LoginRequest, MatchAddress, OutcomeStatus, RefreshRequest, RegisterRequest, Session, TicketStatus,
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use netcode_sim::Profile;
use tokio::sync::watch;

use crate::{
    backend::{Backend, BackendError},
    beacon::{self, Region},
    duo::{self, Duos, Mate},
    report::Gathered,
    swarm::{Ending, Engine, Outcome},
    witness::{Seat, Witness},
};

/// How long one poll of a ticket waits on the server.
const TICKET_WAIT: Duration = Duration::from_secs(10);
/// How long a result may take to take effect before its player goes on without having heard.
const OUTCOME_WAIT: Duration = Duration::from_secs(5);
/// Pause before trying again what the state of things forbade.
const AGAIN_AFTER: Duration = Duration::from_millis(300);

/// Incidents kept for the report; the rest are in the counters.
const INCIDENTS_MAX: usize = 64;

/// What all bots of a run share.
#[derive(Debug)]
pub struct Shared {
    gathered: Mutex<Gathered>,
    finished: Mutex<HashSet<String>>,
    /// Set once the run is over: finish nothing new.
    pub stop: watch::Receiver<bool>,
    habits: Habits,
}

/// How the bots of a run come and go.
#[derive(Debug)]
pub struct Habits {
    /// The matchmaking mode that they queue for.
    pub mode: String,
    /// Bots that play as parties of two, where the mode has teams for them.
    pub duos: Option<Duos>,
    /// Regions that they measure before they queue.
    pub regions: Vec<Region>,
    /// The network that they are on.
    pub path: Profile,
    /// How some of them leave in the middle of a match.
    pub leaving: Option<Leaving>,
    /// Who keeps what they are told.
    pub witness: Option<Arc<Witness>>,
    /// Of what is drawn for them.
    pub seed: u64,
}

/// Players who leave in the middle of a match; who came with another does not.
#[derive(Debug, Clone, Copy)]
pub struct Leaving {
    /// The share of stays, 0 to 1.
    pub share: f64,
    /// They leave after 20 to 60 % of this.
    pub match_length: Duration,
}

impl Habits {
    /// Of bots on this network that play every match of the arena alone and to its end.
    pub fn of(path: Profile, seed: u64) -> Self {
        let (duos, regions, leaving, witness) = (None, Vec::new(), None, None);
        Self { mode: "arena".to_owned(), duos, regions, path, leaving, witness, seed }
    }
}

impl Shared {
    /// A run that ends when `stop` turns true.
    pub fn new(habits: Habits, stop: watch::Receiver<bool>) -> Arc<Self> {
        Arc::new(Self {
            gathered: Mutex::new(Gathered::new()),
            finished: Mutex::new(HashSet::new()),
            stop,
            habits,
        })
    }

    /// What was gathered so far, for reading and adding.
    pub fn gathered(&self) -> MutexGuard<'_, Gathered> {
        // A bot that panicked while it held the lock left at worst one stay half added.
        self.gathered.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Notes that a match ended with a result; a match counts once, whoever tells.
    pub fn match_finished(&self, match_id: &str) {
        let mut finished = self.finished.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if finished.insert(match_id.to_owned()) {
            self.gathered().matches_played = finished.len() as u64;
        }
    }

    /// Adds one stay's figures.
    pub fn stayed(&self, outcome: &Outcome) {
        let mut gathered = self.gathered();
        gathered.stay.add(&outcome.stay);
        if let Ending::Lost(_) = outcome.ending {
            gathered.disconnects += 1;
        }
    }

    /// Notes what went wrong and was survived; the first few are told at the end.
    pub fn incident(&self, what: &str) {
        let mut gathered = self.gathered();
        if gathered.incidents.len() < INCIDENTS_MAX {
            gathered.incidents.push(what.to_owned());
        }
    }

    /// Who is in which match now, as far as the witness was told; nobody without one.
    pub fn seats(&self) -> BTreeMap<String, Seat> {
        self.habits.witness.as_ref().map(|witness| witness.seats()).unwrap_or_default()
    }

    fn witness(&self) -> Option<&Witness> {
        self.habits.witness.as_deref()
    }

    fn stopped(&self) -> bool {
        *self.stop.borrow()
    }
}

/// A bot with an account.
pub(crate) struct Bot {
    pub(crate) backend: Backend,
    credentials: LoginRequest,
    pub(crate) session: Session,
    /// Its party of two, while it has one.
    pub(crate) mate: Option<Mate>,
    /// Its round trips to regions, milliseconds.
    pub(crate) latencies: BTreeMap<String, u16>,
    random: fastrand::Rng,
}

/// Lives bot number `index` until the run is over.
///
/// # Errors
/// When the backend refuses what a player may do, or stays unreachable beyond patience.
pub async fn live(
    index: u32,
    backend: Backend,
    engine: Arc<Engine>,
    shared: Arc<Shared>,
) -> Result<(), BackendError> {
    let mut bot = Bot::create(index, backend, shared.habits.seed).await?;
    shared.gathered().players += 1;
    if let Some(witness) = shared.witness() {
        witness.made(&bot.session.player_id, &bot.credentials);
    }
    let mut stop = shared.stop.clone();
    bot.measure(&shared).await;
    if let Some(duos) = &shared.habits.duos {
        tokio::select! {
            met = duo::meet(&mut bot, index, duos) => met?,
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        }
    }
    while !shared.stopped() {
        let found = tokio::select! {
            found = bot.find_match(&shared.habits.mode) => found?,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        if let Some((assignment, waited)) = found {
            // Never dropped half-way: a stay that is cut short still counts.
            bot.play(&assignment, waited, &engine, &shared).await?;
        }
    }
    Ok(())
}

impl Bot {
    /// Registers a guest and logs it in: two calls, as a game's first start and its second would make.
    async fn create(index: u32, backend: Backend, seed: u64) -> Result<Self, BackendError> {
        let mut secret = [0_u8; 32];
        fill_random(&mut secret);
        let credentials = LoginRequest { device_secret: BASE64URL_NOPAD.encode(&secret) };
        let registration = RegisterRequest {
            device_secret: credentials.device_secret.clone(),
            display_name: crate::names::callsign(index),
        };
        match backend.register(&registration).await {
            // A lost answer makes the retry find its own account: that is a success.
            Ok(_) => {}
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error),
        }
        let session = backend.login(&credentials).await?;
        let random = fastrand::Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(u64::from(index)));
        Ok(Self { backend, credentials, session, mate: None, latencies: BTreeMap::new(), random })
    }

    /// Measures how far each region is, as a client does before it queues.
    async fn measure(&mut self, shared: &Shared) {
        let habits = &shared.habits;
        self.latencies = beacon::measure(&habits.regions, habits.path, self.random.u64(..)).await;
        for ms in self.latencies.values() {
            shared.gathered().measured(*ms);
        }
    }

    /// After how long in the match it leaves, if it does.
    fn patience(&mut self, shared: &Shared) -> Option<Duration> {
        let leaving = shared.habits.leaving.filter(|_| self.mate.is_none())?;
        let part = 0.2 + 0.4 * self.random.f64();
        (self.random.f64() < leaving.share).then(|| leaving.match_length.mul_f64(part))
    }

    async fn play(
        &mut self,
        assignment: &MatchAddress,
        waited: Duration,
        engine: &Engine,
        shared: &Shared,
    ) -> Result<(), BackendError> {
        let millis = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        if shared.gathered().queue_wait_ms.record(millis).is_err() {
            tracing::warn!(millis, "queue wait beyond the histogram's range");
        }
        let token = BASE64
            .decode(assignment.connect_token.as_bytes())
            .map_err(|e| BackendError::OutOfContract(format!("connect token: {e}")))?;
        let present = self.mate.as_ref().map(|_| duo::stay_present(&self.backend, &self.session));
        let patience = self.patience(shared);
        shared.gathered().seats_filled += u64::from(assignment.filled);
        if let Some(witness) = shared.witness() {
            witness.seated(&self.session.player_id, assignment);
        }
        let outcome = engine.play(token, assignment.websocket_url.clone(), patience).await;
        if let Some(witness) = shared.witness() {
            witness.rose(&self.session.player_id);
        }
        if let Some(present) = present {
            present.abort();
            shared.gathered().stays_in_party += 1;
        }
        shared.stayed(&outcome);
        match &outcome.ending {
            Ending::MatchOver => {
                shared.match_finished(&assignment.match_id);
                self.hear(&assignment.match_id, shared).await?;
            }
            Ending::Left => {
                shared.gathered().left_early += u64::from(patience.is_some() && !shared.stopped());
            }
            Ending::Lost(reason) => {
                tracing::info!(match_id = assignment.match_id, reason, "lost the server; back to the queue");
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
        Ok(())
    }

    /// Waits to be told what the match did to the player.
    async fn hear(&mut self, match_id: &str, shared: &Shared) -> Result<(), BackendError> {
        let asked = Instant::now();
        match self.backend.outcome(&self.session.access_token, match_id, OUTCOME_WAIT).await {
            Ok(outcome) if outcome.status == OutcomeStatus::Counted => {
                let result = outcome.result.unwrap_or_default();
                if let Some(witness) = shared.witness() {
                    witness.told(&self.session.player_id, match_id, &result);
                }
                shared.gathered().outcomes.add(&result, asked.elapsed());
            }
            Ok(outcome) => tracing::info!(match_id, status = ?outcome.status, "no result was heard of"),
            Err(error) => self.mend(error).await?,
        }
        Ok(())
    }

    /// Queues, alone or with its mate, and waits. `None`: the ticket is gone or was not taken, try again.
    async fn find_match(&mut self, mode: &str) -> Result<Option<(MatchAddress, Duration)>, BackendError> {
        let queued_at = Instant::now();
        let queued = if self.mate.is_some() {
            duo::queue(self, mode).await
        } else {
            let ticket = self.backend.queue(&self.session.access_token, mode, &self.latencies).await;
            ticket.map(|ticket| Some(ticket.ticket_id))
        };
        match queued {
            Ok(Some(ticket)) => self.follow(&ticket, queued_at).await,
            Ok(None) => Ok(None),
            Err(error) => self.mend(error).await.map(|()| None),
        }
    }

    /// Waits for what becomes of a ticket, and says that the bot is ready when asked.
    async fn follow(
        &mut self,
        ticket: &str,
        queued_at: Instant,
    ) -> Result<Option<(MatchAddress, Duration)>, BackendError> {
        loop {
            let news = self.backend.ticket(&self.session.access_token, ticket, TICKET_WAIT).await;
            let news = match news {
                Ok(news) => news,
                Err(error) if error.is_unauthorised() => {
                    self.mend(error).await?;
                    continue;
                }
                // A backend that was started again forgot the queue, but not the matches.
                Err(error) if error.is_not_found() => {
                    let running = self.backend.running_match(&self.session.access_token).await?;
                    return Ok(running.map(|address| (address, queued_at.elapsed())));
                }
                Err(error) => return self.mend(error).await.map(|()| None),
            };
            match (news.status, news.matched) {
                (TicketStatus::Matched, Some(assignment)) => {
                    return Ok(Some((assignment, queued_at.elapsed())));
                }
                (TicketStatus::Queued, _) => {}
                (TicketStatus::ReadyCheck, _) => {
                    let open = news.ready_check.filter(|check| !check.accepted);
                    let Some(check) = open else { continue };
                    let token = &self.session.access_token;
                    if let Err(error) = self.backend.ready(token, ticket, check.check_id).await {
                        self.mend(error).await?;
                    }
                }
                _ => return Ok(None),
            }
        }
    }

    /// Does what a client does after a refusal that it can mend; hands back any other.
    pub(crate) async fn mend(&mut self, error: BackendError) -> Result<(), BackendError> {
        if error.is_unauthorised() {
            let request = RefreshRequest { refresh_token: self.session.refresh_token.clone() };
            self.session = match self.backend.refresh(&request).await {
                Ok(session) => session,
                Err(_) => self.backend.login(&self.credentials).await?,
            };
            return Ok(());
        }
        if error.is_conflict() || error.is_not_found() {
            tokio::time::sleep(AGAIN_AFTER).await;
            return Ok(());
        }
        Err(error)
    }
}

/// Fills `bytes` from the operating system's generator, by way of a fresh key.
fn fill_random(bytes: &mut [u8; 32]) {
    bytes.copy_from_slice(netcode_token::Key::generate().as_bytes());
}
