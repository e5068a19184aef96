//! How is a position normalized? Its channels by their own mean and variance.

use super::{
    super::{
        Native, Tensor,
        shared::Shared,
        simd::{Isa, Kernel},
    },
    BLOCK, MIN_PARALLEL, Norm,
};

/// Normalizes the channels of every position.
pub(in crate::engine::ops::native) fn layer_norm(
    native: &Native,
    norm: &Norm,
    xs: &Tensor,
    epsilon: f64,
) -> Tensor {
    let xs = &xs.without_border(native);
    let channels = xs.shape.channels;
    let n_positions = xs.shape.rows * xs.shape.positions();
    native.tensor(xs.shape, |output| {
        let output = Shared::new(output);
        let n_parts = n_positions.div_ceil(BLOCK);
        native.for_parts(n_parts, xs.shape.len() >= MIN_PARALLEL, |part| {
            let first = part * BLOCK;
            let n = BLOCK.min(n_positions - first);
            native.level.run(Positions {
                norm,
                input: &xs.values[first * channels..][..n * channels],
                epsilon: epsilon as f32,
                output,
                start: first * channels,
            });
        });
    })
}

struct Positions<'a> {
    norm: &'a Norm,
    input: &'a [f32],
    epsilon: f32,
    output: Shared<'a>,
    start: usize,
}

impl Kernel for Positions<'_> {
    #[inline(always)]
    #[expect(
        unsafe_code,
        reason = "parts of one operation write positions of one tensor"
    )]
    fn run<S: Isa>(self, simd: S) {
        let channels = self.norm.weight.len();
        // SAFETY: every part writes its own positions.
        let output = unsafe { self.output.slice(self.start, self.input.len()) };
        let positions = self.input.chunks_exact(channels);
        for (input, output) in positions.zip(output.chunks_exact_mut(channels)) {
            let inverse_count = 1.0 / channels as f32;
            let mean = inverse_count * sum(simd, input);
            let mean = simd.splat_f32s(mean);
            let variance = inverse_count * sum_of_squares(simd, input, mean);
            let inverse = simd.splat_f32s(1.0 / (variance + self.epsilon).sqrt());
            self.write(simd, input, (mean, inverse), output);
        }
    }
}

impl Positions<'_> {
    #[inline(always)]
    fn write<S: Isa>(
        &self,
        simd: S,
        input: &[f32],
        (mean, inverse): (S::f32s, S::f32s),
        output: &mut [f32],
    ) {
        let (weight, bias) = (
            &self.norm.weight[..input.len()],
            &self.norm.bias[..input.len()],
        );
        for start in (0..input.len()).step_by(S::F32_LANES) {
            let end = (start + S::F32_LANES).min(input.len());
            let difference = simd.sub_f32s(simd.partial_load_f32s(&input[start..end]), mean);
            let weight = simd.partial_load_f32s(&weight[start..end]);
            let bias = simd.partial_load_f32s(&bias[start..end]);
            let value = simd.fma(simd.mul_f32s(difference, inverse), weight, bias);
            simd.partial_store_f32s(&mut output[start..end], value);
        }
    }
}

#[inline(always)]
fn sum<S: Isa>(simd: S, values: &[f32]) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(values);
    let mut sum = simd.partial_load_f32s(rest);
    for &vector in vectors {
        sum = simd.add_f32s(sum, vector);
    }
    simd.reduce_sum_f32s(sum)
}

/// The sum of the squares of the differences from `center`.
#[inline(always)]
fn sum_of_squares<S: Isa>(simd: S, values: &[f32], center: S::f32s) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(values);
    let zero = simd.splat_f32s(0.0);
    let mask = simd.mask_between_m32s(0, rest.len() as u32);
    let difference = simd.sub_f32s(simd.partial_load_f32s(rest), center);
    let difference = simd.select_f32s(mask.mask(), difference, zero);
    let mut sum = simd.mul_f32s(difference, difference);
    for &vector in vectors {
        let difference = simd.sub_f32s(vector, center);
        sum = simd.fma(difference, difference, sum);
    }
    simd.reduce_sum_f32s(sum)
}
