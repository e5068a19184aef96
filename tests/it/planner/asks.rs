//! Does each way of asking mean what it says?

use goldilocks::{
    catalog::{ModelId, SamplerKind},
    planner::{
        AUTO_TOLERANCE, Budget, Conflict, Cost, Decision, LatencyModel, Load, Objective,
        PhaseTimes, Plan, PlanRequest, PlanWarning, Quality, Refusal,
    },
    units::{Flops, Millis},
};

use super::toy::{MODELS, Toy, request};

fn choose(toy: &Toy, edit: impl FnOnce(&mut PlanRequest)) -> Result<Decision, Refusal> {
    let mut request = request();
    edit(&mut request);
    toy.planner.choose(&request, &toy.latency, Load::IDLE)
}

fn named(toy: &Toy, quality: Quality) -> Decision {
    choose(toy, |r| r.budget.quality = Some(quality)).unwrap()
}

fn score(decision: &Decision) -> f64 {
    decision.estimate.score.unwrap().mean
}

#[test]
fn max_is_the_best_plan_on_offer() {
    let toy = Toy::new(1);
    let frontier = toy
        .planner
        .frontier(&request(), &toy.latency, Cost::Tflops)
        .unwrap();
    let best = frontier.iter().map(score).fold(0.0, f64::max);
    assert!(score(&named(&toy, Quality::Max)) >= best);
}

#[test]
fn auto_is_the_cheapest_plan_within_its_tolerance_of_the_best() {
    for seed in 0..30 {
        let toy = Toy::new(seed);
        let (auto, max) = (named(&toy, Quality::Auto), named(&toy, Quality::Max));
        assert!(score(&auto) >= score(&max) - AUTO_TOLERANCE);
        assert!(auto.estimate.tflops <= max.estimate.tflops);
        assert_eq!(auto, choose(&toy, |_| ()).unwrap());
        for decision in toy
            .planner
            .frontier(&request(), &toy.latency, Cost::Tflops)
            .unwrap()
        {
            let cheaper = decision.estimate.tflops < auto.estimate.tflops;
            assert!(!(cheaper && score(&decision) >= score(&max) - AUTO_TOLERANCE));
        }
    }
}

#[test]
fn named_budgets_rise_and_are_never_infeasible() {
    for seed in 0..30 {
        let toy = Toy::new(seed);
        let ladder = [
            Quality::Low,
            Quality::Medium,
            Quality::High,
            Quality::Xhigh,
            Quality::Max,
        ];
        let scores = ladder.map(|quality| score(&named(&toy, quality)));
        assert!(scores.is_sorted(), "{scores:?}");
        let dear = choose(&toy, |r| {
            r.budget.quality = Some(Quality::Low);
            r.pins.model = Some(ModelId(MODELS[2].into()));
            r.pins.steps = Some(16);
        });
        assert_eq!(dear.unwrap().plan.steps, 16);
    }
}

#[test]
fn a_named_budget_is_granted_for_each_picture() {
    let toy = Toy::new(4);
    let one = named(&toy, Quality::High);
    let four = choose(&toy, |r| {
        r.budget.quality = Some(Quality::High);
        r.n_images = 4;
    })
    .unwrap();
    assert!(score(&four) >= score(&one));
    assert!(four.estimate.tflops > one.estimate.tflops);
    assert!((four.estimate.tflops_per_image * 4.0 - four.estimate.tflops).abs() < 1e-12);
}

#[test]
fn beside_a_number_of_operations_the_lower_limit_counts() {
    for seed in 0..30 {
        let toy = Toy::new(seed);
        let low = named(&toy, Quality::Low);
        let beside = |flops| {
            choose(&toy, |r| {
                r.budget.quality = Some(Quality::Low);
                r.budget.flops = Some(Flops(flops));
            })
        };
        assert_eq!(beside(1e15).unwrap(), low);
        let less = low.estimate.flops().0 * 0.999;
        if let Ok(smaller) = beside(less) {
            assert!(smaller.estimate.flops().0 <= less);
        }
    }
}

