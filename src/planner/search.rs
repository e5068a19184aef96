//! The search: the best plan on offer that the budget allows.
//!
//! Everything a request may ask for is one search over one set. Pins and a negative prompt narrow
//! the candidates; the frontiers of what is left are on offer (`super::menu`); `min_score`
//! and the limits rule some of them out; the arg-max is chosen, ties to the cheaper. `minimize` and
//! `quality: auto` differ only in what is optimised at the end.
//!
//! A menu may be kept for long; what a request pays for its plans is computed here, with the times of
//! the moment, so that a promise is as fresh as the latency model.

use std::sync::Arc;

use super::{
    bill::{Bill, Limits, best, cheapest},
    budget::{Cost, Load, PlanRequest},
    candidates::Worth,
    choice::Decision,
    frontier::Offer,
    latency::{Forecast, LatencyModel},
    menu::Menu,
    menus::Menus,
    phases::FamilyTimes,
    plan::{Estimate, Plan},
    refusal::Refusal,
    shortfall::{fastest_to_fit, without_pins},
    warning::PlanWarning,
};
use crate::{
    catalog::Family,
    units::{Flops, ImageSize, Millis},
};

/// How much longer than the fastest plan a floor may take. At the fast end of a frontier a little time buys much:
/// of the default family a fifth more than the fastest takes the score from 0.06 to 0.72.
const FLOOR_SLACK: f64 = 1.25;

/// The machine at one moment, for pictures of one size.
pub(super) struct Now<'a> {
    pub(super) menus: &'a Menus,
    pub(super) latency: &'a LatencyModel,
    pub(super) load: Load,
    pub(super) idle: Forecast,
    /// Behind the work that waits.
    pub(super) behind: Forecast,
    times: FamilyTimes,
}

/// A request at one moment.
#[derive(Clone, Copy)]
pub(super) struct Search<'a> {
    pub(super) now: &'a Now<'a>,
    pub(super) request: &'a PlanRequest,
}

impl<'a> Now<'a> {
    pub(super) fn new(
        menus: &'a Menus,
        size: ImageSize,
        latency: &'a LatencyModel,
        load: Load,
    ) -> Self {
        Self {
            times: latency.phases().of_family(&menus.planner.family, size),
            idle: latency.behind(Load::IDLE.queued),
            behind: latency.behind(load.queued),
            menus,
            latency,
            load,
        }
    }
}

