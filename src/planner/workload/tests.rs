//! Is every evaluation counted, once and for the right model?

use super::*;
use crate::{
    catalog::ModelId,
    planner::{plan::Plan, test_family::family},
};

fn plan(steps: Steps, guidance_scale: f64) -> Plan {
    let (model, size) = (ModelId("large".into()), "64x64".parse().unwrap());
    Plan::plain(model, SamplerKind::Ddim, steps, guidance_scale, size)
}

fn legs(plan: &Plan) -> Vec<(usize, u32, Steps)> {
    let workload = Workload::of(plan, &family()).unwrap();
    workload
        .legs
        .iter()
        .map(|leg| (leg.model, leg.rows, leg.steps))
        .collect()
}

fn costs() -> SizeCost {
    SizeCost {
        size: "64x64".parse().unwrap(),
        decode: Flops(1000.0),
        rank: Flops(10.0),
        evaluations: vec![Flops(1.0), Flops(100.0)],
    }
}

#[test]
fn a_plain_plan_is_one_run_and_guidance_doubles_its_rows() {
    assert_eq!(legs(&plan(8, 1.0)), [(1, 1, 8)]);
    assert_eq!(legs(&plan(8, 3.0)), [(1, 2, 8)]);
    let workload = Workload::of(&plan(8, 3.0), &family()).unwrap();
    assert_eq!(workload.nfe(), 16);
    assert_eq!(workload.flops(&costs()), Flops(2600.0));
}

#[test]
fn stitched_plans_charge_each_model_its_steps() {
    let stage = Stage {
        model: ModelId("small".into()),
        share: 0.4,
    };
    let stitched = Plan {
        stages: vec![stage],
        ..plan(10, 3.0)
    };
    assert_eq!(legs(&stitched), [(0, 2, 4), (1, 2, 6)]);
    let workload = Workload::of(&stitched, &family()).unwrap();
    assert_eq!(workload.flops(&costs()), Flops(8.0 + 1200.0 + 1000.0));
}

#[test]
fn steps_outside_the_interval_are_evaluated_once() {
    let inside = Plan {
        guidance_interval: Some(GuidanceInterval {
            sigma_low: 0.5,
            sigma_high: Some(5.0),
        }),
        ..plan(10, 3.0)
    };
    let found = legs(&inside);
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found.iter().map(|leg| leg.1).collect::<Vec<_>>(), [1, 2, 1]);
    assert_eq!(found.iter().map(|leg| leg.2).sum::<Steps>(), 10);
    let unguided = Plan {
        guidance_scale: 1.0,
        ..inside
    };
    assert_eq!(legs(&unguided), [(1, 1, 10)]);
}

#[test]
fn candidates_are_charged_in_full_until_they_are_pruned() {
    let of = |pruned_after| Plan {
        candidates: Some(Candidates { n: 4, pruned_after }),
        ..plan(10, 1.0)
    };
    assert_eq!(legs(&of(None)), [(1, 1, 40)]);
    assert_eq!(legs(&of(Some(0.3))), [(1, 1, 3 * 4 + 7)]);
    let workload = Workload::of(&of(None), &family()).unwrap();
    assert_eq!(workload.flops(&costs()), Flops(4000.0 + 40.0 + 1000.0));
}

#[test]
fn a_model_of_another_family_has_no_workload() {
    let stranger = Plan {
        model: ModelId("other".into()),
        ..plan(4, 1.0)
    };
    assert_eq!(Workload::of(&stranger, &family()), None);
}
