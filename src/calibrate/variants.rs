//! What may beat a plain plan? Plans that differ from one on the frontier in one way: models before it,
//! guidance at some noise levels only, the best of several, another sampler.
//!
//! Whether any of them is worth its cost is measured, never assumed: it stays in the plan space only
//! where it beats every cheaper plan.

use std::collections::{BTreeSet, HashSet};

use super::trial::Trial;
use crate::{
    catalog::{Family, ModelCard, ModelId, SamplerKind},
    diffusion::{GuidanceInterval, Stage, stages::steps_of},
    planner::{Candidates, Plan, profile::Rush},
    units::Steps,
};

/// Shares of the steps that a smaller model takes first. Up to 0.4 costs T-Stitch nothing on its families.
const SHARES: [f64; 2] = [0.34, 0.5];
/// Noise levels that are guided. Pure noise is infinite: without an upper bound the first step is guided,
/// which decides the layout.
const INTERVALS: [(f64, Option<f64>); 3] = [(0.5, None), (0.0, Some(5.0)), (0.5, Some(5.0))];
/// How many are begun, and the share of the steps after which the best one goes on alone.
const CANDIDATES: [(u32, Option<f64>); 4] = [(2, None), (4, None), (2, Some(0.5)), (4, Some(0.5))];
/// Step counts at which samplers are compared.
const COMPARED_STEPS: [Steps; 4] = [4, 8, 16, 32];

/// Lists the plans that differ from a plain one in one way. `guidance` are the scales that are measured:
/// an interval is tried with the plan's own and with the next greater one, since fewer guided steps bear
/// a stronger pull.
pub(super) fn around(plain: &Plan, family: &Family, guidance: &[f64], ranks: bool) -> Vec<Plan> {
    let mut plans = stitched(plain, family);
    plans.extend(in_intervals(plain, guidance));
    if ranks {
        plans.extend(best_of(plain));
    }
    plans
}

fn stitched(plain: &Plan, family: &Family) -> Vec<Plan> {
    let Some(place) = family.models.iter().position(|card| card.id == plain.model) else {
        return Vec::new();
    };
    let is_distilled = family.models[place].distilled;
    let smaller = &family.models[..place];
    let alike = |card: &&ModelCard| card.distilled == is_distilled;
    let mut plans = Vec::new();
    for card in smaller.iter().filter(alike) {
        for share in SHARES {
            let model = card.id.clone();
            plans.push(Plan {
                stages: vec![Stage { model, share }],
                ..plain.clone()
            });
        }
    }
    // Every model of the family, the smallest first.
    let all: Vec<&ModelCard> = smaller.iter().filter(alike).collect();
    if all.len() >= 2 {
        let share = 0.5 / all.len() as f64;
        let stage = |card: &&ModelCard| Stage {
            model: card.id.clone(),
            share,
        };
        plans.push(Plan {
            stages: all.iter().map(stage).collect(),
            ..plain.clone()
        });
    }
    // Shares that come to the same whole steps are the same plan.
    let mut seen: HashSet<(Vec<ModelId>, Vec<Steps>)> = HashSet::new();
    plans.retain(|plan| {
        let counts = steps_of(&plan.stages, plan.steps);
        let has_steps = counts.iter().all(|count| *count > 0);
        has_steps && seen.insert((plan.models().cloned().collect(), counts))
    });
    plans
}

fn in_intervals(plain: &Plan, guidance: &[f64]) -> Vec<Plan> {
    if !plain.is_guided() {
        return Vec::new();
    }
    let stronger = guidance
        .iter()
        .copied()
        .filter(|scale| *scale > plain.guidance_scale)
        .min_by(f64::total_cmp);
    let scales = [Some(plain.guidance_scale), stronger].into_iter().flatten();
    let with = |scale: f64| {
        INTERVALS.map(|(sigma_low, sigma_high)| Plan {
            guidance_scale: scale,
            guidance_interval: Some(GuidanceInterval {
                sigma_low,
                sigma_high,
            }),
            ..plain.clone()
        })
    };
    scales.flat_map(with).collect()
}

fn best_of(plain: &Plan) -> Vec<Plan> {
    let candidates = CANDIDATES.map(|(n, pruned_after)| Candidates { n, pruned_after });
    let saves = |candidates: &Candidates| {
        candidates.pruned_after.is_none() || candidates.shared_steps(plain.steps) < plain.steps
    };
    let plan = |candidates| Plan {
        candidates: Some(candidates),
        ..plain.clone()
    };
    candidates.into_iter().filter(saves).map(plan).collect()
}

