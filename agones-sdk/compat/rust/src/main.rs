//! The official Rust client's whole call list (stable, beta, alpha) against the sidecar that the environment names.
//!
//! Exits with 0 when every answer was as documented; the sidecar's conformance mode judges the calls themselves. With the
//! argument `players` player tracking is expected to be on, as `FEATURE_GATES=PlayerTracking=true` has it; without, off.

use std::time::Duration;

use agones::{Sdk, errors::Error};

type Done = Result<(), Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Done {
    let players = std::env::args().nth(1).as_deref() == Some("players");
    let host = std::env::var("AGONES_SDK_GRPC_HOST").ok();
    let mut sdk = Sdk::new_with_host(host, None, None).await?;
    let mut watch = sdk.watch_gameserver().await?;
    let first = watch.message().await?.ok_or("the watch ended")?;
    assert_eq!(first.object_meta.ok_or("no metadata")?.name, "local");

    let health = sdk.health_check();
    sdk.ready().await?;
    stable(&mut sdk).await?;
    beta(&sdk).await?;
    if players {
        tracked(&sdk).await?
    } else {
        untracked(&sdk).await?
    }
    for _ in 0..3 {
        health.send(()).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let latest = tokio::time::timeout(Duration::from_secs(5), watch.message()).await??;
    assert!(latest.is_some(), "the watch goes on");
    sdk.shutdown().await?;
    println!("the official Rust client 1.61.0 got every answer that it is documented to get");
    Ok(())
}

async fn stable(sdk: &mut Sdk) -> Done {
    let server = sdk.get_gameserver().await?;
    let meta = server.object_meta.ok_or("no metadata")?;
    assert_eq!(server.status.ok_or("no status")?.state, "Ready");
    sdk.set_label("foo", meta.creation_timestamp.to_string()).await?;
    sdk.set_annotation("bar", meta.uid).await?;
    sdk.reserve(Duration::from_secs(5)).await?;
    assert_eq!(sdk.get_gameserver().await?.status.ok_or("no status")?.state, "Reserved");
    sdk.allocate().await?;
    let server = sdk.get_gameserver().await?;
    assert_eq!(server.status.ok_or("no status")?.state, "Allocated");
    let meta = server.object_meta.ok_or("no metadata")?;
    assert_eq!(meta.labels["agones.dev/sdk-foo"], meta.creation_timestamp.to_string());
    assert_eq!(meta.annotations["agones.dev/sdk-bar"], meta.uid);
    Ok(())
}

async fn beta(sdk: &Sdk) -> Done {
    let mut beta = sdk.beta().clone();
    assert_eq!(beta.get_counter_count("rooms").await?, 1);
    beta.increment_counter("rooms", 3).await?;
    beta.decrement_counter("rooms", 2).await?;
    assert_eq!(beta.get_counter_count("rooms").await?, 2);
    beta.set_counter_capacity("rooms", 20).await?;
    beta.set_counter_count("rooms", 4).await?;
    assert_eq!(beta.get_counter_capacity("rooms").await?, 20);
    refused(beta.increment_counter("rooms", 100).await, "out of range");
    refused(beta.get_counter_count("nope").await, "not found");

    assert_eq!(beta.get_list_capacity("players").await?, 100);
    beta.append_list_value("players", "p9").await?;
    assert!(beta.list_contains("players", "p9").await?);
    beta.delete_list_value("players", "test0").await?;
    assert_eq!(beta.get_list_values("players").await?, ["test1", "test2", "p9"]);
    assert_eq!(beta.get_list_length("players").await?, 3);
    beta.set_list_capacity("players", 50).await?;
    refused(beta.append_list_value("players", "p9").await, "already exists");
    refused(beta.delete_list_value("players", "zz").await, "not found");
    Ok(())
}

/// Player tracking with its gate open.
async fn tracked(sdk: &Sdk) -> Done {
    let mut alpha = sdk.alpha().clone();
    alpha.set_player_capacity(2).await?;
    assert_eq!(alpha.get_player_capacity().await?, 2);
    // The conformance mode counts these calls with this player alone.
    assert!(alpha.player_connect("1234").await?);
    assert!(!alpha.player_connect("1234").await?, "it is there already");
    assert!(alpha.is_player_connected("1234").await?);
    assert!(alpha.player_connect("b").await?);
    refused(alpha.player_connect("c").await, "capacity");
    assert_eq!(alpha.get_player_count().await?, 2);
    assert_eq!(alpha.get_connected_players().await?, ["1234", "b"]);
    assert!(alpha.player_disconnect("1234").await?);
    assert!(!alpha.player_disconnect("1234").await?, "it is gone already");
    assert!(alpha.player_disconnect("b").await?);
    Ok(())
}

/// Player tracking as it is upstream by default: every call is refused.
async fn untracked(sdk: &Sdk) -> Done {
    let mut alpha = sdk.alpha().clone();
    let off = "PlayerTracking not enabled";
    refused(alpha.set_player_capacity(2).await, off);
    refused(alpha.get_player_capacity().await, off);
    refused(alpha.player_connect("a").await, off);
    refused(alpha.player_disconnect("a").await, off);
    refused(alpha.get_player_count().await, off);
    refused(alpha.is_player_connected("a").await, off);
    refused(alpha.get_connected_players().await, off);
    Ok(())
}

/// Panics unless the call was refused with these words.
fn refused<T>(answer: Result<T, Error>, words: &str) {
    let error = answer.err().expect("refused");
    let text = format!("{error:?}");
    assert!(text.contains(words), "{text}");
}
