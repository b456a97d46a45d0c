//! Owns: where the sidecar is and how patient a client is with it.
//! Must never know: what is asked of the sidecar.

use std::time::Duration;

use super::error::SdkError;
use crate::backoff::Backoff;

/// The sidecar's gRPC port unless the environment says otherwise.
pub const GRPC_PORT_DEFAULT: u16 = 9357;
/// The sidecar's HTTP port unless the environment says otherwise.
pub const HTTP_PORT_DEFAULT: u16 = 9358;

/// How to reach the sidecar.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Base address, for example `http://localhost:9357`.
    pub endpoint: String,
    /// How long [`super::Sdk::connect`] tries before it gives up. The sidecar may well start after us.
    pub connect_within: Duration,
    /// Deadline of each call, retries included.
    pub deadline: Duration,
    /// Waits between tries.
    pub backoff: Backoff,
}

impl ConnectOptions {
    /// Options for a sidecar at `endpoint`: 30 s to connect, 5 s a call.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            connect_within: Duration::from_secs(30),
            deadline: Duration::from_secs(5),
            backoff: Backoff::default(),
        }
    }

    /// Reads `AGONES_SDK_GRPC_HOST` (default `http://localhost`) and `AGONES_SDK_GRPC_PORT` (default 9357).
    pub fn from_env() -> Result<Self, SdkError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// As [`ConnectOptions::from_env`], from any lookup.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SdkError> {
        let host = lookup("AGONES_SDK_GRPC_HOST").filter(|host| !host.is_empty());
        let host = host.unwrap_or_else(|| "http://localhost".into());
        let host = host.trim_end_matches('/');
        let port = match lookup("AGONES_SDK_GRPC_PORT").filter(|port| !port.is_empty()) {
            None => GRPC_PORT_DEFAULT,
            Some(text) => text
                .parse()
                .map_err(|_| SdkError::Endpoint { name: "AGONES_SDK_GRPC_PORT", value: text.clone() })?,
        };
        let scheme = if host.contains("://") { "" } else { "http://" };
        Ok(Self::new(format!("{scheme}{host}:{port}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: Option<&str>, port: Option<&str>, expected: Result<&str, &str>) {
        let lookup = |name: &str| match name {
            "AGONES_SDK_GRPC_HOST" => host.map(str::to_owned),
            "AGONES_SDK_GRPC_PORT" => port.map(str::to_owned),
            _ => None,
        };
        let found = ConnectOptions::from_lookup(lookup).map(|options| options.endpoint);
        let found = found.map_err(|error| error.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn the_environment_names_the_endpoint() {
        check(None, None, Ok("http://localhost:9357"));
        check(Some("127.0.0.1"), Some("5000"), Ok("http://127.0.0.1:5000"));
        check(Some("http://127.0.0.1/"), Some(""), Ok("http://127.0.0.1:9357"));
        check(None, Some("99999"), Err("AGONES_SDK_GRPC_PORT is not usable: \"99999\""));
    }
}
