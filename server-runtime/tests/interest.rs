//! What reaches a client, byte by byte: nothing of what it may not know.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod table;

use std::time::Duration;

use netcode_proto::{Client as Session, ClientConfig, ClientState};
use netcode_snapshot::{InputPacket, Receiver, Schema};
use netcode_wire::{BitReader, BitWriter, Time};
use server_runtime::prelude::*;
use server_runtime::{OwnerOnly, Room, TeamOnly};
use table::{HZ, PROTOCOL, SERVER, Stone, UNIX_AT_ZERO_S, Walk, Walker, Walking, options, token};

/// A client that keeps every byte of every snapshot.
struct Listener {
    session: Session,
    receiver: Receiver,
    schema: Schema,
    heard: Vec<Vec<u8>>,
}

/// A room and one listener, by a wire without delay.
struct Pair {
    room: Room<Walking>,
    listener: Listener,
    now: Time,
}

fn builder() -> ServerBuilder<Walking> {
    Server::builder("hidden")
        .tick_rate(HZ)
        .game::<Walking>()
        .replicate::<Stone>()
        .visible_within::<Walker>(20.0, |walker| Vec2::new(walker.x, 0.0))
        .visible_within::<Stone>(20.0, |stone| Vec2::new(stone.x, 0.0))
        .config(options())
}

impl Pair {
    fn new(builder: ServerBuilder<Walking>) -> Self {
        let mut room = builder.build(&[SERVER.parse().unwrap()], UNIX_AT_ZERO_S).unwrap();
        room.open(7, 0);
        let now = Time::from_millis(1000);
        let token = token(1, 0, SERVER.parse().unwrap(), UNIX_AT_ZERO_S + 1);
        let session = Session::connect(now, &token[..], ClientConfig::new(PROTOCOL)).unwrap();
        let schema = Schema::builder().component::<Walker>().component::<Stone>().build();
        let listener = Listener { session, receiver: Receiver::default(), schema, heard: Vec::new() };
        let mut pair = Self { room, listener, now };
        for _ in 0..30 {
            pair.tick();
        }
        assert_eq!(pair.listener.session.state(), ClientState::Connected);
        pair.world().spawn((Owner(PlayerId(1)), Walker { x: 0.0, team: 3 }, Watches(0b01)));
        pair
    }

    fn tick(&mut self) {
        self.now = self.now.saturating_add(Duration::from_micros(1_000_000 / u64::from(HZ)));
        let (room, listener, now) = (&mut self.room, &mut self.listener, self.now);
        listener.say(now, room.current_tick());
        while let Some(transmit) = listener.session.poll_transmit() {
            room.handle_datagram(now, ([127, 0, 0, 1], 5000).into(), &mut transmit.bytes.to_vec());
        }
        room.tick(now, now).unwrap();
        while let Some(transmit) = room.poll_transmit() {
            let mut bytes = transmit.bytes.to_vec();
            listener.session.handle_datagram(now, SERVER.parse().unwrap(), &mut bytes);
        }
        listener.hear();
    }

    fn world(&mut self) -> &mut World {
        self.room.world_mut()
    }
}

impl Listener {
    /// Says which snapshots it holds.
    fn say(&mut self, now: Time, tick: Tick) {
        self.session.step(now);
        let mut packet =
            InputPacket::<Walk> { ack: self.receiver.ack(), newest: tick.next(), ..Default::default() };
        packet.inputs.push(Walk::default());
        let mut out = BitWriter::new();
        packet.encode(&mut out);
        self.session.send(now, channels::STATE, out.as_bytes()).unwrap();
        self.session.flush(now);
    }

    fn hear(&mut self) {
        while let Some((channel, bytes)) = self.session.poll_message() {
            if channel == channels::STATE {
                self.receiver.decode(&self.schema, &mut BitReader::new(&bytes)).unwrap();
                self.heard.push(bytes.to_vec());
            }
        }
    }
}

/// Something that is told more coarsely from more than ten units away.
#[derive(Component, Replicate, Clone, Debug, PartialEq)]
#[net(far(beyond = 10.0))]
struct Balloon {
    #[net(range(-100.0..=100.0), step = 0.01, far_step = 0.64)]
    x: f32,
}

