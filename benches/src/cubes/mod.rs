//! Nine hundred and one cubes at 60 Hz through the dense codec, against a baseline six frames old: bits, and time. Owns
//! the run and its table; must never know how a cube moves.

mod cube;
mod frames;
mod scene;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use netcode_snapshot::{
    Ack, DenseReceiver, DenseView, Feedback, History, NetId, ReceiverLimits, Schema, SnapshotError,
};
use netcode_wire::{BitReader, BitWriter, Tick};
use serde::Serialize;

use self::cube::Cube;
use self::frames::Frames;

/// What to code.
#[derive(Args, Debug)]
pub struct CubesFlags {
    /// Frames in the format of G. Fiedler's snapshot challenge: 901 cubes of 8 little-endian i32 each. Without them the
    /// bench simulates a scene of its own (`benches/peers/scene`, a physics engine: a minute of compiling the first time).
    #[arg(long, value_name = "FILE")]
    frames: Option<PathBuf>,
    /// Seed of the bench's own scene.
    #[arg(long, default_value_t = 1)]
    scene_seed: u64,
    /// Most frames to take.
    #[arg(long, default_value_t = u32::MAX)]
    frames_max: u32,
    /// Seed of the losses.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What a scene costs.
#[derive(Debug, Serialize)]
pub struct CubesFigures {
    scene: String,
    kbit_per_second: f64,
    kbit_per_second_with_loss: f64,
    encode_us_per_frame: f64,
    decode_us_per_frame: f64,
}

/// Runs the scene with and without loss, prints the figures and gives them.
///
/// # Errors
/// The file cannot be read, or a decoded frame is not the one that was sent.
pub fn cubes(flags: &CubesFlags) -> anyhow::Result<Vec<CubesFigures>> {
    let path = match &flags.frames {
        Some(path) => path.clone(),
        None => scene::simulate(flags.scene_seed)?,
    };
    let frames = Frames::read(&path, flags.frames_max as usize)?;
    let clean = Run::new(&frames, 0.0, flags.seed).play()?;
    let lossy = Run::new(&frames, 0.05, flags.seed).play()?;
    let figures = CubesFigures {
        scene: frames.name.clone(),
        kbit_per_second: clean.kbit_per_second(),
        kbit_per_second_with_loss: lossy.kbit_per_second(),
        encode_us_per_frame: clean.encode_us(),
        decode_us_per_frame: clean.decode_us(),
    };
    println!("{}: {} frames of {} cubes, every one decoded and compared", frames.name, frames.len(), CUBES);
    println!("                 kbit/s   B/frame   lost   encode µs   decode µs   server KiB   client KiB");
    for (name, run) in [("no loss", &clean), ("5 % lost", &lossy)] {
        println!(
            "{name:14} {:8.1} {:9.1} {:6} {:11.0} {:11.0} {:12} {:12}",
            run.kbit_per_second(),
            run.bytes as f64 / run.frames as f64,
            run.lost,
            run.encode_us(),
            run.decode_us(),
            run.held.0 / 1024,
            run.held.1 / 1024,
        );
    }
    let halves = [clean.first_half_bytes, clean.bytes - clean.first_half_bytes];
    println!(
        "halves, no loss: {:.1} and {:.1} kbit/s",
        kbit(halves[0], clean.frames / 2),
        kbit(halves[1], clean.frames / 2)
    );
    Ok(vec![figures])
}

/// One pass over the frames.
struct Run<'a> {
    frames: &'a Frames,
    schema: Schema,
    history: History,
    view: DenseView,
    receiver: DenseReceiver,
    acks: std::collections::VecDeque<(u32, Ack)>,
    rng: fastrand::Rng,
    loss: f64,
    outcome: Outcome,
}

