//! What would this request pay for a plan on offer, now?
//!
//! An offer knows the work of one picture. A request pays for its texts once and for every picture, with
//! the times that hold now: the same sum for all plans but for the factor of the pictures, so the order
//! of the offers does not depend on their number.

use std::cmp::Ordering;

use super::{
    budget::{AUTO_TOLERANCE, Cost, PlanRequest, Quality},
    candidates::Worth,
    frontier::Offer,
    latency::Forecast,
};
use crate::units::{Flops, Millis};

/// An offer with what a request would pay for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bill<'m> {
    pub(super) offer: &'m Offer,
    /// Operations of the whole request.
    pub(super) flops: Flops,
    /// Sum of the request's phases, before machine speed and errors; absent if never timed. Both are
    /// factors common to all plans, so the order of the sums is the order of the latencies.
    pub(super) phases: Option<Millis>,
}

/// The limits a plan must keep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) latency: Option<Millis>,
    pub(super) flops: Option<Flops>,
}

impl Bill<'_> {
    /// What is maximised.
    pub(super) fn merit(&self) -> f64 {
        self.offer.merit
    }

    /// The cost on one axis, infinite where it is unknown.
    pub(super) fn cost(&self, axis: Cost) -> f64 {
        match axis {
            Cost::Tflops => self.flops.0,
            Cost::Latency => self.phases.map_or(f64::INFINITY, |sum| sum.0),
        }
    }

    /// The row of the score table that is about the plan itself.
    pub(super) fn measured_row(&self) -> Option<usize> {
        match self.offer.candidate.worth {
            Worth::Measured(row) => Some(row),
            Worth::Like(_) | Worth::Rank(_) => None,
        }
    }

    /// Whether the plan is predicted to keep the limits at p99.
    pub(super) fn keeps(&self, limits: Limits, forecast: &Forecast) -> bool {
        let in_time = |limit| self.phases.is_some_and(|sum| forecast.p99(sum) <= limit);
        limits.flops.is_none_or(|limit| self.flops <= limit) && limits.latency.is_none_or(in_time)
    }
}

/// The one to choose among bills that all keep the limits.
pub(super) fn best<'b, 'm: 'b>(
    feasible: impl Iterator<Item = &'b Bill<'m>> + Clone,
    request: &PlanRequest,
) -> Option<Bill<'m>> {
    let budget = &request.budget;
    if let Some(axis) = budget.minimize {
        return cheapest(feasible, axis);
    }
    let top = feasible.clone().map(Bill::merit).reduce(f64::max)?;
    let is_auto = budget.quality.unwrap_or_default() == Quality::Auto && !budget.is_limited();
    let tolerance = if is_auto { AUTO_TOLERANCE } else { 0.0 };
    let good = feasible.filter(|bill| bill.merit() >= top - tolerance);
    cheapest(good, Cost::Tflops)
}

/// The cheapest on one axis; among equals the better one, then the cheaper one on the other axis.
pub(super) fn cheapest<'b, 'm: 'b>(
    bills: impl Iterator<Item = &'b Bill<'m>>,
    axis: Cost,
) -> Option<Bill<'m>> {
    let other = axis.other();
    let order = |a: &&Bill<'_>, b: &&Bill<'_>| -> Ordering {
        (a.cost(axis).total_cmp(&b.cost(axis)))
            .then(b.merit().total_cmp(&a.merit()))
            .then(a.cost(other).total_cmp(&b.cost(other)))
    };
    bills.min_by(order).copied()
}
