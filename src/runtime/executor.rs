//! Where does the work happen? The real executor owns a device; tests and simulations have their own.
//!
//! An executor does one piece of work at a time and holds the tensors of what is on its way. It reads no
//! clock and decides nothing: whoever calls it times the calls.

use super::{Job, JobId};
use crate::{
    catalog::ModelId,
    planner::Plan,
    units::{Flops, Memory, Nfe, Steps},
};

pub mod faulty;
pub mod pipeline;

/// Names one trajectory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    /// Its job.
    pub job: JobId,
    /// The place of its picture among the job's.
    pub picture: usize,
    /// Its place among the picture's candidates.
    pub candidate: u32,
}

/// Draws pictures, piece by piece.
pub trait Executor {
    /// Encodes a job's prompts and keeps what they say until [`Self::end`].
    fn encode_text(&mut self, id: JobId, job: &Job, plan: &Plan) -> Result<Texts, DrawError>;

    /// Draws the noise that a trajectory of a plan starts from.
    fn begin(&mut self, row: RowKey, seed: u64) -> Result<(), DrawError>;

    /// Moves trajectories one step on, in one evaluation: their next steps are of one model and one size.
    /// The outer error means that none moved, an inner one is about its trajectory alone.
    fn step(&mut self, rows: &[RowKey]) -> Result<Vec<Result<Stepped, DrawError>>, DrawError>;

    /// Returns which candidate of a picture suits the prompt best, and lets go of the others.
    fn rank(&mut self, job: JobId, picture: usize, candidates: &[u32])
    -> Result<Ranked, DrawError>;

    /// Turns a trajectory into a picture: its latents at its end, its estimate of them before.
    fn decode(&mut self, row: RowKey) -> Result<Decoded, DrawError>;

    /// Has a trajectory take so many steps in place of all that it has ahead.
    fn shorten(&mut self, row: RowKey, left: Steps) -> Result<(), DrawError>;

    /// Has a trajectory take the steps that it has ahead as another plan has them, whose steps so far are
    /// the same.
    fn move_up(&mut self, row: RowKey, plan: &Plan) -> Result<(), DrawError>;

    /// Returns what a trajectory looks like now, as far as that can be told at next to no cost.
    fn preview(&mut self, row: RowKey) -> Option<Picture>;

    /// Lets go of everything that it holds for a job.
    fn end(&mut self, job: JobId);

    /// Forgets what it kept of a prompt to be faster, so that the next job with it takes its full time.
    fn forget(&mut self, _prompt: &str) {}

    /// What it holds in memory between jobs.
    fn memory(&self) -> Memory {
        Memory::default()
    }
}

/// Told of every model whose weights are loaded.
pub type OnLoaded<'a> = dyn FnMut(&ModelId) + 'a;

/// Makes an executor on the thread that will use it, which may take minutes.
pub type LoadExecutor =
    Box<dyn FnOnce(&mut OnLoaded<'_>) -> Result<Box<dyn Executor>, String> + Send>;

/// Turns one picture of a job into a file; runs on another thread than the executor.
pub type EncodeImage = fn(&Job, &Plan, &Picture) -> Result<Vec<u8>, String>;

/// A job's prompts are encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Texts {
    /// Prompts that the text encoder ran for; the others were kept from earlier jobs.
    pub n_encoded: u32,
    /// Tokens at the end of the prompt that the text encoder had no place for.
    pub tokens_cut: usize,
    /// Operations that ran.
    pub flops: Flops,
}

/// A trajectory took a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stepped {
    /// Its network evaluations: 2 where it was guided.
    pub nfe: Nfe,
    /// Operations that ran for it.
    pub flops: Flops,
}

/// Candidates were compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// The one that suits the prompt best.
    pub best: u32,
    /// Operations that ran.
    pub flops: Flops,
}

/// A trajectory was decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// What it became.
    pub picture: Picture,
    /// Operations that ran.
    pub flops: Flops,
}

/// A decoded picture: 8-bit RGB, rows from the top, `3 * width * height` bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
    /// The bytes.
    pub rgb: Vec<u8>,
    /// The seed that reproduces it alone.
    pub seed: u64,
    /// Steps that ran.
    pub steps_run: Steps,
}

/// Why there are no pictures: the engine refused or failed this one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DrawError(pub String);
