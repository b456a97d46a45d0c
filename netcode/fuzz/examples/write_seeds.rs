//! Writes every target's seeds into `corpus/`: where fuzzing begins when a format has changed.

use std::path::Path;

fn main() -> std::io::Result<()> {
    for target in netcode_fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
