//! Many players' snapshots written by several threads. Owns the threads and what they are lent; must never know why a player
//! is shown what, nor what becomes of the bytes.
//!
//! A job is a player's view with all that its snapshot is written from, moved to a thread and back; schema and history are
//! lent by count and only read. What a snapshot is made of depends on nothing else, so the bytes are those of one thread.
//! Each thread has a cache of records of its own: players are dealt out in the order of what they acknowledged last, so
//! that those who need the same records mostly meet on one thread.
//!
//! Once everything has its size a tick allocates nothing here: jobs, batches and caches go round, channels are of fixed
//! length.

use std::any::Any;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use netcode_snapshot::{
    AdaptiveView, Budget, CodecChoice, Feedback, History, NetId, Parts, Schema, SharedBits, SnapshotStats,
};
use netcode_wire::Tick;

/// One player's snapshot: what it is written from, and then itself.
pub(super) struct Job {
    /// The player's own, while the job is out; in between another one, which is never used.
    pub(super) view: AdaptiveView,
    pub(super) relevant: Vec<(NetId, f32)>,
    pub(super) feedback: Feedback,
    pub(super) budget: Budget,
    pub(super) parts: Parts,
    pub(super) stats: SnapshotStats,
}

/// What one thread does in a tick. Keeps its memory.
#[derive(Default)]
struct Batch {
    jobs: Vec<Job>,
    /// Those of `jobs` that this tick has.
    live: usize,
    bits: SharedBits,
    history: Option<Arc<History>>,
    panic: Option<Box<dyn Any + Send>>,
}

/// The threads, and who does what.
pub(super) struct Spread {
    threads: Vec<Thread>,
    back: Receiver<(usize, Batch)>,
    /// The first is for the room's own thread.
    batches: Vec<Batch>,
    /// What each player acknowledged last, and which it is: in the order in which they are dealt out.
    order: Vec<(Option<Tick>, u32)>,
    /// By player: batch, and place in it.
    dealt: Vec<(u32, u32)>,
}

struct Thread {
    to: Option<SyncSender<Batch>>,
    handle: Option<JoinHandle<()>>,
}

impl Job {
    fn new() -> Self {
        Self {
            view: AdaptiveView::new(CodecChoice::Shared),
            relevant: Vec::new(),
            feedback: Feedback::default(),
            budget: Budget::one(0),
            parts: Parts::new(),
            stats: SnapshotStats::default(),
        }
    }
}

impl Batch {
    fn run(&mut self, schema: &Schema) {
        let history = self.history.take().expect("it was lent with the batch");
        let Self { jobs, live, bits, .. } = self;
        let run = AssertUnwindSafe(|| {
            for Job { view, relevant, feedback, budget, parts, stats } in &mut jobs[..*live] {
                *stats = view.encode_parts((schema, &history, bits), relevant, *feedback, *budget, parts);
            }
        });
        self.panic = catch_unwind(run).err();
    }
}

impl Spread {
    /// `threads` threads in all, the room's own among them. Where the system gives fewer there are fewer.
    pub(super) fn new(threads: NonZeroUsize, schema: &Schema) -> Self {
        let (send_back, back) = sync_channel(threads.get());
        let start = |index: usize| {
            let (to, work) = sync_channel::<Batch>(1);
            let (schema, send_back) = (schema.clone(), send_back.clone());
            let work = move || {
                for mut batch in work {
                    batch.run(&schema);
                    if send_back.send((index, batch)).is_err() {
                        return;
                    }
                }
            };
            let handle = std::thread::Builder::new().name(format!("encode-{index}")).spawn(work).ok()?;
            Some(Thread { to: Some(to), handle: Some(handle) })
        };
        let threads: Vec<Thread> = (1..threads.get()).map_while(start).collect();
        let batches = std::iter::repeat_with(Batch::default).take(threads.len() + 1).collect();
        Self { threads, back, batches, order: Vec::new(), dealt: Vec::new() }
    }

