//! A room behind bad weather, in virtual time: 60 ms round trip, 10 ms jitter, 2 % loss. Everyone stays, movement
//! is hardly ever corrected, and the server's clock guidance keeps inputs early.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod table;

use std::net::SocketAddr;
use std::time::Duration;

use netcode_client::{Client, ClientState};
use netcode_sim::{Conditioner, Profile};
use netcode_wire::Time;
use table::{HZ, SERVER, UNIX_AT_ZERO_S, Walk, Walking, walking};

/// One client with its own weather, both ways.
struct Far {
    address: SocketAddr,
    client: Client<Walking>,
    up: Conditioner,
    down: Conditioner,
}

#[test]
fn everyone_plays_through_loss_and_jitter() {
    const SECONDS: u64 = 30;
    let server: SocketAddr = SERVER.parse().unwrap();
    let mut room = walking().build(&[server], UNIX_AT_ZERO_S).unwrap();
    room.open(7, 0);
    let mut now = Time::from_millis(1000);
    let mut guests: Vec<Far> = (1..=8u64)
        .map(|player| {
            let token = table::token(player, 0, server, UNIX_AT_ZERO_S);
            Far {
                address: SocketAddr::from(([10, 0, 0, player as u8], 1000)),
                client: Client::connect(now, &token[..], table::schema(), table::client_config()).unwrap(),
                up: Conditioner::new(Profile::demo(), player * 2),
                down: Conditioner::new(Profile::demo(), player * 2 + 1),
            }
        })
        .collect();
    // Half a server tick a step: clients and datagrams do not move in step with the server.
    let step = Duration::from_micros(1_000_000 / u64::from(HZ) / 2);
    for half in 0..SECONDS * u64::from(HZ) * 2 {
        now = now.saturating_add(step);
        for guest in &mut guests {
            while let Some((_, mut bytes)) = guest.down.poll(now) {
                guest.client.handle_datagram(now, server, &mut bytes);
            }
            guest.client.advance(now, &mut |tick, _| Walk {
                // Turns round about twice a second.
                speed: if (tick.0 / 31) % 2 == 0 { 1.0 } else { -1.0 },
                shout: tick.0 % 50 == 0,
            });
            while let Some(transmit) = guest.client.poll_transmit() {
                guest.up.push(now, guest.address, transmit.bytes);
            }
            while let Some((from, mut bytes)) = guest.up.poll(now) {
                room.handle_datagram(now, from, &mut bytes);
            }
        }
        if half % 2 == 1 {
            room.tick(now, now).unwrap();
            while let Some(transmit) = room.poll_transmit() {
                let guest = guests.iter_mut().find(|guest| guest.address == transmit.to).unwrap();
                guest.down.push(now, server, transmit.bytes);
            }
        }
    }
    let status = room.status(now);
    assert_eq!((status.players_connected, status.disconnects), (8, 0));
    for (guest, told) in guests.iter().zip(&status.players) {
        let stats = guest.client.stats();
        assert_eq!(guest.client.state(), ClientState::Connected);
        // Every input rides again until it is acknowledged, so that only a burst of losses makes one late.
        let corrected_a_minute = stats.mispredictions as f64 * 60.0 / SECONDS as f64;
        assert!(corrected_a_minute <= 6.0, "player {}: {corrected_a_minute} a minute", told.player);
        assert!((0.5..6.0).contains(&told.input_margin_ticks), "{told:?}");
        assert!((55.0..110.0).contains(&told.rtt_ms), "{told:?}");
        assert!(told.late_inputs < 60 * SECONDS / 100, "less than one in a hundred: {told:?}");
        assert!(told.bytes_down_total / SECONDS < 25_000, "{told:?}");
    }
}
