//! What makes a result the word of its match's own server: a key that the backend makes for each match, that only its
//! server is told, and an HMAC-SHA-256 under it. It must never know how a key travels or where it is kept.
//!
//! What is signed is the encoded message itself, carried beside its fields: no canonical form is needed, and fields
//! that a later version adds are signed too. The label and the match's id are signed with it, so that a signature is
//! good for one word on one match.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::{hmac, rand};
use data_encoding::BASE64URL_NOPAD;
use prost::Message as _;

use crate::{MatchResult, ReportLostRequest};

/// The annotation of an allocated server in which it finds its match's key: [`ResultKey`]'s text. Whoever may read a
/// server's annotations may sign for it; players cannot.
pub const RESULT_KEY_ANNOTATION: &str = "tickwright.dev/result-key";
/// The trailer of a refusal that says why in a word.
pub const REFUSAL_CODE: &str = "tickwright-code";

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
const RESULT_LABEL: &[u8] = b"tickwright.match.v1 result";
const LOST_LABEL: &[u8] = b"tickwright.match.v1 lost";

/// A match's key; its text is base64url. Prints nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct ResultKey([u8; KEY_BYTES]);

/// Not a key's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a match's key is {KEY_BYTES} bytes, as text in base64url")]
pub struct KeyFault;

/// Why a word on a match is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// There is none.
    #[error("the match has a key, and this is not signed with it")]
    Missing,
    /// It is another key's, another match's or of other words.
    #[error("the signature is not that of this match's server over this message")]
    Wrong,
}

impl SignatureFault {
    /// Stable, and meant for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "result_unsigned",
            Self::Wrong => "result_signature_wrong",
        }
    }
}

impl ResultKey {
    /// 256 bits from the operating system.
    pub fn generate() -> Self {
        let mut bytes = [0; KEY_BYTES];
        rand::fill(&mut bytes).expect("the operating system gives random bytes");
        Self(bytes)
    }

    /// Of its bytes; `None` where they are not as many as a key has.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its text, for the annotation.
    pub fn to_text(&self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }

    fn message(label: &[u8], match_id: &str, bytes: &[u8]) -> Vec<u8> {
        [label, &[0], match_id.as_bytes(), &[0], bytes].concat()
    }

    fn sign(&self, label: &[u8], match_id: &str, bytes: &[u8]) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        hmac::sign(&key, &Self::message(label, match_id, bytes)).as_ref().to_vec()
    }

    fn verify(&self, label: &[u8], match_id: &str, bytes: &[u8], given: &[u8]) -> Result<(), SignatureFault> {
        if given.is_empty() {
            return Err(SignatureFault::Missing);
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        hmac::verify(&key, &Self::message(label, match_id, bytes), given).map_err(|_| SignatureFault::Wrong)
    }
}

impl FromStr for ResultKey {
    type Err = KeyFault;

    fn from_str(text: &str) -> Result<Self, KeyFault> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| KeyFault)?;
        Self::from_bytes(&bytes).ok_or(KeyFault)
    }
}

impl fmt::Debug for ResultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResultKey(..)")
    }
}

/// The result, signed. The plain fields stay: a backend that knows no signatures reads those.
pub fn seal(key: &ResultKey, result: MatchResult) -> MatchResult {
    let plain = MatchResult { signed: Vec::new(), signature: Vec::new(), ..result };
    let signed = plain.encode_to_vec();
    let signature = key.sign(RESULT_LABEL, &plain.match_id, &signed);
    MatchResult { signed, signature, ..plain }
}

/// What the match's own server said: of a result that came over the wire, only this may count.
///
/// # Errors
/// It is not signed, or not by the holder of this key for this match.
pub fn open(key: &ResultKey, result: &MatchResult) -> Result<MatchResult, SignatureFault> {
    key.verify(RESULT_LABEL, &result.match_id, &result.signed, &result.signature)?;
    let said = MatchResult::decode(&result.signed[..]).map_err(|_| SignatureFault::Wrong)?;
    if said.match_id != result.match_id {
        return Err(SignatureFault::Wrong);
    }
    Ok(said)
}

/// The report of a loss, signed.
pub fn seal_lost(key: &ResultKey, report: ReportLostRequest) -> ReportLostRequest {
    ReportLostRequest { signature: key.sign(LOST_LABEL, &report.match_id, &[]), ..report }
}

/// Whether the match's own server gives it up.
///
/// # Errors
/// As [`open`].
pub fn check_lost(key: &ResultKey, report: &ReportLostRequest) -> Result<(), SignatureFault> {
    key.verify(LOST_LABEL, &report.match_id, &[], &report.signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PlayerResult;

    fn result(match_id: &str) -> MatchResult {
        let players = vec![PlayerResult { player_id: 7, score: 90, placement: 1, ..Default::default() }];
        MatchResult { match_id: match_id.to_owned(), players, ..MatchResult::default() }
    }

    #[test]
    fn only_what_the_key_signed_for_this_match_is_read() {
        let (key, other) = (ResultKey::generate(), ResultKey::generate());
        let sealed = seal(&key, result("a"));
        assert_eq!(sealed.players, result("a").players, "older backends read the plain fields");
        assert_eq!(open(&key, &sealed), Ok(result("a")));
        assert_eq!(seal(&key, sealed.clone()), sealed, "sealing twice is sealing once");

        let wrong = |sealed: &MatchResult| assert_eq!(open(&key, sealed), Err(SignatureFault::Wrong));
        assert_eq!(open(&other, &sealed), Err(SignatureFault::Wrong));
        assert_eq!(open(&key, &result("a")), Err(SignatureFault::Missing));
        wrong(&MatchResult { match_id: "b".to_owned(), ..sealed.clone() });
        wrong(&MatchResult { signature: vec![0; 32], ..sealed.clone() });
        wrong(&MatchResult { signature: sealed.signature[..31].to_vec(), ..sealed.clone() });
        for index in 0..sealed.signed.len() {
            let mut bent = sealed.clone();
            bent.signed[index] ^= 1;
            wrong(&bent);
        }
        // The plain fields say something else: only what was signed counts.
        let mut lying = sealed;
        lying.players[0].score = 1_000_000;
        assert_eq!(open(&key, &lying), Ok(result("a")));
    }

    #[test]
    fn a_loss_and_a_result_are_not_taken_for_each_other() {
        let key = ResultKey::generate();
        let report = ReportLostRequest { match_id: "a".to_owned(), ..ReportLostRequest::default() };
        let sealed = seal_lost(&key, report.clone());
        assert_eq!(check_lost(&key, &sealed), Ok(()));
        assert_eq!(check_lost(&key, &report), Err(SignatureFault::Missing));
        let swapped = ReportLostRequest { signature: seal(&key, result("a")).signature, ..report };
        assert_eq!(check_lost(&key, &swapped), Err(SignatureFault::Wrong));
    }

    #[test]
    fn a_key_survives_its_text_and_does_not_print() {
        let key = ResultKey::generate();
        assert_eq!(key.to_text().parse(), Ok(key.clone()));
        assert_eq!(format!("{key:?}"), "ResultKey(..)");
        for text in ["", "x", "AAAA", &"A".repeat(44)] {
            assert_eq!(text.parse::<ResultKey>(), Err(KeyFault), "{text}");
        }
    }
}
