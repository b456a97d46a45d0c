//! A whole server with everything around it, in real time: UDP, an Agones sidecar, a backend, the admin port.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod remote;
mod table;

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use agones_sdk::State;
use agones_sdk::sidecar::Sidecar;
use backend_proto::signature::{self, RESULT_KEY_ANNOTATION, ResultKey};
use backend_proto::{
    CancelBackfillReply, CancelBackfillRequest, MatchResult, Matches, MatchesServer, ReportLostReply,
    ReportLostRequest, RequestBackfillReply, RequestBackfillRequest, SubmitResultReply,
};
use futures_util::{SinkExt, StreamExt};
use netcode_client::{Client, ClientState};
use remote::{PATIENCE, Remote, ask, free_udp_port, http, options, scheduled, status};
use server_runtime::prelude::*;
use server_runtime::{RunError, Status};
use table::{Walking, walking};
use tokio::runtime::Runtime;
use tonic::{Request, Response, Status as RpcStatus};

const MATCH: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A backend that refuses the first try and keeps what it is given.
#[derive(Clone, Default)]
struct Backend {
    results: Arc<Mutex<Vec<(MatchResult, String)>>>,
    tries: Arc<Mutex<u32>>,
}

#[tonic::async_trait]
impl Matches for Backend {
    async fn submit_result(
        &self,
        request: Request<MatchResult>,
    ) -> Result<Response<SubmitResultReply>, RpcStatus> {
        let mut tries = self.tries.lock().unwrap();
        *tries += 1;
        if *tries == 1 {
            return Err(RpcStatus::unavailable("not yet"));
        }
        let authorization = request.metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
        self.results.lock().unwrap().push((request.into_inner(), authorization));
        Ok(Response::new(SubmitResultReply { accepted: true, ..SubmitResultReply::default() }))
    }

    async fn report_lost(
        &self,
        _: Request<ReportLostRequest>,
    ) -> Result<Response<ReportLostReply>, RpcStatus> {
        Ok(Response::new(ReportLostReply { changed: true }))
    }

    async fn request_backfill(
        &self,
        _: Request<RequestBackfillRequest>,
    ) -> Result<Response<RequestBackfillReply>, RpcStatus> {
        Ok(Response::new(RequestBackfillReply::default()))
    }

    async fn cancel_backfill(
        &self,
        _: Request<CancelBackfillRequest>,
    ) -> Result<Response<CancelBackfillReply>, RpcStatus> {
        Ok(Response::new(CancelBackfillReply::default()))
    }
}

fn start(options: &ServerOptions) -> JoinHandle<Result<(), RunError>> {
    let builder = walking().config(options.clone());
    std::thread::spawn(move || builder.run())
}

#[test]
fn an_allocated_match_from_ready_to_shutdown() {
    let runtime = Runtime::new().unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let sidecar = runtime.block_on(Sidecar::start(scheduled())).unwrap();
    let backend = Backend::default();
    let listener = runtime.block_on(tokio::net::TcpListener::bind(any)).unwrap();
    let backend_port = listener.local_addr().unwrap().port();
    let service = MatchesServer::new(backend.clone());
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    runtime.spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));

    let options = ServerOptions {
        agones_port: Some(sidecar.grpc_addr().port()),
        agones_host: Some("http://127.0.0.1".into()),
        public_addresses: vec![SocketAddr::from(([127, 0, 0, 1], 9))],
        backend: Some(format!("http://127.0.0.1:{backend_port}")),
        service_token: Some("secret".into()),
        websocket_port: Some(0),
        ..options()
    };
    let server = start(&options);
    let mut states = sidecar.subscribe();
    let ready = states.wait_for(|object| object.state() == Some(State::Ready));
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, ready).await.expect("ready in time").map(drop) })
        .unwrap();
    assert_eq!(http(options.admin_port, "/readyz").0, "HTTP/1.1 200 OK");
    let told = states.borrow().clone();
    let port = told.annotation("agones.dev/sdk-websocket").expect("the port for browsers is announced");
    assert!(TcpStream::connect(("127.0.0.1", port.parse().unwrap())).is_ok());
    assert_eq!(status(options.admin_port).phase, "idle");

    let spec = format!(
        r#"{{"match_id":"{MATCH}","mode":"walk","seconds":1,"seed":"5","players":[{{"player":"41","name":"ann"}}]}}"#
    );
    let key = ResultKey::generate();
    let annotate = |object: &mut agones_sdk::GameServer| {
        let meta = object.object_meta.get_or_insert_default();
        meta.annotations.insert("tickwright.dev/match".into(), spec);
        meta.annotations.insert(RESULT_KEY_ANNOTATION.into(), key.to_text());
    };
    sidecar.claim(|_| true, annotate).expect("it was ready");

    let address = SocketAddr::from(([127, 0, 0, 1], options.port));
    let mut remote = Remote::connect(address, 41, server_runtime::parse_match_id(MATCH).unwrap());
    remote.play("joined", |client| client.predicted().is_some());
    let http_text: String =
        ["/status.json", "/metrics", "/"].map(|path| http(options.admin_port, path).1).concat();
    remote.play("sent home", |client| matches!(client.state(), ClientState::Disconnected(_)));

    server.join().unwrap().expect("a clean end");
    let results = backend.results.lock().unwrap();
    let (result, authorization) = &results[0];
    assert_eq!((result.match_id.as_str(), authorization.as_str()), (MATCH, "Bearer secret"));
    assert_eq!(
        (result.players[0].player_id, result.players[0].score, result.players[0].placement),
        (41, 1, 1)
    );
    assert_eq!(results.len(), 1, "the refused try was tried again, once");
    let said = signature::open(&key, result).expect("signed with the key that came with the allocation");
    assert_eq!((&said.match_id, &said.players), (&result.match_id, &result.players));
    assert!(!http_text.contains(&key.to_text()), "the key is on no page");
    assert_eq!(sidecar.state(), State::Shutdown);
    assert!(sidecar.health_pings() >= 1);
}

