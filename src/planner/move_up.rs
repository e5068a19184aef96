//! Could a picture on its way go on with a larger model, and would that be better?
//!
//! Only where a plan was measured that begins as this picture did: the same sampler, steps and guidance,
//! and the same models for the steps that it has behind it (trajectory stitching, small models first).

use super::{
    bill::{Bill, cheapest},
    budget::Cost,
    candidates::{self, Candidate},
    choice::{Decision, Planner},
    frontier::Offer,
    plan::Plan,
    search::Search,
};
use crate::{
    catalog::ModelId,
    diffusion::stages,
    units::{Millis, Steps},
};

impl Search<'_> {
    /// The best plan that goes on where `plan` is after `done` steps, is better than it by more than chance
    /// and whose phases take at most `most`; the cheapest of equals.
    pub(super) fn move_up(&self, plan: &Plan, done: Steps, most: Millis) -> Option<Decision> {
        // Who asked for the cheapest plan that is good enough wants no better one.
        if self.request.budget.minimize.is_some() {
            return None;
        }
        let planner = &self.now.menus.planner;
        let scores = &planner.scores;
        let objective = self.request.budget.objective;
        let current = scores.row_of(&planner.family, plan)?;
        let behind: Vec<&ModelId> = models_of(plan).take(done as usize).collect();
        let better: Vec<Candidate> = candidates::measured(&planner.family, scores, self.request)
            .filter(|next| next.steps == plan.steps && is_alike(planner, next, plan))
            .filter(|next| match next.worth {
                candidates::Worth::Measured(row) => scores.beats(row, current, objective),
                _ => false,
            })
            .filter(|next| {
                let next = next.plan(&planner.family, scores, plan.size);
                models_of(&next)
                    .take(done as usize)
                    .eq(behind.iter().copied())
            })
            .collect();
        if better.is_empty() {
            return None;
        }
        let phases = self.now.latency.phases();
        let better = better.into_iter();
        let priced = better.filter_map(|next| Some((next, planner.workload(&next)?)));
        let mut offers: Vec<Offer> = planner.priced(priced, self.request, phases).ok()?;
        for offer in &mut offers {
            offer.score = offer.candidate.worth.score(scores, objective);
        }
        let bills: Vec<Bill<'_>> = offers.iter().map(|offer| self.bill(offer)).collect();
        // What a name grants follows from everything the request could get, not from what is better than this.
        let menu = self.menu().ok()?;
        let limits = self.limits(&self.eligible(&menu).ok()?);
        let fits = |bill: &&Bill<'_>| {
            let in_time = bill.phases.is_some_and(|sum| sum <= most);
            in_time && limits.flops.is_none_or(|limit| bill.flops <= limit)
        };
        let fitting: Vec<Bill<'_>> = bills.iter().filter(fits).copied().collect();
        let best = fitting.iter().map(Bill::merit).reduce(f64::max)?;
        let good = fitting.iter().filter(|bill| bill.merit() >= best);
        cheapest(good, Cost::Latency).map(|bill| self.decision(&bill))
    }
}

/// Whether two plans differ in their models alone, and the other one is stitched.
fn is_alike(planner: &Planner, next: &Candidate, plan: &Plan) -> bool {
    let variant = planner.scores.variant(next.variant);
    !variant.stages.is_empty()
        && next.sampler == plan.sampler
        && next.guidance_scale == plan.guidance_scale
        && variant.guidance_interval == plan.guidance_interval
        && variant.candidates == plan.candidates
}

/// The model of every step.
fn models_of(plan: &Plan) -> impl Iterator<Item = &ModelId> {
    let counts = stages::steps_of(&plan.stages, plan.steps);
    let models = plan.models().zip(counts);
    models.flat_map(|(model, count)| std::iter::repeat_n(model, count as usize))
}
