//! Servers for matches: [`Allocator`] is one place that hands out servers, [`Servers`] all of them with the rules
//! for choosing (`region`, `policy`), for not asking for more than there is (`warm`) and for asking again
//! (`retry`); `ask` and `sheet` write the request, `connect` mints what a player connects with.
//!
//! | back end | speaks | file |
//! |---|---|---|
//! | Agones' allocator, or the local fleet's | gRPC `AllocationService`, with mTLS where the URL is https | `grpc` |
//! | the cluster's own API (feature `kubernetes`) | REST, `GameServerAllocation` | `kubernetes` |
//!
//! It must never know tickets, pools, stores or REST.

mod ask;
pub mod connect;
pub mod failover;
mod flags;
pub mod grpc;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod policy;
pub mod region;
mod retry;
mod servers;
mod sheet;
mod warm;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use agones_sdk::allocation::AllocationRequest;

pub use self::ask::{Selection, Wanted};
pub use self::flags::{Flags, FlagsFault};
pub use self::servers::{Admission, Cluster, Region, Servers};
pub use self::sheet::{MATCH_ANNOTATION, MatchSheet, SheetPlayer};
pub use self::warm::{Gate, Outcome};

/// A place that hands out servers. One call is one try: asking again is [`Servers`]' work.
#[tonic::async_trait]
pub trait Allocator: fmt::Debug + Send + Sync {
    /// Takes one server that fits.
    async fn allocate(&self, request: AllocationRequest) -> Result<Server, AllocationFault>;

    /// How many servers could be taken right now; `None` where this place does not say.
    async fn ready(&self) -> Option<u32>;
}

/// A server that is ours now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name in its fleet.
    pub name: String,
    /// Where players connect.
    pub address: SocketAddr,
    /// The cluster that it came from, as the allocator names it.
    pub source: String,
    /// Its labels, ours included.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, ours included.
    pub annotations: BTreeMap<String, String>,
}

/// Why there is no server. The tickets wait on in any case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocationFault {
    /// No server fits right now; the fleet may be growing.
    #[error("no server is ready")]
    NoneReady,
    /// Every server that fitted was taken by somebody else meanwhile.
    #[error("every server that was ready was taken by somebody else")]
    Contention,
    /// Nobody answers there.
    #[error("allocator is unreachable: {0}")]
    Unreachable(String),
    /// No answer came in time. A server may have been taken all the same: it ends when nobody comes.
    #[error("allocator did not answer within {0:?}")]
    Deadline(Duration),
    /// The allocator does not want to: wrong certificate, wrong namespace, wrong request.
    #[error("allocator refused: {0}")]
    Refused(String),
    /// The allocator said yes, and nothing that a player could connect to.
    #[error("allocator's answer is not usable: {0}")]
    BadReply(String),
}
