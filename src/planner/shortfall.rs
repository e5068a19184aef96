//! Nothing fits: is it the load or the request, and what would do?

use super::{
    budget::{Cost, Load, Pins, PlanRequest},
    choice::{Limits, Planner, cheapest, keeps},
    frontier::Offer,
    latency::LatencyModel,
    refusal::{Infeasible, Limit, MinimumFeasible, Refusal, enough_tflops, enough_time},
};
use crate::units::Millis;

impl Planner {
    /// Says which limit is in the way, what would do, and what is to blame for it.
    pub(super) fn infeasible(
        &self,
        eligible: &[Offer],
        limits: Limits,
        request: &PlanRequest,
        latency: &LatencyModel,
    ) -> Infeasible {
        let (limit, minimum_feasible) = minimum_feasible(eligible, limits, latency);
        let would_fit = |freed: &PlanRequest| {
            self.menu(freed, latency)
                .and_then(|menu| self.eligible(&menu, freed, latency))
                .is_ok_and(|offers| {
                    let keeps = |offer: &Offer| keeps(offer, limits, latency, Load::IDLE);
                    offers.iter().any(keeps)
                })
        };
        Infeasible {
            limit,
            minimum_feasible,
            because_of_pins: !request.pins.is_empty() && would_fit(&without_pins(request)),
            because_of_min_score: request.budget.min_score.is_some()
                && would_fit(&without_min_score(request)),
        }
    }
}

/// What to tell if plans fit an idle server only: when the queue will have become short enough for
/// the fastest of them.
pub(super) fn fastest_to_fit(
    idle: &[Offer],
    limits: Limits,
    latency: &LatencyModel,
    load: Load,
) -> Option<Refusal> {
    let sum = cheapest(idle.iter(), Cost::Latency)?.phases?;
    let queue = latency.longest_queue(sum, limits.latency?)?;
    Some(Refusal::Overloaded {
        fastest: latency.estimate(sum, load.queued).p95,
        retry_after: Millis((load.queued.0 - queue.0).max(0.0)),
    })
}

/// Which limit is in the way on an idle server, and the least that would do.
fn minimum_feasible(
    eligible: &[Offer],
    limits: Limits,
    latency: &LatencyModel,
) -> (Limit, MinimumFeasible) {
    let p95 = |offer: &Offer| {
        let sum = offer.phases?;
        Some(enough_time(latency.estimate(sum, Millis::ZERO).p95))
    };
    let in_time = |offer: &&Offer| {
        let only = Limits {
            flops: None,
            ..limits
        };
        keeps(offer, only, latency, Load::IDLE)
    };
    let in_flops = |offer: &&Offer| limits.flops.is_none_or(|limit| offer.flops <= limit);
    let fastest = cheapest(eligible.iter().filter(in_flops), Cost::Latency);
    let leanest = cheapest(eligible.iter().filter(in_time), Cost::Tflops);
    let latency_ms = fastest.as_ref().and_then(p95);
    let tflops = leanest.map(|offer| enough_tflops(offer.flops));
    let limit = match (latency_ms, tflops) {
        (Some(_), Some(_)) => Limit::Either,
        (Some(_), None) => Limit::Latency,
        (None, Some(_)) => Limit::Tflops,
        (None, None) => {
            let timed = || eligible.iter().filter(|offer| offer.phases.is_some());
            let tflops = cheapest(timed(), Cost::Tflops).map(|offer| enough_tflops(offer.flops));
            // Several plans may share the least operations, once they are rounded up.
            let leanest = timed().filter(|offer| tflops.is_some_and(|t| offer.flops.tflops() <= t));
            let both = MinimumFeasible {
                latency_ms: cheapest(leanest, Cost::Latency).as_ref().and_then(p95),
                tflops,
            };
            return (Limit::Both, both);
        }
    };
    (limit, MinimumFeasible { latency_ms, tflops })
}

pub(super) fn without_pins(request: &PlanRequest) -> PlanRequest {
    PlanRequest {
        pins: Pins::default(),
        ..request.clone()
    }
}

fn without_min_score(request: &PlanRequest) -> PlanRequest {
    let mut freed = request.clone();
    freed.budget.min_score = None;
    freed.budget.minimize = None;
    freed
}
