//! How is a linear layer computed? One product, with what follows it in the same pass.

use super::{
    Native, Tensor, bf16,
    memory::Lines,
    number::{Number, Pair},
    panels::{Panels, pad_columns},
    product::{Consecutive, Finish, Product},
    simd::Level,
    tile::Segments,
};
use crate::engine::ops::{Activation, Shape};

/// Fewest weights that are multiplied in bf16: with fewer, rounding the left side takes what it saves.
const MIN_BF16_WEIGHTS: usize = 2048;

/// A linear layer's weights.
#[derive(Debug)]
pub struct Linear {
    panels: Weights,
    bias: Lines,
    columns: usize,
    finish: Finish,
}

/// Inputs x outputs, in the numbers that are multiplied.
#[derive(Debug)]
enum Weights {
    F32(Panels<f32>),
    Bf16(Panels<Pair>),
}

impl Linear {
    /// Packs weights of outputs x inputs, outputs before the activation.
    pub(super) fn pack(
        native: &Native,
        weight: &[f32],
        bias: Option<Vec<f32>>,
        outputs: usize,
        activation: Activation,
    ) -> Self {
        let inputs = weight.len() / outputs;
        let bias = bias.unwrap_or_else(|| vec![0.0; outputs]);
        let level = native.level;
        let order = Order::new(level, outputs, activation);
        let in_bf16 = native.bf16.is_some()
            && inputs.is_multiple_of(Pair::PER_WORD)
            && weight.len() >= MIN_BF16_WEIGHTS;
        let at = |row: usize, column: usize| {
            let output = order.output(column);
            output.map_or(0.0, |output| weight[output * inputs + row])
        };
        let ordered: Vec<_> = (0..order.columns)
            .map(|column| order.output(column).map_or(0.0, |output| bias[output]))
            .collect();
        let (columns, finish) = match activation {
            Activation::None => (outputs, Finish::None),
            Activation::Silu => (outputs, Finish::Silu),
            Activation::GeGlu => (outputs / 2, Finish::GeGlu),
        };
        Self {
            panels: if in_bf16 {
                Weights::Bf16(Panels::pack(level, (inputs, order.columns), at))
            } else {
                Weights::F32(Panels::pack(level, (inputs, order.columns), at))
            },
            bias: pad_columns(level, &ordered),
            columns,
            finish,
        }
    }

    pub(super) fn apply(&self, native: &Native, xs: &Tensor, residual: Option<&Tensor>) -> Tensor {
        let xs = &xs.without_border(native);
        match &self.panels {
            Weights::F32(panels) => self.multiply(native, xs.shape, (&xs.values, panels), residual),
            Weights::Bf16(panels) => {
                let rounded = bf16::round(native, &xs.values, xs.shape.channels);
                let words = bytemuck::cast_slice(&rounded);
                self.multiply(native, xs.shape, (words, panels), residual)
            }
        }
    }

    fn multiply<N: Number>(
        &self,
        native: &Native,
        shape: Shape,
        (input, panels): (&[N], &Panels<N>),
        residual: Option<&Tensor>,
    ) -> Tensor {
        let residual = residual.map(|residual| residual.without_border(native));
        let depth = panels.depth();
        let product = Product {
            input,
            place: Consecutive { stride: depth },
            segments: Segments {
                starts: &[0],
                length: depth,
            },
            panels,
            bias: &self.bias,
            addend: residual.as_ref().map(|residual| &*residual.values),
            finish: self.finish,
            columns: self.columns,
            n_pictures: 1,
            n_positions: shape.rows * shape.positions(),
        };
        native.tensor(shape.with_channels(self.columns), |output| {
            product.compute(native, output);
        })
    }

    /// Bytes of the packed weights.
    pub(super) fn bytes(&self) -> usize {
        let panels = match &self.panels {
            Weights::F32(panels) => panels.bytes(),
            Weights::Bf16(panels) => panels.bytes(),
        };
        panels + size_of_val(&*self.bias)
    }
}

/// Which output stands in which column of the panels.
struct Order {
    columns: usize,
    outputs: usize,
    /// Columns of the first half, and of the gates, that stand side by side; none if there are no gates.
    gated: Option<usize>,
}

impl Order {
    fn new(level: Level, outputs: usize, activation: Activation) -> Self {
        let lanes = level.lanes();
        let gated = (activation == Activation::GeGlu).then_some(lanes);
        let columns = match gated {
            Some(lanes) => 2 * (outputs / 2).next_multiple_of(lanes),
            None => outputs,
        };
        Self {
            columns,
            outputs,
            gated,
        }
    }

    /// The output of a column; none in the filling.
    fn output(&self, column: usize) -> Option<usize> {
        let Some(lanes) = self.gated else {
            return Some(column);
        };
        let half = self.outputs / 2;
        let (panel, place) = (column / (2 * lanes), column % (2 * lanes));
        let output = panel * lanes + place % lanes;
        (output < half).then(|| output + place / lanes * half)
    }
}
