//! A synthetic family with a synthetic profile, phase table and operation counts, drawn from a seed.

use goldilocks::{
    catalog::{Family, ModelId},
    diffusion::{GuidanceInterval, Stage},
    planner::{
        Budget, Candidates, CostTable, LatencyModel, PhaseTimes, Pins, Plan, PlanRequest, Planner,
        Profile, SizeCost, profile::Cell,
    },
    units::{Flops, ImageSize, Millis},
};

use super::synthetic;
pub(super) use super::synthetic::Draws;

const N_REPLICATES: usize = 32;
pub(super) const MODELS: [&str; 3] = ["toy-8", "toy-16", "toy-32"];
pub(super) const GUIDANCES: [f64; 2] = [1.0, 3.0];
const STEPS: [u32; 5] = [1, 2, 4, 8, 16];
const DISTILLED_STEPS: [u32; 4] = [1, 2, 3, 4];

pub(super) fn size() -> ImageSize {
    "64x64".parse().unwrap()
}

pub(super) struct Toy {
    pub(super) planner: Planner,
    pub(super) latency: LatencyModel,
}

impl Toy {
    /// Scores rise and saturate with steps, model and guidance, or are pure noise in every third toy.
    /// No model is distilled.
    pub(super) fn new(seed: u64) -> Self {
        Self::with_distilled(seed, 0)
    }

    /// The same with any models distilled: none, all, or some of them; and every other one of those with
    /// plans of several stages, a guidance interval or candidates too.
    pub(super) fn any(seed: u64) -> Self {
        let bits = seed >> 61;
        if seed.is_multiple_of(2) {
            return Self::with_distilled(seed, bits);
        }
        let mut draws = Draws(seed);
        let family = family(bits);
        let mut profile = profile(&family, &mut draws, seed.is_multiple_of(3));
        profile.cells.extend(variants(&family, &mut draws));
        profile.check().unwrap();
        let costs = costs(&mut draws);
        let mut phases = phases(&mut draws);
        // Where ranking was never timed, the latency of plans with candidates is not known.
        if !seed.is_multiple_of(5) {
            phases.set_rank("toy", size(), Millis(draws.between(0.1, 3.0)));
        }
        Self {
            planner: Planner::with_costs(&family, Some(profile), costs),
            latency: LatencyModel::new(phases),
        }
    }

    /// The models whose bits are set are distilled.
    fn with_distilled(seed: u64, bits: u64) -> Self {
        let mut draws = Draws(seed);
        let family = family(bits);
        let profile = profile(&family, &mut draws, seed.is_multiple_of(3));
        Self {
            planner: Planner::with_costs(&family, Some(profile), costs(&mut draws)),
            latency: LatencyModel::new(phases(&mut draws)),
        }
    }

    /// The same family before anything was measured.
    pub(super) fn unmeasured() -> Self {
        Self::unmeasured_with_distilled(0)
    }

    /// The same with the models distilled whose bits are set.
    pub(super) fn unmeasured_with_distilled(bits: u64) -> Self {
        let mut draws = Draws(1);
        Self {
            planner: Planner::with_costs(&family(bits), None, costs(&mut draws)),
            latency: LatencyModel::new(phases(&mut draws)),
        }
    }

    /// The same family with the largest model distilled.
    pub(super) fn distilled() -> Self {
        Self::with_distilled(2, 0b100)
    }
}

pub(super) fn request() -> PlanRequest {
    PlanRequest {
        size: size(),
        n_images: 1,
        budget: Budget::default(),
        pins: Pins::default(),
        has_negative_prompt: false,
        kept_texts: 0,
    }
}

/// The models whose bits are set are distilled.
fn family(distilled: u64) -> Family {
    let sizes = [size(), "32x32".parse().unwrap()];
    let mut family = synthetic::family("toy", &MODELS.map(str::to_owned), &sizes);
    for (place, card) in family.models.iter_mut().enumerate() {
        card.distilled = distilled >> place & 1 == 1;
    }
    family
}

