//! What is e^x, sigmoid or GELU of a whole vector? Polynomials without a branch.

use super::simd::Isa;

/// Adding this to a small number rounds it to an integer, which is then in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// ln 2 in two parts, the first one short enough for exact products with small integers.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// The exponent's place in a number's bits, and its bias.
const MANTISSA_BITS: u32 = 23;
const EXPONENT_BIAS: u32 = 127;

/// e^x with a relative error below 2e-7; arguments are clamped to where the result is a normal number.
///
/// Cephes' `expf`: 2^n times a polynomial of the rest. Not-a-number stays what it is.
#[inline(always)]
pub(super) fn exp<S: Isa>(simd: S, x: S::f32s) -> S::f32s {
    let x = simd.clamp(-87.0, x, 88.0);
    let rounded = simd.fma(
        x,
        simd.splat_f32s(std::f32::consts::LOG2_E),
        simd.splat_f32s(ROUNDER),
    );
    let n = simd.sub_f32s(rounded, simd.splat_f32s(ROUNDER));
    let rest = simd.fma(n, simd.splat_f32s(-LN_2_HIGH), x);
    let rest = simd.fma(n, simd.splat_f32s(-LN_2_LOW), rest);
    let mut polynomial = simd.splat_f32s(1.987_569_1e-4);
    for coefficient in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        0.166_666_65,
        0.5,
    ] {
        polynomial = simd.fma(polynomial, rest, simd.splat_f32s(coefficient));
    }
    let square = simd.mul_f32s(rest, rest);
    let mantissa = simd.fma(
        polynomial,
        square,
        simd.add_f32s(rest, simd.splat_f32s(1.0)),
    );
    scaled_by_power(simd, mantissa, rounded)
}

/// 2^x of numbers not above zero, for results that are rounded to bf16: a relative error of 8e-5 is a
/// fiftieth of that rounding. Below -126 it stays there; not-a-number stays what it is.
#[inline(always)]
pub(super) fn exp2_coarse<S: Isa>(simd: S, x: S::f32s) -> S::f32s {
    let x = simd.at_least(-126.0, x);
    let rounded = simd.add_f32s(x, simd.splat_f32s(ROUNDER));
    let rest = simd.sub_f32s(x, simd.sub_f32s(rounded, simd.splat_f32s(ROUNDER)));
    // The best cubic between -1/2 and 1/2, as to the relative error.
    let mut mantissa = simd.splat_f32s(0.055_171_665);
    for coefficient in [0.242_611_13, 0.693_260_97, 0.999_928_06] {
        mantissa = simd.fma(mantissa, rest, simd.splat_f32s(coefficient));
    }
    scaled_by_power(simd, mantissa, rounded)
}

/// A number times 2^n, n in the low bits of what was rounded by [`ROUNDER`].
#[inline(always)]
fn scaled_by_power<S: Isa>(simd: S, mantissa: S::f32s, rounded: S::f32s) -> S::f32s {
    let exponent = simd.wrapping_dyn_shl_u32s(
        simd.add_u32s(
            simd.transmute_u32s_f32s(rounded),
            simd.splat_u32s(EXPONENT_BIAS),
        ),
        simd.splat_u32s(MANTISSA_BITS),
    );
    simd.mul_f32s(mantissa, simd.transmute_f32s_u32s(exponent))
}

/// x * sigmoid(x).
#[inline(always)]
pub(super) fn silu<S: Isa>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    simd.div_f32s(x, simd.add_f32s(one, exp(simd, simd.neg_f32s(x))))
}

/// The exact GELU, x * (1 + erf(x / sqrt 2)) / 2, with erf after Abramowitz and Stegun, 7.1.26 (error
/// below 2e-7).
#[inline(always)]
pub(super) fn gelu<S: Isa>(simd: S, x: S::f32s) -> S::f32s {
    let magnitude = simd.abs_f32s(x);
    let z = simd.mul_f32s(magnitude, simd.splat_f32s(std::f32::consts::FRAC_1_SQRT_2));
    let t = simd.div_f32s(
        simd.splat_f32s(1.0),
        simd.fma(simd.splat_f32s(0.327_591_1), z, simd.splat_f32s(1.0)),
    );
    let mut polynomial = simd.splat_f32s(1.061_405_4);
    for coefficient in [-1.453_152, 1.421_413_8, -0.284_496_74, 0.254_829_6] {
        polynomial = simd.fma(polynomial, t, simd.splat_f32s(coefficient));
    }
    let bell = exp(simd, simd.neg_f32s(simd.mul_f32s(z, z)));
    let tail = simd.mul_f32s(simd.mul_f32s(polynomial, t), bell);
    let erf = simd.sub_f32s(simd.splat_f32s(1.0), tail);
    simd.mul_f32s(simd.splat_f32s(0.5), simd.fma(magnitude, erf, x))
}
