//! Does a plan that was chosen come back from its token, and is it then taken as it is?

use goldilocks::{
    catalog::{ModelId, SamplerKind},
    diffusion::{GuidanceInterval, Stage},
    planner::{Candidates, Conflict, Load, Plan, PlanRequest, PlanToken, PlanWarning, Refusal},
    units::{Flops, ImageSize},
};
use proptest::{prelude::*, test_runner::RngSeed};

use super::{
    laws::requests,
    toy::{MODELS, Toy, request, size},
};

fn model() -> impl Strategy<Value = ModelId> {
    ".{1,16}".prop_map(ModelId)
}

/// Every plan that there could be, hosted or not.
fn plans() -> impl Strategy<Value = Plan> {
    let stage = (model(), 0.001..0.3_f64).prop_map(|(model, share)| Stage { model, share });
    let interval = (0.0..3.0_f64, prop::option::of(3.001..1e6_f64));
    let interval = interval.prop_map(|(sigma_low, sigma_high)| GuidanceInterval {
        sigma_low,
        sigma_high,
    });
    let candidates = (2..=64_u32, prop::option::of(0.001..0.999_f64));
    let candidates = candidates.prop_map(|(n, pruned_after)| Candidates { n, pruned_after });
    let size = (1..4096_u32, 1..4096_u32).prop_map(|(width, height)| ImageSize { width, height });
    (
        model(),
        prop::collection::vec(stage, 0..3),
        prop::sample::select(SamplerKind::ALL.to_vec()),
        1..=1000_u32,
        0.001..=100.0_f64,
        prop::option::of(interval),
        prop::option::of(candidates),
        size,
    )
        .prop_map(
            |(model, stages, sampler, steps, guidance_scale, interval, candidates, size)| Plan {
                model,
                stages,
                sampler,
                steps,
                guidance_scale,
                guidance_interval: interval,
                candidates,
                size,
            },
        )
}

fn replay(plan: Plan) -> PlanRequest {
    let mut request = request();
    request.pins.plan = Some(plan);
    request
}

fn plain(model: &str, steps: u32, guidance_scale: f64) -> Plan {
    let (model, sampler) = (ModelId(model.into()), SamplerKind::Ddim);
    Plan::plain(model, sampler, steps, guidance_scale, size())
}

fn conflict(toy: &Toy, request: &PlanRequest) -> String {
    match toy.planner.choose(request, &toy.latency, Load::IDLE) {
        Err(Refusal::Conflict(conflict)) => format!("{}: {conflict}", conflict.param()),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, rng_seed: RngSeed::Fixed(240_401_367), ..ProptestConfig::default() })]

    #[test]
    fn any_plan_comes_back_from_its_token(plan in plans()) {
        let toy = Toy::unmeasured();
        let token = PlanToken::new(&plan, toy.planner.family());
        let read: PlanToken = token.to_string().parse().unwrap();
        prop_assert!(read.suits(toy.planner.family()));
        prop_assert_eq!(read.into_plan(), plan);
    }

    #[test]
    fn no_text_is_a_fault(text in "[A-Za-z0-9_-]{0,200}", plan in plans(), cut in 0..400_usize) {
        text.parse::<PlanToken>().ok();
        let whole = PlanToken::new(&plan, Toy::unmeasured().planner.family()).to_string();
        let part: String = whole.chars().take(cut).collect();
        if part != whole {
            prop_assert!(part.parse::<PlanToken>().is_err());
        }
    }

    #[test]
    fn a_plan_that_was_chosen_is_taken_again_with_the_same_estimate((seed, request, load) in requests()) {
        let toy = Toy::any(seed);
        if let Ok(first) = toy.planner.choose(&request, &toy.latency, load) {
            let token = PlanToken::new(&first.plan, toy.planner.family()).to_string();
            prop_assert!(token.len() < 300, "{}", token.len());
            let mut again = request.clone();
            again.pins = replay(token.parse::<PlanToken>().unwrap().into_plan()).pins;
            let second = toy.planner.choose(&again, &toy.latency, load).unwrap();
            prop_assert_eq!(&second.plan, &first.plan);
            prop_assert_eq!(second.estimate, first.estimate);
            prop_assert_eq!(second.phases, first.phases);
            let is_warned = second.warnings.contains(&PlanWarning::UnmeasuredPlan);
            prop_assert_eq!(is_warned, first.estimate.score.is_none());
            // The kept menus answer as new ones do, and the explanation as the choice.
            let explained = toy.planner.explain(&again, &toy.latency, load).unwrap();
            prop_assert_eq!(explained.plan, first.plan);
            prop_assert!(explained.runners_up.is_empty() && explained.next_better.is_none());
        }
    }
}

