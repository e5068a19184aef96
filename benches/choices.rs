//! What does a planner choose from in benchmarks? A family with as many candidates as are asked for, and
//! requests of every kind. It measures the program, not pictures: its scores mean nothing.

use goldilocks::{
    catalog::{Family, ModelId, SamplerKind},
    diffusion::GuidanceInterval,
    planner::{
        Budget, Candidates, Cost, CostTable, Load, Objective, PhaseTimes, Pins, Plan, PlanRequest,
        Planner, Quality, SizeCost,
    },
    units::{Flops, ImageSize, Millis},
};
use synthetic::Draws;

#[path = "../tests/it/planner/synthetic.rs"]
mod synthetic;

/// As a calibration has them.
const N_REPLICATES: usize = 128;
const N_MODELS: usize = 5;
/// Measured step counts; every whole number between them is a candidate too.
const STEPS: [u32; 7] = [1, 2, 4, 8, 16, 25, 50];
const SIZE: ImageSize = ImageSize {
    width: 128,
    height: 128,
};

/// A planner and the machine it plans for.
pub(crate) struct Scene {
    pub(crate) planner: Planner,
    pub(crate) phases: PhaseTimes,
    /// Plans that it chooses from where nothing is pinned.
    pub(crate) n_candidates: usize,
}

/// Returns a planner of at least this many candidates.
pub(crate) fn scene(at_least: usize) -> Scene {
    let models: Vec<String> = (0..N_MODELS)
        .map(|rank| format!("synthetic-{rank}"))
        .collect();
    let family = synthetic::family("synthetic", &models, &[SIZE]);
    let mut draws = Draws(7);
    let mut cells = Vec::new();
    let plans_of_curve = (STEPS[STEPS.len() - 1] - STEPS[0] + 1) as usize;
    let n_curves = at_least.div_ceil(plans_of_curve);
    let common: Vec<f64> = (0..N_REPLICATES)
        .map(|_| draws.between(-0.015, 0.015))
        .collect();
    for curve in 0..n_curves {
        let draw = draws.uniform();
        for steps in STEPS {
            let plan = plan(&family, curve, steps);
            let rank = (curve % N_MODELS) as f64;
            // The larger the model the better it becomes, and the more steps it takes to be good.
            let pace = 1.0 + rank + 2.0 * draw;
            let top = 0.5 + 0.08 * rank + 0.05 * draw;
            let mean = top * f64::from(steps) / (f64::from(steps) + pace);
            cells.push(synthetic::cell(plan, mean, &mut draws, &common, 0.005));
        }
    }
    let profile = synthetic::profile(&family, cells);
    Scene {
        planner: Planner::with_costs(&family, Some(profile), costs()),
        phases: phases(&family),
        n_candidates: n_curves * plans_of_curve,
    }
}

/// Every fourth curve is plain; the others have an interval, candidates or both.
fn plan(family: &Family, curve: usize, steps: u32) -> Plan {
    let model = family.models[curve % N_MODELS].id.clone();
    let samplers = [SamplerKind::Ddim, SamplerKind::DpmPp2M];
    let sampler = samplers[curve / N_MODELS % 2];
    let place = curve / N_MODELS / 2;
    let interval = GuidanceInterval {
        sigma_low: 0.3,
        sigma_high: Some(5.0),
    };
    let candidates = Candidates {
        n: 2,
        pruned_after: Some(0.5),
    };
    Plan {
        guidance_interval: (place % 2 == 1).then_some(interval),
        candidates: (place / 2 % 2 == 1).then_some(candidates),
        ..Plan::plain(model, sampler, steps, 1.5 + 0.25 * (place / 4) as f64, SIZE)
    }
}

/// Requests as they come: most with one limit, some with two, a name, a score or pins.
pub(crate) fn requests(n: usize) -> Vec<(PlanRequest, Load)> {
    let mut draws = Draws(11);
    (0..n)
        .map(|i| {
            let between = |low: f64, high: f64, u: f64| low * (high / low).powf(u);
            let latency = Millis(between(15.0, 600.0, draws.uniform()));
            let flops = Flops(between(2e9, 2e11, draws.uniform()));
            let mut budget = Budget {
                objective: Objective::ALL[i / 7 % 3],
                ..Budget::default()
            };
            match i % 10 {
                0..=2 => budget.latency = Some(latency),
                3..=4 => budget.flops = Some(flops),
                5 => (budget.latency, budget.flops) = (Some(latency), Some(flops)),
                6 => budget.quality = Some(Quality::Medium),
                7 => {
                    budget.min_score = Some(0.5);
                    budget.minimize = Some(Cost::Latency);
                }
                _ => {}
            }
            let pinned = i % 10 == 9;
            let model = format!("synthetic-{}", i / 10 % N_MODELS);
            let request = PlanRequest {
                size: SIZE,
                n_images: 1 + (i / 3 % 4) as u32,
                budget,
                pins: Pins {
                    model: pinned.then_some(ModelId(model)),
                    ..Pins::default()
                },
                has_negative_prompt: i % 13 == 0,
                kept_texts: 0,
            };
            let queued = Millis(if i % 4 == 0 { 20.0 } else { 0.0 });
            (request, Load { queued })
        })
        .collect()
}

fn costs() -> CostTable {
    let evaluations = (0..N_MODELS).map(|rank| Flops(1e8 * 3_f64.powi(rank as i32)));
    CostTable {
        text: Flops(3e7),
        sizes: vec![SizeCost {
            size: SIZE,
            decode: Flops(5e8),
            rank: Flops(1e8),
            evaluations: evaluations.collect(),
        }],
    }
}

/// Not in proportion to operations, so that the two orders of the plans differ.
fn phases(family: &Family) -> PhaseTimes {
    let mut phases = PhaseTimes::default();
    phases.set_text("synthetic", Millis(2.0));
    phases.set_encode(SIZE, Millis(0.3));
    phases.set_decode("synthetic", SIZE, Millis(8.0));
    phases.set_rank("synthetic", SIZE, Millis(0.5));
    for (rank, card) in family.models.iter().enumerate() {
        let one = 0.4 * 2.3_f64.powi(rank as i32);
        phases.set_step(&card.id, SIZE, 1, Millis(one));
        phases.set_step(&card.id, SIZE, 2, Millis(one * 1.7));
    }
    phases
}
