//! The search: the best plan on offer that the budget allows.
//!
//! Everything a request may ask for is one search over one set. Pins and a negative prompt narrow
//! the candidates; the frontiers of what is left are on offer (`super::frontier`); `min_score`
//! and the limits rule some of them out; the arg-max is chosen, ties to the cheaper. `minimize` and
//! `quality: auto` differ only in what is optimised at the end.

use std::cmp::Ordering;

use super::{
    budget::{AUTO_TOLERANCE, Cost, Load, PlanRequest, Quality},
    candidates::Worth,
    cost_table::CostTable,
    frontier::{self, Offer},
    latency::LatencyModel,
    menu::Menu,
    plan::{Estimate, Plan},
    profile::{Profile, ProfileKind},
    refusal::Refusal,
    scores::ScoreTable,
    shortfall::{fastest_to_fit, without_pins},
    warning::PlanWarning,
};
use crate::{
    catalog::Family,
    units::{Flops, ImageSize, Millis},
};

/// Chooses plans for one family.
#[derive(Debug, Clone)]
pub struct Planner {
    pub(super) family: Family,
    pub(super) scores: ScoreTable,
    /// The size that was measured; scores say nothing of another one.
    pub(super) measured_size: Option<ImageSize>,
    pub(super) costs: CostTable,
}

/// The plan that was chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The plan.
    pub plan: Plan,
    /// What is predicted of it.
    pub estimate: Estimate,
    /// The sum of the request's phases, before machine speed and errors; absent if never timed.
    pub phases: Option<Millis>,
    /// What the client should know.
    pub warnings: Vec<PlanWarning>,
}

/// The limits a plan must keep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) latency: Option<Millis>,
    pub(super) flops: Option<Flops>,
}

impl Planner {
    /// Prepares the choice for a family, with its profile if it was measured. A literature profile
    /// offers no plans.
    pub fn new(family: &Family, profile: Option<Profile>) -> Self {
        Self::with_costs(family, profile, CostTable::of(family))
    }

    /// As [`Self::new`], with operations that were counted before or elsewhere.
    pub fn with_costs(family: &Family, profile: Option<Profile>, costs: CostTable) -> Self {
        let profile = profile.filter(|profile| profile.kind != ProfileKind::Literature);
        Self {
            scores: profile
                .as_ref()
                .map(|profile| ScoreTable::new(family, profile))
                .unwrap_or_default(),
            measured_size: profile.map(|profile| profile.size),
            family: family.clone(),
            costs,
        }
    }

    /// The family that is planned for.
    pub fn family(&self) -> &Family {
        &self.family
    }

    /// Chooses the plan for a request, or says why there is none.
    pub fn choose(
        &self,
        request: &PlanRequest,
        latency: &LatencyModel,
        load: Load,
    ) -> Result<Decision, Refusal> {
        let menu = self.menu(request, latency)?;
        let chosen = self.select(&menu, request, latency, load)?;
        Ok(self.decision(&chosen, request, latency, load))
    }

    /// The frontier on one axis for a request's size, pins and objective, cheapest first; its
    /// limits do not matter.
    pub fn frontier(
        &self,
        request: &PlanRequest,
        latency: &LatencyModel,
        axis: Cost,
    ) -> Result<Vec<Decision>, Refusal> {
        let menu = self.menu(request, latency)?;
        let entries = frontier::frontier(&menu.candidates, axis, |a, b| {
            a.worth
                .beats(b.worth, &self.scores, request.budget.objective)
        });
        Ok(entries
            .iter()
            .map(|offer| self.decision(offer, request, latency, Load::IDLE))
            .collect())
    }

    /// Selects from the menu, or says why nothing on it will do.
    pub(super) fn select(
        &self,
        menu: &Menu,
        request: &PlanRequest,
        latency: &LatencyModel,
        load: Load,
    ) -> Result<Offer, Refusal> {
        let eligible = self.eligible(menu, request, latency)?;
        let limits = self.limits(&eligible, request);
        if limits.latency.is_some() && eligible.iter().all(|offer| offer.phases.is_none()) {
            return Err(Refusal::LatencyUnknown);
        }
        let within = |load: Load| -> Vec<Offer> {
            let keeps = |offer: &&Offer| keeps(offer, limits, latency, load);
            eligible.iter().filter(keeps).copied().collect()
        };
        let now = within(load);
        if let Some(chosen) = best(&now, request) {
            return Ok(chosen);
        }
        match fastest_to_fit(&within(Load::IDLE), limits, latency, load) {
            Some(overloaded) => Err(overloaded),
            None => Err(Refusal::Infeasible(
                self.infeasible(&eligible, limits, request, latency),
            )),
        }
    }

