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

use super::{budget::Cost, candidates::Candidate};
use crate::units::{Flops, Millis, Nfe};

/// A candidate with what a request would pay for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Offer {
    pub(super) candidate: Candidate,
    /// What is maximised.
    pub(super) merit: f64,
    /// Network evaluations of one picture.
    pub(super) nfe: Nfe,
    /// Operations of the whole request.
    pub(super) flops: Flops,
    /// Sum of the request's phases, before machine speed and errors; absent if never timed. Both are
    /// factors common to all plans, so the order of the sums is the order of the latencies.
    pub(super) phases: Option<Millis>,
}

impl Offer {
    /// The cost on one axis, infinite where it is unknown.
    pub(super) fn cost(&self, axis: Cost) -> f64 {
        match axis {
            Cost::Tflops => self.flops.0,
            Cost::Latency => self.phases.map_or(f64::INFINITY, |sum| sum.0),
        }
    }

    fn other_cost(&self, axis: Cost) -> f64 {
        self.cost(match axis {
            Cost::Tflops => Cost::Latency,
            Cost::Latency => Cost::Tflops,
        })
    }
}

/// The frontier on one axis, cheapest first: strictly ordered in cost and merit. `beats` says whether
/// its first argument is better than its second one by more than chance.
pub(super) fn frontier(
    candidates: &[Offer],
    axis: Cost,
    beats: impl Fn(&Candidate, &Candidate) -> bool,
) -> Vec<Offer> {
    let known = |offer: &&Offer| offer.cost(axis).is_finite();
    let mut by_cost: Vec<&Offer> = candidates.iter().filter(known).collect();
    by_cost.sort_by(|a, b| {
        let (cost_a, cost_b) = (a.cost(axis), b.cost(axis));
        cost_a
            .total_cmp(&cost_b)
            .then(b.merit.total_cmp(&a.merit))
            .then(a.other_cost(axis).total_cmp(&b.other_cost(axis)))
    });
    let mut entries: Vec<Offer> = Vec::new();
    for offer in by_cost {
        let enters = entries.last().is_none_or(|last| {
            offer.merit > last.merit && beats(&offer.candidate, &last.candidate)
        });
        if enters {
            entries.push(*offer);
        }
    }
    entries
}

/// Everything on offer: both frontiers, each plan once.
pub(super) fn offers(
    candidates: &[Offer],
    beats: impl Fn(&Candidate, &Candidate) -> bool,
) -> Vec<Offer> {
    let mut offered = frontier(candidates, Cost::Tflops, &beats);
    for offer in frontier(candidates, Cost::Latency, &beats) {
        if offered
            .iter()
            .all(|known| known.candidate != offer.candidate)
        {
            offered.push(offer);
        }
    }
    offered
}
