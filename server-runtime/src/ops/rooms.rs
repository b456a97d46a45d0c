//! Many matches in one GameServer, as Agones sees them: the list `rooms` holds the ids of the matches that are played here,
//! its capacity says how many may be; the counter `players` says how many are connected. Owns what of that is ours to
//! change, and which matches are new; must never know a room.
//!
//! An allocation adds its match's id to the list, which no other allocation overwrites. The match's sheet lies in one of
//! [`SHEETS`] annotations, chosen by the id, so that those of matches that come at the same time stand side by side and those of
//! matches long over do not pile up. A sheet under the one name of a server with one room is taken too: its match is put on the
//! list here. When the list is empty the server is Ready again, and may be ended by its fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::time::Duration;

use agones_sdk::client::{Sdk, SdkError};
use agones_sdk::{GameServer, State};
use backend_proto::signature::RESULT_KEY_ANNOTATION;
use tokio::sync::mpsc as queue;
use tokio::time::{Instant, sleep_until};

use super::Command;
use super::lifecycle::{Capacity, MATCH_ANNOTATION};
use super::signer::Signer;
use crate::game_match::MatchSpec;
use crate::spec::{format_match_id, parse_match_id};

/// The list of matches.
const ROOMS: &str = "rooms";
/// The counter of players.
const PLAYERS: &str = "players";
/// So many sheets may stand side by side. Two matches that share a place and come within the moment that it takes us to look
/// lose one of the two, which is told to the backend.
const SHEETS: u128 = 64;
/// How long a match on the list may be without a sheet.
const SHEET_WITHIN: Duration = Duration::from_secs(5);

/// A word of the rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoomNews {
    /// This match is over, and its room is free.
    Gone(u128),
    /// So many are connected.
    Players(usize),
}

/// Tells Agones how much there is to be had.
pub(super) async fn offer(sdk: &Sdk, capacity: Capacity) {
    if let Err(error) = sdk.set_list_capacity(ROOMS, i64::from(capacity.rooms)).await {
        let hint = "the GameServer needs a list of this name, or only one match at a time is allocated";
        tracing::error!(%error, list = ROOMS, hint, "our rooms are not announced");
    }
    if let Err(error) = sdk.set_counter_capacity(PLAYERS, i64::from(capacity.players)).await {
        tracing::info!(%error, counter = PLAYERS, "players are not counted");
    }
}

/// Makes of Agones' states what there is to do, until the runtime ends.
pub(super) async fn follow(
    sdk: &Sdk,
    commands: &mpsc::Sender<Command>,
    signer: &Signer,
    mut news: queue::UnboundedReceiver<RoomNews>,
) {
    let mut watch = sdk.watch();
    let mut ledger = Ledger::default();
    loop {
        let patience = ledger.patience();
        tokio::select! {
            server = watch.next() => {
                if !ledger.read(sdk, commands, signer, &server).await {
                    return;
                }
            }
            said = news.recv() => match said {
                Some(RoomNews::Gone(match_id)) => ledger.part_with(sdk, match_id).await,
                Some(RoomNews::Players(players)) => ledger.count_players(sdk, players).await,
                None => return,
            },
            () = async { sleep_until(patience.unwrap_or_else(Instant::now)).await }, if patience.is_some() => {
                ledger.give_up(sdk).await;
            }
        }
    }
}

/// What is known of the matches here.
#[derive(Debug, Default)]
struct Ledger {
    /// Matches that a room was asked for, by the text that stands on the list; none for those that are over.
    known: BTreeMap<u128, Option<String>>,
    /// Matches on the list whose sheet is not here, and until when it may come.
    missing: BTreeMap<u128, (String, Instant)>,
    draining: bool,
    players_uncounted: bool,
}

/// What a version of the GameServer asks of us.
#[derive(Debug, Default, PartialEq)]
struct Wishes {
    /// Matches to be played: their sheets, the text on the list, and the annotation that their key is in.
    new: Vec<(MatchSpec, String, String)>,
    /// Of these, those that are not on the list.
    unlisted: Vec<String>,
}

impl Ledger {
    /// Obeys a version of the GameServer; `false` when nobody takes commands any more.
    async fn read(
        &mut self,
        sdk: &Sdk,
        commands: &mpsc::Sender<Command>,
        signer: &Signer,
        server: &GameServer,
    ) -> bool {
        if server.state() == Some(State::Shutdown) && !std::mem::replace(&mut self.draining, true) {
            let drain = Command::Drain { within: Duration::ZERO, why: "Agones shuts us down" };
            return commands.send(drain).is_ok();
        }
        let wishes = self.wishes(server, Instant::now());
        for value in wishes.unlisted {
            refused(sdk.add_list_value(ROOMS, &value).await.map(drop), "a match is not on the list of rooms");
        }
        let some = !wishes.new.is_empty();
        for (spec, _, key_annotation) in wishes.new {
            signer.learn(spec.match_id, server, &key_annotation);
            if commands.send(Command::Allocate(spec)).is_err() {
                return false;
            }
        }
        if some && server.state() == Some(State::Ready) {
            // It came while we said that we are free.
            refused(sdk.allocate().await, "Agones takes us for free");
        }
        true
    }

