//! What the tick thread shows and others read: status, live picture, signs of life. The tick thread only ever
//! replaces values; nobody can make it wait.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use netcode_wire::Time;
use tokio::sync::watch;

use crate::drive::Clock;
use crate::room::LiveFrame;
use crate::status::Status;

/// Without a beat for this long the tick thread is taken for stuck.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// The board.
pub(crate) struct Board {
    clock: Clock,
    beat_us: AtomicU64,
    open: AtomicBool,
    recording_wanted: AtomicBool,
    status: Mutex<Arc<Status>>,
    result: Mutex<String>,
    agones_state: Mutex<String>,
    live: watch::Sender<Arc<LiveFrame>>,
}

impl Board {
    pub(crate) fn new(name: &str, clock: Clock) -> Arc<Self> {
        let status = Status { name: name.into(), phase: "starting".into(), ..Status::default() };
        Arc::new(Self {
            clock,
            beat_us: AtomicU64::new(0),
            open: AtomicBool::new(false),
            recording_wanted: AtomicBool::new(false),
            status: Mutex::new(Arc::new(status)),
            result: Mutex::new("none".into()),
            agones_state: Mutex::default(),
            live: watch::Sender::new(Arc::default()),
        })
    }

    // ---- the tick thread writes ----

    pub(crate) fn beat(&self, now: Time) {
        self.beat_us.store(now.as_micros(), Ordering::Relaxed);
    }

    pub(crate) fn publish_status(&self, status: Status) {
        *lock(&self.status) = Arc::new(status);
    }

    pub(crate) fn publish_live(&self, frame: LiveFrame) {
        self.live.send_replace(Arc::new(frame));
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.live.receiver_count() > 0
    }

    pub(crate) fn close_to_new_players(&self) {
        self.open.store(false, Ordering::Relaxed);
    }

    pub(crate) fn result(&self) -> String {
        lock(&self.result).clone()
    }

    /// Whether somebody has asked for the recording since the last call.
    pub(crate) fn take_recording_wish(&self) -> bool {
        self.recording_wanted.load(Ordering::Relaxed) && self.recording_wanted.swap(false, Ordering::Relaxed)
    }

    // ---- others write ----

    pub(super) fn ask_for_recording(&self) {
        self.recording_wanted.store(true, Ordering::Relaxed);
    }

    pub(super) fn open_to_players(&self) {
        self.open.store(true, Ordering::Relaxed);
    }

    pub(super) fn note_agones_state(&self, state: &str) {
        state.clone_into(&mut lock(&self.agones_state));
    }

    pub(super) fn note_result(&self, result: String) {
        *lock(&self.result) = result;
    }

    // ---- others read ----

    pub(super) fn is_alive(&self) -> bool {
        let beat = Time::from_micros(self.beat_us.load(Ordering::Relaxed));
        self.clock.now().since(beat) < STUCK_AFTER
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn status(&self) -> Arc<Status> {
        Arc::clone(&lock(&self.status))
    }

    /// As Agones names it; empty without Agones.
    pub(super) fn agones_state(&self) -> String {
        lock(&self.agones_state).clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Arc<LiveFrame>> {
        self.live.subscribe()
    }

    pub(super) fn unix_ms(&self, micros: u64) -> i64 {
        self.clock.unix_ms(micros)
    }
}

/// A panic elsewhere leaves whole values here: each is replaced in one move.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
