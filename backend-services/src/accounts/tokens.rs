//! Access tokens: signed by EdDSA, checked without asking a store. RFC 9068 (`at+jwt`), algorithm pinned
//! (RFC 8725). It must never know refresh tokens or routes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::rules::ACCESS_LIFETIME;
use super::token_cache::TokenCache;
use crate::clock::UnixMs;
use crate::crypto::{SecretHash, random_bytes};
use crate::ids::{PlayerId, SessionId};
use crate::store::ServiceKey;

/// Who signs.
pub const ISSUER: &str = "tickwright";
/// Whom the tokens are for.
pub const AUDIENCE: &str = "tickwright-api";
/// The media type of access tokens (RFC 9068), so that no other JWT passes for one.
const TYPE: &str = "at+jwt";
/// Longer than any token of ours: more is not even read.
const TOKEN_BYTES_MAX: usize = 1024;

/// The player behind a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub player: PlayerId,
    /// By which log-in.
    pub session: SessionId,
}

/// Why an access token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It was one of ours and its time is over.
    #[error("the access token has expired")]
    Expired,
    /// Anything else.
    #[error("the access token is not valid")]
    Invalid,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    jti: String,
    iat: u64,
    exp: u64,
}

/// Signs and checks access tokens.
pub struct Tokens {
    header: Header,
    sign: EncodingKey,
    check: DecodingKey,
    validation: Validation,
    public_key: String,
    kid: String,
    passed: Mutex<TokenCache>,
}

/// The key that was kept is not a key.
#[derive(Debug, thiserror::Error)]
#[error("the signing key in the store is malformed")]
pub struct MalformedKey;

/// A new signing key and pepper.
pub fn fresh_service_key() -> ServiceKey {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
    let document = document.expect("the operating system gives random bytes");
    ServiceKey { signing_key: document.as_ref().to_vec(), pepper: random_bytes::<32>().to_vec() }
}

impl Tokens {
    /// Signs and checks with this key.
    ///
    /// # Errors
    /// The key is not an Ed25519 key in PKCS #8.
    pub fn new(key: &ServiceKey) -> Result<Self, MalformedKey> {
        let pair = Ed25519KeyPair::from_pkcs8(&key.signing_key).map_err(|_| MalformedKey)?;
        let public_key = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
        // A short digest of the public key names it; the same key has the same name on every node.
        let kid = BASE64URL_NOPAD.encode(&SecretHash::of(&public_key).0[..12]);
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(kid.clone());
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        validation.leeway = 0;
        Ok(Self {
            header,
            sign: EncodingKey::from_ed_der(&key.signing_key),
            check: DecodingKey::from_ed_der(pair.public_key().as_ref()),
            validation,
            public_key,
            kid,
            passed: Mutex::default(),
        })
    }