    /// What is new in this version.
    fn wishes(&mut self, server: &GameServer, now: Instant) -> Wishes {
        let mut wishes = Wishes::default();
        let listed = listed(server);
        for (match_id, value) in &listed {
            if self.known.contains_key(match_id) {
                continue;
            }
            match sheet_of(server, *match_id) {
                Some((spec, key)) => {
                    self.missing.remove(match_id);
                    self.known.insert(*match_id, Some(value.clone()));
                    wishes.new.push((spec, value.clone(), key));
                }
                None => {
                    self.missing.entry(*match_id).or_insert_with(|| (value.clone(), now + SHEET_WITHIN));
                }
            }
        }
        let alone = server.annotation(MATCH_ANNOTATION).filter(|_| server.state() == Some(State::Allocated));
        if let Some(spec) = alone.and_then(|json| serde_json::from_str::<MatchSpec>(json).ok())
            && !self.known.contains_key(&spec.match_id)
        {
            let value = format_match_id(spec.match_id);
            self.known.insert(spec.match_id, Some(value.clone()));
            wishes.unlisted.push(value.clone());
            wishes.new.push((spec, value, RESULT_KEY_ANNOTATION.to_owned()));
        }
        self.forget_what_nobody_names(server, &listed);
        wishes
    }

    /// A match that is over is remembered for as long as something of it might be taken for news.
    fn forget_what_nobody_names(&mut self, server: &GameServer, listed: &BTreeMap<u128, String>) {
        let alone = server.annotation(MATCH_ANNOTATION);
        let alone =
            alone.and_then(|json| serde_json::from_str::<MatchSpec>(json).ok()).map(|spec| spec.match_id);
        self.known.retain(|match_id, value| {
            value.is_some() || listed.contains_key(match_id) || alone == Some(*match_id)
        });
        self.missing.retain(|match_id, _| listed.contains_key(match_id));
    }

    fn patience(&self) -> Option<Instant> {
        self.missing.values().map(|(_, until)| *until).min()
    }

    /// Matches whose sheets did not come are nobody's: the backend finds them lost.
    async fn give_up(&mut self, sdk: &Sdk) {
        let now = Instant::now();
        let late: BTreeSet<u128> =
            self.missing.iter().filter(|(_, (_, until))| *until <= now).map(|(id, _)| *id).collect();
        for match_id in late {
            if let Some((value, _)) = self.missing.remove(&match_id) {
                tracing::error!(match_id = value, "a match was allocated to us without a sheet");
                self.known.insert(match_id, Some(value));
                self.part_with(sdk, match_id).await;
            }
        }
    }

    /// A room is free: off the list, and Ready with the last one.
    async fn part_with(&mut self, sdk: &Sdk, match_id: u128) {
        let Some(value) = self.known.get_mut(&match_id).and_then(Option::take) else { return };
        let left = match sdk.remove_list_value(ROOMS, &value).await {
            Ok(list) => list.values.len(),
            Err(error) => {
                tracing::warn!(%error, match_id = value, "a room that is free is not off the list");
                0
            }
        };
        let played = self.known.values().flatten().count();
        if left == 0 && played == 0 && !self.draining {
            refused(sdk.ready().await, "Agones was not told that we are free");
        }
    }

    async fn count_players(&mut self, sdk: &Sdk, players: usize) {
        if self.players_uncounted {
            return;
        }
        let count = i64::try_from(players).unwrap_or(i64::MAX);
        if let Err(error) = sdk.set_counter_count(PLAYERS, count).await {
            // Said once: a GameServer without the counter has it all its life.
            self.players_uncounted = true;
            tracing::info!(%error, counter = PLAYERS, "players are not counted");
        }
    }
}

/// The matches on the list, with the text that stands there.
fn listed(server: &GameServer) -> BTreeMap<u128, String> {
    let list = server.status.as_ref().and_then(|status| status.lists.get(ROOMS));
    let values = list.map_or(&[][..], |list| &list.values);
    values.iter().filter_map(|value| Some((parse_match_id(value)?, value.clone()))).collect()
}

/// The sheet of this match, and the annotation that its key is in.
fn sheet_of(server: &GameServer, match_id: u128) -> Option<(MatchSpec, String)> {
    let place = match_id % SHEETS;
    let apart = (format!("{MATCH_ANNOTATION}-{place}"), format!("{RESULT_KEY_ANNOTATION}-{place}"));
    let alone = (MATCH_ANNOTATION.to_owned(), RESULT_KEY_ANNOTATION.to_owned());
    [apart, alone].into_iter().find_map(|(sheet, key)| {
        let spec: MatchSpec = serde_json::from_str(server.annotation(&sheet)?).ok()?;
        (spec.match_id == match_id).then_some((spec, key))
    })
}

fn refused(outcome: Result<(), SdkError>, what: &str) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "{what}");
    }
}
