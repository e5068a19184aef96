//! Which plans are there to choose from?
//!
//! The measured plans and those between measured step counts, as far as they agree with the pins.
//! Where no measured plan agrees, the request is planned *as if* each unmeasured part were its
//! nearest measured neighbor, and the score is withheld.
//!
//! A distilled model is offered with its own sampler and unguided, the others never with that sampler.
//! A pin may put them together all the same, if no model suits it: such a plan is an unmeasured one.

use super::{
    budget::{Objective, PlanRequest},
    plan::{Plan, ScoreEstimate},
    scores::{Curve, ScoreTable, Variant},
    workload::{Course, Workload},
};
use crate::{
    catalog::{Family, ModelCard, SamplerKind},
    diffusion::noise_schedule::NoiseSchedule,
    units::{ImageSize, Steps},
};

/// How a model is run that was never measured, unless the request says otherwise.
struct Usual {
    sampler: SamplerKind,
    /// The most steps.
    steps: Steps,
    guidance_scale: f64,
}

/// What Stable Diffusion pipelines do: their guidance scale, and steps enough for most pictures.
const USUAL: Usual = Usual {
    sampler: SamplerKind::DpmPp2M,
    steps: 20,
    guidance_scale: 7.5,
};

/// Of a distilled model: more steps are seldom better (arXiv 2310.04378, section 5).
const USUAL_DISTILLED: Usual = Usual {
    sampler: SamplerKind::Lcm,
    steps: 4,
    guidance_scale: 1.0,
};

/// One plan to choose from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    /// Index into the family's models.
    pub(super) model: usize,
    pub(super) sampler: SamplerKind,
    pub(super) steps: Steps,
    pub(super) guidance_scale: f64,
    /// As [`ScoreTable::variant`] has it.
    pub(super) variant: Option<usize>,
    pub(super) worth: Worth,
}

/// On what ground a candidate is preferred.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Worth {
    /// This row of the score table is about it.
    Measured(usize),
    /// This row is about its nearest measured neighbor.
    Like(usize),
    /// Nothing was measured; the greater number is preferred. Numbers are at least 1 apart.
    Rank(f64),
}

impl Worth {
    /// What is maximised: the predicted score, the nearest neighbor's, or the rank.
    pub(super) fn merit(self, scores: &ScoreTable, objective: Objective) -> f64 {
        match self {
            Self::Measured(row) | Self::Like(row) => scores.mean(row, objective),
            Self::Rank(rank) => rank,
        }
    }

    /// The score that may be told.
    pub(super) fn score(self, scores: &ScoreTable, objective: Objective) -> Option<ScoreEstimate> {
        match self {
            Self::Measured(row) => Some(scores.score(row, objective)),
            Self::Like(_) | Self::Rank(_) => None,
        }
    }

    /// Whether it is better than `last` by more than chance.
    pub(super) fn beats(self, last: Self, scores: &ScoreTable, objective: Objective) -> bool {
        match (self, last) {
            (Self::Measured(a) | Self::Like(a), Self::Measured(b) | Self::Like(b)) => {
                scores.beats(a, b, objective)
            }
            _ => self.merit(scores, objective) > last.merit(scores, objective),
        }
    }
}

impl Candidate {
    /// The plan in full.
    pub(super) fn plan(&self, family: &Family, scores: &ScoreTable, size: ImageSize) -> Plan {
        let variant = scores.variant(self.variant);
        Plan {
            model: family.models[self.model].id.clone(),
            stages: variant.stages.clone(),
            sampler: self.sampler,
            steps: self.steps,
            guidance_scale: self.guidance_scale,
            guidance_interval: variant.guidance_interval,
            candidates: variant.candidates,
            size,
        }
    }

    /// What it makes the device do for one picture; a guidance interval asks for the family's noise
    /// schedule.
    pub(super) fn workload(
        &self,
        family: &Family,
        scores: &ScoreTable,
        schedule: Option<&NoiseSchedule>,
    ) -> Option<Workload> {
        let variant = scores.variant(self.variant);
        let course = Course {
            model: self.model,
            stages: &variant.stages,
            sampler: self.sampler,
            steps: self.steps,
            guidance_scale: self.guidance_scale,
            guidance_interval: variant.guidance_interval,
            candidates: variant.candidates,
        };
        Workload::of_course(&course, family, schedule)
    }
}

/// The measured and interpolated plans that agree with the request's pins.
pub(super) fn measured<'a>(
    family: &'a Family,
    scores: &'a ScoreTable,
    request: &'a PlanRequest,
) -> impl Iterator<Item = Candidate> + 'a {
    let pins = &request.pins;
    let models = models(family, request);
    scores
        .curves
        .iter()
        .filter(move |curve| {
            let card = &family.models[curve.model];
            models.contains(&curve.model)
                && may_use(card, curve.sampler, request)
                && variant_may(scores.variant(curve.variant), request)
                && pins
                    .guidance_scale
                    .is_none_or(|scale| scale == curve.guidance_scale)
                && !(request.has_negative_prompt && curve.guidance_scale == 1.0)
        })
        .flat_map(Curve::candidates)
        .filter(|candidate| pins.steps.is_none_or(|pinned| pinned == candidate.steps))
}

/// What to choose from where no measured plan agrees with the request. Models of which anything was
/// measured are preferred to the others.
pub(super) fn unmeasured(
    family: &Family,
    scores: &ScoreTable,
    request: &PlanRequest,
) -> Vec<Candidate> {
    let models = models(family, request);
    let is_possible = |candidate: &Candidate| {
        let most = family.noise_schedule.max_steps(candidate.sampler);
        candidate.steps as usize <= most
    };
    let like: Vec<Candidate> = models
        .iter()
        .flat_map(|&model| like_measured(model, &family.models[model], scores, request))
        .filter(is_possible)
        .collect();
    if like.is_empty() {
        models
            .iter()
            .flat_map(|&model| by_default(model, family, request))
            .filter(is_possible)
            .collect()
    } else {
        like
    }
}

