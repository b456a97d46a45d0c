//! A child's way from its arguments to its loop, and its end with its parent. Must never know a transport.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{io, process, thread};

use crate::{Guest, Host, Job, Line, Role, serve, swarm};

/// A transport that takes part.
pub trait Peer {
    /// Its server.
    type Host: Host;
    /// Its client.
    type Guest: Guest;

    /// Binds a free port of the loopback.
    ///
    /// # Errors
    /// It cannot be set up.
    fn host(job: &Job) -> anyhow::Result<Self::Host>;

    /// Begins to connect to `job.connect`; `index` counts from 0.
    ///
    /// # Errors
    /// It cannot be set up.
    fn guest(job: &Job, index: usize) -> anyhow::Result<Self::Guest>;
}

/// Whether the parent has said stop.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// It has.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Plays one role of `P` to its end. A failure is said on standard output too, for the parent.
///
/// # Errors
/// The transport fails.
pub fn play<P: Peer>(role: Role, job: &Job) -> anyhow::Result<()> {
    let stop = watch_parent();
    let result = match role {
        Role::Server => P::host(job).and_then(|mut host| serve(&mut host, job)),
        Role::Swarm => swarm(job, &stop, |index| P::guest(job, index)),
    };
    if let Err(error) = &result {
        say(&Line::Failed(format!("{error:#}")));
    }
    result
}

/// How long the first of several players is alone before the others come: two seconds hold what happens once in a
/// session's life.
pub(crate) const ALONE: Duration = Duration::from_secs(2);

/// Writes one line for the parent.
pub(crate) fn say(line: &Line) {
    let text = serde_json::to_string(line).expect("a line has no map with odd keys");
    let mut out = io::stdout().lock();
    // A parent that is gone hears nothing; the watch on standard input ends us.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// A line on standard input says stop; its end means that the parent is gone, and so are we.
fn watch_parent() -> Stop {
    let stop = Stop::default();
    let shared = stop.clone();
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            if line.is_err() {
                break;
            }
            shared.0.store(true, Ordering::Release);
        }
        process::exit(0);
    });
    stop
}
