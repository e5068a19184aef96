//! Which of several latents suits a prompt best? The picture half of the CLIP pair whose text half
//! conditions the U-Nets, over candle-nn.
//!
//! It looks at latents, not at pixels, so that candidates are compared before any is decoded. It is not
//! the evaluator, which must stay out of the drawing, or a score would measure how well pictures please it.

use candle_core::{D, Device, Tensor};
use candle_nn::{LayerNorm, Linear, Module};

use super::{
    EngineError, Latents,
    clip::{Layer, Loader},
    text_encoder::TextStates,
    weights::Weights,
};
use crate::catalog::architecture::VisionConfig;

/// `CLIPVisionModelWithProjection` over latents, and the projection of the text states. Fields are named
/// as in the checkpoint.
#[derive(Debug)]
pub struct Ranker {
    device: Device,
    channels: usize,
    side: usize,
    patch: usize,
    /// The convolution whose stride is its kernel: a linear layer of patches.
    patch_embedding: Linear,
    class_embedding: Tensor,
    position_embedding: Tensor,
    pre_layrnorm: LayerNorm,
    layers: Vec<Layer>,
    post_layernorm: LayerNorm,
    visual_projection: Linear,
    text_projection: Linear,
}

impl Ranker {
    /// Loads the network for text states of a width; refuses a file with tensors that `config` has no
    /// place for.
    pub fn load(
        device: &Device,
        weights: &Weights,
        config: &VisionConfig,
        text_width: usize,
    ) -> Result<Self, EngineError> {
        let (root, load) = (weights.root(), Loader::new(device, config));
        let vs = root.pp("vision_model");
        let embeddings = vs.pp("embeddings");
        let (width, shared) = (config.hidden_size, config.projection_dim);
        let (channels, patch) = (config.num_channels, config.patch_size);
        let kernel = [width, channels, patch, patch];
        let kernel = load.tensor(&embeddings, "patch_embedding.weight", &kernel)?;
        let positions = [config.n_states(), width];
        let ranker = Self {
            device: device.clone(),
            channels,
            side: config.image_size,
            patch,
            patch_embedding: Linear::new(kernel.flatten_from(1)?, None),
            class_embedding: load
                .tensor(&embeddings, "class_embedding", &[width])?
                .reshape((1, width))?,
            position_embedding: load.tensor(
                &embeddings,
                "position_embedding.weight",
                &positions,
            )?,
            // The typing error is the checkpoint's.
            pre_layrnorm: load.norm(&vs.pp("pre_layrnorm"))?,
            layers: load.layers(&vs.pp("encoder.layers"), config.num_hidden_layers)?,
            post_layernorm: load.norm(&vs.pp("post_layernorm"))?,
            visual_projection: load.projection(&root.pp("visual_projection"), width, shared)?,
            text_projection: load.projection(&root.pp("text_projection"), text_width, shared)?,
        };
        weights.expect_all_used(&[
            "vision_model.encoder.",
            "vision_model.p",
            "visual_",
            "text_",
        ])?;
        Ok(ranker)
    }

    /// Channels, height and width of latents that can be ranked.
    pub fn shape(&self) -> (usize, usize, usize) {
        (self.channels, self.side, self.side)
    }

    /// Returns the cosine of the text and each of the latents, in [-1, 1]: more suits better.
    ///
    /// The network runs for one at a time: the last bits of a matrix product may depend on its size, and a
    /// choice must not depend on what else was drawn.
    pub fn similarities(
        &self,
        text: &TextStates,
        latents: &[&Latents],
    ) -> Result<Vec<f32>, EngineError> {
        for (index, latents) in latents.iter().enumerate() {
            self.check(index, latents)?;
        }
        let text = self.embed_text(text)?;
        latents
            .iter()
            .map(|latents| Ok(cosine(&text, &self.embed(latents)?)))
            .collect()
    }

    fn check(&self, index: usize, latents: &Latents) -> Result<(), EngineError> {
        let (expected, found) = (self.shape(), latents.shape());
        if found != expected {
            return Err(EngineError::RankedShape {
                index,
                expected,
                found,
            });
        }
        if latents.values().iter().all(|value| value.is_finite()) {
            Ok(())
        } else {
            Err(EngineError::NonFiniteRanked { index })
        }
    }

    fn embed_text(&self, text: &TextStates) -> Result<Vec<f32>, EngineError> {
        let pooled = Tensor::from_slice(text.pooled(), (1, text.width), &self.device)?;
        let embedding = self.text_projection.forward(&pooled)?;
        Ok(embedding.flatten_all()?.to_vec1()?)
    }

    fn embed(&self, latents: &Latents) -> Result<Vec<f32>, EngineError> {
        let patches = patches(latents, self.patch);
        let length = self.channels * self.patch.pow(2);
        let shape = (patches.len() / length, length);
        let patches = Tensor::from_vec(patches, shape, &self.device)?;
        let states = self.patch_embedding.forward(&patches)?;
        let states = Tensor::cat(&[&self.class_embedding, &states], 0)?;
        let states = (states + &self.position_embedding)?.unsqueeze(0)?;
        let mut states = self.pre_layrnorm.forward(&states)?;
        for layer in &self.layers {
            states = layer.forward(&states, None)?;
        }
        let pooled = self
            .post_layernorm
            .forward(&states.get_on_dim(D::Minus2, 0)?)?;
        let embedding = self.visual_projection.forward(&pooled)?;
        Ok(embedding.flatten_all()?.to_vec1()?)
    }
}

/// The patches from left to right and line by line, each channel by channel as a kernel is.
fn patches(latents: &Latents, patch: usize) -> Vec<f32> {
    let (channels, height, width) = latents.shape();
    let mut patches = Vec::with_capacity(latents.values().len());
    for top in (0..height).step_by(patch) {
        for left in (0..width).step_by(patch) {
            for channel in 0..channels {
                for line in top..top + patch {
                    let start = (channel * height + line) * width + left;
                    patches.extend_from_slice(&latents.values()[start..start + patch]);
                }
            }
        }
    }
    patches
}

fn cosine(one: &[f32], other: &[f32]) -> f32 {
    let dot = |one: &[f32], other: &[f32]| -> f64 {
        let pairs = one.iter().zip(other);
        pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    // Two embeddings of length 0 agree with nothing.
    let lengths = (dot(one, one) * dot(other, other)).sqrt();
    (dot(one, other) / lengths.max(f64::MIN_POSITIVE)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_cut_line_by_line_with_their_channels_one_after_another() {
        let values = (0..16).map(|value| value as f32).collect();
        let latents = Latents::new((2, 2, 4), values).unwrap();
        let expected = [
            [0.0, 1.0, 4.0, 5.0, 8.0, 9.0, 12.0, 13.0],
            [2.0, 3.0, 6.0, 7.0, 10.0, 11.0, 14.0, 15.0],
        ];
        assert_eq!(patches(&latents, 2), expected.concat());
    }

    #[test]
    fn the_cosine_is_of_directions_alone() {
        assert_eq!(cosine(&[3.0, 4.0], &[30.0, 40.0]), 1.0);
        assert_eq!(cosine(&[1.0, 0.0], &[-2.0, 0.0]), -1.0);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 0.0]), 0.0);
    }
}
