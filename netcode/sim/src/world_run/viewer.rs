//! One client of a replicated world: what the server keeps of it, what it holds itself, the path between them, and the
//! laws of what it may show. Must never know how the world came to be as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

use netcode_snapshot::{
    Ack, AdaptiveView, Budget, CodecChoice, ComponentId, Feedback, Frame, History, InputPacket, NetId, Parts,
    Receiver, Schema, SharedBits, SnapshotError, SnapshotHeader, SnapshotStats,
};
use netcode_wire::{BitReader, BitWriter, Tick, Time};

use super::scene::{COMPONENTS, Press};
use crate::conditioner::Conditioner;
use crate::laws::Violation;
use crate::profile::Profile;

/// How a viewer's snapshots are written and how much they may be.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) codec: Codec,
    /// Bytes of a snapshot: drawn anew for each.
    pub(super) bytes: std::ops::RangeInclusive<usize>,
    /// Bytes of a part.
    pub(super) part_bytes: usize,
    /// Of the entities, how many are in view at a time.
    pub(super) in_view: f64,
    /// Ticks for which anything may be shown otherwise than it is; `None`: not judged.
    pub(super) age_max: Option<i32>,
    pub(super) path: Profile,
    /// Of the ticks, how many have no snapshot.
    pub(super) skips: f64,
    /// How often acknowledgements fall silent for a while, a tick.
    pub(super) silences: f64,
}

/// Which codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Always(CodecChoice),
    /// One or the other, as it comes.
    Flipping,
}

/// What every viewer of one world shares.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) schema: Schema,
    pub(super) history: History,
    pub(super) bits: SharedBits,
    /// Every frame there was.
    pub(super) truth: BTreeMap<Tick, Frame>,
}

/// A client.
#[derive(Debug)]
pub(super) struct Viewer {
    pub(super) plan: Plan,
    rng: fastrand::Rng,
    outlet: AdaptiveView,
    inlet: Receiver,
    paths: [Conditioner; 2],
    hidden: BTreeMap<NetId, bool>,
    /// Who was in view at each tick.
    in_view: BTreeMap<Tick, Vec<NetId>>,
    wrong_since: BTreeMap<NetId, Tick>,
    silent_until: Tick,
    parts: Parts,
    pub(super) decoded: u64,
    pub(super) sent: u64,
}

impl Viewer {
    pub(super) fn new(plan: Plan, seed: u64) -> Self {
        let outlet = outlet(plan.codec);
        Self {
            paths: [0, 1].map(|way| Conditioner::new(plan.path, seed ^ way)),
            rng: fastrand::Rng::with_seed(seed),
            plan,
            outlet,
            inlet: Receiver::default(),
            hidden: BTreeMap::new(),
            in_view: BTreeMap::new(),
            wrong_since: BTreeMap::new(),
            silent_until: Tick(0),
            parts: Parts::new(),
            decoded: 0,
            sent: 0,
        }
    }

    /// Begins anew, as one who connects again: nothing of the old session arrives.
    pub(super) fn rejoin(&mut self) {
        (self.outlet, self.inlet) = (outlet(self.plan.codec), Receiver::default());
        let seed = self.rng.u64(..);
        self.paths = [0, 1].map(|way| Conditioner::new(self.plan.path, seed ^ way));
        self.wrong_since.clear();
    }

    /// The path is well and wide from here on, and everybody who is in view stays so.
    pub(super) fn heal(&mut self) {
        let path = Profile::clean(40.0);
        self.paths.iter_mut().for_each(|way| way.set_profile(path));
        self.plan = Plan {
            path,
            skips: 0.0,
            silences: 0.0,
            bytes: 1100..=1100,
            part_bytes: 1100,
            age_max: None,
            ..self.plan.clone()
        };
        self.silent_until = Tick(0);
    }

    /// Sends the newest frame's snapshot; `still` when who is in view stays so.
    pub(super) fn send(&mut self, stage: &mut Stage, now: Time, still: bool) -> Result<(), Violation> {
        if self.rng.f64() < self.plan.skips {
            return Ok(());
        }
        let frame = stage.history.newest().expect("a frame was extracted");
        let tick = frame.tick();
        let mut relevant = Vec::new();
        for id in frame.entities() {
            let hidden = self.hidden.entry(id).or_insert_with(|| self.rng.f64() >= self.plan.in_view);
            if !still && self.rng.f64() < 0.02 {
                *hidden = self.rng.f64() >= self.plan.in_view;
            }
            if !*hidden {
                relevant.push((id, 0.5 + self.rng.f32()));
            }
        }
        self.in_view.insert(tick, relevant.iter().map(|(id, _)| *id).collect());
        // Who is not in the frame is as if not there; the order does not matter.
        relevant.push((NetId(u32::MAX), 1.0));
        self.rng.shuffle(&mut relevant);
        let total_bytes = self.rng.usize(self.plan.bytes.clone());
        let is_steady = still || self.plan.age_max.is_some();
        let part_bytes = self.plan.part_bytes;
        let first_bytes = if is_steady { part_bytes } else { self.rng.usize(40..=part_bytes) };
        let budget = Budget { first_bytes, part_bytes: self.plan.part_bytes, total_bytes };
        let stats = self.encode(stage, &relevant, budget);
        let bytes = self.parts.byte_len();
        if bytes > total_bytes.max(MESSAGE_BYTES_MIN) || stats.parts != self.parts.len() {
            return Err(Violation::OverBudget { bytes, bound: total_bytes });
        }
        for (index, part) in self.parts.iter().enumerate() {
            let bound = if index == 0 { first_bytes.max(MESSAGE_BYTES_MIN) } else { self.plan.part_bytes };
            if part.len() > bound {
                return Err(Violation::OverBudget { bytes: part.len(), bound });
            }
            self.paths[1].push(now, ADDRESS, part);
            self.sent += 1;
        }
        Ok(())
    }

