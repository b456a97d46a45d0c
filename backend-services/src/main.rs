//! The backend's binary: all it does is call the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    match backend_services::main_with(std::env::args_os().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("backend-services: {error:#}");
            ExitCode::FAILURE
        }
    }
}
