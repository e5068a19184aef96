//! What is handed in, and what comes back? No tensor crosses this boundary.

use tokio::sync::oneshot;

use crate::{
    planner::Plan,
    units::{FileFormat, Flops, Millis, Moment, Nfe, Steps},
};

/// One request's work, fully decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// What to draw.
    pub prompt: String,
    /// What to steer away from; empty for none.
    pub negative_prompt: String,
    /// How to draw it.
    pub plan: Plan,
    /// One picture for each seed.
    pub seeds: Vec<u64>,
    /// What each picture becomes.
    pub format: FileFormat,
    /// When the request's head was parsed.
    pub arrived: Moment,
    /// What the work is predicted to take, for the queue's length in seconds.
    pub predicted: Millis,
}

/// What came out of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// One picture for each seed, in order.
    pub images: Vec<Rendered>,
    /// Where the time went.
    pub phases: Phases,
    /// What each step took, in order, one picture after another.
    pub steps: Vec<Millis>,
    /// Network evaluations of all pictures together.
    pub nfe: Nfe,
    /// Operations that ran.
    pub flops: Flops,
    /// Prompts that the text encoder ran for; the others were kept from earlier jobs.
    pub texts_encoded: u32,
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
}

/// Time spent in each phase of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Phases {
    /// Waiting for the device.
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
    /// Time on the device and in the encoder, the queue left out.
    pub fn work(&self) -> Millis {
        self.text + self.denoise + self.rank + self.decode + self.encode
    }
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
    /// The server is stopping and did not get to this job.
    #[error("the server is shutting down")]
    ShuttingDown,
}

/// The claim to a job's outcome. Dropping it cancels the job at the next step.
#[derive(Debug)]
pub struct Ticket {
    pub(crate) outcome: oneshot::Receiver<Result<Outcome, JobError>>,
}

impl Ticket {
    /// Waits for the outcome.
    pub async fn outcome(self) -> Result<Outcome, JobError> {
        self.outcome.await.unwrap_or(Err(JobError::Panicked))
    }
}
