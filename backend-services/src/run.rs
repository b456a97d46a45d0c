//! One process from its flags to its end: opens stores, binds ports, serves, drains. Decides nothing else.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;

use crate::accounts::Accounts;
use crate::accounts::tokens::{Tokens, fresh_service_key};
use crate::allocation::connect::Minter;
use crate::app::{App, Limits, Parts};
use crate::beats::{Beats, told_to_end};
use crate::clock::UnixMs;
use crate::config::{Args, Role, Wanted};
use crate::leaderboards::rules::Boards;
use crate::leaderboards::scribe::Scribe;
use crate::matches::effects::Judge;
use crate::matches::news::News;
use crate::matches::rpc::{Guard, Unsigned};
use crate::matchmaking::desk::Desk;
use crate::matchmaking::queue::{EmbeddedQueue, Queue, RedisQueue};
use crate::matchmaking::{Matchmaker, Settings};
use crate::parties::Parties;
use crate::progression::rules::Rules;
use crate::store::{Db, MatchState, Stores};
use crate::{autoscaling, custody, leaderboards, matches, matchmaking, ratings, sanctions, telemetry};

/// Requests that are under way may take so long after the process was told to end.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// A connect token opens a connection for so long.
const CONNECT_TOKEN_LIFETIME: Duration = Duration::from_secs(60);
/// How often expired sessions are forgotten.
const PURGE_EVERY: Duration = Duration::from_secs(600);
/// How often seasons that are over are looked for.
const SEASONS_EVERY: Duration = Duration::from_secs(10);
/// How often the boards' ranks are looked after.
const RANKS_EVERY: Duration = Duration::from_millis(100);

/// Runs the backend with these flags (the program's name not among them) until it is told to end.
///
/// # Errors
/// One line that says what is in the way: a wrong flag, a taken port, a folder that cannot be written, a
/// store that does not answer.
pub fn main_with(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<()> {
    let mut args = args.into_iter().peekable();
    if args.next_if(|first| first == ratings::COMMAND).is_some() {
        return ratings::main_with(args);
    }
    let args = match Args::read(args)? {
        Wanted::Run(args) => args,
        Wanted::Print(text) => {
            print!("{text}");
            return Ok(());
        }
    };
    operate::logs::start(&args.log_level, args.log_format());
    for doubt in args.settings.iter().flat_map(operate::Settings::doubts) {
        tracing::warn!("{doubt}");
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(args.workers()).enable_all().build()?;
    runtime.spawn(telemetry::follow_settings(args.settings.clone()));
    let ended = runtime.block_on(serve(&args));
    // A store thread that hangs must not keep a process alive that has answered its last request.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn serve(args: &Args) -> anyhow::Result<()> {
    if args.role == Role::Autoscaler {
        return serve_autoscaler(args).await;
    }
    let judge = Judge {
        model: ratings::model(args.ratings.as_deref())?,
        boards: args.board_rules()?,
        progression: Rules::load(args.progression.as_deref())?,
    };
    let (drain, draining) = watch::channel(false);
    let http = bind(args.listen).await?;
    let grpc = if args.role.has(Role::Matchmaking) { Some(bind(args.grpc_listen).await?) } else { None };
    let (stores, _locks) = open_stores(args).await?;

    let mut background = JoinSet::new();
    let app = assemble(args, &judge, &stores, draining.clone(), &mut background).await?;
    let (http_address, grpc_address) =
        (http.local_addr()?, grpc.as_ref().map(TcpListener::local_addr).transpose()?);
    if let Some(grpc) = grpc {
        let matchmaker = app.matchmaker().map_err(|error| anyhow::anyhow!("{}", error.detail))?.clone();
        let token = args.service_token.as_ref().map(|secret| secret.0.as_str()).unwrap_or_default();
        let guard = Guard::new(token);
        let (scribe, writing) = Scribe::new(stores.clone(), draining.clone());
        background.spawn(writing);
        let unsigned = if args.accept_unsigned_results { Unsigned::Taken } else { Unsigned::Refused };
        let news = app.news().clone();
        let drains = draining.clone();
        let matches =
            matches::rpc::service(stores.clone(), judge, matchmaker, news, unsigned, guard.clone(), drains);
        let boards = leaderboards::rpc::service(stores.clone(), app.boards().clone(), scribe, guard.clone());
        let custody = custody::rpc::service(stores.clone(), guard.clone());
        let hub = sanctions::hub::Hub::new(stores.db.clone());
        background.spawn(hub.clone().follow(draining.clone()));
        let operators = app.matchmaker().map_err(|error| anyhow::anyhow!("{}", error.detail))?.clone();
        let db = stores.db.clone();
        let sanctions = sanctions::rpc::service(hub, db, operators, guard, draining.clone());
        let mut server =
            tonic::transport::Server::builder().tcp_nodelay(true).timeout(Duration::from_secs(10));
        let server =
            server.add_service(matches).add_service(boards).add_service(custody).add_service(sanctions);
        let ended = told_to_end(draining.clone());
        background.spawn(async move {
            if let Err(error) = server.serve_with_incoming_shutdown(TcpListenerStream::new(grpc), ended).await
            {
                tracing::error!(%error, "gRPC ended");
            }
        });
    }
    let service =
        App::routes(args.role).into_service(app).into_make_service_with_connect_info::<SocketAddr>();
    let http = http.tap_io(|stream| _ = stream.set_nodelay(true));
    let server = axum::serve(http, service).with_graceful_shutdown(told_to_end(draining));
    background.spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "HTTP ended");
        }
    });

    announce(http_address, grpc_address)?;
    let why = wait_for_end(args.exit_with_parent).await?;
    tracing::info!(why, "draining");
    drain.send_replace(true);
    if tokio::time::timeout(DRAIN_MAX, async { while background.join_next().await.is_some() {} })
        .await
        .is_err()
    {
        tracing::warn!("requests were cut off after {DRAIN_MAX:?}");
    }
    stores.close().await;
    Ok(())
}

