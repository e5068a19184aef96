//! What is a layer of CLIP's two transformers? (arXiv 2103.00020), over candle-nn.
//!
//! The text half and the picture half differ in what goes in and in what may look where, not in this.

use candle_core::{Device, Tensor};
use candle_nn::{LayerNorm, Linear, Module, ops::softmax_last_dim};

use super::{EngineError, weights::Scope};
use crate::catalog::architecture::{TextEncoderConfig, VisionConfig};

/// Steepness of the sigmoid in OpenAI's approximation of GELU.
const QUICK_GELU_STEEPNESS: f64 = 1.702;

/// What all layers of one transformer have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes<'a> {
    width: usize,
    inner: usize,
    heads: usize,
    activation: &'a str,
    epsilon: f64,
}

impl<'a> From<&'a TextEncoderConfig> for Sizes<'a> {
    fn from(config: &'a TextEncoderConfig) -> Self {
        Self {
            width: config.hidden_size,
            inner: config.intermediate_size,
            heads: config.num_attention_heads,
            activation: &config.hidden_act,
            epsilon: config.layer_norm_eps,
        }
    }
}

impl<'a> From<&'a VisionConfig> for Sizes<'a> {
    fn from(config: &'a VisionConfig) -> Self {
        Self {
            width: config.hidden_size,
            inner: config.intermediate_size,
            heads: config.num_attention_heads,
            activation: &config.hidden_act,
            epsilon: config.layer_norm_eps,
        }
    }
}

/// One layer: attention, then a feed-forward network, each added to what came in. Fields are named as
/// in the checkpoint.
#[derive(Debug)]
pub(super) struct Layer {
    norm1: LayerNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
    activation: Activation,
}

impl Layer {
    pub(super) fn load(load: &Loader<'_>, vs: &Scope<'_>) -> Result<Self, EngineError> {
        let Sizes {
            width,
            inner,
            heads,
            activation,
            ..
        } = load.sizes;
        if heads == 0 || !width.is_multiple_of(heads) {
            return Err(EngineError::Indivisible {
                layer: vs.name().to_owned(),
                channels: width,
                parts: heads,
            });
        }
        let attention = vs.pp("self_attn");
        Ok(Self {
            norm1: load.norm(&vs.pp("layer_norm1"))?,
            q_proj: load.linear(&attention.pp("q_proj"), width, width)?,
            k_proj: load.linear(&attention.pp("k_proj"), width, width)?,
            v_proj: load.linear(&attention.pp("v_proj"), width, width)?,
            out_proj: load.linear(&attention.pp("out_proj"), width, width)?,
            norm2: load.norm(&vs.pp("layer_norm2"))?,
            fc1: load.linear(&vs.pp("mlp.fc1"), width, inner)?,
            fc2: load.linear(&vs.pp("mlp.fc2"), inner, width)?,
            heads,
            activation: Activation::named(activation)?,
        })
    }

    /// `mask` is added to the scores: minus infinity where a state may not look.
    pub(super) fn forward(
        &self,
        xs: &Tensor,
        mask: Option<&Tensor>,
    ) -> candle_core::Result<Tensor> {
        let xs = (self.attend(&self.norm1.forward(xs)?, mask)? + xs)?;
        let ys = self.fc1.forward(&self.norm2.forward(&xs)?)?;
        self.fc2.forward(&self.activation.apply(&ys)?)? + xs
    }

    fn attend(&self, xs: &Tensor, mask: Option<&Tensor>) -> candle_core::Result<Tensor> {
        let (rows, tokens, width) = xs.dims3()?;
        let split = |xs: Tensor| {
            xs.reshape((rows, tokens, self.heads, width / self.heads))?
                .transpose(1, 2)?
                .contiguous()
        };
        let scale = 1.0 / ((width / self.heads) as f64).sqrt();
        let q = (split(self.q_proj.forward(xs)?)? * scale)?;
        let k = split(self.k_proj.forward(xs)?)?;
        let v = split(self.v_proj.forward(xs)?)?;
        let mut scores = q.matmul(&k.t()?)?;
        if let Some(mask) = mask {
            scores = scores.broadcast_add(mask)?;
        }
        let ys = softmax_last_dim(&scores)?.matmul(&v)?;
        let ys = ys.transpose(1, 2)?.reshape((rows, tokens, width))?;
        self.out_proj.forward(&ys)
    }
}

#[derive(Debug, Clone, Copy)]
enum Activation {
    /// x * sigmoid(1.702 x), OpenAI's approximation.
    QuickGelu,
    /// The exact one, over erf.
    Gelu,
}

impl Activation {
    fn named(name: &str) -> Result<Self, EngineError> {
        match name {
            "quick_gelu" => Ok(Self::QuickGelu),
            "gelu" => Ok(Self::Gelu),
            _ => Err(EngineError::ClipActivation(name.to_owned())),
        }
    }

    fn apply(self, xs: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::QuickGelu => xs * candle_nn::ops::sigmoid(&(xs * QUICK_GELU_STEEPNESS)?)?,
            Self::Gelu => xs.gelu_erf(),
        }
    }
}

/// Reads what a transformer is made of onto a device.
#[derive(Debug)]
pub(super) struct Loader<'a> {
    device: &'a Device,
    sizes: Sizes<'a>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(device: &'a Device, sizes: impl Into<Sizes<'a>>) -> Self {
        let sizes = sizes.into();
        Self { device, sizes }
    }

    pub(super) fn tensor(
        &self,
        vs: &Scope<'_>,
        name: &str,
        shape: &[usize],
    ) -> Result<Tensor, EngineError> {
        Ok(Tensor::from_vec(vs.get(name, shape)?, shape, self.device)?)
    }

    pub(super) fn linear(
        &self,
        vs: &Scope<'_>,
        inputs: usize,
        outputs: usize,
    ) -> Result<Linear, EngineError> {
        let weight = self.tensor(vs, "weight", &[outputs, inputs])?;
        Ok(Linear::new(
            weight,
            Some(self.tensor(vs, "bias", &[outputs])?),
        ))
    }

    /// A linear layer without bias.
    pub(super) fn projection(
        &self,
        vs: &Scope<'_>,
        inputs: usize,
        outputs: usize,
    ) -> Result<Linear, EngineError> {
        let weight = self.tensor(vs, "weight", &[outputs, inputs])?;
        Ok(Linear::new(weight, None))
    }

    /// A layer norm over a state.
    pub(super) fn norm(&self, vs: &Scope<'_>) -> Result<LayerNorm, EngineError> {
        let shape = [self.sizes.width];
        let weight = self.tensor(vs, "weight", &shape)?;
        let bias = self.tensor(vs, "bias", &shape)?;
        Ok(LayerNorm::new(weight, bias, self.sizes.epsilon))
    }

    /// The layers of a transformer, from the scope that numbers them.
    pub(super) fn layers(
        &self,
        vs: &Scope<'_>,
        n_layers: usize,
    ) -> Result<Vec<Layer>, EngineError> {
        (0..n_layers)
            .map(|index| Layer::load(self, &vs.pp(index)))
            .collect()
    }
}
