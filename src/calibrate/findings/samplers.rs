//! Which sampler is better at the same number of steps?

use serde::Serialize;

use super::{
    difference::{Difference, Verdict},
    measured::{Measured, Pricer},
};
use crate::{catalog::SamplerKind, units::Steps};

/// Two samplers with everything else equal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Duel {
    /// The model.
    pub model: String,
    /// Steps of both.
    pub steps: Steps,
    /// Guidance scale of both.
    pub guidance_scale: f64,
    /// The first sampler.
    pub one: SamplerKind,
    /// The second sampler.
    pub other: SamplerKind,
    /// The first one's score minus the second one's.
    pub difference: Difference,
    /// Of the first one.
    pub verdict: Verdict,
}

/// Every pair of plain plans that differ in their sampler alone. The later sampler stands first: it is the
/// one that is held against the plainer one.
pub fn duels(plans: &[Measured<'_>], pricer: &Pricer<'_>) -> Vec<Duel> {
    let plain: Vec<&Measured<'_>> = plans.iter().filter(|plan| plan.plan().is_plain()).collect();
    let mut duels = Vec::new();
    for one in &plain {
        for other in &plain {
            let (a, b) = (one.plan(), other.plan());
            let is_pair = (&a.model, a.steps) == (&b.model, b.steps)
                && a.guidance_scale == b.guidance_scale
                && a.sampler > b.sampler;
            if is_pair {
                let difference = Difference::paired(&one.sample, &other.sample);
                duels.push(Duel {
                    model: a.model.0.clone(),
                    steps: a.steps,
                    guidance_scale: a.guidance_scale,
                    one: a.sampler,
                    other: b.sampler,
                    difference,
                    verdict: difference.verdict(),
                });
            }
        }
    }
    duels.sort_by(|a, b| {
        let key = |duel: &Duel| (duel.one, duel.other, duel.steps, pricer.rank(&duel.model));
        key(a)
            .cmp(&key(b))
            .then(a.guidance_scale.total_cmp(&b.guidance_scale))
    });
    duels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calibrate::findings::{
            fixture::{cell, material, profile},
            measured::measured,
        },
        planner::{Objective, test_family::family},
    };

    #[test]
    fn only_plans_that_differ_in_their_sampler_alone_are_compared() {
        let mut second_order = cell("small", 4, 0.6);
        second_order.plan.sampler = SamplerKind::DpmPp2M;
        let cells = [cell("small", 4, 0.5), cell("small", 8, 0.7), second_order];
        let (family, profile) = (family(), profile(&cells));
        let pricer = Pricer::new(&material(&family, &profile));
        let plans = measured(&pricer, &profile.cells, Objective::Balanced);
        let duels = duels(&plans, &pricer);
        assert_eq!(duels.len(), 1);
        assert_eq!((duels[0].one, duels[0].steps), (SamplerKind::DpmPp2M, 4));
        assert!((duels[0].difference.mean - 0.1).abs() < 1e-12);
        assert_eq!(duels[0].verdict, Verdict::Wins);
    }
}
