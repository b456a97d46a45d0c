//! Our side of the comparison: a bevy world, extracted by change detection, told to clients that decode and acknowledge.

use std::collections::VecDeque;

use anyhow::ensure;
use bevy_ecs::prelude::*;
use contest::{Drift, Pose, ReplicationFigures, ReplicationJob, process_cpu_ns};
use netcode_derive::Replicate;
use netcode_snapshot::{
    Ack, Budget, ClientView, Feedback, History, NetId, Parts, Receiver, Schema, SharedBits,
};
use netcode_wire::{BitReader, Tick};
use serde::{Deserialize, Serialize};
use server_runtime::{Extraction, Extractor, Networked};

/// 1 mm over 1 km.
#[derive(Component, Replicate, Clone, Copy, Debug, PartialEq)]
struct Position {
    #[net(range(-500.0..=500.0), step = 0.001)]
    at: glam::Vec3,
}

/// Within 0.1°: 11 bits a component.
#[derive(Component, Replicate, Clone, Copy, Debug, PartialEq)]
struct Rotation {
    #[net(quat, bits = 11)]
    turn: glam::Quat,
}

/// Who the clients are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    /// All see everything, three to six ticks away.
    Alike,
    /// Each sees four fifths, in and out of view at its own times, and loses a twentieth of its messages.
    Apart,
    /// As alike, dealt out to so many threads as a server does it.
    Spread(usize),
}

struct Player {
    view: ClientView,
    receiver: Receiver,
    relevant: Vec<(NetId, f32)>,
    hidden: Vec<bool>,
    /// Acknowledgements on their way to the server.
    acks: VecDeque<Option<Ack>>,
    delay: usize,
    random: fastrand::Rng,
}

struct Match {
    world: World,
    entities: Vec<Entity>,
    extraction: Extraction,
    schema: Schema,
    history: History,
    /// One for each thread.
    bits: Vec<SharedBits>,
    players: Vec<Player>,
    parts: Vec<Parts>,
    tick: Tick,
}

/// One run.
pub(super) fn run(kind: Kind, job: &ReplicationJob) -> anyhow::Result<ReplicationFigures> {
    let mut drift = Drift::new(job.entities, job.moving, job.seed);
    let mut game = Match::new(kind, job, &drift);
    let (mut ns, mut bytes, mut datagrams) = (Vec::new(), 0, 0);
    for tick in 0..job.ticks[0] + job.ticks[1] {
        drift.step();
        game.write(&drift);
        game.choose(kind);
        let used = game.send();
        if tick >= job.ticks[0] {
            ns.push(used);
            bytes += game.parts.iter().map(Parts::byte_len).sum::<usize>();
            datagrams += game.parts.iter().map(Parts::len).sum::<usize>();
        }
        game.deliver(kind)?;
    }
    let peer = match kind {
        Kind::Alike => "tickwright".to_owned(),
        Kind::Apart => "tickwright, all apart".to_owned(),
        Kind::Spread(threads) => format!("tickwright, {threads} threads"),
    };
    Ok(ReplicationFigures::new(&peer, job, ns, bytes, datagrams))
}

impl Kind {
    fn threads(self) -> usize {
        if let Self::Spread(threads) = self { threads } else { 1 }
    }
}

impl Match {
    fn new(kind: Kind, job: &ReplicationJob, drift: &Drift) -> Self {
        let mut world = World::new();
        let extractors = vec![Extractor::new::<Position>(0), Extractor::new::<Rotation>(1)];
        let extraction = Extraction::new(&mut world, extractors);
        let entities = (0..job.entities)
            .map(|index| {
                let (position, rotation) = components(drift.pose(index));
                world.spawn((Networked(NetId(index as u32 + 1)), position, rotation)).id()
            })
            .collect();
        let players = (0..job.clients).map(|index| Player::new(kind, job, index as u64)).collect();
        Self {
            extraction,
            world,
            entities,
            schema: Schema::builder().component::<Position>().component::<Rotation>().build(),
            history: History::default(),
            bits: std::iter::repeat_with(SharedBits::new).take(kind.threads()).collect(),
            players,
            parts: std::iter::repeat_with(Parts::new).take(job.clients).collect(),
            tick: Tick(0),
        }
    }

