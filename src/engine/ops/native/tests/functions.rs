//! The functions of vectors against the library's in f64.

use super::{
    super::{
        functions::{exp, exp2_coarse, gelu, silu},
        simd::{Isa, Kernel, load, store},
    },
    *,
};

#[derive(Clone, Copy)]
enum Function {
    Exp,
    Exp2Coarse,
    Silu,
    Gelu,
}

struct Apply<'a> {
    function: Function,
    values: &'a mut [f32],
}

impl Kernel for Apply<'_> {
    #[inline(always)]
    fn run<S: Isa>(self, simd: S) {
        for at in (0..self.values.len()).step_by(S::F32_LANES) {
            let x = load::<S>(self.values, at);
            let y = match self.function {
                Function::Exp => exp(simd, x),
                Function::Exp2Coarse => exp2_coarse(simd, x),
                Function::Silu => silu(simd, x),
                Function::Gelu => gelu(simd, x),
            };
            store::<S>(self.values, at, y);
        }
    }
}

fn apply(level: Level, function: Function, xs: &[f32]) -> Vec<f32> {
    let mut values = xs.to_vec();
    values.resize(xs.len().next_multiple_of(16), 0.0);
    level.run(Apply {
        function,
        values: &mut values,
    });
    values.truncate(xs.len());
    values
}

fn grid() -> Vec<f32> {
    (-8700..=8800).map(|step| step as f32 / 100.0).collect()
}

#[test]
fn the_exponential_is_right_to_the_last_bits() {
    for level in Level::available() {
        for (x, y) in grid().iter().zip(apply(level, Function::Exp, &grid())) {
            let exact = f64::from(*x).exp();
            let error = (f64::from(y) - exact).abs() / exact;
            assert!(error < 2e-7, "{level}, {x}: {error:.1e}");
        }
    }
}

#[test]
fn the_coarse_power_of_two_is_right_to_the_bits_of_bf16() {
    let xs: Vec<f32> = (-12_600..=0).map(|step| step as f32 / 100.0).collect();
    for level in Level::available() {
        for (x, y) in xs.iter().zip(apply(level, Function::Exp2Coarse, &xs)) {
            let exact = f64::from(*x).exp2();
            let error = (f64::from(y) - exact).abs() / exact;
            assert!(error < 8e-5, "{level}, {x}: {error:.1e}");
        }
        let saturated = apply(level, Function::Exp2Coarse, &[f32::NEG_INFINITY, f32::NAN]);
        assert!(saturated[0] < 2e-38 && saturated[1].is_nan(), "{level}");
    }
}

#[test]
fn functions_saturate_and_keep_what_is_not_a_number() {
    let xs = [f32::NEG_INFINITY, 1000.0, f32::NAN];
    for level in Level::available() {
        let [small, large, nan] = apply(level, Function::Exp, &xs)[..] else {
            panic!("three numbers go in and come out");
        };
        assert!(small < 1e-37 && large > 1e38 && large.is_finite() && nan.is_nan());
        for function in [Function::Silu, Function::Gelu] {
            assert!(apply(level, function, &xs)[2].is_nan(), "{level}");
        }
    }
}

#[test]
fn silu_is_x_times_its_sigmoid() {
    for level in Level::available() {
        for (x, y) in grid().iter().zip(apply(level, Function::Silu, &grid())) {
            let exact = reference::silu((*x).into());
            let error = (f64::from(y) - exact).abs();
            assert!(
                error <= 4e-7 * exact.abs() + 1e-36,
                "{level}, {x}: {error:.1e}"
            );
        }
    }
}

#[test]
fn gelu_is_that_of_the_error_function() {
    for level in Level::available() {
        for (x, y) in grid().iter().zip(apply(level, Function::Gelu, &grid())) {
            let exact = reference::gelu((*x).into());
            let error = (f64::from(y) - exact).abs();
            assert!(
                error <= 1e-6 + 3e-7 * exact.abs(),
                "{level}, {x}: {error:.1e}"
            );
        }
    }
}
