//! A double of Agones' allocation service: gRPC, with mutual TLS where it is given certificates. Its servers are made
//! up, or a real local fleet's behind it.

use std::net::SocketAddr;
use std::time::Duration;

use agones_sdk::allocation::{AllocateError, AllocatorClient};
use agones_sdk::proto::allocation::allocation_response::{GameServerMetadata, GameServerStatusPort};
use agones_sdk::proto::allocation::allocation_service_server::{AllocationService, AllocationServiceServer};
use agones_sdk::proto::allocation::{AllocationRequest, AllocationResponse};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use super::certs::{Authority, Signed};
use super::world::{Fault, Made, World};

/// Whom the double takes servers from.
#[derive(Clone)]
pub enum Source {
    Made,
    Fleet(AllocatorClient),
}

#[derive(Clone)]
struct Double {
    world: World,
    source: Source,
}

/// A running double, in a runtime of its own: its end is the end of its connections too.
pub struct Running {
    pub address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Running {
    /// Runs `serve` beside the test.
    pub fn spawn(address: SocketAddr, serve: impl Future<Output = ()> + Send + 'static) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        runtime.spawn(serve);
        Self { address, runtime: Some(runtime) }
    }

    /// Nobody listens there any more, and nobody answers on what was open.
    pub fn vanish(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waits for the tasks' drops; from a thread that may block.
            let ended = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5)));
            ended.join().expect("no panic");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Serves `world`, over TLS if there are a server certificate and the authority of the clients.
pub fn start(world: World, source: Source, tls: Option<(&Signed, &Authority)>) -> Running {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("an address");
    let mut server = Server::builder();
    if let Some((signed, clients)) = tls {
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(&signed.cert, &signed.key))
            .client_ca_root(Certificate::from_pem(&clients.pem));
        server = server.tls_config(tls).expect("good certificates");
    }
    let router = server.add_service(AllocationServiceServer::new(Double { world, source }));
    Running::spawn(address, async move {
        let listener = TcpListener::from_std(listener).expect("a socket");
        router.serve_with_incoming(TcpListenerStream::new(listener)).await.expect("it serves");
    })
}

#[tonic::async_trait]
impl AllocationService for Double {
    async fn allocate(
        &self,
        request: Request<AllocationRequest>,
    ) -> Result<Response<AllocationResponse>, Status> {
        let request = request.into_inner();
        let fault = self.world.ask();
        match fault {
            Some(Fault::Contention) => {
                return Err(Status::aborted("too many concurrent requests have overwhelmed the system"));
            }
            Some(Fault::Refused) => return Err(Status::permission_denied("no")),
            Some(Fault::Silence) => std::future::pending().await,
            _ => {}
        }
        let mut response = match &self.source {
            Source::Made => self.take(&request)?,
            Source::Fleet(client) => client.allocate(request).await.map_err(|error| match error {
                AllocateError::Exhausted => Status::resource_exhausted("none"),
                error => Status::unknown(error.to_string()),
            })?,
        };
        if let Some(Fault::Bad(bad)) = fault {
            let made = read(&response).spoiled(bad);
            response.game_server_name = made.name;
            response.address = made.address;
            response.ports = ports(&made.ports);
        }
        Ok(Response::new(response))
    }
}

impl Double {
    fn take(&self, request: &AllocationRequest) -> Result<AllocationResponse, Status> {
        let none = || Status::resource_exhausted("there is no available GameServer to allocate");
        let patch = request.metadata.clone().unwrap_or_default();
        let take = |labels| self.world.take(labels, (&patch.labels, &patch.annotations));
        let made = request.game_server_selectors.iter().find_map(|selector| take(&selector.match_labels));
        let made = made.ok_or_else(none)?;
        Ok(AllocationResponse {
            game_server_name: made.name,
            address: made.address,
            ports: ports(&made.ports),
            source: "local".to_owned(),
            metadata: Some(GameServerMetadata { labels: made.labels, annotations: made.annotations }),
            ..Default::default()
        })
    }
}

fn ports(ports: &[i32]) -> Vec<GameServerStatusPort> {
    ports.iter().map(|port| GameServerStatusPort { name: "default".to_owned(), port: *port }).collect()
}

fn read(response: &AllocationResponse) -> Made {
    Made {
        name: response.game_server_name.clone(),
        address: response.address.clone(),
        ports: response.ports.iter().map(|port| port.port).collect(),
        labels: Default::default(),
        annotations: Default::default(),
    }
}
