//! Which plans are measured? Every model at every step count, sampler and guidance scale; distilled ones
//! as they are offered: with their own sampler, at few steps, unguided.

use crate::{
    catalog::{Family, ModelCard, ModelId, SamplerKind},
    planner::{Plan, Workload},
    units::{ImageSize, Steps},
};

/// Step counts of distilled models.
const DISTILLED_STEPS: [Steps; 4] = [1, 2, 3, 4];

/// What the sweep spans.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Step counts of models that are not distilled.
    pub steps: Vec<Steps>,
    /// Their guidance scales; 1 is unguided.
    pub guidance: Vec<f64>,
    /// Their samplers.
    pub samplers: Vec<SamplerKind>,
    /// Models, by name; empty for all of the family.
    pub models: Vec<String>,
}

impl Grid {
    /// Lists the plans: few steps first, so that an early stop still spans all models.
    pub fn plans(&self, family: &Family, size: ImageSize) -> Vec<Plan> {
        let cards = family.models.iter().filter(|card| self.wants(&card.id));
        let mut plans: Vec<Plan> = cards.flat_map(|card| self.of_model(card, size)).collect();
        let nfe = |plan: &Plan| Workload::of(plan, family).map(|workload| workload.nfe());
        plans.sort_by_key(|plan| (nfe(plan), plan.steps));
        plans
    }

    /// The plans of one model, whether or not it is wanted.
    fn of_model(&self, card: &ModelCard, size: ImageSize) -> Vec<Plan> {
        let (steps, guidance, samplers) = if card.distilled {
            (&DISTILLED_STEPS[..], &[1.0][..], card.samplers())
        } else {
            (&*self.steps, &*self.guidance, &*self.samplers)
        };
        let mut plans = Vec::new();
        for &steps in steps {
            for (&sampler, &guidance_scale) in pairs(samplers, guidance) {
                let model = card.id.clone();
                plans.push(Plan::plain(model, sampler, steps, guidance_scale, size));
            }
        }
        plans
    }

    /// The plan that scores no fidelity: the family's smallest model at one unguided step, the smallest
    /// one that is not distilled if there is any.
    pub(super) fn anchor(&self, family: &Family, size: ImageSize) -> Plan {
        let mut models = family.models.iter();
        let card = models
            .find(|card| !card.distilled)
            .unwrap_or(&family.models[0]);
        let sampler = if card.distilled {
            card.samplers()[0]
        } else {
            self.samplers[0]
        };
        Plan::plain(card.id.clone(), sampler, 1, 1.0, size)
    }

    fn wants(&self, id: &ModelId) -> bool {
        self.models.is_empty() || self.models.contains(&id.0)
    }
}

fn pairs<'a, A, B>(left: &'a [A], right: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    left.iter().flat_map(|a| right.iter().map(move |b| (a, b)))
}
