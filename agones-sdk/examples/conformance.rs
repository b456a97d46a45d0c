//! Every call of our client once, against whatever sidecar the environment names: ours or the real one in conformance
//! mode. Exits with 0 when each was answered.
//!
//! ```text
//! sidecar --test "$CALLS" --timeout 60 &                       # ours, or:
//! sdk-server.linux.amd64 --test "$CALLS" --timeout 60 --address localhost &
//! cargo run -p agones-sdk --example conformance -- [players]
//! ```
//!
//! `players`: player tracking too, which needs `FEATURE_GATES=PlayerTracking=true` on the sidecar's side. The calls that
//! `--test` is to expect are [`CALLS`] and, with it, [`PLAYER_CALLS`]. See `docs/agones.md`.
#![allow(dead_code, reason = "a test plays the same calls without the main function")]

use std::time::Duration;

use agones_sdk::client::{Sdk, SdkError};

/// What `--test` should expect of [`play`].
pub(crate) const CALLS: &str = "ready,allocate,setlabel,setannotation,gameserver,health,shutdown,watch,reserve,getcounter,\
                         updatecounter,setcountcounter,setcapacitycounter,getlist,updatelist,addlistvalue,removelistvalue";

/// What it should expect besides, of [`track`].
pub(crate) const PLAYER_CALLS: &str = "playerconnect,playerdisconnect,setplayercapacity,getplayercapacity,getplayercount,\
                                isplayerconnected,getconnectedplayers";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), SdkError> {
    let sdk = Sdk::from_env().await?;
    if std::env::args().nth(1).as_deref() == Some("players") {
        track(&sdk).await?;
    }
    play(&sdk).await?;
    println!("every call was answered");
    Ok(())
}

/// The stable calls and the beta ones. `setlabel` and `setannotation` count with these values alone.
pub(crate) async fn play(sdk: &Sdk) -> Result<(), SdkError> {
    let server = sdk.game_server().await?;
    sdk.watch().next().await;
    sdk.health().await?;
    sdk.ready().await?;
    sdk.set_label("foo", &server.creation_timestamp().to_string()).await?;
    sdk.set_annotation("bar", server.uid()).await?;
    sdk.reserve(Duration::from_secs(5)).await?;
    sdk.allocate().await?;
    sdk.counter("rooms").await?;
    sdk.set_counter_capacity("rooms", 20).await?;
    sdk.set_counter_count("rooms", 3).await?;
    sdk.move_counter("rooms", 2).await?;
    sdk.list("players").await?;
    sdk.set_list_capacity("players", 50).await?;
    sdk.add_list_value("players", "p9").await?;
    sdk.remove_list_value("players", "test0").await?;
    sdk.shutdown().await
}

/// The alpha calls. `playerconnect` and `playerdisconnect` count with this player alone.
pub(crate) async fn track(sdk: &Sdk) -> Result<(), SdkError> {
    #[expect(deprecated, reason = "what is being withdrawn is there still")]
    let players = sdk.player_tracking();
    players.set_capacity(1).await?;
    assert_eq!(players.capacity().await?, 1);
    assert!(players.connect("1234").await?);
    assert!(players.is_connected("1234").await?);
    assert_eq!((players.count().await?, players.connected().await?), (1, vec!["1234".to_owned()]));
    assert!(players.disconnect("1234").await?);
    Ok(())
}
