//! Flags, environment and file into one: what the file says and neither a flag nor a variable does becomes a flag before
//! all others, so that clap parses all of them alike, and knows what must not or has to go together.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::{OsStr as ClapOsStr, Resettable};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::error::{Origin, Refusal, SettingsError, first_paragraph};
use super::file::{self, FileText, FileValue};
use super::words::nearest;
use super::{Entry, FILE_FLAG, NOT_IN_A_FILE, Settings};

pub(super) fn read(declare: fn() -> Command, args: Vec<OsString>) -> Result<Settings, SettingsError> {
    let mut command = declare();
    // Global flags and generated ones are there from now on.
    command.build();
    let path = file_of(&command, &args);
    let file = path.as_deref().map(file::load).transpose()?.unwrap_or_default();
    let rough = declare().ignore_errors(true).try_get_matches_from(&args).ok();
    let mut from_file = Vec::new();
    let mut layered = args.clone();
    let mut place = usize::from(!command.is_no_binary_name_set()).min(layered.len());
    for (flag, found) in &file.values {
        let path = path.clone().expect("values come from a file");
        let origin = Origin::File { path, line: found.line };
        let arg = flag_of(&command, flag, found, &origin)?;
        let words = words(arg, found, &origin)?;
        for word in &words {
            try_alone(declare, arg, word, &origin)?;
        }
        let typed = rough.as_ref().and_then(|matches| matches.value_source(arg.get_id().as_str()));
        let in_environment = arg.get_env().is_some_and(|name| std::env::var_os(name).is_some());
        if typed == Some(ValueSource::CommandLine) || in_environment {
            continue;
        }
        from_file.push(flag.clone());
        for word in words {
            layered.insert(place, word);
            place += 1;
        }
    }
    let matches =
        declare().try_get_matches_from(&layered).map_err(|error| blame(declare, &command, &args, error))?;
    let lines = |flag: &str| {
        let line = file.values.get(flag).filter(|_| from_file.iter().any(|key| key == flag))?.line;
        Some(Origin::File { path: path.clone()?, line })
    };
    let entries = entries(&command, &matches, lines);
    let doubts = doubts(&command, std::env::vars_os().map(|(name, _)| name));
    Ok(Settings { declare, args, path, matches, entries, sections: file.sections, doubts })
}

/// The file that flags or environment name.
fn file_of(command: &Command, args: &[OsString]) -> Option<PathBuf> {
    let arg = command.get_arguments().find(|arg| arg.get_long() == Some(FILE_FLAG))?;
    let mut words = args.iter().take_while(|word| *word != "--");
    let mut named = None;
    while let Some(word) = words.next() {
        if word == "--config" {
            named = words.next().cloned();
        } else if let Some(path) = word.to_str().and_then(|word| word.strip_prefix("--config=")) {
            named = Some(path.into());
        }
    }
    let from_environment = || arg.get_env().and_then(std::env::var_os);
    named.or_else(from_environment).filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn flag_of<'a>(
    command: &'a Command,
    flag: &str,
    found: &FileValue,
    origin: &Origin,
) -> Result<&'a Arg, SettingsError> {
    let flags = || {
        let named = command.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg)));
        named.filter(|(long, _)| !NOT_IN_A_FILE.contains(long))
    };
    if let Some((_, arg)) = flags().find(|(long, _)| *long == flag) {
        return Ok(arg);
    }
    let nearest = nearest(flag, flags().map(|(long, _)| long)).map(str::to_owned);
    Err(SettingsError::Unknown { key: found.spelled.clone(), origin: origin.clone(), nearest })
}

/// The words that a command line would have for it.
fn words(arg: &Arg, found: &FileValue, origin: &Origin) -> Result<Vec<OsString>, SettingsError> {
    let many = matches!(arg.get_action(), ArgAction::Append) || arg.get_value_delimiter().is_some();
    let long = arg.get_long().unwrap_or_default();
    let refused = |value: &str, allowed: &str| {
        Refusal {
            key: found.spelled.clone(),
            value: value.to_owned(),
            origin: origin.clone(),
            why: "it is of another kind".into(),
            allowed: allowed.to_owned(),
        }
        .into()
    };
    let flag = |word: &String| format!("--{long}={word}").into();
    match &found.value {
        FileText::Switch(true) if is_switch(arg) => Ok(vec![format!("--{long}").into()]),
        FileText::Switch(false) if is_switch(arg) => Ok(Vec::new()),
        _ if is_switch(arg) => Err(refused("no switch", "true or false")),
        FileText::One(word) => Ok(vec![flag(word)]),
        FileText::Many(words) if many => Ok(words.iter().map(flag).collect()),
        FileText::Many(_) => Err(refused("a list", "one value")),
        FileText::Switch(on) => Ok(vec![flag(&on.to_string())]),
        FileText::Neither => Err(refused("a date or a list of tables", "text or a number")),
    }
}

fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse)
}

/// Parses one value of the file as if it were all that was given, so that what is said of it is said of it.
fn try_alone(
    declare: fn() -> Command,
    arg: &Arg,
    flag: &OsStr,
    origin: &Origin,
) -> Result<(), SettingsError> {
    match alone(declare, flag) {
        Err(error) if is_about_a_value(&error) => {
            let word = flag.to_str().and_then(|flag| flag.split_once('=')).map_or("", |(_, word)| word);
            Err(refused(declare, arg, word, origin.clone(), &error))
        }
        // Others are about what is missing beside it.
        _ => Ok(()),
    }
}