/// What a pass came to.
#[derive(Debug, Default)]
struct Outcome {
    frames: u32,
    bytes: u64,
    first_half_bytes: u64,
    lost: u32,
    encode: Duration,
    decode: Duration,
    decoded: u32,
    /// Bytes held by the server and by the client for the codec.
    held: (usize, usize),
}

impl<'a> Run<'a> {
    fn new(frames: &'a Frames, loss: f64, seed: u64) -> Self {
        let schema = Schema::builder().component::<Cube>().build();
        let view = DenseView::new(&schema);
        let receiver = DenseReceiver::new(&schema, ReceiverLimits::default());
        let (rng, outcome) = (fastrand::Rng::with_seed(seed), Outcome::default());
        let (acks, history) = (std::collections::VecDeque::new(), History::default());
        Self { frames, schema, history, view, receiver, acks, rng, loss, outcome }
    }

    fn play(mut self) -> anyhow::Result<Outcome> {
        let relevant: Vec<_> = (0..CUBES as u32).map(|id| (NetId(id), 1.0)).collect();
        let mut out = BitWriter::new();
        for index in 0..self.frames.len() as u32 {
            let tick = Tick(index + 1);
            let (schema, cubes) = (&self.schema, self.frames.frame(index as usize));
            self.history.extract(tick, |frame| {
                for (id, cube) in (0..).zip(cubes) {
                    frame.push(schema, NetId(id), |entity| entity.component(cube));
                }
            });
            // What was decoded six frames ago is what this frame is coded against.
            while let Some((_, ack)) = self.acks.pop_front_if(|(sent, _)| index - *sent >= AGE) {
                self.view.ack(ack);
            }
            out.clear();
            let began = Instant::now();
            self.view.encode(schema, &self.history, &relevant, Feedback::default(), usize::MAX, &mut out);
            self.outcome.encode += began.elapsed();
            self.outcome.frames += 1;
            // The first frames are the whole world: told once, and not what the yardstick counts.
            if index >= AGE {
                self.outcome.bytes += out.byte_len() as u64;
            }
            if index == self.frames.len() as u32 / 2 {
                self.outcome.first_half_bytes = self.outcome.bytes;
            }
            if self.rng.f64() < self.loss && index > 0 {
                self.outcome.lost += 1;
                continue;
            }
            self.take(index, out.as_bytes())?;
        }
        self.outcome.frames -= AGE;
        self.outcome.held = (self.view.bytes(), self.receiver.bytes());
        Ok(self.outcome)
    }

    fn take(&mut self, index: u32, bytes: &[u8]) -> anyhow::Result<()> {
        let began = Instant::now();
        let decoded = self.receiver.decode(&self.schema, &mut BitReader::new(bytes));
        self.outcome.decode += began.elapsed();
        self.outcome.decoded += 1;
        decoded.map_err(|error: SnapshotError| anyhow::anyhow!("frame {index}: {error}"))?;
        let shown = self.receiver.latest().context("a frame was decoded")?;
        let truth = self.history.newest().context("a frame was sent")?;
        anyhow::ensure!(shown.same_state(truth), "frame {index} came out otherwise than it was sent");
        let ack = self.receiver.ack().context("a frame was decoded")?;
        self.acks.push_back((index, ack));
        Ok(())
    }
}

impl Outcome {
    fn kbit_per_second(&self) -> f64 {
        kbit(self.bytes, self.frames)
    }

    fn encode_us(&self) -> f64 {
        self.encode.as_secs_f64() * 1e6 / f64::from(self.frames + AGE)
    }

    fn decode_us(&self) -> f64 {
        self.decode.as_secs_f64() * 1e6 / f64::from(self.decoded)
    }
}

/// At 60 frames a second.
fn kbit(bytes: u64, frames: u32) -> f64 {
    bytes as f64 * 8.0 * 60.0 / 1000.0 / f64::from(frames)
}

/// Cubes of a frame.
const CUBES: usize = 901;
/// Frames between a frame and its baseline: 100 ms.
const AGE: u32 = 6;
