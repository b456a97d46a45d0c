//! One client of a cluster as the laws see it: its paths, what was said, and why it may end. Knows no schedule.

use std::net::SocketAddr;

use netcode_proto::{Client, ClientId, DisconnectReason};
use netcode_token::TOKEN_LEN;
use netcode_wire::Time;

use crate::conditioner::Conditioner;
use crate::laws::{Ledger, Violation};

/// One client that was ever started, and the server's session with it.
#[derive(Debug)]
pub struct Seat {
    pub(crate) player: u64,
    pub(crate) address: SocketAddr,
    pub(crate) joined: Time,
    pub(crate) client: Option<Client>,
    /// What it came with, and when that was minted.
    pub(crate) token: Box<[u8; TOKEN_LEN]>,
    pub(crate) token_from: Time,
    pub(crate) session: Option<ClientId>,
    /// When the server told of the session.
    pub(crate) connected: Option<Time>,
    /// From the client, from the server.
    pub(crate) paths: [Conditioner; 2],
    pub(crate) ledgers: [Ledger; 2],
    /// Why each end may close: client, server. What is not excused breaks a law.
    pub(crate) excuses: [Excuse; 2],
    pub(crate) ended: Option<DisconnectReason>,
}

/// What may end a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Excuse {
    /// The other end said goodbye, or will.
    pub goodbye: bool,
    /// The path was, or will be, dead for longer than the timeout.
    pub silence: bool,
    /// The player came again with a newer token.
    pub superseded: bool,
}

impl Excuse {
    /// Whether `reason` may end a session with this excuse.
    ///
    /// # Errors
    /// [`Violation::ClosedWithoutCause`].
    pub(crate) fn judge(self, reason: DisconnectReason) -> Result<(), Violation> {
        use DisconnectReason::{ByPeer, ByUs, RequestTimedOut, ResponseTimedOut, Superseded, TimedOut};
        let is_excused = match reason {
            ByPeer | ByUs(_) => self.goodbye,
            TimedOut | RequestTimedOut | ResponseTimedOut => self.silence,
            Superseded => self.superseded,
            DisconnectReason::Denied => self.superseded,
            DisconnectReason::Misbehaved(_) | DisconnectReason::TokenExpired => false,
        };
        if is_excused { Ok(()) } else { Err(Violation::ClosedWithoutCause(reason.to_string())) }
    }
}

/// A newer token has come: the older end is told goodbye, or hears nothing any more.
pub(crate) const TAKEN_OVER: Excuse = Excuse { goodbye: true, silence: true, superseded: true };
