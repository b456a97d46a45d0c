//! Owns: the life of one server: its sidecar, its process, and what the end of one means for the other.
//! Must never know: the other servers, or how many there should be.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::output::{self, Said};
use super::process::Process;
use super::roster::{Details, Member, Roster};
use super::template::{Generation, Template};
use super::{crash, port};
use crate::proto::sdk::GameServer;
use crate::proto::sdk::game_server::status::{Address, Port};
use crate::sidecar::{Sidecar, SidecarConfig, SidecarError, unix_now};
use crate::state::State;
use crate::uid;

/// A server that has asked for its end may take this long to leave by itself before it gets SIGTERM.
const LINGER: Duration = Duration::from_secs(1);

/// How a server's life ended.
#[derive(Debug)]
pub(super) enum End {
    /// As asked: by itself, by the fleet's size, or by the fleet's end.
    Asked,
    /// Not asked for.
    Crashed {
        /// When the server was created.
        started: Instant,
        /// How long it had been Ready.
        ready_for: Duration,
    },
}

/// Why a process ended.
enum Outcome {
    Exited(std::io::Result<std::process::ExitStatus>),
    /// The server's state is final; the process is gone by now.
    Ended,
    /// The fleet is ending; the process is gone by now.
    Stopped,
}

/// Creates a server under `name` and lives with it until it is gone, processes and all.
pub(super) async fn live(
    roster: Arc<Roster>,
    name: String,
    generation: Generation,
) -> Result<End, SidecarError> {
    let config = &roster.config;
    let object = game_server(&config.name, &generation.template, &name);
    let sidecar = Sidecar::start(SidecarConfig::managed(object, config.health)).await;
    let sidecar = sidecar.inspect_err(|_| roster.miscarry(&generation))?;
    let member = Arc::new(Member {
        sidecar,
        log: config.state_dir.join(&name),
        name,
        generation: generation.number,
        template: generation.template,
        started: Instant::now(),
        started_unix: unix_now(),
        details: Mutex::new(Details::default()),
    });
    roster.insert(member.clone());
    let end = run_until_final(&roster, &member).await;
    roster.remove(&member);
    member.sidecar.stop().await;
    Ok(end)
}

/// Starts the process, again and again with back-off while it dies before Ready.
async fn run_until_final(roster: &Arc<Roster>, member: &Arc<Member>) -> End {
    let stopped = roster.stopped();
    tokio::pin!(stopped);
    loop {
        let outcome = run_process(roster, member).await;
        member.details().pid = None;
        let state = member.sidecar.state();
        let ready_for = member.details().ready_at.map_or(Duration::ZERO, |at| at.elapsed());
        let crashed = End::Crashed { started: member.started, ready_for };
        match outcome {
            Outcome::Stopped => return End::Asked,
            _ if state == State::Shutdown => return End::Asked,
            Outcome::Ended => {
                tracing::warn!(server = member.name, %state, "server was replaced");
                roster.count_crash();
                return crashed;
            }
            Outcome::Exited(status) => {
                let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                let log = member.log.display();
                tracing::warn!(server = member.name, %state, status, %log, "server process ended unasked");
                roster.count_crash();
            }
        }
        if !state.is_starting() {
            member.sidecar.set_state(State::Unhealthy);
            return crashed;
        }
        let restarts = {
            let mut details = member.details();
            details.restarts += 1;
            details.restarts
        };
        let mut states = member.sidecar.subscribe();
        let final_state = states.wait_for(|server| server.state().is_some_and(State::is_final));
        tokio::select! {
            () = sleep(crash::BACKOFF.wait(restarts)) => {}
            // Retired, or judged unhealthy: there is nothing to start again for.
            _ = final_state => {
                let retired = member.sidecar.state() == State::Shutdown;
                return if retired { End::Asked } else { crashed };
            }
            () = &mut stopped => return End::Asked,
        }
    }
}

/// Runs one process from its start to its end.
async fn run_process(roster: &Arc<Roster>, member: &Arc<Member>) -> Outcome {
    let (mut process, mut outputs) = match start_process(roster, member) {
        Ok(started) => started,
        Err(error) => return Outcome::Exited(Err(error)),
    };
    member.details().pid = Some(process.pid());
    let outcome = watch_process(roster, member, &mut process).await;
    // What the process said last is in the pipes still; whoever else holds them open does not count.
    let drained = async { while outputs.join_next().await.is_some() {} };
    if tokio::time::timeout(Duration::from_secs(1), drained).await.is_err() {
        tracing::debug!(server = member.name, "output is held open after the end");
    }
    outcome
}