#[test]
fn each_objective_is_maximized_by_itself() {
    let toy = Toy::new(3);
    let best = |objective| {
        let decision = choose(&toy, |r| {
            r.budget.objective = objective;
            r.budget.quality = Some(Quality::Max);
        });
        decision.unwrap()
    };
    let (fidelity, alignment) = (best(Objective::Fidelity), best(Objective::Alignment));
    assert!(
        score(&alignment) > score(&fidelity),
        "alignment is the higher score in the toy"
    );
}

#[test]
fn a_pin_between_measured_step_counts_has_a_score_with_an_error() {
    let decision = choose(&Toy::new(1), |r| r.pins.steps = Some(11)).unwrap();
    let score = decision.estimate.score.unwrap();
    assert!(score.standard_error > 0.0);
    assert_eq!(decision.warnings, []);
}

#[test]
fn a_pin_that_was_never_measured_is_honored_without_a_score() {
    let toy = Toy::new(1);
    let nearest = choose(&toy, |r| {
        r.pins.steps = Some(16);
        r.pins.guidance_scale = Some(3.0);
    })
    .unwrap();
    let pinned = choose(&toy, |r| {
        r.pins.steps = Some(77);
        r.pins.guidance_scale = Some(4.2);
    })
    .unwrap();
    assert_eq!((pinned.plan.steps, pinned.plan.guidance_scale), (77, 4.2));
    assert_eq!(pinned.estimate.score, None);
    assert_eq!(pinned.warnings, [PlanWarning::UnmeasuredPin]);
    assert_eq!(
        (pinned.plan.model, pinned.plan.sampler),
        (nearest.plan.model, nearest.plan.sampler),
        "the rest is planned as for the nearest measured plan"
    );
}

#[test]
fn an_unmeasured_pin_still_keeps_its_budget() {
    let toy = Toy::new(1);
    let ask = |latency| {
        choose(&toy, |r| {
            r.pins.guidance_scale = Some(4.2);
            r.budget.latency = Some(Millis(latency));
        })
    };
    let (tight, roomy) = (ask(120.0), ask(2000.0).unwrap());
    if let Ok(tight) = tight {
        assert!(tight.estimate.latency_ms.unwrap().p99 <= Millis(120.0));
        assert!(tight.estimate.tflops <= roomy.estimate.tflops);
    }
    assert!(roomy.estimate.latency_ms.unwrap().p99 <= Millis(2000.0));
}

#[test]
fn without_a_profile_the_defaults_are_twenty_steps_of_the_largest_model() {
    let toy = Toy::unmeasured();
    let decision = choose(&toy, |_| ()).unwrap();
    assert_eq!(decision.plan.model.0, MODELS[2]);
    assert_eq!(decision.plan.sampler, SamplerKind::DpmPp2M);
    assert_eq!(
        (decision.plan.steps, decision.plan.guidance_scale),
        (20, 7.5)
    );
    assert_eq!(decision.warnings, [PlanWarning::Unmeasured]);
    assert_eq!(decision.estimate.score, None);
}

#[test]
fn without_a_profile_a_tight_budget_takes_a_smaller_model_before_fewer_steps() {
    let toy = Toy::unmeasured();
    let least = choose(&toy, |r| r.pins.model = Some(ModelId(MODELS[0].into()))).unwrap();
    let decision = choose(&toy, |r| {
        r.budget.flops = Some(least.estimate.flops() * 1.001);
    })
    .unwrap();
    assert_eq!(
        (decision.plan.model.0.as_str(), decision.plan.steps),
        (MODELS[0], 20)
    );
    let decision = choose(&toy, |r| {
        r.budget.flops = Some(least.estimate.flops() * 0.6);
    })
    .unwrap();
    assert!(decision.plan.steps < 20);
}

