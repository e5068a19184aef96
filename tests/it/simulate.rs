//! Does the runtime keep its promises in virtual time, and is it better than what it is compared with? On the default
//! family's scores, and times like those of a small machine.

use std::{path::Path, sync::Arc};

use goldilocks::{
    catalog,
    load::{
        generate::{
            Process, Recipe,
            captions::Prompts,
            generate,
            mix::{self, Latency, Mix},
        },
        report::Report,
        trace::Trace,
    },
    planner::{LatencyModel, Menus, PhaseTimes, Planner, Profile},
    runtime::Rules,
    simulate::{Setup, oracle, run, strategy::Strategy},
    units::Millis,
};

/// Milliseconds of one row of one step: c8, c16, its student, c32, its student.
const STEP: [f64; 5] = [0.6, 1.1, 1.1, 2.9, 2.9];

fn setup(devices: usize, noise: f64) -> Setup {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let catalog = catalog::load(&root.join("models.toml")).unwrap();
    let family = catalog.default_family().clone();
    let text = std::fs::read_to_string(family.profile.as_ref().unwrap()).unwrap();
    let profile = Profile::from_json(&text, &family.digest).unwrap();
    let planner = Planner::new(&family, Some(profile));
    let size = family.default_size();
    let mut phases = PhaseTimes::default();
    phases.set_text(&family.id, Millis(0.4));
    phases.set_decode(&family.id, size, Millis(8.0));
    phases.set_encode(size, Millis(0.2));
    phases.set_rank(&family.id, size, Millis(0.1));
    for (card, ms) in family.models.iter().zip(STEP) {
        for rows in [1, 2] {
            phases.set_step(&card.id, size, rows, Millis(ms * f64::from(rows)));
        }
    }
    Setup {
        menus: Arc::new(Menus::new(&planner, &phases)),
        family: Arc::new(family),
        latency: LatencyModel::new(phases),
        rules: Rules::default(),
        devices,
        noise,
        seed: 3,
    }
}

/// The rate at which one device is about full with everybody's best plan is some 12 a second.
fn trace(rate: f64, seconds: f64, seed: u64) -> Trace {
    let budgets = Mix::parse("30:1,60:1,150:1,600:1", Latency::parse).unwrap();
    generate(&Recipe {
        process: Process::Poisson { rate },
        seconds,
        latencies: budgets.map(|budget| budget.limit(None)).unwrap(),
        tflops: Mix::parse("none", mix::tflops).unwrap(),
        images: Mix::parse("1", mix::images).unwrap(),
        prompts: Prompts::BuiltIn,
        seed,
    })
    .unwrap()
}

fn report(setup: &Setup, trace: &Trace, strategy: Strategy) -> Report {
    Report::of(&run(setup, trace, strategy)).unwrap()
}

#[test]
fn what_is_admitted_is_in_time_at_any_load() {
    let setup = setup(1, 0.05);
    for rate in [4.0, 12.0, 36.0, 120.0] {
        let report = report(&setup, &trace(rate, 120.0, 1), Strategy::Goldilocks);
        // Where more come than can be served, whoever waits long waits a little too long now and then.
        let least = if rate > 100.0 { 0.98 } else { 0.99 };
        for class in &report.classes {
            let kept = class.group.attainment_of_admitted.unwrap().mean;
            assert!(
                kept >= least,
                "{kept} of {:?} at {rate} a second",
                class.budget
            );
        }
        assert!(report.failures.is_empty());
    }
}

#[test]
fn goodput_does_not_collapse_and_the_score_falls_gracefully() {
    let setup = setup(1, 0.05);
    let rates = [6.0, 12.0, 36.0, 72.0, 120.0];
    let reports = rates.map(|rate| report(&setup, &trace(rate, 120.0, 2), Strategy::Goldilocks));
    let goodputs = reports
        .each_ref()
        .map(|report| report.goodput_per_second.mean);
    let most = goodputs.into_iter().fold(0.0, f64::max);
    assert!(goodputs[4] >= 0.8 * most, "{goodputs:?}");
    let scores = reports
        .each_ref()
        .map(|report| report.all.score_of_attained.unwrap());
    for pair in scores.windows(2) {
        assert!(pair[1] <= pair[0] + 0.01, "{scores:?}");
    }
}

#[test]
fn it_is_worth_more_than_what_it_is_compared_with_and_less_than_knowing_the_future() {
    let setup = setup(1, 0.05);
    for rate in [6.0, 24.0, 48.0] {
        let trace = trace(rate, 30.0, 3);
        let score = |strategy| report(&setup, &trace, strategy).all.score_at_budget.mean;
        let ours = score(Strategy::Goldilocks);
        // At light loads a discriminator that is never wrong is worth more than any plan.
        let fair = Strategy::ALL.into_iter();
        for strategy in fair.filter(|strategy| *strategy != Strategy::Cascade) {
            let theirs = score(strategy);
            assert!(
                ours >= theirs - 0.02,
                "{} at {rate}: {theirs} against {ours}",
                strategy.name()
            );
        }
        let best = Report::of(&oracle::run(&setup, &trace)).unwrap();
        let best = best.all.score_at_budget.mean;
        assert!(
            best >= ours - 0.01,
            "the oracle at {rate}: {best} against {ours}"
        );
    }
}

#[test]
fn more_devices_do_more() {
    let trace = trace(40.0, 60.0, 4);
    let attained = |devices| {
        report(&setup(devices, 0.05), &trace, Strategy::Goldilocks)
            .all
            .score_at_budget
            .mean
    };
    let (one, four) = (attained(1), attained(4));
    assert!(four > one + 0.02, "{four} against {one}");
}

#[test]
fn the_same_seed_gives_the_same_records() {
    let setup = setup(2, 0.1);
    let trace = trace(20.0, 20.0, 5);
    let twice = [(); 2].map(|()| run(&setup, &trace, Strategy::Goldilocks));
    assert_eq!(twice[0], twice[1]);
    assert_eq!(twice[0].len(), trace.arrivals().len());
}
