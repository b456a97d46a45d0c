//! What makes a device secret and a name acceptable, and which refresh token may be refreshed. Pure.

use std::time::Duration;

use crate::clock::UnixMs;
use crate::store::Family;

/// An access token's life.
pub const ACCESS_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// A session's life since its last refresh.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a token that was just rotated is answered with the same successor: its response may be lost.
pub const LOST_RESPONSE_GRACE: Duration = Duration::from_secs(10);
const SECRET_LENGTH: std::ops::RangeInclusive<usize> = 32..=256;
const SECRET_BITS_MIN: f64 = 128.0;
const SECRET_SYMBOLS_MIN: usize = 8;
const NAME_BYTES: std::ops::RangeInclusive<usize> = 1..=32;

/// Why a device secret is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// Not 32 to 256 characters.
    #[error("the device secret must have 32 to 256 characters")]
    Length,
    /// A character outside base64, base64url and hex.
    #[error("the device secret may have the characters A-Z a-z 0-9 - _ + / = . ~ only")]
    Character,
    /// Fewer than 128 bits, by its length and the kinds of its characters.
    #[error("the device secret must be random and have at least 128 bits of entropy")]
    Weak,
}

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Not 1 to 32 bytes once trimmed.
    #[error("the display name must have 1 to 32 bytes of UTF-8, spaces at its ends not counted")]
    Length,
    /// A control character, a line break or an invisible direction mark.
    #[error("the display name must not have control characters")]
    Character,
}

/// Whether the secret could have been drawn at random with 128 bits: enough characters for its alphabet, and
/// enough different ones that it is no pattern of a key held down.
///
/// # Errors
/// What is wrong with it.
pub fn check_device_secret(secret: &str) -> Result<(), SecretFault> {
    if !SECRET_LENGTH.contains(&secret.len()) {
        return Err(SecretFault::Length);
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_+/=.~".contains(&b);
    if !secret.bytes().all(allowed) {
        return Err(SecretFault::Character);
    }
    let mut seen = [false; 256];
    secret.bytes().for_each(|b| seen[usize::from(b)] = true);
    let symbols = seen.iter().filter(|&&seen| seen).count();
    let bits = secret.len() as f64 * alphabet(secret).log2();
    if bits < SECRET_BITS_MIN || symbols < SECRET_SYMBOLS_MIN {
        return Err(SecretFault::Weak);
    }
    Ok(())
}

/// Size of the smallest usual alphabet that has all the characters.
fn alphabet(secret: &str) -> f64 {
    if secret.bytes().all(|b| b.is_ascii_digit()) {
        10.0
    } else if secret.bytes().all(|b| b.is_ascii_hexdigit()) {
        16.0
    } else {
        32.0
    }
}

/// The name as it will be shown.
///
/// # Errors
/// What is wrong with it.
pub fn clean_display_name(name: &str) -> Result<String, NameFault> {
    let name = name.trim();
    if !NAME_BYTES.contains(&name.len()) {
        return Err(NameFault::Length);
    }
    // Direction marks and overrides would let a name rewrite the line that it stands in.
    let bidirectional =
        |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if name.chars().any(|c| c.is_control() || bidirectional(c)) {
        return Err(NameFault::Character);
    }
    Ok(name.to_owned())
}

/// What to do with a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// It is the newest: make its successor.
    Rotate,
    /// It was the newest a moment ago and the successor is unused: give the same successor again.
    Repeat,
    /// It was used before: somebody else has it. End the session.
    Reuse,
    /// The session is over.
    Over,
}

/// Judges a token of generation `presented` of its family.
pub fn judge_refresh(family: &Family, presented: i64, now: UnixMs) -> Refresh {
    let repeat = presented == family.generation - 1 && now.since(family.rotated) <= LOST_RESPONSE_GRACE;
    if family.ended || now >= family.expires {
        Refresh::Over
    } else if presented == family.generation {
        Refresh::Rotate
    } else if repeat {
        Refresh::Repeat
    } else {
        Refresh::Reuse
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PlayerId, SessionId};

    #[test]
    fn secrets_need_128_bits() {
        let check = |secret: &str, expected| assert_eq!(check_device_secret(secret), expected, "{secret}");
        check("9f86d081884c7d659a2feaa0c55ad015", Ok(()));
        check("n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg", Ok(()));
        check("9f86d081884c7d659a2feaa0c55ad01", Err(SecretFault::Length));
        check(&"ab12cd34ef".repeat(26), Err(SecretFault::Length));
        check("12345678901234567890123456789012", Err(SecretFault::Weak));
        check("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Err(SecretFault::Weak));
        check("9f86d081884c7d659a2feaa0c55ad01\u{e9}", Err(SecretFault::Character));
        check("9f86d081884c7d659a2feaa0c55ad0' --", Err(SecretFault::Character));
    }

    #[test]
    fn names_are_trimmed_and_harmless() {
        let check = |name: &str, expected: Result<&str, _>| {
            assert_eq!(clean_display_name(name), expected.map(str::to_owned), "{name:?}");
        };
        check(" Ada ", Ok("Ada"));
        check("Ключ", Ok("Ключ"));
        check("  ", Err(NameFault::Length));
        check(&"é".repeat(17), Err(NameFault::Length));
        check("a\nb", Err(NameFault::Character));
        check("a\u{202e}b", Err(NameFault::Character));
    }

    #[test]
    fn refresh_tokens_are_judged_by_generation_and_time() {
        let family = |ended| Family {
            session: SessionId::random(),
            player: PlayerId::random(),
            generation: 5,
            rotated: UnixMs(100_000),
            expires: UnixMs(1_000_000),
            ended,
        };
        let check = |presented, now, expected| {
            assert_eq!(judge_refresh(&family(false), presented, UnixMs(now)), expected, "{presented} {now}");
        };
        check(5, 100_001, Refresh::Rotate);
        check(5, 999_999, Refresh::Rotate);
        check(4, 110_000, Refresh::Repeat);
        check(4, 110_001, Refresh::Reuse);
        check(3, 100_001, Refresh::Reuse);
        check(5, 1_000_000, Refresh::Over);
        assert_eq!(judge_refresh(&family(true), 5, UnixMs(100_001)), Refresh::Over);
    }
}
