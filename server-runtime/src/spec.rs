//! Reading numbers that other services wrote as text: match ids as UUID, hexadecimal or decimal, 64-bit ids as
//! decimal strings. Must never know what the numbers mean.

use serde::{Deserialize, Deserializer, de::Error};

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

/// A 64-bit number written as a number or as decimal text.
pub(crate) fn u64_or_string<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match NumberOrText::deserialize(deserializer)? {
        NumberOrText::Number(number) => Ok(number),
        NumberOrText::Text(text) => text.trim().parse().map_err(D::Error::custom),
    }
}

/// Reads a match id: a UUID's text, 32 hexadecimal digits, or decimal digits.
pub fn parse_match_id(text: &str) -> Option<u128> {
    let text = text.trim();
    let hex: String = text.chars().filter(|c| *c != '-').collect();
    if hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return u128::from_str_radix(&hex, 16).ok();
    }
    text.parse().ok()
}

/// Writes a match id as a UUID's text.
pub fn format_match_id(id: u128) -> String {
    let hex = format!("{id:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

pub(crate) mod match_id {
    use serde::Serializer;

    use super::*;

    pub(crate) fn serialize<S: Serializer>(id: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_match_id(*id))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Number(number) => Ok(u128::from(number)),
            NumberOrText::Text(text) => parse_match_id(&text)
                .ok_or_else(|| D::Error::custom("match_id is neither a UUID nor a number")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game_match::MatchSpec;

    #[test]
    fn an_annotation_is_read() {
        let json = r#"{"match_id":"01890a5d-ac96-774b-bcce-b302099a8057","mode":"arena","seconds":60,"seed":"18446744073709551615",
                       "players":[{"player":"9007199254740993","name":"a","team":1},{"player":7}]}"#;
        let spec: MatchSpec = serde_json::from_str(json).unwrap();
        assert_eq!(spec.match_id, 0x0189_0a5d_ac96_774b_bcce_b302_099a_8057);
        assert_eq!(spec.seed, u64::MAX);
        assert_eq!(spec.players[0].player, 9_007_199_254_740_993);
        assert_eq!(spec.players[1].player, 7);
        assert_eq!(format_match_id(spec.match_id), "01890a5d-ac96-774b-bcce-b302099a8057");
    }

    #[test]
    fn match_ids_in_every_spelling() {
        assert_eq!(parse_match_id("42"), Some(42));
        assert_eq!(parse_match_id("0000000000000000000000000000002a"), Some(42));
        assert_eq!(parse_match_id(&format_match_id(u128::MAX)), Some(u128::MAX));
        assert_eq!(parse_match_id("x"), None);
    }
}
