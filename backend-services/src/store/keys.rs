//! The keys that every node of one deployment shares: made once, kept beside the data that they protect.

use super::StoreError;
use super::db::{Db, args};
use crate::clock::UnixMs;

/// What signs access tokens and derives refresh tokens.
#[derive(Clone)]
pub struct ServiceKey {
    /// An Ed25519 key, PKCS #8.
    pub signing_key: Vec<u8>,
    /// 256 random bits, mixed into derived tokens.
    pub pepper: Vec<u8>,
}

impl std::fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServiceKey(..)")
    }
}

/// The deployment's one key so far; rotation will use the next slots.
const SLOT: i64 = 1;

impl Db {
    /// The shared key; `fresh` becomes it if there is none yet. Of racing callers one wins, all get its key.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn service_key(&self, fresh: &ServiceKey, now: UnixMs) -> Result<ServiceKey, StoreError> {
        let insert = "INSERT INTO service_keys (slot, signing_key, pepper, created_unix_ms)
            VALUES ($1, $2, $3, $4) ON CONFLICT (slot) DO NOTHING";
        self.execute(insert, args![SLOT, &fresh.signing_key[..], &fresh.pepper[..], now]).await?;
        let select = "SELECT signing_key, pepper FROM service_keys WHERE slot = $1";
        let row = self.row(select, args![SLOT]).await?.ok_or(StoreError::Malformed("service key"))?;
        Ok(ServiceKey { signing_key: row.bytes(0)?, pepper: row.bytes(1)? })
    }
}
