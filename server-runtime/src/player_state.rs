//! What a game keeps of each player between matches, as the game sees it: a type, and a table of the players who are here.
//! Must never know where it comes from nor where it goes.

use std::collections::BTreeMap;
use std::time::Duration;

use bevy_ecs::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::player::PlayerId;

/// What a game keeps of a player between matches: a JSON object of at most 32 KiB in the backend. Declare it with
/// [`ServerBuilder::player_state`](crate::ServerBuilder::player_state); it is there when
/// [`PlayerJoined`](crate::PlayerJoined) comes, and is saved from then on, whatever way the player goes.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use server_runtime::prelude::*;
///
/// #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
/// struct Career {
///     wins: u32,
///     medals: Vec<String>,
/// }
///
/// impl PlayerState for Career {
///     const NAME: &'static str = "career";
///     const VERSION: u32 = 2;
///
///     // Version 1 counted medals and did not name them.
///     fn upgrade(from: u32, mut document: serde_json::Value) -> Result<serde_json::Value, String> {
///         match from {
///             1 => {
///                 let count = document["medals"].as_u64().ok_or("medals is no number")?;
///                 document["medals"] = (0..count).map(|_| serde_json::Value::from("bronze")).collect();
///                 Ok(document)
///             }
///             other => Err(format!("there was no version {other}")),
///         }
///     }
/// }
///
/// fn count_win(mut ended: EventReader<MatchEnded>, board: Res<Scoreboard>, mut careers: ResMut<PlayerStates<Career>>) {
///     for _ in ended.read() {
///         let winner = board.standings().first().map(|(_, player, _)| *player);
///         if let Some(career) = winner.and_then(|player| careers.of_mut(player)) {
///             career.wins += 1;
///         }
///     }
/// }
///
/// let builder = Server::builder("cups")
///     .player_state::<Career>(StatePolicy::default())
///     .add_systems(Stage::Replicate, count_win);
/// ```
pub trait PlayerState: Serialize + DeserializeOwned + Default + Send + Sync + 'static {
    /// Under which name it is kept: 1 to 32 of a-z, 0-9 and -.
    const NAME: &'static str;
    /// Counts up with every change that serde cannot read over.
    const VERSION: u32 = 1;

    /// Makes of a document of version `from` one of version `from + 1`; asked again until it is of [`Self::VERSION`].
    ///
    /// # Errors
    /// Why that cannot be: the player is refused, and what was saved stays as it is.
    fn upgrade(from: u32, document: Value) -> Result<Value, String> {
        drop(document);
        Err(format!("there is no way from version {from} on"))
    }
}

/// How players' states are looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatePolicy {
    /// How long a player waits at the door for the backend's answer, up to a minute.
    pub wait: Duration,
    /// What becomes of one for whom there was none.
    pub when_away: WhenAway,
}

impl Default for StatePolicy {
    /// Five seconds, then [`WhenAway::Refuse`].
    fn default() -> Self {
        Self { wait: Duration::from_secs(5), when_away: WhenAway::Refuse }
    }
}

/// What becomes of a player whose state the backend did not give in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenAway {
    /// Sent away with [`codes::STATE_AWAY`](crate::codes::STATE_AWAY): it may try again.
    Refuse,
    /// Plays with the default, of which nothing is saved: what was there before stays.
    PlayUnsaved,
}

/// The states of the players who are here, and of those whose seats are held.
#[derive(Resource, Debug)]
pub struct PlayerStates<P> {
    states: BTreeMap<PlayerId, P>,
}

impl<P> Default for PlayerStates<P> {
    fn default() -> Self {
        Self { states: BTreeMap::new() }
    }
}

impl<P: PlayerState> PlayerStates<P> {
    /// A player's state, from [`PlayerJoined`](crate::PlayerJoined) to the end of the tick of
    /// [`PlayerLeft`](crate::PlayerLeft).
    #[must_use]
    pub fn of(&self, player: PlayerId) -> Option<&P> {
        self.states.get(&player)
    }

    /// The same, to change it: it is saved some time later, and surely when the player goes.
    pub fn of_mut(&mut self, player: PlayerId) -> Option<&mut P> {
        self.states.get_mut(&player)
    }

    /// Everybody's, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (PlayerId, &P)> {
        self.states.iter().map(|(player, state)| (*player, state))
    }
}

/// A state's type, forgotten: what a room does with it.
pub(crate) trait Keeper: Send + Sync {
    fn version(&self) -> u32;
    /// Gives the player this document, or the default.
    fn put(&self, world: &mut World, player: PlayerId, saved: Option<(u32, &str)>) -> Result<(), String>;
    /// The player's document of now.
    fn document(&self, world: &World, player: PlayerId) -> Result<String, String>;
    fn forget(&self, world: &mut World, player: PlayerId);
}

/// The keeper of states of one type.
pub(crate) struct KeeperOf<P>(std::marker::PhantomData<fn() -> P>);

