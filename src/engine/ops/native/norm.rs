//! How are rows normalized? Moments in one pass, then scale, shift and SiLU in another, which leaves
//! the result with the border that a convolution wants.
//!
//! A line is read as one run of numbers. The channel of a number repeats with the period of the
//! channels, so that scale and shift are written out to a pattern of whole vectors, and no vector is
//! half empty however few the channels are.

use std::ops::Range;

use super::{
    Native, Tensor,
    functions::silu,
    memory::Buffer,
    shared::Shared,
    simd::{Isa, Kernel, load, store},
    tensor::{clear_border, line_start},
};
use crate::engine::ops::{GroupNormSpec, Shape};

mod layer;

pub(super) use layer::layer_norm;

/// Positions whose sums are kept in single precision. Parts of an operation are made of such blocks.
const BLOCK: usize = 256;

/// Numbers below which calling another thread costs more than it saves.
const MIN_PARALLEL: usize = 1 << 13;

/// A norm's scale and shift, one number for each channel.
#[derive(Debug)]
pub struct Norm {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

/// Normalizes every group of channels over all positions of a row.
pub(super) fn group_norm(native: &Native, norm: &Norm, xs: &Tensor, spec: GroupNormSpec) -> Tensor {
    let xs = &xs.without_border(native);
    let blocks = Blocks::new(xs.shape);
    let pattern = Pattern::new(native, xs.shape.channels);
    let moments = moments(native, xs, blocks, pattern);
    let affine = affine(native, norm, &moments, (xs, blocks, pattern), spec);
    // What is normed and activated goes to a convolution in all of these networks.
    let border = usize::from(spec.silu);
    native.bordered_tensor(xs.shape, border, |output| {
        let output = Shared::new(output);
        native.for_parts(blocks.len(), xs.shape.len() >= MIN_PARALLEL, |part| {
            let (row, lines) = blocks.get(part);
            if border == 1 && lines.start == 0 {
                clear_border(output, xs.shape, row);
            }
            native.level.run(Apply {
                xs,
                affine: &affine[2 * row * pattern.length..][..2 * pattern.length],
                silu: spec.silu,
                border,
                output,
                row,
                lines,
            });
        });
    })
}

/// The lines of a batch in blocks that do not depend on the number of rows.
#[derive(Debug, Clone, Copy)]
struct Blocks {
    shape: Shape,
    lines: usize,
}

impl Blocks {
    fn new(shape: Shape) -> Self {
        Self {
            shape,
            lines: BLOCK.div_ceil(shape.width).min(shape.height),
        }
    }

    fn per_row(self) -> usize {
        self.shape.height.div_ceil(self.lines)
    }

    fn len(self) -> usize {
        self.shape.rows * self.per_row()
    }

    /// Row and lines of a block.
    fn get(self, index: usize) -> (usize, Range<usize>) {
        let (row, block) = (index / self.per_row(), index % self.per_row());
        let first = block * self.lines;
        (row, first..(first + self.lines).min(self.shape.height))
    }
}

/// How the channels of a run of numbers repeat, in whole vectors.
#[derive(Debug, Clone, Copy)]
struct Pattern {
    channels: usize,
    /// A multiple of the channels and of the lanes.
    length: usize,
}

impl Pattern {
    fn new(native: &Native, channels: usize) -> Self {
        // Lanes are a power of two.
        let lanes = native.level.lanes();
        let common = 1 << channels.trailing_zeros().min(lanes.trailing_zeros());
        Self {
            channels,
            length: channels * lanes / common,
        }
    }
}

/// Sum and sum of squares of the differences from the row's first position, for every block and every
/// number of the pattern.
fn moments(native: &Native, xs: &Tensor, blocks: Blocks, pattern: Pattern) -> Buffer {
    let mut moments = native.arena.take(2 * blocks.len() * pattern.length);
    let output = Shared::new(moments.fill());
    native.for_parts(blocks.len(), xs.shape.len() >= MIN_PARALLEL, |part| {
        native.level.run(Moments {
            xs,
            pattern,
            output,
            part,
            block: blocks.get(part),
        });
    });
    moments
}

struct Moments<'a> {
    xs: &'a Tensor,
    pattern: Pattern,
    output: Shared<'a>,
    part: usize,
    block: (usize, Range<usize>),
}

impl Kernel for Moments<'_> {
    #[inline(always)]
    #[expect(
        unsafe_code,
        reason = "parts of one operation write parts of one buffer"
    )]
    fn run<S: Isa>(self, simd: S) {
        let (row, lines) = self.block.clone();
        let (lanes, length) = (S::F32_LANES, self.pattern.length);
        let stride = self.xs.line_stride();
        let block = &self.xs.row(row)[lines.start * stride..lines.end * stride];
        // SAFETY: every part writes the moments of its own block.
        let output = unsafe { self.output.slice(2 * self.part * length, 2 * length) };
        let (sums, squares) = output.split_at_mut(length);
        let origin = self.xs.row(row);
        for first in (0..length).step_by(lanes) {
            let mut origins = [0.0; 16];
            for (lane, value) in origins[..lanes].iter_mut().enumerate() {
                *value = origin[(first + lane) % self.pattern.channels];
            }
            let origins = load::<S>(&origins, 0);
            let (mut sum, mut square) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
            let mut at = first;
            while at + lanes <= block.len() {
                let value = simd.sub_f32s(load::<S>(block, at), origins);
                sum = simd.add_f32s(sum, value);
                square = simd.fma(value, value, square);
                at += length;
            }
            store::<S>(sums, first, sum);
            store::<S>(squares, first, square);
            // What is left of the last, broken vector.
            for (lane, value) in block.get(at..).unwrap_or_default().iter().enumerate() {
                let value = value - origin[(first + lane) % self.pattern.channels];
                sums[first + lane] += value;
                squares[first + lane] += value * value;
            }
        }
    }
}

