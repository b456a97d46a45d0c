//! How far a region is: a beacon that sends back what it is sent, and a player's round trips to it before it queues.
//! Owns the measuring; must never know what is played.
//!
//! A deployment has a beacon in each region (Agones ships one, `agones-ping`). The demo has one region, `local`, and its
//! bots measure it over the same simulated network that they play on.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::Context;
use netcode_sim::{Conditioner, Profile};
use netcode_wire::Time;

/// Round trips of one measurement; their median counts.
const PINGS: usize = 5;
/// Between two of them.
const PING_EVERY: Duration = Duration::from_millis(20);
/// What has not come back by then never will.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a measurement looks.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Longer datagrams are no pings and are not answered: nobody gets more than it sent.
const PING_BYTES_MAX: usize = 64;
/// The longest way that any mode's rules can accept: who is further away says this.
const ROUND_TRIP_MAX_MS: u16 = 2000;

/// A region that players can measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// As the mode's rules name it.
    pub name: String,
    /// Where its beacon listens.
    pub beacon: SocketAddr,
}

/// Answers pings on a free port of this machine, for as long as the runtime lives.
///
/// # Errors
/// No socket.
pub async fn serve() -> anyhow::Result<SocketAddr> {
    let socket =
        tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no socket for a beacon")?;
    let address = socket.local_addr()?;
    tokio::spawn(async move {
        let mut ping = [0; PING_BYTES_MAX + 1];
        loop {
            match socket.recv_from(&mut ping).await {
                // Whoever is gone by now needs no answer.
                Ok((len, from)) if len <= PING_BYTES_MAX => _ = socket.send_to(&ping[..len], from).await,
                Ok(_) => {}
                // An answer that found nobody comes back as an error here.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
    Ok(address)
}

/// The median round trip to each region that answers, milliseconds, on a path of this kind.
pub async fn measure(regions: &[Region], path: Profile, seed: u64) -> BTreeMap<String, u16> {
    let mut measured = BTreeMap::new();
    for region in regions {
        if let Some(ms) = round_trip(region.beacon, path, seed).await {
            measured.insert(region.name.clone(), ms);
        }
    }
    measured
}

async fn round_trip(to: SocketAddr, path: Profile, seed: u64) -> Option<u16> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    socket.set_nonblocking(true).ok()?;
    let (mut up, mut down) =
        (Conditioner::new(path, seed ^ 0x7570), Conditioner::new(path, seed ^ 0x646f_776e));
    let (epoch, mut sent, mut trips) = (Instant::now(), Vec::new(), BTreeMap::new());
    let mut buffer = [0; PING_BYTES_MAX];
    while trips.len() < PINGS && epoch.elapsed() < PATIENCE {
        let elapsed = epoch.elapsed();
        let now = Time::from_micros(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX));
        if sent.len() < PINGS && elapsed >= PING_EVERY * sent.len() as u32 {
            up.push(now, to, &[sent.len() as u8]);
            sent.push(elapsed);
        }
        while let Some((to, bytes)) = up.poll(now) {
            // What the machine does not send is lost, as on any network.
            let _lost = socket.send_to(&bytes, to);
            up.recycle(bytes);
        }
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            down.push(now, from, &buffer[..len]);
        }
        while let Some((from, bytes)) = down.poll(now) {
            let which = bytes.first().copied().map(usize::from).filter(|_| from == to);
            if let Some((which, at)) = which.and_then(|which| Some((which, *sent.get(which)?))) {
                trips.entry(which).or_insert(elapsed.saturating_sub(at));
            }
            down.recycle(bytes);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    median(trips.into_values().collect())
}

/// In whole milliseconds, as tickets have it.
fn median(mut trips: Vec<Duration>) -> Option<u16> {
    trips.sort_unstable();
    let middle = trips.get(trips.len() / 2)?;
    Some(u16::try_from(middle.as_millis()).unwrap_or(u16::MAX).min(ROUND_TRIP_MAX_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_path_of_sixty_milliseconds_measures_as_one() {
        let beacon = serve().await.expect("a beacon");
        let path: Profile = "demo".parse().expect("a profile");
        let regions = [Region { name: "local".to_owned(), beacon }];
        let measured = measure(&regions, path, 3).await;
        // 60 ms, up to 10 ms of jitter each way, and what a busy machine adds.
        assert!((50..150).contains(&measured["local"]), "{measured:?}");
    }

    #[tokio::test]
    async fn a_region_that_does_not_answer_is_left_out() {
        let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let beacon = silent.local_addr().expect("its address");
        let regions = [Region { name: "far".to_owned(), beacon }];
        assert!(measure(&regions, "lan".parse().expect("a profile"), 1).await.is_empty());
    }

    #[test]
    fn the_median_is_the_middle_one_and_no_longer_than_a_ticket_takes() {
        let ms = |all: &[u64]| median(all.iter().copied().map(Duration::from_millis).collect());
        assert_eq!((ms(&[]), ms(&[9, 1, 5]), ms(&[90_000])), (None, Some(5), Some(ROUND_TRIP_MAX_MS)));
    }
}
