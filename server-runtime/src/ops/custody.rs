//! Players' states between rooms and the backend: opened with a fence, saved until somebody has them. What the backend
//! does not take at once waits in the spool, on disk; what this process cannot hand in, the next one on this machine does.
//! Must never know what a state holds, nor when one is saved.
//!
//! A player's words are one after the other; different players' are not. Of saves that wait only the newest counts.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use agones_sdk::Backoff;
use backend_proto::CustodyClient;
use backend_proto::players_v1::open_reply::Fate as Opened;
use backend_proto::players_v1::save_reply::Fate as Saved;
use backend_proto::players_v1::{OpenReply, OpenRequest, SaveRequest};
use tokio::sync::mpsc as queue;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::Command;
use super::results::{CALL_WITHIN, Destination, LEFT_BEHIND_EVERY, TRY_WITHIN, is_worth_trying_again};
use super::spool::Kept;
use crate::player::PlayerId;
use crate::room::{StateWish, StateWord};

/// What is kept, and how long a player may wait for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StateTerms {
    /// The state's name.
    pub(crate) name: &'static str,
    /// The longest wait for an answer.
    pub(crate) wait: Duration,
}

/// What every player's worker needs.
struct Desk {
    to: Destination,
    terms: StateTerms,
    /// Our name among all holders.
    holder: String,
    client: CustodyClient<Channel>,
    commands: mpsc::Sender<Command>,
}

/// Why a call came to nothing.
enum Miss {
    /// It may fare better later.
    Later(Status),
    /// It never will.
    Never(Status),
}

/// Serves a room's wishes until it has no more, and then until all is saved, or kept, or given up.
pub(super) async fn run(
    to: Destination,
    terms: StateTerms,
    mut wishes: queue::UnboundedReceiver<StateWish>,
    commands: mpsc::Sender<Command>,
) {
    // Without a backend a room makes no wishes.
    let Some(client) = to.channel().map(CustodyClient::new) else { return };
    let desk = Rc::new(Desk { to, terms, holder: fresh_name(), client, commands });
    let mut workers = JoinSet::new();
    let mut players: HashMap<PlayerId, queue::UnboundedSender<StateWish>> = HashMap::new();
    while let Some(mut wish) = wishes.recv().await {
        let (StateWish::Load { player } | StateWish::Save { player, .. }) = wish;
        loop {
            let words = players.entry(player).or_insert_with(|| {
                let (words_in, words) = queue::unbounded_channel();
                workers.spawn_local(Hold::new(Rc::clone(&desk), player).serve(words));
                words_in
            });
            // A worker whose player was let go has ended: the next one begins anew.
            let Err(queue::error::SendError(unheard)) = words.send(wish) else { break };
            wish = unheard;
            players.remove(&player);
        }
        while workers.try_join_next().is_some() {}
        if players.len() >= WORKERS_SWEPT_AT {
            players.retain(|_, words| !words.is_closed());
        }
    }
    players.clear();
    while workers.join_next().await.is_some() {}
}

/// One player's state, while this process has to do with it.
struct Hold {
    desk: Rc<Desk>,
    player: PlayerId,
    fence: Option<u64>,
    sequence: u64,
    /// What was opened or saved last.
    latest: Option<(u32, String)>,
    unsent: Option<Unsent>,
    released: bool,
}

/// A save that was not acknowledged yet.
struct Unsent {
    message: SaveRequest,
    kept: Option<Kept<SaveRequest>>,
    failures: u32,
}

impl Hold {
    fn new(desk: Rc<Desk>, player: PlayerId) -> Self {
        Self { desk, player, fence: None, sequence: 0, latest: None, unsent: None, released: false }
    }

    async fn serve(mut self, mut words: queue::UnboundedReceiver<StateWish>) {
        loop {
            let word = match &mut self.unsent {
                None => words.recv().await,
                Some(unsent) => tokio::select! {
                    word = words.recv() => word,
                    outcome = attempt(&self.desk, unsent) => {
                        self.settle(outcome);
                        // All is said and done; nothing is awaited between the look and our end.
                        if self.released && self.unsent.is_none() && words.is_empty() {
                            return;
                        }
                        continue;
                    }
                },
            };
            match word {
                Some(StateWish::Load { .. }) => self.load().await,
                Some(StateWish::Save { document, version, release, .. }) => {
                    self.save(document.map(|document| (version, document)), release);
                }
                None => break,
            }
        }
        self.finish().await;
    }

