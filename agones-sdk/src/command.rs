//! Owns: what the crate's commands and servers share: flags with one-line errors, a runtime, the wish to end, the end.
//! Must never know: what a command does.

use std::ffi::OsString;
use std::future::Future;
use std::io::{self, Read, Write};
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use clap::error::ErrorKind;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Parses flags after the program's name; `None` after help was printed. The error is one line.
pub(crate) fn parse<F: Parser>(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<Option<F>> {
    match F::try_parse_from(args) {
        Ok(flags) => Ok(Some(flags)),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            error.print()?;
            Ok(None)
        }
        Err(error) => {
            let text = error.to_string();
            // clap puts the names of missing flags on lines of their own, before an empty one.
            let lines: Vec<_> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            anyhow::bail!("{} (try --help)", lines.join(" ").trim_start_matches("error: "))
        }
    }
}

/// Runs a command to its end on a runtime of its own, with logs on stderr.
pub(crate) fn run(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // Fails where the host program has set a subscriber already: then that one is used.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).try_init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.context("no runtime")?.block_on(work)
}

/// Resolves at SIGTERM, SIGINT, or (if asked) the end of stdin, whichever comes first.
/// The signals are caught from the call on, not from the first poll.
pub(crate) fn end_requested(stdin_too: bool) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be caught")?;
    let (sender, stdin_ended) = oneshot::channel();
    if stdin_too {
        // A thread of its own: a read of stdin cannot be cancelled, and must not hold up the runtime's end.
        std::thread::spawn(move || {
            drain_stdin();
            let _ = sender.send(());
        });
    }
    Ok(async move {
        let parent_gone = async {
            // Without the flag the sender is dropped at once, which is no end.
            if stdin_ended.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = parent_gone => {}
        }
    })
}

/// How long servers that were told to stop may wait for their peers.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Waits for servers that were told to stop; what still waits for a peer then is cut off.
pub(crate) async fn end_servers(tasks: impl IntoIterator<Item = JoinHandle<()>>) {
    for mut task in tasks {
        // A task that panicked is gone as well.
        if timeout(LAST_WORDS, &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// One line of JSON on stdout, flushed; a reader that is gone does not matter.
pub(crate) fn print_line(value: &serde_json::Value) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}

fn drain_stdin() {
    let mut sink = [0; 256];
    let mut stdin = io::stdin().lock();
    while matches!(stdin.read(&mut sink), Ok(1..)) {}
}
