//! A process's settings, in layers: a flag beats the environment, the environment beats the file, the file beats the
//! default. Owns where each value came from; must never know what a setting is for.
//!
//! The command line's own declaration ([`clap`]) is the only list of settings there is. A file is TOML: a key a flag, by
//! its long name (`tick-rate` or `tick_rate`), and tables for what is no flag (a game's balance).
//!
//! | from | how |
//! |---|---|
//! | flags | `--tick-rate 30` |
//! | environment | the variable that `--help` names, if it is not empty |
//! | file | named by the flag `--config` or its variable |
//! | default | the one in `--help` |

mod error;
mod file;
mod read;
mod section;
mod words;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgMatches, Command, FromArgMatches, Parser};

pub use error::{Origin, Refusal, SettingsError, exit_with};
pub use section::{Section, Stray, in_range};
pub use words::nearest;

/// The flag that names the file.
const FILE_FLAG: &str = "config";
/// Flags that make no sense in a file: they say what is read, or that nothing is run.
const NOT_IN_A_FILE: [&str; 4] = [FILE_FLAG, "check-config", "help", "version"];

/// Where a process's settings come from, what they are, and how to read them again.
#[derive(Clone)]
pub struct Settings {
    declare: fn() -> Command,
    args: Vec<OsString>,
    path: Option<PathBuf>,
    matches: ArgMatches,
    entries: Vec<Entry>,
    sections: BTreeMap<String, Section>,
    doubts: Vec<String>,
}

/// One setting as it stands.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The flag's long name.
    pub key: String,
    /// Its text, several ones in commas; `None`: not set.
    pub value: Option<String>,
    /// Where it came from.
    pub origin: Origin,
    /// Never to be shown.
    pub secret: bool,
}

impl Settings {
    /// Reads flags (as the parser wants them: with the program's name, unless it is declared without), environment, and
    /// the file that they name.
    ///
    /// # Errors
    /// The first value that cannot be used, with its key, where it came from, and what is allowed.
    pub fn read<T: Parser>(args: impl IntoIterator<Item = OsString>) -> Result<(T, Self), SettingsError> {
        let args: Vec<OsString> = args.into_iter().collect();
        let settings = read::read(T::command, args)?;
        Ok((settings.values()?, settings))
    }

    /// [`Settings::read`], as a program's first line: help, version and errors are printed, and the process ends, with 2
    /// if it was an error.
    pub fn read_or_exit<T: Parser>(args: impl IntoIterator<Item = OsString>) -> (T, Self) {
        Self::read(args).unwrap_or_else(|error| exit_with(&error))
    }

    /// The same command line and environment with the file as it is now.
    ///
    /// # Errors
    /// As [`Settings::read`]; these settings stay what they are.
    pub fn read_again(&self) -> Result<Self, SettingsError> {
        read::read(self.declare, self.args.clone())
    }

    /// The values, as the parser or a part of it.
    ///
    /// # Errors
    /// The part is none of the parser that these were read with.
    pub fn values<T: FromArgMatches>(&self) -> Result<T, SettingsError> {
        T::from_arg_matches(&self.matches).map_err(SettingsError::Usage)
    }

    /// These settings, but with what `keys` were in `before`: they are in force for as long as the process lives.
    #[must_use]
    pub fn keeping(mut self, before: &Self, keys: &[String]) -> Self {
        for entry in self.entries.iter_mut().filter(|entry| keys.contains(&entry.key)) {
            if let Some(old) = before.entries.iter().find(|old| old.key == entry.key) {
                entry.clone_from(old);
            }
        }
        self
    }

    /// The file, if one is named.
    pub fn path(&self) -> Option<&std::path::Path> {
        self.path.as_deref()
    }

    /// All settings, in the order of `--help`.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// A setting's text by its flag's long name; `None`: there is no such, or it is not set.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|entry| entry.key == key)?.value.as_deref()
    }

    /// A table of the file; empty where it has none.
    pub fn section(&self, name: &str) -> Section {
        let absent = || Section::absent(name, self.path.as_deref());
        self.sections.get(name).cloned().unwrap_or_else(absent)
    }

    /// Refuses tables of the file that nobody reads.
    ///
    /// # Errors
    /// The first such table, and the nearest one of `known`.
    pub fn expect_sections(&self, known: &[&str]) -> Result<(), SettingsError> {
        match self.sections.values().find(|section| !known.contains(&section.name.as_str())) {
            Some(stray) => Err(stray.unknown(known)),
            None => Ok(()),
        }
    }

    /// What looks like a slip and is no error: variables that nobody reads and that are spelled almost like one that is.
    pub fn doubts(&self) -> &[String] {
        &self.doubts
    }

    /// Keys whose values are others here than in `before`.
    pub fn changed_since<'a>(&'a self, before: &Self) -> Vec<&'a str> {
        let other = |entry: &&Entry| before.value(&entry.key) != entry.value.as_deref();
        self.entries.iter().filter(other).map(|entry| entry.key.as_str()).collect()
    }

    /// As a file that gives the same settings, each with where it came from; of secrets only whether they are set.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for entry in self.entries.iter().filter(|entry| !NOT_IN_A_FILE.contains(&entry.key.as_str())) {
            let line = match &entry.value {
                Some(_) if entry.secret => format!("# {} is set, and secret", entry.key),
                Some(value) => format!("{} = {}", entry.key, plain_or_quoted(value)),
                None => format!("# {} is not set", entry.key),
            };
            let origin = match &entry.origin {
                Origin::Default => String::new(),
                origin => format!("  # {origin}"),
            };
            text.push_str(&format!("{line}{origin}\n"));
        }
        text
    }
}

/// Without any value: there are secrets among them.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("path", &self.path).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.value.as_deref().map(|value| if self.secret { "(secret)" } else { value });
        write!(f, "{} = {shown:?} {}", self.key, self.origin)
    }
}

/// A value as TOML.
fn plain_or_quoted(value: &str) -> String {
    let plain = value.parse::<i64>().is_ok_and(|number| number.to_string() == value)
        || value == "true"
        || value == "false"
        || (value.contains('.') && value.parse::<f64>().is_ok_and(|number| number.to_string() == value));
    if plain { value.to_owned() } else { toml::Value::String(value.to_owned()).to_string() }
}
