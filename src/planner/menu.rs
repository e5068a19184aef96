//! What could a request get, before its budget selects from it?
//!
//! The menu depends on the request's size, number of pictures, pins, negative prompt and objective,
//! and on the phase table; neither on the limits nor on the machine's speed. So it may be built once
//! and kept where candidates become many.

use super::{
    budget::{Objective, PlanRequest},
    candidates::{self, Candidate},
    choice::Planner,
    frontier::{self, Offer},
    latency::LatencyModel,
    profile::ProfileKind,
    refusal::{Conflict, Refusal},
};

/// Everything a request could get, before its budget selects from it.
pub(super) struct Menu {
    /// Every plan that agrees with the pins.
    pub(super) candidates: Vec<Offer>,
    /// Those worth offering.
    pub(super) offers: Vec<Offer>,
}

impl Planner {
    /// Everything the request could get. It depends on size, pins, negative prompt, objective and
    /// phase table, and neither on the limits nor on the machine's speed.
    pub(super) fn menu(
        &self,
        request: &PlanRequest,
        latency: &LatencyModel,
    ) -> Result<Menu, Refusal> {
        self.check(request)?;
        let mut plans: Vec<Candidate> = Vec::new();
        if self.measured_size == Some(request.size) {
            plans.extend(candidates::measured(&self.family, &self.scores, request));
        }
        if plans.is_empty() {
            plans = candidates::unmeasured(&self.family, &self.scores, request);
        }
        if plans.is_empty() {
            return Err(Refusal::Conflict(self.nothing_to_choose(request)));
        }
        let candidates = self.priced(&plans, request, latency)?;
        let offers = frontier::offers(&candidates, |a, b| {
            a.worth
                .beats(b.worth, &self.scores, request.budget.objective)
        });
        Ok(Menu { candidates, offers })
    }

    /// Refuses what no budget could make possible.
    fn check(&self, request: &PlanRequest) -> Result<(), Refusal> {
        let pins = &request.pins;
        let unguided = pins.guidance_scale == Some(1.0);
        if request.budget.minimize.is_some() && request.budget.min_score.is_none() {
            return Err(Refusal::Conflict(Conflict::MinimizeWithoutMinScore));
        }
        let wants_alignment = request.budget.objective == Objective::Alignment;
        if wants_alignment && self.kind == Some(ProfileKind::SelfReference) {
            let family = self.family.id.clone();
            return Err(Refusal::Conflict(Conflict::AlignmentUnknown { family }));
        }
        if request.has_negative_prompt && unguided {
            return Err(Refusal::Conflict(Conflict::NegativePromptUnguided));
        }
        let Some(id) = &pins.model else {
            return Ok(());
        };
        let Some(card) = self.family.model(&id.0) else {
            let known: Vec<&str> = self.family.models.iter().map(|m| m.id.0.as_str()).collect();
            return Err(Refusal::UnknownModel {
                model: id.0.clone(),
                family: self.family.id.clone(),
                known: known.join(", "),
            });
        };
        let model = card.id.clone();
        match card.distilled {
            true if request.has_negative_prompt => {
                Err(Refusal::Conflict(Conflict::NegativePromptDistilled {
                    model,
                }))
            }
            true if pins.guidance_scale.is_some() && !unguided => {
                Err(Refusal::Conflict(Conflict::GuidedDistilled { model }))
            }
            _ => Ok(()),
        }
    }

    /// Why no model of the family will do: it would take too many steps, or guidance is asked for, and
    /// all of them are distilled.
    fn nothing_to_choose(&self, request: &PlanRequest) -> Conflict {
        self.too_many_steps(request)
            .unwrap_or_else(|| self.all_distilled(request))
    }

    /// The conflict that the pinned number of steps makes, if it does; told of the model that can take
    /// the most.
    fn too_many_steps(&self, request: &PlanRequest) -> Option<Conflict> {
        let mut freed = request.clone();
        let steps = freed.pins.steps.take()?;
        let of_model = |model: usize| {
            let sampler = candidates::usual_sampler(&self.family.models[model], &freed);
            (self.family.noise_schedule.max_steps(sampler), sampler)
        };
        let models = candidates::models(&self.family, &freed).into_iter();
        let (max, sampler) = models.map(of_model).max_by_key(|(max, _)| *max)?;
        (steps as usize > max).then_some(Conflict::TooManySteps {
            sampler,
            steps,
            max,
        })
    }

    fn all_distilled(&self, request: &PlanRequest) -> Conflict {
        let model = self.family.models[0].id.clone();
        if request.has_negative_prompt {
            Conflict::NegativePromptDistilled { model }
        } else {
            Conflict::GuidedDistilled { model }
        }
    }

    fn priced(
        &self,
        plans: &[Candidate],
        request: &PlanRequest,
        latency: &LatencyModel,
    ) -> Result<Vec<Offer>, Refusal> {
        let Some(costs) = self.costs.at(request.size) else {
            let known: Vec<String> = self
                .costs
                .sizes
                .iter()
                .map(|s| s.size.to_string())
                .collect();
            return Err(Refusal::UnknownSize {
                size: request.size,
                known: known.join(", "),
            });
        };
        let (n_images, n_prompts) = (request.n_images, request.n_prompts());
        let times = latency.phases().of_family(&self.family, request.size);
        let text = self.costs.text * f64::from(n_prompts);
        let price = |candidate: &Candidate| {
            // A trajectory that does not exist was refused when the plans were listed.
            let workload = candidate.workload(&self.family, &self.scores)?;
            Some(Offer {
                candidate: *candidate,
                merit: candidate
                    .worth
                    .merit(&self.scores, request.budget.objective),
                nfe: workload.nfe(),
                flops: text + workload.flops(costs) * f64::from(n_images),
                phases: times.request(&workload, n_prompts, n_images),
            })
        };
        Ok(plans.iter().filter_map(price).collect())
    }
}
