//! The `bots` program: see the library for what it does.

fn main() -> std::process::ExitCode {
    bots::cli::main()
}
