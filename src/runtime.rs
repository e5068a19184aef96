//! Who runs the work, and when?
//!
//! One thread for each device loads its models, times them, and then draws one job after the other;
//! one more thread turns pictures into files. A [`Runtime`] is the handle to all of them: jobs go in by
//! [`Runtime::submit`], outcomes come out of [`Ticket`]s. Shutdown is [`Runtime::shutdown`], never a drop.

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::sync::{mpsc, oneshot, watch};

mod backlog;
mod encoder;
pub mod executor;
pub mod job;
mod laps;
pub mod parameters;
pub mod probe;
mod pulse;
mod queue;
pub mod readiness;
pub mod state;
mod worker;

pub use executor::{
    Boundary, DrawError, Drawn, EncodeImage, Executor, LoadExecutor, OnBoundary, OnLoaded, Picture,
};
pub use job::{Job, JobError, Outcome, Phases, Rendered, Ticket};
pub use parameters::Parameters;
pub use readiness::{Liveness, Progress, Readiness};

use crate::{
    catalog::{DeviceSpec, ModelId},
    telemetry::{Clock, Metrics},
    units::Millis,
};
use backlog::Backlog;
use pulse::Pulse;
use queue::{PushError, Queue};
use worker::Queued;

/// How long a running step may still take after the grace is over, before the thread is left behind.
const LAST_STEP: Duration = Duration::from_secs(5);

/// One device's thread.
pub struct WorkerSpec {
    /// Where it works.
    pub device: DeviceSpec,
    /// What it hosts.
    pub models: Vec<ModelId>,
    /// Makes its executor, on its thread.
    pub load: LoadExecutor,
}

impl fmt::Debug for WorkerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("WorkerSpec");
        shown.field("device", &self.device.to_string());
        shown.field("models", &self.models).finish_non_exhaustive()
    }
}

/// What a runtime is made with, the workers left out.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Most jobs waiting for one device.
    pub queue_capacity: usize,
    /// Turns a picture into a file.
    pub encode: EncodeImage,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Told of everything.
    pub metrics: Arc<Metrics>,
}

/// Why a job is not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// As many jobs wait as may wait.
    #[error("{capacity} jobs wait for the device already; try again when some are done")]
    Overloaded {
        /// How many may wait.
        capacity: usize,
    },
    /// Models are still being loaded, or could not be.
    #[error("the models are not loaded")]
    NotReady,
    /// No more jobs are admitted.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// No worker hosts the plan's model.
    #[error("no worker hosts model {0:?}")]
    UnknownModel(ModelId),
}

/// The handle to the workers; clones are handles to the same ones.
#[derive(Debug, Clone)]
pub struct Runtime {
    shared: Arc<Shared>,
    /// Closed once every thread has ended; taken by the first shutdown.
    ended: Arc<Mutex<Option<mpsc::Receiver<()>>>>,
}

/// What the handle and the threads have in common.
#[derive(Debug)]
struct Shared {
    lanes: Vec<Lane>,
    settings: Settings,
    backlog: Arc<Backlog>,
    readiness: watch::Sender<Readiness>,
    /// Set when the grace is over: jobs stop at the next boundary.
    aborting: AtomicBool,
}

/// One worker, as others see it.
#[derive(Debug)]
struct Lane {
    models: Vec<ModelId>,
    queue: Queue<Queued>,
    pulse: Pulse,
}

impl Runtime {
    /// Starts the threads and returns at once; weights load in the background.
    pub fn start(workers: Vec<WorkerSpec>, settings: Settings) -> io::Result<Self> {
        let (loads, lanes): (Vec<_>, Vec<_>) = workers
            .into_iter()
            .map(|spec| (spec.load, Lane::new(spec.models, settings.queue_capacity)))
            .unzip();
        let models = lanes.iter().map(|lane| lane.models.len()).sum();
        let warming = Readiness::Warming(Progress {
            models,
            ..Progress::default()
        });
        let shared = Arc::new(Shared {
            backlog: Backlog::new(lanes.len(), Arc::clone(&settings.metrics)),
            lanes,
            settings,
            readiness: watch::Sender::new(warming),
            aborting: AtomicBool::new(false),
        });
        // Threads are not joined: each holds a sender, and the channel closes with the last one.
        let (running, ended) = mpsc::channel(1);
        let encoder = encoder::start(Arc::clone(&shared), running.clone())?;
        for (lane_idx, load) in loads.into_iter().enumerate() {
            let worker = worker::Worker {
                shared: Arc::clone(&shared),
                lane_idx,
                encoder: encoder.clone(),
            };
            let running = running.clone();
            let name = format!("device-{lane_idx}");
            thread::Builder::new().name(name).spawn(move || {
                worker.run(load);
                drop(running);
            })?;
        }
        let ended = Arc::new(Mutex::new(Some(ended)));
        Ok(Self { shared, ended })
    }

