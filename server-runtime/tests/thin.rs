//! A room whose player has a link of 128 kbit/s, in virtual time: the dense codec is chosen for it, the client reads both
//! and sees more of the world; when the link becomes wide the shared one is back.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]
#![allow(elided_lifetimes_in_paths, reason = "systems are read by their components, not by their borrows")]

mod table;

use std::net::SocketAddr;
use std::time::Duration;

use bevy_ecs::prelude::*;
use netcode_client::{Client, ClientState};
use netcode_sim::{Conditioner, Profile};
use netcode_wire::Time;
use server_runtime::prelude::*;
use server_runtime::{Room, ServerOptions, SnapshotCodec};
use table::{HZ, SERVER, Stone, UNIX_AT_ZERO_S, Walk, Walking, walking};

/// Stones that roll to and fro, each at its own pace.
const STONES: usize = 300;

struct Far {
    room: Room<Walking>,
    client: Client<Walking>,
    up: Conditioner,
    down: Conditioner,
    now: Time,
    /// Stones that were seen to move, from one tick to the next, all added up.
    seen: u64,
    last: Vec<f32>,
    /// Ticks since each stone was seen to move, and the most there ever were.
    waited: Vec<u32>,
    waited_max: u32,
}

fn roll(mut stones: Query<&mut Stone>, mut tick: Local<u32>) {
    *tick += 1;
    for (number, mut stone) in stones.iter_mut().enumerate() {
        let phase = *tick as f32 * (0.01 + number as f32 * 1e-4) + number as f32;
        stone.x = phase.sin() * 90.0;
    }
}

fn narrow() -> Profile {
    Profile { bandwidth_bps: Some(128_000), queue_ms: 100.0, ..Profile::clean(50.0) }
}

impl Far {
    fn new(codec: SnapshotCodec) -> Self {
        let server: SocketAddr = SERVER.parse().unwrap();
        let options = ServerOptions { snapshot_codec: codec, ..table::options() };
        let builder = walking().add_systems(Stage::Simulate, roll).config(options);
        let mut room = builder.build(&[server], UNIX_AT_ZERO_S).unwrap();
        (0..STONES).for_each(|_| {
            room.world_mut().spawn(Stone { x: 0.0 });
        });
        room.open(7, 0);
        let now = Time::from_millis(1000);
        let token = table::token(1, 0, server, UNIX_AT_ZERO_S);
        let client = Client::connect(now, &token[..], table::schema(), table::client_config()).unwrap();
        let [up, down] = [1, 2].map(|seed| Conditioner::new(narrow(), seed));
        Self { room, client, up, down, now, seen: 0, last: Vec::new(), waited: Vec::new(), waited_max: 0 }
    }

    fn run(&mut self, seconds: u64) {
        let server: SocketAddr = SERVER.parse().unwrap();
        let far = SocketAddr::from(([10, 0, 0, 1], 1000));
        let half_tick = Duration::from_micros(1_000_000 / u64::from(HZ) / 2);
        for half in 0..seconds * u64::from(HZ) * 2 {
            self.now += half_tick;
            while let Some((_, mut bytes)) = self.down.poll(self.now) {
                self.client.handle_datagram(self.now, server, &mut bytes);
            }
            self.client.advance(self.now, &mut |_, _| Walk::default());
            while let Some(transmit) = self.client.poll_transmit() {
                self.up.push(self.now, far, transmit.bytes);
            }
            while let Some((from, mut bytes)) = self.up.poll(self.now) {
                self.room.handle_datagram(self.now, from, &mut bytes);
            }
            if half % 2 == 1 {
                self.room.tick(self.now, self.now).unwrap();
                self.look();
            }
            self.room.release(self.now);
            while let Some(transmit) = self.room.poll_transmit() {
                self.down.push(self.now, server, transmit.bytes);
            }
        }
        assert_eq!(self.client.state(), ClientState::Connected);
    }

    fn look(&mut self) {
        let Some(frame) = self.client.receiver().latest() else { return };
        let now: Vec<f32> = frame
            .entities()
            .filter_map(|id| frame.get::<Stone>(self.client.schema(), id))
            .map(|stone| stone.x)
            .collect();
        self.seen += now.iter().zip(&self.last).filter(|(now, last)| now != last).count() as u64;
        self.waited.resize(now.len(), 0);
        for ((waited, now), last) in self.waited.iter_mut().zip(&now).zip(&self.last) {
            *waited = if now == last { *waited + 1 } else { 0 };
            self.waited_max = self.waited_max.max(*waited);
        }
        self.last = now;
    }
}

#[test]
fn a_player_on_a_thin_link_gets_the_dense_codec() {
    let [mut auto, shared] = [SnapshotCodec::Auto, SnapshotCodec::Shared].map(|codec| {
        let mut far = Far::new(codec);
        far.run(8);
        far.seen = 0;
        far.run(6);
        far
    });
    let (stats, status) = (auto.client.stats(), auto.room.status(auto.now));
    println!("seen to move: auto {}, shared {}; {stats:?}", auto.seen, shared.seen);
    assert!(stats.snapshots_dense > 100 && status.players_dense == 1 && status.snapshots_dense_total > 100);
    assert_eq!((stats.world_share, stats.entities_missing), (1.0, 0));
    assert_eq!(shared.client.stats().snapshots_dense, 0);
    assert!(auto.seen * 10 > shared.seen * 14, "auto {}, shared {}", auto.seen, shared.seen);

    auto.down.set_profile(Profile::clean(50.0));
    // What was sent little of is trusted little: it takes a trial to see that there is room.
    auto.run(20);
    assert_eq!(auto.room.status(auto.now).players_dense, 0, "the link is wide again");
}

/// 300 things that never stand still, on a link that takes a part of their news: each waits its turn, and none for long.
#[test]
fn nothing_starves_on_a_thin_link() {
    for (codec, seconds_max) in [(SnapshotCodec::Shared, 0.8), (SnapshotCodec::Dense, 0.8)] {
        let mut far = Far::new(codec);
        far.run(8);
        assert_eq!(far.last.len(), STONES, "all of them are shown by now");
        (far.waited_max, far.seen) = (0, 0);
        far.waited.fill(0);
        far.run(8);
        let turn = STONES as f32 * 8.0 / far.seen as f32;
        let waited = far.waited_max as f32 / f32::from(HZ);
        println!("{codec:?}: a turn comes every {turn:.2} s on average, the longest wait was {waited:.2} s");
        assert!(waited < seconds_max, "{codec:?}: {waited} s for a turn of {turn} s");
    }
}
