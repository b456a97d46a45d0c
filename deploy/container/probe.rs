//! Asks a health page on the loopback and ends with 0 if it answers 200: `probe PORT [PATH]`. The images have no shell and no
//! curl, so this is their HEALTHCHECK. Standard library only; compiled by `rustc` alone. Must never know whose page it is.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().and_then(|text| text.parse().ok());
    let path = arguments.next().unwrap_or_else(|| "/healthz".to_owned());
    match port.map(|port| ask(port, &path)) {
        Some(Ok(true)) => ExitCode::SUCCESS,
        Some(Ok(false)) => ExitCode::FAILURE,
        Some(Err(error)) => {
            eprintln!("probe: {error}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("usage: probe PORT [PATH]");
            ExitCode::from(2)
        }
    }
}

/// Whether the page's status line says 200.
fn ask(port: u16, path: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(status.ends_with(b" 200"))
}
