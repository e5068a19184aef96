//! How well do latents suit what was asked for? The family's ranker, where it has one.

use candle_core::Device;

use super::{Conditioning, Latents, Pipeline};
use crate::{
    catalog::Family,
    engine::{EngineError, ranker::Ranker, weights::Weights},
    units::ImageSize,
};

impl Pipeline {
    /// Returns how well each of the latents suits the prompt, a cosine: more is better. Latents on their way
    /// are best ranked by [`Trajectory::denoised`](super::Trajectory::denoised), what they are heading for.
    pub fn rank(
        &self,
        conditioning: &Conditioning,
        latents: &[&Latents],
    ) -> Result<Vec<f32>, EngineError> {
        let ranker = self.ranker.as_ref().ok_or(EngineError::NoRanker)?;
        ranker.similarities(&conditioning.conditional, latents)
    }

    /// Latents of no picture, all zero, for whoever times what is done with latents.
    pub fn blank(&self, size: ImageSize) -> Result<Latents, EngineError> {
        self.latent_shape(size).map(Latents::blank)
    }
}

/// Loads the family's ranker, if it has one.
pub(super) fn load(family: &Family, device: &Device) -> Result<Option<Ranker>, EngineError> {
    let Some(config) = &family.image_encoder else {
        return Ok(None);
    };
    let weights = Weights::open_folder(&family.path.join("image_encoder"), "model")?;
    let text_width = family.text_encoder.hidden_size;
    Ranker::load(device, &weights, config, text_width).map(Some)
}
