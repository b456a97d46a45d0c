//! Connect tokens: the client's half and the server's. What is read must be what STANDARD.md says those bytes
//! mean, and a client begun with any readable token ends in time. Must never know a key that it was not given.

use std::net::SocketAddr;
use std::time::Duration;

use netcode_proto::{Client, ClientConfig, ClientState};
use netcode_token::{
    NONCE_LEN, PRIVATE_LEN, PrivateToken, PublicToken, SERVERS_MAX, Seat, TOKEN_LEN, TokenError, VERSION,
    aead, open_private,
};
use netcode_wire::Time;

use super::feed::{Digest, Feed};
use super::parts::{PROTOCOL, UNIX, private_key, token};

/// The public part: the 61 bytes before the private part, then what stands behind it.
///
/// # Panics
/// When a law is broken.
pub fn public(input: &[u8]) -> u64 {
    assert!(input.len() == TOKEN_LEN || PublicToken::decode(input) == Err(TokenError::Truncated));
    let mut feed = Feed::new(input);
    let mut bytes = vec![0; TOKEN_LEN];
    let head = feed.take(HEAD_LEN);
    bytes[..head.len()].copy_from_slice(head);
    let tail = feed.take(TOKEN_LEN - HEAD_LEN - PRIVATE_LEN);
    bytes[HEAD_LEN + PRIVATE_LEN..][..tail.len()].copy_from_slice(tail);
    let Ok(token) = PublicToken::decode(&bytes) else { return 0 };
    let written = public_bytes(&token);
    assert_eq!(bytes[..written.len()], written);
    assert!(token.create_unix_s <= token.expire_unix_s);
    let mut digest = Digest::new();
    digest.add(&written);
    digest.number(life(&token, &bytes));
    digest.finish()
}

/// A client begun with this token asks its first server at once, and is over when the token is, at the latest.
fn life(token: &PublicToken, bytes: &[u8]) -> u64 {
    let began = Time::from_secs(5);
    let mut client =
        Client::connect(began, bytes, ClientConfig::new(token.protocol_id)).expect("it can be read");
    let asked = client.poll_transmit().map(|asked| (asked.to, asked.bytes.len(), asked.bytes[0]));
    assert_eq!(asked, Some((token.servers[0], 1078, 0)));
    let life_s = token.expire_unix_s - token.create_unix_s;
    for part in 1..=40 {
        let now = began + Duration::from_secs(life_s / 40).saturating_mul(part);
        client.step(now);
        while let Some(asked) = client.poll_transmit() {
            assert!(token.servers.contains(&asked.to), "only the token's servers are asked");
        }
        assert!(token.servers.contains(&client.server()));
    }
    client.step(Time::MAX);
    client.step(Time::MAX);
    let is_over = matches!(client.state(), ClientState::Disconnected(_));
    // A life longer than time itself does not end.
    let is_endless = Duration::from_secs(life_s) > Time::MAX.since(began);
    assert!(is_over || is_endless, "{:?} after {life_s} s", client.state());
    client.counters().datagrams_out
}

/// The private part's text, sealed by the backend's own key; and the same bytes as a forged private part.
///
/// # Panics
/// When a law is broken.
pub fn private(input: &[u8]) -> u64 {
    let (key, nonce) = (private_key(), [3; NONCE_LEN]);
    let mut sealed = [0; PRIVATE_LEN];
    let len = input.len().min(PRIVATE_LEN);
    sealed[..len].copy_from_slice(&input[..len]);
    let forged = open_private(&mut sealed.to_vec(), &nonce, PROTOCOL, UNIX, &key);
    assert_eq!(forged, Err(TokenError::Forged));
    if input.len() != PRIVATE_LEN {
        let short = open_private(&mut input.to_vec(), &nonce, PROTOCOL, UNIX, &key);
        assert_eq!(short, Err(TokenError::Truncated));
    }
    let associated = [&VERSION[..], &PROTOCOL.to_le_bytes(), &UNIX.to_le_bytes()].concat();
    let (text, tag) = sealed.split_at_mut(PRIVATE_LEN - aead::TAG_LEN);
    let original = text.to_vec();
    tag.copy_from_slice(&aead::seal_extended(&key, &nonce, &associated, text));
    let Ok(token) = open_private(&mut sealed, &nonce, PROTOCOL, UNIX, &key) else { return 0 };
    let written = private_bytes(&token);
    assert_eq!(original[..written.len()], written);
    let mut digest = Digest::new();
    digest.add(&written);
    if let Ok(seat) = Seat::decode(&token.user_data) {
        assert_eq!(Seat::decode(&seat.encode()).as_ref(), Ok(&seat));
        digest.add(&seat.encode());
    }
    digest.finish()
}