    /// The offers that reach `min_score`; a plan without a predicted score reaches none.
    pub(super) fn eligible(
        &self,
        menu: &Menu,
        request: &PlanRequest,
        latency: &LatencyModel,
    ) -> Result<Vec<Offer>, Refusal> {
        let Some(min_score) = request.budget.min_score else {
            return Ok(menu.offers.clone());
        };
        let score = |offer: &Offer| match offer.candidate.worth {
            Worth::Measured(_) => Some(offer.merit),
            Worth::Like(_) | Worth::Rank(_) => None,
        };
        let reaches = |offer: &&Offer| score(offer).is_some_and(|mean| mean >= min_score);
        let eligible: Vec<Offer> = menu.offers.iter().filter(reaches).copied().collect();
        if eligible.is_empty() {
            let freed = self.menu(&without_pins(request), latency)?;
            return Err(Refusal::MinScoreOutOfReach {
                min_score,
                best: menu.offers.iter().filter_map(score).reduce(f64::max),
                because_of_pins: freed.offers.iter().any(|offer| reaches(&offer)),
            });
        }
        Ok(eligible)
    }

    /// The limits in numbers. A named budget that grants less than the cheapest eligible plan needs
    /// grants that plan; beside an explicit number of operations it grants nothing.
    pub(super) fn limits(&self, eligible: &[Offer], request: &PlanRequest) -> Limits {
        let budget = &request.budget;
        let named = budget
            .quality
            .and_then(|quality| quality.flops_per_image(&self.family.budgets))
            .map(|per_image| {
                let floor = least(eligible.iter().map(|offer| offer.flops.0));
                Flops((per_image * f64::from(request.n_images)).0.max(floor))
            });
        Limits {
            latency: budget.latency,
            flops: budget.flops.or(named),
        }
    }

    pub(super) fn decision(
        &self,
        offer: &Offer,
        request: &PlanRequest,
        latency: &LatencyModel,
        load: Load,
    ) -> Decision {
        Decision {
            plan: offer
                .candidate
                .plan(&self.family, &self.scores, request.size),
            estimate: self.estimate(offer, request, latency, load),
            phases: offer.phases,
            warnings: self.warnings(offer, request, latency),
        }
    }

    pub(super) fn estimate(
        &self,
        offer: &Offer,
        request: &PlanRequest,
        latency: &LatencyModel,
        load: Load,
    ) -> Estimate {
        let candidate = &offer.candidate;
        let tflops = offer.flops.tflops();
        Estimate {
            latency_ms: offer.phases.map(|sum| latency.estimate(sum, load.queued)),
            tflops,
            tflops_per_image: tflops / f64::from(request.n_images.max(1)),
            nfe: offer.nfe,
            score: candidate
                .worth
                .score(&self.scores, request.budget.objective),
        }
    }

    fn warnings(
        &self,
        offer: &Offer,
        request: &PlanRequest,
        latency: &LatencyModel,
    ) -> Vec<PlanWarning> {
        let known_size = self.measured_size == Some(request.size);
        let unmeasured = match offer.candidate.worth {
            Worth::Measured(_) => None,
            Worth::Like(_) if known_size => Some(PlanWarning::UnmeasuredPin),
            Worth::Like(_) | Worth::Rank(_) => Some(PlanWarning::Unmeasured),
        };
        let unlearned = request.budget.latency.is_some() && !latency.is_learned();
        unmeasured
            .into_iter()
            .chain(unlearned.then_some(PlanWarning::LatencyUnlearned))
            .collect()
    }
}

/// Whether the plan is predicted to keep the limits at p95 behind what waits already.
pub(super) fn keeps(offer: &Offer, limits: Limits, latency: &LatencyModel, load: Load) -> bool {
    limits.flops.is_none_or(|limit| offer.flops <= limit)
        && limits.latency.is_none_or(|limit| {
            let predicted = offer.phases.map(|sum| latency.estimate(sum, load.queued));
            predicted.is_some_and(|estimate| estimate.p95 <= limit)
        })
}

/// The one to choose among offers that all keep the limits.
pub(super) fn best(feasible: &[Offer], request: &PlanRequest) -> Option<Offer> {
    let budget = &request.budget;
    if let Some(axis) = budget.minimize {
        return cheapest(feasible.iter(), axis);
    }
    let top = feasible.iter().map(|offer| offer.merit).reduce(f64::max)?;
    let is_auto = budget.quality.unwrap_or_default() == Quality::Auto && !budget.is_limited();
    let tolerance = if is_auto { AUTO_TOLERANCE } else { 0.0 };
    let good = feasible
        .iter()
        .filter(|offer| offer.merit >= top - tolerance);
    cheapest(good, Cost::Tflops)
}

/// The cheapest on one axis; among equals the better one, then the cheaper one on the other axis.
pub(super) fn cheapest<'o>(offers: impl Iterator<Item = &'o Offer>, axis: Cost) -> Option<Offer> {
    let other = match axis {
        Cost::Tflops => Cost::Latency,
        Cost::Latency => Cost::Tflops,
    };
    let order = |a: &&Offer, b: &&Offer| -> Ordering {
        (a.cost(axis).total_cmp(&b.cost(axis)))
            .then(b.merit.total_cmp(&a.merit))
            .then(a.cost(other).total_cmp(&b.cost(other)))
    };
    offers.min_by(order).copied()
}

fn least(numbers: impl Iterator<Item = f64>) -> f64 {
    numbers.fold(f64::INFINITY, f64::min)
}
