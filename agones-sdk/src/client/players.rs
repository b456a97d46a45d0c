//! Owns: the alpha calls, player tracking, which Agones is withdrawing. Must never know: what a player does.

use tonic::transport::Channel;
use tonic::{Response, Status};

use super::{Sdk, SdkError};
use crate::proto::alpha::sdk_client::SdkClient;
use crate::proto::alpha::{Count, Empty, PlayerId};

/// Player tracking. The sidecar refuses every call unless its gate `PlayerTracking` is open, which upstream leaves closed;
/// what a game needs of it, a list does as well ([`Sdk::add_list_value`]).
#[derive(Clone, Debug)]
pub struct PlayerTracking {
    sdk: Sdk,
}

impl Sdk {
    /// The alpha calls, for servers that still use them.
    #[deprecated(note = "player tracking is being withdrawn from Agones: keep players in a list")]
    pub fn player_tracking(&self) -> PlayerTracking {
        PlayerTracking { sdk: self.clone() }
    }
}

impl PlayerTracking {
    /// A player came; false if it was here already.
    ///
    /// # Errors
    /// Nobody more fits, the gate is closed, or the sidecar does not answer in time.
    pub async fn connect(&self, player: &str) -> Result<bool, SdkError> {
        let id = PlayerId { player_id: player.into() };
        let moved = self.call("PlayerConnect", async |mut c| c.player_connect(id).await).await?;
        Ok(moved.bool)
    }

    /// A player left; false if it was not here.
    ///
    /// # Errors
    /// The gate is closed, or the sidecar does not answer in time; so of all calls below.
    pub async fn disconnect(&self, player: &str) -> Result<bool, SdkError> {
        let id = PlayerId { player_id: player.into() };
        let moved = self.call("PlayerDisconnect", async |mut c| c.player_disconnect(id).await).await?;
        Ok(moved.bool)
    }

    /// Sets how many players fit.
    pub async fn set_capacity(&self, count: i64) -> Result<(), SdkError> {
        let count = Count { count };
        self.call("SetPlayerCapacity", async |mut c| c.set_player_capacity(count).await).await.map(drop)
    }

    /// How many players fit.
    pub async fn capacity(&self) -> Result<i64, SdkError> {
        let count =
            self.call("GetPlayerCapacity", async |mut c| c.get_player_capacity(Empty {}).await).await?;
        Ok(count.count)
    }

    /// How many players are here.
    pub async fn count(&self) -> Result<i64, SdkError> {
        let count = self.call("GetPlayerCount", async |mut c| c.get_player_count(Empty {}).await).await?;
        Ok(count.count)
    }

    /// Whether one player is here.
    pub async fn is_connected(&self, player: &str) -> Result<bool, SdkError> {
        let id = PlayerId { player_id: player.into() };
        let here = self.call("IsPlayerConnected", async |mut c| c.is_player_connected(id).await).await?;
        Ok(here.bool)
    }

    /// Who is here.
    pub async fn connected(&self) -> Result<Vec<String>, SdkError> {
        let ids =
            self.call("GetConnectedPlayers", async |mut c| c.get_connected_players(Empty {}).await).await?;
        Ok(ids.list)
    }

    /// An alpha call. Whether a player was here already is part of the answer, so nothing is tried again.
    async fn call<T>(
        &self,
        call: &'static str,
        f: impl AsyncFnOnce(SdkClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, SdkError> {
        let channel = self.sdk.channel.clone();
        self.sdk.once(call, async move || f(SdkClient::new(channel)).await).await
    }
}
