//! What should a client know about an answer that it gets all the same?

use crate::{
    planner::{Notice, PlanWarning},
    telemetry::Metrics,
};

/// The code of every warning in a reply.
pub(in crate::api) const CODES: [&str; 3] = ["unmeasured", "unmeasured_pin", "latency_unlearned"];

/// Returns what the client should know about a request and its plan, and counts it.
pub(in crate::api) fn of(
    metrics: &Metrics,
    of_plan: impl IntoIterator<Item = Notice>,
) -> Vec<Notice> {
    let notices: Vec<Notice> = of_plan.into_iter().collect();
    for notice in &notices {
        metrics.warned(notice.code);
    }
    notices
}

/// Returns the planner's warnings as a client reads them.
pub(in crate::api) fn told(warnings: Vec<PlanWarning>) -> impl Iterator<Item = Notice> {
    warnings.into_iter().map(Notice::from)
}
