//! Which plan is the best one within this budget?
//!
//! A pure function of catalog, profile, latency model, load and request: no clock, no I/O, no
//! tensors, no async. The same input gives the same plan.
//!
//! In reading order: a [`Profile`] is what was measured, `scores` what lies between the measured
//! step counts, `candidates` every plan that may be offered, `frontier` the ones worth offering, `menu`
//! what one kind of request is offered (`exact`, if it names its whole plan), [`menus`] those that are kept, `bill` what a request would pay,
//! `search` the choice, [`explain`] the same search with its reasons.

pub mod budget;
pub mod choice;
pub mod cost;
pub mod explain;
pub mod latency;
pub mod menus;
pub mod phases;
pub mod plan;
pub mod precision;
pub mod predictions;
pub mod profile;
pub mod refusal;

mod bill;
mod candidates;
mod cost_table;
mod exact;
mod finished;
mod frontier;
mod loss;
mod menu;
mod move_up;
mod named_budgets;
mod pchip;
mod pins_cost;
mod rushed;
mod scores;
mod search;
mod shortfall;
mod timetable;
mod token;
mod warning;
mod workload;

#[cfg(test)]
pub(crate) mod test_family;

pub use budget::{AUTO_TOLERANCE, Budget, Cost, Load, Objective, Pins, PlanRequest, Quality};
pub use choice::{Decision, Planner};
pub use cost_table::{CostTable, SizeCost};
pub use explain::{Explanation, Needs, Notice, RunnerUp, UnknownWord, Upgrade};
pub use finished::{Finished, Ran, StepLap, Took};
pub use latency::{Forecast, LatencyModel};
pub use loss::Loss;
pub use menus::{Freshness, Menus};
pub use phases::{PhaseKey, PhaseTime, PhaseTimes};
pub use pins_cost::PinsCost;
pub use plan::{Candidates, Estimate, LatencyEstimate, Plan, ScoreEstimate};
pub use predictions::{Predictions, Sample};
pub use profile::{Profile, ProfileError, Rush};
pub use refusal::{Conflict, Infeasible, Limit, MinimumFeasible, Refusal};
pub use timetable::{StepTime, Timetable};
pub use token::{PlanToken, PlanTokenError};
pub use warning::PlanWarning;
pub use workload::{Leg, Workload};
