//! How does the evaluator see? Runs the layers that its configuration lists, over candle.

use std::collections::HashMap;

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, Linear, Module};

use super::config::{EvaluatorConfig, LayerConfig};

/// A row of numbers for each picture.
type Features = Vec<Vec<f32>>;
/// The most likely class of each head, for each picture.
type Answers = Vec<Vec<u32>>;

/// The tower and its heads, in f32.
#[derive(Debug, Clone)]
pub(super) struct Network {
    layers: Vec<Layer>,
    heads: Vec<Linear>,
    pool: (usize, usize),
    scale: (f64, f64),
}

#[derive(Debug, Clone)]
enum Layer {
    Convolution(Conv2d),
    Flatten,
    Linear(Linear),
}

impl Network {
    /// Builds the network; every tensor must have the shape the configuration implies.
    pub(super) fn new(config: &EvaluatorConfig, tensors: &HashMap<String, Tensor>) -> Result<Self> {
        let layers = config.layers.iter().map(|layer| Layer::new(layer, tensors));
        let heads = config.heads.iter().map(|head| {
            let shape = (head.classes.len(), config.feature_dim);
            linear(tensors, &head.tensor, shape)
        });
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
            heads: heads.collect::<Result<_>>()?,
            pool: (config.pool.kernel, config.pool.stride),
            scale: (config.picture.scale, config.picture.offset),
        })
    }

    /// Looks at pictures of `side` x `side`, given as interleaved 8-bit RGB one after the other.
    /// Returns, by picture, its features and the most likely class of each head.
    pub(super) fn look(&self, pixels: Vec<u8>, side: usize) -> Result<(Features, Answers)> {
        let n_rows = pixels.len() / (3 * side * side);
        let pictures = Tensor::from_vec(pixels, (n_rows, side, side, 3), &Device::Cpu)?
            .to_dtype(DType::F32)?
            .affine(self.scale.0, self.scale.1)?
            .permute((0, 3, 1, 2))?
            .contiguous()?;
        let mut hidden = pictures.avg_pool2d_with_stride(self.pool.0, self.pool.1)?;
        for layer in &self.layers {
            hidden = layer.forward(&hidden)?;
        }
        let of_head = |head: &Linear| head.forward(&hidden)?.argmax(D::Minus1)?.to_vec1::<u32>();
        let answers: Vec<Vec<u32>> = self.heads.iter().map(of_head).collect::<Result<_>>()?;
        let by_row = (0..n_rows).map(|row| answers.iter().map(|head| head[row]).collect());
        Ok((hidden.to_vec2()?, by_row.collect()))
    }
}

impl Layer {
    fn new(config: &LayerConfig, tensors: &HashMap<String, Tensor>) -> Result<Self> {
        Ok(match config {
            LayerConfig::Flatten => Self::Flatten,
            LayerConfig::Linear {
                name,
                inputs,
                outputs,
                ..
            } => Self::Linear(linear(tensors, name, (*outputs, *inputs))?),
            LayerConfig::Conv2d {
                name,
                inputs,
                outputs,
                kernel,
                stride,
                padding,
                ..
            } => {
                let weight = tensor(
                    tensors,
                    &format!("{name}.weight"),
                    &[*outputs, *inputs, *kernel, *kernel],
                )?;
                let bias = tensor(tensors, &format!("{name}.bias"), &[*outputs])?;
                let geometry = Conv2dConfig {
                    stride: *stride,
                    padding: *padding,
                    ..Conv2dConfig::default()
                };
                Self::Convolution(Conv2d::new(weight, Some(bias), geometry))
            }
        })
    }

    fn forward(&self, hidden: &Tensor) -> Result<Tensor> {
        match self {
            Self::Convolution(convolution) => convolution.forward(hidden)?.relu(),
            Self::Flatten => hidden.flatten_from(1),
            Self::Linear(linear) => linear.forward(hidden)?.relu(),
        }
    }
}

fn linear(tensors: &HashMap<String, Tensor>, name: &str, shape: (usize, usize)) -> Result<Linear> {
    let weight = tensor(tensors, &format!("{name}.weight"), &[shape.0, shape.1])?;
    let bias = tensor(tensors, &format!("{name}.bias"), &[shape.0])?;
    Ok(Linear::new(weight, Some(bias)))
}

fn tensor(tensors: &HashMap<String, Tensor>, name: &str, shape: &[usize]) -> Result<Tensor> {
    let Some(tensor) = tensors.get(name) else {
        candle_core::bail!("tensor {name} is missing");
    };
    if tensor.dims() != shape {
        candle_core::bail!(
            "tensor {name} has shape {:?}, the configuration says {shape:?}",
            tensor.dims()
        );
    }
    tensor.to_dtype(DType::F32)
}
