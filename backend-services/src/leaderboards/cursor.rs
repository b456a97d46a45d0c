//! Where a page ended, in a form that clients hand back and need not understand. Pure.

use data_encoding::BASE64URL_NOPAD;

use crate::clock::UnixMs;
use crate::ids::PlayerId;
use crate::store::Standing;

/// More is not even decoded.
const LENGTH_MAX: usize = 64;
/// Score, time and player, eight bytes each.
const BYTES: usize = 24;

/// The cursor of the page that ends with `last`.
pub(super) fn encode(last: &Standing) -> String {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&last.score.to_be_bytes());
    bytes[8..16].copy_from_slice(&last.reached.0.to_be_bytes());
    bytes[16..].copy_from_slice(&last.player.as_u64().to_be_bytes());
    BASE64URL_NOPAD.encode(&bytes)
}

/// The entry after which to go on; `None` if this is no cursor of ours.
pub(super) fn decode(text: &str) -> Option<Standing> {
    if text.len() > LENGTH_MAX {
        return None;
    }
    let bytes: [u8; BYTES] = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok()?;
    let word = |at: usize| <[u8; 8]>::try_from(&bytes[at..at + 8]).expect("eight bytes");
    let reached = UnixMs(i64::from_be_bytes(word(8)));
    let player = PlayerId::new(u64::from_be_bytes(word(16)))?;
    (reached.0 >= 0).then_some(Standing { score: i64::from_be_bytes(word(0)), reached, player })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_survive_their_text_form_and_noise_is_none() {
        let mut random = fastrand::Rng::with_seed(9);
        for _ in 0..200 {
            let player = PlayerId::new(random.u64(1..PlayerId::LIMIT)).expect("an id");
            let last = Standing { score: random.i64(..), reached: UnixMs(random.i64(0..)), player };
            let text = encode(&last);
            assert_eq!(decode(&text), Some(last));
            let mut noise = text.into_bytes();
            let at = random.usize(..noise.len());
            noise.truncate(at);
            assert_eq!(decode(&String::from_utf8(noise).expect("ASCII")), None);
        }
        for text in ["", "a", "*", &"A".repeat(1000), &"_".repeat(32)] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
