//! What could a request get, before its budget selects from it?
//!
//! A menu depends on the request's size, pins, negative prompt and objective, and on the phase table;
//! neither on the limits, the load and the machine's speed, nor on the number of pictures. So it is made
//! once for many requests (`super::menus`).

use super::{
    budget::{Cost, Objective, PlanRequest},
    candidates::{self, Candidate},
    choice::Planner,
    frontier::{self, Offer},
    phases::PhaseTimes,
    profile::ProfileKind,
    refusal::{Conflict, Refusal},
    workload::Workload,
};
use crate::{
    catalog::{ModelCard, ModelId},
    units::{Flops, Millis},
};

/// Everything on offer: the frontiers on both axes, each plan once.
#[derive(Debug)]
pub(super) struct Menu {
    pub(super) offers: Vec<Offer>,
    /// The frontier in order of operations, as places among the offers.
    by_flops: Vec<usize>,
    /// The frontier in order of latency, as places among the offers.
    by_latency: Vec<usize>,
}

impl Menu {
    fn new(candidates: &[Offer], beats: impl Fn(&Candidate, &Candidate) -> bool) -> Self {
        let mut menu = Self {
            offers: Vec::new(),
            by_flops: Vec::new(),
            by_latency: Vec::new(),
        };
        for axis in [Cost::Tflops, Cost::Latency] {
            let entries = frontier::frontier(candidates, axis, &beats);
            let places = entries.into_iter().map(|entry| menu.place(entry)).collect();
            match axis {
                Cost::Tflops => menu.by_flops = places,
                Cost::Latency => menu.by_latency = places,
            }
        }
        menu
    }

    /// The place of an offer, the next one if it has none yet.
    fn place(&mut self, entry: &Offer) -> usize {
        let same = |offer: &Offer| offer.candidate == entry.candidate;
        let known = self.offers.iter().position(same);
        known.unwrap_or_else(|| {
            self.offers.push(entry.clone());
            self.offers.len() - 1
        })
    }

    /// The frontier on one axis, cheapest first.
    pub(super) fn frontier(&self, axis: Cost) -> impl DoubleEndedIterator<Item = &Offer> {
        let places = match axis {
            Cost::Tflops => &self.by_flops,
            Cost::Latency => &self.by_latency,
        };
        places.iter().map(|place| &self.offers[*place])
    }
}

impl Planner {
    /// Makes the menu of a request that [`Self::check`] let pass, with this phase table.
    pub(super) fn menu(&self, request: &PlanRequest, phases: &PhaseTimes) -> Result<Menu, Refusal> {
        let candidates = if let Some(plan) = &request.pins.plan {
            self.priced(self.exact(plan), request, phases)?
        } else {
            let plans = self.plans(request)?.into_iter();
            // A trajectory that does not exist was refused when the plans were listed.
            let works = plans.filter_map(|plan| Some((plan, self.workload(&plan)?)));
            self.priced(works, request, phases)?
        };
        let objective = request.budget.objective;
        let mut menu = Menu::new(&candidates, |a, b| {
            a.worth.beats(b.worth, &self.scores, objective)
        });
        // An error is a sum over replicates: taken for the few that are offered, and once.
        for offer in &mut menu.offers {
            offer.score = offer.candidate.worth.score(&self.scores, objective);
        }
        Ok(menu)
    }

    /// Every plan that agrees with the request.
    fn plans(&self, request: &PlanRequest) -> Result<Vec<Candidate>, Refusal> {
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
        Ok(plans)
    }

    /// Refuses what no budget could make possible.
    pub(super) fn check(&self, request: &PlanRequest) -> Result<(), Refusal> {
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
        if let Some(plan) = &pins.plan {
            return self.check_exact(plan, request);
        }
        if request.has_negative_prompt && unguided {
            return Err(Refusal::Conflict(Conflict::NegativePromptUnguided));
        }
        let Some(id) = &pins.model else {
            return Ok(());
        };
        let card = self.known_model(id)?;
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

    /// The family's model with this id.
    pub(super) fn known_model(&self, id: &ModelId) -> Result<&ModelCard, Refusal> {
        self.family.model(&id.0).ok_or_else(|| {
            let known: Vec<&str> = self.family.models.iter().map(|m| m.id.0.as_str()).collect();
            Refusal::UnknownModel {
                model: id.0.clone(),
                family: self.family.id.clone(),
                known: known.join(", "),
            }
        })
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

    pub(super) fn priced(
        &self,
        plans: impl IntoIterator<Item = (Candidate, Workload)>,
        request: &PlanRequest,
        phases: &PhaseTimes,
    ) -> Result<Vec<Offer>, Refusal> {
        let Some(costs) = self.costs.at(request.size) else {
            let sizes = self.costs.sizes.iter();
            let known: Vec<String> = sizes.map(|s| s.size.to_string()).collect();
            return Err(Refusal::UnknownSize {
                size: request.size,
                known: known.join(", "),
            });
        };
        let times = phases.of_family(&self.family, request.size);
        let objective = request.budget.objective;
        let price = |(candidate, workload): (Candidate, Workload)| Offer {
            merit: candidate.worth.merit(&self.scores, objective),
            score: None,
            nfe: workload.nfe(),
            // Whole operations and nanoseconds: two plans of the same work, whose terms were added in
            // another order, do not differ in cost.
            flops: Flops(workload.flops(costs).0.round()),
            phases: times.request(&workload, 0, 1).map(whole_nanoseconds),
            candidate,
            workload,
        };
        Ok(plans.into_iter().map(price).collect())
    }
}

fn whole_nanoseconds(span: Millis) -> Millis {
    Millis((span.0 * 1e6).round() / 1e6)
}
