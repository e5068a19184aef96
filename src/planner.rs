//! Which plan is the best one within this budget?
//!
//! A pure function of catalog, profile, latency model, load and request: no clock, no I/O, no
//! tensors, no async. The same input gives the same plan.

pub mod budget;
pub mod cost;
pub mod plan;

pub use budget::{Budget, Cost, Objective, Pins, PlanRequest};
pub use plan::{Estimate, LatencyEstimate, Plan, ScoreEstimate};
