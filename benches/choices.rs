//! What does a planner choose from in benchmarks? A family with as many candidates as are asked for, and
//! requests of every kind. It measures the program, not pictures: its scores mean nothing.

use goldilocks::{
    catalog::{DeviceSpec, Dtype, Family, ModelCard, ModelId, NamedBudgets, SamplerKind},
    diffusion::GuidanceInterval,
    planner::{
        Budget, Candidates, Cost, CostTable, Load, Objective, PhaseTimes, Pins, Plan, PlanRequest,
        Planner, Profile, Quality, ScoreEstimate, SizeCost,
        profile::{Anchor, Cell, PROFILE_VERSION, ProfileKind, Provenance, References, Replicates},
    },
    units::{Flops, ImageSize, Millis},
};
use serde_json::json;

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

/// SplitMix64 (Steele, Lea and Flood, 2014), as a number in [0, 1).
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Returns a planner of at least this many candidates.
pub(crate) fn scene(at_least: usize) -> anyhow::Result<Scene> {
    let family = family()?;
    let mut state = 7;
    let mut cells = Vec::new();
    let plans_of_curve = (STEPS[STEPS.len() - 1] - STEPS[0] + 1) as usize;
    let n_curves = at_least.div_ceil(plans_of_curve);
    let common: Vec<f64> = (0..N_REPLICATES).map(|_| uniform(&mut state)).collect();
    for curve in 0..n_curves {
        let draw = uniform(&mut state);
        for steps in STEPS {
            let plan = plan(&family, curve, steps);
            let rank = (curve % N_MODELS) as f64;
            // The larger the model the better it becomes, and the more steps it takes to be good.
            let pace = 1.0 + rank + 2.0 * draw;
            let top = 0.5 + 0.08 * rank + 0.05 * draw;
            let mean = top * f64::from(steps) / (f64::from(steps) + pace);
            cells.push(cell(plan, mean, &common, &mut state));
        }
    }
    Ok(Scene {
        planner: Planner::with_costs(&family, Some(profile(cells)), costs()),
        phases: phases(&family),
        n_candidates: n_curves * plans_of_curve,
    })
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

fn cell(plan: Plan, mean: f64, common: &[f64], state: &mut u64) -> Cell {
    let mut replicates = |mean: f64| -> Vec<f32> {
        let vary = |shift: &f64| {
            let own = uniform(state) - 0.5;
            (mean + 0.03 * (shift - 0.5) + 0.01 * own).clamp(0.0, 1.0) as f32
        };
        common.iter().map(vary).collect()
    };
    let score = |mean| ScoreEstimate {
        mean,
        standard_error: 0.01,
    };
    Cell {
        n: 256,
        alignment: score(mean),
        fidelity: score(0.9 * mean),
        balanced: score(0.95 * mean),
        cmmd: Some(0.1),
        frechet: Some(100.0),
        distance: None,
        replicates: Replicates {
            alignment: replicates(mean),
            fidelity: replicates(0.9 * mean),
        },
        plan,
    }
}

/// Requests as they come: most with one limit, some with two, a name, a score or pins.
pub(crate) fn requests(n: usize) -> Vec<(PlanRequest, Load)> {
    let mut state = 11;
    (0..n)
        .map(|i| {
            let between = |low: f64, high: f64, u: f64| low * (high / low).powf(u);
            let latency = Millis(between(15.0, 600.0, uniform(&mut state)));
            let flops = Flops(between(2e9, 2e11, uniform(&mut state)));
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
            };
            let queued = Millis(if i % 4 == 0 { 20.0 } else { 0.0 });
            (request, Load { queued })
        })
        .collect()
}

fn family() -> anyhow::Result<Family> {
    let unet = json!({
        "in_channels": 4, "out_channels": 4, "block_out_channels": [8, 16],
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    });
    let card = |place: usize| -> anyhow::Result<ModelCard> {
        Ok(ModelCard {
            id: ModelId(format!("synthetic-{place}")),
            unet_path: "none".into(),
            unet: serde_json::from_value(unet.clone())?,
            dtype: Dtype::F32,
            device: DeviceSpec::Cpu,
            distilled: false,
        })
    };
    Ok(Family {
        id: "synthetic".into(),
        path: "none".into(),
        models: (0..N_MODELS).map(card).collect::<Result<_, _>>()?,
        sizes: vec![SIZE],
        profile: None,
        budgets: Some(NamedBudgets {
            low: Flops(2e9),
            medium: Flops(1e10),
            high: Flops(3e10),
            xhigh: Flops(1e11),
        }),
        vocabulary: None,
        vae: serde_json::from_value(json!({
            "in_channels": 3, "out_channels": 3, "latent_channels": 4, "block_out_channels": [8, 8],
        }))?,
        text_encoder: serde_json::from_value(json!({
            "vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 2, "max_position_embeddings": 8,
        }))?,
        noise_schedule: serde_json::from_value(json!({}))?,
        image_encoder: None,
        digest: "sha256:synthetic".into(),
        image_encoder_digest: None,
    })
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

fn profile(cells: Vec<Cell>) -> Profile {
    Profile {
        version: PROFILE_VERSION,
        family: "synthetic".into(),
        kind: ProfileKind::Measured,
        weights_digest: "sha256:synthetic".into(),
        size: SIZE,
        provenance: Provenance {
            commit: "0".into(),
            date: "2026-01-01".into(),
            n_captions: 256,
            n_replicates: N_REPLICATES,
            evaluator_digest: Some("sha256:none".into()),
            prompts_digest: None,
            command: "none".into(),
        },
        cmmd_bandwidth: Some(10.0),
        anchor: Anchor {
            model: ModelId("synthetic-0".into()),
            sampler: SamplerKind::Ddim,
            steps: 1,
            guidance_scale: 1.0,
            cmmd: Some(0.5),
            distance: None,
        },
        dearest: None,
        reference: References::default(),
        ranker_digest: None,
        rush: Vec::new(),
        held_out: Vec::new(),
        cells,
    }
}
