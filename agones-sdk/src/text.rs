//! Owns: reading an object from a file that somebody wrote, JSON or YAML.
//! Must never know: what the object is.

use std::io::{self, Read};
use std::path::Path;

use serde::de::DeserializeOwned;

/// A longer file was not written by a person.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads a file as text, up to a limit.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    if file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)? as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// Parses JSON where the text begins like it, and YAML otherwise.
///
/// # Errors
/// One line that says where and why.
pub(crate) fn parse<T: DeserializeOwned>(source: &str) -> Result<T, String> {
    if source.trim_start().starts_with('[') {
        return Err("an object is expected, and this is a list".into());
    }
    if source.trim_start().starts_with('{') {
        return serde_json::from_str(source).map_err(|error| error.to_string());
    }
    serde_saphyr::from_str(source).map_err(|error| {
        let text = error.to_string();
        text.lines().next().unwrap_or("no YAML").to_owned()
    })
}
