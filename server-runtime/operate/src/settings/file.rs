//! A settings file: TOML with the lines that things stand in. Must never know which keys there should be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::error::{Origin, Refusal, SettingsError};
use super::section::Section;

/// Longest file that is read, bytes: a settings file has some lines, and a device or a log named by mistake has no end.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// One key outside of any table.
#[derive(Debug)]
pub(super) struct FileValue {
    /// As it is spelled in the file.
    pub(super) spelled: String,
    pub(super) line: usize,
    pub(super) value: FileText,
}

/// A value as a command line would have it.
#[derive(Debug)]
pub(super) enum FileText {
    One(String),
    /// In the file as an array.
    Many(Vec<String>),
    Switch(bool),
    /// A date, or tables in an array.
    Neither,
}

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct File {
    /// By flag names: with dashes.
    pub(super) values: BTreeMap<String, FileValue>,
    pub(super) sections: BTreeMap<String, Section>,
}

pub(super) fn load(path: &Path) -> Result<File, SettingsError> {
    let unreadable = |cause| SettingsError::Unreadable { path: path.to_owned(), cause };
    let opened = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    let read = std::io::Read::read_to_string(&mut std::io::Read::take(opened, FILE_BYTES_MAX + 1), &mut text);
    read.map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let cause = std::io::Error::other(format!("it is longer than {FILE_BYTES_MAX} bytes"));
        return Err(unreadable(cause));
    }
    parse(&text, path.to_owned())
}

fn parse(text: &str, path: PathBuf) -> Result<File, SettingsError> {
    let malformed = |error: &toml::de::Error| SettingsError::Malformed {
        path: path.clone(),
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        why: error.message().to_owned(),
    };
    let table = DeTable::parse(text).map_err(|error| malformed(&error))?;
    let mut file = File::default();
    for (key, value) in table.into_inner() {
        let (line, spelled) = (line_of(text, key.span().start), key.into_inner().into_owned());
        match value.into_inner() {
            DeValue::Table(inner) => {
                let mut section = Section::absent(&spelled, Some(&path));
                section.line = line;
                for (name, value) in &inner {
                    let name = name.get_ref().to_string();
                    section.lines.insert(name, line_of(text, value.span().start));
                }
                // The same text once more, for serde: reading it the first time kept the places, which serde has no use for.
                let whole: toml::Table = toml::from_str(text).map_err(|error| malformed(&error))?;
                section.values = match whole.get(&spelled) {
                    Some(toml::Value::Table(values)) => values.clone(),
                    _ => toml::Table::new(),
                };
                file.sections.insert(spelled, section);
            }
            plain => {
                let flag = spelled.replace('_', "-");
                if let Some(before) = file.values.get(&flag) {
                    let origin = Origin::File { path, line };
                    let why = format!("line {} says it too, as {}", before.line, before.spelled);
                    let (key, value) = (spelled, "given twice".to_owned());
                    return Err(Refusal { key, value, origin, why, allowed: "one".into() }.into());
                }
                file.values.insert(flag, FileValue { spelled, line, value: text_of(&plain) });
            }
        }
    }
    Ok(file)
}

fn text_of(value: &DeValue<'_>) -> FileText {
    match value {
        DeValue::Boolean(switch) => FileText::Switch(*switch),
        DeValue::Array(items) => {
            let items = items.iter().map(|item| scalar(item.get_ref()));
            items.collect::<Option<Vec<_>>>().map_or(FileText::Neither, FileText::Many)
        }
        value => scalar(value).map_or(FileText::Neither, FileText::One),
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => Some(match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.to_string(),
            Err(_) => number.to_string(),
        }),
        DeValue::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The line of a place in `text`, from 1.
fn line_of(text: &str, place: usize) -> usize {
    text.as_bytes().iter().take(place).filter(|byte| **byte == b'\n').count() + 1
}
