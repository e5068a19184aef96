//! What does a request get that names its whole plan? That plan or nothing: its menu has one offer.

use super::{
    budget::{Pins, PlanRequest},
    candidates::{Candidate, Worth},
    choice::Planner,
    plan::Plan,
    refusal::{Conflict, Refusal},
    workload::Workload,
};

impl Planner {
    /// Refuses a plan that the family cannot run, or that the rest of the request does not agree with.
    pub(super) fn check_exact(&self, plan: &Plan, request: &PlanRequest) -> Result<(), Refusal> {
        if let Some(field) = other_pin(&request.pins) {
            return Err(Refusal::Conflict(Conflict::PinBesidePlan { field }));
        }
        if plan.size != request.size {
            return Err(Refusal::Conflict(Conflict::SizeBesidePlan {
                plan: plan.size,
                asked: request.size,
            }));
        }
        if request.has_negative_prompt && !plan.is_guided() {
            return Err(Refusal::Conflict(Conflict::NegativePromptUnguidedPlan));
        }
        for model in plan.models() {
            self.known_model(model)?;
        }
        match self.impossible(plan) {
            None => Ok(()),
            Some(reason) => Err(Refusal::Conflict(Conflict::ImpossiblePlan {
                reason: Box::new(reason),
            })),
        }
    }

    /// Why the family cannot run a plan of its models, if it cannot.
    fn impossible(&self, plan: &Plan) -> Option<Conflict> {
        let (family, sampler, steps) = (&self.family, plan.sampler, plan.steps);
        let max = family.noise_schedule.max_steps(sampler);
        if steps as usize > max {
            return Some(Conflict::TooManySteps {
                sampler,
                steps,
                max,
            });
        }
        let is_distilled = family.model(&plan.model.0).is_some_and(|m| m.distilled);
        if is_distilled && plan.is_guided() {
            let model = plan.model.clone();
            return Some(Conflict::GuidedDistilled { model });
        }
        if plan.candidates.is_some() && !family.ranks(plan.size) {
            return Some(Conflict::NothingRanks { size: plan.size });
        }
        Workload::of(plan, family)
            .is_none()
            .then_some(Conflict::NoTrajectory { sampler, steps })
    }

    /// The candidate that stands for a plan that [`Self::check_exact`] let pass, with its work. It does not
    /// know the plan's variant, which may be none of the measured ones: the plan itself tells.
    pub(super) fn exact(&self, plan: &Plan) -> Option<(Candidate, Workload)> {
        let models = &self.family.models;
        let is_measured = self.measured_size == Some(plan.size);
        let row = is_measured
            .then(|| self.scores.row_of(&self.family, plan))
            .flatten();
        let candidate = Candidate {
            model: models.iter().position(|card| card.id == plan.model)?,
            sampler: plan.sampler,
            steps: plan.steps,
            guidance_scale: plan.guidance_scale,
            variant: None,
            worth: row.map_or(Worth::Rank(0.0), Worth::Measured),
        };
        Some((candidate, Workload::of(plan, &self.family)?))
    }
}

/// The request field of a pin beside the plan.
fn other_pin(pins: &Pins) -> Option<&'static str> {
    let fields = [
        ("model", pins.model.is_some()),
        ("sampler", pins.sampler.is_some()),
        ("num_inference_steps", pins.steps.is_some()),
        ("guidance_scale", pins.guidance_scale.is_some()),
    ];
    let pinned = fields.into_iter().find(|(_, is_pinned)| *is_pinned);
    pinned.map(|(field, _)| field)
}
