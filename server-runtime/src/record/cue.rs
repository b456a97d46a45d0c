//! What reached a room's world in a tick from outside it, beside the players' inputs. Owns the bytes of a cue; must never
//! know what a game makes of it.
//!
//! Numbers are varints; text and bytes have their length in front.
//!
//! | first byte | then |
//! |---|---|
//! | 1 a match begins | its sheet, JSON |
//! | 2 newcomers | roster entries, JSON |
//! | 3 joined | player, name, team, seat |
//! | 4 resumed, 5 dropped | player |
//! | 6 left, 7 left by choice | player |
//! | 8 message | player, channel, its bytes |
//! | 9 play begins, 10 play is over, 11 closed | |
//! | 13 no state yet | player |
//! | 14 a state | player, its version, its document |
//! | 12 a balance | its values, JSON |

use std::borrow::Cow;

use super::tape::{read_entry, read_varint, write_varint};
use crate::game_match::{MatchSpec, RosterEntry};

/// One thing that happened to a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cue<'a> {
    Begin(Box<MatchSpec>),
    Newcomers(Vec<RosterEntry>),
    Joined { player: u64, name: Cow<'a, str>, team: u8, seat: usize },
    Resumed(u64),
    Dropped(u64),
    Left { player: u64, by_choice: bool },
    Message { player: u64, channel: u8, bytes: Cow<'a, [u8]> },
    Start,
    End,
    Close,
    State { player: u64, saved: Option<(u32, Cow<'a, str>)> },
    Balance(Cow<'a, str>),
}

impl<'a> Cue<'a> {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let json = |value: Result<Vec<u8>, serde_json::Error>| value.expect("plain data serialises");
        match self {
            Self::Begin(spec) => entry(out, 1, &json(serde_json::to_vec(spec))),
            Self::Newcomers(newcomers) => entry(out, 2, &json(serde_json::to_vec(newcomers))),
            Self::Joined { player, name, team, seat } => {
                number(out, 3, *player);
                text(out, name.as_bytes());
                write_varint(out, u64::from(*team));
                write_varint(out, *seat as u64);
            }
            Self::Resumed(player) => number(out, 4, *player),
            Self::Dropped(player) => number(out, 5, *player),
            Self::Left { player, by_choice } => number(out, 6 + u8::from(*by_choice), *player),
            Self::Message { player, channel, bytes } => {
                number(out, 8, *player);
                out.push(*channel);
                text(out, bytes);
            }
            Self::Start => out.push(9),
            Self::End => out.push(10),
            Self::Close => out.push(11),
            Self::State { player, saved: None } => number(out, 13, *player),
            Self::State { player, saved: Some((version, document)) } => {
                number(out, 14, *player);
                write_varint(out, u64::from(*version));
                text(out, document.as_bytes());
            }
            Self::Balance(values) => entry(out, 12, values.as_bytes()),
        }
    }

    /// Takes a cue from the front of `bytes`; `None`: there is none that an encoder writes.
    pub(crate) fn decode(bytes: &mut &'a [u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        *bytes = rest;
        Some(match kind {
            1 => Self::Begin(Box::new(serde_json::from_slice(read_entry(bytes)?).ok()?)),
            2 => Self::Newcomers(serde_json::from_slice(read_entry(bytes)?).ok()?),
            3 => Self::Joined {
                player: read_varint(bytes)?,
                name: std::str::from_utf8(read_entry(bytes)?).ok()?.into(),
                team: u8::try_from(read_varint(bytes)?).ok()?,
                seat: usize::try_from(read_varint(bytes)?).ok()?,
            },
            4 => Self::Resumed(read_varint(bytes)?),
            5 => Self::Dropped(read_varint(bytes)?),
            6 | 7 => Self::Left { player: read_varint(bytes)?, by_choice: *kind == 7 },
            8 => {
                let player = read_varint(bytes)?;
                let (channel, rest) = bytes.split_first()?;
                *bytes = rest;
                Self::Message { player, channel: *channel, bytes: read_entry(bytes)?.into() }
            }
            9 => Self::Start,
            10 => Self::End,
            11 => Self::Close,
            13 => Self::State { player: read_varint(bytes)?, saved: None },
            14 => {
                let player = read_varint(bytes)?;
                let version = u32::try_from(read_varint(bytes)?).ok()?;
                let document = std::str::from_utf8(read_entry(bytes)?).ok()?;
                Self::State { player, saved: Some((version, document.into())) }
            }
            12 => Self::Balance(std::str::from_utf8(read_entry(bytes)?).ok()?.into()),
            _ => return None,
        })
    }
}

fn entry(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.push(kind);
    text(out, bytes);
}

fn number(out: &mut Vec<u8>, kind: u8, value: u64) {
    out.push(kind);
    write_varint(out, value);
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cue_comes_back_and_a_cut_one_is_refused() {
        let entry = RosterEntry { player: u64::MAX, name: "Ä".into(), team: 3, party: 4 };
        let spec = MatchSpec { match_id: 9, seed: 7, players: vec![entry.clone()], ..MatchSpec::default() };
        let cues = [
            Cue::Begin(Box::new(spec)),
            Cue::Newcomers(vec![entry]),
            Cue::Joined { player: 1 << 63, name: "pilot".into(), team: 255, seat: 300 },
            Cue::Resumed(5),
            Cue::Dropped(6),
            Cue::Left { player: 7, by_choice: true },
            Cue::Left { player: 7, by_choice: false },
            Cue::Message { player: 8, channel: 5, bytes: vec![1; 200].into() },
            Cue::Start,
            Cue::End,
            Cue::Close,
            Cue::State { player: 9, saved: None },
            Cue::State { player: 9, saved: Some((300, "{}".into())) },
            Cue::Balance(r#"{"hit":7}"#.into()),
        ];
        let mut all = Vec::new();
        for cue in &cues {
            let mut bytes = Vec::new();
            cue.encode(&mut bytes);
            assert_eq!(Cue::decode(&mut &bytes[..]).as_ref(), Some(cue));
            assert_eq!(Cue::decode(&mut &bytes[..bytes.len() - 1]), None, "{cue:?}");
            all.extend_from_slice(&bytes);
        }
        let mut rest = &all[..];
        assert!(cues.iter().all(|cue| Cue::decode(&mut rest).as_ref() == Some(cue)) && rest.is_empty());
    }
}