/// Operations rise with the model, by random factors.
fn costs(draws: &mut Draws) -> CostTable {
    let mut at = |size: ImageSize| {
        let mut evaluation = 1e8;
        let evaluations = MODELS.map(|_| {
            evaluation *= draws.between(1.2, 4.0);
            Flops(evaluation)
        });
        SizeCost {
            size,
            decode: Flops(5e8),
            rank: Flops(1e8),
            evaluations: evaluations.to_vec(),
        }
    };
    let sizes = vec![at(size()), at("32x32".parse().unwrap())];
    CostTable {
        text: Flops(3e7),
        sizes,
    }
}

/// Step times are drawn apart from operations, so that the two orders of the plans differ.
fn phases(draws: &mut Draws) -> PhaseTimes {
    let mut phases = PhaseTimes::default();
    phases.set_text("toy", Millis(2.0));
    phases.set_encode(size(), Millis(1.0));
    phases.set_decode("toy", size(), Millis(draws.between(5.0, 40.0)));
    for model in MODELS {
        let one = draws.between(1.0, 30.0);
        let model = ModelId(model.into());
        phases.set_step(&model, size(), 1, Millis(one));
        phases.set_step(&model, size(), 2, Millis(one * draws.between(1.2, 2.0)));
    }
    phases
}

fn profile(family: &Family, draws: &mut Draws, is_noise: bool) -> Profile {
    let mut cells = Vec::new();
    // What a resampling of the captions does to every plan alike.
    let common: Vec<f64> = (0..N_REPLICATES)
        .map(|_| draws.between(-0.05, 0.05))
        .collect();
    for (rank, card) in family.models.iter().enumerate() {
        let (guidances, all_steps) = if card.distilled {
            (&GUIDANCES[..1], DISTILLED_STEPS.as_slice())
        } else {
            (GUIDANCES.as_slice(), STEPS.as_slice())
        };
        // Not all that it could have: a request may insist on one that was not measured.
        for &sampler in card.samplers().iter().take(2) {
            for &guidance_scale in guidances {
                let top = draws.between(0.4, 0.6) + 0.1 * rank as f64 + 0.05 * guidance_scale;
                let pace = draws.between(0.5, 4.0);
                for &steps in all_steps {
                    let saturating = top * f64::from(steps) / (f64::from(steps) + pace);
                    let mean = if is_noise {
                        draws.uniform()
                    } else {
                        saturating
                    };
                    let plan = Plan::plain(card.id.clone(), sampler, steps, guidance_scale, size());
                    cells.push(cell(plan, mean, draws, &common));
                }
            }
        }
    }
    let profile = synthetic::profile(family, cells);
    profile.check().unwrap();
    profile
}

/// Plans of the models that are not distilled, better than plain ones by as much as luck has it.
fn variants(family: &Family, draws: &mut Draws) -> Vec<Cell> {
    let common: Vec<f64> = (0..N_REPLICATES)
        .map(|_| draws.between(-0.05, 0.05))
        .collect();
    let mut cells = Vec::new();
    let able = family.models.iter().filter(|card| !card.distilled);
    for card in able {
        let first = Stage {
            model: family.models[0].id.clone(),
            share: 0.4,
        };
        for steps in [4, 8] {
            let plain = || Plan::plain(card.id.clone(), card.samplers()[0], steps, 3.0, size());
            let candidates = |n, pruned_after| Some(Candidates { n, pruned_after });
            let interval = GuidanceInterval {
                sigma_low: 0.3,
                sigma_high: Some(5.0),
            };
            let plans = [
                Plan {
                    stages: vec![first.clone()],
                    ..plain()
                },
                Plan {
                    guidance_interval: Some(interval),
                    ..plain()
                },
                Plan {
                    candidates: candidates(2, Some(0.5)),
                    ..plain()
                },
                Plan {
                    candidates: candidates(4, None),
                    ..plain()
                },
            ];
            // A model does not begin its own plan, and the first one is no stage where it is distilled.
            let stitched = card.id != first.model && !family.models[0].distilled;
            let plans = plans.into_iter().skip(usize::from(!stitched));
            cells.extend(plans.map(|plan| {
                let mean = draws.between(0.3, 0.9);
                cell(plan, mean, draws, &common)
            }));
        }
    }
    cells
}

fn cell(plan: Plan, mean: f64, draws: &mut Draws, common: &[f64]) -> Cell {
    let own = draws.between(0.0, 0.03);
    synthetic::cell(plan, mean, draws, common, own)
}
