//! A whole random run of a replicated world, drawn from one seed: a scene that churns, viewers on paths and budgets of
//! their own, who come late and come again. Owns the story; the laws are `viewer.rs`'.
//!
//! The laws: every snapshot that is not stale decodes; whatever a client shows has, bit for bit, the components and
//! columns that the server's frame had at the entity's stamp, when it was in this client's view; a snapshot that says it
//! is complete leaves nothing out; none is longer than its budget; nothing in view waits for ever; and once the world
//! stands still, the client shows it as it is.

mod scene;
mod viewer;

use std::collections::BTreeMap;
use std::time::Duration;

use netcode_snapshot::{CodecChoice, History, SharedBits};
use netcode_wire::{Tick, Time};

use self::scene::Scene;
use self::viewer::{Codec, Plan, Stage, Viewer};
use crate::laws::Violation;
use crate::link_run::RunReport;
use crate::profile::{Burst, Profile};

/// Plays the run of `seed`: five seconds and more of a world that churns, then one that stands still.
///
/// # Errors
/// The law that was broken.
pub fn run_worlds(seed: u64) -> Result<RunReport, Violation> {
    let mut run = Run::new(seed);
    let ticks = run.rng.u32(250..450);
    for _ in 0..ticks {
        run.tick(false)?;
    }
    run.scene.calm();
    run.viewers.iter_mut().for_each(|(_, viewer)| viewer.heal());
    for _ in 0..SETTLE_TICKS {
        run.tick(true)?;
    }
    for (place, (_, viewer)) in run.viewers.iter().enumerate() {
        if !viewer.shows_all(&run.stage) {
            return Err(Violation::NeverSettled { viewer: place });
        }
        if viewer.decoded < u64::from(SETTLE_TICKS) / 2 {
            return Err(Violation::NeverSettled { viewer: place });
        }
    }
    let packets = run.viewers.iter().map(|(_, viewer)| viewer.sent).sum();
    let messages = run.viewers.iter().map(|(_, viewer)| viewer.decoded).sum();
    Ok(RunReport { span: run.now.since(Time::ZERO), packets, messages, refused: 0 })
}

#[derive(Debug)]
struct Run {
    rng: fastrand::Rng,
    scene: Scene,
    stage: Stage,
    /// Each with the tick it comes at.
    viewers: Vec<(Tick, Viewer)>,
    rejoins: f64,
    every: u32,
    tick: Tick,
    now: Time,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x776f_726c_6473);
        let schema = scene::schema();
        let (size, churn) = (rng.usize(1..90), [0.0, 0.01, 0.03, 0.1, 0.25][rng.usize(0..5)]);
        let mut viewers = Vec::new();
        for number in 0..rng.u64(1..5) {
            let plan = plan(&mut rng, size);
            let joins = if number == 0 { 0 } else { rng.u32(0..200) };
            viewers.push((Tick(joins), Viewer::new(plan, seed ^ (number + 1) << 40)));
        }
        let stage =
            Stage { schema, history: History::default(), bits: SharedBits::new(), truth: BTreeMap::new() };
        Self {
            scene: Scene::new(seed, size, churn),
            stage,
            viewers,
            rejoins: if rng.u32(0..4) == 0 { 0.003 } else { 0.0 },
            every: [1, 1, 1, 2, 3][rng.usize(0..5)],
            tick: Tick(0),
            now: Time::ZERO,
            rng,
        }
    }

    fn tick(&mut self, still: bool) -> Result<(), Violation> {
        self.tick = self.tick.next();
        self.now += TICK;
        let Self { scene, stage, tick, now, .. } = self;
        scene.step();
        let sends = still || tick.0.is_multiple_of(self.every);
        if sends {
            let Stage { schema, history, truth, .. } = stage;
            let frame = history.extract(*tick, |frame| scene.fill(schema, frame));
            truth.insert(*tick, frame.clone());
        }
        for (joins, viewer) in self.viewers.iter_mut().filter(|(joins, _)| joins <= tick) {
            if !still && *joins < *tick && self.rng.f64() < self.rejoins {
                viewer.rejoin();
            }
            if sends {
                viewer.send(stage, *now, still)?;
            }
            viewer.receive(stage, *tick, *now)?;
        }
        Ok(())
    }
}

/// A viewer's lot. In a third of them the budget is tight and steady, and how long anything waits is judged.
fn plan(rng: &mut fastrand::Rng, entities: usize) -> Plan {
    let codec = match rng.u32(0..6) {
        0 | 1 => Codec::Always(CodecChoice::Shared),
        2 | 3 => Codec::Always(CodecChoice::Dense),
        4 => Codec::Always(CodecChoice::ByPressure),
        _ => Codec::Flipping,
    };
    let path = path(rng);
    let easy = Plan {
        codec,
        bytes: 1100..=1100,
        part_bytes: 1100,
        in_view: [1.0, 0.9, 0.5][rng.usize(0..3)],
        age_max: None,
        path,
        skips: [0.0, 0.0, 0.1, 0.8][rng.usize(0..4)],
        silences: if rng.u32(0..3) == 0 { 0.01 } else { 0.0 },
    };
    match rng.u32(0..3) {
        0 => easy,
        1 => {
            let least = rng.usize(0..200);
            let part_bytes = rng.usize(64..400);
            Plan { bytes: least..=least + rng.usize(0..1500), part_bytes, ..easy }
        }
        _ => {
            let bytes = rng.usize(90..300);
            // A part may hold little more than its header; what is in view costs about 100 bits at the least convenient.
            let cycle = (entities * 140).div_ceil(bytes * 8 - 500).max(1) as i32;
            // What is overtaken is lost: jitter would be loss too.
            let rtt_ms = path.rtt_ms.min(200.0);
            let (jitter_ms, loss, reorder) = (rtt_ms * 0.05, path.loss.min(0.1), path.reorder.min(0.05));
            let path = Profile { rtt_ms, jitter_ms, loss, reorder, burst: None, bandwidth_bps: None, ..path };
            let age_max = Some(60 + 12 * cycle);
            let is_split = codec == Codec::Always(CodecChoice::Shared) && rng.bool();
            let part_bytes = if is_split { bytes.div_ceil(2).max(80) } else { bytes };
            Plan { bytes: bytes..=bytes, part_bytes, age_max, path, skips: 0.0, silences: 0.0, ..easy }
        }
    }
}

fn path(rng: &mut fastrand::Rng) -> Profile {
    let rtt_ms = [5.0, 40.0, 90.0, 180.0, 700.0][rng.usize(0..5)];
    let burst = Burst { begin: 0.02, end: 0.1 + 0.4 * rng.f64(), loss: 0.9 };
    Profile {
        jitter_ms: rtt_ms * rng.f64() * 0.5,
        loss: [0.0, 0.02, 0.1, 0.3][rng.usize(0..4)],
        burst: (rng.u32(0..4) == 0).then_some(burst),
        duplicate: 0.05,
        reorder: [0.0, 0.05, 0.2][rng.usize(0..3)],
        // From the fewest bits that are of use to more than anybody needs; what waits is dropped in the end.
        bandwidth_bps: (rng.u32(0..3) == 0).then(|| rng.u64(60_000..2_000_000)),
        queue_ms: 150.0,
        ..Profile::clean(rtt_ms)
    }
}

/// 60 Hz.
const TICK: Duration = Duration::from_micros(16_667);
/// In which a world that stands still must be shown as it is, on a path that is well.
const SETTLE_TICKS: u32 = 150;
