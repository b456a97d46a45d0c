//! One contract, every kind of session: what `ClientSession` and `ServerSession` promise, held by ours and by those of
//! other libraries, over a seeded network in memory. No socket, no clock.

mod promises;
mod tokens;
mod world;

use netcode_proto::{
    Client, ClientConfig, ClientSession, ConnectError, DATAGRAM_BYTES_MAX, Server, ServerConfig,
    ServerSession,
};
use netcode_transport::{LaminarClientSession, LaminarServerSession, RenetClientSession, RenetServerSession};
use netcode_wire::Time;

type Connected = Result<Box<dyn ClientSession>, ConnectError>;

/// A kind of session, and what it promises beyond the traits.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) client: fn(Time, &[u8], &ClientConfig) -> Connected,
    pub(crate) server: fn(&ServerConfig) -> Box<dyn ServerSession>,
    /// A datagram that the network repeats is noticed.
    pub(crate) notices_repeats: bool,
    /// The longest datagram that it sends: ours look for what the path takes, others trust that it takes 1280 bytes.
    pub(crate) datagram_bytes_max: usize,
    /// What nobody else may read or write cannot be read or written.
    pub(crate) is_sealed: bool,
}

const OURS: Kind = Kind {
    name: "ours",
    client: |now, token, config| Ok(Box::new(Client::connect(now, token, config.clone())?)),
    server: |config| Box::new(Server::new(config.clone())),
    datagram_bytes_max: DATAGRAM_BYTES_MAX,
    notices_repeats: true,
    is_sealed: true,
};

const RENET: Kind = Kind {
    name: "renet",
    client: |now, token, config| Ok(Box::new(RenetClientSession::connect(now, token, config)?)),
    server: |config| Box::new(RenetServerSession::new(config)),
    datagram_bytes_max: BASE_BYTES,
    notices_repeats: true,
    is_sealed: true,
};

const LAMINAR: Kind = Kind {
    name: "laminar",
    client: |now, token, config| Ok(Box::new(LaminarClientSession::connect(now, token, config)?)),
    server: |config| Box::new(LaminarServerSession::new(config)),
    datagram_bytes_max: BASE_BYTES,
    notices_repeats: false,
    is_sealed: false,
};

/// 1232 = 1280 IPv6 minimum − 40 − 8.
const BASE_BYTES: usize = 1232;

/// Runs `test` for every kind; a failure says for which.
fn for_all(test: impl Fn(Kind)) {
    for kind in [OURS, RENET, LAMINAR] {
        eprintln!("— {}", kind.name);
        test(kind);
    }
}