/// A token's fields as the standard numbers them.
fn public_bytes(token: &PublicToken) -> Vec<u8> {
    let head = [token.protocol_id, token.create_unix_s, token.expire_unix_s].map(u64::to_le_bytes).concat();
    let mut out = [&VERSION[..], &head, &token.nonce, &token.private[..]].concat();
    out.extend(token.timeout_s.to_le_bytes());
    out.extend(address_bytes(&token.servers));
    out.extend(token.client_to_server.as_bytes());
    out.extend(token.server_to_client.as_bytes());
    out
}

fn private_bytes(token: &PrivateToken) -> Vec<u8> {
    let mut out = token.client_id.to_le_bytes().to_vec();
    out.extend(token.timeout_s.to_le_bytes());
    out.extend(address_bytes(&token.servers));
    out.extend(token.client_to_server.as_bytes());
    out.extend(token.server_to_client.as_bytes());
    out.extend(&token.user_data[..]);
    out
}

fn address_bytes(servers: &[SocketAddr]) -> Vec<u8> {
    assert!((1..=SERVERS_MAX).contains(&servers.len()));
    let mut out = (servers.len() as u32).to_le_bytes().to_vec();
    for server in servers {
        match server {
            SocketAddr::V4(server) => {
                out.push(1);
                out.extend(server.ip().octets());
            }
            SocketAddr::V6(server) => {
                out.push(2);
                out.extend(server.ip().segments().map(u16::to_le_bytes).concat());
            }
        }
        out.extend(server.port().to_le_bytes());
    }
    out
}

/// What honest backends give to [`public`].
#[must_use]
pub fn public_seeds() -> Vec<Vec<u8>> {
    let token = token(1, 1, UNIX);
    let short = |servers: &[&str]| {
        let mut token = PublicToken::decode(&token[..]).expect("our own token");
        token.servers = servers.iter().map(|server| server.parse().expect("an address")).collect();
        let bytes = public_bytes(&token);
        [&bytes[..HEAD_LEN], &bytes[HEAD_LEN + PRIVATE_LEN..]].concat()
    };
    vec![short(&["10.0.0.1:4000"]), short(&["[2001:db8::1]:9", "1.2.3.4:5"]), short(&["9.9.9.9:1"; 32])]
}

/// What honest backends give to [`private`].
#[must_use]
pub fn private_seeds() -> Vec<Vec<u8>> {
    let text = |servers: &[&str], name: &str| {
        let token = PublicToken::decode(&token(1, 1, UNIX)[..]).expect("our own token");
        private_bytes(&PrivateToken {
            client_id: 1,
            timeout_s: 5,
            servers: servers.iter().map(|server| server.parse().expect("an address")).collect(),
            client_to_server: token.client_to_server,
            server_to_client: token.server_to_client,
            user_data: Box::new(Seat { player: 1, name: name.into(), ..Seat::default() }.encode()),
        })
    };
    vec![text(&["10.0.0.1:4000"], "Ada"), text(&["[2001:db8::1]:9"; 32], "é"), text(&["1.2.3.4:5"], "")]
}

const HEAD_LEN: usize = 13 + 8 + 8 + 8 + NONCE_LEN;