    /// Admits a job, or says why not.
    pub fn submit(&self, job: Job) -> Result<Ticket, SubmitError> {
        match &*self.shared.readiness.borrow() {
            Readiness::Ready => {}
            Readiness::Draining => return Err(SubmitError::ShuttingDown),
            Readiness::Warming(_) | Readiness::Failed { .. } => return Err(SubmitError::NotReady),
        }
        let lane_idx = self
            .shared
            .lane_of(&job.plan.model)
            .ok_or_else(|| SubmitError::UnknownModel(job.plan.model.clone()))?;
        let (reply, outcome) = oneshot::channel();
        let queued = Queued {
            place: self.shared.backlog.admit(lane_idx, job.predicted),
            admitted: self.shared.settings.clock.now(),
            job,
            reply,
        };
        let pushed = self.shared.lanes[lane_idx].queue.push(queued);
        match pushed {
            Ok(()) => Ok(Ticket { outcome }),
            Err(PushError::Closed) => Err(SubmitError::ShuttingDown),
            Err(PushError::Full) => Err(SubmitError::Overloaded {
                capacity: self.shared.settings.queue_capacity,
            }),
        }
    }

    /// Returns the predicted work that is admitted and not yet done, on the busiest device.
    pub fn queued_work(&self) -> Millis {
        self.shared
            .backlog
            .longest(self.shared.settings.clock.now())
    }

    /// Returns what the runtime is doing now.
    pub fn readiness(&self) -> Readiness {
        self.shared.readiness.borrow().clone()
    }

    /// Returns every change of the readiness from now on.
    pub fn watch_readiness(&self) -> watch::Receiver<Readiness> {
        self.shared.readiness.subscribe()
    }

    /// Returns whether the workers move.
    pub fn liveness(&self) -> Liveness {
        let now = self.shared.settings.clock.now();
        let pulses = || self.shared.lanes.iter().map(|lane| &lane.pulse);
        Liveness {
            silent_for: pulses()
                .map(|pulse| pulse.silent_for(now))
                .max()
                .unwrap_or_default(),
            workers_lost: pulses().filter(|pulse| pulse.is_lost()).count(),
        }
    }

    /// Admits no more jobs, gives the admitted ones `grace` to finish, then stops what still runs at its
    /// next step. Jobs that were not reached answer [`JobError::ShuttingDown`].
    pub async fn shutdown(&self, grace: Duration) {
        self.shared.readiness.send_replace(Readiness::Draining);
        for lane in &self.shared.lanes {
            lane.queue.close();
        }
        let taken = self
            .ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut ended) = taken else { return };
        if tokio::time::timeout(grace, ended.recv()).await.is_ok() {
            return;
        }
        self.shared.aborting.store(true, Ordering::SeqCst);
        let unreached = self
            .shared
            .lanes
            .iter()
            .flat_map(|lane| lane.queue.close_and_empty());
        let mut n_unreached = 0;
        for queued in unreached {
            queued.answer(Err(JobError::ShuttingDown));
            n_unreached += 1;
        }
        tracing::warn!(
            jobs = n_unreached,
            "the grace is over; jobs that did not run are refused"
        );
        if tokio::time::timeout(LAST_STEP, ended.recv()).await.is_err() {
            tracing::error!("a worker did not stop within {LAST_STEP:?}; it is left behind");
        }
    }
}

impl Shared {
    fn lane_of(&self, model: &ModelId) -> Option<usize> {
        self.lanes
            .iter()
            .position(|lane| lane.models.contains(model))
    }

    /// Changes the progress of the warm-up, and ends it once everything is loaded and timed.
    fn progressed(&self, change: impl FnOnce(&mut Progress)) {
        self.readiness.send_modify(|readiness| {
            let Readiness::Warming(progress) = readiness else {
                return;
            };
            change(progress);
            if progress.models_timed == progress.models {
                *readiness = Readiness::Ready;
            }
        });
    }

    fn failed_to_start(&self, reason: String) {
        tracing::error!(reason, "a device cannot work");
        self.readiness.send_modify(|readiness| {
            if *readiness != Readiness::Draining {
                *readiness = Readiness::Failed { reason };
            }
        });
    }
}

impl Lane {
    fn new(models: Vec<ModelId>, queue_capacity: usize) -> Self {
        Self {
            models,
            queue: Queue::new(queue_capacity),
            pulse: Pulse::default(),
        }
    }
}
