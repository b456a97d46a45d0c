//! Owns: the allocation service over the roster. Must never know: which server is taken, or why.

use std::sync::Arc;

use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::roster::{NoServer, Roster};
use crate::proto::allocation::allocation_response::{
    CounterStatus, GameServerMetadata, GameServerStatusAddress, GameServerStatusPort, ListStatus,
};
use crate::proto::allocation::allocation_service_server::{AllocationService, AllocationServiceServer};
use crate::proto::allocation::{AllocationRequest, AllocationResponse};
use crate::proto::sdk::GameServer;

/// Serves until the fleet stops.
pub(super) async fn serve(roster: Arc<Roster>, listener: TcpListener) {
    let stopped = roster.stopped();
    let served = Server::builder()
        .add_service(AllocationServiceServer::new(Service { roster }))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stopped)
        .await;
    if let Err(error) = served {
        tracing::warn!(%error, "allocator ended");
    }
}

struct Service {
    roster: Arc<Roster>,
}

#[tonic::async_trait]
impl AllocationService for Service {
    async fn allocate(
        &self,
        request: Request<AllocationRequest>,
    ) -> Result<Response<AllocationResponse>, Status> {
        allocate(&self.roster, &request.into_inner()).map(Response::new)
    }
}

/// Takes one server.
pub(super) fn allocate(roster: &Roster, request: &AllocationRequest) -> Result<AllocationResponse, Status> {
    match roster.allocate(request) {
        Ok(server) => Ok(response(&server)),
        Err(NoServer::Exhausted) => {
            Err(Status::resource_exhausted("there is no available GameServer to allocate"))
        }
        Err(NoServer::Contention) => {
            Err(Status::aborted("too many concurrent requests have overwhelmed the system"))
        }
        Err(NoServer::Draining) => Err(Status::unavailable("fleet is draining")),
    }
}

fn response(server: &GameServer) -> AllocationResponse {
    let meta = server.object_meta.clone().unwrap_or_default();
    let status = server.status.clone().unwrap_or_default();
    let port =
        |p: crate::proto::sdk::game_server::status::Port| GameServerStatusPort { name: p.name, port: p.port };
    let address = |a: crate::proto::sdk::game_server::status::Address| GameServerStatusAddress {
        r#type: a.r#type,
        address: a.address,
    };
    let counters = status.counters.into_iter().map(|(name, counter)| {
        (name, CounterStatus { count: Some(counter.count), capacity: Some(counter.capacity) })
    });
    let lists = status
        .lists
        .into_iter()
        .map(|(name, list)| (name, ListStatus { values: list.values, capacity: Some(list.capacity) }));
    AllocationResponse {
        game_server_name: meta.name,
        ports: status.ports.into_iter().map(port).collect(),
        address: status.address,
        node_name: "local".into(),
        source: "local".into(),
        metadata: Some(GameServerMetadata { labels: meta.labels, annotations: meta.annotations }),
        addresses: status.addresses.into_iter().map(address).collect(),
        counters: counters.collect(),
        lists: lists.collect(),
    }
}
