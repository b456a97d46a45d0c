//! A backend process over real stores, filled with a board. Owns the processes; dropping it ends them. Knows no
//! measurement.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use backend_services::accounts::tokens::{Caller, Tokens, fresh_service_key};
use backend_services::clock::UnixMs;
use backend_services::ids::{PlayerId, SessionId};
use backend_services::store::Stores;
use sqlx::Connection as _;

use super::StoreKind;

pub(crate) const SERVICE_TOKEN: &str = "the-service-token-of-the-bench";
const START_WITHIN: Duration = Duration::from_secs(60);
/// A million members are read in seconds; a loaded machine may take longer.
const WHOLE_WITHIN: Duration = Duration::from_secs(300);
/// Players who ask again and again.
const TOKENS: usize = 10_000;
/// How often the disk is asked what a flush takes, and of how many bytes: Postgres writes its log in such blocks.
const SYNCS: usize = 300;
const BLOCK: usize = 8192;

pub(super) struct Stack {
    backend: Child,
    _stdin: Option<ChildStdin>,
    stores: Vec<Child>,
    tokens_of: Tokens,
    members: u32,
    pub(super) http: String,
    pub(super) grpc: String,
    pub(super) tokens: Vec<String>,
    database: Option<String>,
    folder: tempfile::TempDir,
}

impl Stack {
    pub(super) fn start(engine: StoreKind, members: u32) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stores, flags) = match engine {
            StoreKind::Embedded => {
                (Vec::new(), vec!["--state".to_owned(), folder.path().display().to_string()])
            }
            StoreKind::Postgres => start_servers(folder.path())?,
        };
        let filled = runtime.block_on(fill(engine, folder.path(), &flags, members));
        let tokens_of = match filled {
            Ok(tokens_of) => tokens_of,
            Err(error) => {
                end(stores);
                return Err(error);
            }
        };
        let database = (engine == StoreKind::Postgres).then(|| flags[1].clone());
        let (backend, stdin, http, grpc) = start_backend(flags, "http://127.0.0.1:9")?;
        let mut stack = Self {
            backend,
            _stdin: stdin,
            stores,
            tokens_of,
            members,
            http,
            grpc,
            tokens: Vec::new(),
            database,
            folder,
        };
        stack.tokens = stack.fresh_tokens(TOKENS)?;
        stack.await_ranks()?;
        Ok(stack)
    }

    pub(super) fn backend_pid(&self) -> u32 {
        self.backend.id()
    }

    pub(super) fn store_pids(&self) -> Vec<u32> {
        self.stores.iter().map(Child::id).collect()
    }

    /// Tokens of random members, never shown to the backend before.
    pub(super) fn fresh_tokens(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let now = UnixMs::now();
        let token = || {
            let player = PlayerId::new(fastrand::u64(1..=u64::from(self.members))).context("an id")?;
            Ok(self.tokens_of.issue(Caller { player, session: SessionId::random() }, now))
        };
        (0..count).map(|_| token()).collect()
    }

    /// What one `fdatasync` takes beside the store's files, ascending: a block of a file that has its length, as a
    /// write-ahead log does it.
    pub(super) fn fdatasync_ms(&self) -> anyhow::Result<Vec<f64>> {
        let file =
            File::options().create(true).truncate(false).write(true).open(self.folder.path().join("sync"))?;
        file.write_all_at(&vec![1; BLOCK * SYNCS], 0)?;
        file.sync_all()?;
        let mut took = Vec::with_capacity(SYNCS);
        for number in 0..SYNCS {
            file.write_all_at(&[2; BLOCK], (number * BLOCK) as u64)?;
            let start = Instant::now();
            file.sync_data()?;
            took.push(start.elapsed().as_secs_f64() * 1000.0);
        }
        took.sort_unstable_by(f64::total_cmp);
        Ok(took)
    }

    /// From now on Postgres answers before a commit is on disk.
    pub(super) fn give_up_durability(&self) -> anyhow::Result<()> {
        let url = self.database.as_ref().context("this stack has no Postgres")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut connection = sqlx::PgConnection::connect(url).await?;
            for sql in ["ALTER SYSTEM SET synchronous_commit = off", "SELECT pg_reload_conf()"] {
                sqlx::raw_sql(sql).execute(&mut connection).await?;
            }
            connection.close().await?;
            Ok(())
        })
    }

    fn await_ranks(&self) -> anyhow::Result<()> {
        let start = Instant::now();
        while start.elapsed() < WHOLE_WITHIN {
            let mut stream = TcpStream::connect(self.http.trim_start_matches("http://"))?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            if text.contains("board_ranks_whole 1\n") {
                eprintln!("ranks whole {:.1} s after the start", start.elapsed().as_secs_f64());
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        bail!("the ranks did not become whole")
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _dead = self.backend.kill();
        let _buried = self.backend.wait();
        end(std::mem::take(&mut self.stores));
    }
}

pub(crate) fn end(stores: Vec<Child>) {
    for mut child in stores {
        // Postgres takes SIGQUIT for an immediate end of all its processes; the data goes with the folder.
        let _told = Command::new("kill").args(["-QUIT", &child.id().to_string()]).status();
        std::thread::sleep(Duration::from_millis(200));
        let _dead = child.kill();
        let _buried = child.wait();
    }
}

/// A backend over these stores, whose servers come from `allocator`: the process, its input, its HTTP and its gRPC.
pub(crate) fn start_backend(
    stores: Vec<String>,
    allocator: &str,
) -> anyhow::Result<(Child, Option<ChildStdin>, String, String)> {
    let mut flags = stores;
    let key = "11".repeat(32);
    let more = ["--server-key-hex", &key, "--service-token", SERVICE_TOKEN, "--allocator", allocator];
    let unlimited = ["--request-burst", "1e9", "--request-rate", "1e9", "--exit-with-parent"];
    flags.extend(more.into_iter().chain(unlimited).map(str::to_owned));
    let mut child = Command::new(std::env::current_exe()?)
        .args(["role", super::BACKEND, &serde_json::to_string(&flags)?])
        .env("RUST_LOG", "warn")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdin = child.stdin.take();
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("piped")?).read_line(&mut line)?;
    let ready: serde_json::Value = serde_json::from_str(&line).context("the backend did not start")?;
    let address = |name: &str| {
        let address = ready[name].as_str().context("no address")?;
        anyhow::Ok(format!("http://{address}"))
    };
    Ok((child, stdin, address("http")?, address("grpc")?))
}