#[test]
fn who_comes_near_is_told_finely_and_who_goes_away_coarsely() {
    let builder =
        builder().replicate::<Balloon>().visible_within::<Balloon>(20.0, |balloon| Vec2::new(balloon.x, 0.0));
    let mut pair = Pair::new(builder);
    pair.listener.schema =
        Schema::builder().component::<Walker>().component::<Stone>().component::<Balloon>().build();
    let schema = pair.listener.schema.clone();
    let balloon = pair.world().spawn(Balloon { x: 15.0 }).id();
    let own = pair.world().spawn((Owner(PlayerId(1)), Balloon { x: 15.0 })).id();
    let mut errors = [Vec::new(), Vec::new()];
    for tick in 0..200_u16 {
        // From 15.9 to 4.1 and back; the walker that looks stands at 0, the own balloon at -15.
        let x = 4.1 + (f32::from(tick) - 100.0).abs() * 0.118;
        pair.world().get_mut::<Balloon>(balloon).unwrap().x = x;
        pair.world().get_mut::<Balloon>(own).unwrap().x = -15.0 - f32::from(tick % 7) * 0.01;
        pair.tick();
        let mut shown = |entity: Entity| {
            let (id, truth) = {
                let entity = pair.world().entity(entity);
                (entity.get::<Networked>().unwrap().0, entity.get::<Balloon>().unwrap().x)
            };
            let latest = pair.listener.receiver.latest().unwrap();
            Some((latest.get::<Balloon>(&schema, id)?.x - truth).abs())
        };
        if tick > 3 {
            assert!(shown(own).unwrap() < 0.006, "one's own is never far");
            // Between them it depends on where it came from.
            if !(9.7..11.3).contains(&x) {
                errors[usize::from(x > 11.0)].push(shown(balloon).unwrap());
            }
        }
    }
    let [near, far] = errors.map(|errors| errors.into_iter().fold(0.0, f32::max));
    assert!(near < 0.1 + 0.006 && far > 0.25 && far <= 0.33 + 0.118, "{near} {far}");
}

/// Two servers tell one player of the same things in its sight, and have the same names for them. Out of its sight one has
/// much going on, in each way that hides, and the other has nothing at all. The player must hear the same bytes from both:
/// then no id, no despawn, no length and no order betrays what is hidden.
#[test]
fn what_is_hidden_changes_no_byte() {
    let heard = [true, false].map(|is_crowded| {
        let mut pair = Pair::new(builder());
        let mut seen = Vec::new();
        let mut hidden = Vec::new();
        for tick in 0..300_u32 {
            let world = pair.world();
            if tick % 10 == 0 {
                // Names are counted up: both servers count as far.
                let x = f32::from(tick as u16 % 90) - 45.0;
                let strangers = [
                    world.spawn(Stone { x: 60.0 + x / 2.0 }).id(),
                    world.spawn((Stone { x: 1.0 }, TeamOnly(1))).id(),
                    world.spawn((Stone { x: 2.0 }, OwnerOnly, Owner(PlayerId(9)))).id(),
                    world.spawn((Stone { x: 3.0 }, InRoom(4))).id(),
                    world.spawn((Stone { x: 4.0 }, Layers(0b10))).id(),
                ];
                seen.push(world.spawn(Stone { x: x / 3.0 }).id());
                match is_crowded {
                    true => hidden.extend(strangers),
                    false => strangers.into_iter().for_each(|stranger| assert!(world.despawn(stranger))),
                }
            }
            for (index, entity) in seen.iter().enumerate().filter(|(index, _)| index % 3 == tick as usize % 3)
            {
                let mut stone = world.get_mut::<Stone>(*entity).unwrap();
                stone.x += (index as f32 - 10.0) * 0.01;
            }
            for entity in &hidden {
                let mut stone = world.get_mut::<Stone>(*entity).unwrap();
                stone.x += if stone.x > 40.0 { 0.05 } else { -0.001 };
            }
            if tick % 25 == 24 {
                let gone = seen.remove(0);
                world.despawn(gone);
                if is_crowded {
                    hidden.drain(..3).for_each(|stranger| assert!(world.despawn(stranger)));
                }
            }
            pair.tick();
        }
        let shown = pair.listener.receiver.latest().unwrap().len();
        assert!((5..40).contains(&shown), "{shown} things are in sight");
        pair.listener.heard
    });
    let (most, least) = (heard[0].iter().map(Vec::len).max(), heard[0].len());
    assert!(least > 290 && most > Some(20), "{least} snapshots, the longest has {most:?} bytes");
    for (tick, (one, other)) in heard[0].iter().zip(&heard[1]).enumerate() {
        assert_eq!(one, other, "snapshot {tick}");
    }
}
