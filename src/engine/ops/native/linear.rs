//! How is a linear layer computed? One product, with what follows it in the same pass.

use super::{
    Native, Tensor,
    memory::Lines,
    panels::{Panels, pad_columns},
    product::{Consecutive, Finish, Product},
    simd::Level,
    tile::Segments,
};
use crate::engine::ops::Activation;

/// A linear layer's weights.
#[derive(Debug)]
pub struct Linear {
    panels: Panels,
    bias: Lines,
    columns: usize,
    finish: Finish,
}

impl Linear {
    /// Packs weights of outputs x inputs, outputs before the activation.
    pub(super) fn pack(
        level: Level,
        weight: &[f32],
        bias: Option<Vec<f32>>,
        outputs: usize,
        activation: Activation,
    ) -> Self {
        let inputs = weight.len() / outputs;
        let bias = bias.unwrap_or_else(|| vec![0.0; outputs]);
        let order = Order::new(level, outputs, activation);
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
            panels: Panels::pack(level, (inputs, order.columns), at),
            bias: pad_columns(level, &ordered),
            columns,
            finish,
        }
    }

    pub(super) fn apply(&self, native: &Native, xs: &Tensor, residual: Option<&Tensor>) -> Tensor {
        let xs = &xs.without_border(native);
        let residual = residual.map(|residual| residual.without_border(native));
        let inputs = self.panels.depth();
        let product = Product {
            input: &xs.values,
            place: Consecutive { stride: inputs },
            segments: Segments {
                starts: &[0],
                length: inputs,
            },
            panels: &self.panels,
            bias: &self.bias,
            addend: residual.as_ref().map(|residual| &*residual.values),
            finish: self.finish,
            columns: self.columns,
            n_pictures: 1,
            n_positions: xs.shape.rows * xs.shape.positions(),
        };
        native.tensor(xs.shape.with_channels(self.columns), |output| {
            product.compute(native, output);
        })
    }

    /// Bytes of the packed weights.
    pub(super) fn bytes(&self) -> usize {
        self.panels.bytes() + size_of_val(&*self.bias)
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