/// Makes the schema, as starting a backend does, then the members in one statement a table.
pub(crate) async fn fill(
    engine: StoreKind,
    folder: &Path,
    flags: &[String],
    members: u32,
) -> anyhow::Result<Tokens> {
    let (stores, sql) = match engine {
        StoreKind::Embedded => (Stores::embedded(folder).await?, SQLITE),
        StoreKind::Postgres => (Stores::production(&flags[1], &flags[3], 2).await?, POSTGRES),
    };
    let key = stores.db.service_key(&fresh_service_key(), UnixMs::now()).await?;
    stores.close().await;
    // Only our own number goes into the statements.
    let sql = sqlx::AssertSqlSafe(sql.replace("MEMBERS", &members.to_string()));
    match engine {
        StoreKind::Embedded => {
            let file = format!("sqlite://{}", folder.join("backend.sqlite").display());
            let mut connection = sqlx::SqliteConnection::connect(&file).await?;
            sqlx::raw_sql(sql).execute(&mut connection).await?;
            connection.close().await?;
        }
        StoreKind::Postgres => {
            let mut connection = sqlx::PgConnection::connect(&flags[1]).await?;
            sqlx::raw_sql(sql).execute(&mut connection).await?;
            connection.close().await?;
        }
    }
    Ok(Tokens::new(&key)?)
}

