//! An allocator that speaks Agones' gRPC and hands out made-up servers, or refuses as the real one does; and
//! the fleet's `/gameservers.json` beside it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use agones_sdk::proto::allocation::allocation_response::GameServerStatusPort;
use agones_sdk::proto::allocation::allocation_service_server::{AllocationService, AllocationServiceServer};
use agones_sdk::proto::allocation::{AllocationRequest, AllocationResponse};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// An allocation that was asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub at: Instant,
    pub server: String,
    pub request: AllocationRequest,
}

#[derive(Default)]
struct State {
    /// So many of the next requests are refused.
    refusals: usize,
    asked: Vec<Asked>,
    dead: Vec<String>,
    /// Before each answer.
    delay: std::time::Duration,
}

/// The double; cloning shares it.
#[derive(Clone)]
pub struct FakeAllocator {
    state: Arc<Mutex<State>>,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
}

impl FakeAllocator {
    pub async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let (grpc, http) = (listen().await, listen().await);
        let fake = Self {
            state,
            grpc: grpc.local_addr().expect("an address"),
            http: http.local_addr().expect("an address"),
        };
        let service = AllocationServiceServer::new(fake.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(grpc)));
        let fleet = fake.clone();
        let list = axum::routing::get(async move || axum::Json(fleet.game_servers()));
        let router = axum::Router::new().route("/gameservers.json", list);
        tokio::spawn(async move { axum::serve(http, router).await });
        fake
    }

    /// The next `count` requests find no server.
    pub fn refuse(&self, count: usize) {
        self.state.lock().expect("no panic").refusals = count;
    }

    /// Every answer takes so long from now on.
    pub fn slow(&self, delay: std::time::Duration) {
        self.state.lock().expect("no panic").delay = delay;
    }

    /// The server is gone from the fleet.
    pub fn kill(&self, server: &str) {
        self.state.lock().expect("no panic").dead.push(server.to_owned());
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().expect("no panic").asked.clone()
    }

    fn game_servers(&self) -> serde_json::Value {
        let state = self.state.lock().expect("no panic");
        let alive = state.asked.iter().filter(|asked| !state.dead.contains(&asked.server));
        alive.map(|asked| serde_json::json!({ "name": asked.server, "state": "Allocated" })).collect()
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

#[tonic::async_trait]
impl AllocationService for FakeAllocator {
    async fn allocate(
        &self,
        request: Request<AllocationRequest>,
    ) -> Result<Response<AllocationResponse>, Status> {
        let delay = self.state.lock().expect("no panic").delay;
        tokio::time::sleep(delay).await;
        let mut state = self.state.lock().expect("no panic");
        if state.refusals > 0 {
            state.refusals -= 1;
            return Err(Status::resource_exhausted("there is no available GameServer to allocate"));
        }
        let number = state.asked.len();
        let server = format!("fake-{number}");
        state.asked.push(Asked { at: Instant::now(), server: server.clone(), request: request.into_inner() });
        let port = i32::try_from(7000 + number % 1000).expect("a port");
        Ok(Response::new(AllocationResponse {
            game_server_name: server,
            address: "127.0.0.1".to_owned(),
            ports: vec![GameServerStatusPort { name: "default".to_owned(), port }],
            ..Default::default()
        }))
    }
}