    fn encode(&mut self, stage: &mut Stage, relevant: &[(NetId, f32)], budget: Budget) -> SnapshotStats {
        let Stage { schema, history, bits, .. } = stage;
        let feedback = Feedback { input_tick: None, input_margin: -7, late_inputs: 1 };
        if self.plan.codec == Codec::Flipping && self.rng.f64() < 0.04 {
            self.outlet.choose(if self.rng.bool() { CodecChoice::Dense } else { CodecChoice::Shared });
        }
        self.outlet.encode_parts((schema, history, bits), relevant, feedback, budget, &mut self.parts)
    }

    /// Takes what has come by `now`, and acknowledges.
    pub(super) fn receive(&mut self, stage: &Stage, tick: Tick, now: Time) -> Result<(), Violation> {
        while let Some((_, bytes)) = self.paths[1].poll(now) {
            self.take(stage, &bytes)?;
            self.paths[1].recycle(bytes);
        }
        if self.rng.f64() < self.plan.silences {
            self.silent_until = tick.offset(self.rng.i32(5..160));
        }
        if let Some(ack) = self.inlet.ack().filter(|_| tick >= self.silent_until) {
            let packet = InputPacket::<Press> {
                ack: Some(ack),
                newest: tick,
                inputs: vec![Press::default()],
                ..InputPacket::default()
            };
            let mut out = BitWriter::new();
            packet.encode(&mut out);
            self.paths[0].push(now, ADDRESS, out.as_bytes());
        }
        while let Some((_, bytes)) = self.paths[0].poll(now) {
            let packet = InputPacket::<Press>::decode(&mut BitReader::new(&bytes));
            let ack = packet.ok().and_then(|packet| packet.ack).ok_or(Violation::AckLost)?;
            self.outlet.ack(ack);
            self.paths[0].recycle(bytes);
        }
        // What was never sent is ignored.
        self.outlet.ack(Ack::new(tick.offset(5), self.rng.u32(..)));
        self.outlet.ack(Ack::only(Tick(self.rng.u32(..))));
        Ok(())
    }

    /// Whether the client shows exactly what is in view.
    pub(super) fn shows_all(&self, stage: &Stage) -> bool {
        let (Some(shown), Some(now)) = (self.inlet.latest(), stage.history.newest()) else { return false };
        let Some(in_view) = self.in_view.get(&shown.tick()) else { return false };
        shown.entities().eq(in_view.iter().copied()) && in_view.iter().all(|id| same(shown, now, *id))
    }

    fn take(&mut self, stage: &Stage, bytes: &[u8]) -> Result<(), Violation> {
        match self.inlet.decode(&stage.schema, &mut BitReader::new(bytes)) {
            Ok(header) => {
                self.decoded += 1;
                self.judge(stage, header)
            }
            Err(SnapshotError::Stale(_)) => Ok(()),
            Err(error) => Err(Violation::Unreadable(error)),
        }
    }

    /// The laws of what is shown.
    fn judge(&mut self, stage: &Stage, header: SnapshotHeader) -> Result<(), Violation> {
        let tick = header.tick;
        let shown = self.inlet.latest().expect("one was decoded");
        for id in shown.entities() {
            let stamp = shown.stamp(id).expect("it is shown");
            let then = stage.truth.get(&stamp).filter(|then| then.contains(id) && same(shown, then, id));
            if then.is_none() {
                return Err(Violation::Diverged { entity: id.0, tick: tick.0, stamp: stamp.0 });
            }
            let knows = self.in_view.get(&stamp).is_some_and(|in_view| in_view.binary_search(&id).is_ok());
            if !knows {
                return Err(Violation::Leaked { entity: id.0, tick: tick.0, stamp: stamp.0 });
            }
        }
        let (now, in_view) = (&stage.truth[&tick], &self.in_view[&tick]);
        let is_right = |id: NetId| match in_view.binary_search(&id) {
            Ok(_) => shown.contains(id) && same(shown, now, id),
            Err(_) => !shown.contains(id),
        };
        let all: BTreeSet<_> = in_view.iter().copied().chain(shown.entities()).collect();
        let wrong: BTreeSet<_> = all.into_iter().filter(|id| !is_right(*id)).collect();
        if let Some(id) = wrong.first().filter(|_| header.complete) {
            return Err(Violation::Diverged { entity: id.0, tick: tick.0, stamp: tick.0 });
        }
        self.wrong_since.retain(|id, _| wrong.contains(id));
        for id in wrong {
            let since = *self.wrong_since.entry(id).or_insert(tick);
            if self.plan.age_max.is_some_and(|bound| tick.since(since) > bound) {
                return Err(Violation::Forgotten { entity: id.0, ticks: tick.since(since) });
            }
        }
        Ok(())
    }
}

fn outlet(codec: Codec) -> AdaptiveView {
    match codec {
        Codec::Always(choice) => AdaptiveView::new(choice),
        Codec::Flipping => AdaptiveView::new(CodecChoice::Shared),
    }
}

/// Whether an entity has the same components with the same columns in both.
fn same(one: &Frame, other: &Frame, id: NetId) -> bool {
    (0..COMPONENTS).map(ComponentId).all(|it| one.columns(id, it) == other.columns(id, it))
}

const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
/// A snapshot is never less than a header and an empty body: 150 bits.
const MESSAGE_BYTES_MIN: usize = 19;
