//! Postgres and Redis processes on free ports, stopped when dropped; and stores on each engine.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use backend_services::clock::UnixMs;
use backend_services::store::Stores;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// A store and all that it needs to live.
pub struct Engine {
    pub name: &'static str,
    pub stores: Stores,
    pub servers: Option<Servers>,
    pub folder: TempDir,
}

/// A store on every engine.
pub async fn all() -> Vec<Engine> {
    vec![embedded().await, production().await]
}

pub async fn embedded() -> Engine {
    let folder = tempfile::tempdir().expect("a folder");
    let stores = Stores::embedded(folder.path()).await.expect("an embedded store");
    stores.ranks.keep_up(UnixMs::now()).await.expect("fresh ranks");
    Engine { name: "embedded", stores, servers: None, folder }
}

pub async fn production() -> Engine {
    let servers = Servers::start();
    let stores = Stores::production(&servers.database_url(), &servers.redis_url(), 16).await;
    let stores = stores.expect("a production store");
    stores.ranks.keep_up(UnixMs::now()).await.expect("fresh ranks");
    Engine {
        name: "production",
        stores,
        servers: Some(servers),
        folder: tempfile::tempdir().expect("a folder"),
    }
}

/// Our own Postgres and Redis.
pub struct Servers {
    postgres: Child,
    pub redis: Child,
    postgres_port: u16,
    pub redis_port: u16,
    folder: TempDir,
}

impl Servers {
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), None)
    }

    /// The same over TLS alone, with a certificate for 127.0.0.1 by an authority of their own: `authority()`.
    pub fn start_tls() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let certificates = Certificates::write(folder.path());
        Self::start_in(folder, Some(&certificates))
    }

    fn start_in(folder: TempDir, tls: Option<&Certificates>) -> Self {
        let (postgres_port, redis_port) = (free_port(), free_port());
        let postgres = start_postgres(folder.path(), postgres_port, tls);
        let redis = match tls {
            None => start_redis(redis_port),
            Some(tls) => start_redis_tls(redis_port, tls),
        };
        let servers = Self { postgres, redis, postgres_port, redis_port, folder };
        await_port("Redis", redis_port);
        servers.await_postgres();
        servers
    }

    pub fn database_url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.postgres_port)
    }

    pub fn redis_url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.redis_port)
    }

    /// The file of the authority that `start_tls` made.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// Redis loses everything and comes back as another process on the same port.
    pub fn restart_redis(&mut self) {
        self.redis.kill().expect("Redis dies");
        self.redis.wait().expect("Redis is dead");
        self.redis = start_redis(self.redis_port);
        await_port("Redis", self.redis_port);
    }

    fn await_postgres(&self) {
        let start = Instant::now();
        let ready = || {
            let port = self.postgres_port.to_string();
            let mut command = Command::new(postgres_bin().join("pg_isready"));
            command.args(["-q", "-h", "127.0.0.1", "-p", &port]).status().is_ok_and(|status| status.success())
        };
        while !ready() {
            assert!(start.elapsed() < Duration::from_secs(60), "Postgres did not start within a minute");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = self.redis.kill();
        let _ = self.redis.wait();
        // SIGQUIT: immediate shutdown; the data goes with the folder.
        let _ = Command::new("kill").args(["-QUIT", &self.postgres.id().to_string()]).status();
        let _ = self.postgres.wait();
    }
}

/// Files of an authority, and of a certificate for 127.0.0.1 by it.
struct Certificates {
    authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificates {
    fn write(folder: &Path) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let (ca_key, key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
        let mut ca = CertificateParams::new(Vec::new()).expect("no names");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = ca.self_signed(&ca_key).expect("signs itself");
        let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
        let certificate = server.signed_by(&key, &Issuer::new(ca, ca_key)).expect("signs");
        let write = |name: &str, text: String| {
            let file = folder.join(name);
            std::fs::write(&file, text).expect("writes");
            // Postgres takes no key that others may read.
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("is ours");
            file
        };
        Self {
            authority: write("ca.crt", authority.pem()),
            certificate: write("server.crt", certificate.pem()),
            key: write("server.key", key.serialize_pem()),
        }
    }
}

fn start_redis(port: u16) -> Child {
    redis(&["--port", &port.to_string()])
}

fn start_redis_tls(port: u16, tls: &Certificates) -> Child {
    let files = ["--tls-cert-file", path(&tls.certificate), "--tls-key-file", path(&tls.key)];
    let port = port.to_string();
    let rest = [
        "--port",
        "0",
        "--tls-port",
        &port,
        "--tls-ca-cert-file",
        path(&tls.authority),
        "--tls-auth-clients",
        "no",
    ];
    redis(&[files.as_slice(), rest.as_slice()].concat())
}

fn redis(arguments: &[&str]) -> Child {
    Command::new("redis-server")
        .args(arguments)
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is not installed; on Debian: apt-get install redis-server")
}

fn start_postgres(folder: &Path, port: u16, tls: Option<&Certificates>) -> Child {
    let data = folder.join("pg");
    std::fs::create_dir(&data).expect("a folder");
    let bin = postgres_bin();
    let initdb =
        ["-D", path(&data), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"];
    if root() {
        // Postgres refuses to run as root.
        let owned = Command::new("chown").args(["-R", "postgres", path(folder)]).status();
        assert!(owned.is_ok_and(|status| status.success()), "chown to the user postgres failed");
    }
    let made =
        as_postgres(&bin.join("initdb")).args(initdb).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(made.is_ok_and(|status| status.success()), "initdb failed");
    let port = port.to_string();
    let mut server = as_postgres(&bin.join("postgres"));
    server.args(["-D", path(&data), "-p", &port, "-h", "127.0.0.1", "-k", path(&data)]);
    // Deliberate, and in tests only: nothing here outlives its process.
    server.args(["-c", "fsync=off", "-c", "max_connections=100"]);
    if let Some(tls) = tls {
        let setting = |name: &str, file: &Path| format!("{name}={}", path(file));
        server.args(["-c", "ssl=on", "-c", &setting("ssl_cert_file", &tls.certificate)]);
        server.args(["-c", &setting("ssl_key_file", &tls.key)]);
    }
    server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("postgres starts")
}

fn as_postgres(program: &Path) -> Command {
    if !root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

fn root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

fn postgres_bin() -> PathBuf {
    let newest = std::fs::read_dir("/usr/lib/postgresql").ok().and_then(|versions| {
        let bins = versions.flatten().map(|version| version.path().join("bin"));
        bins.filter(|bin| bin.join("initdb").exists()).max()
    });
    newest.expect("Postgres is not installed; on Debian: apt-get install postgresql-15")
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port()
}

fn await_port(name: &str, port: u16) {
    let start = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed() < Duration::from_secs(30), "{name} did not start within half a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}
