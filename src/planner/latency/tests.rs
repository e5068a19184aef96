//! Do predicted quantiles hold, and follow a machine whose speed changes?

use super::*;

/// Errors of a machine with 4% noise and one request in fifty half as long again.
struct Machine {
    state: u64,
    slowness: f64,
}

impl Machine {
    fn uniform(&mut self) -> f64 {
        // A linear congruential generator, its upper bits (Knuth's MMIX constants).
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn takes(&mut self, sum: Millis) -> Millis {
        let angle = std::f64::consts::TAU * self.uniform();
        let normal = (-2.0 * self.uniform().ln()).sqrt() * angle.cos();
        let stall = if self.uniform() < 0.02 { 1.5 } else { 1.0 };
        sum * (self.slowness * stall * (0.04 * normal).exp())
    }
}

/// Runs `n` requests; returns how many stayed within p95 and the mean width of p95 over p50.
fn run(model: &mut LatencyModel, machine: &mut Machine, n: usize) -> (usize, f64) {
    let (mut within, mut width) = (0, 0.0);
    for i in 0..n {
        let sum = Millis(40.0 + (i % 7) as f64 * 60.0);
        let estimate = model.estimate(sum, Millis::ZERO);
        let actual = machine.takes(sum);
        within += usize::from(actual <= estimate.p95);
        width += estimate.p95.0 / estimate.p50.0 / n as f64;
        model.observe(sum, actual);
    }
    (within, width)
}

fn fresh(seed: u64) -> (LatencyModel, Machine) {
    let machine = Machine {
        state: seed,
        slowness: 1.0,
    };
    (LatencyModel::new(PhaseTimes::default()), machine)
}

#[test]
fn the_p95_covers_95_of_100_requests_and_is_narrow_once_learned() {
    let (mut within, mut n) = (0, 0);
    for seed in 0..20 {
        let (mut model, mut machine) = fresh(seed);
        run(&mut model, &mut machine, 300);
        assert!(model.is_learned());
        let (hits, width) = run(&mut model, &mut machine, 400);
        (within, n) = (within + hits, n + 400);
        assert!(width < 1.2, "p95 is {width} times p50");
    }
    let coverage = within as f64 / n as f64;
    assert!((0.94..=0.97).contains(&coverage), "coverage {coverage}");
}

#[test]
fn before_anything_is_learned_the_p95_is_cautious() {
    let mut within = 0;
    for seed in 0..50 {
        let (mut model, mut machine) = fresh(seed);
        assert!(!model.is_learned());
        within += run(&mut model, &mut machine, 30).0;
    }
    assert!(within as f64 / 1500.0 > 0.95, "{within} of 1500");
}

#[test]
fn after_a_step_in_machine_speed_of_two_the_p95_holds_within_twenty_requests() {
    for change in [2.0, 0.5] {
        let (mut within, mut widest) = (0, 0.0_f64);
        for seed in 0..200 {
            let (mut model, mut machine) = fresh(seed);
            run(&mut model, &mut machine, 100);
            machine.slowness = change;
            run(&mut model, &mut machine, 20);
            let (hits, width) = run(&mut model, &mut machine, 40);
            within += hits;
            widest = widest.max(width);
            let factor = model.speed_factor() / change;
            assert!((0.93..1.1).contains(&factor), "factor off by {factor}");
        }
        let coverage = within as f64 / 8000.0;
        assert!(coverage >= 0.9, "x{change}: coverage {coverage}");
        assert!(widest < 1.5, "x{change}: p95 is up to {widest} times p50");
    }
}

#[test]
fn one_wild_request_hardly_moves_the_factor() {
    let (mut model, mut machine) = fresh(7);
    run(&mut model, &mut machine, 100);
    let before = model.speed_factor();
    model.observe(Millis(100.0), Millis(100_000.0));
    assert!(model.speed_factor() / before < 1.03);
}

#[test]
fn what_was_learned_survives_a_restart() {
    let (mut model, mut machine) = fresh(3);
    run(&mut model, &mut machine, 60);
    let text = serde_json::to_string(&model).unwrap();
    let restored: LatencyModel = serde_json::from_str(&text).unwrap();
    assert_eq!(restored, model);
    assert_eq!(restored.n_observed(), 60);
}

#[test]
fn a_damaged_state_is_refused() {
    let mut json = serde_json::to_value(LatencyModel::new(PhaseTimes::default())).unwrap();
    json["errors"] = serde_json::json!([]);
    assert!(serde_json::from_value::<LatencyModel>(json).is_err());
}

#[test]
fn spans_that_are_not_above_zero_teach_nothing() {
    let (mut model, _) = fresh(0);
    let before = model.clone();
    for (sum, actual) in [(0.0, 1.0), (1.0, 0.0), (-1.0, -1.0), (f64::NAN, 1.0)] {
        model.observe(Millis(sum), Millis(actual));
    }
    assert_eq!(model, before);
}

#[test]
fn the_longest_queue_is_just_short_enough() {
    let (mut model, mut machine) = fresh(5);
    run(&mut model, &mut machine, 50);
    let (sum, limit) = (Millis(100.0), Millis(1000.0));
    let queue = model.longest_queue(sum, limit).unwrap();
    assert!(model.estimate(sum, queue * 0.999).p95 <= limit);
    assert!(model.estimate(sum, queue * 1.001).p95 > limit);
    assert_eq!(model.longest_queue(sum, Millis(50.0)), None);
}
