//! How do numbers change places? Borders, enlargements, channels side by side, the way in and out.

use std::sync::Arc;

use super::{
    Native, Tensor,
    memory::Arena,
    shared::Shared,
    tensor::{clear_border, line_start},
};
use crate::engine::ops::Shape;

/// Numbers below which calling another thread costs more than it saves.
const MIN_PARALLEL: usize = 1 << 14;

/// The batch with a border of zeros; resized first as [`crate::engine::ops::ConvFusion`] says.
pub(super) fn surround(native: &Native, xs: &Tensor, target: Option<(usize, usize)>) -> Tensor {
    let (height, width) = target.unwrap_or((xs.shape.height, xs.shape.width));
    let shift = usize::from(target.is_some());
    let shape = Shape {
        height,
        width,
        ..xs.shape
    };
    native.bordered_tensor(shape, 1, |output| {
        let output = Shared::new(output);
        let n_lines = shape.rows * height;
        native.for_parts(n_lines, shape.len() >= MIN_PARALLEL, |part| {
            let (row, y) = (part / height, part % height);
            if y == 0 {
                clear_border(output, shape, row);
            }
            let input = xs.line(row, y >> shift);
            let start = line_start(shape, 1, row, y);
            copy_line(
                input,
                line_of(output, start, width * shape.channels),
                shape,
                shift,
            );
        });
    })
}

#[expect(
    unsafe_code,
    reason = "parts of one operation write lines of one tensor"
)]
fn line_of(output: Shared<'_>, start: usize, length: usize) -> &mut [f32] {
    // SAFETY: every part writes lines of its own.
    unsafe { output.slice(start, length) }
}

/// Copies a line, every position twice if `shift` is 1.
fn copy_line(input: &[f32], output: &mut [f32], shape: Shape, shift: usize) {
    if shift == 0 {
        return output.copy_from_slice(input);
    }
    let pairs = output.chunks_mut(2 * shape.channels);
    for (input, pair) in input.chunks_exact(shape.channels).zip(pairs) {
        for output in pair.chunks_exact_mut(shape.channels) {
            output.copy_from_slice(input);
        }
    }
}

/// The channels of both, side by side at every position.
pub(super) fn concat(native: &Native, xs: &Tensor, ys: &Tensor) -> Tensor {
    let (xs, ys) = (&xs.without_border(native), &ys.without_border(native));
    let (first, second) = (xs.shape.channels, ys.shape.channels);
    let shape = xs.shape.with_channels(first + second);
    let width = shape.width;
    native.tensor(shape, |output| {
        let output = Shared::new(output);
        let n_lines = shape.rows * shape.height;
        native.for_parts(n_lines, shape.len() >= MIN_PARALLEL, |line| {
            let length = width * shape.channels;
            let xs = xs.values[line * width * first..].chunks_exact(first);
            let ys = ys.values[line * width * second..].chunks_exact(second);
            let output = line_of(output, line * length, length);
            for (output, (x, y)) in output.chunks_exact_mut(first + second).zip(xs.zip(ys)) {
                output[..first].copy_from_slice(x);
                output[first..].copy_from_slice(y);
            }
        });
    })
}

/// From rows x channels x height x width, in memory of `arena`.
pub(super) fn from_chw(arena: &Arc<Arena>, shape: Shape, values: &[f32]) -> Tensor {
    Tensor::fill(arena, shape, 0, |output| {
        let row = shape.positions() * shape.channels;
        for (input, output) in values.chunks_exact(row).zip(output.chunks_exact_mut(row)) {
            transpose(input, output, shape.channels);
        }
    })
}

/// To rows x channels x height x width.
pub(super) fn to_chw(native: &Native, xs: &Tensor, values: &mut [f32]) {
    let xs = xs.without_border(native);
    let row = xs.shape.positions() * xs.shape.channels;
    for (input, output) in xs
        .values
        .chunks_exact(row)
        .zip(values.chunks_exact_mut(row))
    {
        transpose(input, output, xs.shape.positions());
    }
}

/// Writes a matrix of `lines` lines column by column.
pub(super) fn transpose(input: &[f32], output: &mut [f32], lines: usize) {
    let columns = input.len() / lines;
    for (column, output) in output.chunks_exact_mut(lines).enumerate() {
        let input = input[column..].iter().step_by(columns);
        for (output, input) in output.iter_mut().zip(input) {
            *output = *input;
        }
    }
}
