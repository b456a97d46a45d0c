//! What can be wrong with settings, in one line each: the key, its value, where it came from, what is allowed.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// This variable of the environment.
    Environment(String),
    /// A file.
    File {
        /// Which.
        path: PathBuf,
        /// The line, from 1; 0 where it cannot be said.
        line: usize,
    },
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("from the command line"),
            Self::Environment(variable) => write!(f, "from the environment's {variable}"),
            Self::File { path, line: 0 } => write!(f, "from {}", path.display()),
            Self::File { path, line } => write!(f, "from {}, line {line}", path.display()),
            Self::Default => f.write_str("by default"),
        }
    }
}

/// A value that is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {value} ({origin}): {why}; allowed is {allowed}")]
pub struct Refusal {
    /// The flag's long name, or `table.key`.
    pub key: String,
    /// What it was set to; `(secret)` for secrets.
    pub value: String,
    /// Where that came from.
    pub origin: Origin,
    /// What is wrong with it.
    pub why: String,
    /// What it may be.
    pub allowed: String,
}

impl From<Refusal> for SettingsError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A value that is not allowed.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// A key that nobody reads.
    #[error("{key} is no setting ({origin}){}", did_you_mean(.nearest.as_deref()))]
    Unknown {
        /// As it is spelled there.
        key: String,
        /// Where.
        origin: Origin,
        /// The key that it may have been meant to be.
        nearest: Option<String>,
    },
    /// The file cannot be read.
    #[error("the settings file {} cannot be read: {cause}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The file is no TOML.
    #[error("the settings file {} is no TOML, line {line}: {why}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What the reader met.
        why: String,
    },
    /// What clap has to say: help, version, flags that there are not.
    #[error("{}", first_paragraph(&.0.to_string()))]
    Usage(clap::Error),
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default()
}

/// The first paragraph of a message, as one line.
pub(super) fn first_paragraph(text: &str) -> String {
    let lines = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim);
    let line = lines.collect::<Vec<_>>().join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

/// Prints what is wrong, or the help or version that was asked for, and ends the process: with 2 if it is an error.
pub fn exit_with(error: &SettingsError) -> ! {
    match error {
        SettingsError::Usage(usage) => usage.exit(),
        error => {
            eprintln!("error: {error}");
            std::process::exit(2)
        }
    }
}
