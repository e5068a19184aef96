//! Where does the work happen? The real executor owns a device; tests have one that owns a script.

use std::ops::ControlFlow;

use super::Job;
use crate::{
    catalog::ModelId,
    units::{Flops, ImageSize, Memory, Nfe, Steps},
};

pub mod pipeline;

/// A place where a job can stop, named for what was just done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// The prompt is encoded.
    Text,
    /// One sampling step of one picture ran.
    Step,
    /// The candidates of one picture are ranked.
    Rank,
    /// One picture is decoded.
    Decode,
}

/// Told of every boundary; `Break` stops the job there.
pub type OnBoundary<'a> = dyn FnMut(Boundary) -> ControlFlow<()> + 'a;

/// Draws pictures. It reads no clock: whoever calls it times the boundaries.
pub trait Executor {
    /// Draws one picture for each seed of the job.
    fn draw(&mut self, job: &Job, on_boundary: &mut OnBoundary<'_>) -> Result<Drawn, DrawError>;

    /// Compares one picture's latents with a prompt, for whoever times it; what they show does not matter.
    fn rank(&mut self, family: &str, _prompt: &str, size: ImageSize) -> Result<(), DrawError> {
        let reason = format!("this device ranks no pictures of {size} of family {family:?}");
        Err(DrawError::Failed(reason))
    }

    /// Forgets what it kept from earlier jobs to be faster, so that the next job takes its full time.
    fn forget(&mut self) {}

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
pub type EncodeImage = fn(&Job, &Picture) -> Result<Vec<u8>, String>;

/// What an executor made of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// One for each seed, in order.
    pub pictures: Vec<Picture>,
    /// Network evaluations of all pictures together.
    pub nfe: Nfe,
    /// Operations that ran.
    pub flops: Flops,
    /// Prompts that the text encoder ran for; the others were kept from earlier jobs.
    pub texts_encoded: u32,
    /// Tokens at the end of the prompt that the text encoder had no place for.
    pub tokens_cut: usize,
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

/// Why there are no pictures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DrawError {
    /// The caller said so at a boundary.
    #[error("stopped")]
    Stopped,
    /// The engine refused or failed this job.
    #[error("{0}")]
    Failed(String),
}
