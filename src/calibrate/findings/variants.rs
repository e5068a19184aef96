//! Do stitching, guidance intervals and candidates pay? Each against the best plain plan that costs no more.
//!
//! The rival is the plain plan with the highest score among all that cost no more, those between measured
//! step counts included: the same money spent on nothing but steps, size and guidance. Taking the highest
//! of many favours the rival a little, so a variant that wins has earned it.

use serde::Serialize;

use super::{
    Material,
    difference::{Difference, Verdict},
    measured::{Measured, Pricer},
};
use crate::{
    planner::{Plan, Predictions},
    units::ImageSize,
};

/// What makes a plan more than a plain one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VariantKind {
    /// A smaller model takes the first steps.
    Stitching,
    /// Not all steps are guided.
    GuidanceInterval,
    /// The best of several pictures.
    Candidates,
    /// More than one of these.
    Combined,
}

impl VariantKind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Stitching,
        Self::GuidanceInterval,
        Self::Candidates,
        Self::Combined,
    ];

    /// None for a plain plan.
    pub fn of(plan: &Plan) -> Option<Self> {
        let stitched = !plan.stages.is_empty();
        match (
            stitched,
            plan.guidance_interval.is_some(),
            plan.candidates.is_some(),
        ) {
            (false, false, false) => None,
            (true, false, false) => Some(Self::Stitching),
            (false, true, false) => Some(Self::GuidanceInterval),
            (false, false, true) => Some(Self::Candidates),
            _ => Some(Self::Combined),
        }
    }

    /// As a heading.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stitching => "Stitching",
            Self::GuidanceInterval => "Guidance interval",
            Self::Candidates => "Candidates",
            Self::Combined => "Combined",
        }
    }
}

/// One variant against its rivals.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VariantTrial {
    /// What the plan has that plain ones have not.
    pub kind: VariantKind,
    /// The plan.
    pub plan: Plan,
    /// Its cost, in 10^12 operations.
    pub tflops: f64,
    /// Against plain plans of models as (un)distilled as its own; none if none is as cheap.
    pub against_peers: Option<Match>,
    /// Against plain plans of all models, few-step students among them.
    pub against_all: Option<Match>,
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Match {
    /// The best plain plan that costs no more.
    pub rival: Plan,
    /// Its cost, in 10^12 operations.
    pub tflops: f64,
    /// The variant's score minus the rival's.
    pub difference: Difference,
    /// Of the variant.
    pub verdict: Verdict,
}

/// A plain plan with its price and predicted score.
pub(super) struct Rival {
    pub(super) plan: Plan,
    pub(super) tflops: f64,
    pub(super) nfe: u32,
    pub(super) is_distilled: bool,
    pub(super) mean: f64,
}

/// Every plain plan that something is predicted of.
pub(super) fn rivals(
    material: &Material<'_>,
    pricer: &Pricer<'_>,
    predictions: &Predictions<'_>,
    size: ImageSize,
) -> Vec<Rival> {
    let plans = predictions.plain_plans(size);
    let rival = |plan: Plan| {
        let price = pricer.of(&plan)?;
        Some(Rival {
            tflops: price.tflops,
            nfe: price.nfe,
            is_distilled: pricer.is_distilled(&plan),
            mean: predictions.sample(&plan, material.objective)?.mean,
            plan,
        })
    };
    plans.filter_map(rival).collect()
}

/// Every measured variant against its rivals.
pub fn trials(
    plans: &[Measured<'_>],
    material: &Material<'_>,
    pricer: &Pricer<'_>,
) -> Vec<VariantTrial> {
    if plans.iter().all(|plan| plan.plan().is_plain()) {
        return Vec::new();
    }
    let predictions = Predictions::new(material.family, &material.profile.cells);
    let rivals = rivals(material, pricer, &predictions, material.profile.size);
    let against = |plan: &Measured<'_>, all: bool| {
        // Sums of equal work in another order differ in the last digit.
        let affordable = plan.price.tflops * (1.0 + 1e-9);
        let rival = (rivals.iter())
            .filter(|rival| all || rival.is_distilled == plan.is_distilled)
            .filter(|rival| rival.tflops <= affordable)
            .max_by(|a, b| {
                a.mean
                    .total_cmp(&b.mean)
                    .then(b.tflops.total_cmp(&a.tflops))
            })?;
        let sample = predictions.sample(&rival.plan, material.objective)?;
        let difference = Difference::paired(&plan.sample, &sample);
        Some(Match {
            rival: rival.plan.clone(),
            tflops: rival.tflops,
            difference,
            verdict: difference.verdict(),
        })
    };
    let trial = |plan: &Measured<'_>| {
        Some(VariantTrial {
            kind: VariantKind::of(plan.plan())?,
            plan: plan.plan().clone(),
            tflops: plan.price.tflops,
            against_peers: against(plan, false),
            against_all: against(plan, true),
        })
    };
    let mut trials: Vec<VariantTrial> = plans.iter().filter_map(trial).collect();
    trials.sort_by_key(|trial| trial.kind);
    trials
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calibrate::findings::{
            fixture::{cell, material, profile},
            measured::measured,
        },
        diffusion::GuidanceInterval,
        planner::test_family::family,
    };

    #[test]
    fn a_variant_is_held_against_an_interpolated_plan_that_costs_no_more() {
        let mut variant = cell("small", 8, 0.75);
        // Guided at no level that any step starts at, so that a step costs one evaluation.
        variant.plan.guidance_interval = Some(GuidanceInterval {
            sigma_low: 1e-9,
            sigma_high: Some(1e-8),
        });
        let cells = [cell("small", 2, 0.3), cell("small", 8, 0.7), variant];
        let (family, profile) = (family(), profile(&cells));
        let material = material(&family, &profile);
        let pricer = Pricer::new(&material);
        let plans = measured(&pricer, &profile.cells, material.objective);
        let trials = trials(&plans, &material, &pricer);
        assert_eq!(trials.len(), 1);
        assert_eq!(trials[0].kind, VariantKind::GuidanceInterval);
        let peers = trials[0].against_peers.as_ref().unwrap();
        assert_eq!(
            peers.rival.steps, 4,
            "as many evaluations as eight unguided steps"
        );
        assert!((peers.difference.mean - 0.25).abs() < 1e-9);
        assert_eq!(peers.verdict, Verdict::Wins);
    }
}