/// Redis and Postgres as they are installed, durable: no setting but where they listen. Flags for the backend.
pub(crate) fn start_servers(folder: &Path) -> anyhow::Result<(Vec<Child>, Vec<String>)> {
    let (redis_port, postgres_port) = (free_port()?, free_port()?);
    let redis = Command::new("redis-server")
        .args(["--port", &redis_port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .stdout(Stdio::null())
        .spawn()
        .context("redis-server is not installed; on Debian: apt-get install redis-server")?;
    let mut children = vec![redis];
    match start_postgres(folder, postgres_port) {
        Ok(postgres) => children.push(postgres),
        Err(error) => {
            end(children);
            return Err(error);
        }
    }
    let flags = [
        "--database-url".to_owned(),
        format!("postgres://postgres@127.0.0.1:{postgres_port}/postgres"),
        "--redis-url".to_owned(),
        format!("redis://127.0.0.1:{redis_port}"),
    ];
    Ok((children, flags.to_vec()))
}

fn start_postgres(folder: &Path, port: u16) -> anyhow::Result<Child> {
    let bin = postgres_bin()?;
    let data = folder.join("pg");
    std::fs::create_dir(&data)?;
    let text = data.to_str().context("a UTF-8 path")?.to_owned();
    if root() {
        // Postgres refuses to run as root.
        let owned = Command::new("chown").args(["-R", "postgres"]).arg(folder).status()?;
        ensure!(owned.success(), "chown to the user postgres failed");
    }
    let initdb = ["-D", &text, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"];
    let made =
        as_postgres(&bin.join("initdb")).args(initdb).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    ensure!(made.success(), "initdb failed");
    let port_text = port.to_string();
    let mut server = as_postgres(&bin.join("postgres"));
    server.args(["-D", &text, "-p", &port_text, "-h", "127.0.0.1", "-k", &text]);
    let child = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let start = Instant::now();
    loop {
        let mut ready = Command::new(bin.join("pg_isready"));
        if ready.args(["-q", "-h", "127.0.0.1", "-p", &port_text]).status()?.success() {
            return Ok(child);
        }
        ensure!(start.elapsed() < START_WITHIN, "Postgres did not start");
        std::thread::sleep(Duration::from_millis(50));
    }
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

fn postgres_bin() -> anyhow::Result<PathBuf> {
    let newest = std::fs::read_dir("/usr/lib/postgresql").ok().and_then(|versions| {
        let bins = versions.flatten().map(|version| version.path().join("bin"));
        bins.filter(|bin| bin.join("initdb").exists()).max()
    });
    newest.context("Postgres is not installed; on Debian: apt-get install postgresql-15")
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

const POSTGRES: &str = "
INSERT INTO accounts (player_id, display_name, secret_hash, created_unix_ms)
    SELECT n, 'player ' || n, decode(md5(n::text) || md5('x' || n), 'hex'), 0 FROM generate_series(1, MEMBERS) n;
INSERT INTO board_entries (board, season, player_id, score, reached_unix_ms, revision)
    SELECT 'arena-score', 0, n, (random() * 1000000)::bigint, 1700000000000 + n, 1 FROM generate_series(1, MEMBERS) n;
INSERT INTO board_log (source, board, player_id, season, revision, operator, value, at_unix_ms)
    SELECT 'seed', board, player_id, season, revision, 'best', score, reached_unix_ms FROM board_entries;
INSERT INTO board_seasons (board, season) VALUES ('arena-score', 0);
ANALYZE;
CHECKPOINT;";

const SQLITE: &str = "
CREATE TEMP TABLE numbers AS
    WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < MEMBERS) SELECT n FROM n;
INSERT INTO accounts (player_id, display_name, secret_hash, created_unix_ms)
    SELECT n, 'player ' || n, CAST(printf('%032d', n) AS BLOB), 0 FROM numbers;
INSERT INTO board_entries (board, season, player_id, score, reached_unix_ms, revision)
    SELECT 'arena-score', 0, n, abs(random()) % 1000000, 1700000000000 + n, 1 FROM numbers;
INSERT INTO board_log (source, board, player_id, season, revision, operator, value, at_unix_ms)
    SELECT 'seed', board, player_id, season, revision, 'best', score, reached_unix_ms FROM board_entries;
INSERT INTO board_seasons (board, season) VALUES ('arena-score', 0);
ANALYZE;";
