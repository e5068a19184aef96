//! How are rows normalized? Sums in one pass, then scale, shift and SiLU in another.

use rayon::prelude::*;

use super::{MIN_PARALLEL_WORK, Norm, Tensor, build, elementwise::silu};
use crate::engine::ops::GroupNormSpec;

/// Positions of a block, in both passes.
const BLOCK: usize = 512;

/// Numbers that are summed side by side.
const LANES: usize = 8;

/// Cost of one number in multiply-accumulates, for the decision to use more threads.
const WORK: usize = 16;

/// Normalizes every group of channels over all positions of a row.
pub(super) fn group_norm(norm: &Norm, xs: &Tensor, spec: GroupNormSpec) -> Tensor {
    let channels = xs.shape.channels;
    let affine: Vec<_> = (0..xs.shape.rows)
        .map(|row| affine(norm, xs.row(row), spec))
        .collect();
    let block = BLOCK.min(xs.shape.positions());
    build(xs.shape, block, WORK * channels, |row, first, values| {
        let (scale, shift) = &affine[row];
        let input = &xs.row(row)[first * channels..][..values.len()];
        let positions = input.chunks_exact(channels);
        for (input, values) in positions.zip(values.chunks_exact_mut(channels)) {
            let affine = scale.iter().zip(shift);
            for ((value, x), (scale, shift)) in values.iter_mut().zip(input).zip(affine) {
                *value = x * scale + shift;
            }
        }
        if spec.silu {
            for value in values.iter_mut() {
                *value = silu(*value);
            }
        }
    })
}

/// Scale and shift of every channel of one row: mean, variance, weight and bias in one.
fn affine(norm: &Norm, row: &[f32], spec: GroupNormSpec) -> (Vec<f32>, Vec<f32>) {
    let channels = norm.weight.len();
    let sums = sums(row, channels);
    let per_group = channels / spec.groups;
    let count = (row.len() / spec.groups) as f64;
    let (mut scale, mut shift) = (norm.weight.clone(), norm.bias.clone());
    for group in 0..spec.groups {
        let members = group * per_group..(group + 1) * per_group;
        let total: [f64; 2] = sums[members.clone()]
            .iter()
            .fold([0.0; 2], |[sum, square], [s, q]| [sum + s, square + q]);
        let mean = total[0] / count;
        let variance = (total[1] / count - mean * mean).max(0.0);
        let inverse = 1.0 / (variance + spec.epsilon).sqrt();
        for channel in members {
            let weight = inverse * f64::from(norm.weight[channel]);
            scale[channel] = weight as f32;
            shift[channel] = (f64::from(norm.bias[channel]) - mean * weight) as f32;
        }
    }
    (scale, shift)
}

/// Sum and sum of squares of every channel. In f64: the variance is a small difference of them.
fn sums(row: &[f32], channels: usize) -> Vec<[f64; 2]> {
    let of_block = |block: &[f32]| {
        let mut sums = vec![[0.0; 2]; channels];
        for position in block.chunks_exact(channels) {
            for ([sum, square], value) in sums.iter_mut().zip(position) {
                let value = f64::from(*value);
                *sum += value;
                *square += value * value;
            }
        }
        sums
    };
    let block = BLOCK * channels;
    let partial: Vec<_> = if row.len() * WORK < MIN_PARALLEL_WORK {
        row.chunks(block).map(of_block).collect()
    } else {
        row.par_chunks(block).map(of_block).collect()
    };
    let mut sums = vec![[0.0; 2]; channels];
    for partial in partial {
        for ([sum, square], [s, q]) in sums.iter_mut().zip(partial) {
            *sum += s;
            *square += q;
        }
    }
    sums
}

/// Normalizes the channels of every position.
pub(super) fn layer_norm(norm: &Norm, xs: &Tensor, epsilon: f64) -> Tensor {
    let channels = xs.shape.channels;
    let block = BLOCK.min(xs.shape.positions());
    build(xs.shape, block, WORK * channels, |row, first, values| {
        let input = &xs.row(row)[first * channels..][..values.len()];
        let positions = input.chunks_exact(channels);
        for (input, values) in positions.zip(values.chunks_exact_mut(channels)) {
            let count = channels as f64;
            let mean = sum(input, |x| x) / count;
            let variance = sum(input, |x| (x - mean) * (x - mean)) / count;
            let (mean, inverse) = (mean as f32, (1.0 / (variance + epsilon).sqrt()) as f32);
            let affine = norm.weight.iter().zip(&norm.bias);
            for ((value, x), (weight, bias)) in values.iter_mut().zip(input).zip(affine) {
                *value = (x - mean) * inverse * weight + bias;
            }
        }
    })
}

/// The sum of a function of every number, in lanes that a compiler can put in one vector.
#[inline]
fn sum(values: &[f32], term: impl Fn(f64) -> f64) -> f64 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += term(f64::from(*value));
        }
    }
    let rest = rest.iter().map(|value| term(f64::from(*value)));
    lanes.into_iter().chain(rest).sum()
}