    /// Deals out players, each by what it acknowledged last; from now on [`Spread::job`] is by their order.
    pub(super) fn deal(&mut self, acknowledged: impl Iterator<Item = Option<Tick>>) {
        self.order.clear();
        self.order.extend(acknowledged.enumerate().map(|(index, ack)| (ack, index as u32)));
        self.order.sort_unstable();
        self.dealt.clear();
        self.dealt.resize(self.order.len(), (0, 0));
        self.batches.iter_mut().for_each(|batch| batch.live = 0);
        let (count, batches) = (self.order.len(), self.batches.len());
        for (rank, (_, player)) in self.order.iter().enumerate() {
            let at = rank * batches / count;
            let batch = &mut self.batches[at];
            if batch.live == batch.jobs.len() {
                batch.jobs.push(Job::new());
            }
            self.dealt[*player as usize] = (at as u32, batch.live as u32);
            batch.live += 1;
        }
    }

    /// The job of a player, by the order in which it was dealt out.
    pub(super) fn job(&mut self, player: usize) -> &mut Job {
        let (batch, place) = self.dealt[player];
        &mut self.batches[batch as usize].jobs[place as usize]
    }

    /// Writes all that was dealt out.
    ///
    /// # Panics
    /// With what a thread panicked with, once all are done.
    pub(super) fn encode(&mut self, schema: &Schema, history: &Arc<History>) {
        let mut lent = 0;
        for (index, thread) in self.threads.iter().enumerate() {
            let mut batch = std::mem::take(&mut self.batches[index + 1]);
            batch.history = Some(Arc::clone(history));
            let to = thread.to.as_ref().expect("threads live as long as this");
            match to.send(batch) {
                Ok(()) => lent += 1,
                // Never so far: it ends with this. Then its work is ours.
                Err(unsent) => {
                    let batch = &mut self.batches[index + 1];
                    *batch = unsent.0;
                    batch.run(schema);
                }
            }
        }
        let own = &mut self.batches[0];
        own.history = Some(Arc::clone(history));
        own.run(schema);
        for _ in 0..lent {
            let (index, batch) = self.back.recv().expect("each thread gives its batch back");
            self.batches[index] = batch;
        }
        if let Some(panic) = self.batches.iter_mut().find_map(|batch| batch.panic.take()) {
            resume_unwind(panic);
        }
    }
}

impl Drop for Spread {
    fn drop(&mut self) {
        for thread in &mut self.threads {
            thread.to = None;
            if let Some(handle) = thread.handle.take() {
                // It caught what it panicked with.
                drop(handle.join());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use netcode_derive::Replicate;

    use super::*;

    #[derive(Replicate)]
    struct Place(#[net(bits = 20)] u32);

    #[test]
    fn a_thread_s_panic_is_the_room_s_own_and_the_threads_live_on() {
        let schema = Schema::builder().component::<Place>().build();
        let mut spread = Spread::new(NonZeroUsize::new(3).expect("three"), &schema);
        let mut history = Arc::new(History::default());
        let encode = |spread: &mut Spread, history: &Arc<History>| {
            spread.deal([5, 3, 5, 9, 3, 1, 2].map(|tick| Some(Tick(tick))).into_iter());
            for player in 0..7 {
                let job = spread.job(player);
                (job.view, job.budget) = (AdaptiveView::new(CodecChoice::Shared), Budget::one(200));
                job.relevant.clear();
                job.relevant.push((NetId(player as u32), 1.0));
            }
            spread.encode(&schema, history);
        };
        // There is no frame yet: a mistake that each of them makes.
        let panic = catch_unwind(AssertUnwindSafe(|| encode(&mut spread, &history))).expect_err("no frame");
        let text = panic.downcast_ref::<String>().map_or("", String::as_str);
        assert!(text.contains("extracted before it is sent"), "{text}");
        let frames = Arc::get_mut(&mut history).expect("everybody has given it back");
        frames.extract(Tick(1), |frame| {
            for id in 0..7 {
                frame.push(&schema, NetId(id), |entity| entity.component(&Place(id)));
            }
        });
        encode(&mut spread, &history);
        for player in 0..7 {
            let stats = spread.job(player).stats;
            assert_eq!((stats.spawns, stats.parts), (1, 1), "player {player}");
        }
        assert!(Arc::get_mut(&mut history).is_some());
    }
}
