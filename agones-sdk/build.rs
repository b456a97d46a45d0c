//! Owns: turning the `.proto` files into Rust with a compiler written in Rust, so that no `protoc` is needed.
//! Must never know: anything of the crate it builds for.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files =
        ["sdk/sdk.proto", "sdk/beta/beta.proto", "sdk/alpha/alpha.proto", "allocation/allocation.proto"];
    let descriptors = protox::compile(files, ["proto"])?;
    tonic_prost_build::configure().btree_map(".").emit_rerun_if_changed(false).compile_fds(descriptors)?;
    Ok(())
}