    fn write(&mut self, drift: &Drift) {
        for (index, entity) in self.entities.iter().enumerate().take(drift.moving()) {
            let (position, rotation) = components(drift.pose(index));
            let mut entity = self.world.entity_mut(*entity);
            *entity.get_mut::<Position>().expect("a position") = position;
            *entity.get_mut::<Rotation>().expect("a rotation") = rotation;
        }
    }

    /// Interest is not what is measured: it is chosen before the clock starts.
    fn choose(&mut self, kind: Kind) {
        for player in
            self.players.iter_mut().filter(|player| kind == Kind::Apart || player.relevant.is_empty())
        {
            player.relevant.clear();
            for (index, hidden) in player.hidden.iter_mut().enumerate() {
                if kind == Kind::Apart && player.random.u32(..100) == 0 {
                    *hidden = player.random.u32(..5) == 0;
                }
                if !*hidden {
                    player.relevant.push((NetId(index as u32 + 1), 1.0));
                }
            }
        }
    }

    /// What is measured: acknowledgements in, the world extracted, every client's messages written. Gives the nanoseconds.
    /// With several threads: of what one does alone, and of the longest share, the shares being written one after the other,
    /// so that it is a figure of the work and not of who else uses the machine. Handing over is not in it.
    fn send(&mut self) -> u64 {
        let before = process_cpu_ns();
        for player in &mut self.players {
            if player.acks.len() > player.delay
                && let Some(ack) = player.acks.pop_front().flatten()
            {
                player.view.ack(ack);
            }
        }
        self.tick = self.tick.next();
        self.extraction.run(&mut self.world, &self.schema, &mut self.history, self.tick);
        let budget = Budget::several(DATAGRAM_BYTES, 64 * DATAGRAM_BYTES);
        // Who acknowledged the same is on one thread, as `server_runtime` deals players out.
        let threads = self.bits.len();
        let mut order: Vec<usize> = (0..self.players.len()).collect();
        if threads > 1 {
            order.sort_by_key(|player| self.players[*player].view.newest_ack());
        }
        let (alone, mut longest) = (process_cpu_ns() - before, 0);
        for (share, bits) in self.bits.iter_mut().enumerate() {
            let before = process_cpu_ns();
            let first = |share: usize| share * order.len() / threads;
            for index in &order[first(share)..first(share + 1)] {
                let (player, parts) = (&mut self.players[*index], &mut self.parts[*index]);
                let shared = (&self.schema, &self.history, &mut *bits);
                player.view.encode_parts(shared, &player.relevant, Feedback::default(), budget, parts);
            }
            longest = (process_cpu_ns() - before).max(longest);
        }
        alone + longest
    }

    /// Every client decodes, and its world is held against the server's.
    fn deliver(&mut self, kind: Kind) -> anyhow::Result<()> {
        let truth = self.history.newest().expect("just extracted");
        for (player, parts) in self.players.iter_mut().zip(&self.parts) {
            let mut is_complete = false;
            for part in parts.iter() {
                if kind == Kind::Apart && player.random.u32(..20) == 0 {
                    continue;
                }
                is_complete |= player.receiver.decode(&self.schema, &mut BitReader::new(part))?.complete;
            }
            player.acks.push_back(player.receiver.ack());
            let Some(shown) = player.receiver.latest().filter(|_| is_complete) else { continue };
            ensure!(shown.len() == player.relevant.len(), "a client sees another number of entities");
            for (id, _) in &player.relevant {
                for component in shown.components(*id) {
                    ensure!(
                        shown.columns(*id, component) == truth.columns(*id, component),
                        "{id} is shown otherwise than it is at {}",
                        self.tick
                    );
                }
            }
        }
        Ok(())
    }
}

impl Player {
    fn new(kind: Kind, job: &ReplicationJob, index: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(job.seed ^ index << 8);
        let hidden = (0..job.entities).map(|_| kind == Kind::Apart && random.u32(..5) == 0).collect();
        Self {
            view: ClientView::new(),
            receiver: Receiver::default(),
            relevant: Vec::new(),
            hidden,
            acks: VecDeque::new(),
            delay: 3 + index as usize % 4,
            random,
        }
    }
}

fn components(pose: Pose) -> (Position, Rotation) {
    let position = Position { at: glam::Vec3::from_array(pose.position) };
    (position, Rotation { turn: glam::Quat::from_array(pose.rotation) })
}

/// What a snapshot's part may have, in a datagram of 1200 bytes.
const DATAGRAM_BYTES: usize = 1100;
