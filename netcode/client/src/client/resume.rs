//! Coming back after a crash: another way for a client to begin. Must never know what the old one held: nothing is left.

use netcode_proto::{Client as Session, ConnectError, Key};
use netcode_snapshot::Schema;
use netcode_wire::Time;

use super::Client;
use crate::{ClientConfig, Game};

impl<G: Game> Client<G> {
    /// Comes back to the match that a client lost, by a crash say, with the token that it had, while the token lives and
    /// the seat is held: nobody is asked for a new one, and the session stands after one round trip. The server takes this session for a
    /// newer one of the same player and gives it the same seat; what the old client had under way is gone.
    ///
    /// `fresh` must never have served before, in this process or another: [`Key::generate`]. Keep the token where it
    /// outlives the process, and where nobody else reads it. A session that a goodbye or a kick has ended cannot be come
    /// back to: the server is silent, and the client ends with its token's timeout.
    ///
    /// # Errors
    /// As [`Client::connect`].
    ///
    /// # Panics
    /// As [`Client::connect`].
    pub fn resume(
        now: Time,
        token: &[u8],
        fresh: &Key,
        schema: Schema,
        config: ClientConfig,
    ) -> Result<Self, ConnectError> {
        let session = Session::resume(now, token, config.session.clone(), fresh)?;
        Ok(Self::over(session, schema, config))
    }
}
