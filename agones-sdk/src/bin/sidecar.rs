//! Owns: the `sidecar` command. Must never know: anything but the library's entry point.

use std::process::ExitCode;

fn main() -> ExitCode {
    match agones_sdk::sidecar_main(std::env::args_os()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sidecar: {error:#}");
            ExitCode::from(2)
        }
    }
}