fn alone(declare: fn() -> Command, flag: &OsStr) -> Result<ArgMatches, clap::Error> {
    let bare = declare().no_binary_name(true).mut_args(|arg| arg.env(Resettable::<ClapOsStr>::Reset));
    bare.try_get_matches_from([flag])
}

fn is_about_a_value(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidValue
            | ErrorKind::ValueValidation
            | ErrorKind::WrongNumberOfValues
            | ErrorKind::TooManyValues
            | ErrorKind::TooFewValues
            | ErrorKind::NoEquals
    )
}

/// Says of a value that clap refused where it came from and what is allowed.
fn refused(
    declare: fn() -> Command,
    arg: &Arg,
    word: &str,
    origin: Origin,
    error: &clap::Error,
) -> SettingsError {
    let key = arg.get_long().unwrap_or_else(|| arg.get_id().as_str()).to_owned();
    let value = if arg.is_hide_env_values_set() { "(secret)".to_owned() } else { format!("{word:?}") };
    let source = std::error::Error::source(error).map(ToString::to_string);
    let why = source.unwrap_or_else(|| "there is no such choice".into());
    // What a secret's parser says may quote it.
    let why = if arg.is_hide_env_values_set() { "it is malformed".to_owned() } else { why };
    Refusal { key, value, origin, why, allowed: allowed(declare, arg) }.into()
}

/// What a flag may be: its choices, its range, or else the words of `--help`.
fn allowed(declare: fn() -> Command, arg: &Arg) -> String {
    let choices = arg.get_possible_values();
    if !choices.is_empty() {
        let names: Vec<&str> = choices.iter().map(clap::builder::PossibleValue::get_name).collect();
        return names.join(", ");
    }
    // Deliberate: clap does not tell the range of a number but in its refusal of a number outside of it.
    let long = arg.get_long().unwrap_or_default();
    for probe in [i64::MAX.to_string(), u64::MAX.to_string()] {
        if let Err(error) = alone(declare, OsStr::new(&format!("--{long}={probe}")))
            && let Some(source) = std::error::Error::source(&error).map(ToString::to_string)
            && let Some((_, range)) = source.split_once(" is not in ")
        {
            return range.replacen("..=", " to ", 1);
        }
    }
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    first_paragraph(&help).trim_end_matches('.').to_owned()
}

/// An error of the whole command line: about a value, it is told like those of the file.
fn blame(
    declare: fn() -> Command,
    command: &Command,
    args: &[OsString],
    error: clap::Error,
) -> SettingsError {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let (Some(named), Some(value)) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue)) else {
        return SettingsError::Usage(error);
    };
    let long = named.trim_start_matches("--").split([' ', '=']).next().unwrap_or_default().to_owned();
    let Some(arg) = command.get_arguments().find(|arg| arg.get_long() == Some(&long)) else {
        return SettingsError::Usage(error);
    };
    if !is_about_a_value(&error) {
        return SettingsError::Usage(error);
    }
    let flag = format!("--{long}");
    let typed = args
        .iter()
        .any(|word| word.to_str().is_some_and(|word| word == flag || word.starts_with(&format!("{flag}="))));
    let origin = match arg.get_env().and_then(OsStr::to_str) {
        _ if typed => Origin::Flag,
        Some(variable) => Origin::Environment(variable.to_owned()),
        None => Origin::Flag,
    };
    refused(declare, arg, &value, origin, &error)
}

fn entries(
    command: &Command,
    matches: &ArgMatches,
    from_file: impl Fn(&str) -> Option<Origin>,
) -> Vec<Entry> {
    let shown = |arg: &&Arg| arg.get_long().is_some_and(|long| !["help", "version"].contains(&long));
    let entry = |arg: &Arg| {
        let (id, key) = (arg.get_id().as_str(), arg.get_long().unwrap_or_default().to_owned());
        let raw = matches.get_raw(id);
        let words =
            raw.map(|words| words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>());
        let value = words.filter(|words| !words.is_empty()).map(|words| words.join(","));
        let origin = match (matches.value_source(id), from_file(&key)) {
            (_, Some(file)) => file,
            (Some(ValueSource::CommandLine), _) => Origin::Flag,
            (Some(ValueSource::EnvVariable), _) => {
                Origin::Environment(arg.get_env().unwrap_or_default().to_string_lossy().into_owned())
            }
            _ => Origin::Default,
        };
        Entry { key, value, origin, secret: arg.is_hide_env_values_set() }
    };
    command.get_arguments().filter(shown).map(entry).collect()
}

/// Variables almost spelled like ours. No error: other programs' variables are their own matter.
fn doubts(command: &Command, variables: impl Iterator<Item = OsString>) -> Vec<String> {
    let known: Vec<&str> =
        command.get_arguments().filter_map(Arg::get_env).filter_map(OsStr::to_str).collect();
    let doubt = |name: OsString| {
        let name = name.to_str()?.to_owned();
        let ours = name.starts_with(OUR_VARIABLES) && !known.contains(&name.as_str());
        let meant = known.iter().copied().find(|known| strsim::damerau_levenshtein(&name, known) <= 2)?;
        ours.then(|| format!("the environment's {name} is no setting; did you mean {meant}?"))
    };
    variables.filter_map(doubt).collect()
}

/// How our variables begin.
const OUR_VARIABLES: &str = "TICKWRIGHT_";
