//! How do candle's tensors carry out the operations? The backend for accelerators, and the plain
//! reference that the processor's own kernels are tested against.
//!
//! Tensors are laid out rows x height x width x channels: linear layers and attention then need no
//! change of layout, and only the convolutions pay for one.

use candle_core::{D, DType, Device, Tensor};

use super::{Activation, Backend, ConvFusion, ConvSpec, GroupNormSpec, Shape};
use crate::engine::EngineError;

/// Scores that attention may hold at once, a bound on memory: 128 MiB of `f32`.
const MAX_SCORES: usize = 1 << 25;

/// The operations over candle's tensors, on one device.
#[derive(Debug, Clone)]
pub struct Candle {
    device: Device,
}

/// A convolution's weights, ready for `Tensor::conv2d`.
#[derive(Debug)]
pub struct Conv {
    spec: ConvSpec,
    /// outputs x inputs x 3 x 3.
    weight: Tensor,
    bias: Tensor,
}

/// A linear layer's weights.
#[derive(Debug)]
pub struct Linear {
    /// inputs x outputs.
    weight: Tensor,
    bias: Option<Tensor>,
    activation: Activation,
}

/// A norm's scale and shift, one number for each channel.
#[derive(Debug)]
pub struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Candle {
    /// The operations on `device`.
    pub const fn new(device: Device) -> Self {
        Self { device }
    }

    fn vector(&self, values: Vec<f32>) -> Result<Tensor, EngineError> {
        let length = values.len();
        Ok(Tensor::from_vec(values, length, &self.device)?)
    }
}

impl Backend for Candle {
    type Tensor = Tensor;
    type Conv = Conv;
    type Linear = Linear;
    type Norm = Norm;
    /// Keys and values side by side, 1 x 1 x tokens x channels.
    type Context = Tensor;

    fn pack_conv(
        &self,
        spec: ConvSpec,
        weight: Vec<f32>,
        bias: Vec<f32>,
    ) -> Result<Conv, EngineError> {
        let shape = (spec.outputs, spec.inputs, 3, 3);
        Ok(Conv {
            spec,
            weight: Tensor::from_vec(weight, shape, &self.device)?,
            bias: self.vector(bias)?,
        })
    }

    fn pack_linear(
        &self,
        weight: Vec<f32>,
        bias: Option<Vec<f32>>,
        outputs: usize,
        activation: Activation,
    ) -> Result<Linear, EngineError> {
        let inputs = weight.len() / outputs;
        let weight = Tensor::from_vec(weight, (outputs, inputs), &self.device)?;
        Ok(Linear {
            weight: weight.t()?.contiguous()?,
            bias: bias.map(|bias| self.vector(bias)).transpose()?,
            activation,
        })
    }

    fn pack_norm(&self, weight: Vec<f32>, bias: Vec<f32>) -> Result<Norm, EngineError> {
        Ok(Norm {
            weight: self.vector(weight)?,
            bias: self.vector(bias)?,
        })
    }

    fn pack_context(&self, keys_values: &Tensor, _heads: usize) -> Result<Tensor, EngineError> {
        Ok(keys_values.clone())
    }

    fn context_shape(&self, context: &Tensor) -> Shape {
        let shape = self.shape(context);
        shape.with_channels(shape.channels / 2)
    }

    fn shape(&self, xs: &Tensor) -> Shape {
        let (rows, height, width, channels) =
            xs.dims4().expect("every tensor of this backend has rank 4");
        Shape::grid(rows, height, width, channels)
    }

    fn upload_chw(&self, shape: Shape, values: &[f32]) -> Result<Tensor, EngineError> {
        let dims = (shape.rows, shape.channels, shape.height, shape.width);
        let xs = Tensor::from_slice(values, dims, &self.device)?;
        Ok(xs.permute((0, 2, 3, 1))?.contiguous()?)
    }

    fn upload_tokens(
        &self,
        shape: Shape,
        fill: impl FnOnce(&mut [f32]),
    ) -> Result<Tensor, EngineError> {
        let mut values = vec![0.0; shape.len()];
        fill(&mut values);
        let dims = (shape.rows, shape.height, shape.width, shape.channels);
        Ok(Tensor::from_vec(values, dims, &self.device)?)
    }

    fn download_chw(&self, xs: &Tensor, values: &mut [f32]) -> Result<(), EngineError> {
        let xs = xs.permute((0, 3, 1, 2))?.contiguous()?;
        let found: Vec<f32> = xs.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
        values.copy_from_slice(&found);
        Ok(())
    }

    fn conv(
        &self,
        conv: &Conv,
        xs: &Tensor,
        fusion: &ConvFusion<'_, Self>,
    ) -> Result<Tensor, EngineError> {
        let mut xs = xs.permute((0, 3, 1, 2))?.contiguous()?;
        if let Some((height, width)) = fusion.enlarge_to {
            let (_, _, h, w) = xs.dims4()?;
            xs = xs.upsample_nearest2d(2 * h, 2 * w)?;
            xs = xs.narrow(2, 0, height)?.narrow(3, 0, width)?.contiguous()?;
        }
        let stride = conv.spec.stride;
        let ys = if conv.spec.padding_before == 1 {
            xs.conv2d(&conv.weight, 1, stride, 1, 1)?
        } else {
            let padded = xs.pad_with_zeros(2, 0, 1)?.pad_with_zeros(3, 0, 1)?;
            padded.conv2d(&conv.weight, 0, stride, 1, 1)?
        };
        let mut ys = ys.permute((0, 2, 3, 1))?.contiguous()?;
        ys = ys.broadcast_add(&conv.bias)?;
        if let Some(vectors) = fusion.per_row {
            ys = ys.broadcast_add(vectors)?;
        }
        match fusion.residual {
            Some(residual) => Ok((ys + residual)?),
            None => Ok(ys),
        }
    }

