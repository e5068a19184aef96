//! The laws of the planner, on random profiles, machines and requests.

use goldilocks::{
    catalog::{ModelCard, ModelId, SamplerKind},
    planner::{
        Budget, Cost, Decision, Limit, Load, Menus, Objective, Pins, PlanRequest, Quality, Refusal,
    },
    units::{Flops, Millis},
};
use proptest::{prelude::*, test_runner::RngSeed};

use super::toy::{GUIDANCES, MODELS, Toy, request};

/// Latency and operation limits, each there or not, over more than the range of all plans.
fn limits() -> impl Strategy<Value = (Option<Millis>, Option<Flops>)> {
    let latency = prop::option::of((2.0..8.0_f64).prop_map(|log| Millis(log.exp())));
    let flops = prop::option::of((20.0..26.5_f64).prop_map(|log| Flops(log.exp())));
    (latency, flops)
}

fn pins() -> impl Strategy<Value = Pins> {
    let model = prop::option::weighted(0.3, prop::sample::select(MODELS.to_vec()));
    let sampler = prop::option::weighted(0.3, prop::sample::select(SamplerKind::ALL.to_vec()));
    let steps = prop::option::weighted(0.2, 1..=20_u32);
    let scales = [GUIDANCES[0], GUIDANCES[1], 4.2].to_vec();
    let guidance_scale = prop::option::weighted(0.2, prop::sample::select(scales));
    (model, sampler, steps, guidance_scale).prop_map(|(model, sampler, steps, guidance_scale)| {
        Pins {
            model: model.map(|id| ModelId(id.into())),
            sampler,
            steps,
            guidance_scale,
            plan: None,
        }
    })
}

fn quality() -> impl Strategy<Value = Option<Quality>> {
    prop::option::of(prop::sample::select(vec![
        Quality::Auto,
        Quality::Low,
        Quality::High,
        Quality::Max,
    ]))
}

fn objective() -> impl Strategy<Value = Objective> {
    prop::sample::select(vec![
        Objective::Fidelity,
        Objective::Alignment,
        Objective::Balanced,
    ])
}

/// A request of any kind with limits, and the toy it goes to.
pub(super) fn requests() -> impl Strategy<Value = (u64, PlanRequest, Load)> {
    let min_score = prop::option::weighted(0.3, 0.1..0.7_f64);
    let parts = (
        limits(),
        pins(),
        quality(),
        objective(),
        min_score,
        1..4_u32,
        0.0..300.0_f64,
    );
    (any::<u64>(), parts).prop_map(|(seed, parts)| {
        let ((latency, flops), pins, quality, objective, min_score, n_images, queued) = parts;
        let request = PlanRequest {
            n_images,
            pins,
            budget: Budget {
                latency,
                flops,
                quality,
                objective,
                min_score,
                minimize: None,
            },
            ..request()
        };
        let queued = Millis(if queued < 150.0 { 0.0 } else { queued });
        (seed, request, Load { queued })
    })
}

/// The predicted score; zero for plans that were never measured, which are all alike.
fn score(decision: &Decision) -> f64 {
    decision.estimate.score.map_or(0.0, |score| score.mean)
}

fn keeps(decision: &Decision, budget: &Budget) -> bool {
    // The estimate tells operations in units of 10^12: one rounding.
    let flops = decision.estimate.flops().0 * (1.0 - 1e-12);
    let p99 = decision.estimate.latency_ms.map(|latency| latency.p99);
    budget.flops.is_none_or(|limit| flops <= limit.0)
        && budget
            .latency
            .is_none_or(|limit| p99.is_some_and(|p99| p99 <= limit))
}

/// The frontier on one axis; empty where the pins are a contradiction, guidance of a distilled model.
fn frontier(toy: &Toy, request: &PlanRequest, axis: Cost) -> Vec<Decision> {
    match toy.planner.frontier(request, &toy.latency, axis) {
        Err(Refusal::Conflict(_)) => Vec::new(),
        frontier => frontier.unwrap(),
    }
}