/// The backend is away when a match ends, and its server ends too: the next server on the machine hands the
/// result in.
#[test]
fn a_result_outlives_its_server_in_the_spool() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let sidecar = runtime.block_on(Sidecar::start(scheduled())).unwrap();
    let first = ServerOptions {
        agones_port: Some(sidecar.grpc_addr().port()),
        agones_host: Some("http://127.0.0.1".into()),
        result_spool: Some(folder.path().join("spool")),
        ..options()
    };
    let server = start(&first);
    let mut states = sidecar.subscribe();
    let ready = states.wait_for(|object| object.state() == Some(State::Ready));
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, ready).await.expect("ready").map(drop) })
        .unwrap();
    let spec = format!(
        r#"{{"match_id":"{MATCH}","mode":"walk","seconds":1,"players":[{{"player":"41","name":"ann"}}]}}"#
    );
    let key = ResultKey::generate();
    let annotate = |object: &mut agones_sdk::GameServer| {
        let meta = object.object_meta.get_or_insert_default();
        meta.annotations.insert("tickwright.dev/match".into(), spec);
        meta.annotations.insert(RESULT_KEY_ANNOTATION.into(), key.to_text());
    };
    sidecar.claim(|_| true, annotate).expect("it was ready");
    let address = SocketAddr::from(([127, 0, 0, 1], first.port));
    let mut remote = Remote::connect(address, 41, server_runtime::parse_match_id(MATCH).unwrap());
    remote.play("joined", |client| client.predicted().is_some());
    remote.play("sent home", |client| matches!(client.state(), ClientState::Disconnected(_)));
    server.join().unwrap().expect("a clean end");
    let file = folder.path().join("spool").join(format!("{MATCH}.result"));
    assert!(file.exists(), "the result waits");

    let backend = Backend::default();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let service = MatchesServer::new(backend.clone());
    runtime.spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    let second = ServerOptions {
        standalone: true,
        seconds: 30,
        backend: Some(url),
        service_token: Some("secret".into()),
        result_spool: Some(folder.path().join("spool")),
        ..options()
    };
    // It ends with the test's process: what is waited for is the result.
    let _server = start(&second);
    let began = Instant::now();
    while file.exists() {
        assert!(began.elapsed() < PATIENCE, "the result was not handed in");
        std::thread::sleep(Duration::from_millis(20));
    }
    let results = backend.results.lock().unwrap();
    assert_eq!((results.len(), results[0].0.match_id.as_str()), (1, MATCH));
    assert_eq!((results[0].0.players[0].player_id, results[0].1.as_str()), (41, "Bearer secret"));
    assert!(signature::open(&key, &results[0].0).is_ok(), "signed by the server that played it");
}

