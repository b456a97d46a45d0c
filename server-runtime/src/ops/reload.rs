//! Reading the settings again while matches are played, at SIGHUP or by the admin port. Owns the settings in force and
//! the count of what came of each reading; must never reach a world but by the tick thread's own command.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};

use super::Command;
use crate::configure::{Configured, ReloadError, Reloaded};

/// Reads the settings again for whoever asks.
pub(crate) struct Reloader {
    configured: Mutex<Configured>,
    commands: mpsc::Sender<Command>,
    applied: AtomicU64,
    refused: AtomicU64,
    last_refused: AtomicBool,
}

/// How often the settings were read again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reloads {
    pub(super) applied: u64,
    pub(super) refused: u64,
    /// The last reading was refused: the file is not what is in force.
    pub(super) last_refused: bool,
}

impl Reloader {
    pub(super) fn new(configured: Configured, commands: mpsc::Sender<Command>) -> Self {
        Self {
            configured: Mutex::new(configured),
            commands,
            applied: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            last_refused: AtomicBool::new(false),
        }
    }

    /// Reads the file; `why` is for the log, which also tells what came of it.
    pub(super) fn reload(&self, why: &'static str) -> Result<Reloaded, ReloadError> {
        // A panic in here would have changed nothing: the settings are replaced last.
        let mut configured = self.configured.lock().unwrap_or_else(PoisonError::into_inner);
        let read = configured.reload();
        self.last_refused.store(read.is_err(), Ordering::Relaxed);
        match read {
            Ok((reloaded, balance)) => {
                self.applied.fetch_add(1, Ordering::Relaxed);
                if let Some(balance) = balance {
                    // No receiver: the server is at its end, and needs no balance.
                    let _ = self.commands.send(Command::Balance(balance));
                }
                tracing::info!(why, applied = ?reloaded.applied, "settings read again");
                if !reloaded.needs_restart.is_empty() {
                    tracing::warn!(keys = ?reloaded.needs_restart, "changed in the file, and in force only after a restart");
                }
                Ok(reloaded)
            }
            Err(error) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                tracing::error!(why, %error, "settings refused; the old ones are in force");
                Err(error)
            }
        }
    }

    pub(super) fn counts(&self) -> Reloads {
        Reloads {
            applied: self.applied.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            last_refused: self.last_refused.load(Ordering::Relaxed),
        }
    }
}
