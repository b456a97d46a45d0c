//! Reads the Halo 2 beta's head-to-head games as the companion repository of "Model-Based Machine Learning"
//! keeps them: one `<TwoPlayerGame …/>` a line, attributes only, a score of 0 left out; plain or packed as xz.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use rating::{Appearance, Match, Team};

/// Where the data come from.
pub(super) const SOURCE: &str = "the real log is HeadToHead.objml of the Halo 2 beta (MIT), in `src/3. Meeting \
    Your Match/Data` of https://github.com/dotnet/mbmlbook; pass it with --data FILE (packed as .xz is fine)";
/// More is not read, packed or not.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What to tell whoever has not got it.
pub(super) fn how_to_get(path: &Path) -> String {
    format!("cannot read {}; {SOURCE}", path.display())
}

/// The games in the order of the file, which is that of their ends.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Match>> {
    let bytes = std::fs::read(path)?;
    let mut text = String::new();
    if bytes.starts_with(&XZ_MAGIC) {
        let unpacked = lzma_rust2::XzReader::new(&bytes[..], true);
        unpacked.take(BYTES_MAX).read_to_string(&mut text).context("the archive is damaged")?;
    } else {
        (&bytes[..]).take(BYTES_MAX).read_to_string(&mut text)?;
    }
    parse(&text)
}

const XZ_MAGIC: [u8; 6] = [0xFD, b'7', b'z', b'X', b'Z', 0];

fn parse(text: &str) -> anyhow::Result<Vec<Match>> {
    let lines = text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("<TwoPlayerGame "));
    let games = lines.map(|(number, line)| game(line).with_context(|| format!("line {}", number + 1)));
    let games = games.collect::<anyhow::Result<Vec<_>>>()?;
    if games.is_empty() {
        bail!("no <TwoPlayerGame …/> in it: only head-to-head games are read");
    }
    Ok(games)
}

fn game(line: &str) -> anyhow::Result<Match> {
    let player = |name: &str| -> anyhow::Result<u64> {
        let value = attribute(line, name).with_context(|| format!("no {name}"))?;
        value.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().context("a player without a number")
    };
    let score = |name: &str| attribute(line, name).map_or(Ok(0), str::parse::<i64>).context("a score");
    let (first, second) = (score("Player1Score")?, score("Player2Score")?);
    let side = |player: u64, own: i64, other: i64| Team {
        placement: if own >= other { 1 } else { 2 },
        // A player's score in Slayer is kills less suicides; below nothing there is nothing to count.
        players: vec![Appearance {
            player,
            kills: Some(own.try_into().unwrap_or(0)),
            ..Appearance::default()
        }],
    };
    Ok(Match {
        id: attribute(line, "Id").context("no Id")?.to_owned(),
        mode: attribute(line, "Variant").unwrap_or_default().to_owned(),
        ended_unix_ms: unix_ms(attribute(line, "EndTime").context("no EndTime")?).context("EndTime")?,
        // How long games took is not in the data.
        seconds: 0.0,
        teams: vec![side(player("Player1")?, first, second), side(player("Player2")?, second, first)],
    })
}

/// The value of ` name="value"`.
fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

/// `08/06/2004 18:13:50`, taken as UTC: only differences matter.
fn unix_ms(text: &str) -> Option<i64> {
    let mut numbers = text.split(['/', ' ', ':']).map(|part| part.parse::<i64>().ok());
    let mut next = || numbers.next().flatten();
    let (month, day, year) = (next()?, next()?, next()?);
    let (hour, minute, second) = (next()?, next()?, next()?);
    if !(1..=12).contains(&month) || !(1970..=9999).contains(&year) {
        return None;
    }
    Some((((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

/// Days since 1970-01-01 of a Gregorian date; the year begins in March so that the leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    // 719468 days from 0000-03-01 to 1970-01-01; (153·m + 2)/5 days before the m-th month from March.
    year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = r#"<Inputs1>
    <TwoPlayerGame x:namespace="M" Player1="Gamer00000" Player2="Gamer00001" Player1Score="4" Player2Score="8" Id="281884" EndTime="08/06/2004 18:13:50" GameType="Halo2" Variant="Slayer" />
    <TwoPlayerGame Player1="Gamer00004" Player2="Gamer00005" Player2Score="-2" Id="281902" EndTime="08/06/2004 18:19:55" Variant="Slayer" />
    "#;

    #[test]
    fn a_line_becomes_a_match() {
        let games = parse(LINES).expect("two games");
        assert_eq!(games.len(), 2);
        assert_eq!((games[0].teams[0].placement, games[0].teams[1].placement), (2, 1));
        assert_eq!(games[0].teams[1].players[0].kills, Some(8));
        assert_eq!((games[1].teams[0].players[0].player, games[1].teams[1].players[0].kills), (4, Some(0)));
        assert_eq!(games[0].ended_unix_ms, 1_091_816_030_000);
        assert_eq!(games[1].ended_unix_ms - games[0].ended_unix_ms, 365_000);
        assert!(parse("<Nothing/>").is_err());
        assert!(parse("  <TwoPlayerGame Player1=\"x\" />").is_err());
    }

    #[test]
    fn dates_count_leap_days() {
        assert_eq!(unix_ms("01/01/1970 00:00:00"), Some(0));
        assert_eq!(unix_ms("03/01/2000 00:00:00"), Some(951_868_800_000));
        assert_eq!(unix_ms("12/31/2024 23:59:59"), Some(1_735_689_599_000));
        assert_eq!(unix_ms("13/01/2024 00:00:00"), None);
    }
}
