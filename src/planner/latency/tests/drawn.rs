//! Do pictures that are drawn for nobody tell margins what they should, and no more?

use super::*;

/// The margin of a model that was learned in a noisy time, before and after it drew for nobody so often.
fn margin_after(n_drawn: usize, n_learned: usize) -> [f64; 2] {
    let mut model = LatencyModel::new(PhaseTimes::default());
    for i in 0..n_learned {
        let noise = if i % 4 == 0 { 5.0 } else { 1.0 };
        model.observe(Millis(100.0), Millis(100.0 * noise));
    }
    let margin = |model: &LatencyModel| {
        let LatencyEstimate { p50, p99, .. } = model.estimate(Millis(100.0), Millis::ZERO);
        p99.0 / p50.0
    };
    let before = margin(&model);
    for _ in 0..n_drawn {
        model.drawn(Millis(100.0), Millis(100.0));
    }
    [before, margin(&model)]
}

#[test]
fn pictures_for_nobody_show_that_the_noise_is_over() {
    let [before, after] = margin_after(256, 200);
    assert!(before > 4.0 && after < 1.1, "{before} {after}");
    let [before, after] = margin_after(10, 200);
    assert!(after > 0.9 * before, "a few say little: {before} {after}");
    let [before, after] = margin_after(100, 3);
    assert_eq!(before, after, "what was never observed is only assumed");
}
