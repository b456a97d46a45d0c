//! What a thin link shows of a world: the codec that is chosen for it, and how a late joiner's world comes in. In virtual
//! time, on seeded paths.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use glam::Vec2;
use netcode_derive::Replicate;
use netcode_sim::{Conditioner, Profile};
use netcode_snapshot::{
    AdaptiveView, Budget, CodecChoice, Feedback, History, NetId, Parts, Receiver, ReceiverLimits, Schema,
    SharedBits, SnapshotHeader, SnapshotStats,
};
use netcode_wire::{BitReader, Tick, Time};

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
#[net(predictor = "linear")]
struct Ship {
    #[net(range(-512.0..=512.0), step = 0.005)]
    pos: Vec2,
    #[net(range(-20.0..=20.0), step = 0.02)]
    vel: Vec2,
    #[net(angle, bits = 12)]
    heading: f32,
    #[net(bits = 7)]
    hull: u8,
}

/// A server, one client, and a link of so many bits a second between them.
struct Link {
    rng: fastrand::Rng,
    schema: Schema,
    ships: Vec<Ship>,
    history: History,
    bits: SharedBits,
    view: AdaptiveView,
    receiver: Receiver,
    down: Conditioner,
    acks: Vec<(Tick, netcode_snapshot::Ack)>,
    parts: Parts,
    tick: Tick,
    now: Time,
    bytes_a_tick: usize,
    moving: bool,
    updates: u64,
    dense: u64,
    header: SnapshotHeader,
}

impl Link {
    fn new(ships: usize, bits_per_s: u64, choice: CodecChoice) -> Self {
        let mut rng = fastrand::Rng::with_seed(7);
        let schema = Schema::builder().component::<Ship>().build();
        let side = (ships as f32).sqrt() * 10.0;
        let mut place = || (rng.f32() - 0.5) * side;
        let mut ship = || Ship {
            pos: Vec2::new(place(), place()),
            vel: Vec2::new(place(), place()).normalize() * 8.0,
            heading: 0.0,
            hull: 100,
        };
        let limits = ReceiverLimits { entities_max: 16_384 };
        let mut link = Self {
            ships: (0..ships).map(|_| ship()).collect(),
            rng,
            history: History::default(),
            bits: SharedBits::new(),
            view: AdaptiveView::with_limit(choice, limits.entities_max),
            receiver: Receiver::new(limits),
            schema,
            down: Conditioner::new(Profile::clean(80.0), 3),
            acks: Vec::new(),
            parts: Parts::new(),
            tick: Tick(0),
            now: Time::ZERO,
            bytes_a_tick: 0,
            moving: true,
            updates: 0,
            dense: 0,
            header: SnapshotHeader::default(),
        };
        link.widen(bits_per_s);
        link
    }

    fn widen(&mut self, bits_per_s: u64) {
        let path = Profile { bandwidth_bps: Some(bits_per_s), queue_ms: 100.0, ..Profile::clean(80.0) };
        self.down.set_profile(path);
        // What a datagram takes beside the snapshot: IP, UDP, sealing, the link's own head.
        self.bytes_a_tick = (bits_per_s / 8 / 60) as usize - 28 - 32;
    }

    fn tick(&mut self) -> SnapshotStats {
        self.tick = self.tick.next();
        self.now += Duration::from_micros(16_667);
        for ship in self.ships.iter_mut().filter(|_| self.moving) {
            if self.rng.f32() < 0.02 {
                ship.vel = Vec2::from_angle(self.rng.f32() * 6.3) * 8.0;
            }
            ship.pos += ship.vel / 60.0;
            ship.heading += 0.02;
        }
        let (schema, ships) = (&self.schema, &self.ships);
        self.history.extract(self.tick, |frame| {
            for (id, ship) in (0..).map(NetId).zip(ships) {
                frame.push(schema, id, |entity| entity.component(ship));
            }
        });
        // Near is more urgent than far.
        let urgency = |ship: &Ship| 1.0 / (1.0 + ship.pos.length() / 50.0);
        let relevant: Vec<_> = (0..).map(NetId).zip(ships.iter().map(urgency)).collect();
        let budget = Budget {
            first_bytes: self.bytes_a_tick.min(1100),
            part_bytes: 1100,
            total_bytes: self.bytes_a_tick,
        };
        let shared = (&self.schema, &self.history, &mut self.bits);
        let stats = self.view.encode_parts(shared, &relevant, Feedback::default(), budget, &mut self.parts);
        for part in self.parts.iter() {
            self.down.push(self.now, ADDRESS, part);
        }
        self.arrive();
        stats
    }