    fn linear(
        &self,
        linear: &Linear,
        xs: &Tensor,
        residual: Option<&Tensor>,
    ) -> Result<Tensor, EngineError> {
        let (rows, height, width, inputs) = xs.dims4()?;
        let flat = xs.reshape((rows * height * width, inputs))?;
        let mut ys = flat.matmul(&linear.weight)?;
        if let Some(bias) = &linear.bias {
            ys = ys.broadcast_add(bias)?;
        }
        ys = match linear.activation {
            Activation::None => ys,
            Activation::Silu => ys.silu()?,
            Activation::GeGlu => {
                let half = ys.dim(1)? / 2;
                (ys.narrow(1, 0, half)? * ys.narrow(1, half, half)?.gelu_erf()?)?
            }
        };
        let ys = ys.reshape((rows, height, width, ()))?;
        match residual {
            Some(residual) => Ok((ys + residual)?),
            None => Ok(ys),
        }
    }

    fn group_norm(
        &self,
        norm: &Norm,
        xs: &Tensor,
        spec: GroupNormSpec,
    ) -> Result<Tensor, EngineError> {
        let (rows, height, width, channels) = xs.dims4()?;
        let groups = (rows, height * width, spec.groups, channels / spec.groups);
        let ys = xs.reshape(groups)?;
        let ys = ys.broadcast_sub(&ys.mean_keepdim((1, 3))?)?;
        let variance = ys.sqr()?.mean_keepdim((1, 3))?;
        let ys = ys.broadcast_div(&(variance + spec.epsilon)?.sqrt()?)?;
        let ys = ys.reshape((rows, height, width, channels))?;
        let ys = ys.broadcast_mul(&norm.weight)?.broadcast_add(&norm.bias)?;
        Ok(if spec.silu { ys.silu()? } else { ys })
    }

    fn layer_norm(&self, norm: &Norm, xs: &Tensor, epsilon: f64) -> Result<Tensor, EngineError> {
        let ys = xs.broadcast_sub(&xs.mean_keepdim(D::Minus1)?)?;
        let variance = ys.sqr()?.mean_keepdim(D::Minus1)?;
        let ys = ys.broadcast_div(&(variance + epsilon)?.sqrt()?)?;
        Ok(ys.broadcast_mul(&norm.weight)?.broadcast_add(&norm.bias)?)
    }

    fn self_attention(&self, xs: &Tensor, heads: usize) -> Result<Tensor, EngineError> {
        let inner = xs.dim(3)? / 3;
        let queries = xs.narrow(3, 0, inner)?;
        let keys_values = xs.narrow(3, inner, 2 * inner)?;
        attention(&queries, &keys_values, heads)
    }

    fn cross_attention<'c>(
        &self,
        xs: &Tensor,
        context_of: &(dyn Fn(usize) -> &'c Tensor + Sync),
        heads: usize,
    ) -> Result<Tensor, EngineError> {
        let contexts: Vec<_> = (0..xs.dim(0)?).map(context_of).collect();
        attention(xs, &Tensor::cat(&contexts, 0)?, heads)
    }

    fn concat(&self, xs: &Tensor, ys: &Tensor) -> Result<Tensor, EngineError> {
        Ok(Tensor::cat(&[xs, ys], 3)?)
    }
}

/// softmax(q k^T / sqrt(channels / heads)) v, head by head, with keys and values side by side.
fn attention(xs: &Tensor, keys_values: &Tensor, heads: usize) -> Result<Tensor, EngineError> {
    let (rows, height, width, channels) = xs.dims4()?;
    let split = |xs: &Tensor, start: usize| -> candle_core::Result<Tensor> {
        let part = xs.narrow(3, start, channels)?.flatten(1, 2)?;
        let tokens = part.dim(1)?;
        let part = part.reshape((rows, tokens, heads, channels / heads))?;
        part.transpose(1, 2)?.contiguous()
    };
    let scale = 1.0 / ((channels / heads) as f64).sqrt();
    let q = (split(xs, 0)? * scale)?;
    let k = split(keys_values, 0)?.t()?;
    let v = split(keys_values, channels)?;

    let tokens = height * width;
    let block = (MAX_SCORES / (rows * heads * k.dim(3)?)).clamp(1, tokens);
    let mut parts = Vec::with_capacity(tokens.div_ceil(block));
    for start in (0..tokens).step_by(block) {
        let q = q
            .narrow(2, start, block.min(tokens - start))?
            .contiguous()?;
        let weights = candle_nn::ops::softmax_last_dim(&q.matmul(&k)?)?;
        parts.push(weights.matmul(&v)?);
    }
    let ys = Tensor::cat(&parts, 2)?.transpose(1, 2)?.contiguous()?;
    Ok(ys.reshape((rows, height, width, channels))?)
}
