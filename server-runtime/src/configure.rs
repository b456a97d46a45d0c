//! What a server is set to, before anything starts and again when it is told to look: flags, environment, file, balance.
//! Owns which of it may change at run time; must never know a socket, a thread or a tick.

use operate::logs::{self, LogFilter};
use operate::{Settings, SettingsError};
use serde::Serialize;

use crate::balance::{self, BalanceSlot, NewBalance};
use crate::options::{OptionsError, ServerOptions};

/// The one flag that may change while the server runs.
const LOG_LEVEL: &str = "log-level";

/// A server's settings as they are in force.
#[derive(Debug)]
pub(crate) struct Configured {
    settings: Option<Settings>,
    slot: Option<BalanceSlot>,
    balance: Option<NewBalance>,
}

/// What a reload came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Reloaded {
    /// In force from now on.
    pub(crate) applied: Vec<String>,
    /// Other in the file than in this process, which began with the old value and keeps it.
    pub(crate) needs_restart: Vec<String>,
}

/// Settings that a server cannot run with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigureError {
    /// A key, or the file, cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Settings that do not go together.
    #[error(transparent)]
    Options(#[from] OptionsError),
}

/// The old values are in force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    /// The new ones cannot be used.
    #[error(transparent)]
    Refused(ConfigureError),
    /// The game does not say where its settings come from, or no file is among it.
    #[error("this server was started without a settings file: nothing to read again")]
    NoFile,
}

impl<E: Into<ConfigureError>> From<E> for ReloadError {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

impl Configured {
    /// Checks everything that can be checked before a socket is opened.
    pub(crate) fn new(
        options: &ServerOptions,
        settings: Option<Settings>,
        slot: Option<BalanceSlot>,
    ) -> Result<Self, ConfigureError> {
        options.validate()?;
        let balance = read_balance(settings.as_ref(), slot)?;
        Ok(Self { settings, slot, balance })
    }

    /// The balance, if the game has one.
    pub(crate) fn balance(&self) -> Option<&NewBalance> {
        self.balance.as_ref()
    }

    /// What looks like a slip and is no error.
    pub(crate) fn doubts(&self) -> &[String] {
        self.settings.as_ref().map_or(&[], Settings::doubts)
    }

    /// Everything as it is in force, as a settings file without secrets.
    pub(crate) fn to_text(&self) -> String {
        let settings = self.settings.as_ref().map(Settings::to_text).unwrap_or_default();
        settings + &self.balance.as_ref().map(NewBalance::to_text).unwrap_or_default()
    }

    /// Reads the file again and takes over what may change. A new balance is left to the caller, who reaches the worlds.
    ///
    /// # Errors
    /// Something in it cannot be used; then nothing has changed.
    pub(crate) fn reload(&mut self) -> Result<(Reloaded, Option<NewBalance>), ReloadError> {
        let before = self.settings.as_ref().filter(|settings| settings.path().is_some());
        let before = before.ok_or(ReloadError::NoFile)?;
        let after = before.read_again()?;
        after.values::<ServerOptions>()?.validate()?;
        let balance = read_balance(Some(&after), self.slot)?;
        let mut reloaded = Reloaded::default();
        for key in after.changed_since(before) {
            if key == LOG_LEVEL {
                let filter =
                    after.value(key).and_then(|text| text.parse::<LogFilter>().ok()).unwrap_or_default();
                logs::set_filter(&filter);
                reloaded.applied.push(key.to_owned());
            } else {
                reloaded.needs_restart.push(key.to_owned());
            }
        }
        let changed = match (&balance, &self.balance) {
            (Some(now), Some(before)) => now.changed_since(before),
            _ => Vec::new(),
        };
        let new = (!changed.is_empty()).then(|| balance.clone()).flatten();
        reloaded.applied.extend(changed);
        // Deliberate: what needs a restart counts as changed until it has been changed back, so it is told each time.
        self.settings = Some(after.keeping(before, &reloaded.needs_restart));
        self.balance = balance;
        Ok((reloaded, new))
    }
}

fn read_balance(
    settings: Option<&Settings>,
    slot: Option<BalanceSlot>,
) -> Result<Option<NewBalance>, SettingsError> {
    let known: &[&str] = if slot.is_some() { &[balance::TABLE] } else { &[] };
    if let Some(settings) = settings {
        settings.expect_sections(known)?;
    }
    let absent = || operate::settings::Section::empty(balance::TABLE);
    let section = settings.map_or_else(absent, |settings| settings.section(balance::TABLE));
    slot.map(|slot| slot.read(&section)).transpose()
}
