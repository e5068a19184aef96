//! Is a refusal told so that the client knows what would do?

use goldilocks::{
    catalog::ModelId,
    planner::{Limit, Load, PlanRequest, Refusal},
    units::{Flops, Millis},
};

use super::toy::{MODELS, Toy, request};

fn refusal(toy: &Toy, load: Load, edit: impl FnOnce(&mut PlanRequest)) -> Refusal {
    let mut request = request();
    edit(&mut request);
    toy.planner
        .choose(&request, &toy.latency, load)
        .unwrap_err()
}

#[test]
fn an_unknown_model_is_refused_with_those_that_are_known() {
    let refusal = refusal(&Toy::new(1), Load::IDLE, |r| {
        r.pins.model = Some(ModelId("huge".into()));
    });
    assert_eq!(refusal.code(), "unknown_model");
    assert!(
        refusal.to_string().contains("toy-8, toy-16, toy-32"),
        "{refusal}"
    );
}

#[test]
fn an_unknown_size_is_refused_with_those_on_offer() {
    let refusal = refusal(&Toy::new(1), Load::IDLE, |r| {
        r.size = "96x96".parse().unwrap();
    });
    assert_eq!(refusal.param(), Some("size"));
    assert!(refusal.to_string().contains("64x64, 32x32"), "{refusal}");
}

#[test]
fn a_latency_below_every_plan_is_infeasible_and_names_the_least_that_would_do() {
    let refusal = refusal(&Toy::new(1), Load::IDLE, |r| {
        r.budget.latency = Some(Millis(1.0));
    });
    let Refusal::Infeasible(infeasible) = &refusal else {
        panic!("{refusal:?}");
    };
    assert_eq!(infeasible.limit, Limit::Latency);
    assert_eq!(infeasible.minimum_feasible.tflops, None);
    assert!(!infeasible.because_of_pins && !refusal.is_transient());
    let told = infeasible
        .minimum_feasible
        .latency_ms
        .unwrap()
        .0
        .to_string();
    assert!(refusal.to_string().contains(&told), "{refusal}");
}

#[test]
fn pins_that_are_to_blame_are_named() {
    let toy = Toy::new(1);
    let cheap = toy
        .planner
        .choose(&request(), &toy.latency, Load::IDLE)
        .unwrap();
    let refusal = refusal(&toy, Load::IDLE, |r| {
        r.budget.flops = Some(cheap.estimate.flops() * 1.001);
        r.pins.model = Some(ModelId(MODELS[2].into()));
        r.pins.steps = Some(60);
    });
    let Refusal::Infeasible(infeasible) = &refusal else {
        panic!("{refusal:?}");
    };
    assert_eq!(infeasible.limit, Limit::Tflops);
    assert!(infeasible.because_of_pins);
    assert!(refusal.to_string().contains("with these pins"), "{refusal}");
}

#[test]
fn two_limits_that_are_both_too_low_must_both_rise() {
    let refusal = refusal(&Toy::new(1), Load::IDLE, |r| {
        r.budget.latency = Some(Millis(1.0));
        r.budget.flops = Some(Flops(1.0));
    });
    let Refusal::Infeasible(infeasible) = refusal else {
        panic!("{refusal:?}");
    };
    assert_eq!(infeasible.limit, Limit::Both);
    let needed = infeasible.minimum_feasible;
    assert!(needed.latency_ms.is_some() && needed.tflops.is_some());
}

#[test]
fn the_load_is_told_from_the_request() {
    let toy = Toy::new(1);
    let budget = Some(Millis(500.0));
    let queued = Millis(10_000.0);
    let refusal = refusal(&toy, Load { queued }, |r| r.budget.latency = budget);
    let Refusal::Overloaded {
        fastest,
        retry_after,
    } = refusal
    else {
        panic!("{refusal:?}");
    };
    assert!(fastest > queued);
    assert!(
        (9_000.0..10_000.0).contains(&retry_after.0),
        "{retry_after:?}"
    );
    assert!(refusal.is_transient());
}

#[test]
fn a_min_score_above_every_plan_is_refused_with_the_best_there_is() {
    let refusal = refusal(&Toy::new(1), Load::IDLE, |r| {
        r.budget.min_score = Some(0.999);
    });
    let Refusal::MinScoreOutOfReach {
        best: Some(best),
        because_of_pins,
        ..
    } = refusal
    else {
        panic!("{refusal:?}");
    };
    assert!(best > 0.3 && best < 0.999 && !because_of_pins);
}

#[test]
fn a_min_score_is_out_of_reach_where_nothing_was_measured() {
    let refusal = refusal(&Toy::unmeasured(), Load::IDLE, |r| {
        r.budget.min_score = Some(0.1);
    });
    assert!(
        matches!(refusal, Refusal::MinScoreOutOfReach { best: None, .. }),
        "{refusal:?}"
    );
}
