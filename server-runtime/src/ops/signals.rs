//! What signals ask of a server.
//!
//! | signal | |
//! |---|---|
//! | SIGTERM, SIGINT, Ctrl-C | drain; the second one stops at once |
//! | SIGHUP | the settings file is read again; without one, the terminal is gone: drain |

use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::Command;
use super::reload::Reloader;
use crate::configure::ReloadError;

/// Obeys signals until the runtime ends.
pub(super) async fn watch(commands: mpsc::Sender<Command>, within: Duration, reloader: Arc<Reloader>) {
    let mut signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => return tracing::error!(%error, "signals cannot be watched"),
    };
    let mut draining = false;
    loop {
        let why = match signals.next().await {
            Signal::End(why) => why,
            Signal::Reload => match reloader.reload("SIGHUP") {
                Err(ReloadError::NoFile) => "the terminal is gone",
                // Told in the log.
                _ => continue,
            },
        };
        // A receiver that is gone has ended already.
        let _ = commands.send(if draining { Command::Stop } else { Command::Drain { within, why } });
        draining = true;
    }
}

enum Signal {
    End(&'static str),
    Reload,
}

/// Ctrl-C everywhere, and the others where there are such things.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn install() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::End("SIGTERM"),
            _ = self.interrupt.recv() => Signal::End("SIGINT"),
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    fn install() -> std::io::Result<Self> {
        Ok(Self {})
    }

    async fn next(&mut self) -> Signal {
        let _ = tokio::signal::ctrl_c().await;
        Signal::End("Ctrl-C")
    }
}
