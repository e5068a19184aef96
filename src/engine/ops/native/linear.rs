//! How is a linear layer computed? Block by block of positions, with what follows in the same pass.

use std::cell::RefCell;

use super::{
    Tensor, build,
    elementwise::{gelu, silu},
    gemm::{Matrix, multiply_add},
};
use crate::engine::ops::Activation;

/// Positions of a block.
const BLOCK: usize = 256;

thread_local! {
    static WIDE: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A linear layer's weights, inputs x outputs.
#[derive(Debug)]
pub struct Linear {
    inputs: usize,
    outputs: usize,
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
}

impl Linear {
    /// Packs weights of outputs x inputs.
    pub(super) fn pack(weight: &[f32], bias: Option<Vec<f32>>, outputs: usize) -> Self {
        let inputs = weight.len() / outputs;
        let mut packed = vec![0.0; weight.len()];
        for (index, value) in weight.iter().enumerate() {
            packed[index % inputs * outputs + index / inputs] = *value;
        }
        Self {
            inputs,
            outputs,
            weight: packed,
            bias,
        }
    }

    pub(super) fn apply(
        &self,
        xs: &Tensor,
        activation: Activation,
        residual: Option<&Tensor>,
    ) -> Tensor {
        let outputs = match activation {
            Activation::GeGlu => self.outputs / 2,
            Activation::None | Activation::Silu => self.outputs,
        };
        let shape = xs.shape.with_channels(outputs);
        let block = BLOCK.min(shape.positions());
        build(
            shape,
            block,
            self.inputs * self.outputs,
            |row, first, values| {
                let n_positions = values.len() / outputs;
                let input = &xs.row(row)[first * self.inputs..][..n_positions * self.inputs];
                match activation {
                    Activation::None => self.product(input, values),
                    Activation::Silu => {
                        self.product(input, values);
                        for value in values.iter_mut() {
                            *value = silu(*value);
                        }
                    }
                    Activation::GeGlu => WIDE.with_borrow_mut(|wide| {
                        wide.resize(n_positions * self.outputs, 0.0);
                        self.product(input, wide);
                        gate(wide, values, outputs);
                    }),
                }
                if let Some(residual) = residual {
                    let residual = &residual.row(row)[first * outputs..];
                    for (value, other) in values.iter_mut().zip(residual) {
                        *value += other;
                    }
                }
            },
        )
    }

    fn product(&self, input: &[f32], values: &mut [f32]) {
        match &self.bias {
            None => values.fill(0.0),
            Some(bias) => {
                for position in values.chunks_exact_mut(self.outputs) {
                    position.copy_from_slice(bias);
                }
            }
        }
        let sizes = (input.len() / self.inputs, self.outputs, self.inputs);
        let operands = (
            Matrix::rows(input, self.inputs),
            Matrix::rows(&self.weight, self.outputs),
        );
        multiply_add(values, self.outputs, sizes, operands, 1.0);
    }
}

/// The first half of every position times the GELU of the second half.
fn gate(wide: &[f32], values: &mut [f32], outputs: usize) {
    let positions = wide.chunks_exact(2 * outputs);
    for (wide, values) in positions.zip(values.chunks_exact_mut(outputs)) {
        let (linear, gates) = wide.split_at(outputs);
        for (value, (linear, gate)) in values.iter_mut().zip(linear.iter().zip(gates)) {
            *value = linear * gelu(*gate);
        }
    }
}
