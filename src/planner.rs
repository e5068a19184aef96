//! Which plan is the best one within this budget?
//!
//! A pure function of catalog, profile, latency model, load and request: no clock, no I/O, no
//! tensors, no async. The same input gives the same plan.
//!
//! In reading order: a [`Profile`] is what was measured, `scores` what lies between the measured
//! step counts, `candidates` every plan that may be offered with its cost, `frontier` the ones worth
//! offering, [`choice`] the search, [`explain`] the same search with its reasons.

pub mod budget;
pub mod choice;
pub mod cost;
pub mod explain;
pub mod latency;
pub mod phases;
pub mod plan;
pub mod profile;
pub mod refusal;

mod candidates;
mod cost_table;
mod finished;
mod frontier;
mod menu;
mod pchip;
mod scores;
mod shortfall;
mod warning;
mod workload;

#[cfg(test)]
mod test_family;

pub use budget::{AUTO_TOLERANCE, Budget, Cost, Load, Objective, Pins, PlanRequest, Quality};
pub use choice::{Decision, Planner};
pub use cost_table::{CostTable, SizeCost};
pub use explain::{Explanation, Loss, Needs, Notice, RunnerUp, Upgrade};
pub use finished::{Finished, Ran, Took};
pub use latency::LatencyModel;
pub use phases::{PhaseKey, PhaseTime, PhaseTimes};
pub use plan::{Candidates, Estimate, LatencyEstimate, Plan, ScoreEstimate};
pub use profile::{Profile, ProfileError};
pub use refusal::{Conflict, Infeasible, Limit, MinimumFeasible, Refusal};
pub use warning::PlanWarning;
pub use workload::{Leg, Workload};
