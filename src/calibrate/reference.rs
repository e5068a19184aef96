//! What do real pictures look like to the evaluator? Features of pictures that no network drew.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use safetensors::SafeTensors;

use super::store;

/// Features of real pictures of the evaluation captions: row `i` belongs to caption `i`.
#[derive(Debug, Clone, PartialEq)]
pub struct RealPictures {
    /// What everything is compared with.
    pub reference: Vec<Vec<f32>>,
    /// Other pictures of the same captions: how close real ones come.
    pub others: Vec<Vec<f32>>,
    /// The reference after a round trip through the autoencoder: how close any plan can come.
    pub reconstructions: Vec<Vec<f32>>,
}

impl RealPictures {
    /// Reads `evaluation/reference.safetensors`.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::decode(&bytes).with_context(|| format!("{} cannot be used", path.display()))
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let tensors = SafeTensors::deserialize(bytes)?;
        let pictures = Self {
            reference: store::rows(&tensors, "features_a")?,
            others: store::rows(&tensors, "features_b")?,
            reconstructions: store::rows(&tensors, "features_reconstruction")?,
        };
        let least = pictures
            .reference
            .len()
            .min(pictures.others.len())
            .min(pictures.reconstructions.len());
        ensure!(
            least >= 2,
            "each tensor needs at least 2 rows, one has {least}"
        );
        Ok(pictures)
    }
}
