//! Does a picture on its way go on with a larger model only where that is wanted?

use goldilocks::{
    catalog::{ModelId, SamplerKind},
    planner::{Cost, Menus, Plan, PlanRequest},
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
