//! Writes the scores of many callers at once: one statement and one flush to disk for all that came while the
//! last were written. A caller is answered when its scores are on disk and the ranks know of them.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::UnixMs;
use crate::store::{Change, ScoreWrite, StoreError, Stores, Written};

/// Callers that wait; more are told to come back.
const QUEUE_MAX: usize = 8192;
/// Callers that are written at once.
const BATCH_MAX: usize = 512;
/// Outbox rows that are done with are forgotten at this many, or when there is nothing else to do.
const DONE_MAX: usize = 1000;
const DONE_EVERY: Duration = Duration::from_millis(100);

struct Job {
    writes: Vec<ScoreWrite>,
    answer: oneshot::Sender<Result<Vec<Written>, ScribeFault>>,
}

/// Why scores were not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScribeFault {
    /// Too many wait already.
    #[error("too many scores wait to be written")]
    Busy,
    /// The store failed: the same scores again are safe.
    #[error("the store cannot be reached")]
    Store,
}

/// Takes scores; cloning shares the queue.
#[derive(Clone)]
pub struct Scribe(mpsc::Sender<Job>);

impl Scribe {
    /// A scribe, and the work that must run for it to write.
    pub fn new(stores: Stores, draining: watch::Receiver<bool>) -> (Self, impl Future<Output = ()>) {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        (Self(queue), work(stores, jobs, draining))
    }

    /// Writes these; what became of each.
    ///
    /// # Errors
    /// The queue is full, or the store failed.
    pub async fn write(&self, writes: Vec<ScoreWrite>) -> Result<Vec<Written>, ScribeFault> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Job { writes, answer }).map_err(|_| ScribeFault::Busy)?;
        answered.await.unwrap_or(Err(ScribeFault::Store))
    }
}

async fn work(stores: Stores, mut jobs: mpsc::Receiver<Job>, mut draining: watch::Receiver<bool>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let mut done = Vec::new();
    loop {
        tokio::select! {
            biased;
            count = jobs.recv_many(&mut batch, BATCH_MAX) => {
                if count == 0 {
                    break;
                }
                done.extend(write_batch(&stores, std::mem::take(&mut batch)).await);
            }
            () = tokio::time::sleep(DONE_EVERY), if !done.is_empty() => forget(&stores, &mut done).await,
            // What is queued by then is written first: the channel closes, and empties.
            () = told_to_end(&mut draining), if !jobs.is_closed() => jobs.close(),
        }
        if done.len() >= DONE_MAX {
            forget(&stores, &mut done).await;
        }
    }
    forget(&stores, &mut done).await;
}

async fn told_to_end(draining: &mut watch::Receiver<bool>) {
    let _ended = draining.wait_for(|draining| *draining).await;
}

/// The outbox rows that are done with.
async fn write_batch(stores: &Stores, batch: Vec<Job>) -> Vec<i64> {
    let writes: Vec<ScoreWrite> = batch.iter().flat_map(|job| job.writes.iter().cloned()).collect();
    let written = match stores.db.write_scores(&writes, UnixMs::now()).await {
        Ok(written) => written,
        Err(error) => {
            refuse(batch, &error);
            return Vec::new();
        }
    };
    metrics::histogram!("board_batch_scores").record(writes.len() as f64);
    let changes: Vec<Change> = written.iter().filter_map(|written| written.change().cloned()).collect();
    let done = stores.ranks.apply(&changes).await;
    let mut written = written.into_iter();
    for job in batch {
        // Whoever asked may have gone.
        let _gone = job.answer.send(Ok(written.by_ref().take(job.writes.len()).collect()));
    }
    done
}

fn refuse(batch: Vec<Job>, error: &StoreError) {
    tracing::error!(%error, scores = batch.len(), "scores not written");
    for job in batch {
        let _gone = job.answer.send(Err(ScribeFault::Store));
    }
}

async fn forget(stores: &Stores, done: &mut Vec<i64>) {
    if let Err(error) = stores.db.board_outbox_done(done).await {
        tracing::warn!(%error, "outbox not emptied; the ranks will be told again");
    }
    done.clear();
}
