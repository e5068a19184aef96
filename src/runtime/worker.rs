//! What does a device's thread do? Load, time, then take one job after the other until told to stop.
//!
//! A job that fails, fails alone: panics are caught, counted and answered, and the thread goes on.

use std::{
    any::Any,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering, mpsc},
};

use tokio::sync::oneshot;

use super::{
    Boundary, DrawError, Executor, Job, JobError, Lane, LoadExecutor, Outcome, Phases, Shared,
    backlog::Place, encoder::Encoding, laps::Laps,
};
use crate::units::{Memory, Millis, Moment};

/// A job on its way to the device.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) job: Job,
    pub(super) admitted: Moment,
    pub(super) reply: oneshot::Sender<Result<Outcome, JobError>>,
    pub(super) place: Place,
}

impl Queued {
    /// Answers without running.
    pub(super) fn answer(self, outcome: Result<Outcome, JobError>) {
        drop(self.place);
        // The client may be gone, which is no fault.
        self.reply.send(outcome).ok();
    }
}

/// The way back to the ticket, and the job's place in the backlog until then.
pub(super) struct Reply {
    to: oneshot::Sender<Result<Outcome, JobError>>,
    place: Place,
}

impl Reply {
    /// Whether nobody waits any more.
    fn is_unwanted(&self) -> bool {
        self.to.is_closed()
    }

    /// Gives up the place and answers; an answer that nobody waits for counts as cancelled.
    pub(super) fn send(self, shared: &Shared, outcome: Result<Outcome, JobError>) {
        drop(self.place);
        if self.to.send(outcome).is_err() {
            shared.settings.metrics.cancelled();
        }
    }
}

/// One device's thread.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) lane_idx: usize,
    pub(super) encoder: mpsc::Sender<Encoding>,
}

impl Worker {
    /// Runs until the queue is closed and empty.
    pub(super) fn run(self, load: LoadExecutor) {
        let _guard = LostGuard(&self);
        let warmed = catch_unwind(AssertUnwindSafe(|| self.warm_up(load)));
        let mut executor = match warmed {
            Ok(Ok(executor)) => executor,
            Ok(Err(reason)) => return self.shared.failed_to_start(reason),
            Err(fault) => return self.shared.failed_to_start(fault_text(&*fault).to_owned()),
        };
        let metrics = &self.shared.settings.metrics;
        let mut held = executor.memory();
        metrics.engine_memory(Memory::default(), held);
        while let Some(queued) = self.lane().queue.next() {
            self.serve(&mut *executor, queued);
            let before = std::mem::replace(&mut held, executor.memory());
            metrics.engine_memory(before, held);
            self.lane().pulse.rest();
        }
    }

    fn warm_up(&self, load: LoadExecutor) -> Result<Box<dyn Executor>, String> {
        let executor = load(&mut |model| {
            tracing::info!(model.id = %model, "weights loaded");
            self.shared.settings.metrics.model_loaded(&model.0);
            self.shared
                .progressed(|progress| progress.models_loaded += 1);
        })?;
        let n_models = self.lane().models.len();
        self.shared
            .progressed(|progress| progress.models_timed += n_models);
        Ok(executor)
    }

    fn serve(&self, executor: &mut dyn Executor, queued: Queued) {
        let Queued {
            job,
            admitted,
            reply: to,
            place,
        } = queued;
        let reply = Reply { to, place };
        let metrics = &self.shared.settings.metrics;
        if reply.is_unwanted() {
            metrics.cancelled();
            return;
        }
        let started = self.now();
        self.lane().pulse.beat(started);
        reply.place.starts(started);
        let waited = Millis::from(started.since(admitted));
        metrics.queued_for(waited);

        let mut laps = Laps::new(started);
        let drawn = catch_unwind(AssertUnwindSafe(|| {
            executor.draw(&job, &mut |boundary| {
                self.reached(boundary, &job, &reply, &mut laps)
            })
        }));
        reply.place.leaves_device();
        match drawn {
            Ok(Ok(drawn)) => {
                let phases = Phases {
                    queue: waited,
                    ..laps.phases()
                };
                let encoding = Encoding {
                    job,
                    drawn,
                    phases,
                    steps: laps.of(Boundary::Step).collect(),
                    reply,
                };
                // The encoder outlives every worker; if it is lost, dropping the reply answers the ticket.
                self.encoder.send(encoding).ok();
            }
            Ok(Err(DrawError::Stopped)) => reply.send(&self.shared, Err(JobError::ShuttingDown)),
            Ok(Err(DrawError::Failed(reason))) => {
                metrics.failed();
                tracing::warn!(model.id = %job.plan.model, reason, "a job failed");
                reply.send(&self.shared, Err(JobError::Failed(reason)));
            }
            Err(fault) => {
                metrics.worker_panicked();
                let fault = fault_text(&*fault);
                tracing::error!(model.id = %job.plan.model, fault, "the worker survived a fault");
                reply.send(&self.shared, Err(JobError::Panicked));
            }
        }
    }

    /// Beats, takes the time, and says whether the job shall go on.
    fn reached(
        &self,
        boundary: Boundary,
        job: &Job,
        reply: &Reply,
        laps: &mut Laps,
    ) -> ControlFlow<()> {
        let now = self.now();
        self.lane().pulse.beat(now);
        let took = laps.lap(boundary, now);
        if boundary == Boundary::Step {
            self.shared
                .settings
                .metrics
                .stepped(&job.plan.model.0, took);
        }
        if reply.is_unwanted() || self.shared.aborting.load(Ordering::SeqCst) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
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
        if std::thread::panicking() {
            self.0.lane().pulse.lose();
        }
        for queued in self.0.lane().queue.close_and_empty() {
            queued.answer(Err(JobError::Panicked));
        }
    }
}

/// What a panic said.
pub(super) fn fault_text(fault: &(dyn Any + Send)) -> &str {
    let plain = fault.downcast_ref::<&str>().copied();
    plain
        .or_else(|| fault.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}
