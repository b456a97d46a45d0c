//! Where a browser finds a game server: a rule from the server's address to a URL. Must never know a ticket nor a
//! socket.

use std::str::FromStr;

/// A URL with places for a server's address: `wss://play.example.com/{host}/{port}` behind an ingress that ends TLS
/// and routes by path, `ws://{address}/` on a laptop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserUrl(String);

impl BrowserUrl {
    /// The URL of the server at `address` (`host:port`).
    pub fn of(&self, address: &str) -> String {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        self.0.replace("{address}", address).replace("{host}", host).replace("{port}", port)
    }
}

impl FromStr for BrowserUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.starts_with("ws://") && !text.starts_with("wss://") {
            return Err("must begin with ws:// or wss://");
        }
        if !text.contains("{address}") && !text.contains("{port}") {
            return Err("must say where the server's {address}, or its {host} and {port}, go");
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_urls() {
        let check = |pattern: &str, address: &str, expected: &str| {
            assert_eq!(pattern.parse::<BrowserUrl>().unwrap().of(address), expected);
        };
        check("ws://{address}/", "203.0.113.7:7000", "ws://203.0.113.7:7000/");
        check("ws://{address}/", "[2001:db8::1]:7000", "ws://[2001:db8::1]:7000/");
        check(
            "wss://play.example.com/{host}/{port}",
            "10.0.0.7:7000",
            "wss://play.example.com/10.0.0.7/7000",
        );
    }

    #[test]
    fn a_pattern_that_cannot_be_is_refused() {
        for pattern in ["https://{address}/", "ws://example.com/", "{address}", ""] {
            assert!(pattern.parse::<BrowserUrl>().is_err(), "{pattern}");
        }
    }
}
