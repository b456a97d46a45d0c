//! Who may use the admin port. Owns the token's digest and the session that a browser gets for it; must never know what
//! lies behind the gate.
//!
//! | who | gets in by |
//! |---|---|
//! | programs | `Authorization: Bearer TOKEN` with every request |
//! | a browser | `POST /login` with that header, once; from then on a cookie that scripts cannot read |
//! | anybody, where no token is set | coming to an address of the machine itself |
//!
//! The token is never taken from a URL: those end up in logs and histories. The live view's page takes it from the part
//! after `#`, which browsers keep to themselves. The cookie holds a session of this process, not the token.
//!
//! What a foreign page makes a browser send is refused: requests with an `Origin` that is not ours, and, without a token,
//! requests by a host name (a foreign name may be made to point to 127.0.0.1).

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::{constant_time, digest};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use netcode_token::Key;
use operate::Secret;

/// The gate of one admin port.
pub(crate) struct Gate {
    token: Option<digest::Digest>,
    session: String,
    /// With the port, since cookies of all ports of a host are one jar.
    cookie: String,
    refused: AtomicU64,
}

/// What the gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Come in.
    Welcome,
    /// No token, or a wrong one: 401.
    Unknown,
    /// Sent by a foreign page: 403.
    Foreign,
}

impl Gate {
    /// For whoever has `token`; without one, for whoever comes to the machine itself.
    pub(crate) fn new(token: Option<&Secret>, port: u16) -> Self {
        Self {
            token: token.map(|token| digest_of(&token.0)),
            session: Key::generate().to_hex(),
            cookie: format!("tickwright_admin_{port}"),
            refused: AtomicU64::new(0),
        }
    }

    /// Whether a request with these headers may pass.
    pub(super) fn check(&self, headers: &HeaderMap) -> Verdict {
        let verdict = if self.is_foreign(headers) {
            Verdict::Foreign
        } else if self.has_token(headers) || self.has_session(headers) {
            Verdict::Welcome
        } else {
            Verdict::Unknown
        };
        if verdict != Verdict::Welcome {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        verdict
    }

    /// The cookie for a browser that has shown the token. Not `Secure`: this port speaks plain HTTP, and whoever puts TLS
    /// before it passes the cookie through.
    pub(super) fn cookie(&self) -> HeaderValue {
        let text = format!("{}={}; HttpOnly; SameSite=Strict; Path=/", self.cookie, self.session);
        HeaderValue::from_str(&text).expect("hexadecimal digits and letters")
    }

    /// How many requests were turned away.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let Some(expected) = &self.token else { return true };
        let given = text(headers, &header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        // Digests, so that a token's length shows in no time either.
        given.is_some_and(|given| same(digest_of(given).as_ref(), expected.as_ref()))
    }

    fn has_session(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.any(|(name, value)| {
            name == self.cookie && same(digest_of(value).as_ref(), digest_of(&self.session).as_ref())
        })
    }

    fn is_foreign(&self, headers: &HeaderMap) -> bool {
        let host = text(headers, &header::HOST);
        let by_name = self.token.is_none() && host.is_some_and(|host| !is_here(host));
        let origin = text(headers, &header::ORIGIN);
        let by_page = origin.is_some_and(|origin| origin.split_once("://").map(|(_, at)| at) != host);
        by_name || by_page
    }
}

/// Whether a `Host` header names the machine by an address, or as `localhost`.
fn is_here(host: &str) -> bool {
    let Ok(uri) = host.parse::<Uri>() else { return false };
    let Some(name) = uri.host() else { return false };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn digest_of(text: &str) -> digest::Digest {
    digest::digest(&digest::SHA256, text.as_bytes())
}

fn same(one: &[u8], other: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_token_opens_and_nothing_else_does() {
        let gate = Gate::new(Some(&TOKEN.into()), 4000);
        let check = |pairs: &[(&'static str, &str)], verdict| {
            assert_eq!(gate.check(&headers(pairs)), verdict, "{pairs:?}");
        };
        let cookie = gate.cookie().to_str().unwrap().to_owned();
        let cookie = cookie.split(';').next().unwrap();
        check(&[("authorization", "Bearer 0123456789abcdef")], Verdict::Welcome);
        check(&[("cookie", cookie)], Verdict::Welcome);
        check(&[("cookie", &format!("a=b; {cookie}; c=d"))], Verdict::Welcome);
        check(&[], Verdict::Unknown);
        check(&[("authorization", "Bearer 0123456789abcdeF")], Verdict::Unknown);
        check(&[("authorization", "Bearer ")], Verdict::Unknown);
        check(&[("authorization", "0123456789abcdef")], Verdict::Unknown);
        check(&[("cookie", "tickwright_admin_4000=0123456789abcdef")], Verdict::Unknown);
        check(&[("cookie", &cookie.replace("4000", "4001"))], Verdict::Unknown);
        assert!(!cookie.contains(TOKEN));
        assert_eq!(gate.refused(), 6);
        let again = Gate::new(Some(&TOKEN.into()), 4000);
        assert_eq!(again.check(&headers(&[("cookie", cookie)])), Verdict::Unknown, "another process");
    }

    #[test]
    fn foreign_pages_get_nowhere() {
        let open = Gate::new(None, 4000);
        let closed = Gate::new(Some(&TOKEN.into()), 4000);
        let check = |gate: &Gate, host: &str, origin: Option<&str>, verdict| {
            let mut pairs = vec![("host", host), ("authorization", "Bearer 0123456789abcdef")];
            pairs.extend(origin.map(|origin| ("origin", origin)));
            assert_eq!(gate.check(&headers(&pairs)), verdict, "{host} {origin:?}");
        };
        check(&open, "127.0.0.1:4000", None, Verdict::Welcome);
        check(&open, "[::1]:4000", None, Verdict::Welcome);
        check(&open, "localhost:4000", Some("http://localhost:4000"), Verdict::Welcome);
        check(&open, "evil.example:4000", None, Verdict::Foreign);
        check(&open, "127.0.0.1.evil.example", None, Verdict::Foreign);
        check(&open, "127.0.0.1:4000", Some("http://evil.example"), Verdict::Foreign);
        check(&open, "127.0.0.1:4000", Some("http://127.0.0.1:4001"), Verdict::Foreign);
        check(&open, "127.0.0.1:4000", Some("null"), Verdict::Foreign);
        check(&closed, "game.example", Some("https://game.example"), Verdict::Welcome);
        check(&closed, "game.example", Some("https://evil.example"), Verdict::Foreign);
    }
}
