//! How well do latents suit what was asked for? The family's ranker, where it has one.

use candle_core::Device;

use super::{Conditioning, Latents, Pipeline, Trajectory};
use crate::{
    catalog::Family,
    engine::{EngineError, ranker::Ranker, weights::Weights},
    units::ImageSize,
};

impl Pipeline {
    /// Returns how well each of the latents suits the prompt, a cosine: more is better. Latents on their way
    /// are best ranked by [`Trajectory::denoised`], what they are heading for.
    pub fn rank(
        &self,
        conditioning: &Conditioning,
        latents: &[&Latents],
    ) -> Result<Vec<f32>, EngineError> {
        let ranker = self.ranker.as_ref().ok_or(EngineError::NoRanker)?;
        ranker.similarities(&conditioning.conditional, latents)
    }

    /// Returns the place of the picture that suits the prompt best, as far as their estimates tell; the
    /// first one of equals. `rows` are pictures of that prompt, each at least one step on its way.
    pub fn best_of(
        &self,
        conditioning: &Conditioning,
        rows: &[&Trajectory],
    ) -> Result<usize, EngineError> {
        let estimate = |row: &&Trajectory| row.denoised()?.map_or_else(|| row.latents(), Ok);
        let estimates = rows.iter().map(estimate);
        let estimates = estimates.collect::<Result<Vec<Latents>, _>>()?;
        let suits = self.rank(conditioning, &estimates.iter().collect::<Vec<_>>())?;
        let places = (0..suits.len()).rev();
        Ok(places
            .max_by(|&a, &b| suits[a].total_cmp(&suits[b]))
            .unwrap_or(0))
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
