//! Players' states while their players are here: asked for before a seat is given, saved on every way out. Owns when that
//! is; must never know who keeps them, nor what is in them.
//!
//! | way out | what is saved |
//! |---|---|
//! | by choice, or not back in time | the state at the end of that tick, with its systems' last word; then it is let go |
//! | dropped, seat held | the state at the end of that tick |
//! | the match ends | everybody's, at the end of the last tick of play |
//! | the room closes: over, drained, given up | everybody's; then it is let go |
//! | a system panics | nothing: half a tick is in there. The last checkpoint stands; it is let go |
//! | the process dies | nothing: the last checkpoint stands |

use std::collections::{BTreeMap, VecDeque};

use netcode_proto::ClientId;
use netcode_token::Seat;
use netcode_wire::Time;

use super::{Room, codes};
use crate::builder::ServerGame;
use crate::player::PlayerId;
use crate::player_state::{Keeper, StatePolicy, WhenAway};
use crate::record::Cue;

/// What a room wants of whoever keeps its players' states. Of one player, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateWish {
    /// The player's state; answer with [`Room::give_state`].
    Load {
        /// Whose.
        player: PlayerId,
    },
    /// This is the state now.
    Save {
        /// Whose.
        player: PlayerId,
        /// A JSON object; `None`: as it was saved last.
        document: Option<String>,
        /// The game's version of it.
        version: u32,
        /// The player has left: somebody else may have the state.
        release: bool,
    },
}

/// What a room is told of a player's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateWord {
    /// This was saved last, of this version; `None`: nothing yet.
    Loaded(Option<(u32, String)>),
    /// Whoever keeps it cannot be reached, or knows no such player.
    Away,
    /// Another server has it now: what this one says of it is lost.
    Taken,
}

/// What a room was told to keep: of which type, and by which rules.
pub(crate) struct Keeping {
    pub(crate) keeper: Box<dyn Keeper>,
    pub(crate) name: &'static str,
    pub(crate) policy: StatePolicy,
}

/// The room's part of it.
pub(super) struct Custody {
    keeping: Keeping,
    checkpoint_ticks: u32,
    held: BTreeMap<PlayerId, Held>,
    /// Connections whose seat waits for their player's state.
    waiting: Vec<Waiting>,
    /// Gone for good in this tick.
    leaving: Vec<PlayerId>,
    /// Dropped in this tick.
    dropped: Vec<PlayerId>,
    wishes: VecDeque<StateWish>,
    /// Somebody answers; until then everybody begins anew, and nothing is saved.
    entrusted: bool,
    /// A system has panicked: what is in the world is no state.
    broken: bool,
}

/// Where a player's state is.
enum Held {
    /// Asked for.
    Asked,
    /// In the world, and this is what was last said of it.
    Here { said: String },
    /// In the world, and to be forgotten.
    Unsaved,
    /// It was not to be had.
    Missing(u8),
}

struct Waiting {
    client: ClientId,
    seat: Seat,
    until: Time,
}

impl Custody {
    /// `checkpoint_s`: how often everybody's state is saved; 0: only on the ways out.
    pub(super) fn new(keeping: Keeping, checkpoint_s: u16, tick_hz: u16) -> Self {
        Self {
            keeping,
            checkpoint_ticks: u32::from(checkpoint_s) * u32::from(tick_hz),
            held: BTreeMap::new(),
            waiting: Vec::new(),
            leaving: Vec::new(),
            dropped: Vec::new(),
            wishes: VecDeque::new(),
            entrusted: false,
            broken: false,
        }
    }

    pub(super) fn note_left(&mut self, player: PlayerId) {
        self.leaving.push(player);
    }

    pub(super) fn note_dropped(&mut self, player: PlayerId) {
        self.dropped.push(player);
    }

    pub(super) fn note_seated(&mut self, player: PlayerId) {
        self.leaving.retain(|leaving| *leaving != player);
    }

    pub(super) fn note_broken(&mut self) {
        self.broken = true;
    }

    /// The connection is gone; whoever waited with it waits no more.
    pub(super) fn note_lost(&mut self, client: ClientId) {
        self.waiting.retain(|waiting| waiting.client != client);
    }

