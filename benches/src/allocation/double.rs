//! The allocation service of a fleet that is always warm: real gRPC, a made-up server in every answer. Owns the
//! answers; knows no ticket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use agones_sdk::proto::allocation::allocation_response::GameServerStatusPort;
use agones_sdk::proto::allocation::allocation_service_server::{AllocationService, AllocationServiceServer};
use agones_sdk::proto::allocation::{AllocationRequest, AllocationResponse};
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// The double; it ends with its runtime.
pub(super) struct Double {
    pub(super) address: SocketAddr,
    taken: Arc<AtomicU32>,
    _runtime: Runtime,
}

struct Service {
    taken: Arc<AtomicU32>,
    delay: Duration,
}

impl Double {
    /// Each answer takes `delay`.
    pub(super) fn start(delay: Duration) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
        let (address, taken) = (listener.local_addr()?, Arc::new(AtomicU32::new(0)));
        let service = AllocationServiceServer::new(Service { taken: Arc::clone(&taken), delay });
        let server = tonic::transport::Server::builder().tcp_nodelay(true).add_service(service);
        runtime.spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Ok(Self { address, taken, _runtime: runtime })
    }

    /// Servers given away.
    pub(super) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }
}

#[tonic::async_trait]
impl AllocationService for Service {
    async fn allocate(
        &self,
        _request: Request<AllocationRequest>,
    ) -> Result<Response<AllocationResponse>, Status> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        let port = i32::try_from(7000 + number % 1000).map_err(|_| Status::internal("no port"))?;
        Ok(Response::new(AllocationResponse {
            game_server_name: format!("warm-{number}"),
            address: "127.0.0.1".to_owned(),
            ports: vec![GameServerStatusPort { name: "default".to_owned(), port }],
            ..Default::default()
        }))
    }
}
