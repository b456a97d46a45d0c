//! One room's snapshots written by one thread and by three: every client hears the same bytes, over loss, in both codecs,
//! with clients who come and go.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]
#![allow(elided_lifetimes_in_paths, reason = "systems are read by their components, not by their borrows")]

mod table;

use std::time::Duration;

use bevy_ecs::prelude::*;
use netcode_proto::{Client as Session, ClientConfig};
use netcode_snapshot::{InputPacket, Receiver, Schema};
use netcode_wire::{BitReader, BitWriter, Time};
use server_runtime::prelude::*;
use server_runtime::{Room, ServerOptions, SnapshotCodec};
use table::{HZ, PROTOCOL, SERVER, Stone, UNIX_AT_ZERO_S, Walk, Walking, options, token};

/// More than the fewest that work is spread for.
const CLIENTS: u16 = 40;

struct Listener {
    session: Session,
    receiver: Receiver,
    random: fastrand::Rng,
    heard: Vec<Vec<u8>>,
}

fn roll(mut stones: Query<&mut Stone>, mut tick: Local<u32>) {
    *tick += 1;
    for (number, mut stone) in stones.iter_mut().enumerate().filter(|(number, _)| number % 3 > 0) {
        stone.x = (*tick as f32 * (0.01 + number as f32 * 1e-4) + number as f32).sin() * 90.0;
    }
}

/// What each client heard.
fn play(threads: u16, codec: SnapshotCodec) -> Vec<Vec<Vec<u8>>> {
    let options = ServerOptions { encode_threads: Some(threads), snapshot_codec: codec, ..options() };
    let builder = Server::builder("spread").tick_rate(HZ).game::<Walking>().replicate::<Stone>();
    let builder = builder.add_systems(Stage::Simulate, roll).config(options);
    let mut room = builder.build(&[SERVER.parse().unwrap()], UNIX_AT_ZERO_S).unwrap();
    (0..120).for_each(|_| {
        room.world_mut().spawn(Stone { x: 0.0 });
    });
    room.open(7, 0);
    let mut now = Time::from_millis(1000);
    let schema = Schema::builder().component::<table::Walker>().component::<Stone>().build();
    let mut listeners: Vec<Listener> = (0..CLIENTS)
        .map(|index| {
            let token = token(u64::from(index) + 1, 0, SERVER.parse().unwrap(), UNIX_AT_ZERO_S + 1);
            let session = Session::connect(now, &token[..], ClientConfig::new(PROTOCOL)).unwrap();
            let random = fastrand::Rng::with_seed(index.into());
            Listener { session, receiver: Receiver::default(), random, heard: Vec::new() }
        })
        .collect();
    for tick in 0..90_u32 {
        now = now.saturating_add(Duration::from_micros(1_000_000 / u64::from(HZ)));
        for (index, listener) in listeners.iter_mut().enumerate() {
            listener.say(now, room.current_tick(), tick);
            while let Some(transmit) = listener.session.poll_transmit() {
                room.handle_datagram(now, from(index), &mut transmit.bytes.to_vec());
            }
        }
        room.tick(now, now).unwrap();
        hear(&mut room, &mut listeners, &schema, now, tick);
    }
    listeners.into_iter().map(|listener| listener.heard).collect()
}

fn from(index: usize) -> std::net::SocketAddr {
    ([127, 0, 0, 1], 5000 + index as u16).into()
}

fn hear(room: &mut Room<Walking>, listeners: &mut [Listener], schema: &Schema, now: Time, tick: u32) {
    while let Some(transmit) = room.poll_transmit() {
        let index = transmit.to.port() - 5000;
        let listener = &mut listeners[usize::from(index)];
        // A tenth of the ticks is lost to each, once all are there. (Not by the datagram: how many there are beside the
        // snapshots a room's own seed has a say in.)
        if tick < 30 || !(tick * 7 + u32::from(index) * 13).is_multiple_of(10) {
            listener.session.handle_datagram(now, SERVER.parse().unwrap(), &mut transmit.bytes.to_vec());
        }
    }
    for listener in listeners {
        while let Some((channel, bytes)) = listener.session.poll_message() {
            if channel == channels::STATE {
                listener.receiver.decode(schema, &mut BitReader::new(&bytes)).unwrap();
                listener.heard.push(bytes.to_vec());
            }
        }
    }
}

impl Listener {
    /// Says now and then which snapshots it holds, each client at its own pace.
    fn say(&mut self, now: Time, server: Tick, tick: u32) {
        self.session.step(now);
        if tick < 30 || self.random.u8(..4) > 0 {
            let mut packet =
                InputPacket::<Walk> { ack: self.receiver.ack(), newest: server.next(), ..Default::default() };
            packet.inputs.push(Walk::default());
            let mut out = BitWriter::new();
            packet.encode(&mut out);
            self.session.send(now, channels::STATE, out.as_bytes()).unwrap();
        }
        self.session.flush(now);
    }
}

#[test]
fn threads_change_no_byte() {
    for codec in [SnapshotCodec::Auto, SnapshotCodec::Dense] {
        let [alone, spread] = [1, 3].map(|threads| play(threads, codec));
        for (client, (alone, spread)) in alone.iter().zip(&spread).enumerate() {
            assert!(alone.len() > 50, "{codec:?}: client {client} heard {} snapshots", alone.len());
            for (at, (one, other)) in alone.iter().zip(spread).enumerate() {
                assert_eq!(one, other, "{codec:?}: client {client}, snapshot {at}");
            }
            assert_eq!(alone.len(), spread.len());
        }
    }
}
