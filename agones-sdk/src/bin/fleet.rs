//! Owns: the `fleet` command. Must never know: anything but the library's entry point.

use std::process::ExitCode;

fn main() -> ExitCode {
    match agones_sdk::fleet_main(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fleet: {error:#}");
            ExitCode::from(2)
        }
    }
}
