//! Writes the scores of many callers at once: one statement and one flush to disk for all that came while the last were
//! written. No timer gathers them. A caller is answered when its scores are on disk and the ranks know of them; while
//! the ranks are told of one batch, the next is on its way to the disk.

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::beats::told_to_end;
use crate::clock::UnixMs;
use crate::store::{Change, Ranks, ScoreWrite, ScoreWriter, StoreError, Stores, Written};

/// Callers that wait; more are told to come back.
const QUEUE_MAX: usize = 8192;
/// Callers that are written at once.
const BATCH_MAX: usize = 256;
/// Batches that are on disk and of which the ranks are being told; at more, the next batch waits for one of them.
const TELLING_MAX: usize = 16;

type Answer = oneshot::Sender<Result<Vec<Fate>, ScribeFault>>;

struct Job {
    writes: Vec<ScoreWrite>,
    answer: Answer,
}

/// What became of a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It counted.
    Counted,
    /// The same source had counted before.
    Duplicate,
    /// It does not count.
    Refused,
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
    pub async fn write(&self, writes: Vec<ScoreWrite>) -> Result<Vec<Fate>, ScribeFault> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Job { writes, answer }).map_err(|_| ScribeFault::Busy)?;
        answered.await.unwrap_or(Err(ScribeFault::Store))
    }
}

async fn work(stores: Stores, mut jobs: mpsc::Receiver<Job>, draining: watch::Receiver<bool>) {
    let (mut writer, mut batch) = (stores.db.score_writer(), Vec::with_capacity(BATCH_MAX));
    let (mut telling, mut ended) = (JoinSet::new(), std::pin::pin!(told_to_end(draining)));
    loop {
        tokio::select! {
            biased;
            count = jobs.recv_many(&mut batch, BATCH_MAX) => {
                if count == 0 {
                    break;
                }
                if let Some(done) = write_batch(&mut writer, &mut batch).await {
                    telling.spawn(done.tell(stores.ranks.clone()));
                }
            }
            // What is queued by then is written first: the channel closes, and empties.
            () = &mut ended, if !jobs.is_closed() => jobs.close(),
        }
        while telling.try_join_next().is_some() {}
        if telling.len() >= TELLING_MAX {
            telling.join_next().await;
        }
    }
    while telling.join_next().await.is_some() {}
}

/// A batch that is on disk.
struct Done {
    changes: Vec<Change>,
    answers: Vec<(Answer, Vec<Fate>)>,
}

impl Done {
    async fn tell(self, ranks: Ranks) {
        ranks.tell(&self.changes).await;
        for (answer, fates) in self.answers {
            // Whoever asked may have gone.
            let _gone = answer.send(Ok(fates));
        }
    }
}

async fn write_batch(writer: &mut ScoreWriter, batch: &mut Vec<Job>) -> Option<Done> {
    let mut writes = Vec::with_capacity(batch.len());
    let jobs = batch.drain(..).map(|mut job| {
        let count = job.writes.len();
        writes.append(&mut job.writes);
        (job.answer, count)
    });
    let jobs: Vec<_> = jobs.collect();
    let written = match writer.write(&writes, UnixMs::now()).await {
        Ok(written) => written,
        Err(error) => {
            refuse(jobs, writes.len(), &error);
            return None;
        }
    };
    metrics::histogram!("board_batch_scores").record(writes.len() as f64);
    let (mut changes, mut written) = (Vec::with_capacity(writes.len()), written.into_iter());
    let mut fate = |written| match written {
        Written::Counted(change) => {
            changes.push(change);
            Fate::Counted
        }
        Written::Duplicate => Fate::Duplicate,
        Written::Refused => Fate::Refused,
    };
    let fates = |(answer, count)| (answer, written.by_ref().take(count).map(&mut fate).collect());
    let answers = jobs.into_iter().map(fates).collect();
    Some(Done { changes, answers })
}

fn refuse(jobs: Vec<(Answer, usize)>, scores: usize, error: &StoreError) {
    tracing::error!(%error, scores, "scores not written");
    for (answer, _) in jobs {
        let _gone = answer.send(Err(ScribeFault::Store));
    }
}