/// Lists what compares the samplers that the grid leaves out with those it spans, as the paper's figure
/// 11 does: every model that is not distilled, at one guidance scale.
pub(super) fn samplers(family: &Family, spanned: &[SamplerKind], like: &Plan) -> Vec<Plan> {
    let suits = |card: &&ModelCard| !card.distilled;
    let others = SamplerKind::ALL
        .into_iter()
        .filter(|kind| !spanned.contains(kind));
    let others: Vec<SamplerKind> = others.collect();
    let mut plans = Vec::new();
    for card in family.models.iter().filter(suits) {
        for &sampler in others.iter().filter(|kind| card.suits(**kind)) {
            plans.extend(COMPARED_STEPS.map(|steps| Plan {
                model: card.id.clone(),
                sampler,
                steps,
                ..like.clone()
            }));
        }
    }
    plans
}

/// Lists the ways in which a plan is shortened: after its first step, before its last one and at each quarter
/// of the way, half as many steps as are left, or none.
pub(super) fn rushed(plan: &Plan) -> Vec<Trial> {
    let quarters = (1..=3).map(|quarter| plan.steps * quarter / 4);
    let last = plan.steps.saturating_sub(1);
    let places: BTreeSet<Steps> = quarters.chain([1, last]).collect();
    let places = places
        .into_iter()
        .filter(|after| (1..=last).contains(after));
    let ways = places.flat_map(|after| {
        let left = plan.steps - after;
        let half = (left > 1).then(|| left.div_ceil(2));
        let counts = half.into_iter().chain([0]);
        counts.map(move |then| Rush { after, then })
    });
    let trial = |rush| Trial {
        plan: plan.clone(),
        rush: Some(rush),
    };
    ways.map(trial).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default_family() -> Family {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models.toml");
        let catalog = crate::catalog::load(&path).unwrap();
        catalog.default_family().clone()
    }

    fn plan(model: &str, sampler: SamplerKind, steps: Steps, guidance_scale: f64) -> Plan {
        let size = "128x128".parse().unwrap();
        Plan::plain(ModelId(model.into()), sampler, steps, guidance_scale, size)
    }

    #[test]
    fn a_guided_plan_of_the_largest_model_is_varied_in_every_way_but_one_at_a_time() {
        let family = default_family();
        let plain = plan("emoji-c32", SamplerKind::DpmPp2M, 8, 3.0);
        let plans = around(&plain, &family, &[1.0, 3.0, 5.0], true);
        for plan in &plans {
            let changes = [
                !plan.stages.is_empty(),
                plan.guidance_interval.is_some(),
                plan.candidates.is_some(),
            ];
            assert_eq!(
                changes.iter().filter(|changed| **changed).count(),
                1,
                "{plan}"
            );
            let small = plan
                .stages
                .iter()
                .all(|stage| !stage.model.0.ends_with("lcm"));
            assert!(
                small,
                "a student does not share a sampler with the others: {plan}"
            );
        }
        let stitched = plans.iter().filter(|plan| !plan.stages.is_empty());
        assert_eq!(
            stitched.count(),
            5,
            "two smaller models at two shares, and all three"
        );
        let scales: Vec<f64> = plans.iter().map(|plan| plan.guidance_scale).collect();
        assert!(scales.contains(&5.0) && !scales.contains(&1.0));
        let told: HashSet<String> = plans.iter().map(Plan::to_string).collect();
        assert_eq!(told.len(), plans.len(), "no plan stands there twice");
    }

    #[test]
    fn a_student_of_one_step_can_only_be_begun_several_times() {
        let family = default_family();
        let plain = plan("emoji-c32-lcm", SamplerKind::Lcm, 1, 1.0);
        let plans = around(&plain, &family, &[1.0, 3.0], true);
        assert_eq!(plans.len(), 2);
        assert!(plans.iter().all(|plan| plan.candidates.is_some()));
        assert!(around(&plain, &family, &[1.0, 3.0], false).is_empty());
    }

    #[test]
    fn a_plan_is_shortened_at_the_quarters_of_its_way_to_half_of_what_is_left_and_to_nothing() {
        let rush = |steps| -> Vec<(Steps, Steps)> {
            let plan = plan("emoji-c32", SamplerKind::Ddim, steps, 3.0);
            let trials = rushed(&plan).into_iter();
            let rushes = trials.filter_map(|trial| trial.rush);
            rushes.map(|rush| (rush.after, rush.then)).collect()
        };
        let of_nine = [
            (1, 4),
            (1, 0),
            (2, 4),
            (2, 0),
            (4, 3),
            (4, 0),
            (6, 2),
            (6, 0),
            (8, 0),
        ];
        assert_eq!(rush(9), of_nine);
        assert_eq!(rush(3), [(1, 1), (1, 0), (2, 0)]);
        assert_eq!(rush(2), [(1, 0)]);
        assert_eq!(rush(1), [], "there is no way to be on");
    }
}