impl<'a> Search<'a> {
    /// The same search for a request that differs in something else than its size.
    pub(super) fn of<'b>(&self, request: &'b PlanRequest) -> Search<'b>
    where
        'a: 'b,
    {
        Search {
            now: self.now,
            request,
        }
    }

    pub(super) fn choose(&self) -> Result<Decision, Refusal> {
        let menu = self.menu()?;
        let eligible = self.eligible(&menu)?;
        let chosen = self.select(&eligible, self.limits(&eligible))?;
        Ok(self.decision(&chosen))
    }

    /// The choice among plans whose phases take no longer than `most`; none if all of them do.
    pub(super) fn choose_within(&self, most: Millis) -> Result<Option<Decision>, Refusal> {
        let menu = self.menu()?;
        let mut eligible = self.eligible(&menu)?;
        let limits = self.limits(&eligible);
        eligible.retain(|bill| bill.phases.is_none_or(|sum| sum <= most));
        let keeps = |bill: &&Bill<'_>| bill.keeps(limits, &self.now.behind);
        let chosen = best(eligible.iter().filter(keeps), self.request);
        Ok(chosen.map(|bill| self.decision(&bill)))
    }

    /// The least plan that the request may end on: the best one that takes not much longer than the fastest,
    /// or the one of the fewest operations where no time is known.
    pub(super) fn floor(&self) -> Result<Decision, Refusal> {
        let menu = self.menu()?;
        let eligible = self.eligible(&menu)?;
        let limits = self.limits(&eligible);
        let keeps = |bill: &&Bill<'_>| bill.keeps(limits, &self.now.behind);
        let keeping = || eligible.iter().filter(keeps);
        match cheapest(keeping(), Cost::Latency) {
            Some(fastest) => {
                let most = fastest.cost(Cost::Latency) * FLOOR_SLACK;
                let near = keeping().filter(|bill| bill.cost(Cost::Latency) <= most);
                Ok(self.decision(&best(near, self.request).unwrap_or(fastest)))
            }
            None => self
                .select(&eligible, limits)
                .map(|chosen| self.decision(&chosen)),
        }
    }

    /// The frontier on one axis, cheapest first, as it would be on an idle server. An entry that the
    /// times of the moment put behind a better one is left out.
    pub(super) fn frontier(&self, axis: Cost) -> Result<Vec<Decision>, Refusal> {
        let menu = self.menu()?;
        let mut entries: Vec<Decision> = Vec::new();
        let mut cheapest_above = f64::INFINITY;
        for offer in menu.frontier(axis).rev() {
            let bill = self.bill(offer);
            if bill.cost(axis) < cheapest_above {
                cheapest_above = bill.cost(axis);
                entries.push(self.decision(&bill));
            }
        }
        entries.reverse();
        Ok(entries)
    }

    /// Everything the request could get.
    pub(super) fn menu(&self) -> Result<Arc<Menu>, Refusal> {
        self.now.menus.menu(self.request)
    }

    pub(super) fn bill<'m>(&self, offer: &'m Offer) -> Bill<'m> {
        let n_images = self.request.n_images;
        let text = self.now.menus.planner.costs.text * f64::from(self.request.n_prompts());
        let times = &self.now.times;
        Bill {
            flops: text + offer.flops * f64::from(n_images),
            phases: times.request(&offer.workload, self.request.n_new_texts(), n_images),
            offer,
        }
    }

    /// The offers that reach `min_score`; a plan without a predicted score reaches none.
    pub(super) fn eligible<'m>(&self, menu: &'m Menu) -> Result<Vec<Bill<'m>>, Refusal> {
        let min_score = self.request.budget.min_score;
        let mean = |offer: &Offer| offer.score.map(|score| score.mean);
        let reaches = |offer: &&Offer| {
            min_score.is_none_or(|least| mean(offer).is_some_and(|mean| mean >= least))
        };
        let mut eligible: Vec<Bill<'m>> = Vec::with_capacity(menu.offers.len());
        let good = menu.offers.iter().filter(reaches);
        eligible.extend(good.map(|offer| self.bill(offer)));
        match min_score {
            Some(min_score) if eligible.is_empty() => {
                let freed = self.of(&without_pins(self.request)).menu()?;
                Err(Refusal::MinScoreOutOfReach {
                    min_score,
                    best: menu.offers.iter().filter_map(mean).reduce(f64::max),
                    because_of_pins: freed.offers.iter().any(|offer| reaches(&offer)),
                })
            }
            _ => Ok(eligible),
        }
    }

    /// The limits in numbers. A named budget that grants less than the cheapest eligible plan needs
    /// grants that plan; beside an explicit number of operations the lower one counts.
    pub(super) fn limits(&self, eligible: &[Bill<'_>]) -> Limits {
        let budget = &self.request.budget;
        let budgets = self.now.menus.planner.budgets();
        let named = budget
            .quality
            .and_then(|quality| quality.flops_per_image(budgets))
            .map(|per_image| {
                let least = eligible.iter().map(|bill| bill.flops.0);
                let floor = least.fold(f64::INFINITY, f64::min);
                Flops((per_image * f64::from(self.request.n_images)).0.max(floor))
            });
        Limits {
            latency: budget.latency,
            flops: match (budget.flops, named) {
                (Some(limit), Some(named)) if named < limit => Some(named),
                (limit, named) => limit.or(named),
            },
        }
    }

    /// Selects from what is eligible, or says why nothing of it will do.
    pub(super) fn select<'m>(
        &self,
        eligible: &[Bill<'m>],
        limits: Limits,
    ) -> Result<Bill<'m>, Refusal> {
        if limits.latency.is_some() && eligible.iter().all(|bill| bill.phases.is_none()) {
            return Err(Refusal::LatencyUnknown);
        }
        let now = self.now;
        let keeps = |bill: &&Bill<'m>| bill.keeps(limits, &now.behind);
        if let Some(chosen) = best(eligible.iter().filter(keeps), self.request) {
            return Ok(chosen);
        }
        let on_idle = |bill: &&Bill<'m>| bill.keeps(limits, &now.idle);
        match fastest_to_fit(eligible.iter().filter(on_idle), limits, now) {
            Some(overloaded) => Err(overloaded),
            None => Err(Refusal::Infeasible(self.infeasible(eligible, limits))),
        }
    }

    pub(super) fn decision(&self, bill: &Bill<'_>) -> Decision {
        Decision {
            plan: self.plan(bill),
            estimate: self.estimate(bill),
            phases: bill.phases,
            workload: bill.offer.workload.clone(),
            warnings: self.warnings(bill),
        }
    }

    pub(super) fn plan(&self, bill: &Bill<'_>) -> Plan {
        if let Some(exact) = &self.request.pins.plan {
            return exact.clone();
        }
        let planner = &self.now.menus.planner;
        let candidate = &bill.offer.candidate;
        candidate.plan(&planner.family, &planner.scores, self.request.size)
    }

    pub(super) fn estimate(&self, bill: &Bill<'_>) -> Estimate {
        let tflops = bill.flops.tflops();
        Estimate {
            latency_ms: bill.phases.map(|sum| self.now.behind.estimate(sum)),
            tflops,
            tflops_per_image: tflops / f64::from(self.request.n_images.max(1)),
            nfe: bill.offer.nfe,
            score: bill.offer.score,
        }
    }

    pub(super) fn p99(&self, bill: &Bill<'_>) -> Option<Millis> {
        bill.phases.map(|sum| self.now.behind.p99(sum))
    }

    /// The standard error of the difference of two predicted scores; none where one was never measured.
    pub(super) fn paired_error(&self, a: &Bill<'_>, b: &Bill<'_>) -> Option<f64> {
        let (a, b) = a.measured_row().zip(b.measured_row())?;
        let scores = &self.now.menus.planner.scores;
        Some(scores.paired_error(a, b, self.request.budget.objective))
    }

    pub(super) fn family(&self) -> &'a Family {
        &self.now.menus.planner.family
    }

    fn warnings(&self, bill: &Bill<'_>) -> Vec<PlanWarning> {
        let known_size = self.now.menus.planner.measured_size == Some(self.request.size);
        let unmeasured = match bill.offer.candidate.worth {
            Worth::Measured(_) => None,
            _ if self.request.pins.plan.is_some() => Some(PlanWarning::UnmeasuredPlan),
            Worth::Like(_) if known_size => Some(PlanWarning::UnmeasuredPin),
            Worth::Like(_) | Worth::Rank(_) => Some(PlanWarning::Unmeasured),
        };
        let is_learned = self.now.latency.is_learned();
        let unlearned = self.request.budget.latency.is_some() && !is_learned;
        unmeasured
            .into_iter()
            .chain(unlearned.then_some(PlanWarning::LatencyUnlearned))
            .collect()
    }
}
