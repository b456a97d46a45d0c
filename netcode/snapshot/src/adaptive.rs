//! Which codec a client's snapshots are written in, chosen by what its link takes. Owns the rule and the change from one
//! codec to the other; must never know how either writes.
//!
//! The shared codec is cheap, for its bits serve every client; the dense one takes half the bits and a client's own
//! processor time. So a client gets the dense one once its budget has been less than shared snapshots need for about
//! half a second, and when one message of what it has holds more that way; it goes back when they would fit again, by what
//! they took before, for two seconds. (A budget that follows what is sent does not grow while little is: when dense snapshots
//! have left nothing over for some seconds, the shared codec is tried; each time it does not fit, the next trial is put off
//! for twice as long.) A change costs nothing on the wire: both codecs begin with the frame that the other
//! knows to be the client's.
//!
//! # What changes hands
//!
//! | from | to | what |
//! |---|---|---|
//! | shared | dense | an epoch with the acknowledged frame as its confirmed world |
//! | dense | shared | a ledger: the confirmed world as bases, snapshots on their way as such |
//!
//! Where no snapshot of the codec in use was acknowledged yet, or not all of that frame is known, only the names change
//! hands of whom the client may show: everybody is told whole.

use netcode_wire::Tick;

use crate::view::Entry;
use crate::{
    Ack, Budget, ClientView, DenseView, ENTITIES_MAX, Feedback, History, NetId, Parts, Schema, SharedBits,
    SnapshotStats,
};

/// How the codec is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CodecChoice {
    /// By the budget: see [`AdaptiveView`].
    #[default]
    ByPressure,
    /// Always the shared one.
    Shared,
    /// Always the dense one.
    Dense,
}

/// What the server knows of one client, and writes its snapshots from, in whichever codec suits its link. A
/// [`Receiver`](crate::Receiver) reads them.
#[derive(Debug)]
pub struct AdaptiveView {
    shared: ClientView,
    /// Taken with the first dense snapshot, and kept: its epochs must not repeat.
    dense: Option<Box<DenseView>>,
    choice: CodecChoice,
    is_dense: bool,
    /// The newest snapshot before the codec that is in use was.
    before: Option<Tick>,
    newest: Option<Tick>,
    entities_max: usize,
    /// Snapshots in a row, about, that did not fit, or (dense) would fit.
    strain: u32,
    /// Dense snapshots in a row that told everything, after how many the shared codec is tried, and snapshots since the last
    /// change.
    calm: u32,
    patience: u32,
    since_change: u32,
    /// Bits of a shared record, on average.
    record_bits: f32,
    changes: u64,
}

impl AdaptiveView {
    /// The view of a client that holds nothing yet.
    #[must_use]
    pub fn new(choice: CodecChoice) -> Self {
        Self::with_limit(choice, ENTITIES_MAX)
    }

    /// As `new`, for a client that takes at most `entities_max` entities
    /// ([`ReceiverLimits`](crate::ReceiverLimits)).
    #[must_use]
    pub fn with_limit(choice: CodecChoice, entities_max: usize) -> Self {
        Self {
            shared: ClientView::with_limit(entities_max),
            dense: None,
            choice,
            is_dense: false,
            before: None,
            newest: None,
            entities_max,
            strain: 0,
            calm: 0,
            patience: PATIENCE_MIN,
            since_change: 0,
            record_bits: RECORD_BITS_START,
            changes: 0,
        }
    }

    /// Writes the snapshot of the newest frame in `history`: as [`ClientView::encode_parts`], or as one dense message.
    ///
    /// # Panics
    /// When `history` is empty, or its newest frame was sent before.
    pub fn encode_parts(
        &mut self,
        (schema, history, bits): (&Schema, &History, &mut SharedBits),
        relevant: &[(NetId, f32)],
        feedback: Feedback,
        budget: Budget,
        parts: &mut Parts,
    ) -> SnapshotStats {
        self.turn(schema, history, budget);
        let tick = history.newest().expect("a frame is extracted before it is sent").tick();
        self.newest = Some(tick);
        let message_bits = budget.first_bytes.min(budget.total_bytes) * 8;
        let stats = match self.dense.as_mut().filter(|_| self.is_dense) {
            Some(dense) => {
                parts.one(|out| dense.encode(schema, history, relevant, feedback, message_bits, out))
            }
            None => self.shared.encode_parts((schema, history, bits), relevant, feedback, budget, parts),
        };
        self.weigh(&stats, budget);
        stats
    }

    /// Takes what the client says it decoded. What was never sent, or is older than what is known, is ignored.
    pub fn ack(&mut self, ack: Ack) {
        match self.dense.as_mut().filter(|_| self.is_dense) {
            Some(dense) => dense.ack(ack),
            None => self.shared.ack(ack),
        }
    }

    /// The newest snapshot that the client is known to hold.
    #[must_use]
    pub fn newest_ack(&self) -> Option<Tick> {
        match self.dense.as_ref().filter(|_| self.is_dense) {
            Some(dense) => dense.newest_ack(),
            None => self.shared.newest_ack(),
        }
    }