impl<P: PlayerState> KeeperOf<P> {
    pub(crate) fn boxed() -> Box<dyn Keeper> {
        Box::new(Self(std::marker::PhantomData))
    }
}

impl<P: PlayerState> Keeper for KeeperOf<P> {
    fn version(&self) -> u32 {
        P::VERSION
    }

    fn put(&self, world: &mut World, player: PlayerId, saved: Option<(u32, &str)>) -> Result<(), String> {
        let state = match saved {
            Some((version, document)) => read::<P>(version, document)?,
            None => P::default(),
        };
        world.resource_mut::<PlayerStates<P>>().states.insert(player, state);
        Ok(())
    }

    fn document(&self, world: &World, player: PlayerId) -> Result<String, String> {
        let states = world.resource::<PlayerStates<P>>();
        let state = states.of(player).ok_or("it is not here")?;
        let document = serde_json::to_string(state).map_err(|error| error.to_string())?;
        match document.len() {
            length if length > DOCUMENT_BYTES_MAX => {
                Err(format!("it has {length} bytes: {DOCUMENT_BYTES_MAX} are taken"))
            }
            _ if !document.starts_with('{') => Err("it is no JSON object: give its type named fields".into()),
            _ => Ok(document),
        }
    }

    fn forget(&self, world: &mut World, player: PlayerId) {
        world.resource_mut::<PlayerStates<P>>().states.remove(&player);
    }
}

fn read<P: PlayerState>(version: u32, document: &str) -> Result<P, String> {
    if version == P::VERSION {
        return serde_json::from_str(document).map_err(|error| error.to_string());
    }
    if version > P::VERSION {
        return Err(format!("it has version {version}: this build knows {} at most", P::VERSION));
    }
    let document = serde_json::from_str(document).map_err(|error| error.to_string())?;
    let upgraded = (version..P::VERSION).try_fold(document, |document, from| P::upgrade(from, document))?;
    serde_json::from_value(upgraded).map_err(|error| error.to_string())
}

/// The backend takes no more.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 32 * 1024;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Purse {
        gold: u32,
        #[serde(default)]
        name: String,
    }

    impl PlayerState for Purse {
        const NAME: &'static str = "purse";
        const VERSION: u32 = 3;

        fn upgrade(from: u32, document: Value) -> Result<Value, String> {
            match from {
                1 => {
                    Ok(serde_json::json!({ "silver": document["copper"].as_u64().ok_or("no copper")? / 10 }))
                }
                2 => Ok(serde_json::json!({ "gold": document["silver"].as_u64().ok_or("no silver")? / 10 })),
                other => Err(format!("no version {other}")),
            }
        }
    }

    #[test]
    fn documents_of_every_version_are_read_and_those_of_the_future_are_not() {
        let check = |version, document: &str, gold| {
            assert_eq!(read::<Purse>(version, document).map(|purse| purse.gold).ok(), gold, "{document}");
        };
        check(3, r#"{"gold":7}"#, Some(7));
        check(2, r#"{"silver":70}"#, Some(7));
        check(1, r#"{"copper":799}"#, Some(7));
        check(1, r#"{"silver":799}"#, None);
        check(0, r#"{"copper":799}"#, None);
        check(4, r#"{"gold":7}"#, None);
        check(3, "{", None);
    }

    /// Ten thousand documents of mixed versions all come out as one.
    #[test]
    fn a_mixed_crowd_is_read_alike() {
        for number in 0..10_000_u32 {
            let (version, document) = match number % 3 {
                0 => (1, format!(r#"{{"copper":{}}}"#, number * 100)),
                1 => (2, format!(r#"{{"silver":{}}}"#, number * 10)),
                _ => (3, format!(r#"{{"gold":{number},"name":"n"}}"#)),
            };
            assert_eq!(read::<Purse>(version, &document).unwrap().gold, number);
        }
    }

    #[test]
    fn a_keeper_gives_and_takes() {
        let (mut world, keeper, player) = (World::new(), KeeperOf::<Purse>::boxed(), PlayerId(4));
        world.init_resource::<PlayerStates<Purse>>();
        assert!(keeper.document(&world, player).is_err());
        keeper.put(&mut world, player, None).unwrap();
        world.resource_mut::<PlayerStates<Purse>>().of_mut(player).unwrap().gold = 9;
        assert_eq!(keeper.document(&world, player).unwrap(), r#"{"gold":9,"name":""}"#);
        world.resource_mut::<PlayerStates<Purse>>().of_mut(player).unwrap().name = "x".repeat(40_000);
        assert!(keeper.document(&world, player).unwrap_err().contains("32768"));
        assert!(keeper.put(&mut world, player, Some((9, "{}"))).is_err());
        assert!(world.resource::<PlayerStates<Purse>>().of(player).is_some(), "what is there stays");
        keeper.forget(&mut world, player);
        assert_eq!(world.resource::<PlayerStates<Purse>>().iter().count(), 0);
    }
}
