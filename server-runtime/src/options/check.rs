//! Which settings a server cannot use, beside what their types say. Decides; changes nothing.

use netcode_token::Key;
use operate::Secret;

use super::ServerOptions;
use crate::transport::Transport;

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A number outside its range.
    #[error("{key} is {value}: allowed is {allowed}")]
    OutOfRange {
        /// The flag.
        key: &'static str,
        /// What it was set to.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// Nothing was given where something must be.
    #[error("{key} is missing: {hint}")]
    Missing {
        /// The flag and its variable.
        key: &'static str,
        /// What to give.
        hint: &'static str,
    },
    /// Text that is not what it should be. The value itself is not shown when it is a secret.
    #[error("{key} is not usable: {expected}")]
    Malformed {
        /// The flag and its variable.
        key: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Two settings that exclude each other.
    #[error("{key} does not go with {other}: {hint}")]
    Conflict {
        /// The flag.
        key: &'static str,
        /// What it excludes.
        other: String,
        /// What to do instead.
        hint: &'static str,
    },
    /// A transport that was left out of this build.
    #[error(
        "--transport {transport} is not in this build: build with the cargo feature `{transport}` (here are: {built})"
    )]
    NotBuilt {
        /// The one asked for.
        transport: Transport,
        /// Those there are.
        built: String,
    },
}

impl ServerOptions {
    /// Checks what clap cannot, and everything again for options made in code.
    ///
    /// # Errors
    /// The first setting that cannot be used, with what it may be.
    pub fn validate(&self) -> Result<(), OptionsError> {
        in_range("--tick-rate", self.tick_rate.unwrap_or(60), 10, 128, "10 to 128 Hz")?;
        in_range("--clients-max", self.clients_max, 1, 1024, "1 to 1024 players")?;
        in_range("--encode-threads", self.encode_threads.unwrap_or(1), 1, 64, "1 to 64 threads")?;
        in_range("--rooms", self.rooms, 1, 1000, "1 to 1000 matches")?;
        in_range("--threads", self.threads.unwrap_or(1), 1, 256, "1 to 256 threads")?;
        in_range("--catch-up-ticks", self.catch_up_ticks, 1, 60, "1 to 60 ticks")?;
        in_range("--record-mib", self.record_mib, 0, 1024, "0 (off) to 1024 MiB")?;
        in_range("--seconds", self.seconds, 0, 86_400, "0 (never ends) to 86400 seconds")?;
        in_range("--wait-seconds", self.wait_seconds, 1, 600, "1 to 600 seconds")?;
        in_range("--seat-hold-seconds", self.seat_hold_seconds, 0, 600, "0 to 600 seconds")?;
        in_range("--grace-seconds", self.grace_seconds, 0, 60, "0 to 60 seconds")?;
        in_range("--checkpoint-seconds", self.checkpoint_seconds, 0, 3600, "0 (never) to 3600 seconds")?;
        in_range("--drain-seconds", self.drain_seconds, 0, 3600, "0 to 3600 seconds")?;
        let malformed = |key, expected| OptionsError::Malformed { key, expected };
        if let Some(url) = &self.backend {
            backend(url).map_err(|expected| malformed("--backend (TICKWRIGHT_BACKEND)", expected))?;
        }
        self.transport.require()?;
        if let Some(name) = &self.region {
            region(name).map_err(|expected| malformed("--region (TICKWRIGHT_REGION)", expected))?;
        }
        if let Some(token) = &self.admin_token {
            admin_token(&token.0).map_err(|expected| malformed(ADMIN_TOKEN, expected))?;
        } else if !self.admin_bind.is_loopback() {
            let other = format!("--admin-bind {} without {ADMIN_TOKEN}", self.admin_bind);
            let hint =
                "whoever reaches that address reads and writes there; give a token, or bind to 127.0.0.1";
            return Err(OptionsError::Conflict { key: "--admin-port", other, hint });
        }
        if self.websocket_port.is_some() && !self.transport.is_ours() {
            let other = format!("--transport {}", self.transport);
            let hint = "its clients come by UDP alone; browsers need --transport udp or websocket";
            return Err(OptionsError::Conflict { key: "--websocket-port", other, hint });
        }
        if self.rooms > 1 && !self.transport.is_ours() {
            let other = format!("--transport {}", self.transport);
            let hint = "other libraries' sessions are one match's; start a process for each";
            return Err(OptionsError::Conflict { key: "--rooms", other, hint });
        }
        self.private_key().map(drop)
    }

    /// The key that connect tokens are sealed with.
    ///
    /// # Errors
    /// It is missing, or not 64 hexadecimal digits.
    pub fn private_key(&self) -> Result<Key, OptionsError> {
        const KEY: &str = "--key (TICKWRIGHT_KEY)";
        let hint = "give 64 hexadecimal digits, the same to whoever mints connect tokens";
        let hex = self.key.as_ref().ok_or(OptionsError::Missing { key: KEY, hint })?;
        Key::from_hex(hex.0.trim()).map_err(|_| OptionsError::Malformed { key: KEY, expected: DIGITS })
    }
}