/// The role that Agones asks: no store, no players.
async fn serve_autoscaler(args: &Args) -> anyhow::Result<()> {
    let folder = &args.state;
    make_private_folder(folder)
        .with_context(|| format!("cannot use the state folder {}", folder.display()))?;
    let rules = args.autoscaling.rules(Duration::from_secs(u64::from(args.match_seconds)));
    let desk = autoscaling::Desk::open(rules, Some(folder.join("autoscaler.json")))?;
    let http = bind(args.listen).await?;
    announce(http.local_addr()?, None)?;
    let (drain, draining) = watch::channel(false);
    let router = autoscaling::router(desk.clone(), telemetry::start_metrics());
    let server =
        tokio::spawn(axum::serve(http, router).with_graceful_shutdown(told_to_end(draining)).into_future());
    let why = wait_for_end(args.exit_with_parent).await?;
    tracing::info!(why, "draining");
    drain.send_replace(true);
    // A connection that is held open must not hold up the end.
    let _ = tokio::time::timeout(DRAIN_MAX, server).await;
    desk.save();
    Ok(())
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// The stores, and for the embedded one the locks that keep a second process of the same role away.
async fn open_stores(args: &Args) -> anyhow::Result<(Stores, Vec<File>)> {
    if let (Some(database), Some(redis)) = (&args.database_url, &args.redis_url) {
        let stores = Stores::production(&database.0, &redis.0, args.database_connections).await;
        return Ok((stores.context("cannot open Postgres and Redis")?, Vec::new()));
    }
    let folder = &args.state;
    let unusable = || format!("cannot use the state folder {}", folder.display());
    make_private_folder(folder).with_context(unusable)?;
    let mut locks = Vec::new();
    for role in args.role.parts() {
        let lock = File::create(folder.join(format!("{}.lock", role.name()))).with_context(unusable)?;
        if lock.try_lock().is_err() {
            bail!("the state folder {} is in use by another backend", folder.display());
        }
        locks.push(lock);
    }
    let stores = Stores::embedded(folder).await.with_context(unusable)?;
    if args.role.has(Role::Matchmaking) {
        free_unstarted(&stores.db).await.with_context(unusable)?;
    }
    Ok((stores, locks))
}

/// The folder holds the signing key: nobody else on the machine may read it.
fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Matches that looked for a server when the last process died: their tickets died with it. Nobody else
/// writes the embedded store, so there is no doubt.
async fn free_unstarted(db: &Db) -> Result<(), crate::store::StoreError> {
    for game in db.live_matches().await? {
        if game.state == MatchState::Allocating {
            db.lose_match(game.id, UnixMs::now()).await?;
        }
    }
    Ok(())
}

async fn assemble(
    args: &Args,
    judge: &Judge,
    stores: &Stores,
    draining: watch::Receiver<bool>,
    background: &mut JoinSet<()>,
) -> anyhow::Result<App> {
    let boards = judge.boards.clone();
    let key = stores.db.service_key(&fresh_service_key(), UnixMs::now()).await?;
    let tokens = Arc::new(Tokens::new(&key)?);
    let matchmaker =
        if args.role.has(Role::Matchmaking) { Some(matchmaker(args, stores).await?) } else { None };
    if let Some(matchmaker) = &matchmaker {
        background.spawn(matchmaker.clone().follow(draining.clone()));
        background.spawn(matchmaking::run_worker(matchmaker.clone(), draining.clone()));
        background.spawn(matchmaker.servers().clone().watch(draining.clone()));
        let (db, desk) = (stores.db.clone(), matchmaker.desk.clone());
        background.spawn(matches::watch::run(db, desk, args.fleet_http.clone(), draining.clone()));
    }
    let news = match &args.redis_url {
        Some(redis) => News::shared(&redis.0).await.context("cannot reach Redis")?,
        None => News::embedded(),
    };
    background.spawn(news.clone().follow(draining.clone()));
    let metrics = telemetry::start_metrics();
    background.spawn(housekeeping(stores.clone(), metrics.clone(), draining.clone()));
    background.spawn(keep_up(stores.clone(), draining.clone()));
    if args.role.has(Role::Leaderboards) {
        background.spawn(keep_seasons(stores.clone(), boards.clone(), draining.clone()));
    }
    let (auth, any) = args.rates();
    Ok(App::new(Parts {
        role: args.role,
        stores: stores.clone(),
        boards,
        progression: judge.progression.clone(),
        news,
        accounts: Accounts::new(stores.db.clone(), tokens.clone(), &key),
        tokens,
        matchmaker,
        browser_url: args.websocket_url.clone(),
        limits: Limits::new(auth, any, Instant::now()),
        metrics,
        draining,
    }))
}

async fn matchmaker(args: &Args, stores: &Stores) -> anyhow::Result<Matchmaker> {
    let servers = args.allocation.servers(args.fleet_http.as_deref())?;
    let minter =
        Minter { protocol_id: args.protocol_id, key: args.server_key()?, lifetime: CONNECT_TOKEN_LIFETIME };
    let settings = Settings {
        tick: Duration::from_millis(args.matchmaking_tick_ms),
        match_seconds: args.match_seconds,
        match_grace: Duration::from_secs_f64(args.match_grace),
        idle_max: Duration::from_secs_f64(args.ticket_idle),
    };
    let queue: Arc<dyn Queue> = match &args.redis_url {
        Some(redis) => Arc::new(RedisQueue::connect(&redis.0).await.context("cannot reach Redis")?),
        None => Arc::new(EmbeddedQueue::open(stores.db.clone(), UnixMs::now()).await?),
    };
    let desk = Desk::new(queue, args.rules()?, args.tickets_max)?;
    let parties = Parties::new(stores.db.clone(), args.parties.limits());
    Ok(Matchmaker::new(desk, parties, stores.db.clone(), servers, minter, settings))
}

async fn housekeeping(
    stores: Stores,
    metrics: Option<metrics_exporter_prometheus::PrometheusHandle>,
    draining: watch::Receiver<bool>,
) {
    let mut beats = Beats::every(PURGE_EVERY, draining);
    while beats.next().await {
        if let Err(error) = stores.db.purge_families(UnixMs::now()).await {
            tracing::warn!(%error, "expired sessions not purged");
        }
        if let Some(metrics) = &metrics {
            metrics.run_upkeep();
        }
    }
}

/// Keeps the boards' ranks whole and fresh.
async fn keep_up(stores: Stores, draining: watch::Receiver<bool>) {
    let mut beats = Beats::every(RANKS_EVERY, draining);
    while beats.next().await {
        match stores.ranks.keep_up(UnixMs::now()).await {
            Ok(rebuilt) => {
                metrics::gauge!("board_ranks_whole").set(1.0);
                if rebuilt {
                    tracing::info!("board ranks rebuilt");
                }
            }
            Err(error) => {
                metrics::gauge!("board_ranks_whole").set(0.0);
                tracing::warn!(%error, "board ranks not brought up to date");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Closes seasons that are over.
async fn keep_seasons(stores: Stores, boards: Boards, draining: watch::Receiver<bool>) {
    let mut beats = Beats::every(SEASONS_EVERY, draining);
    while beats.next().await {
        if let Err(error) = leaderboards::keeper::close_seasons(&stores, &boards, UnixMs::now()).await {
            tracing::warn!(%error, "seasons not closed");
        }
    }
}

/// One line for whoever started us.
fn announce(http: SocketAddr, grpc: Option<SocketAddr>) -> anyhow::Result<()> {
    let grpc = grpc.map(|address| address.to_string());
    let line = serde_json::json!({ "ready": true, "http": http.to_string(), "grpc": grpc });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

/// Why the process should end: a signal, or the end of standard input if that means the parent's.
async fn wait_for_end(exit_with_parent: bool) -> anyhow::Result<&'static str> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let orphaned = stdin_end(exit_with_parent);
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        () = orphaned => "standard input ended",
    })
}

async fn stdin_end(wanted: bool) {
    if !wanted {
        return std::future::pending().await;
    }
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    // A thread of its own: a blocked read must not hold the runtime at the end.
    std::thread::spawn(move || {
        let mut sink = [0; 256];
        while std::io::stdin().read(&mut sink).is_ok_and(|read| read > 0) {}
        drop(ended);
    });
    let _ = end.await;
}
