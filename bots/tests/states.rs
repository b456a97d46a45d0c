//! What players have between matches, through real processes: servers and the backend killed in the middle, servers that
//! race for a player, and what waited on the disk.

mod support;

use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use arena::{ArenaGame, Controls};
use netcode_client::{Client, ClientConfig, ClientState, LeaveReason};
use netcode_token::{Key, Seat, TokenSpec, mint};
use netcode_transport::{Carrier, UdpCarrier};
use netcode_wire::Time;
use serde_json::{Value, json};
use support::wait;

const PROTOCOL_ID: u64 = 0x5449_434B_5752_4947;
const KEY_HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const SERVICE_TOKEN: &str = "the-service-token";
const PATIENCE: Duration = Duration::from_secs(20);

/// One of the demo's processes; killed when dropped.
struct Process {
    child: Child,
    ready: Value,
}

impl Process {
    fn start(role: &str, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bots"))
            .args(["role", role, "--exit-with-parent"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("bots starts");
        let mut lines =
            BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let ready = lines.find_map(|line| serde_json::from_str::<Value>(&line).ok()).expect("gets ready");
        std::thread::spawn(move || lines.count());
        Self { child, ready }
    }

    fn address(&self, name: &str) -> SocketAddr {
        self.ready[name].as_str().and_then(|text| text.parse().ok()).expect("an address")
    }

    fn kill(mut self) {
        self.child.kill().expect("it dies");
        self.child.wait().expect("it is dead");
    }

    /// SIGTERM, and a clean end.
    fn terminate(mut self) {
        support::kill(self.child.id(), "TERM");
        assert!(self.child.wait().expect("it ends").success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The backend, on the same ports and with the same store whenever it is started.
struct Backend {
    process: Option<Process>,
    folder: tempfile::TempDir,
    http: SocketAddr,
    grpc: SocketAddr,
}

impl Backend {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let mut backend = Self { process: None, folder, http: any, grpc: any };
        backend.again();
        backend
    }

    fn again(&mut self) {
        let (state, http, grpc) = (self.folder.path(), self.http.to_string(), self.grpc.to_string());
        let state = state.to_str().expect("UTF-8");
        let flags = ["--state", state, "--listen", &http, "--grpc-listen", &grpc];
        let secrets = ["--server-key-hex", KEY_HEX, "--service-token", SERVICE_TOKEN];
        let nobody = ["--allocator", "http://127.0.0.1:9"];
        let process = Process::start("backend", &[&flags[..], &secrets[..], &nobody[..]].concat());
        (self.http, self.grpc) = (process.address("http"), process.address("grpc"));
        self.process = Some(process);
    }

    fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    fn ask(&self, request: impl FnOnce(reqwest::Client, String) -> reqwest::RequestBuilder) -> Value {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let base = format!("http://{}", self.http);
        runtime.block_on(async {
            let answer = request(reqwest::Client::new(), base).send().await.expect("answers");
            answer.json().await.expect("JSON")
        })
    }

    fn register(&self) -> Account {
        let secret = Key::generate().to_hex();
        let body = json!({ "device_secret": secret, "display_name": "Ada" });
        let session = self.ask(|client, base| client.post(base + "/v1/auth/guest/register").json(&body));
        let player = session["player_id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        Account { player, token: session["access_token"].as_str().expect("a token").to_owned() }
    }

    /// Shots that the player has fired in all matches; `None`: nothing was saved yet.
    fn shots(&self, account: &Account) -> Option<u64> {
        let state =
            self.ask(|client, base| client.get(base + "/v1/me/states/arena").bearer_auth(&account.token));
        state["document"]["shots"].as_u64()
    }

    /// An arena that saves here.
    fn server(&self, args: &[&str]) -> Process {
        let grpc = format!("http://{}", self.grpc);
        let place = ["--standalone", "--bind", "127.0.0.1", "--key", KEY_HEX];
        let to = ["--backend", &grpc, "--service-token", SERVICE_TOKEN, "--record-mib", "0"];
        Process::start("arena-server", &[&place[..], &to[..], args].concat())
    }
}

struct Account {
    player: u64,
    token: String,
}

/// A player who keeps the trigger pulled.
struct Gunner {
    client: Client<ArenaGame>,
    carrier: UdpCarrier,
    began: Instant,
}

impl Gunner {
    fn connect(server: &Process, account: &Account) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let seat = Seat { match_id: 0, player: account.player, team: 0, rating_milli: 0, name: "Ada".into() };
        let spec = TokenSpec {
            protocol_id: PROTOCOL_ID,
            create_unix_s: now,
            expire_unix_s: now + 60,
            timeout_s: 1,
            client_id: account.player,
            servers: vec![server.address("udp")],
            user_data: seat.encode(),
        };
        let token = mint(&spec, &Key::from_hex(KEY_HEX).expect("a key")).expect("minted");
        let config = ClientConfig { messages: arena::messages(), ..ClientConfig::new(PROTOCOL_ID) };
        let client = Client::connect(Time::ZERO, &token[..], arena::schema(), config).expect("a token");
        let carrier = UdpCarrier::open((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        Self { client, carrier, began: Instant::now() }
    }

    fn now(&self) -> Time {
        Time::ZERO + self.began.elapsed()
    }

    fn turn(&mut self) {
        let now = self.now();
        let client = &mut self.client;
        self.carrier.receive(&mut |from, bytes| client.handle_datagram(now, from, bytes));
        client.advance(now, &mut |_, _| Controls { fire: true, ..Controls::default() });
        while let Some(transmit) = client.poll_transmit() {
            self.carrier.send(transmit.to, transmit.bytes);
        }
        self.carrier.flush();
    }

    fn play(&mut self, what: &str, mut done: impl FnMut(&Client<ArenaGame>) -> bool) {
        let began = Instant::now();
        while !done(&self.client) {
            assert!(began.elapsed() < PATIENCE, "not in time: {what}; {:?}", self.client.state());
            self.turn();
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Plays for so long after it was seated.
    fn fire_for(&mut self, time: Duration) {
        self.play("seated", |client| client.predicted().is_some());
        let until = Instant::now() + time;
        self.play("fired", |_| Instant::now() >= until);
    }

    fn leave(mut self) {
        let now = self.now();
        self.client.disconnect(now);
        self.turn();
    }
}

/// Clean leave, a client that vanishes, and a drain: each time all is there afterwards, and adds to what was before.
#[test]
fn every_way_out_of_a_living_server_saves() {
    let backend = Backend::start();
    let account = backend.register();
    let server = backend.server(&["--checkpoint-seconds", "0", "--seat-hold-seconds", "1"]);
    assert_eq!(backend.shots(&account), None);
    let mut gunner = Gunner::connect(&server, &account);
    gunner.fire_for(Duration::from_millis(700));
    gunner.leave();
    let mut before = 0;
    let mut more = |what: &str| {
        wait(what, PATIENCE, || backend.shots(&account).is_some_and(|shots| shots > before));
        before = backend.shots(&account).expect("saved");
    };
    more("the leave to be saved");

    let mut gunner = Gunner::connect(&server, &account);
    gunner.fire_for(Duration::from_millis(700));
    drop(gunner);
    more("the vanished client's state to be saved");

    let mut gunner = Gunner::connect(&server, &account);
    gunner.fire_for(Duration::from_millis(700));
    let draining = std::thread::spawn(move || server.terminate());
    gunner.play("sent home", |client| matches!(client.state(), ClientState::Disconnected(_)));
    draining.join().expect("a clean end");
    more("the drained server's word");
}

/// SIGKILL for the server: the last checkpoint stands, and the next server goes on from it.
#[test]
fn a_killed_server_costs_what_came_after_the_last_checkpoint() {
    let backend = Backend::start();
    let account = backend.register();
    let server = backend.server(&["--checkpoint-seconds", "1"]);
    let mut gunner = Gunner::connect(&server, &account);
    gunner.fire_for(Duration::from_millis(2500));
    server.kill();
    let checkpoint = backend.shots(&account).expect("saved while it played");
    assert!(checkpoint > 0);
    let next = backend.server(&["--checkpoint-seconds", "0"]);
    let mut gunner = Gunner::connect(&next, &account);
    gunner.fire_for(Duration::from_millis(700));
    gunner.leave();
    wait("the next server's word", PATIENCE, || backend.shots(&account).expect("saved") > checkpoint);
}

/// SIGKILL for the backend, then for the server that could not hand in the last word: it waits on the disk, and another
/// server hands it in once the backend is back. Once: what others hand in again changes nothing.
#[test]
fn what_the_backend_missed_waits_on_the_disk() {
    let mut backend = Backend::start();
    let account = backend.register();
    let spool = tempfile::tempdir().expect("a folder");
    let folder = spool.path().to_str().expect("UTF-8");
    let args = ["--checkpoint-seconds", "0", "--result-spool", folder];
    let server = backend.server(&args);
    let mut gunner = Gunner::connect(&server, &account);
    gunner.fire_for(Duration::from_millis(300));
    backend.kill();
    gunner.fire_for(Duration::from_millis(700));
    gunner.leave();
    wait("the last word to be on the disk", PATIENCE, || waiting(spool.path()) == 1);
    server.kill();
    backend.again();
    assert_eq!(backend.shots(&account), None);
    let next = backend.server(&args);
    wait("the last word to be handed in", PATIENCE, || waiting(spool.path()) == 0);
    let shots = backend.shots(&account).expect("saved");
    assert!(shots > 1, "all of a second at full fire: {shots}");
    let mut gunner = Gunner::connect(&next, &account);
    gunner.fire_for(Duration::from_millis(300));
    gunner.leave();
    wait("what came after it", PATIENCE, || backend.shots(&account).expect("saved") > shots);
}

/// Two servers have one player: the later one has the state, the earlier one's word is worth nothing from then on, and its
/// player is sent away.
#[test]
fn a_stale_server_overwrites_nothing() {
    let backend = Backend::start();
    let account = backend.register();
    // The second one has one word to say, its last: what is seen then is final.
    let [first, second] = ["1", "0"].map(|seconds| backend.server(&["--checkpoint-seconds", seconds]));
    let mut stale = Gunner::connect(&first, &account);
    stale.fire_for(Duration::from_millis(1500));
    let mut fresh = Gunner::connect(&second, &account);
    fresh.play("seated elsewhere", |client| {
        stale.turn();
        client.predicted().is_some()
    });
    stale.play("sent away", |client| {
        fresh.turn();
        matches!(client.state(), ClientState::Disconnected(_))
    });
    // From here on the first one's checkpoints are worth nothing.
    let before = backend.shots(&account).expect("a checkpoint");
    fresh.fire_for(Duration::from_millis(300));
    fresh.leave();
    wait("the second one's word", PATIENCE, || backend.shots(&account).expect("saved") > before);
    let after = backend.shots(&account);
    first.terminate();
    assert_eq!(backend.shots(&account), after, "the first one's last word changed nothing");
}

/// The backend is away: nobody gets a seat with a state that was not read.
#[test]
fn without_its_backend_a_server_seats_nobody() {
    let mut backend = Backend::start();
    let account = backend.register();
    let server = backend.server(&[]);
    backend.kill();
    let mut gunner = Gunner::connect(&server, &account);
    gunner.play("sent away", |client| {
        assert!(client.predicted().is_none());
        matches!(client.state(), ClientState::Disconnected(_))
    });
    let code = server_runtime::codes::STATE_AWAY;
    assert_eq!(gunner.client.state(), ClientState::Disconnected(LeaveReason::Goodbye(code)));
}

fn waiting(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).expect("the spool").filter_map(Result::ok);
    entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "state")).count()
}
