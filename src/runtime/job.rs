//! What is handed in, and what comes back? No tensor crosses this boundary.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};

use super::binding::{Binder, Binding};
use crate::{
    catalog::{Family, ModelId},
    planner::{Decision, Plan, Rush, StepLap},
    units::{FileFormat, Flops, Millis, Moment, Nfe, Steps},
};

/// One request's work.
#[derive(Debug, Clone)]
pub struct Job {
    /// What to draw.
    pub prompt: String,
    /// What to steer away from; empty for none.
    pub negative_prompt: String,
    /// One picture for each seed.
    pub seeds: Vec<u64>,
    /// The family's models, in the order that timetables count them by.
    pub models: Arc<[ModelId]>,
    /// What each picture becomes.
    pub format: FileFormat,
    /// When the request's head was parsed.
    pub arrived: Moment,
    /// What was granted from then to the last byte of the reply; none for no limit.
    pub limit: Option<Millis>,
    /// What happens when that cannot be kept.
    pub on_late: OnLate,
    /// What an idle server would do.
    pub binding: Binding,
    /// The least that it may end on.
    pub floor: Binding,
    /// Chooses again.
    pub binder: Arc<dyn Binder>,
    /// Whether somebody listens to its events.
    pub wants_events: bool,
    /// Pictures on their way that are shown, for each picture.
    pub partial_images: u32,
}

impl Job {
    /// A job that runs this plan and no other, without a deadline: nothing is predicted of it.
    pub fn of_plan(prompt: &str, plan: Plan, family: &Family, seeds: &[u64]) -> Self {
        let binding = Binding::unpredicted(plan, family);
        Self {
            prompt: prompt.to_owned(),
            negative_prompt: String::new(),
            seeds: seeds.to_vec(),
            models: family.models.iter().map(|card| card.id.clone()).collect(),
            format: FileFormat::default(),
            arrived: Moment::default(),
            limit: None,
            on_late: OnLate::RunLate,
            floor: binding.clone(),
            binder: Arc::new(binding.clone()),
            binding,
            wants_events: false,
            partial_images: 0,
        }
    }
}

/// What happens to a request that cannot be in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnLate {
    /// It takes fewer steps, as far as its least score allows; beyond that it is refused.
    #[default]
    Degrade,
    /// It is refused.
    Reject,
    /// It is finished late.
    RunLate,
}

/// Names a job of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// What came out of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// One picture for each seed, in order.
    pub images: Vec<Rendered>,
    /// What was run, and what was predicted of it when it was chosen for the last time.
    pub decision: Decision,
    /// Where the time went.
    pub phases: Phases,
    /// When everything of it was there.
    pub answered: Moment,
    /// Every evaluation that moved one of its pictures.
    pub steps: Vec<StepLap>,
    /// Network evaluations of all pictures together.
    pub nfe: Nfe,
    /// Operations that ran.
    pub flops: Flops,
    /// Prompts that the text encoder ran for; the others were kept from earlier jobs.
    pub texts_encoded: u32,
    /// Latents that were compared with the prompt.
    pub n_ranked: u32,
    /// Tokens at the end of the prompt that the text encoder had no place for.
    pub tokens_cut: usize,
}

/// One finished picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The file, in the job's format.
    pub file: Vec<u8>,
    /// The seed that reproduces it alone.
    pub seed: u64,
    /// Steps that ran.
    pub steps_run: Steps,
    /// Where its trajectory was shortened to be in time, if it was.
    pub rush: Option<Rush>,
}

/// Time spent in each phase of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Phases {
    /// Waiting for the device, before it began and between its steps.
    pub queue: Millis,
    /// Encoding the prompt.
    pub text: Millis,
    /// All network evaluations.
    pub denoise: Millis,
    /// The ranking of candidates.
    pub rank: Millis,
    /// Latents to pixels.
    pub decode: Millis,
    /// Pixels to files.
    pub encode: Millis,
}

impl Phases {
    /// Time on the device, the queue and the encoder left out.
    pub fn on_device(&self) -> Millis {
        self.text + self.denoise + self.rank + self.decode
    }
}

/// Why a job is not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// As many jobs are admitted as may be.
    #[error("{most_jobs} requests wait for the device already; try again when some are done")]
    Full {
        /// How many may wait.
        most_jobs: usize,
        /// When there is room again, as far as is known.
        room_in: Duration,
    },
    /// It could not be in time, or would make somebody late who was admitted before.
    #[error(
        "an idle server could do this in time, but not behind the requests that were admitted before; \
         try again in {} ms, or grant more time", room_in.as_millis().max(1)
    )]
    NoRoom {
        /// When there is room, if nobody else comes.
        room_in: Duration,
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

/// Why a job has no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The engine refused or failed this job alone.
    #[error("the picture could not be made: {0}")]
    Failed(String),
    /// A fault in the program; the worker went on.
    #[error("the worker failed while making this picture; the fault was logged")]
    Panicked,
    /// Its deadline cannot be kept, and it would rather have nothing than be late.
    #[error("the deadline cannot be kept any more")]
    DeadlineExceeded,
    /// It was cancelled by name.
    #[error("the job was cancelled")]
    Cancelled,
    /// The server is stopping and did not get to this job.
    #[error("the server is shutting down")]
    ShuttingDown,
}

/// What happens on the way to an outcome.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The device has begun.
    Begun(Box<Decision>),
    /// A picture has taken one more step.
    Step {
        /// Its place among the job's.
        picture: usize,
        /// Steps that it has behind it.
        done: Steps,
        /// Steps that it will take.
        total: Steps,
    },
    /// A picture on its way.
    Partial {
        /// Its place among the job's.
        picture: usize,
        /// Which one of that picture's, from 0.
        number: u32,
        /// The encoded file.
        file: Vec<u8>,
    },
    /// A picture is finished.
    Picture {
        /// Its place among the job's.
        picture: usize,
        /// The picture.
        rendered: Rendered,
    },
}

/// The claim to a job's outcome. Dropping it cancels the job at the next step.
#[derive(Debug)]
pub struct Ticket {
    /// Names the job.
    pub id: JobId,
    pub(crate) outcome: oneshot::Receiver<Result<Outcome, JobError>>,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
}

impl Ticket {
    /// Waits for the outcome.
    pub async fn outcome(self) -> Result<Outcome, JobError> {
        self.outcome.await.unwrap_or(Err(JobError::Panicked))
    }

    /// Waits for the next event; none once the outcome is there. To be asked for by those who show events:
    /// they wait for nobody else.
    pub async fn event(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}
