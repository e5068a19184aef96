//! What is counted of a request for pictures, in whatever form it is answered? Whether its limits held, and
//! whether what was predicted of it did.

use super::{Spec, request::OBJECTIVES};
use crate::{
    api::{error::ApiError, state::AppState},
    planner::{Finished, LatencyEstimate, ScoreEstimate},
    runtime::Outcome,
    telemetry::{Basis, BudgetEnd, BudgetKind, LatencyClass, Metrics, Percentile},
    units::Millis,
};

/// It was not admitted. What no server could have answered is no limit's fault.
pub(super) fn not_admitted(metrics: &Metrics, spec: &Spec<'_>, error: &ApiError) {
    let end = match error.status().as_u16() {
        422 => BudgetEnd::Infeasible,
        429 | 500.. => BudgetEnd::Refused,
        _ => return,
    };
    ended(metrics, spec, end);
}

/// It was admitted, and there are no pictures.
pub(super) fn given_up(metrics: &Metrics, spec: &Spec<'_>, error: &ApiError) {
    if *error != ApiError::Cancelled {
        ended(metrics, spec, BudgetEnd::GivenUp);
    }
}

/// The same became of every limit.
fn ended(metrics: &Metrics, spec: &Spec<'_>, end: BudgetEnd) {
    let budget = &spec.plan_request.budget;
    let class = LatencyClass::of(budget.latency);
    if budget.latency.is_some() {
        metrics.budget(BudgetKind::Latency, class, end);
    }
    if budget.flops.is_some() {
        metrics.budget(BudgetKind::Tflops, class, end);
    }
}

/// Its pictures are there.
pub(super) fn delivered(metrics: &Metrics, spec: &Spec<'_>, outcome: &Outcome, latency: Millis) {
    let plan = &outcome.decision.plan;
    metrics.generated((&plan.model.0, plan.sampler.name(), plan.steps), latency);
    let budget = &spec.plan_request.budget;
    let class = LatencyClass::of(budget.latency);
    let within = |kind, used: f64| {
        let is_kept = used <= 1.0;
        let end = if is_kept {
            BudgetEnd::Attained
        } else {
            BudgetEnd::Missed
        };
        metrics.budget(kind, class, end);
        metrics.budget_used(kind, used);
    };
    if let Some(limit) = budget.latency {
        within(BudgetKind::Latency, latency.0 / limit.0);
    }
    if let Some(limit) = budget.flops {
        within(BudgetKind::Tflops, outcome.flops.0 / limit.0);
    }
}

/// What its pictures are predicted to be worth.
pub(super) fn scored(metrics: &Metrics, spec: &Spec<'_>, scores: &[Option<ScoreEstimate>]) {
    let objective = spec.plan_request.budget.objective;
    let known = OBJECTIVES.iter().find(|(_, known)| *known == objective);
    let Some((name, _)) = known else { return };
    for score in scores.iter().flatten() {
        metrics.delivered(name, score.mean);
    }
}

/// Holds what was predicted of its latency against what it took. Predictions of a machine that is not known
/// yet are cautious on purpose, and are not judged.
pub(super) fn predicted(state: &AppState, finished: &Finished, outcome: &Outcome, latency: Millis) {
    let model = state.latency();
    let work = model.sum(finished);
    let work = work.map(|sum| model.estimate(sum, Millis::ZERO));
    let is_learned = model.is_learned();
    drop(model);
    let metrics = state.metrics();
    let worked = finished.whole();
    if let Some(work) = work {
        metrics.latency_ratio(worked.0 / work.p50.0);
    }
    if !is_learned {
        return;
    }
    let reply = outcome.decision.estimate.latency_ms;
    for (basis, estimate, actual) in [(Basis::Work, work, worked), (Basis::Reply, reply, latency)] {
        let Some(LatencyEstimate { p50, p95, p99 }) = estimate else {
            continue;
        };
        for (percentile, predicted) in [
            (Percentile::P50, p50),
            (Percentile::P95, p95),
            (Percentile::P99, p99),
        ] {
            metrics.prediction(basis, percentile, actual <= predicted);
        }
    }
}
