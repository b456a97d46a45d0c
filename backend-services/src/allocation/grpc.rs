//! Back end: Agones' allocator, or the local fleet's, over gRPC. Owns the translation of its answers; must never
//! know which of the two it talks to.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use agones_sdk::allocation::{AllocateError, AllocationRequest, AllocationResponse, AllocatorClient};
use serde::Deserialize;

use super::{AllocationFault, Allocator, Server};

/// An allocator behind one URL.
#[derive(Clone, Debug)]
pub struct GrpcAllocator {
    client: AllocatorClient,
    /// The local fleet's HTTP, which says how many servers are ready.
    fleet: Option<FleetHttp>,
}

#[derive(Clone, Debug)]
struct FleetHttp {
    url: String,
    client: reqwest::Client,
}

/// What of the fleet's `/healthz` is read.
#[derive(Deserialize)]
struct FleetHealth {
    status: String,
    ready: u32,
}

/// The fleet's answer is due by then.
const FLEET_TIMEOUT: Duration = Duration::from_secs(2);

impl GrpcAllocator {
    /// Over this client. `fleet_http` is the base URL of a local fleet, if there is one.
    pub fn new(client: AllocatorClient, fleet_http: Option<&str>) -> Self {
        let fleet = fleet_http.map(|url| FleetHttp {
            url: format!("{}/healthz", url.trim_end_matches('/')),
            client: reqwest::Client::builder().timeout(FLEET_TIMEOUT).build().unwrap_or_default(),
        });
        Self { client, fleet }
    }
}

#[tonic::async_trait]
impl Allocator for GrpcAllocator {
    async fn allocate(&self, request: AllocationRequest) -> Result<Server, AllocationFault> {
        read(self.client.allocate(request).await?).await
    }

    async fn ready(&self) -> Option<u32> {
        let fleet = self.fleet.as_ref()?;
        let health: FleetHealth = fleet.client.get(&fleet.url).send().await.ok()?.json().await.ok()?;
        Some(if health.status == "ok" { health.ready } else { 0 })
    }
}

impl From<AllocateError> for AllocationFault {
    fn from(error: AllocateError) -> Self {
        match error {
            AllocateError::Exhausted => Self::NoneReady,
            AllocateError::Contention => Self::Contention,
            AllocateError::Deadline(limit) => Self::Deadline(limit),
            AllocateError::Unreachable(why) => Self::Unreachable(why),
            error => Self::Refused(error.to_string()),
        }
    }
}

async fn read(response: AllocationResponse) -> Result<Server, AllocationFault> {
    let port = response.ports.first().map(|port| i64::from(port.port));
    let address = address(&response.game_server_name, &response.address, port).await?;
    let metadata = response.metadata.unwrap_or_default();
    Ok(Server {
        name: response.game_server_name,
        address,
        source: response.source,
        labels: metadata.labels,
        annotations: metadata.annotations,
    })
}

/// Where players connect; a host name is looked up.
///
/// # Errors
/// There is no name, no port, or no address.
pub(super) async fn address(
    name: &str,
    host: &str,
    port: Option<i64>,
) -> Result<SocketAddr, AllocationFault> {
    let bad = |what: String| AllocationFault::BadReply(what);
    if name.is_empty() {
        return Err(bad("the server has no name".to_owned()));
    }
    let port = port.ok_or_else(|| bad(format!("server {name} has no port")))?;
    let port = u16::try_from(port).ok().filter(|port| *port != 0);
    let port = port.ok_or_else(|| bad(format!("server {name} has a port out of range")))?;
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    if host.is_empty() {
        return Err(bad(format!("server {name} has no address")));
    }
    let found = tokio::net::lookup_host((host, port)).await.ok().and_then(|mut found| found.next());
    found.ok_or_else(|| bad(format!("server {name} has the address {host:?}, which no lookup finds")))
}
