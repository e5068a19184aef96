//! How is a 3x3 convolution computed? As a product whose left side is the picture itself: the three
//! lines around a position are three segments. Where it pays, by Winograd's algorithm instead.

use std::{ops::Range, sync::OnceLock};

use super::{
    Native, Tensor,
    memory::{Buffer, Lines},
    panels::{Panels, pad_columns},
    product::{Finish, Place, Product},
    simd::Level,
    tile::{MAX_ROWS, Segments},
    winograd::Winograd,
};
use crate::engine::ops::{ConvFusion, ConvSpec, Shape};

/// A convolution's weights.
#[derive(Debug)]
pub struct Conv {
    spec: ConvSpec,
    /// (3 x 3 x inputs) x outputs.
    panels: Panels,
    bias: Lines,
    /// Made when a picture first has a size where it pays.
    winograd: OnceLock<Winograd>,
}

impl Conv {
    /// Packs weights of outputs x inputs x 3 x 3.
    pub(super) fn pack(level: Level, spec: ConvSpec, weight: &[f32], bias: &[f32]) -> Self {
        let inputs = spec.inputs;
        let at = |row: usize, output: usize| {
            let (tap, input) = (row / inputs, row % inputs);
            weight[(output * inputs + input) * 9 + tap]
        };
        Self {
            spec,
            panels: Panels::pack(level, (9 * inputs, spec.outputs), at),
            bias: pad_columns(level, bias),
            winograd: OnceLock::new(),
        }
    }

    pub(super) fn apply(
        &self,
        native: &Native,
        xs: &Tensor,
        fusion: &ConvFusion<'_, Native>,
    ) -> Tensor {
        let xs = &match fusion.enlarge_to {
            None if xs.border == 1 => xs.clone(),
            target => super::layout::surround(native, xs, target),
        };
        let shape = self.spec.output(xs.shape);
        let bias = self.bias(native, fusion.per_row);
        let bias = bias.as_deref().unwrap_or(&self.bias);
        let residual = fusion.residual.map(|it| it.without_border(native));
        let residual = residual.as_ref().map(|it| &*it.values);
        if Winograd::pays(native.level, self.spec, shape) {
            let table = || {
                let table = Winograd::pack(native.level, self.spec, &self.panels);
                native.held.add_winograd(table.bytes());
                table
            };
            let winograd = self.winograd.get_or_init(table);
            return winograd.apply(native, xs, bias, residual);
        }
        let (line, inputs) = (xs.line_stride(), self.spec.inputs);
        let product = Product {
            input: &xs.values,
            place: Neighborhoods::new(xs, self.spec, shape),
            segments: Segments {
                starts: &[0, line, 2 * line],
                length: 3 * inputs,
            },
            panels: &self.panels,
            bias,
            addend: residual,
            finish: Finish::None,
            columns: self.spec.outputs,
            n_pictures: shape.rows,
            n_positions: shape.positions(),
        };
        native.tensor(shape, |output| product.compute(native, output))
    }

    /// The bias of each picture, if they differ.
    fn bias(&self, native: &Native, vectors: Option<&Tensor>) -> Option<Buffer> {
        let vectors = vectors?;
        let mut biases = native.arena.take(vectors.shape.rows * self.bias.len());
        let rows = biases.fill().chunks_exact_mut(self.bias.len());
        for (row, biases) in rows.enumerate() {
            biases.copy_from_slice(&self.bias);
            for (bias, value) in biases.iter_mut().zip(vectors.row(row)) {
                *bias += value;
            }
        }
        Some(biases)
    }

    /// Bytes of the packed weights, without Winograd's tables.
    pub(super) fn bytes(&self) -> usize {
        self.panels.bytes() + size_of_val(&*self.bias)
    }
}

/// The upper left corners of the neighborhoods of a convolution's results.
#[derive(Debug, Clone, Copy)]
struct Neighborhoods {
    /// Results of a line.
    width: usize,
    /// From one result to the next, from one line of them to the next, from picture to picture.
    steps: (usize, usize, usize),
    /// Of the first result.
    start: usize,
}

impl Neighborhoods {
    fn new(xs: &Tensor, spec: ConvSpec, shape: Shape) -> Self {
        let (line, channels) = (xs.line_stride(), xs.shape.channels);
        Self {
            width: shape.width,
            steps: (spec.stride * channels, spec.stride * line, xs.row_stride()),
            start: (1 - spec.padding_before) * (line + channels),
        }
    }
}

impl Place for Neighborhoods {
    #[inline(always)]
    fn place(&self, picture: usize, positions: Range<usize>, inputs: &mut [usize; MAX_ROWS]) {
        let (column_step, line_step, picture_step) = self.steps;
        let (mut y, mut x) = (positions.start / self.width, positions.start % self.width);
        for (input, _) in inputs.iter_mut().zip(positions) {
            *input = self.start + picture * picture_step + y * line_step + x * column_step;
            x += 1;
            if x == self.width {
                (y, x) = (y + 1, 0);
            }
        }
    }
}
