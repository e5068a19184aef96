//! How is a 3x3 convolution computed? Block by block of output positions: their neighborhoods side by
//! side in a small buffer, times the weights, added to what is fused.

use std::cell::RefCell;

use super::{
    Native, Tensor, build,
    gemm::{Matrix, multiply_add},
};
use crate::engine::ops::{ConvFusion, ConvSpec, Shape};

/// Numbers of the neighborhood buffer: 256 KiB, to stay in a core's own cache.
const BUFFER: usize = 1 << 16;

/// Fewest positions of a block, so that packing the weights pays.
const MIN_BLOCK: usize = 64;

thread_local! {
    static NEIGHBORHOODS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A convolution's weights, (3 x 3 x inputs) x outputs.
#[derive(Debug)]
pub struct Conv {
    spec: ConvSpec,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Conv {
    /// Packs weights of outputs x inputs x 3 x 3.
    pub(super) fn pack(spec: ConvSpec, weight: &[f32], bias: Vec<f32>) -> Self {
        let (inputs, outputs) = (spec.inputs, spec.outputs);
        let mut packed = vec![0.0; weight.len()];
        for (index, value) in weight.iter().enumerate() {
            let (output, input, tap) = (index / (9 * inputs), index / 9 % inputs, index % 9);
            packed[(tap * inputs + input) * outputs + output] = *value;
        }
        Self {
            spec,
            weight: packed,
            bias,
        }
    }

    pub(super) fn apply(&self, xs: &Tensor, fusion: &ConvFusion<'_, Native>) -> Tensor {
        let (inputs, outputs) = (self.spec.inputs, self.spec.outputs);
        let source = Source::new(xs.shape, fusion.enlarge_to);
        let shape = self.spec.output(Shape {
            height: source.height,
            width: source.width,
            ..xs.shape
        });
        let depth = 9 * inputs;
        let block = (BUFFER / depth).max(MIN_BLOCK).min(shape.positions());
        build(shape, block, depth * outputs, |row, first, values| {
            self.prefill(row, first, values, fusion);
            let n_positions = values.len() / outputs;
            NEIGHBORHOODS.with_borrow_mut(|buffer| {
                buffer.resize(n_positions * depth, 0.0);
                for (index, cell) in buffer.chunks_exact_mut(depth).enumerate() {
                    let (y, x) = ((first + index) / shape.width, (first + index) % shape.width);
                    source.gather(xs.row(row), self.spec, (y, x), cell);
                }
                let operands = (
                    Matrix::rows(buffer, depth),
                    Matrix::rows(&self.weight, outputs),
                );
                let sizes = (n_positions, outputs, depth);
                multiply_add(values, outputs, sizes, operands, 1.0);
            });
        })
    }

    /// Writes what the product is added to.
    fn prefill(
        &self,
        row: usize,
        first: usize,
        values: &mut [f32],
        fusion: &ConvFusion<'_, Native>,
    ) {
        let outputs = self.spec.outputs;
        let mut constant = self.bias.clone();
        if let Some(vectors) = fusion.per_row {
            for (value, other) in constant.iter_mut().zip(vectors.row(row)) {
                *value += other;
            }
        }
        for position in values.chunks_exact_mut(outputs) {
            position.copy_from_slice(&constant);
        }
        if let Some(residual) = fusion.residual {
            let residual = &residual.row(row)[first * outputs..];
            for (value, other) in values.iter_mut().zip(residual) {
                *value += other;
            }
        }
    }
}

/// The input grid as the convolution sees it: maybe twice as large as it is stored.
struct Source {
    height: usize,
    width: usize,
    stored_width: usize,
    /// log2 of how often every position is repeated.
    shift: u32,
}

impl Source {
    fn new(stored: Shape, enlarge_to: Option<(usize, usize)>) -> Self {
        let (height, width) = enlarge_to.unwrap_or((stored.height, stored.width));
        Self {
            height,
            width,
            stored_width: stored.width,
            shift: u32::from(enlarge_to.is_some()),
        }
    }

    /// Copies the nine positions around output position (y, x) side by side, zeros outside.
    fn gather(&self, row: &[f32], spec: ConvSpec, (y, x): (usize, usize), cell: &mut [f32]) {
        let inputs = spec.inputs;
        let top = y * spec.stride + 1 - spec.padding_before;
        let left = x * spec.stride + 1 - spec.padding_before;
        for (line, cell) in cell.chunks_exact_mut(3 * inputs).enumerate() {
            // Counted from one before the first line, so that nothing is negative.
            let y = top + line;
            if y == 0 || y > self.height {
                cell.fill(0.0);
                continue;
            }
            let start = ((y - 1) >> self.shift) * self.stored_width;
            if self.shift == 0 && left > 0 && left + 2 <= self.width {
                let from = (start + left - 1) * inputs;
                cell.copy_from_slice(&row[from..from + 3 * inputs]);
                continue;
            }
            for (column, cell) in cell.chunks_exact_mut(inputs).enumerate() {
                let x = left + column;
                if x == 0 || x > self.width {
                    cell.fill(0.0);
                } else {
                    let from = (start + ((x - 1) >> self.shift)) * inputs;
                    cell.copy_from_slice(&row[from..from + inputs]);
                }
            }
        }
    }
}