    /// A token for this player, good for [`ACCESS_LIFETIME`].
    pub fn issue(&self, caller: Caller, now: UnixMs) -> String {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: caller.player.to_string(),
            sid: caller.session.to_string(),
            jti: Uuid::now_v7().to_string(),
            iat: now.as_secs(),
            exp: now.plus(ACCESS_LIFETIME).as_secs(),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.sign)
            .expect("the key was checked when it was loaded")
    }

    /// Who sent it.
    ///
    /// # Errors
    /// It has expired, or was never one of ours.
    pub fn verify(&self, token: &str) -> Result<Caller, TokenFault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::Invalid);
        }
        if let Some(caller) = self.passed().find(token, UnixMs::now()) {
            return Ok(caller);
        }
        let data = jsonwebtoken::decode::<Claims>(token, &self.check, &self.validation);
        let data = data.map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => TokenFault::Expired,
            _ => TokenFault::Invalid,
        })?;
        let ours = data.header.typ.as_deref() == Some(TYPE) && data.header.kid.as_ref() == Some(&self.kid);
        if !ours {
            return Err(TokenFault::Invalid);
        }
        let player = data.claims.sub.parse().map_err(|_| TokenFault::Invalid)?;
        let session = data.claims.sid.parse().map_err(|_| TokenFault::Invalid)?;
        let caller = Caller { player, session };
        self.passed().keep(token, caller, data.claims.exp);
        Ok(caller)
    }

    /// Each change of it is whole, whatever panicked elsewhere.
    fn passed(&self) -> MutexGuard<'_, TokenCache> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The public half as a JWK set (RFC 7517, RFC 8037), for whoever checks tokens elsewhere.
    pub fn jwks(&self) -> serde_json::Value {
        let key = json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
            "kid": self.kid, "x": self.public_key,
        });
        json!({ "keys": [key] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::new(&fresh_service_key()).expect("a fresh key is sound")
    }

    fn caller() -> Caller {
        Caller { player: PlayerId::random(), session: SessionId::random() }
    }

    /// Signs any header and claims with our own key: only the checks can refuse it.
    fn forged(tokens: &Tokens, header: &Header, change: impl Fn(&mut serde_json::Value)) -> String {
        let now = UnixMs::now();
        let mut claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "12345", "sid": SessionId::random().to_string(),
            "jti": "1", "iat": now.as_secs(), "exp": now.as_secs() + 900,
        });
        change(&mut claims);
        jsonwebtoken::encode(header, &claims, &tokens.sign).expect("signs")
    }

    #[test]
    fn a_token_names_its_caller_until_it_expires() {
        let (tokens, caller) = (tokens(), caller());
        assert_eq!(tokens.verify(&tokens.issue(caller, UnixMs::now())), Ok(caller));
        let old = UnixMs(UnixMs::now().0 - 901_000);
        assert_eq!(tokens.verify(&tokens.issue(caller, old)), Err(TokenFault::Expired));
    }

    #[test]
    fn a_wrong_claim_or_header_is_refused_even_when_signed_by_us() {
        let tokens = tokens();
        assert!(tokens.verify(&forged(&tokens, &tokens.header, |_| {})).is_ok(), "the base case passes");
        type Change = fn(&mut serde_json::Value);
        let changes: [Change; 8] = [
            |claims| claims["iss"] = json!("somebody"),
            |claims| claims["aud"] = json!("another-api"),
            |claims| claims["sub"] = json!("0"),
            |claims| claims["sub"] = json!("9007199254740992"),
            |claims| claims["sid"] = json!("x"),
            |claims| claims["exp"] = json!("tomorrow"),
            |claims| _ = claims.as_object_mut().map(|all| all.remove("exp")),
            |claims| _ = claims.as_object_mut().map(|all| all.remove("aud")),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let token = forged(&tokens, &tokens.header, change);
            assert_eq!(tokens.verify(&token), Err(TokenFault::Invalid), "change {index}");
        }
        let mut plain = tokens.header.clone();
        plain.typ = Some("JWT".to_owned());
        let mut other = tokens.header.clone();
        other.kid = Some("other".to_owned());
        let mut none = tokens.header.clone();
        none.kid = None;
        for header in [plain, other, none] {
            assert_eq!(tokens.verify(&forged(&tokens, &header, |_| {})), Err(TokenFault::Invalid));
        }
    }

    #[test]
    fn another_deployments_token_is_refused() {
        let token = tokens().issue(caller(), UnixMs::now());
        assert_eq!(tokens().verify(&token), Err(TokenFault::Invalid));
    }

    #[test]
    fn no_algorithm_and_a_public_key_as_secret_are_refused() {
        let tokens = tokens();
        let token = tokens.issue(caller(), UnixMs::now());
        let parts: Vec<&str> = token.split('.').collect();
        let none = BASE64URL_NOPAD
            .encode(format!(r#"{{"alg":"none","typ":"at+jwt","kid":"{}"}}"#, tokens.kid).as_bytes());
        for forged in [format!("{none}.{}.", parts[1]), format!("{none}.{}.{}", parts[1], parts[2])] {
            assert_eq!(tokens.verify(&forged), Err(TokenFault::Invalid));
        }
        let mut header = Header::new(Algorithm::HS256);
        header.typ = tokens.header.typ.clone();
        header.kid = tokens.header.kid.clone();
        let claims: serde_json::Value =
            serde_json::from_slice(&BASE64URL_NOPAD.decode(parts[1].as_bytes()).expect("base64"))
                .expect("JSON");
        let public = BASE64URL_NOPAD.decode(tokens.public_key.as_bytes()).expect("base64");
        for secret in [public.as_slice(), tokens.public_key.as_bytes()] {
            let key = EncodingKey::from_secret(secret);
            let confused = jsonwebtoken::encode(&header, &claims, &key).expect("signs");
            assert_eq!(tokens.verify(&confused), Err(TokenFault::Invalid));
        }
    }

    #[test]
    fn five_hundred_mutations_are_refused() {
        let tokens = tokens();
        let token = tokens.issue(caller(), UnixMs::now());
        let mut random = fastrand::Rng::with_seed(7);
        let mut tried = 0;
        while tried < 500 {
            let mut bytes = token.clone().into_bytes();
            let at = random.usize(..bytes.len());
            match random.u8(..4) {
                0 => bytes[at] = b"ABCDEFabcdef0189-_."[random.usize(..19)],
                1 => bytes.truncate(at),
                2 => bytes.insert(at, b'A'),
                _ => bytes.swap(at, random.usize(..token.len())),
            }
            let mutated = String::from_utf8(bytes).expect("ASCII");
            // The last character of a part has unused bits: the same bytes may be written in two ways.
            if same_bytes(&mutated, &token) {
                continue;
            }
            tried += 1;
            assert!(tokens.verify(&mutated).is_err(), "{mutated}");
        }
    }

    fn same_bytes(one: &str, other: &str) -> bool {
        let mut lenient = data_encoding::Specification::new();
        lenient.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
        lenient.check_trailing_bits = false;
        let lenient = lenient.encoding().expect("a sound alphabet");
        let decode =
            |token: &str| token.split('.').map(|p| lenient.decode(p.as_bytes()).ok()).collect::<Vec<_>>();
        let (one, other) = (decode(one), decode(other));
        one == other && one.iter().all(Option::is_some)
    }
}
