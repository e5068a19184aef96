//! Which plans are there to choose from?
//!
//! The measured plans and those between measured step counts, as far as they agree with the pins.
//! Where no measured plan agrees, the request is planned *as if* each unmeasured part were its
//! nearest measured neighbor, and the score is withheld.

use super::{
    budget::{Objective, PlanRequest},
    plan::{Plan, ScoreEstimate},
    scores::{Curve, ScoreTable},
};
use crate::{
    catalog::{Family, ModelCard, SamplerKind},
    units::Steps,
};

/// The sampler of a model that was never measured, unless the request names one.
pub(super) const DEFAULT_SAMPLER: SamplerKind = SamplerKind::DpmPp2M;
/// The most steps for a model that was never measured, unless the request names a number.
pub(super) const DEFAULT_STEPS: Steps = 20;
/// The guidance scale of a model that was never measured, unless the request names one: what
/// Stable Diffusion pipelines default to.
pub(super) const DEFAULT_GUIDANCE: f64 = 7.5;

/// One plan to choose from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    /// Index into the family's models.
    pub(super) model: usize,
    pub(super) sampler: SamplerKind,
    pub(super) steps: Steps,
    pub(super) guidance_scale: f64,
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
    pub(super) fn plan(&self, family: &Family, request: &PlanRequest) -> Plan {
        Plan {
            model: family.models[self.model].id.clone(),
            sampler: self.sampler,
            steps: self.steps,
            guidance_scale: self.guidance_scale,
            size: request.size,
        }
    }

    /// Rows of the batch that one picture fills, as [`Plan::rows`].
    pub(super) fn rows(&self) -> u32 {
        if self.guidance_scale == 1.0 { 1 } else { 2 }
    }
}

/// The measured and interpolated plans that agree with the request's pins.
pub(super) fn measured<'a>(
    family: &'a Family,
    scores: &'a ScoreTable,
    request: &'a PlanRequest,
) -> impl Iterator<Item = Candidate> + 'a {
    let pins = &request.pins;
    scores
        .curves
        .iter()
        .filter(move |curve| {
            let card = &family.models[curve.model];
            model_may(card, request)
                && pins.sampler.is_none_or(|sampler| sampler == curve.sampler)
                && pins
                    .guidance_scale
                    .is_none_or(|scale| scale == curve.guidance_scale)
                && !(request.has_negative_prompt && curve.guidance_scale == 1.0)
        })
        .flat_map(move |curve| {
            curve
                .steps()
                .filter(move |steps| pins.steps.is_none_or(|pinned| pinned == *steps))
                .map(move |steps| Candidate {
                    model: curve.model,
                    sampler: curve.sampler,
                    steps,
                    guidance_scale: curve.guidance_scale,
                    worth: Worth::Measured(curve.nearest_row(steps)),
                })
        })
}

/// What to choose from where no measured plan agrees with the request. Models of which anything was
/// measured are preferred to the others.
pub(super) fn unmeasured(
    family: &Family,
    scores: &ScoreTable,
    request: &PlanRequest,
) -> Vec<Candidate> {
    let models = || {
        let all = family.models.iter().enumerate();
        all.filter(|(_, card)| model_may(card, request))
    };
    let like: Vec<Candidate> = models()
        .flat_map(|(model, _)| like_measured(model, scores, request))
        .collect();
    if like.is_empty() {
        let n_models = family.models.len();
        models()
            .flat_map(|(model, card)| by_default(model, card, n_models, request))
            .collect()
    } else {
        like
    }
}

/// Whether the model agrees with the request: the pinned one, and able to do what is asked.
fn model_may(card: &ModelCard, request: &PlanRequest) -> bool {
    let pins = &request.pins;
    let guided = pins.guidance_scale.is_some_and(|scale| scale != 1.0);
    pins.model.as_ref().is_none_or(|model| *model == card.id)
        && !(card.distilled && (request.has_negative_prompt || guided))
}

/// Plans of one model, each standing for its nearest measured neighbor: the same sampler or else
/// the first one measured, the nearest guidance scale by ratio, the nearest step count.
fn like_measured(model: usize, scores: &ScoreTable, request: &PlanRequest) -> Vec<Candidate> {
    let pins = &request.pins;
    let curves = || {
        let of_model = scores.curves.iter().filter(move |c| c.model == model);
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
                worth: Worth::Like(curve.nearest_row(steps)),
            })
        })
        .collect()
}

/// Plans of a model that was never measured. More steps are preferred up to [`DEFAULT_STEPS`], then
/// the larger model: under a tight budget a smaller model at enough steps beats a larger one at too
/// few (arXiv 2404.01367, section 4).
fn by_default(
    model: usize,
    card: &ModelCard,
    n_models: usize,
    request: &PlanRequest,
) -> impl Iterator<Item = Candidate> {
    let pins = &request.pins;
    let sampler = pins.sampler.unwrap_or(DEFAULT_SAMPLER);
    let usual = if card.distilled {
        1.0
    } else {
        DEFAULT_GUIDANCE
    };
    let guidance_scale = pins.guidance_scale.unwrap_or(usual);
    let steps = pins
        .steps
        .map_or(1..=DEFAULT_STEPS, |pinned| pinned..=pinned);
    steps.map(move |steps| Candidate {
        model,
        sampler,
        steps,
        guidance_scale,
        worth: Worth::Rank(f64::from(steps) * n_models as f64 + model as f64),
    })
}
