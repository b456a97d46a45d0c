//! Owns: the matchmaker's half of the allocation contract: one call, a deadline, typed refusals, mutual TLS.
//! Must never know: whether the allocator is a cluster's or the local fleet.

mod tls;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::timeout;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

pub use self::tls::{Authority, TlsFiles, TlsFilesError};

pub use crate::proto::allocation::allocation_service_client::AllocationServiceClient;
pub use crate::proto::allocation::game_server_selector::GameServerState;
pub use crate::proto::allocation::{
    AllocationRequest, AllocationResponse, CounterAction, CounterSelector, GameServerSelector,
    LabelMatchExpressions, ListAction, ListSelector, MetaPatch, Priority,
};

/// A connection that takes longer is none: there may be another endpoint.
const CONNECT_MAX: Duration = Duration::from_millis(1500);
/// The allocator closes connections that are idle for 5 min and forbids pings more often than one a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(70);

/// A connection to an allocator. Cheap to clone. Connects on first use and again after a break.
#[derive(Clone, Debug)]
pub struct AllocatorClient {
    channel: Arc<RwLock<Channel>>,
    endpoint: Arc<str>,
    tls: Option<Arc<TlsFiles>>,
    deadline: Duration,
}

/// Why no server was allocated.
#[derive(Debug, thiserror::Error)]
pub enum AllocateError {
    /// The configured address is none.
    #[error("allocator address is not usable: {0:?}")]
    Endpoint(String),
    /// An https address needs certificates, and an http address takes none.
    #[error(
        "allocator address {0:?} and the certificates given do not go together: https needs them, http has none"
    )]
    Scheme(String),
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsFilesError),
    /// No server fits right now; the fleet may be growing.
    #[error("fleet has no server that fits")]
    Exhausted,
    /// Every server that fitted was taken by somebody else meanwhile; try again at once.
    #[error("fleet lost every race for a server")]
    Contention,
    /// The deadline passed. The server may have been allocated all the same.
    #[error("allocator did not answer within {0:?}")]
    Deadline(Duration),
    /// Nobody answers there, or the certificates are not accepted.
    #[error("allocator is unreachable: {0}")]
    Unreachable(String),
    /// Anything else.
    #[error("allocator refused: {} ({:?})", .0.message(), .0.code())]
    Refused(#[source] Box<tonic::Status>),
}

impl AllocateError {
    /// Whether asking again later can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Exhausted | Self::Contention | Self::Deadline(_) | Self::Unreachable(_) => true,
            Self::Refused(_) | Self::Endpoint(_) | Self::Scheme(_) | Self::Tls(_) => false,
        }
    }
}

impl AllocatorClient {
    /// A client of the allocator at `endpoint`, for example `http://127.0.0.1:7100`; needs a tokio runtime.
    /// `deadline` holds for each call. Nothing is encrypted: for a fleet on this machine, or inside a mesh.
    pub fn new(endpoint: &str, deadline: Duration) -> Result<Self, AllocateError> {
        Self::open(endpoint, None, deadline)
    }

    /// The same over mutual TLS, for example `https://agones-allocator.agones-system.svc:443`. The files are read
    /// again when a connection breaks, so that a rotated certificate is taken up without a restart.
    pub fn with_tls(endpoint: &str, tls: TlsFiles, deadline: Duration) -> Result<Self, AllocateError> {
        Self::open(endpoint, Some(Arc::new(tls)), deadline)
    }

    fn open(endpoint: &str, tls: Option<Arc<TlsFiles>>, deadline: Duration) -> Result<Self, AllocateError> {
        let channel = connect(endpoint, tls.as_deref(), deadline)?;
        Ok(Self { channel: Arc::new(RwLock::new(channel)), endpoint: endpoint.into(), tls, deadline })
    }

    /// The address that it was opened with.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Takes one server.
    pub async fn allocate(&self, request: AllocationRequest) -> Result<AllocationResponse, AllocateError> {
        let channel = self.channel.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut client = AllocationServiceClient::new(channel);
        let answer = timeout(self.deadline, client.allocate(request)).await;
        let response = answer.map_err(|_| AllocateError::Deadline(self.deadline))?;
        response.map(tonic::Response::into_inner).map_err(|status| match status.code() {
            Code::ResourceExhausted => AllocateError::Exhausted,
            Code::Aborted => AllocateError::Contention,
            _ if tls::is_broken(&status) => {
                self.take_up_new_files();
                AllocateError::Unreachable(tls::last_cause(&status))
            }
            _ => AllocateError::Refused(Box::new(status)),
        })
    }

    /// After a break: the certificates may have been rotated. Files that cannot be used leave what there is.
    fn take_up_new_files(&self) {
        let Some(tls) = self.tls.as_deref() else { return };
        match connect(&self.endpoint, Some(tls), self.deadline) {
            Ok(channel) => *self.channel.write().unwrap_or_else(PoisonError::into_inner) = channel,
            Err(error) => tracing::warn!(%error, endpoint = &*self.endpoint, "certificates not read again"),
        }
    }
}

fn connect(endpoint: &str, tls: Option<&TlsFiles>, deadline: Duration) -> Result<Channel, AllocateError> {
    let target = Endpoint::from_shared(endpoint.to_owned())
        .map_err(|_| AllocateError::Endpoint(endpoint.to_owned()))?;
    match (target.uri().scheme_str(), tls) {
        (Some("https"), Some(_)) | (Some("http"), None) => {}
        (Some("https" | "http"), _) => return Err(AllocateError::Scheme(endpoint.to_owned())),
        _ => return Err(AllocateError::Endpoint(endpoint.to_owned())),
    }
    let target = target
        .connect_timeout(deadline.min(CONNECT_MAX))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE);
    let target = match tls {
        Some(files) => {
            target.tls_config(files.read()?).map_err(|error| TlsFilesError::refused(files, &error))?
        }
        None => target,
    };
    Ok(target.connect_lazy())
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
