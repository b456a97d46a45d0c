//! Owns: what a new server of a fleet is like, and where a fleet's template comes from.
//! Must never know: the servers that there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::proto::sdk::game_server::Status;
use crate::proto::sdk::game_server::status::{CounterStatus, ListStatus};
use crate::text;

/// What a new server is like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    /// Program and arguments; `{port}` and `{name}` are filled in.
    pub command: Vec<String>,
    /// More environment; `{port}` and `{name}` are filled in in the values.
    pub env: Vec<(String, String)>,
    /// More labels.
    pub labels: Vec<(String, String)>,
    /// Counters at the start: count and capacity.
    pub counters: BTreeMap<String, CounterStatus>,
    /// Lists at the start: capacity and values.
    pub lists: BTreeMap<String, ListStatus>,
}

/// One template of a fleet, and which one it is.
#[derive(Clone, Debug)]
pub(super) struct Generation {
    /// Goes up with every template.
    pub(super) number: u64,
    pub(super) template: Arc<Template>,
}

/// A template as a file says it; what is missing stays as it was.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TemplateText {
    command: Option<Vec<String>>,
    env: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
    counters: Option<BTreeMap<String, CounterText>>,
    lists: Option<BTreeMap<String, ListText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CounterText {
    #[serde(default)]
    count: i64,
    capacity: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListText {
    capacity: i64,
    #[serde(default)]
    values: Vec<String>,
}

impl Template {
    /// A template that only says what to start.
    pub fn new(command: Vec<String>) -> Self {
        Self { command, ..Self::default() }
    }

    /// This template with what a text (JSON or YAML) says instead:
    /// `{"command":[…],"env":{…},"labels":{…},"counters":{"rooms":{"count":0,"capacity":10}},"lists":{"players":{"capacity":8,"values":[]}}}`.
    ///
    /// # Errors
    /// One line: the text is no template.
    pub fn overlay(&self, source: &str) -> Result<Self, String> {
        let text: TemplateText = text::parse(source)?;
        let pairs = |map: BTreeMap<String, String>| map.into_iter().collect::<Vec<_>>();
        let counter = |(name, text): (String, CounterText)| {
            (name, CounterStatus { count: text.count, capacity: text.capacity })
        };
        let list = |(name, text): (String, ListText)| {
            (name, ListStatus { capacity: text.capacity, values: text.values })
        };
        let counters = text.counters.map(|map| map.into_iter().map(counter).collect());
        let lists = text.lists.map(|map| map.into_iter().map(list).collect());
        Ok(Self {
            command: text.command.unwrap_or_else(|| self.command.clone()),
            env: text.env.map_or_else(|| self.env.clone(), pairs),
            labels: text.labels.map_or_else(|| self.labels.clone(), pairs),
            counters: counters.unwrap_or_else(|| self.counters.clone()),
            lists: lists.unwrap_or_else(|| self.lists.clone()),
        })
    }

    /// Its counters and lists as a server's status holds them.
    pub(super) fn status(&self) -> Status {
        Status { counters: self.counters.clone(), lists: self.lists.clone(), ..Status::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_differs() {
        let base = Template { env: vec![("A".into(), "1".into())], ..Template::new(vec!["srv".into()]) };
        let said = "labels: {tier: gold}\ncounters:\n  rooms: {capacity: 10}\nlists:\n  players: {capacity: 8, values: [a]}\n";
        let found = base.overlay(said).unwrap();
        assert_eq!((&found.command, &found.env), (&base.command, &base.env));
        assert_eq!(found.labels, [("tier".to_owned(), "gold".to_owned())]);
        assert_eq!(found.counters["rooms"], CounterStatus { count: 0, capacity: 10 });
        assert_eq!(found.lists["players"].values, ["a"]);
        let command = base.overlay(r#"{"command":["other","{port}"],"env":{}}"#).unwrap();
        assert_eq!((command.command.len(), command.env.len()), (2, 0));
        assert!(base.overlay("commands: [x]").unwrap_err().contains("commands"));
    }
}
