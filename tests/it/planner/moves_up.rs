//! Does a picture on its way go on with a larger model only where that is wanted?

use goldilocks::{
    catalog::{ModelId, SamplerKind},
    planner::{Cost, Load, Menus, Plan, PlanRequest, Quality},
    units::Millis,
};

use super::toy::{MODELS, Toy, request, size};

#[test]
fn who_asked_for_the_cheapest_plan_that_is_good_enough_gets_no_dearer_one_on_the_way() {
    let sampler = SamplerKind::UNDISTILLED[0];
    let small = Plan::plain(ModelId(MODELS[0].into()), sampler, 4, 3.0, size());
    let mut n_moved = 0;
    for seed in (1..80).step_by(2) {
        let toy = Toy::any(seed);
        let menus = Menus::new(&toy.planner, toy.latency.phases());
        let mut asked = request();
        asked.budget.min_score = Some(0.0);
        let better =
            |asked: &PlanRequest| menus.move_up(asked, &toy.latency, (&small, 1), Millis(1e6));
        n_moved += usize::from(better(&asked).is_some());
        asked.budget.minimize = Some(Cost::Tflops);
        assert_eq!(better(&asked), None, "seed {seed}");
    }
    assert!(n_moved > 5, "{n_moved}");
}

#[test]
fn a_named_budget_holds_on_the_way_too() {
    let sampler = SamplerKind::UNDISTILLED[0];
    let small = Plan::plain(ModelId(MODELS[0].into()), sampler, 4, 3.0, size());
    let (mut n_free, mut n_named) = (0, 0);
    for seed in (1..80).step_by(2) {
        let toy = Toy::any(seed);
        let menus = Menus::new(&toy.planner, toy.latency.phases());
        let mut asked = request();
        let better =
            |asked: &PlanRequest| menus.move_up(asked, &toy.latency, (&small, 1), Millis(1e6));
        n_free += usize::from(better(&asked).is_some());
        asked.budget.quality = Some(Quality::Low);
        let low = menus.choose(&asked, &toy.latency, Load::IDLE).unwrap();
        let named = toy.planner.budgets().low.tflops();
        if let Some(better) = better(&asked) {
            n_named += 1;
            assert!(
                better.estimate.tflops <= named.max(low.estimate.tflops),
                "seed {seed}"
            );
        }
    }
    assert!(n_named < n_free, "{n_named} of {n_free}");
}
