//! The states of a session and who may move them: pure functions, the one place where a transition is allowed.
//!
//! The tables are in `netcode/STATES.md`; a test reads them and compares every pair. Must never know a packet's
//! bytes, a key or a clock.

/// Where the server stands with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerPhase {
    /// A stranger: nothing is kept.
    Absent,
    /// It has shown a token and was sent a challenge.
    Challenged,
    /// It has answered the challenge; it may not know yet.
    Unconfirmed,
    /// It has sent something that only a connected client sends.
    Confirmed,
}

/// What can happen to a peer of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerCause {
    /// A valid request.
    Request,
    /// A valid request while no slot is free.
    RequestDenied,
    /// A valid response.
    Response,
    /// A valid resumption request.
    Resume,
    /// The first extended packet of a client that resumes.
    Resumed,
    /// A valid response while no slot is free.
    ResponseDenied,
    /// A handshake that nobody went on with.
    Lapse,
    /// A keep-alive.
    KeepAlive,
    /// A payload.
    Payload,
    /// The answer to a path challenge.
    PathResponse,
    /// A probe of how long a datagram the path takes.
    Probe,
    /// The answer to one of ours.
    ProbeAnswer,
    /// A disconnect packet.
    PeerDisconnect,
    /// Nothing for the token's timeout.
    Silence,
    /// A newer session of the same player, or at the same address.
    Takeover,
    /// A body that breaks the link's rules.
    Misbehaviour,
    /// The application's wish.
    HostDisconnect,
}

impl ServerPhase {
    /// The phase after `cause`; `None` when the cause is not for this phase and is dropped.
    pub(crate) const fn after(self, cause: ServerCause) -> Option<Self> {
        use ServerCause as C;
        use ServerPhase::{Absent, Challenged, Confirmed, Unconfirmed};
        Some(match (self, cause) {
            (Absent | Challenged, C::Request | C::Resume) => Challenged,
            (Absent | Challenged, C::RequestDenied) => Absent,
            (Challenged, C::Response) => Unconfirmed,
            (Challenged, C::Resumed) => Confirmed,
            (Challenged, C::ResponseDenied | C::Lapse) => Absent,
            (Unconfirmed | Confirmed, C::KeepAlive | C::Payload)
            | (Confirmed, C::PathResponse | C::Probe | C::ProbeAnswer) => Confirmed,
            (
                Unconfirmed | Confirmed,
                C::PeerDisconnect | C::Silence | C::Takeover | C::Misbehaviour | C::HostDisconnect,
            ) => Absent,
            _ => return None,
        })
    }
}

/// Where a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientPhase {
    /// Sending requests to one of the token's servers.
    Requesting,
    /// Sending responses to its challenge.
    Responding,
    /// The session stands.
    Connected,
    /// Over.
    Disconnected,
}

/// What can happen to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientCause {
    /// A challenge.
    Challenge,
    /// The server's yes to our resumption.
    Resumed,
    /// A keep-alive.
    KeepAlive,
    /// A payload.
    Payload,
    /// The server's yes to our offer.
    Accept,
    /// The server asks whether we are where our packets come from.
    PathChallenge,
    /// A probe of how long a datagram the path takes.
    Probe,
    /// The answer to one of ours.
    ProbeAnswer,
    /// A refusal, and the token names another server.
    DeniedTryNext,
    /// A refusal by the last server.
    Denied,
    /// Nothing for the token's timeout, and the token names another server.
    SilenceTryNext,
    /// Nothing for the token's timeout from the last server.
    Silence,
    /// The token's life is over.
    Expiry,
    /// A disconnect packet.
    PeerDisconnect,
    /// A body that breaks the link's rules.
    Misbehaviour,
    /// The application's wish.
    HostDisconnect,
}

impl ClientPhase {
    /// The phase after `cause`; `None` when the cause is not for this phase and is dropped.
    pub(crate) const fn after(self, cause: ClientCause) -> Option<Self> {
        use ClientCause as C;
        use ClientPhase::{Connected, Disconnected, Requesting, Responding};
        Some(match (self, cause) {
            (Requesting, C::Challenge) => Responding,
            (Responding, C::KeepAlive) | (Requesting, C::Resumed) => Connected,
            (Requesting | Responding, C::DeniedTryNext | C::SilenceTryNext) => Requesting,
            (Requesting | Responding, C::Denied | C::Expiry) => Disconnected,
            (Connected, C::KeepAlive | C::Payload | C::Accept) => Connected,
            (Connected, C::PathChallenge | C::Probe | C::ProbeAnswer) => Connected,
            (Connected, C::PeerDisconnect | C::Misbehaviour) => Disconnected,
            (Requesting | Responding | Connected, C::Silence | C::HostDisconnect) => Disconnected,
            _ => return None,
        })
    }
}