    /// The room's last word was said: what is unsent gets some more time.
    async fn finish(mut self) {
        let until = Instant::now() + TRY_WITHIN;
        while let Some(unsent) = &mut self.unsent {
            match timeout_at(until, attempt(&self.desk, unsent)).await {
                Ok(outcome) => self.settle(outcome),
                Err(_) => {
                    let (player, kept) = (self.player.0, unsent.kept.is_some());
                    tracing::error!(player, kept, "a player's state NOT handed in");
                    return;
                }
            }
        }
    }

    async fn load(&mut self) {
        let word = match &self.unsent {
            // Back before its last word was acknowledged: nobody knows better than we do.
            Some(_) => {
                self.save(None, false);
                StateWord::Loaded(self.latest.clone())
            }
            None => self.open().await,
        };
        let _gone_with_its_room = self.desk.commands.send(Command::State { player: self.player, word });
    }

    async fn open(&mut self) -> StateWord {
        let (began, wait) = (Instant::now(), self.desk.terms.wait);
        let until = began + wait;
        loop {
            // Who had it last may be about to save; for half of the wait that is worth waiting for.
            let force = began.elapsed() >= wait / 2;
            let why = match timeout_at(until, self.desk.open(self.player, force)).await {
                Ok(Ok(reply)) if reply.fate() == Opened::Opened => {
                    self.fence = Some(reply.fence);
                    (self.sequence, self.released) = (reply.sequence, false);
                    self.latest = reply.document.map(|document| (reply.version, document));
                    return StateWord::Loaded(self.latest.clone());
                }
                Ok(Ok(_)) => "another server has it".to_owned(),
                Ok(Err(Miss::Later(status))) => status.message().to_owned(),
                Ok(Err(Miss::Never(status))) => {
                    let (code, why) = (status.code(), status.message());
                    tracing::error!(player = self.player.0, ?code, why, "no state for this player");
                    return StateWord::Away;
                }
                Err(_) => "no answer in time".to_owned(),
            };
            if Instant::now() + ASK_AGAIN >= until {
                tracing::error!(player = self.player.0, why, "the player's state was not to be had in time");
                return StateWord::Away;
            }
            sleep(ASK_AGAIN).await;
        }
    }

    fn save(&mut self, document: Option<(u32, String)>, release: bool) {
        let Some(fence) = self.fence else { return };
        self.released = release;
        self.sequence += 1;
        self.latest = document.clone().or(self.latest.take());
        // What was not acknowledged is in the newest one, or nothing new is.
        let before = self.unsent.take();
        let document = document.or_else(|| {
            let message = &before.as_ref()?.message;
            Some((message.version, message.document.clone()?))
        });
        let (version, document) = document.unzip();
        let message = SaveRequest {
            player_id: self.player.0,
            name: self.desk.terms.name.to_owned(),
            fence,
            sequence: self.sequence,
            document,
            version: version.unwrap_or_default(),
            release,
        };
        let failures = before.as_ref().map_or(0, |before| before.failures);
        let mut unsent = Unsent { message, kept: None, failures };
        // Deliberate: a checkpoint goes to the disk only where the backend does not take it at once; the last word does before
        // it is sent, since this process may end.
        if release || failures > 0 {
            unsent.keep(&self.desk);
        }
        if let Some(kept) = before.and_then(|before| before.kept) {
            kept.forget();
        }
        self.unsent = Some(unsent);
    }

    fn settle(&mut self, outcome: Result<Saved, Miss>) {
        let Some(mut unsent) = self.unsent.take() else { return };
        let player = self.player.0;
        match outcome {
            Ok(Saved::Saved | Saved::Duplicate) => unsent.forget(),
            Ok(_) => {
                self.fence = None;
                unsent.set_aside();
                let word = StateWord::Taken;
                let _gone_with_its_room =
                    self.desk.commands.send(Command::State { player: self.player, word });
            }
            Err(Miss::Never(status)) => {
                tracing::error!(
                    player,
                    why = status.message(),
                    "a player's state was refused; the last one stands"
                );
                unsent.set_aside();
            }
            Err(Miss::Later(status)) => {
                if unsent.failures == 0 {
                    tracing::warn!(player, why = status.message(), "a player's state waits for the backend");
                }
                unsent.failures += 1;
                unsent.keep(&self.desk);
                self.unsent = Some(unsent);
            }
        }
    }
}

