//! What registering, logging in and refreshing do, step by step: asks the rules, writes to the store. It must
//! never know HTTP's shapes beyond the errors it raises.

use std::sync::Arc;

use super::rules::{Refresh, SESSION_LIFETIME, check_device_secret, clean_display_name, judge_refresh};
use super::tokens::{Caller, Tokens};
use crate::clock::UnixMs;
use crate::crypto::{SecretHash, derive_token, random_token};
use crate::http::problem::ApiError;
use crate::ids::{PlayerId, SessionId};
use crate::sanctions;
use crate::store::{Account, Db, Family, NewAccount, ServiceKey, StoreError};

/// A drawn id that is taken is drawn again this often; a second time is already all but impossible.
const DRAWS_MAX: u32 = 4;
/// A refresh that loses its race is judged again this often; it can lose once to a rotation.
const JUDGEMENTS_MAX: u32 = 4;
/// No refresh token of ours is longer; more is not even hashed.
const REFRESH_TOKEN_BYTES_MAX: usize = 128;

/// A session as it is handed to the player.
pub struct Opened {
    /// Whose.
    pub account: Account,
    /// The JWT.
    pub access_token: String,
    /// The opaque token.
    pub refresh_token: String,
}

/// Guest accounts over a database.
#[derive(Clone)]
pub struct Accounts {
    db: Db,
    tokens: Arc<Tokens>,
    pepper: Arc<[u8]>,
}

impl Accounts {
    /// Signs with `tokens`, derives refresh tokens with the key's pepper.
    pub fn new(db: Db, tokens: Arc<Tokens>, key: &ServiceKey) -> Self {
        Self { db, tokens, pepper: Arc::from(&key.pepper[..]) }
    }

    /// Makes a guest account and its first session.
    ///
    /// # Errors
    /// The secret or the name is refused, the secret has an account already, or the store failed.
    pub async fn register(&self, secret: &str, name: &str, now: UnixMs) -> Result<Opened, ApiError> {
        check_device_secret(secret)
            .map_err(|fault| ApiError::invalid("weak_device_secret", fault.to_string()))?;
        let name = clean_display_name(name)
            .map_err(|fault| ApiError::invalid("invalid_display_name", fault.to_string()))?;
        let secret = SecretHash::of(secret);
        for _ in 0..DRAWS_MAX {
            let account = Account { player: PlayerId::random(), display_name: name.clone(), created: now };
            let new = NewAccount { account, secret };
            match self.db.create_account(&new).await {
                Ok(()) => return self.open(new.account, now).await,
                Err(StoreError::Conflict) if self.db.account_by_secret(secret).await?.is_some() => {
                    let detail = "an account with this device secret exists; log in with it";
                    return Err(ApiError::conflict("secret_exists", detail));
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ApiError::unavailable("no_free_id", "no free player id was found"))
    }

    /// A session for the account with this secret.
    ///
    /// # Errors
    /// There is none, or the store failed.
    pub async fn log_in(&self, secret: &str, now: UnixMs) -> Result<Opened, ApiError> {
        let unknown = || ApiError::unauthorized("unknown_secret", "no account has this device secret");
        // Deliberate: a secret that no account can have is answered like one that no account has.
        check_device_secret(secret).map_err(|_| unknown())?;
        let account = self.db.account_by_secret(SecretHash::of(secret)).await?.ok_or_else(unknown)?;
        sanctions::admit(&self.db, account.player, now).await?;
        self.open(account, now).await
    }

    /// The next pair of tokens of a session.
    ///
    /// # Errors
    /// The token is unknown or used, its session is over, or the store failed.
    pub async fn refresh(&self, token: &str, now: UnixMs) -> Result<Opened, ApiError> {
        let invalid = || ApiError::unauthorized("invalid_refresh_token", "log in again");
        if token.len() > REFRESH_TOKEN_BYTES_MAX {
            return Err(invalid());
        }
        let next = derive_token(&self.pepper, "refresh", token);
        for _ in 0..JUDGEMENTS_MAX {
            let found = self.db.family_of(SecretHash::of(token)).await?;
            let (family, generation) = found.ok_or_else(invalid)?;
            // Before the token is used up: once the ban is over, it is as good as it was.
            sanctions::admit(&self.db, family.player, now).await?;
            match judge_refresh(&family, generation, now) {
                Refresh::Rotate => {
                    let expires = now.plus(SESSION_LIFETIME);
                    if self.db.rotate_family(&family, SecretHash::of(&next), now, expires).await? {
                        return self.reopen(&family, next, now).await;
                    }
                }
                Refresh::Repeat => return self.reopen(&family, next, now).await,
                Refresh::Reuse => return Err(self.end_reused(&family).await?),
                Refresh::Over => return Err(invalid()),
            }
        }
        Err(ApiError::unavailable("refresh_contended", "too many refreshes of this session at once"))
    }

    /// Ends the token's session; unknown tokens are nobody's session.
    ///
    /// # Errors
    /// The store failed.
    pub async fn log_out(&self, token: &str) -> Result<(), ApiError> {
        if let Some((family, _)) = self.db.family_of(SecretHash::of(token)).await? {
            self.db.end_family(family.session, "logout").await?;
        }
        Ok(())
    }

    async fn end_reused(&self, family: &Family) -> Result<ApiError, ApiError> {
        if self.db.end_family(family.session, "reuse").await? {
            metrics::counter!("auth_token_theft_suspected_total").increment(1);
            tracing::warn!(player = %family.player, session = %family.session, "refresh token reused: session ended");
        }
        Ok(ApiError::unauthorized("refresh_token_reused", "this token was used before; the session is over"))
    }

    async fn open(&self, account: Account, now: UnixMs) -> Result<Opened, ApiError> {
        let refresh_token = random_token();
        let session = SessionId::random();
        let expires = now.plus(SESSION_LIFETIME);
        let family =
            Family { session, player: account.player, generation: 1, rotated: now, expires, ended: false };
        self.db.start_family(&family, SecretHash::of(&refresh_token)).await?;
        Ok(self.opened(account, session, refresh_token, now))
    }

    async fn reopen(&self, family: &Family, refresh_token: String, now: UnixMs) -> Result<Opened, ApiError> {
        let account = self.db.account(family.player).await?;
        let account = account.ok_or_else(|| ApiError::unauthorized("account_gone", "the account is gone"))?;
        Ok(self.opened(account, family.session, refresh_token, now))
    }

    fn opened(&self, account: Account, session: SessionId, refresh_token: String, now: UnixMs) -> Opened {
        let access_token = self.tokens.issue(Caller { player: account.player, session }, now);
        Opened { account, access_token, refresh_token }
    }
}
