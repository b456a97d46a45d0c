//! What a tick of a whole room allocates once everything has its size: nothing, from the inputs that were heard to the
//! datagrams that wait to be sent, bevy's schedules included.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]
#![allow(elided_lifetimes_in_paths, reason = "systems are read by their components, not by their borrows")]

mod table;

use std::time::Duration;

use bevy_ecs::prelude::*;
use netcode_proto::{Client as Session, ClientConfig};
use netcode_snapshot::{InputPacket, Receiver, Schema};
use netcode_wire::{BitReader, BitWriter, Time};
use server_runtime::prelude::*;
use server_runtime::{Room, ServerOptions};
use table::{HZ, PROTOCOL, SERVER, Stone, UNIX_AT_ZERO_S, Walk, Walking, options, token};

fn roll(mut stones: Query<&mut Stone>, mut tick: Local<u32>) {
    *tick += 1;
    for (number, mut stone) in stones.iter_mut().enumerate() {
        stone.x = (*tick as f32 * (0.01 + number as f32 * 1e-4) + number as f32).sin() * 90.0;
    }
}

struct Hall {
    room: Room<Walking>,
    clients: Vec<(Session, Receiver)>,
    schema: Schema,
    now: Time,
}

impl Hall {
    fn new(clients: u16, stones: usize, threads: u16) -> Self {
        let options = ServerOptions { encode_threads: Some(threads), record_mib: 0, ..options() };
        let builder = Server::builder("steady").tick_rate(HZ).game::<Walking>().replicate::<Stone>();
        let builder = builder.add_systems(Stage::Simulate, roll).config(options);
        let mut room = builder.build(&[SERVER.parse().unwrap()], UNIX_AT_ZERO_S).unwrap();
        (0..stones).for_each(|_| {
            room.world_mut().spawn(Stone { x: 0.0 });
        });
        room.open(7, 0);
        let now = Time::from_millis(1000);
        let session = |index: u16| {
            let token = token(u64::from(index) + 1, 0, SERVER.parse().unwrap(), UNIX_AT_ZERO_S + 1);
            let session = Session::connect(now, &token[..], ClientConfig::new(PROTOCOL)).unwrap();
            (session, Receiver::default())
        };
        let schema = Schema::builder().component::<table::Walker>().component::<Stone>().build();
        Self { room, clients: (0..clients).map(session).collect(), schema, now }
    }

    /// A tick; gives what the room allocated from its beginning until everything it says is composed.
    fn tick(&mut self) -> u64 {
        self.now = self.now.saturating_add(Duration::from_micros(1_000_000 / u64::from(HZ)));
        let now = self.now;
        for (index, (session, receiver)) in self.clients.iter_mut().enumerate() {
            session.step(now);
            let newest = self.room.current_tick().next();
            let mut packet = InputPacket::<Walk> { ack: receiver.ack(), newest, ..Default::default() };
            packet.inputs.push(Walk::default());
            let mut out = BitWriter::new();
            packet.encode(&mut out);
            session.send(now, channels::STATE, out.as_bytes()).unwrap();
            session.flush(now);
            while let Some(transmit) = session.poll_transmit() {
                let from = ([127, 0, 0, 1], 5000 + index as u16).into();
                self.room.handle_datagram(now, from, &mut transmit.bytes.to_vec());
            }
        }
        let counted = allocation_counter::measure(|| self.room.tick(now, now).unwrap()).count_total;
        while let Some(transmit) = self.room.poll_transmit() {
            let (session, receiver) = &mut self.clients[usize::from(transmit.to.port() - 5000)];
            session.handle_datagram(now, SERVER.parse().unwrap(), &mut transmit.bytes.to_vec());
            while let Some((channel, bytes)) = session.poll_message() {
                if channel == channels::STATE {
                    receiver.decode(&self.schema, &mut BitReader::new(&bytes)).unwrap();
                }
            }
        }
        counted
    }

    /// What a steady tick allocates at the least and at the most.
    fn steady(clients: u16, stones: usize, threads: u16) -> (u64, u64) {
        let mut hall = Self::new(clients, stones, threads);
        let ticks: Vec<u64> = (0..720).map(|_| hall.tick()).skip(600).collect();
        for (_, receiver) in &hall.clients {
            let latest = receiver.latest().unwrap();
            let now = hall.room.current_tick();
            assert_eq!((latest.len(), latest.tick()), (stones, now), "everyone is told of everything");
        }
        (*ticks.iter().min().unwrap(), *ticks.iter().max().unwrap())
    }
}

#[test]
fn a_steady_tick_allocates_nothing() {
    for (clients, stones) in [(1, 10), (12, 100)] {
        assert_eq!(Hall::steady(clients, stones, 1), (0, 0), "{clients} clients, {stones} stones");
    }
}

/// What is counted is the room's own thread: it lends, writes its share and takes back.
#[test]
fn neither_does_a_tick_whose_snapshots_are_spread_over_threads() {
    assert_eq!(Hall::steady(40, 20, 3), (0, 0));
}
