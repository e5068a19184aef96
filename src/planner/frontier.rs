//! Which plans are worth offering, whatever the budget?
//!
//! A frontier goes from the cheapest plan upwards; a plan enters only if it beats the last entry by
//! more than one standard error of the paired difference, so that luck in the measurement is not
//! sold as progress (the winner's curse) and ties go to the cheaper plan.
//!
//! What is offered must not depend on the budget. A frontier built within each budget would drop a
//! plan that is one small step above a newly affordable one, and more budget could buy less. So the
//! offer is the union of the frontier in order of operations and the frontier in order of latency,
//! over all plans that agree with the pins; the budget only selects from it. A larger budget then
//! selects from a larger set, on either axis.

use super::{budget::Cost, candidates::Candidate, plan::ScoreEstimate, workload::Workload};
use crate::units::{Flops, Millis, Nfe};

/// A candidate with what one picture of it costs, its prompt left out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Offer {
    pub(super) candidate: Candidate,
    pub(super) workload: Workload,
    /// What is maximised.
    pub(super) merit: f64,
    /// The score that may be told; none if it was never measured, or is not on offer yet.
    pub(super) score: Option<ScoreEstimate>,
    /// Network evaluations of one picture.
    pub(super) nfe: Nfe,
    /// Operations, whole ones.
    pub(super) flops: Flops,
    /// Sum of the phases by the table that the menu was made with, in whole nanoseconds; absent if never
    /// timed. Only the order of plans comes from it, never a promise.
    pub(super) phases: Option<Millis>,
}

impl Offer {
    /// The cost on one axis, infinite where it is unknown.
    fn cost(&self, axis: Cost) -> f64 {
        match axis {
            Cost::Tflops => self.flops.0,
            Cost::Latency => self.phases.map_or(f64::INFINITY, |sum| sum.0),
        }
    }
}

/// The frontier on one axis, cheapest first: strictly ordered in cost and merit. `beats` says whether
/// its first argument is better than its second one by more than chance.
pub(super) fn frontier(
    candidates: &[Offer],
    axis: Cost,
    beats: impl Fn(&Candidate, &Candidate) -> bool,
) -> Vec<&Offer> {
    let known = |offer: &&Offer| offer.cost(axis).is_finite();
    let mut by_cost: Vec<&Offer> = candidates.iter().filter(known).collect();
    let other = axis.other();
    by_cost.sort_by(|a, b| {
        (a.cost(axis).total_cmp(&b.cost(axis)))
            .then(b.merit.total_cmp(&a.merit))
            .then(a.cost(other).total_cmp(&b.cost(other)))
    });
    let mut entries: Vec<&Offer> = Vec::new();
    for offer in by_cost {
        let enters = entries.last().is_none_or(|last| {
            offer.merit > last.merit && beats(&offer.candidate, &last.candidate)
        });
        if enters {
            entries.push(offer);
        }
    }
    entries
}