/// How far an end has come from the standard's form of packets to the extended one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtensionPhase {
    /// Netcode 1.02 and nothing else.
    Standard,
    /// Accepted the client's offer; it may not know yet (server only).
    Accepted,
    /// Sends in the extended form.
    Extended,
}

/// What moves an end towards the extended form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtensionCause {
    /// A client's offer (server only).
    Offer,
    /// A server's acceptance (client only).
    Accept,
    /// An authentic packet in the extended form.
    ExtendedPacket,
}

impl ExtensionPhase {
    /// The phase after `cause`; `None` when the cause is not for this phase and does nothing.
    pub(crate) const fn after(self, cause: ExtensionCause) -> Option<Self> {
        use ExtensionCause as C;
        use ExtensionPhase::{Accepted, Extended, Standard};
        Some(match (self, cause) {
            (Standard | Accepted, C::Offer) => Accepted,
            (Standard, C::Accept) | (Accepted | Extended, C::ExtendedPacket) => Extended,
            _ => return None,
        })
    }
}

/// Whether a server doubts where a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathPhase {
    /// The client is where the session's packets go.
    Settled,
    /// Its newest packets came from elsewhere; they still go to the old address.
    Probing,
}

/// What a server learns about a client's address. Every cause is an authentic packet that was never seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathCause {
    /// The newest packet so far, from another address than the session's.
    NewestElsewhere,
    /// The newest packet so far, from the session's address.
    NewestHere,
    /// The right answer, from the address that was asked.
    Response,
}

impl PathPhase {
    /// The phase after `cause`; `None` when the cause is not for this phase and does nothing.
    pub(crate) const fn after(self, cause: PathCause) -> Option<Self> {
        use PathCause as C;
        use PathPhase::{Probing, Settled};
        Some(match (self, cause) {
            (Settled | Probing, C::NewestElsewhere) => Probing,
            (Probing, C::NewestHere | C::Response) => Settled,
            _ => return None,
        })
    }
}

/// How far an end has come with finding out how long a datagram the path takes, after RFC 8899 §5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MtuPhase {
    /// Not agreed on: 1200 bytes.
    Disabled,
    /// Confirming that 1200 bytes pass.
    Base,
    /// Looking for more.
    Searching,
    /// What was found is in use.
    Complete,
    /// Not even 1200 bytes pass.
    Error,
}

/// What moves the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MtuCause {
    /// Both ends answer probes.
    Agreed,
    /// A probe of 1200 bytes was answered.
    Confirmed,
    /// Three of them were not.
    Unconfirmed,
    /// Nothing longer is left to try.
    Exhausted,
    /// It is time to try again.
    Raise,
    /// Three probes of the length in use were not answered.
    BlackHole,
    /// The session is at another host.
    Moved,
}

