//! The rating model as the backend runs it: its parameters from a file, and the operator's commands around the
//! match log. What a match does to a rating is the `rating` crate's to say, and who is in it `matches::rules`'.

mod command;

use std::path::Path;

use anyhow::{Context as _, bail};
use rating::{Parameters, Rating, TrueSkill2};

pub use command::{COMMAND, main_with};

/// The arena's: rates of kills and deaths as its demo's matches have them, cautious slopes, a drift that blurs
/// a skill by a point in a month away, and modes that differ by a fifth of what newcomers do. Set by hand: what a
/// game's own log says is better.
const ARENA: &str = include_str!("arena.json");
/// A parameter file is no longer than this.
const BYTES_MAX: u64 = 1024 * 1024;

/// The model with the parameters in `file`; with the arena's if there is none.
///
/// # Errors
/// The file cannot be read, or asks for what makes no sense or is not kept here.
pub fn model(file: Option<&Path>) -> anyhow::Result<TrueSkill2> {
    let Some(file) = file else { return checked(serde_json::from_str(ARENA)?) };
    let about = || format!("--ratings {}", file.display());
    checked(read(file).with_context(about)?).with_context(about)
}

fn read(file: &Path) -> anyhow::Result<Parameters> {
    if std::fs::metadata(file)?.len() > BYTES_MAX {
        bail!("a parameter file has at most {BYTES_MAX} bytes");
    }
    Ok(serde_json::from_slice(&std::fs::read(file)?)?)
}

/// Refuses what the backend's tables have no place for.
fn checked(parameters: Parameters) -> anyhow::Result<TrueSkill2> {
    if parameters.newcomer != Rating::NEWCOMER {
        bail!("newcomers start at 25 ± 25/3 here: leave `newcomer` out");
    }
    Ok(TrueSkill2::new(parameters)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arenas_parameters_make_sense_and_a_wrong_file_says_what_is_wrong() {
        let arena = model(None).expect("the built-in parameters make sense");
        assert!(arena.parameters().mode.kills.is_some() && arena.parameters().quit_margin.is_some());
        let folder = tempfile::tempdir().expect("a folder");
        for (text, expected) in [
            ("{", "EOF"),
            (r#"{ "bta": 4.0 }"#, "bta"),
            (r#"{ "beta": 0.0 }"#, "beta is out of range"),
            (r#"{ "newcomer": { "mu": 1500.0, "sigma": 350.0 } }"#, "newcomer"),
            (r#"{ "mode": { "offset_sigma": -1.0 } }"#, "offset_sigma"),
        ] {
            let file = folder.path().join("parameters.json");
            std::fs::write(&file, text).expect("it is written");
            let fault = format!("{:#}", model(Some(&file)).expect_err(text));
            assert!(fault.contains(expected) && fault.contains("--ratings"), "{text}: {fault}");
        }
        assert!(model(Some(Path::new("/nowhere/parameters.json"))).is_err());
    }
}
