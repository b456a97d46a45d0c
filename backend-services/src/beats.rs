//! When work that comes again is due, and when a process should end: what every loop in the background waits for.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// When work that comes again and again is due, until the process drains.
pub(crate) struct Beats {
    clock: Interval,
    draining: watch::Receiver<bool>,
}

impl Beats {
    /// The first is due now. One that comes late puts off those after it.
    pub(crate) fn every(period: Duration, draining: watch::Receiver<bool>) -> Self {
        let mut clock = interval(period);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { clock, draining }
    }

    /// Waits for the next; false once the process drains.
    pub(crate) async fn next(&mut self) -> bool {
        tokio::select! {
            () = told_to_end(self.draining.clone()) => false,
            _ = self.clock.tick() => true,
        }
    }
}

/// Waits until the process drains.
pub(crate) async fn told_to_end(mut draining: watch::Receiver<bool>) {
    // An error means that the sender is gone: that is an end too.
    let _ended = draining.wait_for(|draining| *draining).await;
}
