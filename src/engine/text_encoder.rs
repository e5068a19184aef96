//! What does a prompt mean to the U-Net? The text half of CLIP (arXiv 2103.00020), over candle-nn.
//!
//! It runs once a request and its states are kept, so that a plain library is fast enough.

use candle_core::{D, Device, Tensor};
use candle_nn::{Embedding, LayerNorm, Module};

use super::{
    EngineError,
    clip::{Layer, Loader},
    weights::Weights,
};
use crate::catalog::architecture::TextEncoderConfig;

/// The states of one text, one vector for each token.
#[derive(Debug, Clone, PartialEq)]
pub struct TextStates {
    /// Token by token.
    pub values: Vec<f32>,
    /// Tokens of the context.
    pub tokens: usize,
    /// Numbers of each token.
    pub width: usize,
    /// Which token is the end mark: its state stands for the whole text.
    pub end: usize,
}

impl TextStates {
    /// The state of the end mark, which is what a CLIP pair compares with pictures.
    pub fn pooled(&self) -> &[f32] {
        &self.values[self.end * self.width..][..self.width]
    }
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
        let load = Loader::new(device, config);
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
            layers: load.layers(&vs.pp("encoder.layers"), config.num_hidden_layers)?,
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
            xs = layer.forward(&xs, Some(&self.causal_mask))?;
        }
        let xs = self.final_layer_norm.forward(&xs)?;
        let width = xs.dim(D::Minus1)?;
        let values: Vec<f32> = xs.flatten_all()?.to_vec1()?;
        let states = values
            .chunks_exact(tokens * width)
            .zip(prompts)
            .map(|(values, ids)| TextStates {
                values: values.to_vec(),
                tokens,
                width,
                end: end_of(ids),
            });
        Ok(states.collect())
    }
}

/// CLIP's end mark has the largest id; where it pads too, the first one counts.
fn end_of(ids: &[u32]) -> usize {
    let largest = ids.iter().max();
    ids.iter().position(|id| Some(id) == largest).unwrap_or(0)
}

fn causal_mask(tokens: usize, device: &Device) -> candle_core::Result<Tensor> {
    let mask: Vec<f32> = (0..tokens)
        .flat_map(|from| (0..tokens).map(move |to| if to > from { f32::NEG_INFINITY } else { 0.0 }))
        .collect();
    Tensor::from_vec(mask, (tokens, tokens), device)
}