    fn arrive(&mut self) {
        while let Some((_, bytes)) = self.down.poll(self.now) {
            let header = self.receiver.decode(&self.schema, &mut BitReader::new(&bytes));
            self.header = header.expect("the path keeps the order");
            self.dense += u64::from(self.header.dense);
            let shown = self.receiver.latest().expect("it was decoded");
            let told = shown.entities().filter(|id| shown.stamp(*id) == Some(shown.tick()));
            let truth = self.history.frame(shown.tick()).expect("it is held");
            for id in told {
                let (ours, theirs) =
                    (shown.get::<Ship>(&self.schema, id), truth.get::<Ship>(&self.schema, id));
                assert_eq!(ours, theirs, "{id} at {}", shown.tick());
                self.updates += 1;
            }
        }
        if let Some(ack) = self.receiver.ack() {
            self.acks.push((self.tick.offset(3), ack));
        }
        for (_, ack) in self.acks.extract_if(.., |(due, _)| *due <= self.tick) {
            self.view.ack(ack);
        }
    }

    /// Entities told of in `ticks` ticks.
    fn updates_in(&mut self, ticks: u32) -> u64 {
        let before = self.updates;
        (0..ticks).for_each(|_| {
            self.tick();
        });
        self.updates - before
    }
}

#[test]
fn a_thin_link_gets_the_dense_codec_and_more_of_the_world() {
    let mut links =
        [CodecChoice::Shared, CodecChoice::ByPressure].map(|choice| Link::new(150, 128_000, choice));
    let [shared, dense] = links.each_mut().map(|link| {
        link.updates_in(240);
        link.updates_in(360)
    });
    let [_, mut link] = links;
    assert!(link.view.is_dense());
    println!("entities told of in 6 s: shared {shared}, dense {dense}");
    assert!(dense * 10 >= shared * 14, "shared {shared}, dense {dense}");

    // The link becomes wide: back to the shared codec, without a word about what stands.
    link.widen(4_000_000);
    link.updates_in(300);
    assert!(!link.view.is_dense() && !link.header.dense && link.view.changes() == 2);
    let before = link.dense;
    link.updates_in(60);
    assert_eq!(link.dense, before);
}

#[test]
fn a_late_joiner_of_a_great_world_sees_the_nearest_first_and_how_much_is_to_come() {
    let mut link = Link::new(10_000, 1_000_000, CodecChoice::ByPressure);
    link.moving = false;
    let (mut share, mut near_at, mut all_at) = (0.0, None, None);
    for _ in 0..60 * 20 {
        let stats = link.tick();
        assert!(stats.bits.div_ceil(8) <= link.bytes_a_tick + 1, "{stats:?}");
        let Some(shown) = link.receiver.latest() else { continue };
        let here = shown.len() as f32 / (shown.len() as u32 + link.header.missing) as f32;
        assert!(here >= share, "the share of the world only grows: {here} after {share}");
        share = here;
        let is_near = |ship: &Ship| ship.pos.length() < 100.0;
        let near = (0..).map(NetId).zip(&link.ships).filter(|(_, ship)| is_near(ship));
        if near_at.is_none() && near.clone().count() > 0 && near.clone().all(|(id, _)| shown.contains(id)) {
            near_at = Some((link.tick, shown.len()));
        }
        if shown.len() == 10_000 {
            all_at = all_at.or(Some(link.tick));
            if link.header.complete {
                break;
            }
        }
    }
    let ((near_at, shown), all_at) = (near_at.expect("the near ones come"), all_at.expect("all come"));
    println!("near at {near_at} with {shown} of 10,000 shown, all at {all_at}");
    assert!(share == 1.0 && link.header.missing == 0);
    // Some 3 in 100 lie within 100 m: they are there before much that is farther.
    assert!(shown < 1_000 && near_at.0 * 2 < all_at.0, "near at {near_at} with {shown}, all at {all_at}");
    assert!(all_at.0 < 60 * 6, "all at {all_at}");
}

const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