/// Everything on offer, told by the public frontiers.
fn offered(toy: &Toy, request: &PlanRequest, load: Load) -> Vec<Decision> {
    [Cost::Tflops, Cost::Latency]
        .into_iter()
        .flat_map(|axis| frontier(toy, request, axis))
        .map(|mut decision| {
            let told = |sum| toy.latency.estimate(sum, load.queued);
            decision.estimate.latency_ms = decision.phases.map(told);
            decision
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, rng_seed: RngSeed::Fixed(240_401_367), ..ProptestConfig::default() })]

    #[test]
    fn more_budget_never_lowers_the_predicted_score(
        (seed, request, load) in requests(),
        more_latency in prop::option::of(1.0..10.0_f64),
        more_flops in prop::option::of(1.0..10.0_f64),
    ) {
        let toy = Toy::any(seed);
        // A limit that is lifted altogether would turn `auto` into another question.
        let grown = |factor: Option<f64>| factor.unwrap_or(1.0);
        let mut richer = request.clone();
        richer.budget.latency = request.budget.latency.map(|limit| limit * grown(more_latency));
        richer.budget.flops = request.budget.flops.map(|limit| limit * grown(more_flops));
        if let Ok(poorer) = toy.planner.choose(&request, &toy.latency, load) {
            let richer = toy.planner.choose(&richer, &toy.latency, load);
            prop_assert!(richer.is_ok(), "{richer:?}");
            prop_assert!(score(&richer.unwrap()) >= score(&poorer));
        }
    }

    #[test]
    fn an_estimate_never_exceeds_its_budget((seed, request, load) in requests()) {
        let toy = Toy::any(seed);
        if let Ok(decision) = toy.planner.choose(&request, &toy.latency, load) {
            prop_assert!(keeps(&decision, &request.budget), "{decision:?}");
            if let Some(min_score) = request.budget.min_score {
                prop_assert!(score(&decision) >= min_score);
            }
        }
    }

    #[test]
    fn pins_are_honored((seed, request, load) in requests()) {
        let toy = Toy::any(seed);
        if let Ok(Decision { plan, .. }) = toy.planner.choose(&request, &toy.latency, load) {
            let pins = request.pins;
            prop_assert!(pins.model.is_none_or(|model| model == plan.model));
            prop_assert!(pins.sampler.is_none_or(|sampler| sampler == plan.sampler));
            prop_assert!(pins.steps.is_none_or(|steps| steps == plan.steps));
            prop_assert!(pins.guidance_scale.is_none_or(|scale| scale == plan.guidance_scale));
        }
    }

    #[test]
    fn a_model_runs_against_its_kind_only_where_the_pins_leave_no_other(
        (seed, mut request, load) in requests(),
        has_negative_prompt in any::<bool>(),
    ) {
        request.has_negative_prompt = has_negative_prompt;
        let toy = Toy::any(seed);
        if let Ok(Decision { plan, estimate, .. }) = toy.planner.choose(&request, &toy.latency, load) {
            let family = toy.planner.family();
            let card = family.model(&plan.model.0).unwrap();
            prop_assert!(!card.distilled || !plan.is_guided());
            prop_assert!(!has_negative_prompt || plan.is_guided());
            if !card.suits(plan.sampler) {
                prop_assert_eq!(estimate.score, None);
                prop_assert_eq!(request.pins.sampler, Some(plan.sampler));
                let could = |card: &ModelCard| {
                    let steered = has_negative_prompt || request.pins.guidance_scale.is_some_and(|s| s != 1.0);
                    let pinned = request.pins.model.as_ref().is_none_or(|model| *model == card.id);
                    pinned && card.suits(plan.sampler) && !(card.distilled && steered)
                };
                prop_assert!(!family.models.iter().any(could), "{plan:?}");
            }
        }
    }

    #[test]
    fn frontier_entries_are_strictly_ordered_in_cost_and_score(
        seed in any::<u64>(),
        pins in pins(),
        objective in objective(),
        n_images in 1..4_u32,
    ) {
        let toy = Toy::any(seed);
        let budget = Budget { objective, ..Budget::default() };
        let request = PlanRequest { pins, budget, n_images, ..request() };
        for axis in [Cost::Tflops, Cost::Latency] {
            let frontier = frontier(&toy, &request, axis);
            let guided = request.pins.guidance_scale.is_some_and(|scale| scale != 1.0);
            prop_assert!(!frontier.is_empty() || guided);
            for pair in frontier.windows(2) {
                let cost = |decision: &Decision| match axis {
                    Cost::Tflops => decision.estimate.tflops,
                    Cost::Latency => decision.estimate.latency_ms.unwrap().p99.0,
                };
                prop_assert!(cost(&pair[0]) < cost(&pair[1]));
                if pair[0].estimate.score.is_some() {
                    prop_assert!(score(&pair[0]) < score(&pair[1]));
                }
            }
        }
    }

    #[test]
    fn the_same_input_gives_the_same_plan((seed, request, load) in requests()) {
        let (toy, again) = (Toy::any(seed), Toy::any(seed));
        prop_assert_eq!(
            toy.planner.choose(&request, &toy.latency, load),
            again.planner.choose(&request, &again.latency, load)
        );
    }

    #[test]
    fn menus_that_are_kept_answer_as_new_ones_do(
        (seed, request, load) in requests(),
        has_negative_prompt in any::<bool>(),
    ) {
        let request = PlanRequest { has_negative_prompt, ..request };
        let toy = Toy::any(seed);
        let menus = Menus::new(&toy.planner, toy.latency.phases());
        let anew = toy.planner.choose(&request, &toy.latency, load);
        // Once to make the menus of the pins, once to find them.
        for _ in 0..2 {
            prop_assert_eq!(&menus.choose(&request, &toy.latency, load), &anew);
        }
    }

    #[test]
    fn the_number_of_pictures_changes_the_bill_and_not_the_order(
        (seed, request, _) in requests(),
        n_images in 2..9_u32,
    ) {
        let toy = Toy::any(seed);
        for axis in [Cost::Tflops, Cost::Latency] {
            let plans = |n_images| {
                let request = PlanRequest { n_images, ..request.clone() };
                let decisions = frontier(&toy, &request, axis).into_iter();
                decisions.map(|decision| decision.plan).collect::<Vec<_>>()
            };
            prop_assert_eq!(plans(1), plans(n_images));
        }
    }

    #[test]
    fn brute_force_over_everything_on_offer_agrees((seed, request, load) in requests()) {
        let toy = Toy::any(seed);
        let named = matches!(request.budget.quality, Some(Quality::Low | Quality::High));
        prop_assume!(!named && request.budget.is_limited());
        let min_score = request.budget.min_score.unwrap_or(f64::NEG_INFINITY);
        let all = offered(&toy, &request, load);
        let measured = all.first().is_some_and(|decision| decision.estimate.score.is_some());
        let allowed = all.iter().filter(|decision| {
            score(decision) >= min_score && keeps(decision, &request.budget)
        });
        let best = allowed.map(score).reduce(f64::max);
        let chosen = toy.planner.choose(&request, &toy.latency, load);
        if measured {
            prop_assert_eq!(chosen.as_ref().ok().map(score), best);
            if let Ok(chosen) = chosen {
                prop_assert!(all.iter().any(|known| known.plan == chosen.plan));
            }
        } else if request.budget.min_score.is_none() {
            prop_assert_eq!(chosen.is_ok(), best.is_some());
        }
    }

    #[test]
    fn the_dual_problem_finds_the_cheapest_plan_that_is_good_enough(
        (seed, mut request, load) in requests(),
        axis in prop::sample::select(vec![Cost::Tflops, Cost::Latency]),
        min_score in 0.1..0.6_f64,
    ) {
        request.budget = Budget {
            min_score: Some(min_score),
            minimize: Some(axis),
            quality: None,
            ..request.budget
        };
        let toy = Toy::any(seed);
        let cost = |decision: &Decision| match axis {
            Cost::Tflops => decision.estimate.tflops,
            Cost::Latency => decision.estimate.latency_ms.map_or(f64::INFINITY, |ms| ms.p99.0),
        };
        if let Ok(chosen) = toy.planner.choose(&request, &toy.latency, load) {
            let cheapest = offered(&toy, &request, load)
                .iter()
                .filter(|d| score(d) >= min_score && keeps(d, &request.budget))
                .map(cost)
                .fold(f64::INFINITY, f64::min);
            prop_assert_eq!(cost(&chosen), cheapest);
        }
    }

    #[test]
    fn the_minimum_feasible_budget_is_feasible_and_just_below_it_is_not(
        (seed, request, _) in requests(),
    ) {
        let toy = Toy::any(seed);
        let choose = |budget: Budget| {
            let request = PlanRequest { budget, ..request.clone() };
            toy.planner.choose(&request, &toy.latency, Load::IDLE)
        };
        let Err(Refusal::Infeasible(refusal)) = choose(request.budget.clone()) else {
            return Ok(());
        };
        let needed = refusal.minimum_feasible;
        let with = |latency: Option<f64>, tflops: Option<f64>| Budget {
            latency: latency.map(Millis).or(request.budget.latency),
            flops: tflops.map(Flops::from_tflops).or(request.budget.flops),
            ..request.budget.clone()
        };
        let ms = needed.latency_ms.map(|ms| ms.0);
        // Both numbers are rounded up, to a microsecond and to 10^6 operations.
        let (ms_below, tflops_below) = (ms.map(|ms| ms - 2e-3), needed.tflops.map(|t| t - 2e-6));
        prop_assert!(ms.is_some() || needed.tflops.is_some());
        if refusal.limit == Limit::Both {
            prop_assert!(choose(with(ms, needed.tflops)).is_ok());
            prop_assert!(choose(with(ms_below, needed.tflops)).is_err());
            prop_assert!(choose(with(ms, tflops_below)).is_err());
        } else {
            if ms.is_some() {
                prop_assert!(choose(with(ms, None)).is_ok());
                prop_assert!(choose(with(ms_below, None)).is_err());
            }
            if needed.tflops.is_some() {
                prop_assert!(choose(with(None, needed.tflops)).is_ok());
                prop_assert!(choose(with(None, tflops_below)).is_err());
            }
        }
    }

    #[test]
    fn a_busy_server_says_when_to_come_back((seed, mut request, load) in requests()) {
        request.budget.quality = None;
        let toy = Toy::any(seed);
        if let Err(Refusal::Overloaded { retry_after, .. }) =
            toy.planner.choose(&request, &toy.latency, load)
        {
            let after = |wait: f64| Load { queued: Millis((load.queued.0 - wait).max(0.0)) };
            let later = toy.planner.choose(&request, &toy.latency, after(retry_after.0 + 1e-6));
            prop_assert!(later.is_ok(), "{later:?}");
            let sooner = toy.planner.choose(&request, &toy.latency, after(retry_after.0 - 1e-3));
            prop_assert!(sooner.is_err(), "{sooner:?}");
        }
    }
}