    /// Changes how the codec is chosen from the next snapshot on.
    pub fn choose(&mut self, choice: CodecChoice) {
        self.choice = choice;
    }

    /// Whether the dense codec is in use.
    #[must_use]
    pub fn is_dense(&self) -> bool {
        self.is_dense
    }

    /// Whether the next snapshot, written within `budget`, is the first dense one after others.
    #[must_use]
    pub fn turns_dense(&self, budget: Budget) -> bool {
        !self.is_dense && self.is_dense_wanted(budget)
    }

    /// How often the codec changed.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    fn is_dense_wanted(&self, budget: Budget) -> bool {
        match self.choice {
            CodecChoice::Shared => false,
            CodecChoice::Dense => true,
            CodecChoice::ByPressure if self.is_dense => self.strain < RELIEVED && self.calm < self.patience,
            CodecChoice::ByPressure => self.strain >= PRESSED && gains(budget),
        }
    }

    fn turn(&mut self, schema: &Schema, history: &History, budget: Budget) {
        let wanted = self.is_dense_wanted(budget);
        if wanted == self.is_dense {
            return;
        }
        if wanted {
            let is_relapse = self.changes > 0 && self.since_change < RELAPSE;
            self.patience = if is_relapse { (self.patience * 2).min(PATIENCE_MAX) } else { PATIENCE_MIN };
            self.turn_dense(schema, history);
        } else {
            self.turn_shared();
        }
        self.is_dense = wanted;
        self.before = self.newest;
        (self.strain, self.calm, self.since_change) = (0, 0, 0);
        self.changes += 1;
    }

    fn turn_dense(&mut self, schema: &Schema, history: &History) {
        // A frame from before the last change the client may still show as the other codec has it.
        let is_ours = self.shared.newest_ack() > self.before;
        let confirmed = if is_ours { self.shared.confirmed(history) } else { None };
        let limit = self.entities_max;
        let dense = self.dense.get_or_insert_with(|| Box::new(DenseView::with_limit(schema, limit)));
        let confirmed = confirmed.as_ref().map(|(frame, far)| (frame, far.as_slice()));
        dense.enter(confirmed, self.shared.may_be_shown());
    }

    fn turn_shared(&mut self) {
        if let Some(dense) = &self.dense {
            let (mut newest_ack, mut on_their_way, mut entries) = dense.leave();
            // A client that has decoded none of them builds on what the codec before it sent.
            if newest_ack <= self.before {
                newest_ack = None;
                on_their_way.clear();
                entries.iter_mut().for_each(|entry| *entry = Entry { id: entry.id, ..Entry::default() });
            }
            self.shared = ClientView::resume(self.entities_max, newest_ack, &on_their_way, &entries);
        }
    }

    /// Counts how long the other codec would have been the better one.
    fn weigh(&mut self, stats: &SnapshotStats, budget: Budget) {
        let told = stats.updates + stats.spawns;
        self.since_change = self.since_change.saturating_add(1);
        if self.is_dense {
            let needed = (told + stats.deferred) as f32 * self.record_bits;
            let fits = needed * EASE < budget.total_bytes as f32 * 8.0;
            self.calm = if stats.deferred == 0 { self.calm + 1 } else { 0 };
            self.strain = if fits { self.strain + 1 } else { self.strain.saturating_sub(RECOVERY) };
            return;
        }
        if told > 0 {
            self.record_bits += (stats.bits as f32 / told as f32 - self.record_bits) / 16.0;
        }
        let pressed = stats.deferred > 0 && gains(budget);
        self.strain =
            if pressed { (self.strain + 1).min(PRESSED) } else { self.strain.saturating_sub(RECOVERY) };
    }
}

/// Whether one dense message holds more than all shared ones may.
fn gains(budget: Budget) -> bool {
    let message = budget.first_bytes.min(budget.total_bytes);
    message * GAIN_PERCENT / 100 >= budget.total_bytes
}

/// Snapshots that did not fit, some half second's, after which the dense codec is taken.
const PRESSED: u32 = 30;
/// Snapshots that would have fitted, some two seconds', after which the shared one is.
const RELIEVED: u32 = 120;
/// Dense snapshots without anything left over after which the shared codec is tried: five seconds' at first, eighty at the
/// most.
const PATIENCE_MIN: u32 = 300;
const PATIENCE_MAX: u32 = 4800;
/// A trial that ended within so many snapshots has failed.
const RELAPSE: u32 = 240;
/// So many does one of the other kind take back.
const RECOVERY: u32 = 4;
/// Room that shared snapshots must have beyond what they need before they are gone back to.
const EASE: f32 = 1.25;
/// What dense bits hold of shared ones, at the least.
const GAIN_PERCENT: usize = 150;
/// Bits of a shared record before any was written.
const RECORD_BITS_START: f32 = 64.0;
