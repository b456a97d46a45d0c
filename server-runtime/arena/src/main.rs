//! The arena's dedicated server as a process of its own.

fn main() -> anyhow::Result<()> {
    arena::server_main(std::env::args_os())
}
