//! What does a prompt mean to the U-Net? The text half of CLIP (arXiv 2103.00020), over candle-nn.
//!
//! It runs once a request and its states are kept, so that a plain library is fast enough.

use candle_core::{D, Device, Tensor};
use candle_nn::{Embedding, LayerNorm, Linear, Module, ops::softmax_last_dim};

use super::{
    EngineError,
    weights::{Scope, Weights},
};
use crate::catalog::architecture::TextEncoderConfig;

/// Steepness of the sigmoid in OpenAI's approximation of GELU.
const QUICK_GELU_STEEPNESS: f64 = 1.702;

/// The states of one text, one vector for each token.
#[derive(Debug, Clone, PartialEq)]
pub struct TextStates {
    /// Token by token.
    pub values: Vec<f32>,
    /// Tokens of the context.
    pub tokens: usize,
    /// Numbers of each token.
    pub width: usize,
}

/// `CLIPTextModel`. Fields are named as in the checkpoint.
#[derive(Debug)]
pub struct TextEncoder {
    device: Device,
    token_embedding: Embedding,
    position_embedding: Tensor,
    layers: Vec<Layer>,
    final_layer_norm: LayerNorm,
    /// 0 where a token may look, minus infinity at the tokens after it.
    causal_mask: Tensor,
}

impl TextEncoder {
    /// Loads the network; refuses a file with tensors that `config` has no place for.
    pub fn load(
        device: &Device,
        weights: &Weights,
        config: &TextEncoderConfig,
    ) -> Result<Self, EngineError> {
        let root = weights.root();
        // Files that transformers wrote before version 5 have one more name in front.
        let named = root.pp("text_model");
        let vs = if named.contains("final_layer_norm.weight") {
            named
        } else {
            root
        };
        let load = Loader { device, config };
        let (width, context) = (config.hidden_size, config.max_position_embeddings);
        let embeddings = vs.pp("embeddings");
        let tokens = load.tensor(
            &embeddings,
            "token_embedding.weight",
            &[config.vocab_size, width],
        )?;
        let encoder = Self {
            device: device.clone(),
            token_embedding: Embedding::new(tokens, width),
            position_embedding: load.tensor(
                &embeddings,
                "position_embedding.weight",
                &[context, width],
            )?,
            layers: (0..config.num_hidden_layers)
                .map(|index| Layer::load(&load, &vs.pp("encoder.layers").pp(index)))
                .collect::<Result<_, _>>()?,
            final_layer_norm: load.norm(&vs.pp("final_layer_norm"))?,
            causal_mask: causal_mask(context, device)?,
        };
        let inside = |name| vs.pp(name).name().to_owned();
        let (layers, norm) = (inside("encoder."), inside("final_layer_norm."));
        weights.expect_all_used(&[&layers, &norm])?;
        Ok(encoder)
    }

    /// Encodes prompts that were padded to the whole context.
    pub fn forward(&self, prompts: &[Vec<u32>]) -> Result<Vec<TextStates>, EngineError> {
        if prompts.is_empty() {
            return Ok(Vec::new());
        }
        let tokens = prompts[0].len();
        let ids = Tensor::from_vec(prompts.concat(), (prompts.len(), tokens), &self.device)?;
        let mut xs = self
            .token_embedding
            .forward(&ids)?
            .broadcast_add(&self.position_embedding)?;
        for layer in &self.layers {
            xs = layer.forward(&xs, &self.causal_mask)?;
        }
        let xs = self.final_layer_norm.forward(&xs)?;
        let width = xs.dim(D::Minus1)?;
        let values: Vec<f32> = xs.flatten_all()?.to_vec1()?;
        let states = values
            .chunks_exact(tokens * width)
            .map(|values| TextStates {
                values: values.to_vec(),
                tokens,
                width,
            });
        Ok(states.collect())
    }
}

#[derive(Debug)]
struct Layer {
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
    fn load(load: &Loader<'_>, vs: &Scope<'_>) -> Result<Self, EngineError> {
        let (width, inner) = (load.config.hidden_size, load.config.intermediate_size);
        let heads = load.config.num_attention_heads;
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
            activation: Activation::named(&load.config.hidden_act)?,
        })
    }

    fn forward(&self, xs: &Tensor, mask: &Tensor) -> candle_core::Result<Tensor> {
        let xs = (self.attend(&self.norm1.forward(xs)?, mask)? + xs)?;
        let ys = self.fc1.forward(&self.norm2.forward(&xs)?)?;
        self.fc2.forward(&self.activation.apply(&ys)?)? + xs
    }

    fn attend(&self, xs: &Tensor, mask: &Tensor) -> candle_core::Result<Tensor> {
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
        let scores = q.matmul(&k.t()?)?.broadcast_add(mask)?;
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
            _ => Err(EngineError::TextActivation(name.to_owned())),
        }
    }

    fn apply(self, xs: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::QuickGelu => xs * candle_nn::ops::sigmoid(&(xs * QUICK_GELU_STEEPNESS)?)?,
            Self::Gelu => xs.gelu_erf(),
        }
    }
}

struct Loader<'a> {
    device: &'a Device,
    config: &'a TextEncoderConfig,
}

impl Loader<'_> {
    fn tensor(&self, vs: &Scope<'_>, name: &str, shape: &[usize]) -> Result<Tensor, EngineError> {
        Ok(Tensor::from_vec(vs.get(name, shape)?, shape, self.device)?)
    }

    fn linear(&self, vs: &Scope<'_>, inputs: usize, outputs: usize) -> Result<Linear, EngineError> {
        let weight = self.tensor(vs, "weight", &[outputs, inputs])?;
        Ok(Linear::new(
            weight,
            Some(self.tensor(vs, "bias", &[outputs])?),
        ))
    }

    fn norm(&self, vs: &Scope<'_>) -> Result<LayerNorm, EngineError> {
        let shape = [self.config.hidden_size];
        let weight = self.tensor(vs, "weight", &shape)?;
        let bias = self.tensor(vs, "bias", &shape)?;
        Ok(LayerNorm::new(weight, bias, self.config.layer_norm_eps))
    }
}

fn causal_mask(tokens: usize, device: &Device) -> candle_core::Result<Tensor> {
    let mask: Vec<f32> = (0..tokens)
        .flat_map(|from| (0..tokens).map(move |to| if to > from { f32::NEG_INFINITY } else { 0.0 }))
        .collect();
    Tensor::from_vec(mask, (tokens, tokens), device)
}
