//! How are single numbers transformed and moved? Functions that a compiler can put in vectors: no
//! branch, no call.

use super::{Tensor, build};
use crate::engine::ops::Shape;

/// Adding this to a small number rounds it to an integer, which is then in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// ln 2 in two parts, the first one short enough for exact products with small integers.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// e^x with a relative error below 2e-7; arguments are clamped to where the result is a normal number.
///
/// Cephes' `expf`: 2^n times a polynomial of the rest. Not-a-number stays what it is.
#[inline]
pub(super) fn exp(x: f32) -> f32 {
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let rounded = x * std::f32::consts::LOG2_E + ROUNDER;
    let n = rounded - ROUNDER;
    let rest = x - n * LN_2_HIGH - n * LN_2_LOW;
    let polynomial = [
        1.987_569_1e-4,
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        0.166_666_65,
        0.5,
    ]
    .into_iter()
    .fold(0.0, |sum, coefficient| sum * rest + coefficient);
    let exponent = rounded.to_bits().wrapping_add(127) << 23;
    (polynomial * rest * rest + rest + 1.0) * f32::from_bits(exponent)
}

/// x * sigmoid(x).
#[inline]
pub(super) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// The exact GELU, x * (1 + erf(x / sqrt 2)) / 2, with erf after Abramowitz and Stegun, 7.1.26 (error
/// below 2e-7).
#[inline]
pub(super) fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let polynomial = [
        1.061_405_4,
        -1.453_152,
        1.421_413_8,
        -0.284_496_74,
        0.254_829_6,
    ]
    .into_iter()
    .fold(0.0, |sum, coefficient| sum * t + coefficient);
    let tail = polynomial * t * exp(-z * z);
    0.5 * (x + x.abs() * (1.0 - tail))
}

/// The channels of both, side by side at every position.
pub(super) fn concat(xs: &Tensor, ys: &Tensor) -> Tensor {
    let (first, second) = (xs.shape.channels, ys.shape.channels);
    let shape = xs.shape.with_channels(first + second);
    build(
        shape,
        shape.positions(),
        first + second,
        |row, _, values| {
            let parts = xs
                .row(row)
                .chunks_exact(first)
                .zip(ys.row(row).chunks_exact(second));
            for (position, (x, y)) in values.chunks_exact_mut(first + second).zip(parts) {
                position[..first].copy_from_slice(x);
                position[first..].copy_from_slice(y);
            }
        },
    )
}

/// From rows x channels x height x width.
pub(super) fn from_chw(shape: Shape, values: &[f32]) -> Tensor {
    transpose(shape, values, shape.channels, shape.positions())
}

/// To rows x channels x height x width.
pub(super) fn to_chw(xs: &Tensor) -> Vec<f32> {
    let shape = xs.shape;
    let ys = transpose(shape, &xs.values, shape.positions(), shape.channels);
    ys.values.to_vec()
}

/// Every row of `values` as an `outer` x `inner` matrix, transposed.
fn transpose(shape: Shape, values: &[f32], outer: usize, inner: usize) -> Tensor {
    build(
        shape,
        shape.positions(),
        shape.channels,
        |row, _, output| {
            let input = &values[row * outer * inner..];
            for (index, value) in output.iter_mut().enumerate() {
                *value = input[index % outer * inner + index / outer];
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> impl Iterator<Item = f32> {
        (-8700..=8800).map(|step| step as f32 / 100.0)
    }

    #[test]
    fn the_exponential_is_right_to_the_last_bits() {
        for x in grid() {
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 2e-7, "{x}: {error:.1e}");
        }
    }

    #[test]
    fn the_exponential_saturates_and_keeps_what_is_not_a_number() {
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
        assert!(exp(1000.0) > 1e38 && exp(1000.0).is_finite());
        assert!(exp(f32::NAN).is_nan());
        assert!(silu(f32::NAN).is_nan() && gelu(f32::NAN).is_nan());
    }

    #[test]
    fn silu_is_x_times_its_sigmoid() {
        for x in grid() {
            let exact = f64::from(x) / (1.0 + (-f64::from(x)).exp());
            let error = (f64::from(silu(x)) - exact).abs();
            assert!(error <= 3e-7 * exact.abs() + 1e-36, "{x}: {error:.1e}");
        }
    }

    #[test]
    fn gelu_is_that_of_the_error_function() {
        // erf by its Maclaurin series, which is exact enough in f64 for small arguments.
        let erf = |z: f64| {
            let mut term = z;
            let mut sum = z;
            for n in 1..80 {
                term *= -z * z / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            sum * std::f64::consts::FRAC_2_SQRT_PI
        };
        for x in grid().filter(|x| x.abs() < 4.0) {
            let x = f64::from(x);
            let exact = x * (1.0 + erf(x / 2.0f64.sqrt())) / 2.0;
            let error = (f64::from(gelu(x as f32)) - exact).abs();
            assert!(error < 1e-6, "{x}: {error:.1e}");
        }
        assert_eq!(gelu(50.0), 50.0);
        assert_eq!(gelu(-50.0), 0.0);
    }
}
