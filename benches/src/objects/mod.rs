//! The three workloads of the Unity netcode benchmark through the dense codec: 500 objects, 20 snapshots a second, 60
//! seconds. Owns the run and its table; must never know how an object moves.

mod motion;

use anyhow::Context;
use glam::{Quat, Vec3};
use netcode_derive::Replicate;
use netcode_snapshot::{
    DenseReceiver, DenseView, Feedback, Frame, History, NetId, ReceiverLimits, Replicate as _, Schema,
};
use netcode_wire::{BitReader, BitWriter, Tick};
use serde::Serialize;

use self::motion::{Motion, Object};

/// An object's transform as a game would declare it: within 1 cm and 0.5°.
#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
#[net(predictor = "linear")]
struct Transform {
    // Half a centimetre an axis, 0.87 cm in space.
    #[net(range(-16.0..=16.0), step = 0.01)]
    position: Vec3,
    #[net(quat, bits = 10)]
    rotation: Quat,
}

/// What a workload costs.
#[derive(Debug, Serialize)]
pub struct ObjectsFigures {
    workload: &'static str,
    bytes_per_object_update: f64,
    kib_per_second: f64,
}

/// Runs the workloads, prints the figures and gives them.
///
/// # Errors
/// A decoded frame is not the one that was sent.
pub fn objects() -> anyhow::Result<Vec<ObjectsFigures>> {
    println!(
        "{OBJECTS} objects, {SNAPSHOTS} snapshots at {RATE_HZ} Hz against one 100 ms old, each decoded and compared"
    );
    println!("workload     B/object-update    KiB/s   worst cm   worst °");
    let workloads = [("move-y", Motion::MoveY), ("all-axes", Motion::AllAxes), ("wander", Motion::Wander)];
    workloads.into_iter().map(|(name, motion)| run(name, motion)).collect()
}

fn run(workload: &'static str, motion: Motion) -> anyhow::Result<ObjectsFigures> {
    let schema = Schema::builder().component::<Transform>().build();
    let (mut view, mut history) = (DenseView::new(&schema), History::default());
    let mut receiver = DenseReceiver::new(&schema, ReceiverLimits::default());
    let mut rng = fastrand::Rng::with_seed(1);
    let mut objects: Vec<_> = (0..OBJECTS).map(|_| Object::new(motion, &mut rng)).collect();
    let relevant: Vec<_> = (0..OBJECTS).map(|id| (NetId(id), 1.0)).collect();
    let (mut out, mut acks) = (BitWriter::new(), std::collections::VecDeque::new());
    let (mut bytes, mut worst) = (0, (0.0f32, 0.0f32));
    for snapshot in 0..SNAPSHOTS + AGE {
        for step in 0..STEPS {
            let t = (snapshot * STEPS + step) as f32 / (RATE_HZ * STEPS) as f32;
            let dt = 1.0 / (RATE_HZ * STEPS) as f32;
            objects.iter_mut().for_each(|object| object.step(motion, t, dt, &mut rng));
        }
        let truth = history.extract(Tick(snapshot + 1), |frame| fill(frame, &schema, &objects, &mut worst));
        let truth = truth.clone();
        while let Some((_, ack)) = acks.pop_front_if(|(sent, _)| snapshot - *sent >= AGE) {
            view.ack(ack);
        }
        out.clear();
        view.encode(&schema, &history, &relevant, Feedback::default(), usize::MAX, &mut out);
        // The first ones are the whole world: told once.
        if snapshot >= AGE {
            bytes += out.byte_len();
        }
        receiver.decode(&schema, &mut BitReader::new(out.as_bytes()))?;
        let shown = receiver.latest().context("a snapshot was decoded")?;
        anyhow::ensure!(shown.same_state(&truth), "{workload}: snapshot {snapshot} came out otherwise");
        acks.push_back((snapshot, receiver.ack().context("a snapshot was decoded")?));
    }
    let figures = ObjectsFigures {
        workload,
        bytes_per_object_update: bytes as f64 / f64::from(OBJECTS * SNAPSHOTS),
        kib_per_second: bytes as f64 / 1024.0 * f64::from(RATE_HZ) / f64::from(SNAPSHOTS),
    };
    println!(
        "{workload:12} {:15.2} {:8.2} {:10.2} {:9.2}",
        figures.bytes_per_object_update,
        figures.kib_per_second,
        worst.0 * 100.0,
        worst.1.to_degrees()
    );
    anyhow::ensure!(worst.0 <= 0.01 && worst.1.to_degrees() <= 0.5, "{workload}: rounded too far");
    Ok(figures)
}

/// The frame of the objects; keeps the worst that rounding did, metres and radians.
fn fill(frame: &mut Frame, schema: &Schema, objects: &[Object], worst: &mut (f32, f32)) {
    for (id, object) in (0..).zip(objects) {
        let exact = Transform { position: object.position, rotation: object.rotation };
        let mut rounded = exact;
        rounded.snap();
        worst.0 = worst.0.max(exact.position.distance(rounded.position));
        worst.1 = worst.1.max(angle_between(exact.rotation, rounded.rotation));
        frame.push(schema, NetId(id), |entity| entity.component(&rounded));
    }
}

/// By the sine of the half: exact for small angles, where the cosine is not.
fn angle_between(a: Quat, b: Quat) -> f32 {
    let turn = a * b.inverse();
    2.0 * turn.xyz().length().min(1.0).asin()
}

const OBJECTS: u32 = 500;
const RATE_HZ: u32 = 20;
/// Steps of the motion for each snapshot: 60 Hz.
const STEPS: u32 = 3;
/// 60 seconds.
const SNAPSHOTS: u32 = 1200;
/// Snapshots between one and its baseline: 100 ms.
const AGE: u32 = 2;
