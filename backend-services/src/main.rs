//! The backend's binary: all it does is call the library.

use std::process::ExitCode;

use backend_services::config::ConfigFault;

fn main() -> ExitCode {
    match backend_services::main_with(std::env::args_os().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("backend-services: {error:#}");
            // As clap ends a process whose flags make no sense.
            if error.is::<ConfigFault>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
