//! Which plans are measured? Every model at every step count, sampler and guidance scale.

use std::fmt;

use crate::{
    catalog::{Family, ModelId, SamplerKind},
    planner::Plan,
    units::{ImageSize, Steps},
};

/// What the sweep spans.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Step counts.
    pub steps: Vec<Steps>,
    /// Guidance scales; 1 is unguided.
    pub guidance: Vec<f64>,
    /// Samplers.
    pub samplers: Vec<SamplerKind>,
    /// Models, by name; empty for all of the family.
    pub models: Vec<String>,
}

impl Grid {
    /// Lists the plans: few steps first, so that an early stop still spans all models.
    pub fn plans(&self, family: &Family, size: ImageSize) -> Vec<Plan> {
        let mut plans = Vec::new();
        for &steps in &self.steps {
            for card in family.models.iter().filter(|card| self.wants(&card.id)) {
                for (&sampler, &guidance_scale) in pairs(&self.samplers, &self.guidance) {
                    if card.distilled && guidance_scale != 1.0 {
                        continue;
                    }
                    plans.push(Plan {
                        model: card.id.clone(),
                        sampler,
                        steps,
                        guidance_scale,
                        size,
                    });
                }
            }
        }
        plans.sort_by_key(Plan::nfe);
        plans
    }

    fn wants(&self, id: &ModelId) -> bool {
        self.models.is_empty() || self.models.contains(&id.0)
    }
}

fn pairs<'a, A, B>(left: &'a [A], right: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    left.iter().flat_map(|a| right.iter().map(move |b| (a, b)))
}

/// A plan in one line: `emoji-c16 ddim 8 steps guidance 3`.
pub(super) struct Label<'a>(pub(super) &'a Plan);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan {
            model,
            sampler,
            steps,
            guidance_scale,
            ..
        } = self.0;
        write!(
            f,
            "{model} {sampler} {steps} steps guidance {guidance_scale}"
        )
    }
}
