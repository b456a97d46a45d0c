//! Generates the messages, client and server from `proto/` with protox: no `protoc` on the machine is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(
        [
            "proto/tickwright/match/v1/matches.proto",
            "proto/tickwright/boards/v1/boards.proto",
            "proto/tickwright/players/v1/players.proto",
        ],
        ["proto"],
    )?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
