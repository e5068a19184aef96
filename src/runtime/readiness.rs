//! Can the server answer, and if not yet, how far is it?

/// What a runtime is doing as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Loading weights, then timing them.
    Warming(Progress),
    /// Every worker takes jobs.
    Ready,
    /// A worker could not load its models; the process stays up to say so.
    Failed {
        /// What went wrong.
        reason: String,
    },
    /// Told to stop; admitted jobs still run.
    Draining,
}

impl Readiness {
    /// Whether jobs are admitted.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready)
    }
}

/// How far the warm-up is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Models whose weights are in memory.
    pub models_loaded: usize,
    /// Models whose speed on this machine is known.
    pub models_timed: usize,
    /// All models.
    pub models: usize,
}

/// Whether the workers move.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Liveness {
    /// The longest that a busy worker has gone without a step; zero when all are idle or warming.
    pub silent_for: std::time::Duration,
    /// Workers whose thread has ended before it was told to.
    pub workers_lost: usize,
}