#[test]
fn the_admin_port_tells_and_the_live_view_moves() {
    let folder = tempfile::tempdir().unwrap();
    let record_dir = Some(folder.path().join("recordings"));
    let options = ServerOptions { standalone: true, seconds: 3, record_dir, ..options() };
    let server = start(&options);
    let port = options.admin_port;
    assert!(http(port, "/").1.contains("<canvas"), "the live view's page");
    assert!(http(port, "/live.js").0.contains("200"));
    assert!(http(port, "/nothing").0.contains("404"));
    let mut remote = Remote::connect(SocketAddr::from(([127, 0, 0, 1], options.port)), 7, 0);
    remote.play("joined", |client| client.predicted().is_some());
    let watching = std::thread::spawn(move || watch_live(port, "7"));
    let mut frames = Vec::new();
    let mut watching = Some(watching);
    remote.play("watched", |_| {
        if watching.as_ref().is_some_and(JoinHandle::is_finished) {
            frames = watching.take().unwrap().join().unwrap();
        }
        !frames.is_empty()
    });
    let place = |frame: &serde_json::Value| frame["shapes"][0]["x"].as_f64().unwrap();
    assert!(place(&frames[frames.len() - 1]) > place(&frames[0]), "{frames:?}");
    assert_eq!(frames[0]["client"]["player"], "7");
    assert_eq!(http(port, "/healthz"), ("HTTP/1.1 200 OK".into(), "ok\n".into()));
    // Status and metrics are made twice a second.
    remote.play("counted", |_| http(port, "/metrics").1.contains("tickwright_players 1\n"));
    let told = status(port);
    assert_eq!((told.phase.as_str(), told.players_connected), ("running", 1));
    assert!(told.tick_p99_ms > 0.0 && told.players[0].rtt_ms > 0.0, "{told:?}");
    let recordings = || -> Vec<std::path::PathBuf> {
        let files = std::fs::read_dir(folder.path().join("recordings")).into_iter().flatten().flatten();
        files
            .map(|file| file.path())
            .filter(|path| path.extension().is_some_and(|end| end == "twrec"))
            .collect()
    };
    assert_eq!(ask(port, "POST", "/recording").0, "HTTP/1.1 202 Accepted");
    remote.play("recorded", |_| recordings().len() == 1);
    remote.play("sent home", |client| matches!(client.state(), ClientState::Disconnected(_)));
    server.join().unwrap().expect("a clean end");
    // The one that was asked for and the one of the whole match, which is played again as it was.
    let mut all: Vec<server_runtime::Recording> = Vec::new();
    for path in recordings() {
        all.push(server_runtime::Recording::parse(&std::fs::read(path).unwrap()).expect("sound"));
    }
    all.sort_by_key(server_runtime::Recording::last_tick);
    assert_eq!(all.len(), 2);
    let whole = Arc::new(all.pop().expect("two"));
    assert!(all[0].last_tick() < whole.last_tick() && whole.last_tick() > 180);
    let mut replay = server_runtime::Replay::new(walking(), whole).expect("of this game");
    assert_eq!(replay.verify().expect("sound"), None);
}

/// A few pictures of the live view, with `player`'s lens.
fn watch_live(port: u16, player: &str) -> Vec<serde_json::Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("ws://127.0.0.1:{port}/live");
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let ask = format!(r#"{{"watch":"{player}"}}"#);
        socket.send(tokio_tungstenite::tungstenite::Message::text(ask)).await.unwrap();
        let mut frames = Vec::new();
        while frames.len() < 8 {
            let message = socket.next().await.unwrap().unwrap();
            frames.push(serde_json::from_str(message.to_text().unwrap()).unwrap());
        }
        frames
    })
}

#[test]
fn players_of_udp_and_of_websocket_meet_in_one_match() {
    let transport = server_runtime::Transport::WebSocket;
    // Both ports by one number, as `--transport websocket` has it.
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let port = std::iter::repeat_with(free_udp_port).find(is_free).unwrap();
    let options = ServerOptions { standalone: true, seconds: 3, transport, port, ..options() };
    let server = start(&options);
    let _ = http(options.admin_port, "/healthz");
    let address = SocketAddr::from(([127, 0, 0, 1], options.port));
    let mut by_websocket = Remote::connect_by_websocket(options.port, address, 8);
    let mut by_udp = Remote::connect(address, 7, 0);
    let sees_both = |client: &Client<Walking>| client.view().iter::<table::Walker>().count() == 2;
    by_udp.play("both see both", |client| {
        by_websocket.turn();
        sees_both(client) && sees_both(&by_websocket.client)
    });
    let mut told = Status::default();
    by_udp.play("the status knows both", |_| {
        by_websocket.turn();
        told = status(options.admin_port);
        told.players_connected == 2
    });
    assert_eq!((told.drops["websocket_request"], told.drops["forged"]), (0, 0));
    let over = |client: &Client<Walking>| matches!(client.state(), ClientState::Disconnected(_));
    by_udp.play("sent home", |client| {
        by_websocket.turn();
        over(client) && over(&by_websocket.client)
    });
    server.join().unwrap().expect("a clean end");
}

#[test]
fn a_taken_port_is_one_clear_line() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = walking().config(ServerOptions { port, ..options() }).run().unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot bind udp socket to 127.0.0.1:{port}: ")), "{error}");
    assert!(error.contains("--port") && !error.contains('\n'), "{error}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let options_with = ServerOptions { websocket_port: Some(port), ..options() };
    let error = walking().config(options_with).run().unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot bind tcp socket to 127.0.0.1:{port}: ")), "{error}");
    assert!(error.contains("--websocket-port") && !error.contains('\n'), "{error}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin_port = taken.local_addr().unwrap().port();
    let error = walking().config(ServerOptions { admin_port, ..options() }).run().unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot bind tcp socket to 127.0.0.1:{admin_port}: ")), "{error}");
}
