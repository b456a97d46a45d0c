//! Owns: the matchmaker's half of the allocation contract: one call, a deadline, typed refusals.
//! Must never know: whether the allocator is a cluster's or the local fleet.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

pub use crate::proto::allocation::allocation_service_client::AllocationServiceClient;
pub use crate::proto::allocation::game_server_selector::GameServerState;
pub use crate::proto::allocation::{
    AllocationRequest, AllocationResponse, CounterAction, CounterSelector, GameServerSelector,
    LabelMatchExpressions, ListAction, ListSelector, MetaPatch, Priority,
};

/// A connection to an allocator. Cheap to clone. Connects on first use and again after a break.
#[derive(Clone, Debug)]
pub struct AllocatorClient {
    client: AllocationServiceClient<Channel>,
    deadline: Duration,
}

/// Why no server was allocated.
#[derive(Debug, thiserror::Error)]
pub enum AllocateError {
    /// The configured address is none.
    #[error("allocator address is not usable: {0:?}")]
    Endpoint(String),
    /// No server fits right now; the fleet may be growing.
    #[error("fleet has no server that fits")]
    Exhausted,
    /// Every server that fitted was taken by somebody else meanwhile; try again at once.
    #[error("fleet lost every race for a server")]
    Contention,
    /// The deadline passed. The server may have been allocated all the same.
    #[error("allocator did not answer within {0:?}")]
    Deadline(Duration),
    /// Anything else, an unreachable allocator included.
    #[error("allocator refused: {} ({:?})", .0.message(), .0.code())]
    Refused(#[source] Box<tonic::Status>),
}

impl AllocateError {
    /// Whether asking again later can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Exhausted | Self::Contention | Self::Deadline(_) => true,
            Self::Refused(status) => status.code() == Code::Unavailable,
            Self::Endpoint(_) => false,
        }
    }
}

impl AllocatorClient {
    /// A client of the allocator at `endpoint`, for example `http://127.0.0.1:7100`; needs a tokio runtime.
    /// `deadline` holds for each call.
    pub fn new(endpoint: &str, deadline: Duration) -> Result<Self, AllocateError> {
        let channel = Endpoint::from_shared(endpoint.to_owned())
            .map_err(|_| AllocateError::Endpoint(endpoint.to_owned()))?
            .connect_timeout(deadline)
            .tcp_nodelay(true)
            .connect_lazy();
        Ok(Self { client: AllocationServiceClient::new(channel), deadline })
    }

    /// Takes one server.
    pub async fn allocate(&self, request: AllocationRequest) -> Result<AllocationResponse, AllocateError> {
        let mut client = self.client.clone();
        let answer = timeout(self.deadline, client.allocate(request)).await;
        let response = answer.map_err(|_| AllocateError::Deadline(self.deadline))?;
        response.map(tonic::Response::into_inner).map_err(|status| match status.code() {
            Code::ResourceExhausted => AllocateError::Exhausted,
            Code::Aborted => AllocateError::Contention,
            _ => AllocateError::Refused(Box::new(status)),
        })
    }
}

impl AllocationRequest {
    /// Any Ready server of one fleet, with these annotations set on it as given.
    pub fn from_fleet(fleet: &str, annotations: BTreeMap<String, String>) -> Self {
        let match_labels = BTreeMap::from([("agones.dev/fleet".to_owned(), fleet.to_owned())]);
        Self {
            namespace: "default".into(),
            game_server_selectors: vec![GameServerSelector { match_labels, ..Default::default() }],
            metadata: Some(MetaPatch { annotations, labels: BTreeMap::new() }),
            ..Default::default()
        }
    }
}

impl AllocationResponse {
    /// `address:port` of the first port, as a client connects to it; `None` if the server has no port.
    pub fn endpoint(&self) -> Option<String> {
        self.ports.first().map(|port| format!("{}:{}", self.address, port.port))
    }
}
