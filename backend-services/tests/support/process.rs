//! The real backend as a process: started, asked over HTTP, killed.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub const KEY_HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
pub const SERVICE_TOKEN: &str = "the-service-token";

pub struct Backend {
    child: Child,
    stdin: Option<ChildStdin>,
    pub http: String,
    pub grpc: Option<String>,
    pub client: reqwest::Client,
}

impl Backend {
    /// Starts it with the embedded store in `state` and these further flags.
    pub fn start(state: &Path, flags: &[&str]) -> Self {
        Self::spawn(&[&["--state", state.to_str().expect("a UTF-8 path")], flags].concat())
    }

    /// The same with an allocator.
    pub fn start_all(state: &Path, allocator: &super::allocator::FakeAllocator, flags: &[&str]) -> Self {
        let all = Self::flags(state, allocator);
        Self::spawn(&all.iter().map(String::as_str).chain(flags.iter().copied()).collect::<Vec<_>>())
    }

    /// What a process of the role `all` needs.
    pub fn flags(state: &Path, allocator: &super::allocator::FakeAllocator) -> Vec<String> {
        let (grpc, http) = (format!("http://{}", allocator.grpc), format!("http://{}", allocator.http));
        let state = state.to_str().expect("a UTF-8 path");
        let needed = ["--state", state, "--allocator", &grpc, "--fleet-http", &http];
        let secrets = ["--server-key-hex", KEY_HEX, "--service-token", SERVICE_TOKEN];
        needed.into_iter().chain(secrets).map(str::to_owned).collect()
    }

    pub fn spawn(flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backend-services"));
        command.args(flags).stderr(Stdio::inherit());
        Self::run(command)
    }

    /// The same with one more variable in its environment.
    pub fn spawn_with(flags: &[&str], variable: (&str, &Path)) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backend-services"));
        command.args(flags).env(variable.0, variable.1).stderr(Stdio::inherit());
        Self::run(command)
    }

    /// The same with everything that it logs, down to debug, in a file.
    pub fn spawn_logged(flags: &[&str], log: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backend-services"));
        let log = std::fs::File::create(log).expect("a file");
        command.args(flags).env("RUST_LOG", "debug").stderr(log);
        Self::run(command)
    }

    fn run(mut command: Command) -> Self {
        command.arg("--exit-with-parent").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the backend starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).expect("the ready line");
        assert_eq!(ready["ready"], true);
        let address = |name: &str| ready[name].as_str().map(|address| format!("http://{address}"));
        let (http, grpc) = (address("http").expect("an address"), address("grpc"));
        let stdin = child.stdin.take();
        Self { child, stdin, http, grpc, client: reqwest::Client::new() }
    }

    /// As `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("the backend dies");
        self.child.wait().expect("the backend is dead");
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends its standard input and waits for it to end by itself.
    pub fn end(mut self) -> std::process::ExitStatus {
        drop(self.stdin.take());
        self.child.wait().expect("the backend ends")
    }

    /// As a shell's `kill`, then waits.
    pub fn terminate(mut self) -> std::process::ExitStatus {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(killed.is_ok_and(|status| status.success()));
        self.child.wait().expect("the backend ends")
    }

    pub async fn ask(&self, method: Method, path: &str, token: Option<&str>, body: Option<Value>) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.http));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status();
        Answer { status, body: response.text().await.expect("a body") }
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.ask(Method::GET, path, Some(token), None).await
    }

    pub async fn post(&self, path: &str, token: Option<&str>, body: Value) -> Answer {
        self.ask(Method::POST, path, token, Some(body)).await
    }

    pub async fn register(&self, secret: &str, name: &str) -> Answer {
        let body = json!({ "device_secret": secret, "display_name": name });
        self.post("/v1/auth/guest/register", None, body).await
    }

    /// Registers someone new.
    pub async fn player(&self, name: &str) -> backend_services::api::Session {
        self.register(&super::secret(), name).await.expect(StatusCode::CREATED)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn expect<T: DeserializeOwned>(&self, status: StatusCode) -> T {
        assert_eq!(self.status, status, "{}", self.body);
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// A problem of this status and code.
    #[track_caller]
    pub fn expect_problem(&self, status: u16, code: &str) {
        let problem: backend_services::api::Problem =
            self.expect(StatusCode::from_u16(status).expect("a status"));
        assert_eq!((problem.code.as_str(), problem.status), (code, status), "{}", self.body);
        assert!(!problem.request_id.is_empty());
    }
}
