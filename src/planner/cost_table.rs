//! How many operations does each phase of a family's work take?

use super::cost::{Grid, text, unet, vae, vision};
use crate::{
    catalog::Family,
    units::{Flops, ImageSize},
};

/// Exact operations of every phase, computed once from the family's architecture.
#[derive(Debug, Clone, PartialEq)]
pub struct CostTable {
    /// One prompt through the text encoder.
    pub text: Flops,
    /// One entry for each picture size on offer.
    pub sizes: Vec<SizeCost>,
}

/// Operations of the phases that depend on the picture's size.
#[derive(Debug, Clone, PartialEq)]
pub struct SizeCost {
    /// The picture's size.
    pub size: ImageSize,
    /// One picture's latents to pixels.
    pub decode: Flops,
    /// One picture's latents against its prompt; 0 where the family ranks none of this size.
    pub rank: Flops,
    /// One network evaluation of each of the family's models, in their order.
    pub evaluations: Vec<Flops>,
}

impl CostTable {
    /// Counts the operations of a family's models at every picture size on offer.
    pub fn of(family: &Family) -> Self {
        let n_tokens = family.text_encoder.max_position_embeddings;
        let at = |size: &ImageSize| {
            let latents = Grid::of_latents(*size, family.vae.downscale());
            let models = family.models.iter();
            SizeCost {
                size: *size,
                decode: vae::decoder_cost(&family.vae, latents).total(),
                rank: rank(family, *size),
                evaluations: models
                    .map(|model| unet::cost(&model.unet, latents, n_tokens).total())
                    .collect(),
            }
        };
        Self {
            text: text::cost(&family.text_encoder).total(),
            sizes: family.sizes.iter().map(at).collect(),
        }
    }

    /// Returns the operations at one picture size.
    pub fn at(&self, size: ImageSize) -> Option<&SizeCost> {
        self.sizes.iter().find(|cost| cost.size == size)
    }
}

fn rank(family: &Family, size: ImageSize) -> Flops {
    match &family.image_encoder {
        Some(config) if family.ranks(size) => {
            vision::cost(config, family.text_encoder.hidden_size).total()
        }
        _ => Flops(0.0),
    }
}
