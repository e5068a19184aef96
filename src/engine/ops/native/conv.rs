//! How is a 3x3 convolution computed? As a product whose left side is the picture itself: the three
//! lines around a position are three segments. Where it pays, by Winograd's algorithm instead.

use std::{ops::Range, sync::OnceLock};

use super::{
    Native, Tensor, bf16,
    memory::{Buffer, Lines},
    number::{Number, Pair},
    panels::{Panels, pad_columns},
    product::{Finish, Place, Product},
    tile::{MAX_ROWS, Segments},
    winograd::{Transform, Winograd},
};
use crate::engine::ops::{ConvFusion, ConvSpec, Shape};

/// Fewest channels, in and out, that are multiplied in bf16: with fewer, Winograd's algorithm in f32 is
/// as fast.
const MIN_BF16_CHANNELS: usize = 32;

/// A convolution's weights.
#[derive(Debug)]
pub struct Conv {
    spec: ConvSpec,
    weights: Weights,
    bias: Lines,
}

/// Weights in the numbers that are multiplied, with the tiles that suit them.
#[derive(Debug)]
enum Weights {
    F32(Packed<f32, 4, 6>),
    Bf16(Packed<Pair, 2, 4>),
}

/// The weights of both algorithms.
#[derive(Debug)]
struct Packed<N, const R: usize, const I: usize> {
    /// (3 x 3 x inputs) x outputs.
    panels: Panels<N>,
    /// Made when a picture first has a size where it pays.
    winograd: OnceLock<Winograd<N, R, I>>,
}

impl Conv {
    /// Packs weights of outputs x inputs x 3 x 3.
    pub(super) fn pack(native: &Native, spec: ConvSpec, weight: &[f32], bias: &[f32]) -> Self {
        // A pair must not reach from one position to the next.
        let in_bf16 = native.bf16.is_some()
            && spec.inputs.is_multiple_of(Pair::PER_WORD)
            && spec.inputs.min(spec.outputs) >= MIN_BF16_CHANNELS;
        Self {
            spec,
            weights: if in_bf16 {
                Weights::Bf16(Packed::pack(native, spec, weight))
            } else {
                Weights::F32(Packed::pack(native, spec, weight))
            },
            bias: pad_columns(native.level, bias),
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
        let bias = self.bias(native, fusion.per_row);
        let residual = fusion.residual.map(|it| it.without_border(native));
        let call = Call {
            spec: self.spec,
            shape: self.spec.output(xs.shape),
            xs,
            bias: bias.as_deref().unwrap_or(&self.bias),
            residual: residual.as_ref().map(|it| &*it.values),
        };
        match &self.weights {
            Weights::F32(packed) => packed
                .by_winograd(native, &call)
                .unwrap_or_else(|| packed.directly(native, &call, &xs.values)),
            Weights::Bf16(packed) => packed.by_winograd(native, &call).unwrap_or_else(|| {
                let rounded = bf16::round(native, &xs.values, self.spec.inputs);
                packed.directly(native, &call, bytemuck::cast_slice(&rounded))
            }),
        }
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
        let panels = match &self.weights {
            Weights::F32(packed) => packed.panels.bytes(),
            Weights::Bf16(packed) => packed.panels.bytes(),
        };
        panels + size_of_val(&*self.bias)
    }
}

/// What is to be computed, from pictures with a border of zeros.
struct Call<'a> {
    spec: ConvSpec,
    /// Of the result.
    shape: Shape,
    xs: &'a Tensor,
    /// For each picture, or for all.
    bias: &'a [f32],
    residual: Option<&'a [f32]>,
}

impl<N: Transform<R, I>, const R: usize, const I: usize> Packed<N, R, I> {
    fn pack(native: &Native, spec: ConvSpec, weight: &[f32]) -> Self {
        let inputs = spec.inputs;
        let at = |row: usize, output: usize| {
            let (tap, input) = (row / inputs, row % inputs);
            weight[(output * inputs + input) * 9 + tap]
        };
        Self {
            panels: Panels::pack(native.level, (9 * inputs, spec.outputs), at),
            winograd: OnceLock::new(),
        }
    }

    /// The result, if Winograd's algorithm pays.
    fn by_winograd(&self, native: &Native, call: &Call<'_>) -> Option<Tensor> {
        Winograd::<N, R, I>::pays(native.level, call.spec, call.shape).then(|| {
            let winograd = self.winograd.get_or_init(|| {
                let table = Winograd::pack(native.level, call.spec, &self.panels);
                native.held.add_winograd(table.bytes());
                table
            });
            winograd.apply(native, call.xs, call.bias, call.residual)
        })
    }

    /// The result as a product; `input` are the words of the pictures.
    fn directly(&self, native: &Native, call: &Call<'_>, input: &[N]) -> Tensor {
        let line = call.xs.line_stride() / N::PER_WORD;
        let product = Product {
            input,
            place: Neighborhoods::new::<N>(call),
            segments: Segments {
                starts: &[0, line, 2 * line],
                length: 3 * call.spec.inputs / N::PER_WORD,
            },
            panels: &self.panels,
            bias: call.bias,
            addend: call.residual,
            finish: Finish::None,
            columns: call.spec.outputs,
            n_pictures: call.shape.rows,
            n_positions: call.shape.positions(),
        };
        native.tensor(call.shape, |output| product.compute(native, output))
    }
}

/// The upper left corners of the neighborhoods of a convolution's results.
#[derive(Debug, Clone, Copy)]
struct Neighborhoods {
    /// Results of a line.
    width: usize,
    /// From one result to the next, from one line of them to the next, from picture to picture, in words.
    steps: (usize, usize, usize),
    /// Of the first result.
    start: usize,
}

impl Neighborhoods {
    fn new<N: Number>(call: &Call<'_>) -> Self {
        let Call { spec, xs, .. } = call;
        let words = |numbers: usize| numbers / N::PER_WORD;
        let (line, channels) = (words(xs.line_stride()), words(xs.shape.channels));
        Self {
            width: call.shape.width,
            steps: (
                spec.stride * channels,
                spec.stride * line,
                words(xs.row_stride()),
            ),
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
