//! How many operations does each phase of a family's work take?

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
    /// One network evaluation of each of the family's models, in their order.
    pub evaluations: Vec<Flops>,
}

impl CostTable {
    /// Returns the operations at one picture size.
    pub fn at(&self, size: ImageSize) -> Option<&SizeCost> {
        self.sizes.iter().find(|cost| cost.size == size)
    }
}
