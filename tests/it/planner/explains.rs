//! Does an explanation give the true reasons?

use goldilocks::{
    catalog::ModelId,
    planner::{Estimate, Explanation, Load, Loss, PlanRequest, Quality},
    units::{Flops, Millis},
};

use super::toy::{MODELS, Toy, request};

fn explain(toy: &Toy, edit: impl FnOnce(&mut PlanRequest)) -> Explanation {
    let mut request = request();
    edit(&mut request);
    toy.planner
        .explain(&request, &toy.latency, Load::IDLE)
        .unwrap()
}

#[test]
fn the_explained_plan_is_the_chosen_one() {
    for seed in 0..20 {
        let toy = Toy::new(seed);
        let mut request = request();
        request.budget.flops = Some(Flops(4e9));
        let chosen = toy.planner.choose(&request, &toy.latency, Load::IDLE);
        let told = toy.planner.explain(&request, &toy.latency, Load::IDLE);
        assert_eq!(chosen.map(|d| d.plan), told.map(|e| e.plan));
    }
}

#[test]
fn the_next_better_plan_is_had_for_what_it_needs() {
    let mut seen = 0;
    for seed in 0..30 {
        let toy = Toy::new(seed);
        let mut request = request();
        request.budget.flops = Some(Flops(4e9));
        request.budget.latency = Some(Millis(250.0));
        let Ok(told) = toy.planner.explain(&request, &toy.latency, Load::IDLE) else {
            continue;
        };
        let Some(next) = told.next_better else {
            continue;
        };
        seen += 1;
        let needs = next.needs;
        assert!(needs.latency_ms.is_some() || needs.tflops.is_some());
        request.budget.latency = needs.latency_ms.or(request.budget.latency);
        request.budget.flops = needs
            .tflops
            .map(Flops::from_tflops)
            .or(request.budget.flops);
        let richer = toy
            .planner
            .choose(&request, &toy.latency, Load::IDLE)
            .unwrap();
        let (now, promised) = (richer.estimate.score.unwrap(), next.estimate.score.unwrap());
        assert!(now.mean >= promised.mean);
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn every_other_model_is_told_with_why_it_lost() {
    for seed in 0..30 {
        let told = explain(&Toy::new(seed), |r| r.budget.flops = Some(Flops(4e9)));
        assert_eq!(told.runners_up.len(), MODELS.len() - 1);
        let chosen = told.estimate.score.unwrap().mean;
        for other in &told.runners_up {
            assert_ne!(other.plan.model, told.plan.model);
            assert!(!other.message.is_empty());
            let gap = chosen - other.estimate.score.unwrap().mean;
            match other.reason {
                Loss::LowerScore { by, .. } => assert!((by.unwrap() - gap).abs() < 1e-12),
                Loss::OverBudget { tflops, .. } => {
                    assert!((other.estimate.tflops - 0.004 - tflops.unwrap()).abs() < 1e-12);
                }
                Loss::WithinNoise { by, standard_error } => {
                    assert!(by >= 0.0 && by <= standard_error);
                }
                Loss::CostsMore { .. } => assert!(gap <= 0.0),
                ref odd => panic!("{odd:?}"),
            }
        }
    }
}

#[test]
fn what_a_pinned_model_costs_is_told() {
    let toy = Toy::new(1);
    let best = explain(&toy, |r| r.budget.quality = Some(Quality::Max))
        .plan
        .model;
    let worse = MODELS.iter().find(|id| **id != best.0).unwrap();
    let told = explain(&toy, |r| {
        r.budget.quality = Some(Quality::Max);
        r.pins.model = Some(ModelId((*worse).into()));
    });
    let other = told
        .runners_up
        .iter()
        .find(|other| other.plan.model == best)
        .unwrap();
    assert!(matches!(other.reason, Loss::OtherModelPinned { by: Some(by) } if by > 0.0));
}

#[test]
fn pins_cost_what_the_choice_without_them_has_more() {
    let mut n_costly = 0;
    for seed in 0..30 {
        let toy = Toy::new(seed);
        let with = |pinned: bool| {
            explain(&toy, |r| {
                r.budget.flops = Some(Flops(8e9));
                r.pins.steps = pinned.then_some(1);
            })
        };
        let (pinned, free) = (with(true), with(false));
        assert_eq!(free.pins_cost, None);
        let cost = pinned.pins_cost.unwrap();
        assert_eq!((&cost.plan, cost.estimate), (&free.plan, free.estimate));
        let gap = free.estimate.score.unwrap().mean - pinned.estimate.score.unwrap().mean;
        assert!((cost.score.unwrap() - gap).abs() < 1e-12);
        let p99 = |estimate: &Estimate| estimate.latency_ms.unwrap().p99.0;
        let delay = p99(&pinned.estimate) - p99(&free.estimate);
        assert!((cost.latency_ms.unwrap().0 - delay).abs() < 1e-9);
        assert!((cost.tflops - (pinned.estimate.tflops - free.estimate.tflops)).abs() < 1e-12);
        let is_same = free.plan == pinned.plan;
        assert_eq!(cost.message.starts_with("the pins cost nothing"), is_same);
        n_costly += usize::from(gap > 0.0);
    }
    assert!(n_costly > 10, "{n_costly}");
}

#[test]
fn a_pin_that_was_never_measured_costs_a_score_that_is_not_known() {
    let told = explain(&Toy::new(1), |r| r.pins.steps = Some(77));
    let cost = told.pins_cost.unwrap();
    assert_eq!((cost.score, cost.standard_error), (None, None));
    assert!(
        cost.message.contains("cannot be compared"),
        "{}",
        cost.message
    );
    assert!(cost.tflops > 0.0 && cost.message.contains("tflops less"));
}

#[test]
fn an_explanation_is_json_with_stable_codes() {
    let told = explain(&Toy::new(1), |r| r.pins.steps = Some(77));
    let json = serde_json::to_value(&told).unwrap();
    assert_eq!(json["warnings"][0]["code"], "unmeasured_pin");
    assert!(json["runners_up"][0]["reason"]["code"].is_string());
    assert!(json["estimate"]["latency_ms"]["p95"].is_number());
}