    /// The player's connections wait no more: these.
    pub(super) fn drop_waiting(&mut self, player: PlayerId) -> Vec<ClientId> {
        let of_player = |waiting: &mut Waiting| waiting.seat.player == player.0;
        self.waiting.extract_if(.., of_player).map(|waiting| waiting.client).collect()
    }

    fn is_awaited(&self, player: PlayerId) -> bool {
        self.waiting.iter().any(|waiting| waiting.seat.player == player.0)
    }
}

impl<G: ServerGame> Room<G> {
    /// Somebody keeps players' states: takes this room's wishes ([`Room::poll_state_wish`]) and answers them. Without it,
    /// players begin with the default, and nothing is saved.
    pub fn entrust_states(&mut self) {
        self.custody.iter_mut().for_each(|custody| custody.entrusted = true);
    }

    /// What the room wants of whoever keeps its players' states; call until `None`.
    pub fn poll_state_wish(&mut self) -> Option<StateWish> {
        self.custody.as_mut()?.wishes.pop_front()
    }

    /// Tells of a player's state.
    pub fn give_state(&mut self, now: Time, player: PlayerId, word: StateWord) {
        let Some(custody) = &mut self.custody else { return };
        if word == StateWord::Taken {
            tracing::warn!(player = player.0, "the player's state is another server's by now");
            if matches!(custody.held.get(&player), Some(Held::Here { .. })) {
                custody.held.insert(player, Held::Missing(codes::STATE_TAKEN));
                self.dismiss_player(now, player, codes::STATE_TAKEN);
            }
            return;
        }
        let asked = matches!(custody.held.get(&player), Some(Held::Asked));
        if !asked || !custody.is_awaited(player) {
            // Too late, or nobody waits for it any more: somebody else may have it.
            if matches!(word, StateWord::Loaded(_))
                && !matches!(custody.held.get(&player), Some(Held::Here { .. }))
            {
                custody.let_go(player, None);
            }
            if asked {
                custody.held.remove(&player);
            }
            return;
        }
        let held = match word {
            StateWord::Loaded(saved) => self.load(player, saved),
            _ if custody.keeping.policy.when_away == WhenAway::PlayUnsaved => self.begin_unsaved(player),
            _ => Held::Missing(codes::STATE_AWAY),
        };
        if let Some(custody) = &mut self.custody {
            custody.held.insert(player, held);
        }
    }

    fn load(&mut self, player: PlayerId, saved: Option<(u32, String)>) -> Held {
        match self.put_state(player, saved.as_ref().map(|(version, document)| (*version, document.as_str())))
        {
            // What is new to the backend is said at the first occasion.
            Ok(()) => Held::Here { said: saved.map(|(_, document)| document).unwrap_or_default() },
            Err(why) => {
                tracing::error!(
                    player = player.0,
                    why,
                    "the player's state cannot be read; the player is refused"
                );
                if let Some(custody) = &mut self.custody {
                    custody.let_go(player, None);
                }
                Held::Missing(codes::STATE_UNREADABLE)
            }
        }
    }

    fn begin_unsaved(&mut self, player: PlayerId) -> Held {
        // A default can always be put.
        let _always = self.put_state(player, None);
        Held::Unsaved
    }

    /// Puts a state into the world, live as in a replay.
    pub(super) fn put_state(&mut self, player: PlayerId, saved: Option<(u32, &str)>) -> Result<(), String> {
        let Some(custody) = &self.custody else { return Ok(()) };
        custody.keeping.keeper.put(&mut self.world, player, saved)?;
        let saved = saved.map(|(version, document)| (version, document.into()));
        self.note(&Cue::State { player: player.0, saved });
        Ok(())
    }

