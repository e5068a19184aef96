//! goldilocks: a text-to-image server that takes a budget with every request and answers with
//! the picture of the plan that measured scaling data predict to be the best one within it.
//!
//! The modules in reading order, each with the question it answers:
//!
//! - [`units`]: what do the numbers mean?
//! - [`files`]: how is a file written so that nobody ever sees half of it?
//! - [`catalog`]: which models are hosted, and what are they made of?
//! - [`diffusion`]: what does a trajectory from noise to a latent look like, as numbers?
//! - [`planner`]: which plan is the best one within this budget? (pure: no clock, no I/O)
//! - [`engine`]: how does a plan become a picture? (tensors live here and in the evaluator only)
//! - [`runtime`]: who runs the work, and when?
//! - [`evaluator`]: how good is a picture?
//! - [`calibrate`]: what does each plan cost here, and what is it worth?
//! - [`load`]: what do users ask for, and what do they get?
//! - [`telemetry`]: what does the operator see?
//! - [`api`]: what does a client see?
//! - [`progress`]: how far is long work?
//! - [`config`] and [`cli`]: what does the person at the terminal see?

pub mod api;
pub mod calibrate;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod diffusion;
pub mod engine;
pub mod evaluator;
pub mod files;
pub mod load;
pub mod planner;
pub mod progress;
pub mod runtime;
pub mod simulate;
pub mod telemetry;
pub mod units;
