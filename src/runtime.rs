//! Who runs the work, and when?
//!
//! One thread for each device loads its models, times them, and then does one piece of work after the
//! other, a step of this picture and then one of that; one more thread turns pictures into files. A
//! [`Runtime`] is the handle to all of them: jobs go in by [`Runtime::submit`], outcomes come out of
//! [`Ticket`]s. Shutdown is [`Runtime::shutdown`], never a drop.
//!
//! In reading order: [`job`] is what goes in and comes out, [`binding`] who chooses its plan, [`policy`] what is
//! most urgent, `agenda` the books of one device (admission, dispatch, review), `lane` what a worker shares
//! with others, `worker` its loop, [`executor`] the device.

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::sync::{mpsc, oneshot, watch};

pub(crate) mod agenda;
pub mod binding;
mod doubts;
mod encoder;
pub mod executor;
pub mod job;
mod lane;
pub mod parameters;
pub mod policy;
pub mod probe;
mod pulse;
pub mod readiness;
pub mod state;
mod worker;

pub use agenda::{Rules, Standing};
pub use binding::{Binder, Binding, MenuBinder};
pub use executor::{
    Decoded, DrawError, EncodeImage, Executor, LoadExecutor, OnLoaded, Picture, Ranked, RowKey,
    Stepped, Texts,
};
pub use job::{
    Event, Job, JobError, JobId, OnLate, Outcome, Phases, Rendered, SubmitError, Ticket,
};
pub use parameters::Parameters;
pub use policy::Policy;
pub use probe::Doubt;
pub use readiness::{Liveness, Progress, Readiness};

use crate::{
    catalog::{DeviceSpec, Family, ModelId},
    planner::LatencyModel,
    telemetry::{Admission, Clock, JobEnd, JobState, Metrics},
    units::Millis,
};
use agenda::{Backlog, Finished, NoRoom};
use lane::{Lane, Reply};

/// How long a running step may still take after the grace is over, before the thread is left behind.
const LAST_STEP: Duration = Duration::from_secs(5);

/// One device's thread.
pub struct WorkerSpec {
    /// Where it works.
    pub device: DeviceSpec,
    /// What it hosts.
    pub models: Vec<ModelId>,
    /// What may be timed again once it has nothing to do.
    pub families: Vec<Family>,
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
    /// How the work of each device is ordered.
    pub rules: Rules,
    /// Turns a picture into a file.
    pub encode: EncodeImage,
    /// What the machine is known to take.
    pub latency: Arc<RwLock<LatencyModel>>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Told of everything.
    pub metrics: Arc<Metrics>,
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
    readiness: watch::Sender<Readiness>,
    /// How often the models of a device have been timed.
    timed: watch::Sender<u64>,
    /// Set when the grace is over: jobs stop at the next boundary.
    aborting: AtomicBool,
    jobs: AtomicU64,
}