async fn watch_process(roster: &Roster, member: &Member, process: &mut Process) -> Outcome {
    let stopped = roster.stopped();
    tokio::pin!(stopped);
    let mut states = member.sidecar.subscribe();
    let grace = roster.config.grace;
    loop {
        let state = states.borrow_and_update().state();
        if state == Some(State::Ready) {
            member.details().ready_at.get_or_insert_with(Instant::now);
        }
        if state.is_some_and(State::is_final) {
            // Who asked for its own end may take a moment; who was judged unhealthy may not even listen.
            let linger = if state == Some(State::Shutdown) { LINGER } else { Duration::ZERO };
            if let Err(error) = process.end(linger, grace).await {
                tracing::warn!(server = member.name, %error, "server process cannot be waited for");
            }
            return Outcome::Ended;
        }
        tokio::select! {
            status = process.wait() => return Outcome::Exited(status),
            changed = states.changed() => if changed.is_ok() { roster.changed.notify_one() },
            () = &mut stopped => {
                if let Err(error) = process.end(Duration::ZERO, grace).await {
                    tracing::warn!(server = member.name, %error, "server process cannot be waited for");
                }
                return Outcome::Stopped;
            }
        }
    }
}

fn start_process(roster: &Arc<Roster>, member: &Arc<Member>) -> std::io::Result<(Process, JoinSet<()>)> {
    let config = &roster.config;
    // A new one each time: a port that somebody else has taken may be why the last process died.
    let port = port::choose(&config.ports, &roster.ports());
    let port = port.ok_or_else(|| std::io::Error::other("no free port in the fleet's range"))?;
    member.details().port = Some(port);
    member.sidecar.edit(|server| {
        server.status_mut().ports = vec![Port { name: "default".into(), port: i32::from(port) }];
    });
    let fill = |text: &String| text.replace("{port}", &port.to_string()).replace("{name}", &member.name);
    let command: Vec<_> = member.template.command.iter().map(fill).collect();
    let env = environment(member, fill);
    let (process, stdout, stderr) = Process::start(&command, &env)?;
    let mut outputs = JoinSet::new();
    let (path, roster, speaker) =
        (member.log.with_added_extension("stdout.log"), roster.clone(), member.clone());
    outputs.spawn(async move {
        let hear = |said| match said {
            Said::Ready(line) => speaker.details().ready_line = Some(line),
            Said::Final(last) => roster.keep_final(&speaker.name, &last),
        };
        output::copy(stdout, &path, hear).await;
    });
    let path = member.log.with_added_extension("stderr.log");
    outputs.spawn(async move { output::copy(stderr, &path, drop).await });
    Ok((process, outputs))
}

fn environment(member: &Member, fill: impl Fn(&String) -> String) -> Vec<(String, String)> {
    let sidecar = &member.sidecar;
    let own = [
        ("AGONES_SDK_GRPC_HOST", format!("http://{}", sidecar.grpc_addr().ip())),
        ("AGONES_SDK_GRPC_PORT", sidecar.grpc_addr().port().to_string()),
        ("AGONES_SDK_HTTP_PORT", sidecar.http_addr().port().to_string()),
        ("GAMESERVER_NAME", member.name.clone()),
        ("POD_NAMESPACE", "default".into()),
    ];
    let given = member.template.env.iter().map(|(key, value)| (key.clone(), fill(value)));
    given.chain(own.into_iter().map(|(key, value)| (key.to_owned(), value))).collect()
}

fn game_server(fleet: &str, template: &Template, name: &str) -> GameServer {
    let mut server = GameServer::default();
    let meta = server.meta_mut();
    name.clone_into(&mut meta.name);
    meta.namespace = "default".into();
    meta.uid = uid::random();
    meta.resource_version = "v1".into();
    meta.generation = 1;
    meta.creation_timestamp = i64::try_from(unix_now().as_secs()).unwrap_or(i64::MAX);
    meta.labels = template.labels.iter().cloned().collect();
    meta.labels.insert("agones.dev/fleet".into(), fleet.to_owned());
    server.status = Some(template.status());
    let status = server.status_mut();
    State::Scheduled.name().clone_into(&mut status.state);
    status.address = "127.0.0.1".into();
    status.addresses = vec![Address { r#type: "InternalIP".into(), address: "127.0.0.1".into() }];
    server
}
