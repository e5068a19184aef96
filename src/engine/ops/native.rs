//! How does this machine's processor carry out the operations? Own kernels in one pass each.
//!
//! Tensors are laid out rows x height x width x channels. Work is split over threads by pictures and
//! by blocks of positions, and every block's shape depends on one picture alone: so a row's numbers
//! are the same in any batch and at any number of threads.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Activation, Backend, ConvFusion, ConvSpec, GroupNormSpec, Shape};
use crate::engine::EngineError;

mod attention;
mod conv;
mod elementwise;
mod gemm;
mod linear;
mod norm;

/// Multiply-accumulates below which waking another thread costs more than it saves.
const MIN_PARALLEL_WORK: usize = 1 << 20;

/// The operations on this machine's processor.
#[derive(Debug, Clone, Copy, Default)]
pub struct Native;

/// A batch in memory. Clones share the numbers.
#[derive(Debug, Clone)]
pub struct Tensor {
    shape: Shape,
    values: Arc<Vec<f32>>,
}

impl Tensor {
    fn new(shape: Shape, values: Vec<f32>) -> Self {
        debug_assert_eq!(shape.len(), values.len(), "a tensor is full");
        Self {
            shape,
            values: Arc::new(values),
        }
    }

    /// The numbers of one row.
    fn row(&self, row: usize) -> &[f32] {
        let length = self.shape.positions() * self.shape.channels;
        &self.values[row * length..(row + 1) * length]
    }
}

/// A norm's scale and shift, one number for each channel.
#[derive(Debug)]
pub struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// Makes a tensor row by row and block by block: `fill(row, first position, block)`.
///
/// `work` is the multiply-accumulates behind one position.
fn build(
    shape: Shape,
    block_positions: usize,
    work: usize,
    fill: impl Fn(usize, usize, &mut [f32]) + Sync,
) -> Tensor {
    let mut values = vec![0.0; shape.len()];
    let block = block_positions * shape.channels;
    let row_length = shape.positions() * shape.channels;
    if shape.rows * shape.positions() * work < MIN_PARALLEL_WORK {
        for (row, values) in values.chunks_mut(row_length).enumerate() {
            for (index, values) in values.chunks_mut(block).enumerate() {
                fill(row, index * block_positions, values);
            }
        }
    } else {
        let rows = values.par_chunks_mut(row_length).enumerate();
        rows.for_each(|(row, values)| {
            let blocks = values.par_chunks_mut(block).enumerate();
            blocks.for_each(|(index, values)| fill(row, index * block_positions, values));
        });
    }
    Tensor::new(shape, values)
}

impl Backend for Native {
    type Tensor = Tensor;
    type Conv = conv::Conv;
    type Linear = linear::Linear;
    type Norm = Norm;

    fn pack_conv(
        &self,
        spec: ConvSpec,
        weight: Vec<f32>,
        bias: Vec<f32>,
    ) -> Result<conv::Conv, EngineError> {
        Ok(conv::Conv::pack(spec, &weight, bias))
    }

    fn pack_linear(
        &self,
        weight: Vec<f32>,
        bias: Option<Vec<f32>>,
        outputs: usize,
    ) -> Result<linear::Linear, EngineError> {
        Ok(linear::Linear::pack(&weight, bias, outputs))
    }

    fn pack_norm(&self, weight: Vec<f32>, bias: Vec<f32>) -> Result<Norm, EngineError> {
        Ok(Norm { weight, bias })
    }

    fn shape(&self, xs: &Tensor) -> Shape {
        xs.shape
    }

    fn upload_chw(&self, shape: Shape, values: &[f32]) -> Result<Tensor, EngineError> {
        Ok(elementwise::from_chw(shape, values))
    }

    fn upload_tokens(&self, shape: Shape, values: Vec<f32>) -> Result<Tensor, EngineError> {
        Ok(Tensor::new(shape, values))
    }

    fn download_chw(&self, xs: &Tensor) -> Result<Vec<f32>, EngineError> {
        Ok(elementwise::to_chw(xs))
    }

    fn conv(
        &self,
        conv: &conv::Conv,
        xs: &Tensor,
        fusion: &ConvFusion<'_, Self>,
    ) -> Result<Tensor, EngineError> {
        Ok(conv.apply(xs, fusion))
    }

    fn linear(
        &self,
        linear: &linear::Linear,
        xs: &Tensor,
        activation: Activation,
        residual: Option<&Tensor>,
    ) -> Result<Tensor, EngineError> {
        Ok(linear.apply(xs, activation, residual))
    }

    fn group_norm(
        &self,
        norm: &Norm,
        xs: &Tensor,
        spec: GroupNormSpec,
    ) -> Result<Tensor, EngineError> {
        Ok(norm::group_norm(norm, xs, spec))
    }

    fn layer_norm(&self, norm: &Norm, xs: &Tensor, epsilon: f64) -> Result<Tensor, EngineError> {
        Ok(norm::layer_norm(norm, xs, epsilon))
    }

    fn attention(
        &self,
        xs: &Tensor,
        context: Option<&Tensor>,
        heads: usize,
    ) -> Result<Tensor, EngineError> {
        Ok(attention::attention(xs, context, heads))
    }

    fn concat(&self, xs: &Tensor, ys: &Tensor) -> Result<Tensor, EngineError> {
        Ok(elementwise::concat(xs, ys))
    }
}

#[cfg(test)]
mod tests;
