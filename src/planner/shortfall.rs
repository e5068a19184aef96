//! Nothing fits: is it the load or the request, and what would do?

use super::{
    bill::{Bill, Limits, cheapest},
    budget::{Cost, Pins, PlanRequest},
    latency::Forecast,
    refusal::{Infeasible, Limit, MinimumFeasible, Refusal, enough_tflops, enough_time},
    search::{Now, Search},
};
use crate::units::Millis;

impl Search<'_> {
    /// Says which limit is in the way, what would do, and what is to blame for it.
    pub(super) fn infeasible(&self, eligible: &[Bill<'_>], limits: Limits) -> Infeasible {
        let request = self.request;
        let (limit, minimum_feasible) = minimum_feasible(eligible, limits, &self.now.idle);
        let would_fit = |freed: &PlanRequest| {
            let search = self.of(freed);
            search.menu().is_ok_and(|menu| {
                let keeps = |bill: &Bill<'_>| bill.keeps(limits, &self.now.idle);
                let eligible = search.eligible(&menu);
                eligible.is_ok_and(|bills| bills.iter().any(keeps))
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
pub(super) fn fastest_to_fit<'b, 'm: 'b>(
    idle: impl Iterator<Item = &'b Bill<'m>>,
    limits: Limits,
    now: &Now<'_>,
) -> Option<Refusal> {
    let sum = cheapest(idle, Cost::Latency)?.phases?;
    let queue = now.latency.longest_queue(sum, limits.latency?)?;
    Some(Refusal::Overloaded {
        fastest: now.behind.p99(sum),
        retry_after: Millis((now.load.queued.0 - queue.0).max(0.0)),
    })
}

/// Which limit is in the way on an idle server, and the least that would do.
fn minimum_feasible(
    eligible: &[Bill<'_>],
    limits: Limits,
    idle: &Forecast,
) -> (Limit, MinimumFeasible) {
    let p99 = |bill: &Bill<'_>| Some(enough_time(idle.p99(bill.phases?)));
    let in_time = |bill: &&Bill<'_>| {
        let only = Limits {
            flops: None,
            ..limits
        };
        bill.keeps(only, idle)
    };
    let in_flops = |bill: &&Bill<'_>| limits.flops.is_none_or(|limit| bill.flops <= limit);
    let fastest = cheapest(eligible.iter().filter(in_flops), Cost::Latency);
    let leanest = cheapest(eligible.iter().filter(in_time), Cost::Tflops);
    let latency_ms = fastest.as_ref().and_then(p99);
    let tflops = leanest.map(|bill| enough_tflops(bill.flops));
    let limit = match (latency_ms, tflops) {
        (Some(_), Some(_)) => Limit::Either,
        (Some(_), None) => Limit::Latency,
        (None, Some(_)) => Limit::Tflops,
        (None, None) => {
            let timed = || eligible.iter().filter(|bill| bill.phases.is_some());
            let tflops = cheapest(timed(), Cost::Tflops).map(|bill| enough_tflops(bill.flops));
            // Several plans may share the least operations, once they are rounded up.
            let leanest = timed().filter(|bill| tflops.is_some_and(|t| bill.flops.tflops() <= t));
            let both = MinimumFeasible {
                latency_ms: cheapest(leanest, Cost::Latency).as_ref().and_then(p99),
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
