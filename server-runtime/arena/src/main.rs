//! The arena's dedicated server as a process of its own.

use std::process::ExitCode;

use server_runtime::RunError;

fn main() -> ExitCode {
    let Err(error) = arena::server_main(std::env::args_os()) else { return ExitCode::SUCCESS };
    eprintln!("error: {error:#}");
    ExitCode::from(error.downcast_ref().map_or(1, RunError::exit_code))
}
