//! How do candle's tensors carry out the operations? The backend for accelerators, and the plain
//! reference that the processor's own kernels are tested against.
//!
//! Tensors are laid out rows x height x width x channels, so that a convolution is a matrix product of
//! gathered positions, as a linear layer is one of all of them. Numbers are in the model's precision;
//! what would suffer from 8 bits of it, statistics and softmax, is computed in `f32`. Nothing in an
//! evaluation waits for the device: only [`Backend::download_chw`] does, and the end of a step.

use candle_core::{DType, Device, Tensor};

use super::{Activation, Backend, ConvFusion, ConvSpec, GroupNormSpec, Shape, sampling::Sampling};
use crate::{catalog::Dtype, engine::EngineError};

mod attention;
mod conv;
mod norm;
mod sampling;
mod texts;

pub use conv::Conv;
pub use norm::Norm;

/// The operations over candle's tensors, on one device and in one precision.
#[derive(Debug, Clone)]
pub struct Candle {
    device: Device,
    dtype: DType,
    patches: conv::Patches,
    units: norm::Units,
    texts: texts::Texts,
}

/// A linear layer's weights.
#[derive(Debug)]
pub struct Linear {
    /// inputs x outputs.
    weight: Tensor,
    bias: Option<Tensor>,
    activation: Activation,
}

impl Candle {
    /// The operations on `device` in `f32`.
    pub fn new(device: Device) -> Self {
        Self::with_dtype(device, Dtype::F32)
    }

    /// The operations on `device` in a model's precision.
    pub fn with_dtype(device: Device, dtype: Dtype) -> Self {
        Self {
            device,
            dtype: match dtype {
                Dtype::F32 | Dtype::Auto => DType::F32,
                Dtype::Bf16 => DType::BF16,
            },
            patches: conv::Patches::default(),
            units: norm::Units::default(),
            texts: texts::Texts::default(),
        }
    }

    /// Brings weights to the device.
    fn tensor(
        &self,
        values: Vec<f32>,
        shape: impl candle_core::shape::ShapeWithOneHole,
    ) -> Result<Tensor, EngineError> {
        Ok(Tensor::from_vec(values, shape, &self.device)?.to_dtype(self.dtype)?)
    }

    fn vector(&self, values: Vec<f32>) -> Result<Tensor, EngineError> {
        let length = values.len();
        self.tensor(values, length)
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
        let weight = self.tensor(weight, (spec.outputs, spec.inputs, 3, 3))?;
        Conv::pack(spec, &weight, self.vector(bias)?)
    }

    fn pack_linear(
        &self,
        weight: Vec<f32>,
        bias: Option<Vec<f32>>,
        outputs: usize,
        activation: Activation,
    ) -> Result<Linear, EngineError> {
        let inputs = weight.len() / outputs;
        let weight = self.tensor(weight, (outputs, inputs))?;
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
        Ok(self.hold(shape, values)?.to_dtype(self.dtype)?)
    }

    fn upload_tokens(
        &self,
        shape: Shape,
        fill: impl FnOnce(&mut [f32]),
    ) -> Result<Tensor, EngineError> {
        let mut values = vec![0.0; shape.len()];
        fill(&mut values);
        self.tensor(
            values,
            (shape.rows, shape.height, shape.width, shape.channels),
        )
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
        let ys = conv.forward(&self.patches, xs, fusion.enlarge_to)?;
        let bias = match fusion.per_row {
            Some(vectors) => &vectors.broadcast_add(&conv.bias)?,
            None => &conv.bias,
        };
        let ys = ys.broadcast_add(bias)?;
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
        let mut ys = product(&flat, &linear.weight)?;
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
        norm.over_groups(&self.units, xs, spec)
    }

    fn layer_norm(&self, norm: &Norm, xs: &Tensor, epsilon: f64) -> Result<Tensor, EngineError> {
        norm.over_channels(xs, epsilon)
    }

    fn self_attention(&self, xs: &Tensor, heads: usize) -> Result<Tensor, EngineError> {
        let inner = xs.dim(3)? / 3;
        let queries = xs.narrow(3, 0, inner)?;
        let keys_values = xs.narrow(3, inner, 2 * inner)?;
        attention::attend(&queries, &keys_values, heads)
    }

    fn cross_attention<'c>(
        &self,
        xs: &Tensor,
        context_of: &(dyn Fn(usize) -> &'c Tensor + Sync),
        heads: usize,
    ) -> Result<Tensor, EngineError> {
        let contexts: Vec<_> = (0..xs.dim(0)?).map(context_of).collect();
        attention::attend(xs, &self.texts.of_rows(&contexts)?, heads)
    }

    fn concat(&self, xs: &Tensor, ys: &Tensor) -> Result<Tensor, EngineError> {
        Ok(Tensor::cat(&[xs, ys], 3)?)
    }
}

/// A matrix product, or one for each of the leading places. Sums are in `f32`, as cuBLAS has them; candle
/// has no product in `bf16` on a processor, so that it is rounded there afterwards.
fn product(xs: &Tensor, ys: &Tensor) -> candle_core::Result<Tensor> {
    if xs.device().is_cpu() && xs.dtype() == DType::BF16 {
        let product = xs.to_dtype(DType::F32)?.matmul(&ys.to_dtype(DType::F32)?)?;
        product.to_dtype(DType::BF16)
    } else {
        xs.matmul(ys)
    }
}