    /// Whether the player's state is here, so that it may sit down. If not, the connection waits for it.
    pub(super) fn has_state(&mut self, now: Time, client: ClientId, seat: &Seat) -> bool {
        let Some(custody) = &mut self.custody else { return true };
        let player = PlayerId(seat.player);
        let code = match custody.held.get(&player) {
            Some(Held::Here { .. } | Held::Unsaved) => return true,
            Some(Held::Missing(code)) => Some(*code),
            Some(Held::Asked) => None,
            None if !custody.entrusted => {
                custody.held.insert(player, Held::Unsaved);
                // A default can always be put.
                return self.put_state(player, None).is_ok();
            }
            None => {
                custody.held.insert(player, Held::Asked);
                custody.wishes.push_back(StateWish::Load { player });
                None
            }
        };
        if let Some(code) = code {
            // Who comes again is asked for again.
            custody.held.remove(&player);
            self.refuse(now, client, code);
        } else {
            // Some time more than whoever asks may take: its word says more than our clock.
            let wait = custody.keeping.policy.wait + ANSWER_GRACE;
            let until = now.saturating_add(wait);
            custody.waiting.push(Waiting { client, seat: seat.clone(), until });
        }
        false
    }

    /// Seats those whose state has come, and gives up on those whose time is over.
    pub(super) fn settle_custody(&mut self, now: Time) {
        let Some(custody) = &mut self.custody else { return };
        if custody.waiting.is_empty() {
            return;
        }
        let over: Vec<PlayerId> = (custody.waiting.iter())
            .filter(|waiting| waiting.until <= now)
            .map(|waiting| PlayerId(waiting.seat.player))
            .collect();
        for player in over {
            self.give_state(now, player, StateWord::Away);
        }
        let Some(custody) = &mut self.custody else { return };
        let ready = |waiting: &mut Waiting| {
            !matches!(custody.held.get(&PlayerId(waiting.seat.player)), Some(Held::Asked))
        };
        let ready: Vec<Waiting> = custody.waiting.extract_if(.., ready).collect();
        for Waiting { client, seat, .. } in ready {
            self.admit(now, client, seat);
        }
    }

    /// At the end of a tick: what its players leave behind, and the checkpoints that are due.
    pub(super) fn keep_states(&mut self) {
        let Some(custody) = &mut self.custody else { return };
        let (world, tick, every) = (&mut self.world, self.tick.0, custody.checkpoint_ticks);
        for player in std::mem::take(&mut custody.leaving) {
            custody.save(world, player, true);
            custody.keeping.keeper.forget(world, player);
        }
        for player in std::mem::take(&mut custody.dropped) {
            custody.save(world, player, false);
        }
        if every == 0 {
            return;
        }
        // Not all in one tick.
        let due = |player: &PlayerId| (u64::from(tick)).wrapping_add(player.0) % u64::from(every) == 0;
        let due: Vec<PlayerId> = custody.held.keys().copied().filter(due).collect();
        for player in due {
            custody.save(world, player, false);
        }
    }

    /// Saves everybody's state: play is over, or with `release` the room.
    pub(super) fn keep_all_states(&mut self, release: bool) {
        let Some(custody) = &mut self.custody else { return };
        for player in custody.held.keys().copied().collect::<Vec<_>>() {
            custody.save(&self.world, player, release);
        }
    }
}

impl Custody {
    fn save(&mut self, world: &bevy_ecs::world::World, player: PlayerId, release: bool) {
        let broken = self.broken;
        let Some(Held::Here { said }) = self.held.get_mut(&player) else {
            if release {
                self.held.remove(&player);
            }
            return;
        };
        let document = match self.keeping.keeper.document(world, player) {
            _ if broken => None,
            Ok(document) => (document != *said).then_some(document),
            Err(why) => {
                tracing::error!(
                    player = player.0,
                    why,
                    "the player's state is not saved; the last one stands"
                );
                None
            }
        };
        if let Some(document) = &document {
            said.clone_from(document);
        }
        if release {
            self.held.remove(&player);
            self.let_go(player, document);
        } else if document.is_some() {
            let version = self.keeping.keeper.version();
            self.wishes.push_back(StateWish::Save { player, document, version, release });
        }
    }

    fn let_go(&mut self, player: PlayerId, document: Option<String>) {
        let version = self.keeping.keeper.version();
        self.wishes.push_back(StateWish::Save { player, document, version, release: true });
    }
}

/// How much longer the room waits than whoever asks for it is told to.
const ANSWER_GRACE: std::time::Duration = std::time::Duration::from_secs(1);