fn in_range<T: Copy + PartialOrd + std::fmt::Display>(
    key: &'static str,
    value: T,
    least: T,
    most: T,
    allowed: &'static str,
) -> Result<(), OptionsError> {
    if value < least || value > most {
        return Err(OptionsError::OutOfRange { key, value: value.to_string(), allowed });
    }
    Ok(())
}

/// Reads a protocol id in decimal or, with `0x`, in hexadecimal.
pub(super) fn protocol(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "allowed is a 64-bit number, decimal or 0x…".into())
}

/// What the admin port asks for: a header's value, and not to be guessed.
pub(super) fn admin_token(text: &str) -> Result<Secret, &'static str> {
    let good = (16..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if good { Ok(text.into()) } else { Err("expected 16 to 256 visible ASCII characters") }
}

pub(super) fn private_key(text: &str) -> Result<Secret, &'static str> {
    Key::from_hex(text.trim()).map(|_| text.into()).map_err(|_| DIGITS)
}

pub(super) fn backend(url: &str) -> Result<String, &'static str> {
    let good = url.starts_with("http://") || url.starts_with("https://");
    if good { Ok(url.to_owned()) } else { Err("expected an endpoint like http://127.0.0.1:7070") }
}

pub(super) fn region(name: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = (1..=16).contains(&name.len()) && name.bytes().all(plain);
    if good { Ok(name.to_owned()) } else { Err("expected 1 to 16 of a-z, 0-9 and -") }
}

const DIGITS: &str = "expected 64 hexadecimal digits";
const ADMIN_TOKEN: &str = "--admin-token (TICKWRIGHT_ADMIN_TOKEN)";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::options::PROTOCOL_ID_DEFAULT;

    #[derive(Parser, Debug)]
    struct Flags {
        #[command(flatten)]
        server: ServerOptions,
    }

    fn valid() -> ServerOptions {
        ServerOptions { key: Some("11".repeat(32).into()), ..ServerOptions::default() }
    }

    #[test]
    fn defaults_are_what_an_empty_command_line_gives() {
        let parsed = Flags::parse_from(["x"]).server;
        let fields =
            |options: &ServerOptions| format!("{:?}", ServerOptions { key: None, ..options.clone() });
        assert_eq!(fields(&parsed), fields(&ServerOptions::default()));
        assert_eq!(valid().validate(), Ok(()));
    }

    #[test]
    fn errors_name_the_key_and_the_range() {
        let check = |options: ServerOptions, expected: &str| {
            let message = options.validate().unwrap_err().to_string();
            assert_eq!(message, expected);
        };
        check(
            ServerOptions { tick_rate: Some(500), ..valid() },
            "--tick-rate is 500: allowed is 10 to 128 Hz",
        );
        check(
            ServerOptions { key: Some("abc".into()), ..valid() },
            "--key (TICKWRIGHT_KEY) is not usable: expected 64 hexadecimal digits",
        );
        let missing = ServerOptions { key: None, ..valid() }.validate().unwrap_err().to_string();
        assert!(missing.starts_with("--key (TICKWRIGHT_KEY) is missing: "), "{missing}");
        let combined =
            ServerOptions { transport: Transport::Renet, websocket_port: Some(0), ..valid() }.validate();
        if Transport::Renet.is_built() {
            let said = combined.unwrap_err().to_string();
            assert!(said.starts_with("--websocket-port does not go with --transport renet: "), "{said}");
        }
        let backend = ServerOptions { backend: Some("localhost".into()), ..valid() };
        assert!(backend.validate().unwrap_err().to_string().contains("--backend"));
        let open = ServerOptions { admin_bind: [0, 0, 0, 0].into(), ..valid() };
        let said = open.validate().unwrap_err().to_string();
        assert!(said.contains("--admin-bind 0.0.0.0 without --admin-token"), "{said}");
        let short = ServerOptions { admin_token: Some("short".into()), ..valid() };
        let said = short.validate().unwrap_err().to_string();
        assert!(said.contains("--admin-token") && !said.contains("short"), "{said}");
        let token = Some("0123456789abcdef".into());
        assert_eq!(ServerOptions { admin_token: token, ..open }.validate(), Ok(()));
        let region = ServerOptions { region: Some("EU West".into()), ..valid() };
        assert!(region.validate().unwrap_err().to_string().contains("--region"));
    }

    #[test]
    fn clap_names_the_flag_and_the_range() {
        let message = Flags::try_parse_from(["x", "--tick-rate", "9"]).unwrap_err().to_string();
        let first = message.lines().next().unwrap();
        assert!(first.contains("--tick-rate") && first.contains("10..=128"), "{first}");
    }

    #[test]
    fn protocol_ids_in_both_spellings() {
        assert_eq!(protocol("0x5449434B57524947"), Ok(PROTOCOL_ID_DEFAULT));
        assert_eq!(protocol("17"), Ok(17));
        assert!(protocol("x").is_err());
    }
}