impl Unsent {
    fn keep(&mut self, desk: &Desk) {
        let Some(spool) = desk.to.spool.as_ref().filter(|_| self.kept.is_none()) else { return };
        match spool.keep(self.message.clone()) {
            Ok(kept) => self.kept = Some(kept),
            Err(error) => tracing::error!(%error, "a player's state is not kept on disk"),
        }
    }

    fn forget(self) {
        self.kept.into_iter().for_each(Kept::forget);
    }

    fn set_aside(self) {
        self.kept.into_iter().for_each(Kept::set_aside);
    }
}

/// Tries once, after a pause for the failures before. Harmless to cut off: what got through counts once.
async fn attempt(desk: &Desk, unsent: &Unsent) -> Result<Saved, Miss> {
    sleep(Backoff::default().jittered(unsent.failures)).await;
    save(&desk.to, desk.client.clone(), unsent.message.clone()).await
}

impl Desk {
    async fn open(&self, player: PlayerId, force: bool) -> Result<OpenReply, Miss> {
        let mut client = self.client.clone();
        let (name, holder) = (self.terms.name.to_owned(), self.holder.clone());
        let request = self.to.request(OpenRequest { player_id: player.0, name, holder, force })?;
        let answer = timeout(CALL_WITHIN, client.open(request)).await;
        Ok(answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))?.into_inner())
    }
}

async fn save(
    to: &Destination,
    mut client: CustodyClient<Channel>,
    message: SaveRequest,
) -> Result<Saved, Miss> {
    let answer = timeout(CALL_WITHIN, client.save(to.request(message)?)).await;
    Ok(answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))?.into_inner().fate())
}

impl From<Status> for Miss {
    fn from(status: Status) -> Self {
        // A wrong token is a matter of configuration: the next process may have the right one.
        let misconfigured =
            matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented);
        match is_worth_trying_again(status.code()) || misconfigured {
            true => Self::Later(status),
            false => Self::Never(status),
        }
    }
}

/// Hands in what others left behind, again and again, for as long as this process lives.
pub(super) async fn hand_in_left_behind(to: Destination) {
    let (Some(spool), Some(channel)) = (to.spool.clone(), to.channel()) else { return };
    let client = CustodyClient::new(channel);
    loop {
        let mut left = spool.take_over::<SaveRequest>();
        // The order in which they were said; it spares writes, and nothing depends on it.
        left.sort_by_key(|kept| (kept.message.player_id, kept.message.fence, kept.message.sequence));
        for kept in left {
            // Whoever left it is dead: the next one need not wait.
            let message = SaveRequest { release: true, ..kept.message.clone() };
            let player = message.player_id;
            match save(&to, client.clone(), message).await {
                Ok(Saved::Saved | Saved::Duplicate) => {
                    tracing::info!(player, "a player's state from the spool handed in");
                    kept.forget();
                }
                Ok(_) => {
                    tracing::warn!(player, "a player's state from the spool came too late; set aside");
                    kept.set_aside();
                }
                Err(Miss::Never(status)) => {
                    tracing::error!(
                        player,
                        why = status.message(),
                        "a player's state from the spool refused"
                    );
                    kept.set_aside();
                }
                Err(Miss::Later(_)) => break,
            }
        }
        sleep(LEFT_BEHIND_EVERY).await;
    }
}

impl Destination {
    /// To the backend, if there is one; connects when it is first used, and again whenever that is needed.
    pub(super) fn channel(&self) -> Option<Channel> {
        let endpoint = Endpoint::from_shared(self.backend.clone()?);
        let endpoint = endpoint.inspect_err(|error| tracing::error!(%error, "the backend's address is none"));
        Some(endpoint.ok()?.connect_timeout(CALL_WITHIN).connect_lazy())
    }
}

/// A name that no other holder has: 128 random bits.
fn fresh_name() -> String {
    netcode_token::Key::generate().to_hex()[..32].to_owned()
}

/// Players at whose number those who were let go are swept out.
const WORKERS_SWEPT_AT: usize = 1024;
/// After a question that had no answer, or not the one that was hoped for.
const ASK_AGAIN: Duration = Duration::from_millis(100);