impl Runtime {
    /// Starts the threads and returns at once; weights load in the background.
    pub fn start(workers: Vec<WorkerSpec>, settings: Settings) -> io::Result<Self> {
        let (loads, lanes): (Vec<_>, Vec<_>) = workers
            .into_iter()
            .map(|spec| {
                let lane = Lane::new(spec.models, settings.rules);
                ((spec.load, spec.families), lane)
            })
            .unzip();
        let models = lanes.iter().map(|lane| lane.models.len()).sum();
        let warming = Readiness::Warming(Progress {
            models,
            ..Progress::default()
        });
        let metrics = &settings.metrics;
        metrics.declare_devices(lanes.len(), settings.rules.most_rows);
        let shared = Arc::new(Shared {
            lanes,
            settings,
            readiness: watch::Sender::new(warming),
            timed: watch::Sender::default(),
            aborting: AtomicBool::new(false),
            jobs: AtomicU64::new(0),
        });
        // Threads are not joined: each holds a sender, and the channel closes with the last one.
        let (running, ended) = mpsc::channel(1);
        let encoder = encoder::start(Arc::clone(&shared), running.clone())?;
        for (lane_idx, (load, families)) in loads.into_iter().enumerate() {
            let worker = worker::Worker {
                shared: Arc::clone(&shared),
                lane_idx,
                families,
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
        let model = &job.binding.plan().model;
        let lane = self.shared.lane_of(model);
        let lane = lane.ok_or_else(|| SubmitError::UnknownModel(model.clone()))?;
        let id = JobId(self.shared.jobs.fetch_add(1, Ordering::Relaxed));
        let (to, outcome) = oneshot::channel();
        let (say, events) = mpsc::unbounded_channel();
        let mut desk = lane.desk();
        if desk.is_closed {
            return Err(SubmitError::ShuttingDown);
        }
        let now = self.shared.settings.clock.now();
        let admitted = {
            let latency = self.shared.latency();
            desk.agenda.admit(now, &latency, id, &Arc::new(job))
        };
        self.shared.settings.metrics.admission(match &admitted {
            Ok(()) => Admission::Admitted,
            Err(NoRoom::Full { .. }) => Admission::Full,
            Err(NoRoom::Late { .. }) => Admission::NoRoom,
        });
        if admitted.is_err() {
            desk.doubts.turned_away();
        }
        admitted.map_err(|refused| self.shared.refusal(refused))?;
        desk.replies.insert(id, Reply::new(to, say));
        drop(desk);
        lane.changed.notify_all();
        self.shared.tell_backlog();
        Ok(Ticket {
            id,
            outcome,
            events,
        })
    }

    /// Has a job stopped before its next step; false if it is not here any more.
    pub fn cancel(&self, id: JobId) -> bool {
        self.shared.lanes.iter().any(|lane| lane.cancel(id))
    }

    /// Has the device of a model timed again as soon as it is idle, since somebody was refused for the time that it
    /// is thought to take. Where that was done lately, or requests keep the device busy and are learned from, nothing
    /// happens.
    pub fn doubt(&self, model: &ModelId, doubt: Doubt) {
        let Some(lane) = self.shared.lane_of(model) else {
            return;
        };
        let now = self.shared.settings.clock.now();
        let mut desk = lane.desk();
        if desk.agenda.is_empty() && desk.doubts.raise(doubt, now) {
            drop(desk);
            lane.changed.notify_all();
        }
    }

    /// Returns where an admitted job stands; none once the device is done with it.
    pub fn standing(&self, id: JobId) -> Option<Standing> {
        let now = self.shared.settings.clock.now();
        let forecast = self.shared.latency().behind(Millis::ZERO);
        let mut lanes = self.shared.lanes.iter();
        lanes.find_map(|lane| lane.desk().agenda.standing(id, now, &forecast))
    }

    /// Returns the time that all admitted work is expected to take, on the busiest device.
    pub fn queued_work(&self) -> Millis {
        let queued = self.shared.queued();
        Millis(queued.iter().map(|lane| lane.work.0).fold(0.0, f64::max))
    }

    /// Brings all gauges up to date, as before they are read.
    pub fn tell_gauges(&self) {
        self.shared.tell_backlog();
        let Liveness {
            silent_for,
            workers_lost,
        } = self.liveness();
        let metrics = &self.shared.settings.metrics;
        metrics.state(self.readiness().is_ready(), silent_for, workers_lost);
    }

    /// Returns what the runtime is doing now.
    pub fn readiness(&self) -> Readiness {
        self.shared.readiness.borrow().clone()
    }

    /// Returns every change of the readiness from now on.
    pub fn watch_readiness(&self) -> watch::Receiver<Readiness> {
        self.shared.readiness.subscribe()
    }

    /// Returns what changes whenever the models of a device have been timed.
    pub fn watch_timed(&self) -> watch::Receiver<u64> {
        self.shared.timed.subscribe()
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
            lane.close();
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
        let unreached: usize = self.shared.lanes.iter().map(Lane::refuse_waiting).sum();
        let metrics = &self.shared.settings.metrics;
        metrics.jobs_ended(JobEnd::Stopped, unreached);
        tracing::warn!(
            jobs = unreached,
            "the grace is over; jobs that did not run are refused"
        );
        if tokio::time::timeout(LAST_STEP, ended.recv()).await.is_err() {
            tracing::error!("a worker did not stop within {LAST_STEP:?}; it is left behind");
        }
    }
}

impl Shared {
    fn lane_of(&self, model: &ModelId) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.models.contains(model))
    }

    fn latency(&self) -> std::sync::RwLockReadGuard<'_, LatencyModel> {
        let latency = self.settings.latency.read();
        latency.unwrap_or_else(PoisonError::into_inner)
    }

    fn refusal(&self, refused: NoRoom) -> SubmitError {
        match refused {
            NoRoom::Full { room_in } => SubmitError::Full {
                most_jobs: self.settings.rules.most_jobs,
                room_in,
            },
            NoRoom::Late { room_in } => SubmitError::NoRoom { room_in },
        }
    }

    /// What is ahead of every lane.
    fn queued(&self) -> Vec<Backlog> {
        let now = self.settings.clock.now();
        let forecast = self.latency().behind(Millis::ZERO);
        let of_lane = |lane: &Lane| lane.desk().agenda.backlog(now, &forecast);
        self.lanes.iter().map(of_lane).collect()
    }

    fn tell_backlog(&self) {
        let queued = self.queued();
        let metrics = &self.settings.metrics;
        let jobs = |count: fn(&Backlog) -> usize| queued.iter().map(count).sum();
        metrics.jobs_now(JobState::Waiting, jobs(|lane| lane.waiting));
        metrics.jobs_now(JobState::Running, jobs(|lane| lane.running));
        let work = queued.iter().map(|lane| lane.work).sum();
        let flops = queued.iter().map(|lane| lane.flops).sum();
        metrics.queued(work, flops);
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

    /// The models of a device were timed.
    fn timed(&self) {
        self.timed.send_modify(|times| *times += 1);
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
