//! What does a device's thread do? Load, time, then take one piece of work after the other until told to
//! stop.
//!
//! What fails, fails alone: errors and panics are caught, counted and answered, and the thread goes on.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, atomic::Ordering, mpsc},
};

use super::{
    Executor, JobError, LoadExecutor, Shared,
    agenda::{Advance, Order, Turn, Work},
    encoder::{Chore, Showing},
    executor::{Decoded, DrawError, Picture, RowKey, Stepped},
    job::{Event, JobId},
    lane::{Desk, Lane},
};
use crate::{
    telemetry::{JobEnd, Wasted},
    units::{Flops, Memory, Millis, Moment, Nfe},
};

/// One device's thread.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) lane_idx: usize,
    pub(super) encoder: mpsc::Sender<Chore>,
}

/// Why a piece of work came to nothing.
enum Fault {
    Failed(DrawError),
    Panicked,
}

/// A worker with its device.
struct Bench<'a> {
    worker: &'a Worker,
    executor: Box<dyn Executor>,
    /// When the last piece of work was done: what comes between two pieces counts as the later one's.
    last: Moment,
    held: Memory,
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

impl Bench<'_> {
    /// Waits for something to do; none when there will be nothing any more.
    fn next_turn(&mut self) -> Option<Turn> {
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

    fn take(&mut self, turn: Turn) {
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

    fn work(&mut self, work: Work) {
        match work {
            Work::Text(id) => self.text(id),
            Work::Step {
                rows,
                model,
                n_rows,
            } => self.step(&rows, model, n_rows),
            Work::Rank {
                job,
                picture,
                candidates,
            } => self.rank(job, picture, &candidates),
            Work::Decode(row) => self.decode(row),
        }
    }

    fn text(&mut self, id: JobId) {
        let desk = self.worker.lane().desk();
        let found = desk.agenda.job(id).cloned().zip(desk.agenda.binding(id));
        let Some((job, plan)) = found.map(|(job, binding)| (job, binding.plan().clone())) else {
            return;
        };
        drop(desk);
        match self.attempt(|executor| executor.encode_text(id, &job, &plan)) {
            Ok(texts) => {
                let took = self.lap(texts.flops);
                self.worker.lane().desk().agenda.text_done(id, took, texts);
            }
            Err(fault) => self.fail(id, fault),
        }
    }

    fn step(&mut self, rows: &[RowKey], model: usize, n_rows: u32) {
        let moved = match self.attempt(|executor| executor.step(rows)) {
            Ok(moved) => moved,
            // Nobody moved: whose fault it was shows when each goes by itself.
            Err(Fault::Failed(_)) if rows.len() > 1 => {
                return self.step_one_by_one(rows, model);
            }
            Err(Fault::Failed(error)) => vec![Err(error)],
            // How far each of them came is not known.
            Err(Fault::Panicked) => {
                for row in rows {
                    self.fail(row.job, Fault::Panicked);
                }
                return;
            }
        };
        self.moved(rows, moved, (model, n_rows));
    }

    fn step_one_by_one(&mut self, rows: &[RowKey], model: usize) {
        for row in rows {
            match self.attempt(|executor| executor.step(&[*row])) {
                Ok(moved) => {
                    let n_rows = moved.iter().flatten().map(|stepped| stepped.nfe).sum();
                    self.moved(&[*row], moved, (model, n_rows));
                }
                Err(fault) => self.fail(row.job, fault),
            }
        }
    }

    fn moved(
        &mut self,
        rows: &[RowKey],
        moved: Vec<Result<Stepped, DrawError>>,
        (model, n_rows): (usize, u32),
    ) {
        let flops: Flops = moved.iter().flatten().map(|stepped| stepped.flops).sum();
        let nfe: Nfe = moved.iter().flatten().map(|stepped| stepped.nfe).sum();
        let took = self.lap(flops);
        let mut good = Vec::with_capacity(rows.len());
        for (row, moved) in rows.iter().zip(moved) {
            match moved {
                Ok(stepped) => good.push((*row, stepped)),
                Err(error) => self.fail(row.job, Fault::Failed(error)),
            }
        }
        let mut desk = self.worker.lane().desk();
        let job = rows.first().and_then(|row| desk.agenda.job(row.job));
        let name = job.map(|job| job.models[model].clone());
        let advances = desk.agenda.stepped((model, n_rows), took, &good);
        tell_steps(&desk, &advances);
        drop(desk);
        if let Some(name) = name {
            let metrics = &self.worker.shared.settings.metrics;
            metrics.stepped(&name.0, took, good.len(), nfe);
        }
        for advance in advances {
            if let Some(number) = advance.partial {
                self.show(advance.row, number);
            }
        }
    }

    fn show(&mut self, row: RowKey, number: u32) {
        let preview = self.attempt(|executor| Ok(executor.preview(row)));
        if let Ok(Some(picture)) = preview
            && let Some(showing) = self.showing(row, picture)
        {
            self.send(Chore::Partial(showing, number));
        }
    }

    fn rank(&mut self, job: JobId, picture: usize, candidates: &[u32]) {
        match self.attempt(|executor| executor.rank(job, picture, candidates)) {
            Ok(ranked) => {
                let took = self.lap(ranked.flops);
                let n = candidates.len() as u32;
                let mut desk = self.worker.lane().desk();
                desk.agenda.ranked((job, picture), n, took, ranked);
            }
            Err(fault) => self.fail(job, fault),
        }
    }

    fn decode(&mut self, row: RowKey) {
        let decoded = self.attempt(|executor| executor.decode(row));
        let Decoded { picture, flops } = match decoded {
            Ok(decoded) => decoded,
            Err(fault) => return self.fail(row.job, fault),
        };
        let took = self.lap(flops);
        let showing = self.showing(row, picture);
        let run = self.worker.lane().desk().agenda.decoded(row, took, flops);
        if let Some((showing, run)) = showing.zip(run) {
            self.send(Chore::Picture(showing, run));
        }
        self.finish(row.job);
    }

    /// Hands a job on whose last picture is decoded.
    fn finish(&mut self, id: JobId) {
        let now = self.worker.now();
        let mut desk = self.worker.lane().desk();
        let Some(finished) = desk.agenda.finish(id, now) else {
            return;
        };
        let reply = desk.replies.remove(&id);
        drop(desk);
        self.executor.end(id);
        self.worker.shared.tell_backlog();
        if let Some(reply) = reply {
            self.send(Chore::Answer(Box::new(finished), reply));
        }
    }

    fn showing(&self, row: RowKey, picture: Picture) -> Option<Showing> {
        let desk = self.worker.lane().desk();
        let reply = desk.replies.get(&row.job)?;
        Some(Showing {
            job: desk.agenda.job(row.job)?.clone(),
            plan: desk.agenda.binding(row.job)?.plan().clone(),
            place: row.picture,
            picture,
            files: Arc::clone(&reply.files),
            events: reply.events.clone(),
        })
    }

    fn send(&self, chore: Chore) {
        // The encoder outlives every worker; if it is lost, dropping the reply answers the ticket.
        self.worker.encoder.send(chore).ok();
    }

    /// Answers a job that failed, and lets go of all of it.
    fn fail(&mut self, id: JobId, fault: Fault) {
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

    fn attempt<T>(
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
    fn lap(&mut self, flops: Flops) -> Millis {
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

fn tell_steps(desk: &Desk, advances: &[Advance]) {
    for advance in advances {
        let id = advance.row.job;
        if desk.agenda.job(id).is_some_and(|job| job.wants_events) {
            let step = Event::Step {
                picture: advance.row.picture,
                done: advance.done,
                total: advance.total,
            };
            desk.tell(id, step);
        }
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
