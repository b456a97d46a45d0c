//! The gRPC contracts between game servers and the backend: `tickwright.match.v1`, `tickwright.boards.v1` and
//! `tickwright.players.v1`, generated from `proto/`. Client and server halves, and the signature over a match's result, which both halves must
//! make alike; no other logic, no transport choice.
//!
//! Every call carries the metadata `authorization: Bearer <service token>`, and is idempotent by match id or by
//! the source that the server names.

pub mod signature;

/// Version 1 of the match service: messages, `matches_client` and `matches_server`.
pub mod match_v1 {
    #![allow(
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        clippy::allow_attributes_without_reason,
        reason = "generated code; its documentation is the .proto file's"
    )]
    tonic::include_proto!("tickwright.r#match.v1");
}

/// Version 1 of the boards' service: messages, `boards_client` and `boards_server`.
pub mod boards_v1 {
    #![allow(
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        clippy::allow_attributes_without_reason,
        reason = "generated code; its documentation is the .proto file's"
    )]
    tonic::include_proto!("tickwright.boards.v1");
}

/// Version 1 of the players' services: messages, clients and servers.
pub mod players_v1 {
    #![allow(
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        clippy::allow_attributes_without_reason,
        reason = "generated code; its documentation is the .proto file's"
    )]
    tonic::include_proto!("tickwright.players.v1");
}

pub use boards_v1::boards_client::BoardsClient;
pub use boards_v1::boards_server::{Boards, BoardsServer};
pub use match_v1::matches_client::MatchesClient;
pub use match_v1::matches_server::{Matches, MatchesServer};
pub use match_v1::{
    BackfillSeat, CancelBackfillReply, CancelBackfillRequest, MatchResult, PlayerResult, ReportLostReply,
    ReportLostRequest, RequestBackfillReply, RequestBackfillRequest, SubmitResultReply, SuspicionCount,
    Withheld,
};
pub use players_v1::custody_client::CustodyClient;
pub use players_v1::custody_server::{Custody, CustodyServer};
pub use players_v1::sanctions_client::SanctionsClient;
pub use players_v1::sanctions_server::{Sanctions, SanctionsServer};

/// Name of the metadata entry that carries `Bearer <service token>`.
pub const AUTHORIZATION: &str = "authorization";