#[test]
fn without_a_profile_a_distilled_model_takes_four_unguided_steps_of_its_own_sampler() {
    let toy = Toy::unmeasured_with_distilled(0b111);
    let Plan {
        model,
        sampler,
        steps,
        guidance_scale,
        ..
    } = choose(&toy, |_| ()).unwrap().plan;
    assert_eq!(
        (&*model.0, sampler, steps, guidance_scale),
        (MODELS[2], SamplerKind::Lcm, 4, 1.0)
    );
    let beside_others = Toy::unmeasured_with_distilled(0b100);
    let roomy = choose(&beside_others, |_| ()).unwrap();
    assert_eq!((&*roomy.plan.model.0, roomy.plan.steps), (MODELS[1], 20));
    let least = roomy.estimate.flops();
    let tight = choose(&beside_others, |r| r.budget.flops = Some(least * 0.5)).unwrap();
    assert_eq!(tight.plan.sampler, SamplerKind::Lcm);
}

#[test]
fn a_sampler_that_is_pinned_is_run_by_the_models_it_suits() {
    let toy = Toy::distilled();
    let pin = |sampler| choose(&toy, |r| r.pins.sampler = Some(sampler)).unwrap();
    let distilled = pin(SamplerKind::Lcm);
    assert_eq!(
        (&*distilled.plan.model.0, distilled.plan.guidance_scale),
        (MODELS[2], 1.0)
    );
    assert!(distilled.estimate.score.is_some());
    assert_ne!(pin(SamplerKind::Ddim).plan.model.0, MODELS[2]);
    let unmeasured_steps = choose(&toy, |r| {
        r.pins.sampler = Some(SamplerKind::Lcm);
        r.pins.steps = Some(10);
    });
    assert_eq!(unmeasured_steps.unwrap().plan.model.0, MODELS[2]);
}

#[test]
fn a_model_pinned_together_with_a_sampler_not_its_own_is_an_unmeasured_plan() {
    let toy = Toy::distilled();
    for (model, sampler) in [
        (MODELS[0], SamplerKind::Lcm),
        (MODELS[2], SamplerKind::Ddim),
    ] {
        let decision = choose(&toy, |r| {
            r.pins.model = Some(ModelId(model.into()));
            r.pins.sampler = Some(sampler);
        })
        .unwrap();
        assert_eq!(
            (&*decision.plan.model.0, decision.plan.sampler),
            (model, sampler)
        );
        assert_eq!(decision.estimate.score, None);
        assert_eq!(decision.warnings, [PlanWarning::UnmeasuredPin]);
    }
}

#[test]
fn more_steps_than_a_sampler_has_are_refused_or_taken_by_another_model() {
    let toy = Toy::distilled();
    let free = choose(&toy, |r| r.pins.steps = Some(60)).unwrap();
    assert_ne!(free.plan.sampler, SamplerKind::Lcm);
    let refusal = choose(&toy, |r| {
        r.pins.steps = Some(60);
        r.pins.model = Some(ModelId(MODELS[2].into()));
    })
    .unwrap_err();
    assert_eq!(refusal.param(), Some("num_inference_steps"));
    let message = refusal.to_string();
    assert_eq!(message, "lcm takes at most 50 steps, not 60; ask for fewer");
}

#[test]
fn another_size_than_the_measured_one_has_no_score() {
    let decision = choose(&Toy::new(1), |r| r.size = "32x32".parse().unwrap()).unwrap();
    assert_eq!(decision.estimate.score, None);
    assert_eq!(decision.warnings, [PlanWarning::Unmeasured]);
}

