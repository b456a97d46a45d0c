//! Other libraries as contestants: one file each. A child process of the comparisons in `benches`; speaks nothing but
//! the contest's lines. Must never know what is measured.

mod enet;
mod laminar;
mod quic;
mod renet;

use anyhow::Context;
use contest::{Job, Role, play};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let role =
        arguments.next().context("usage: peers server|swarm JOB; run by `benches transport` and `loss`")?;
    let role: Role = serde_json::from_value(role.into()).context("no such role")?;
    let job: Job =
        serde_json::from_str(&arguments.next().context("no job")?).context("the job cannot be read")?;
    match job.peer.as_str() {
        "renet" => play::<renet::Renet>(role, &job),
        "enet" => play::<enet::Enet>(role, &job),
        "laminar" => play::<laminar::Laminar>(role, &job),
        "quinn" => play::<quic::Quinn>(role, &job),
        other => anyhow::bail!("{other} is none of these"),
    }
}

/// Where the job's clients connect to.
fn server_of(job: &Job) -> anyhow::Result<std::net::SocketAddr> {
    job.connect.context("no address to connect to")
}
