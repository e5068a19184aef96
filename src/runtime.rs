//! Who runs the work, and when?

pub mod job;

pub use job::{Job, JobError, Outcome, Phases, Rendered, Ticket};