#[test]
fn a_negative_prompt_excludes_unguided_and_distilled_plans() {
    let toy = Toy::distilled();
    for tflops in [0.0008, 0.002, 0.1] {
        let decision = choose(&toy, |r| {
            r.has_negative_prompt = true;
            r.budget.flops = Some(Flops::from_tflops(tflops));
        });
        if let Ok(decision) = decision {
            assert!(decision.plan.is_guided());
            assert_ne!(decision.plan.model.0, MODELS[2]);
        }
    }
    let free = choose(&toy, |r| r.budget.quality = Some(Quality::Max)).unwrap();
    let steered = choose(&toy, |r| {
        r.has_negative_prompt = true;
        r.budget.quality = Some(Quality::Max);
    })
    .unwrap();
    assert!(score(&steered) <= score(&free));
}

#[test]
fn texts_that_are_kept_take_no_time_and_count_all_the_same() {
    let toy = Toy::new(1);
    let with = |kept_texts| {
        choose(&toy, |r| {
            r.has_negative_prompt = true;
            r.kept_texts = kept_texts;
        })
        .unwrap()
    };
    let (new, kept) = (with(0), with(2));
    assert_eq!(new.plan, kept.plan);
    assert_eq!(new.estimate.tflops, kept.estimate.tflops);
    let saved = new.phases.unwrap().0 - kept.phases.unwrap().0;
    assert!(
        (saved - 2.0 * 2.0).abs() < 1e-9,
        "two texts of 2 ms: {saved}"
    );
    assert_eq!(with(9).phases, kept.phases);
}

#[test]
fn contradictions_are_refused_whatever_the_budget() {
    let toy = Toy::distilled();
    let distilled = || Some(ModelId(MODELS[2].into()));
    let conflict = |edit: &dyn Fn(&mut PlanRequest)| match choose(&toy, edit) {
        Err(Refusal::Conflict(conflict)) => conflict,
        other => panic!("{other:?}"),
    };
    let unguided = conflict(&|r| {
        r.has_negative_prompt = true;
        r.pins.guidance_scale = Some(1.0);
    });
    assert_eq!(unguided, Conflict::NegativePromptUnguided);
    let baked = conflict(&|r| {
        r.has_negative_prompt = true;
        r.pins.model = distilled();
    });
    assert!(matches!(baked, Conflict::NegativePromptDistilled { .. }));
    let guided = conflict(&|r| {
        r.pins.guidance_scale = Some(3.0);
        r.pins.model = distilled();
    });
    assert!(matches!(guided, Conflict::GuidedDistilled { .. }));
    let aimless = conflict(&|r| r.budget.minimize = Some(Cost::Tflops));
    assert_eq!(aimless, Conflict::MinimizeWithoutMinScore);
}

#[test]
fn a_latency_promise_says_when_it_rests_on_few_requests() {
    let mut toy = Toy::new(1);
    let ask = |toy: &Toy| choose(toy, |r| r.budget.latency = Some(Millis(3000.0))).unwrap();
    assert_eq!(ask(&toy).warnings, [PlanWarning::LatencyUnlearned]);
    for _ in 0..40 {
        toy.latency.observe(Millis(100.0), Millis(101.0));
    }
    assert_eq!(ask(&toy).warnings, []);
}

#[test]
fn operations_can_be_granted_before_the_machine_was_timed() {
    let toy = Toy {
        latency: LatencyModel::new(PhaseTimes::default()),
        ..Toy::new(1)
    };
    let decision = choose(&toy, |r| r.budget.flops = Some(Flops(1e10))).unwrap();
    assert_eq!(decision.estimate.latency_ms, None);
    let refusal = choose(&toy, |r| r.budget.latency = Some(Millis(1e4))).unwrap_err();
    assert_eq!(refusal, Refusal::LatencyUnknown);
}

#[test]
fn quality_auto_adds_nothing_to_a_limit() {
    let toy = Toy::new(2);
    let limit = Budget {
        flops: Some(Flops(8e9)),
        ..Budget::default()
    };
    let plain = choose(&toy, |r| r.budget = limit.clone()).unwrap();
    let auto = choose(&toy, |r| {
        r.budget = limit.clone();
        r.budget.quality = Some(Quality::Auto);
    });
    assert_eq!(auto.unwrap(), plain);
}
