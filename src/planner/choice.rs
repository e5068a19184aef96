//! Who chooses? What is known of one family, in the form that the search reads.
//!
//! A [`Planner`] holds what depends on nothing but the family and its profile: scores, operations and
//! the work of every measured plan. [`Menus`] adds a phase table and keeps what follows from it; the
//! search itself (`super::search`) selects from them for one request.

use std::sync::Arc;

use super::{
    budget::{Cost, Load, PlanRequest},
    candidates::{Candidate, Worth},
    cost_table::CostTable,
    explain::Explanation,
    latency::LatencyModel,
    menus::Menus,
    plan::{Estimate, Plan},
    profile::{Profile, ProfileKind},
    refusal::Refusal,
    rushed::Rushed,
    scores::{Curve, ScoreTable},
    warning::PlanWarning,
    workload::Workload,
};
use crate::{
    catalog::{Family, NamedBudgets},
    diffusion::noise_schedule::NoiseSchedule,
    units::{ImageSize, Millis},
};

/// Chooses plans for one family. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct Planner {
    pub(super) family: Arc<Family>,
    pub(super) scores: Arc<ScoreTable>,
    /// The size that was measured; scores say nothing of another one.
    pub(super) measured_size: Option<ImageSize>,
    /// Where the scores come from, if there are any.
    pub(super) kind: Option<ProfileKind>,
    /// What `quality` means.
    pub(super) budgets: NamedBudgets,
    pub(super) costs: Arc<CostTable>,
    /// The work of every row of the scores; none where there is no such trajectory.
    works: Arc<[Option<Workload>]>,
    pub(super) rushed: Arc<Rushed>,
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
    /// What the plan makes the device do for one picture.
    pub workload: Workload,
    /// What the client should know.
    pub warnings: Vec<PlanWarning>,
}

impl Decision {
    /// A plan that nobody chose and of which nothing is predicted, of one of the family's models.
    pub fn unpredicted(plan: Plan, family: &Family) -> Self {
        let workload = Workload::of(&plan, family).unwrap_or_default();
        Self {
            estimate: Estimate {
                latency_ms: None,
                tflops: 0.0,
                tflops_per_image: 0.0,
                nfe: workload.nfe(),
                score: None,
            },
            plan,
            phases: None,
            workload,
            warnings: Vec::new(),
        }
    }
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
        let rushed = profile
            .as_ref()
            .map(|profile| Rushed::of(&profile.cells, &profile.rush));
        let scores = profile
            .as_ref()
            .map(|profile| ScoreTable::new(family, profile))
            .unwrap_or_default();
        let rows = scores.curves.iter().flat_map(Curve::candidates);
        let schedule = NoiseSchedule::new(&family.noise_schedule).ok();
        let mut planner = Self {
            works: rows
                .map(|row| row.workload(family, &scores, schedule.as_ref()))
                .collect(),
            scores: Arc::new(scores),
            rushed: Arc::new(rushed.unwrap_or_default()),
            kind: profile.as_ref().map(|profile| profile.kind),
            measured_size: profile.map(|profile| profile.size),
            family: Arc::new(family.clone()),
            budgets: NamedBudgets::default(),
            costs: Arc::new(costs),
        };
        planner.budgets = family.budgets.unwrap_or_else(|| planner.spread_budgets());
        planner
    }

    /// The family that is planned for.
    pub fn family(&self) -> &Family {
        &self.family
    }

    /// Chooses the plan for a request, or says why there is none. It makes the request's menu anew;
    /// [`Menus::choose`] answers the same from one that was kept.
    pub fn choose(
        &self,
        request: &PlanRequest,
        latency: &LatencyModel,
        load: Load,
    ) -> Result<Decision, Refusal> {
        Menus::on_demand(self, latency.phases()).choose(request, latency, load)
    }

    /// Chooses as [`Self::choose`] does, and says why.
    pub fn explain(
        &self,
        request: &PlanRequest,
        latency: &LatencyModel,
        load: Load,
    ) -> Result<Explanation, Refusal> {
        Menus::on_demand(self, latency.phases()).explain(request, latency, load)
    }

    /// The frontier on one axis for a request's size, pins and objective, cheapest first; its
    /// limits do not matter.
    pub fn frontier(
        &self,
        request: &PlanRequest,
        latency: &LatencyModel,
        axis: Cost,
    ) -> Result<Vec<Decision>, Refusal> {
        Menus::on_demand(self, latency.phases()).frontier(request, latency, axis)
    }

    /// What a candidate makes the device do for one picture; none if there is no such trajectory.
    pub(super) fn workload(&self, candidate: &Candidate) -> Option<Workload> {
        match candidate.worth {
            Worth::Measured(row) => self.works[row].clone(),
            // What was not measured has no variant, and so no interval.
            Worth::Like(_) | Worth::Rank(_) => candidate.workload(&self.family, &self.scores, None),
        }
    }
}
