//! What lies between measured values? Piecewise cubic Hermite interpolation that never overshoots:
//! F. N. Fritsch and R. E. Carlson, "Monotone Piecewise Cubic Interpolation" (1980), with the
//! weighted harmonic mean of F. N. Fritsch and J. Butland (1984) for the slopes, as scipy has it.

/// Slopes of the interpolant at the knots. `x` must increase strictly, `x` and `y` have one length,
/// at least 1.
pub(super) fn slopes(x: &[f64], y: &[f64]) -> Vec<f64> {
    let n = x.len();
    let h: Vec<f64> = x.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let secant: Vec<f64> = (0..h.len()).map(|k| (y[k + 1] - y[k]) / h[k]).collect();
    match n {
        0 | 1 => return vec![0.0; n],
        2 => return vec![secant[0]; 2],
        _ => {}
    }
    let mut slopes = vec![0.0; n];
    slopes[0] = end_slope(h[0], h[1], secant[0], secant[1]);
    for k in 1..n - 1 {
        slopes[k] = inner_slope(h[k - 1], h[k], secant[k - 1], secant[k]);
    }
    slopes[n - 1] = end_slope(h[n - 2], h[n - 3], secant[n - 2], secant[n - 3]);
    slopes
}

/// Value of the interpolant at `at`, which must lie within the knots.
pub(super) fn evaluate(x: &[f64], y: &[f64], slopes: &[f64], at: f64) -> f64 {
    if x.len() == 1 {
        return y[0];
    }
    let k = x.partition_point(|knot| *knot <= at).clamp(1, x.len() - 1) - 1;
    let h = x[k + 1] - x[k];
    let t = (at - x[k]) / h;
    let (t2, t3) = (t * t, t * t * t);
    (2.0 * t3 - 3.0 * t2 + 1.0) * y[k]
        + (t3 - 2.0 * t2 + t) * h * slopes[k]
        + (3.0 * t2 - 2.0 * t3) * y[k + 1]
        + (t3 - t2) * h * slopes[k + 1]
}

/// Zero at a local extremum, else the weighted harmonic mean of the secants on both sides.
fn inner_slope(h_before: f64, h_after: f64, before: f64, after: f64) -> f64 {
    if before * after <= 0.0 {
        return 0.0;
    }
    let (w_before, w_after) = (2.0 * h_after + h_before, h_after + 2.0 * h_before);
    (w_before + w_after) / (w_before / before + w_after / after)
}

/// The three-point formula, held back so that the first piece keeps its shape.
fn end_slope(h: f64, h_next: f64, secant: f64, secant_next: f64) -> f64 {
    let slope = ((2.0 * h + h_next) * secant - h * secant_next) / (h + h_next);
    if slope * secant <= 0.0 {
        0.0
    } else if secant * secant_next < 0.0 && slope.abs() > 3.0 * secant.abs() {
        3.0 * secant
    } else {
        slope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // import numpy as np; from scipy.interpolate import PchipInterpolator  # scipy 1.17.1
    // steps = np.array([1, 2, 4, 8, 16, 32]); at = np.array([1, 2, 3, 5, 6, 7, 11, 20, 27, 31, 32])
    // for y in ([.02, .11, .45, .71, .74, .735], [.3, .1, .5, .5, .52, .9]):
    //     print(PchipInterpolator(np.log(steps), y)(np.log(at)).round(12).tolist())
    // y = [.2, .6, .1]; print(PchipInterpolator(np.log([1, 3, 4]), y)(np.log([1, 2, 3, 4])).round(12).tolist())
    const AT: [f64; 11] = [1.0, 2.0, 3.0, 5.0, 6.0, 7.0, 11.0, 20.0, 27.0, 31.0, 32.0];

    const SATURATING: [f64; 11] = [
        0.02,
        0.11,
        0.295_407_058_154,
        0.553_323_490_868,
        0.634_868_471_392,
        0.686_844_445_876,
        0.730_400_283_799,
        0.739_833_180_566,
        0.737_849_117_38,
        0.735_656_066_15,
        0.735,
    ];
    const UNEVEN: [f64; 11] = [
        0.3,
        0.1,
        0.350_486_850_383,
        0.5,
        0.5,
        0.5,
        0.504_449_751_794,
        0.579_061_717_882,
        0.766_204_119_231,
        0.874_403_264_832,
        0.9,
    ];
    const HELD_BACK: [f64; 4] = [0.2, 0.579_891_156_426, 0.6, 0.1];

    fn interpolate(steps: &[f64], y: &[f64], at: &[f64]) -> Vec<f64> {
        let x: Vec<f64> = steps.iter().map(|s| s.ln()).collect();
        let slopes = slopes(&x, y);
        at.iter()
            .map(|s| evaluate(&x, y, &slopes, s.ln()))
            .collect()
    }

    fn assert_close(ours: &[f64], scipy: &[f64]) {
        assert_eq!(ours.len(), scipy.len());
        for (ours, scipy) in ours.iter().zip(scipy) {
            assert!((ours - scipy).abs() < 1e-9, "{ours} is not {scipy}");
        }
    }

    const STEPS: [f64; 6] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];

    #[test]
    fn agrees_with_scipy_on_a_saturating_curve() {
        let y = [0.02, 0.11, 0.45, 0.71, 0.74, 0.735];
        assert_close(&interpolate(&STEPS, &y, &AT), &SATURATING);
    }

    #[test]
    fn agrees_with_scipy_on_a_curve_with_extrema_and_a_plateau() {
        let y = [0.3, 0.1, 0.5, 0.5, 0.52, 0.9];
        assert_close(&interpolate(&STEPS, &y, &AT), &UNEVEN);
    }

    #[test]
    fn agrees_with_scipy_where_the_end_slope_is_held_back() {
        let ours = interpolate(&[1.0, 3.0, 4.0], &[0.2, 0.6, 0.1], &[1.0, 2.0, 3.0, 4.0]);
        assert_close(&ours, &HELD_BACK);
    }

    #[test]
    fn never_leaves_the_range_of_its_neighbors() {
        let y = [0.3, 0.1, 0.5, 0.5, 0.52, 0.9];
        let x: Vec<f64> = STEPS.iter().map(|s| s.ln()).collect();
        let slopes = slopes(&x, &y);
        for k in 0..x.len() - 1 {
            let (low, high) = (y[k].min(y[k + 1]), y[k].max(y[k + 1]));
            for part in 0..=20 {
                let at = x[k] + (x[k + 1] - x[k]) * f64::from(part) / 20.0;
                let value = evaluate(&x, &y, &slopes, at);
                assert!((low - 1e-12..=high + 1e-12).contains(&value));
            }
        }
    }

    #[test]
    fn one_knot_is_a_constant_and_two_are_a_line() {
        assert_close(&interpolate(&[4.0], &[0.3], &[4.0]), &[0.3]);
        assert_close(&interpolate(&[1.0, 4.0], &[0.2, 0.4], &[2.0]), &[0.3]);
    }
}
