//! Hidden roles: this executable started again as one of the demo's processes.
//!
//! `cargo run` builds one executable, so the journey's processes are all this one; the same code is in each crate's
//! own binary for those who deploy them apart.

use std::ffi::OsString;

use clap::ValueEnum;

/// A process of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Accounts, matchmaking, leaderboards.
    Backend,
    /// Who tells the fleet how many servers to keep: the backend's autoscaler.
    Autoscaler,
    /// The local fleet of game servers, each with a sidecar.
    Fleet,
    /// One dedicated game server.
    ArenaServer,
}

impl Role {
    /// The word that selects this role on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::Autoscaler => "autoscaler",
            Self::Fleet => "fleet",
            Self::ArenaServer => "arena-server",
        }
    }
}

/// Runs `role` with its own `args` (without the program's name) until it is told to stop.
pub fn run(role: Role, args: Vec<OsString>) -> anyhow::Result<()> {
    let with_name = |args: Vec<OsString>| std::iter::once(OsString::from(role.name())).chain(args);
    match role {
        Role::Backend => backend_services::main_with(args),
        Role::Autoscaler => {
            let role = ["--role", "autoscaler"].map(OsString::from);
            backend_services::main_with(role.into_iter().chain(args))
        }
        Role::Fleet => agones_sdk::fleet_main(with_name(args)),
        Role::ArenaServer => arena::server_main(with_name(args)),
    }
}
