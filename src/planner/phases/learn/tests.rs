//! Does the table follow what is an entry's own, and nothing else?

use proptest::prelude::*;

use super::*;
use crate::{catalog::ModelId, planner::phases::PhaseKey};

fn decode(family: &str) -> PhaseKey {
    PhaseKey::Decode {
        family: family.to_owned(),
        size: "64x64".parse().unwrap(),
    }
}

fn table(times: &[(&str, f64)]) -> PhaseTimes {
    let mut table = PhaseTimes::default();
    for (family, ms) in times {
        table.set_decode(family, "64x64".parse().unwrap(), Millis(*ms));
    }
    table
}

fn lap(family: &str, n: u32, took: f64) -> PhaseLap {
    PhaseLap {
        of: decode(family),
        n,
        took: Some(Millis(took)),
    }
}

fn ms(table: &PhaseTimes, family: &str) -> f64 {
    table.time(&decode(family)).unwrap().0
}

#[test]
fn a_persistent_difference_is_learned_and_a_common_one_is_not() {
    let mut times = table(&[("a", 10.0), ("b", 20.0)]);
    for _ in 0..400 {
        // The machine is twice as slow, and `a` by a fifth more.
        times.learn(&[lap("a", 2, 48.0), lap("b", 1, 40.0)], 2_f64.ln());
    }
    assert!((ms(&times, "a") / 12.0 - 1.0).abs() < 0.01);
    assert!((ms(&times, "b") / 20.0 - 1.0).abs() < 1e-9);
}

#[test]
fn what_many_rows_take_together_teaches_nothing_of_one() {
    let (model, size) = (ModelId("small".into()), "64x64".parse().unwrap());
    let mut times = PhaseTimes::default();
    times.set_step(&model, size, 1, Millis(3.0));
    let lap = |rows, ms| PhaseLap {
        of: PhaseKey::Step {
            model: model.clone(),
            size,
            rows,
        },
        n: 4,
        took: Some(Millis(4.0 * ms)),
    };
    for _ in 0..400 {
        times.learn(&[lap(8, 6.0), lap(1, 3.3)], 0.0);
    }
    assert!((times.step(&model, size, 1).unwrap().0 / 3.3 - 1.0).abs() < 0.01);
    assert_eq!(times.entries().len(), 1);
}

#[test]
fn a_probe_is_believed_where_nothing_was_learned_or_everything_changed() {
    let mut times = table(&[("a", 10.0), ("b", 20.0), ("c", 30.0), ("other device", 5.0)]);
    let fresh = table(&[("a", 20.0), ("b", 40.0), ("c", 600.0), ("new", 7.0)]);
    times.probed(fresh, 0.5_f64.ln());
    // Twice as slow in common; `c` is beyond noise.
    let close = |family: &str, expected: f64| {
        let found = ms(&times, family);
        assert!((found / expected - 1.0).abs() < 1e-9, "{family}: {found}");
    };
    for (family, expected) in [("a", 20.0), ("b", 40.0), ("c", 600.0), ("new", 7.0)] {
        close(family, expected);
    }
    close("other device", 2.5);
}

#[test]
fn how_far_a_table_moved_is_its_largest_change() {
    let before = table(&[("a", 10.0), ("b", 20.0), ("free", 0.0)]);
    assert_eq!(before.moved_since(&before), 0.0);
    let after = table(&[("a", 10.1), ("b", 19.0), ("free", 0.0)]);
    assert!((after.moved_since(&before) - 0.05).abs() < 1e-12);
    let with_another = table(&[("a", 10.0), ("c", 1.0)]);
    assert_eq!(with_another.moved_since(&before), f64::INFINITY);
}

proptest! {
    #[test]
    fn whatever_is_observed_the_table_stays_sound_and_one_request_moves_it_little(
        ms in 0.0..1e3,
        took in proptest::collection::vec((0_u32..50, 0.0..1e6), 0..60),
        log_speed in -5.0..5.0,
    ) {
        let mut times = table(&[("a", ms)]);
        for (n, took) in took {
            let before = times.clone();
            times.learn(&[lap("a", n, took)], log_speed);
            prop_assert!(times.is_sound());
            // The probe's word is that of three requests: the first one moves it by a quarter of the leash.
            prop_assert!(times.moved_since(&before) < 0.07);
        }
    }
}
