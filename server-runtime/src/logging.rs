//! Where log lines go: standard error, since standard output speaks JSON to whoever started the process.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Sends logs to standard error, filtered by `TICKWRIGHT_LOG` (default `info`), as JSON when
/// `TICKWRIGHT_LOG_FORMAT=json`. Does nothing when the process has a subscriber already.
pub fn init_logging() {
    let filter = EnvFilter::try_from_env("TICKWRIGHT_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error means that the program has chosen its own subscriber.
    let _ = if std::env::var("TICKWRIGHT_LOG_FORMAT").is_ok_and(|format| format == "json") {
        builder.json().try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
}
