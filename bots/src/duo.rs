//! Two bots that play as one party: how they meet, and which ticket is theirs. Knows the public API and nothing behind it;
//! what a ticket comes to is the journey's.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use backend_services::api::{Party, Session};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    backend::{Backend, BackendError},
    journey::Bot,
};

/// Of so many bots in a row, the first two are a party: one bot in four.
const ONE_PAIR_IN: u32 = 8;
/// How often a bot looks at its party while it waits for the other.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A bot whose mate is not there for so long plays alone.
const MATE_PATIENCE: Duration = Duration::from_secs(20);
/// How often a bot in a match tells its party that it is there.
const PRESENT_EVERY: Duration = Duration::from_secs(10);

/// How the two of a pair tell each other the code of their party: what players do by chat.
#[derive(Debug, Default)]
pub struct Duos {
    codes: Mutex<HashMap<u32, watch::Sender<Option<String>>>>,
}

impl Duos {
    fn code(&self, pair: u32) -> watch::Sender<Option<String>> {
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        codes.entry(pair).or_insert_with(|| watch::channel(None).0).clone()
    }
}

/// What a bot knows of its party.
#[derive(Debug, Default)]
pub(crate) struct Mate {
    /// The ticket that it has seen the end of.
    last: Option<String>,
}

/// Founds or joins the pair's party, if bot number `index` is of a pair.
pub(crate) async fn meet(bot: &mut Bot, index: u32, duos: &Duos) -> Result<(), BackendError> {
    let (pair, place) = (index / ONE_PAIR_IN, index % ONE_PAIR_IN);
    let code = duos.code(pair);
    match place {
        0 => {
            let party = bot.backend.found(&bot.session.access_token, 2).await?;
            code.send_replace(Some(party.code));
        }
        1 => {
            let mut told = code.subscribe();
            let waited = tokio::time::timeout(MATE_PATIENCE, told.wait_for(Option::is_some)).await;
            let Some(code) = waited.ok().and_then(Result::ok).and_then(|code| code.clone()) else {
                return Ok(());
            };
            match bot.backend.join(&bot.session.access_token, code).await {
                Ok(_) => {}
                // The mate has given up.
                Err(error) if error.is_not_found() || error.is_conflict() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        _ => return Ok(()),
    }
    bot.mate = Some(Mate::default());
    if !bot.latencies.is_empty() {
        bot.backend.tell_latencies(&bot.session.access_token, &bot.latencies).await?;
    }
    Ok(())
}

/// The party's next ticket: queued by whichever of the two leads, found in the party by the other. `None`: the bot plays
/// alone from now on.
pub(crate) async fn queue(bot: &mut Bot, mode: &str) -> Result<Option<String>, BackendError> {
    let start = Instant::now();
    loop {
        let party = bot.backend.party(&bot.session.access_token).await?;
        let whole = party.filter(|party| party.members.len() == 2 || start.elapsed() < MATE_PATIENCE);
        let (Some(party), Some(mate)) = (whole, bot.mate.as_mut()) else {
            bot.mate = None;
            bot.backend.leave(&bot.session.access_token).await?;
            return Ok(None);
        };
        let next = party.ticket_id.clone().filter(|ticket| mate.last.as_ref() != Some(ticket));
        let ticket = if party.members.len() < 2 {
            None
        } else if leads(&party, &bot.session) {
            Some(bot.backend.queue_party(&bot.session.access_token, mode).await?.ticket_id)
        } else {
            next
        };
        if let Some(ticket) = ticket {
            mate.last = Some(ticket.clone());
            return Ok(Some(ticket));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Tells the party, until aborted, that the player is there though it plays.
pub(crate) fn stay_present(backend: &Backend, session: &Session) -> JoinHandle<()> {
    let (backend, token) = (backend.clone(), session.access_token.clone());
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(PRESENT_EVERY).await;
            if let Err(error) = backend.party(&token).await {
                tracing::debug!(%error, "party not told");
            }
        }
    })
}

fn leads(party: &Party, session: &Session) -> bool {
    party.members.iter().any(|member| member.leader && member.player_id == session.player_id)
}