impl MtuPhase {
    /// The phase after `cause`; `None` when the cause is not for this phase and does nothing.
    pub(crate) const fn after(self, cause: MtuCause) -> Option<Self> {
        use MtuCause as C;
        use MtuPhase::{Base, Complete, Disabled, Error, Searching};
        Some(match (self, cause) {
            (Disabled, C::Agreed) | (Searching | Complete, C::BlackHole) => Base,
            (Base | Searching | Complete | Error, C::Moved) => Base,
            (Base | Error, C::Confirmed) | (Complete, C::Raise) => Searching,
            (Base, C::Unconfirmed) => Error,
            (Searching, C::Exhausted) => Complete,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    const SERVER_PHASES: [ServerPhase; 4] =
        [ServerPhase::Absent, ServerPhase::Challenged, ServerPhase::Unconfirmed, ServerPhase::Confirmed];
    const SERVER_CAUSES: [ServerCause; 17] = [
        ServerCause::Request,
        ServerCause::RequestDenied,
        ServerCause::Response,
        ServerCause::Resume,
        ServerCause::Resumed,
        ServerCause::ResponseDenied,
        ServerCause::Lapse,
        ServerCause::KeepAlive,
        ServerCause::Payload,
        ServerCause::PathResponse,
        ServerCause::Probe,
        ServerCause::ProbeAnswer,
        ServerCause::PeerDisconnect,
        ServerCause::Silence,
        ServerCause::Takeover,
        ServerCause::Misbehaviour,
        ServerCause::HostDisconnect,
    ];
    const CLIENT_PHASES: [ClientPhase; 4] =
        [ClientPhase::Requesting, ClientPhase::Responding, ClientPhase::Connected, ClientPhase::Disconnected];
    const CLIENT_CAUSES: [ClientCause; 16] = [
        ClientCause::Challenge,
        ClientCause::Resumed,
        ClientCause::KeepAlive,
        ClientCause::Payload,
        ClientCause::Accept,
        ClientCause::PathChallenge,
        ClientCause::Probe,
        ClientCause::ProbeAnswer,
        ClientCause::DeniedTryNext,
        ClientCause::Denied,
        ClientCause::SilenceTryNext,
        ClientCause::Silence,
        ClientCause::Expiry,
        ClientCause::PeerDisconnect,
        ClientCause::Misbehaviour,
        ClientCause::HostDisconnect,
    ];

    /// The rows `| from | cause | to |` of the table under `heading` in STATES.md, sorted.
    fn documented(heading: &str) -> Vec<[String; 3]> {
        let text = include_str!("../../../STATES.md");
        let section =
            text.split("\n## ").find(|section| section.starts_with(heading)).expect("the section exists");
        let rows = section.lines().filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
            let code = |cell: &str| Some(cell.strip_prefix('`')?.strip_suffix('`')?.to_string());
            (cells.len() >= 4).then(|| Some([code(cells[0])?, code(cells[1])?, code(cells[2])?]))?
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort();
        rows
    }

    /// Every pair of state and cause against the table under `heading`, which has `rows` rows.
    fn check<P: Copy + Debug, C: Copy + Debug>(
        heading: &str,
        phases: &[P],
        causes: &[C],
        after: impl Fn(P, C) -> Option<P>,
        rows: usize,
    ) {
        let pairs = phases.iter().flat_map(|&from| causes.iter().map(move |&cause| (from, cause)));
        let moves = pairs.filter_map(|(from, cause)| {
            after(from, cause).map(|to| [format!("{from:?}"), format!("{cause:?}"), format!("{to:?}")])
        });
        let mut moves: Vec<_> = moves.collect();
        moves.sort();
        assert_eq!(moves, documented(heading));
        assert_eq!(moves.len(), rows);
    }

    #[test]
    fn the_server_moves_as_documented_and_not_otherwise() {
        check("Server", &SERVER_PHASES, &SERVER_CAUSES, ServerPhase::after, 27);
    }

    #[test]
    fn the_client_moves_as_documented_and_not_otherwise() {
        check("Client", &CLIENT_PHASES, &CLIENT_CAUSES, ClientPhase::after, 25);
    }

    #[test]
    fn the_form_moves_as_documented_and_not_otherwise() {
        use ExtensionCause::{Accept, ExtendedPacket, Offer};
        use ExtensionPhase::{Accepted, Extended, Standard};
        let (phases, causes) = ([Standard, Accepted, Extended], [Offer, Accept, ExtendedPacket]);
        check("Form", &phases, &causes, ExtensionPhase::after, 5);
    }

    #[test]
    fn the_path_moves_as_documented_and_not_otherwise() {
        use PathCause::{NewestElsewhere, NewestHere, Response};
        use PathPhase::{Probing, Settled};
        let (phases, causes) = ([Settled, Probing], [NewestElsewhere, NewestHere, Response]);
        check("Path", &phases, &causes, PathPhase::after, 4);
    }

    #[test]
    fn the_search_for_the_path_mtu_moves_as_documented_and_not_otherwise() {
        use MtuCause::{Agreed, BlackHole, Confirmed, Exhausted, Moved, Raise, Unconfirmed};
        use MtuPhase::{Base, Complete, Disabled, Error, Searching};
        let phases = [Disabled, Base, Searching, Complete, Error];
        let causes = [Agreed, Confirmed, Unconfirmed, Exhausted, Raise, BlackHole, Moved];
        check("Longest datagram", &phases, &causes, MtuPhase::after, 12);
    }
}
