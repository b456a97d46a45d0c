//! A table of the settings file, read as a type of whoever it is for. Owns the names of its keys, taken from the type's
//! default; must never know what they mean.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{Origin, Refusal, SettingsError};
use super::words::nearest;

/// A table of the file.
#[derive(Clone, Debug)]
pub struct Section {
    pub(super) name: String,
    pub(super) path: Option<PathBuf>,
    pub(super) line: usize,
    pub(super) values: toml::Table,
    /// The line of each key.
    pub(super) lines: BTreeMap<String, usize>,
}

/// A value of a typed table that is not allowed. See [`in_range`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {value}: allowed is {allowed}")]
pub struct Stray {
    /// The field.
    pub key: String,
    /// What it is.
    pub value: String,
    /// What it may be.
    pub allowed: String,
}

/// Refuses a value outside of `allowed`.
///
/// ```
/// use operate::settings::in_range;
///
/// assert!(in_range("damage", &20, 1..=100).is_ok());
/// let stray = in_range("damage", &0, 1..=100).unwrap_err();
/// assert_eq!(stray.to_string(), "damage is 0: allowed is 1 to 100");
/// ```
///
/// # Errors
/// It is outside; a float that is no number is outside of everything.
pub fn in_range<T: PartialOrd + std::fmt::Display>(
    key: &str,
    value: &T,
    allowed: std::ops::RangeInclusive<T>,
) -> Result<(), Stray> {
    if allowed.contains(value) {
        return Ok(());
    }
    let allowed = format!("{} to {}", allowed.start(), allowed.end());
    Err(Stray { key: key.to_owned(), value: value.to_string(), allowed })
}

impl Section {
    /// One of no file.
    pub fn empty(name: &str) -> Self {
        Self::absent(name, None)
    }

    pub(super) fn absent(name: &str, path: Option<&Path>) -> Self {
        let (name, path) = (name.to_owned(), path.map(Path::to_owned));
        Self { name, path, line: 0, values: toml::Table::new(), lines: BTreeMap::new() }
    }

    /// Reads it as a `T`: what the table does not name keeps the value of `base`. Keys are `T`'s fields, with `_` or `-`.
    ///
    /// # Errors
    /// A key that `T` has not, a value of another kind, or one that `check` refuses.
    pub fn over<T: Serialize + DeserializeOwned>(
        &self,
        base: &T,
        check: impl FnOnce(&T) -> Result<(), Stray>,
    ) -> Result<T, SettingsError> {
        let base = toml::Table::try_from(base);
        let mut merged =
            base.map_err(|error| self.refused("", "its default", error.to_string(), "a table"))?;
        let known: Vec<String> = merged.keys().cloned().collect();
        for (spelled, value) in &self.values {
            let key = [spelled.clone(), spelled.replace('-', "_"), spelled.replace('_', "-")];
            let Some(key) = key.into_iter().find(|key| merged.contains_key(key)) else {
                return Err(self.stray_key(spelled, &known));
            };
            let mut one = merged.clone();
            one.insert(key.clone(), widened(value, &merged[&key]));
            if let Err(error) = T::deserialize(one.clone()) {
                let (why, allowed) = (error.message().to_owned(), format!("what {} is like", merged[&key]));
                return Err(self.refused(spelled, &value.to_string(), why, &allowed));
            }
            merged = one;
        }
        let read = T::deserialize(merged);
        let read =
            read.map_err(|error| self.refused("", "as a whole", error.message().to_owned(), "a table"))?;
        match check(&read) {
            Ok(()) => Ok(read),
            Err(stray) => {
                Err(self.refused(&stray.key, &stray.value, "it is out of range".into(), &stray.allowed))
            }
        }
    }

    /// This table is one that nobody reads.
    pub(super) fn unknown(&self, known: &[&str]) -> SettingsError {
        let nearest = nearest(&self.name, known.iter().copied()).map(|name| format!("[{name}]"));
        SettingsError::Unknown { key: format!("[{}]", self.name), origin: self.at(self.line), nearest }
    }

    fn stray_key(&self, spelled: &str, known: &[String]) -> SettingsError {
        let nearest = nearest(spelled, known.iter().map(String::as_str));
        let nearest = nearest.map(|key| format!("{}.{key}", self.name));
        let line = self.lines.get(spelled).copied().unwrap_or(self.line);
        SettingsError::Unknown { key: format!("{}.{spelled}", self.name), origin: self.at(line), nearest }
    }

    fn refused(&self, key: &str, value: &str, why: String, allowed: &str) -> SettingsError {
        let spelled = [key.to_owned(), key.replace('_', "-"), key.replace('-', "_")];
        let line = spelled.iter().find_map(|key| self.lines.get(key).copied());
        let key = if key.is_empty() { self.name.clone() } else { format!("{}.{key}", self.name) };
        let origin = line.map_or(Origin::Default, |line| self.at(line));
        Refusal { key, value: value.to_owned(), origin, why, allowed: allowed.to_owned() }.into()
    }

    fn at(&self, line: usize) -> Origin {
        match &self.path {
            Some(path) => Origin::File { path: path.clone(), line },
            None => Origin::Default,
        }
    }
}

/// `3` where a fraction is meant is 3.0.
fn widened(value: &toml::Value, like: &toml::Value) -> toml::Value {
    match (value, like) {
        (toml::Value::Integer(number), toml::Value::Float(_)) => toml::Value::Float(*number as f64),
        _ => value.clone(),
    }
}
