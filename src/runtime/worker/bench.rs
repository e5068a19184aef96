//! Which piece of work is next, and what becomes of it if it fails?

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{PoisonError, atomic::Ordering},
};

use super::{Worker, fault_text};
use crate::{
    runtime::{
        Executor, JobError,
        agenda::{Order, Turn, Work},
        encoder::Chore,
        executor::{DrawError, RowKey},
        job::{Event, JobId},
        lane::Desk,
    },
    telemetry::{JobEnd, Wasted},
    units::{Flops, Memory, Millis, Moment},
};

/// Why a piece of work came to nothing.
pub(super) enum Fault {
    Failed(DrawError),
    Panicked,
}

/// A worker with its device.
pub(super) struct Bench<'a> {
    pub(super) worker: &'a Worker,
    pub(super) executor: Box<dyn Executor>,
    /// When the last piece of work was done: what comes between two pieces counts as the later one's.
    pub(super) last: Moment,
    pub(super) held: Memory,
}

impl Bench<'_> {
    /// Waits for something to do; none when there will be nothing any more.
    pub(super) fn next_turn(&mut self) -> Option<Turn> {
        let lane = self.worker.lane();
        let shared = &self.worker.shared;
        let mut desk = lane.desk();
        loop {
            self.drop_unwanted(&mut desk);
            if shared.aborting.load(Ordering::SeqCst) {
                for id in desk.refuse_all(&JobError::ShuttingDown) {
                    shared.settings.metrics.job_ended(JobEnd::Stopped);
                    self.executor.end(id);
                }
            }
            let now = self.worker.now();
            let latency = shared.settings.latency.read();
            let latency = latency.unwrap_or_else(PoisonError::into_inner);
            let turn = desk.agenda.next(now, &latency);
            drop(latency);
            if turn.work.is_some() || !turn.refused.is_empty() {
                lane.pulse.beat(now);
                self.announce(&desk, &turn, now);
                return Some(turn);
            }
            if desk.is_closed && desk.agenda.is_empty() {
                return None;
            }
            lane.pulse.rest();
            self.tell_memory();
            if let Some(doubt) = desk.doubts.take() {
                drop(desk);
                self.settle(&doubt);
                desk = lane.desk();
                continue;
            }
            desk = lane
                .changed
                .wait(desk)
                .unwrap_or_else(PoisonError::into_inner);
            self.last = self.worker.now();
        }
    }

    /// Strikes out what nobody wants any more before anything else is done for it.
    fn drop_unwanted(&mut self, desk: &mut Desk) {
        for id in desk.unwanted() {
            let wasted = desk.agenda.remove(id);
            let metrics = &self.worker.shared.settings.metrics;
            metrics.job_ended(JobEnd::Cancelled);
            metrics.wasted(Wasted::Cancelled, wasted);
            self.executor.end(id);
            if let Some(reply) = desk.replies.remove(&id) {
                reply.send(Err(JobError::Cancelled));
            }
        }
    }

    fn announce(&self, desk: &Desk, turn: &Turn, now: Moment) {
        let Some(id) = turn.begins else { return };
        let (Some(job), Some(binding)) = (desk.agenda.job(id), desk.agenda.binding(id)) else {
            return;
        };
        let waited = Millis::from(now.since(job.arrived));
        self.worker.shared.settings.metrics.queued_for(waited);
        if job.wants_events {
            desk.tell(id, Event::Begun(Box::new(binding.decision.clone())));
        }
    }

    pub(super) fn take(&mut self, turn: Turn) {
        let metrics = &self.worker.shared.settings.metrics;
        metrics.wasted(Wasted::Late, turn.wasted);
        for change in turn.changes {
            metrics.plan_chosen_again(change);
        }
        for id in turn.refused {
            metrics.job_ended(JobEnd::Late);
            self.executor.end(id);
            let reply = self.worker.lane().desk().replies.remove(&id);
            if let Some(reply) = reply {
                reply.send(Err(JobError::DeadlineExceeded));
            }
        }
        let mut failed = Vec::new();
        for order in turn.orders {
            let job = order.row().job;
            if let Err(fault) = self.obey(order) {
                self.fail(job, fault);
                failed.push(job);
            }
        }
        // What was chosen may be about a job that is gone; the rest is chosen again.
        match turn.work {
            Some(work) if !work.jobs().any(|job| failed.contains(&job)) => self.work(work),
            _ => self.worker.lane().desk().agenda.idle(),
        }
    }

    fn obey(&mut self, order: Order) -> Result<(), Fault> {
        self.attempt(|executor| match order {
            Order::Begin { row, seed } => executor.begin(row, seed),
            Order::Shorten { row, left } => executor.shorten(row, left),
            Order::MoveUp { row, plan } => executor.move_up(row, &plan),
        })
    }

    pub(super) fn send(&self, chore: Chore) {
        // The encoder outlives every worker; if it is lost, dropping the reply answers the ticket.
        self.worker.encoder.send(chore).ok();
    }

    /// Answers a job that failed, and lets go of all of it.
    pub(super) fn fail(&mut self, id: JobId, fault: Fault) {
        let mut desk = self.worker.lane().desk();
        let wasted = desk.agenda.remove(id);
        desk.agenda.idle();
        let reply = desk.replies.remove(&id);
        drop(desk);
        let metrics = &self.worker.shared.settings.metrics;
        metrics.wasted(Wasted::Failed, wasted);
        // Nothing is known of what a panic left behind, and letting go of it may panic again.
        let ended = catch_unwind(AssertUnwindSafe(|| self.executor.end(id)));
        if ended.is_err() {
            tracing::error!("a device did not let go of a job");
        }
        let Some(reply) = reply else { return };
        metrics.job_ended(JobEnd::Failed);
        let error = match fault {
            Fault::Failed(DrawError(reason)) => {
                tracing::warn!(reason, "a job failed");
                JobError::Failed(reason)
            }
            Fault::Panicked => JobError::Panicked,
        };
        self.worker.shared.tell_backlog();
        reply.send(Err(error));
    }

    pub(super) fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Executor) -> Result<T, DrawError>,
    ) -> Result<T, Fault> {
        match catch_unwind(AssertUnwindSafe(|| work(&mut *self.executor))) {
            Ok(done) => done.map_err(Fault::Failed),
            Err(fault) => {
                self.worker.shared.settings.metrics.worker_panicked();
                let fault = fault_text(&*fault);
                tracing::error!(fault, "the worker survived a fault");
                Err(Fault::Panicked)
            }
        }
    }

    /// A piece of work is done: the time since the last one is its own.
    pub(super) fn lap(&mut self, flops: Flops) -> Millis {
        let now = self.worker.now();
        self.worker.lane().pulse.beat(now);
        let before = std::mem::replace(&mut self.last, now);
        let took = Millis::from(now.since(before));
        let metrics = &self.worker.shared.settings.metrics;
        metrics.busy(self.worker.lane_idx, took);
        metrics.computed(flops);
        took
    }

    fn tell_memory(&mut self) {
        let before = std::mem::replace(&mut self.held, self.executor.memory());
        let metrics = &self.worker.shared.settings.metrics;
        metrics.engine_memory(before, self.held);
    }
}

impl Order {
    fn row(&self) -> RowKey {
        match self {
            Self::Begin { row, .. } | Self::Shorten { row, .. } | Self::MoveUp { row, .. } => *row,
        }
    }
}

impl Work {
    fn jobs(&self) -> impl Iterator<Item = JobId> + '_ {
        let rows = match self {
            Self::Step { rows, .. } => rows.as_slice(),
            _ => &[],
        };
        [self.lead()]
            .into_iter()
            .chain(rows.iter().map(|row| row.job))
    }
}