/// Scale and shift of every row, written out to the pattern: mean, variance, weight and bias in one.
fn affine(
    native: &Native,
    norm: &Norm,
    moments: &[f32],
    (xs, blocks, pattern): (&Tensor, Blocks, Pattern),
    spec: GroupNormSpec,
) -> Buffer {
    let mut affine = native.arena.take(2 * xs.shape.rows * pattern.length);
    let rows = affine.fill().chunks_exact_mut(2 * pattern.length);
    let moments = moments.chunks_exact(2 * pattern.length * blocks.per_row());
    for (row, (affine, moments)) in rows.zip(moments).enumerate() {
        let (scale, shift) = affine.split_at_mut(pattern.length);
        let per_group = pattern.channels / spec.groups;
        for group in 0..spec.groups {
            let members = group * per_group..(group + 1) * per_group;
            let origin = &xs.row(row)[members.clone()];
            let count = (xs.shape.positions(), pattern);
            let (mean, variance) = group_moments(moments, members.clone(), origin, count);
            let inverse = 1.0 / (variance + spec.epsilon).sqrt();
            for channel in members {
                let weight = inverse * f64::from(norm.weight[channel]);
                scale[channel] = weight as f32;
                shift[channel] = (f64::from(norm.bias[channel]) - mean * weight) as f32;
            }
        }
        for values in [scale, shift] {
            let (channels, rest) = values.split_at_mut(pattern.channels);
            for repeated in rest.chunks_exact_mut(pattern.channels) {
                repeated.copy_from_slice(channels);
            }
        }
    }
    affine
}

/// Mean and variance of a group of channels, in f64, from the moments of its blocks.
fn group_moments(
    moments: &[f32],
    members: Range<usize>,
    origin: &[f32],
    (positions, pattern): (usize, Pattern),
) -> (f64, f64) {
    let count = positions as f64;
    let n_channels = members.len() as f64;
    let mut total = 0.0;
    let mut squares = 0.0;
    // Around the first channel's origin, which is near to what the others are around.
    let center = f64::from(origin[0]);
    for (channel, origin) in members.zip(origin) {
        let (mut sum, mut square) = (0.0, 0.0);
        for block in moments.chunks_exact(2 * pattern.length) {
            let (sums, block_squares) = block.split_at(pattern.length);
            for at in (channel..pattern.length).step_by(pattern.channels) {
                sum += f64::from(sums[at]);
                square += f64::from(block_squares[at]);
            }
        }
        let offset = f64::from(*origin) - center;
        total += sum + count * offset;
        squares += square + 2.0 * offset * sum + count * offset * offset;
    }
    let mean = total / (count * n_channels);
    let variance = squares / (count * n_channels) - mean * mean;
    (center + mean, variance.max(0.0))
}

struct Apply<'a> {
    xs: &'a Tensor,
    affine: &'a [f32],
    silu: bool,
    border: usize,
    output: Shared<'a>,
    row: usize,
    lines: Range<usize>,
}

impl Kernel for Apply<'_> {
    #[inline(always)]
    #[expect(
        unsafe_code,
        reason = "parts of one operation write lines of one tensor"
    )]
    fn run<S: Isa>(self, simd: S) {
        let length = self.affine.len() / 2;
        let (scale, shift) = self.affine.split_at(length);
        for y in self.lines.clone() {
            let input = self.xs.line(self.row, y);
            let start = line_start(self.xs.shape, self.border, self.row, y);
            // SAFETY: every part writes its own lines.
            let output = unsafe { self.output.slice(start, input.len()) };
            let mut place = 0;
            let (inputs, input_rest) = S::as_simd_f32s(input);
            let whole = inputs.len() * S::F32_LANES;
            for (index, &x) in inputs.iter().enumerate() {
                let value = self.one(simd, x, load::<S>(scale, place), load::<S>(shift, place));
                store::<S>(output, index * S::F32_LANES, value);
                place += S::F32_LANES;
                if place == length {
                    place = 0;
                }
            }
            if !input_rest.is_empty() {
                let x = simd.partial_load_f32s(input_rest);
                let value = self.one(simd, x, load::<S>(scale, place), load::<S>(shift, place));
                simd.partial_store_f32s(&mut output[whole..], value);
            }
        }
    }
}

impl Apply<'_> {
    #[inline(always)]
    fn one<S: Isa>(&self, simd: S, x: S::f32s, scale: S::f32s, shift: S::f32s) -> S::f32s {
        let value = simd.fma(x, scale, shift);
        if self.silu { silu(simd, value) } else { value }
    }
}

/// Bytes of a norm.
pub(super) fn bytes(norm: &Norm) -> usize {
    size_of_val(norm.weight.as_slice()) + size_of_val(norm.bias.as_slice())
}