#[test]
fn a_plan_that_was_never_measured_is_taken_without_a_score() {
    let toy = Toy::new(1);
    let odd = Plan {
        stages: vec![Stage {
            model: ModelId(MODELS[0].into()),
            share: 0.37,
        }],
        ..plain(MODELS[1], 7, 2.5)
    };
    let decision = toy
        .planner
        .choose(&replay(odd.clone()), &toy.latency, Load::IDLE)
        .unwrap();
    assert_eq!(decision.plan, odd);
    assert_eq!(decision.estimate.score, None);
    assert_eq!(decision.warnings, [PlanWarning::UnmeasuredPlan]);
    assert_eq!(decision.warnings[0].code(), "unmeasured_pin");
}

#[test]
fn a_plan_that_is_too_dear_is_refused_with_what_it_needs_and_not_replaced() {
    let toy = Toy::new(1);
    let mut request = replay(plain(MODELS[2], 16, 3.0));
    request.budget.flops = Some(Flops(1e9));
    let refusal = toy
        .planner
        .choose(&request, &toy.latency, Load::IDLE)
        .unwrap_err();
    let Refusal::Infeasible(infeasible) = refusal else {
        panic!("{refusal}");
    };
    let needed = infeasible.minimum_feasible.tflops.unwrap();
    request.budget.flops = Some(Flops::from_tflops(needed));
    let decision = toy.planner.choose(&request, &toy.latency, Load::IDLE);
    assert_eq!(decision.unwrap().plan.steps, 16);
}

#[test]
fn what_disagrees_with_the_plan_is_refused_by_name() {
    let toy = Toy::distilled();
    let mut request = replay(plain(MODELS[1], 8, 3.0));
    request.pins.steps = Some(8);
    assert!(conflict(&toy, &request).starts_with("num_inference_steps: plan_token fixes"));
    let mut request = replay(plain(MODELS[1], 8, 3.0));
    request.size = "32x32".parse().unwrap();
    assert!(conflict(&toy, &request).starts_with("size: "));
    let mut request = replay(plain(MODELS[1], 8, 1.0));
    request.has_negative_prompt = true;
    assert!(conflict(&toy, &request).starts_with("negative_prompt: "));
    for (plan, why) in [
        (plain(MODELS[2], 4, 3.0), "is distilled"),
        (plain(MODELS[1], 1001, 3.0), "takes at most 1000 steps"),
        (
            Plan {
                candidates: Some(Candidates {
                    n: 2,
                    pruned_after: None,
                }),
                ..plain(MODELS[1], 8, 3.0)
            },
            "nothing ranks candidates of 64x64",
        ),
    ] {
        let told = conflict(&toy, &replay(plan));
        assert!(
            told.starts_with("plan_token: ") && told.contains(why),
            "{told}"
        );
    }
    let stranger = replay(plain("other", 8, 3.0));
    let refusal = toy
        .planner
        .choose(&stranger, &toy.latency, Load::IDLE)
        .unwrap_err();
    assert!(matches!(refusal, Refusal::UnknownModel { .. }), "{refusal}");
    let no_conflict = Conflict::PinBesidePlan { field: "model" };
    assert_eq!(no_conflict.param(), "model");
}
