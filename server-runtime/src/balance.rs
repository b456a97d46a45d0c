//! A game's balance: numbers that an operator may change while matches are played. Owns how they get from the settings
//! file into a world; must never know what they mean.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use operate::SettingsError;
use operate::settings::{Section, Stray};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The table of the settings file.
pub(crate) const TABLE: &str = "balance";

/// Numbers of a game that may change while it runs: declared with
/// [`ServerBuilder::balance`](crate::ServerBuilder::balance), read from the table `[balance]` of the settings file, and there
/// for systems as a resource. What clients predict with must not be among them: they do not hear of it.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use server_runtime::prelude::*;
///
/// #[derive(Resource, Clone, Debug, Serialize, Deserialize)]
/// struct Tuning {
///     hit_damage: u8,
///     respawn_s: f32,
/// }
///
/// impl Default for Tuning {
///     fn default() -> Self {
///         Self { hit_damage: 20, respawn_s: 2.0 }
///     }
/// }
///
/// impl Balance for Tuning {
///     fn check(&self) -> Result<(), Stray> {
///         in_range("hit_damage", &self.hit_damage, 1..=100)?;
///         in_range("respawn_s", &self.respawn_s, 0.0..=60.0)
///     }
/// }
///
/// fn hurt(tuning: Res<Tuning>) {
///     let _ = tuning.hit_damage; // as it stands at this tick
/// }
///
/// let builder = Server::builder("duel").balance::<Tuning>().add_systems(Stage::Resolve, hurt);
/// ```
pub trait Balance: Resource + Clone + Default + Serialize + DeserializeOwned {
    /// Refuses values that make no sense, with the field and what it may be. `operate`'s `in_range` says it for numbers.
    ///
    /// # Errors
    /// The first field that is not allowed.
    fn check(&self) -> Result<(), Stray> {
        Ok(())
    }
}

/// What the builder knows of a game's balance: how to read it, of which type ever it is.
#[derive(Clone, Copy)]
pub(crate) struct BalanceSlot {
    read: fn(&Section) -> Result<NewBalance, SettingsError>,
    recorded: fn(&str) -> Option<NewBalance>,
}

impl BalanceSlot {
    pub(crate) fn of<T: Balance>() -> Self {
        Self {
            read: |section| section.over(&T::default(), T::check).map(NewBalance::of),
            recorded: |json| serde_json::from_str::<T>(json).ok().map(NewBalance::of),
        }
    }

    /// The table of a settings file over the game's defaults.
    pub(crate) fn read(self, section: &Section) -> Result<NewBalance, SettingsError> {
        (self.read)(section)
    }

    /// As a recording has it.
    pub(crate) fn recorded(self, json: &str) -> Option<NewBalance> {
        (self.recorded)(json)
    }
}

impl std::fmt::Debug for BalanceSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BalanceSlot(..)")
    }
}

/// Values of a balance, to be put into worlds.
#[derive(Clone)]
pub(crate) struct NewBalance {
    put: Arc<dyn Fn(&mut World) + Send + Sync>,
    /// For recordings.
    json: Arc<str>,
}

impl NewBalance {
    fn of<T: Balance>(values: T) -> Self {
        let json = serde_json::to_string(&values).unwrap_or_default().into();
        Self { put: Arc::new(move |world| world.insert_resource(values.clone())), json }
    }

    /// From the next tick on.
    pub(crate) fn put(&self, world: &mut World) {
        (self.put)(world);
    }

    /// All values.
    pub(crate) fn json(&self) -> &str {
        &self.json
    }

    /// As the lines of the settings file's table.
    pub(crate) fn to_text(&self) -> String {
        let values: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&self.json).unwrap_or_default();
        let lines = values.iter().map(|(key, value)| format!("{key} = {value}\n"));
        format!("\n[{TABLE}]\n{}", lines.collect::<String>())
    }

    /// Fields that are others than in `before`, as the file would name them.
    pub(crate) fn changed_since(&self, before: &Self) -> Vec<String> {
        type Values = serde_json::Map<String, serde_json::Value>;
        let read = |json: &str| serde_json::from_str::<Values>(json).unwrap_or_default();
        let (now, then) = (read(&self.json), read(&before.json));
        now.iter()
            .filter(|(key, value)| then.get(*key) != Some(value))
            .map(|(key, _)| format!("{TABLE}.{key}"))
            .collect()
    }
}

impl std::fmt::Debug for NewBalance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewBalance({})", self.json)
    }
}
