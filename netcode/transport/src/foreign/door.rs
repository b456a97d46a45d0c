//! Who may come in: reads the request that carries a connect token. Owns the rules that every kind of session keeps;
//! must never know how a request travelled.

use std::collections::HashMap;
use std::net::SocketAddr;

use netcode_proto::{Counters, Request, ServerConfig};
use netcode_token::{Key, USER_DATA_LEN, aead::TAG_LEN, open_private};
use netcode_wire::Time;

/// What a token is known by: the tag of its private part.
pub(crate) type Mark = [u8; TAG_LEN];

/// Reads requests with the server's key, and remembers which tokens were used.
#[derive(Debug)]
pub(crate) struct Door {
    protocol_id: u64,
    key: Key,
    public_addresses: Vec<SocketAddr>,
    unix_at_zero_s: u64,
    uses: HashMap<Mark, Use>,
    uses_max: usize,
}

#[derive(Debug)]
struct Use {
    from: SocketAddr,
    expire_unix_s: u64,
    spent: bool,
}

/// Whoever holds an authentic token for this server that has not expired.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) player: u64,
    pub(crate) expire_unix_s: u64,
    #[cfg_attr(not(feature = "laminar"), expect(dead_code, reason = "renet reads it itself"))]
    pub(crate) timeout_s: i32,
    pub(crate) mark: Mark,
    #[cfg_attr(not(feature = "laminar"), expect(dead_code, reason = "renet reads it itself"))]
    pub(crate) user_data: Box<[u8; USER_DATA_LEN]>,
}

/// Whether a token may be used from an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Never seen before, or seen from here and not spent.
    Granted,
    /// Seen from elsewhere, spent, or the table is full of tokens that have not expired.
    Refused,
}

impl Door {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        Self {
            protocol_id: config.protocol_id,
            key: config.private_key.clone(),
            public_addresses: config.public_addresses.clone(),
            unix_at_zero_s: config.unix_at_zero_s,
            uses: HashMap::new(),
            // As our own sessions: four tokens a slot within their life, and room for a small server's rush.
            uses_max: config.clients_max * 4 + 1024,
        }
    }

    /// Reads a request, which is decrypted in place; `None` when it admits nobody here, which is counted.
    pub(crate) fn read(&self, now: Time, request: &mut [u8], counters: &mut Counters) -> Option<Visitor> {
        let Some(request) = Request::decode(request, self.protocol_id) else {
            counters.requests_invalid += 1;
            return None;
        };
        if request.expire_unix_s <= self.unix_s(now) {
            counters.requests_expired += 1;
            return None;
        }
        let mark = request.private.last_chunk().copied()?;
        let (nonce, expire_unix_s) = (request.nonce, request.expire_unix_s);
        let opened = open_private(request.private, &nonce, self.protocol_id, expire_unix_s, &self.key);
        let Some(token) = opened.ok().filter(|token| self.is_named(&token.servers)) else {
            counters.requests_invalid += 1;
            return None;
        };
        let (player, timeout_s) = (token.client_id, token.timeout_s);
        Some(Visitor { player, expire_unix_s, timeout_s, mark, user_data: token.user_data })
    }

    /// Binds a token to the address that showed it first.
    pub(crate) fn claim(&mut self, visitor: &Visitor, from: SocketAddr) -> Claim {
        if let Some(earlier) = self.uses.get(&visitor.mark) {
            let same = earlier.from == from && !earlier.spent;
            return if same { Claim::Granted } else { Claim::Refused };
        }
        if self.uses.len() >= self.uses_max {
            return Claim::Refused;
        }
        let expire_unix_s = visitor.expire_unix_s;
        self.uses.insert(visitor.mark, Use { from, expire_unix_s, spent: false });
        Claim::Granted
    }

    /// A session began with this token: it is good for nothing more.
    pub(crate) fn spend(&mut self, mark: &Mark) {
        if let Some(earlier) = self.uses.get_mut(mark) {
            earlier.spent = true;
        }
    }

    /// Forgets the tokens that have expired: their requests are refused for that.
    pub(crate) fn sweep(&mut self, now: Time) {
        let unix_s = self.unix_s(now);
        self.uses.retain(|_, earlier| earlier.expire_unix_s > unix_s);
    }

    pub(crate) fn unix_s(&self, now: Time) -> u64 {
        self.unix_at_zero_s.saturating_add(now.as_micros() / 1_000_000)
    }

    /// Without addresses of our own, any that the token names is taken for ours.
    fn is_named(&self, servers: &[SocketAddr]) -> bool {
        self.public_addresses.is_empty() || servers.iter().any(|named| self.public_addresses.contains(named))
    }
}
