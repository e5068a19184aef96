//! What does a device's thread do? Load, time, then take one piece of work after the other until told to
//! stop.
//!
//! What fails, fails alone: errors and panics are caught, counted and answered, and the thread goes on.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
};

use super::{Executor, JobError, LoadExecutor, Shared, encoder::Chore, lane::Lane};
use crate::{
    catalog::Family,
    telemetry::JobEnd,
    units::{Memory, Moment},
};
use bench::Bench;

mod bench;
mod doubt;
mod work;

/// One device's thread.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) lane_idx: usize,
    /// What may be timed again.
    pub(super) families: Vec<Family>,
    pub(super) encoder: mpsc::Sender<Chore>,
}

impl Worker {
    /// Runs until no more jobs come in and all are done.
    pub(super) fn run(self, load: LoadExecutor) {
        let _guard = LostGuard(&self);
        let warmed = catch_unwind(AssertUnwindSafe(|| self.warm_up(load)));
        let executor = match warmed {
            Ok(Ok(executor)) => executor,
            Ok(Err(reason)) => return self.shared.failed_to_start(reason),
            Err(fault) => return self.shared.failed_to_start(fault_text(&*fault).to_owned()),
        };
        let held = executor.memory();
        self.shared
            .settings
            .metrics
            .engine_memory(Memory::default(), held);
        let mut bench = Bench {
            worker: &self,
            executor,
            last: self.now(),
            held,
        };
        while let Some(turn) = bench.next_turn() {
            bench.take(turn);
        }
    }

    fn warm_up(&self, load: LoadExecutor) -> Result<Box<dyn Executor>, String> {
        let executor = load(&mut |model| {
            tracing::info!(model.id = %model, "weights loaded");
            self.shared.settings.metrics.model_loaded(&model.0);
            self.shared
                .progressed(|progress| progress.models_loaded += 1);
        })?;
        self.shared.timed();
        let n_models = self.lane().models.len();
        self.shared
            .progressed(|progress| progress.models_timed += n_models);
        Ok(executor)
    }

    fn lane(&self) -> &Lane {
        &self.shared.lanes[self.lane_idx]
    }

    fn now(&self) -> Moment {
        self.shared.settings.clock.now()
    }
}

/// Notices a worker thread that ends by a fault outside every job, and answers the jobs it leaves behind.
struct LostGuard<'a>(&'a Worker);

impl Drop for LostGuard<'_> {
    fn drop(&mut self) {
        let lane = self.0.lane();
        if std::thread::panicking() {
            lane.pulse.lose();
        }
        let mut desk = lane.desk();
        desk.is_closed = true;
        let left = desk.refuse_all(&JobError::Panicked).len();
        let metrics = &self.0.shared.settings.metrics;
        metrics.jobs_ended(JobEnd::Failed, left);
    }
}

/// What a panic said.
pub(super) fn fault_text(fault: &(dyn Any + Send)) -> &str {
    let plain = fault.downcast_ref::<&str>().copied();
    plain
        .or_else(|| fault.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}
