//! Where log lines go: standard error, since standard output speaks JSON to whoever started the process. Owns which of
//! them are written, which may change while the process runs.

use std::io::IsTerminal as _;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, reload};

use crate::settings::nearest;

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// A JSON object a line.
    Json,
}

/// Which lines are written: `info`, or targets with their levels, `info,server_runtime=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

/// No filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no log filter: {why}; expected off, error, warn, info, debug, trace, or target=level in commas"
)]
pub struct LogFilterError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// Longest filter, bytes: it can be set from outside.
const FILTER_BYTES_MAX: usize = 1024;

impl LogFilter {
    /// As given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn build(&self) -> EnvFilter {
        EnvFilter::try_new(&self.0).unwrap_or_else(|_| EnvFilter::new("info"))
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".into())
    }
}

impl std::str::FromStr for LogFilter {
    type Err = LogFilterError;

    fn from_str(text: &str) -> Result<Self, LogFilterError> {
        let wrong = |why: String| LogFilterError { text: text.chars().take(64).collect(), why };
        let text = text.trim();
        if text.is_empty() || text.len() > FILTER_BYTES_MAX {
            return Err(wrong(format!("it has {} bytes, 1 to {FILTER_BYTES_MAX} may be", text.len())));
        }
        for word in text.split(',').map(str::trim) {
            // To the filter a level that is misspelled is a target, and all other lines are gone.
            let level = word.rsplit_once('=').map_or(word, |(_, level)| level).to_ascii_lowercase();
            if LEVELS.contains(&level.as_str()) {
                continue;
            }
            match nearest(&level, LEVELS) {
                Some(meant) => return Err(wrong(format!("did you mean {meant}?"))),
                None if word.contains('=') => return Err(wrong(format!("{level} is no level"))),
                None => {}
            }
        }
        EnvFilter::try_new(text).map_err(|error| wrong(error.to_string()))?;
        Ok(Self(text.to_owned()))
    }
}

/// The filter in force and the way to replace it; once a process.
static CONTROL: OnceLock<Control> = OnceLock::new();

struct Control {
    filter: Mutex<LogFilter>,
    replace: Box<dyn Fn(EnvFilter) -> bool + Send + Sync>,
}

/// Starts writing. A second call, or a program with a subscriber of its own, changes nothing.
pub fn start(filter: &LogFilter, format: LogFormat) {
    let (filters, handle) = reload::Layer::new(filter.build());
    let writer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines: Box<dyn Layer<_> + Send + Sync> = match format {
        LogFormat::Json => Box::new(writer.json()),
        LogFormat::Pretty => Box::new(writer.with_ansi(std::io::stderr().is_terminal())),
    };
    if tracing_subscriber::registry().with(filters).with(lines).try_init().is_ok() {
        let replace = Box::new(move |filter| handle.reload(filter).is_ok());
        let _ = CONTROL.set(Control { filter: Mutex::new(filter.clone()), replace });
    }
}

/// Which lines are written now; `None`: by somebody else's choice.
pub fn filter() -> Option<LogFilter> {
    let control = CONTROL.get()?;
    Some(control.filter.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

/// Writes other lines from now on. False: log lines are somebody else's choice here.
pub fn set_filter(filter: &LogFilter) -> bool {
    let Some(control) = CONTROL.get() else { return false };
    let mut current = control.filter.lock().unwrap_or_else(PoisonError::into_inner);
    let replaced = (control.replace)(filter.build());
    if replaced {
        current.clone_from(filter);
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_in_levels_are_no_targets() {
        let check = |text: &str, fault: Option<&str>| match (text.parse::<LogFilter>(), fault) {
            (Ok(filter), None) => assert_eq!(filter.as_str(), text),
            (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{error}"),
            (parsed, _) => panic!("{text}: {parsed:?}"),
        };
        check("info", None);
        check("INFO", None);
        check("info,sqlx=warn", None);
        check("server_runtime::ops=trace,off", None);
        check("backend_services", None);
        check("inof", Some("did you mean info?"));
        check("info,sqlx=wran", Some("did you mean warn?"));
        check("sqlx=7000", Some("no level"));
        check("", Some("1 to 1024"));
        check(&"x".repeat(2000), Some("1 to 1024"));
    }
}
