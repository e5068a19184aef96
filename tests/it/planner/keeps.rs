//! Do menus that are kept offer what new ones do, and serve while the machine's times move?

use goldilocks::{
    catalog::ModelId,
    planner::{Freshness, LatencyModel, Load, Menus, Objective, PhaseKey, PhaseTimes},
    units::Millis,
};

use super::toy::{Draws, MODELS, Toy, request, size};

/// The same machine with every step slower by these shares.
fn moved(phases: &PhaseTimes, mut share: impl FnMut() -> f64) -> LatencyModel {
    let mut now = phases.clone();
    for known in phases.entries() {
        if let PhaseKey::Step { model, size, rows } = &known.of {
            now.set_step(model, *size, *rows, known.ms * (1.0 + share()));
        }
    }
    LatencyModel::new(now)
}

#[test]
fn menus_are_stale_when_one_time_has_moved_by_more_than_two_percent() {
    let toy = Toy::new(1);
    let menus = Menus::new(&toy.planner, toy.latency.phases());
    let freshness = |share| {
        let mut first = Some(share);
        let now = moved(toy.latency.phases(), || first.take().unwrap_or(0.0));
        menus.freshness(&now)
    };
    assert_eq!(freshness(0.0), Freshness::Fresh);
    assert_eq!(freshness(0.01), Freshness::Fresh);
    assert_eq!(freshness(-0.01), Freshness::Fresh);
    assert_eq!(freshness(0.03), Freshness::Stale);
    assert_eq!(freshness(-0.03), Freshness::Stale);
}

#[test]
fn a_machine_that_is_slower_as_a_whole_makes_no_menu_stale() {
    let mut toy = Toy::new(1);
    let menus = Menus::new(&toy.planner, toy.latency.phases());
    for _ in 0..40 {
        toy.latency.observe(Millis(100.0), Millis(170.0));
    }
    assert!(toy.latency.speed_factor() > 1.5);
    assert_eq!(menus.freshness(&toy.latency), Freshness::Fresh);
}

#[test]
fn menus_that_were_made_before_the_machine_was_timed_are_void_after() {
    let toy = Toy::new(1);
    let menus = Menus::new(&toy.planner, &PhaseTimes::default());
    assert_eq!(menus.freshness(&toy.latency), Freshness::Void);
}

#[test]
fn a_choice_from_a_stale_menu_is_promised_with_the_times_of_the_moment_and_kept() {
    let mut n_chosen = 0;
    for seed in 0..60 {
        let toy = Toy::any(seed);
        let menus = Menus::new(&toy.planner, toy.latency.phases());
        let mut draws = Draws(seed);
        let now = moved(toy.latency.phases(), || draws.between(-0.3, 0.5));
        for limit in [60.0, 120.0, 300.0] {
            let mut request = request();
            request.budget.latency = Some(Millis(limit));
            let Ok(kept) = menus.choose(&request, &now, Load::IDLE) else {
                continue;
            };
            n_chosen += 1;
            let p99 = kept.estimate.latency_ms.unwrap().p99;
            assert!(p99 <= Millis(limit), "{p99:?}");
            assert_eq!(p99, now.estimate(kept.phases.unwrap(), Millis::ZERO).p99);
            // As if the plan had been asked for by name, by a planner that knows these times only.
            request.pins.model = Some(kept.plan.model.clone());
            request.pins.steps = Some(kept.plan.steps);
            request.pins.sampler = Some(kept.plan.sampler);
            request.pins.guidance_scale = Some(kept.plan.guidance_scale);
            if kept.plan.is_plain() {
                let anew = toy.planner.choose(&request, &now, Load::IDLE).unwrap();
                assert_eq!((anew.estimate, anew.phases), (kept.estimate, kept.phases));
            }
        }
    }
    assert!(n_chosen > 60, "{n_chosen}");
}

#[test]
fn a_menu_with_pins_is_the_same_however_many_were_asked_for_since() {
    let toy = Toy::new(2);
    let menus = Menus::new(&toy.planner, toy.latency.phases());
    let ask = |model: usize, steps: u32, scale: f64| {
        let mut request = request();
        request.budget.objective = Objective::ALL[model];
        request.pins.model = Some(ModelId(MODELS[model].into()));
        request.pins.steps = Some(steps);
        request.pins.guidance_scale = Some(scale);
        let kept = menus.choose(&request, &toy.latency, Load::IDLE);
        assert_eq!(kept, toy.planner.choose(&request, &toy.latency, Load::IDLE));
    };
    for round in 0..2 {
        for scale in 0..20 {
            for steps in 1..=16 {
                ask(
                    (steps as usize + round) % 3,
                    steps,
                    1.0 + 0.5 * f64::from(scale),
                );
            }
        }
    }
}

#[test]
fn every_size_is_served_from_menus_made_in_advance() {
    let toy = Toy::new(3);
    let menus = Menus::new(&toy.planner, toy.latency.phases());
    for size in [size(), "32x32".parse().unwrap()] {
        for objective in Objective::ALL {
            for has_negative_prompt in [false, true] {
                let mut request = request();
                (request.size, request.has_negative_prompt) = (size, has_negative_prompt);
                request.budget.objective = objective;
                let kept = menus.choose(&request, &toy.latency, Load::IDLE);
                assert_eq!(kept, toy.planner.choose(&request, &toy.latency, Load::IDLE));
            }
        }
    }
}
