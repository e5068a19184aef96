//! How much work is admitted and not yet done? Every admitted job holds a [`Place`] until it is answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    telemetry::Metrics,
    units::{Millis, Moment},
};

/// The predicted work of every lane.
#[derive(Debug)]
pub(super) struct Backlog {
    lanes: Mutex<Vec<Work>>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Work {
    jobs: usize,
    predicted: f64,
    /// When the running job started, and what it is predicted to take.
    running: Option<(Moment, Millis)>,
}

impl Work {
    /// A running job's elapsed time is no longer ahead; one that runs over its prediction counts as nearly done.
    fn ahead(&self, now: Moment) -> f64 {
        let done = self.running.map_or(0.0, |(started, predicted)| {
            Millis::from(now.since(started)).0.min(predicted.0)
        });
        (self.predicted - done).max(0.0)
    }
}

/// A job's share of the backlog; given up when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    backlog: Arc<Backlog>,
    lane_idx: usize,
    predicted: Millis,
}

impl Backlog {
    pub(super) fn new(n_lanes: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            lanes: Mutex::new(vec![Work::default(); n_lanes]),
            metrics,
        })
    }

    /// Adds a job to a lane.
    pub(super) fn admit(self: &Arc<Self>, lane_idx: usize, predicted: Millis) -> Place {
        self.change(|lanes| {
            lanes[lane_idx].jobs += 1;
            lanes[lane_idx].predicted += predicted.0;
        });
        Place {
            backlog: Arc::clone(self),
            lane_idx,
            predicted,
        }
    }

    /// Returns the predicted work ahead on the busiest lane.
    pub(super) fn longest(&self, now: Moment) -> Millis {
        let ahead = self
            .lock()
            .iter()
            .map(|work| work.ahead(now))
            .fold(0.0, f64::max);
        Millis(ahead)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Work>)) {
        let mut lanes = self.lock();
        change(&mut lanes);
        let jobs = lanes.iter().map(|work| work.jobs).sum();
        let predicted = lanes.iter().map(|work| work.predicted).sum();
        // Under the lock, so that the gauge never shows an older state than the one before.
        self.metrics.backlog(jobs, Millis(predicted));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Work>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The job has the device from now on.
    pub(super) fn starts(&self, now: Moment) {
        let running = Some((now, self.predicted));
        self.backlog
            .change(|lanes| lanes[self.lane_idx].running = running);
    }

    /// The job has left the device.
    pub(super) fn leaves_device(&self) {
        self.backlog.change(|lanes| {
            let work = &mut lanes[self.lane_idx];
            work.running = None;
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.backlog.change(|lanes| {
            let work = &mut lanes[self.lane_idx];
            work.jobs -= 1;
            work.predicted -= self.predicted.0;
            if work.jobs == 0 {
                // No rounding error stays behind on an idle lane.
                *work = Work::default();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment(Duration::from_millis(millis))
    }

    #[test]
    fn work_is_ahead_until_its_place_is_given_up() {
        let metrics = Arc::new(Metrics::new([]));
        let backlog = Backlog::new(2, Arc::clone(&metrics));
        let first = backlog.admit(0, Millis(300.0));
        let second = backlog.admit(0, Millis(200.0));
        let other = backlog.admit(1, Millis(400.0));
        assert_eq!(backlog.longest(at(0)), Millis(500.0));
        assert!(
            metrics
                .text()
                .contains("goldilocks_queued_work_seconds 0.9")
        );
        drop(first);
        assert_eq!(backlog.longest(at(0)), Millis(400.0));
        drop((second, other));
        assert_eq!(backlog.longest(at(0)), Millis::ZERO);
        assert!(metrics.text().contains("goldilocks_queued_jobs 0"));
    }

    #[test]
    fn a_running_job_counts_for_what_is_left_of_it_and_never_for_less_than_nothing() {
        let backlog = Backlog::new(1, Arc::new(Metrics::new([])));
        let running = backlog.admit(0, Millis(300.0));
        let _waiting = backlog.admit(0, Millis(200.0));
        running.starts(at(1000));
        assert_eq!(backlog.longest(at(1100)), Millis(400.0));
        assert_eq!(backlog.longest(at(9000)), Millis(200.0));
    }
}