/// The models that can do what is asked, as indices into the family's. Where the request insists on a
/// sampler, those that are offered with it; if there are none, the others.
pub(super) fn models(family: &Family, request: &PlanRequest) -> Vec<usize> {
    let able = |suited: bool| -> Vec<usize> {
        let all = family.models.iter().enumerate();
        let may = |card: &ModelCard| {
            model_may(family, card, request) && card.suits(usual_sampler(card, request)) == suited
        };
        all.filter(|(_, card)| may(card))
            .map(|(model, _)| model)
            .collect()
    };
    match able(true) {
        suited if suited.is_empty() => able(false),
        suited => suited,
    }
}

/// Whether the model agrees with the request: the pinned one, and able to do what is asked.
fn model_may(family: &Family, card: &ModelCard, request: &PlanRequest) -> bool {
    let pins = &request.pins;
    let guided = pins.guidance_scale.is_some_and(|scale| scale != 1.0);
    let most = family
        .noise_schedule
        .max_steps(usual_sampler(card, request));
    pins.model.as_ref().is_none_or(|model| *model == card.id)
        && !(card.distilled && (request.has_negative_prompt || guided))
        && pins.steps.is_none_or(|steps| steps as usize <= most)
}

/// The pinned sampler, or else the one that a model is usually run with.
pub(super) fn usual_sampler(card: &ModelCard, request: &PlanRequest) -> SamplerKind {
    request.pins.sampler.unwrap_or(card.samplers()[0])
}

/// Whether the model may be run so: with the pinned sampler, or else with one that suits it.
fn may_use(card: &ModelCard, sampler: SamplerKind, request: &PlanRequest) -> bool {
    match request.pins.sampler {
        Some(pinned) => pinned == sampler,
        None => card.suits(sampler),
    }
}

/// Whether the request leaves the variant open: a pinned model takes every step, a pinned guidance scale
/// holds at every noise level.
fn variant_may(variant: &Variant, request: &PlanRequest) -> bool {
    let pins = &request.pins;
    (variant.stages.is_empty() || pins.model.is_none())
        && (variant.guidance_interval.is_none() || pins.guidance_scale.is_none())
}

/// Plans of one model, each standing for its nearest measured neighbor: the same sampler or else
/// the first one measured, the nearest guidance scale by ratio, the nearest step count.
fn like_measured(
    model: usize,
    card: &ModelCard,
    scores: &ScoreTable,
    request: &PlanRequest,
) -> Vec<Candidate> {
    let pins = &request.pins;
    let curves = || {
        let of_model = scores.curves.iter();
        let of_model = of_model.filter(move |c| c.model == model && c.variant.is_none());
        let of_model = of_model.filter(|c| pins.sampler.is_some() || card.suits(c.sampler));
        of_model.filter(|c| !request.has_negative_prompt || c.guidance_scale != 1.0)
    };
    let sampler = pins.sampler.and_then(|pinned| {
        let same = curves().find(|curve| curve.sampler == pinned);
        same.or_else(|| curves().next()).map(|curve| curve.sampler)
    });
    let of_sampler = || curves().filter(move |c| sampler.is_none_or(|s| s == c.sampler));
    let distance = |curve: &Curve, scale: f64| (curve.guidance_scale / scale).ln().abs();
    let guidance = pins.guidance_scale.and_then(|pinned| {
        of_sampler()
            .min_by(|a, b| distance(a, pinned).total_cmp(&distance(b, pinned)))
            .map(|curve| curve.guidance_scale)
    });
    of_sampler()
        .filter(|curve| guidance.is_none_or(|scale| scale == curve.guidance_scale))
        .flat_map(|curve| {
            let steps = pins.steps.map_or(curve.steps(), |pinned| pinned..=pinned);
            steps.map(move |steps| Candidate {
                model,
                sampler: pins.sampler.unwrap_or(curve.sampler),
                steps,
                guidance_scale: pins.guidance_scale.unwrap_or(curve.guidance_scale),
                variant: None,
                worth: Worth::Like(curve.nearest_row(steps)),
            })
        })
        .collect()
}

/// Plans of a model that was never measured. More steps are preferred up to the usual number, then
/// the larger model: under a tight budget a smaller model at enough steps beats a larger one at too
/// few (arXiv 2404.01367, section 4). A step of a distilled model stands for as many as its few replace;
/// at its best it comes behind its teacher, the model before it, and before whatever is smaller.
fn by_default(
    model: usize,
    family: &Family,
    request: &PlanRequest,
) -> impl Iterator<Item = Candidate> {
    let is_distilled = family.models[model].distilled;
    let usual = if is_distilled {
        &USUAL_DISTILLED
    } else {
        &USUAL
    };
    let (pins, n_models) = (&request.pins, family.models.len() as f64);
    let steps = pins.steps.map_or(1..=usual.steps, |pinned| pinned..=pinned);
    let sampler = pins.sampler.unwrap_or(usual.sampler);
    let guidance_scale = pins.guidance_scale.unwrap_or(usual.guidance_scale);
    let worth_of_step = f64::from(USUAL.steps / usual.steps);
    let place = 2.0 * model as f64 - if is_distilled { 3.0 } else { 0.0 };
    steps.map(move |steps| {
        let worth = f64::from(steps) * worth_of_step;
        Candidate {
            model,
            sampler,
            steps,
            guidance_scale,
            variant: None,
            worth: Worth::Rank(worth * 2.0 * (n_models + 1.0) + place),
        }
    })
}
