//! A result as it is kept with its match: the JSON that every replay reads. Pure.

use std::collections::BTreeMap;

use backend_proto::{MatchResult, PlayerResult, SuspicionCount};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Record {
    server: String,
    #[serde(default)]
    region: String,
    #[serde(default)]
    started_unix_ms: i64,
    #[serde(default)]
    ended_unix_ms: i64,
    players: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    player_id: u64,
    score: i64,
    kills: u32,
    deaths: u32,
    placement: u32,
    /// What was no number is kept as null.
    seconds_played: Option<f32>,
    quit: bool,
    /// Results of before servers told teams have none.
    #[serde(default)]
    team: Option<u32>,
    #[serde(default)]
    party: u32,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    suspicions: BTreeMap<String, u64>,
}

/// The result as it is kept. Its signature is not: it has been checked by then.
pub fn write(result: &MatchResult) -> String {
    let entry = |entry: &PlayerResult| Entry {
        player_id: entry.player_id,
        score: entry.score,
        kills: entry.kills,
        deaths: entry.deaths,
        placement: entry.placement,
        seconds_played: Some(entry.seconds_played),
        quit: entry.quit,
        team: entry.team,
        party: entry.party,
        suspicions: entry.suspicions.iter().map(|told| (told.kind.clone(), told.count)).collect(),
    };
    let record = Record {
        server: result.server.clone(),
        region: result.region.clone(),
        started_unix_ms: result.started_unix_ms,
        ended_unix_ms: result.ended_unix_ms,
        players: result.players.iter().map(entry).collect(),
    };
    serde_json::to_string(&record).expect("a record is plain JSON")
}

/// The players of a kept result.
///
/// # Errors
/// It is none of ours.
pub fn read(record: &str) -> Result<Vec<PlayerResult>, serde_json::Error> {
    let record: Record = serde_json::from_str(record)?;
    let entry = |entry: Entry| PlayerResult {
        player_id: entry.player_id,
        score: entry.score,
        kills: entry.kills,
        deaths: entry.deaths,
        placement: entry.placement,
        seconds_played: entry.seconds_played.unwrap_or_default(),
        quit: entry.quit,
        team: entry.team,
        party: entry.party,
        suspicions: entry
            .suspicions
            .into_iter()
            .map(|(kind, count)| SuspicionCount { kind, count })
            .collect(),
    };
    Ok(record.players.into_iter().map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_so_is_what_older_versions_wrote() {
        let entry = |player_id, seconds_played, team| PlayerResult {
            player_id,
            score: -4,
            kills: 3,
            deaths: 2,
            placement: 1,
            seconds_played,
            quit: player_id == 7,
            team,
            party: 9,
            suspicions: vec![SuspicionCount { kind: "input_flood".to_owned(), count: player_id }],
        };
        let players = vec![entry(7, 12.100_016, Some(0)), entry(8, 60.0, None)];
        let result = MatchResult { players, region: "eu".to_owned(), ..MatchResult::default() };
        assert_eq!(read(&write(&result)).expect("our own"), result.players);

        let no_number = MatchResult { players: vec![entry(1, f32::NAN, None)], ..MatchResult::default() };
        assert_eq!(read(&write(&no_number)).expect("our own")[0].seconds_played, 0.0);
        let old = r#"{"server":"s","players":[{"player_id":5,"score":9,"kills":3,"deaths":1,"placement":1,
            "seconds_played":12.5,"quit":false}]}"#;
        let read = read(old).expect("an old one");
        assert_eq!((read[0].team, read[0].party, read[0].seconds_played), (None, 0, 12.5));
    }
}
