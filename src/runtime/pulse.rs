//! Does a worker still move? It beats at every boundary while it has a job.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::units::Moment;

/// The heartbeat of one worker.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// The last sign of life while busy; none while idle or warming, when silence means nothing.
    last: Mutex<Option<Moment>>,
    lost: AtomicBool,
}

impl Pulse {
    /// The worker is busy and moved just now.
    pub(super) fn beat(&self, now: Moment) {
        *self.lock() = Some(now);
    }

    /// The worker waits for a job.
    pub(super) fn rest(&self) {
        *self.lock() = None;
    }

    /// The thread has ended though nobody told it to.
    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    /// Returns the time since the last beat, zero while at rest.
    pub(super) fn silent_for(&self, now: Moment) -> Duration {
        self.lock().map_or(Duration::ZERO, |last| now.since(last))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Moment>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_only_while_busy() {
        let pulse = Pulse::default();
        let later = Moment(Duration::from_mins(1));
        assert_eq!(pulse.silent_for(later), Duration::ZERO);
        pulse.beat(Moment(Duration::from_secs(50)));
        assert_eq!(pulse.silent_for(later), Duration::from_secs(10));
        pulse.rest();
        assert_eq!(pulse.silent_for(later), Duration::ZERO);
    }
}
