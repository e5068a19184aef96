//! What is in force? The catalog in the form of `models.toml`, every default written out.

use std::path::Path;

use serde::Serialize;

use super::{Catalog, Family, ModelCard, Vocabulary};
use crate::units::ImageSize;

#[derive(Serialize)]
struct Rendered<'a> {
    family: Vec<RenderedFamily<'a>>,
}

#[derive(Serialize)]
struct RenderedFamily<'a> {
    id: &'a str,
    path: &'a Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vocabulary: Option<&'a Path>,
    sizes: &'a [ImageSize],
    #[serde(skip_serializing_if = "Option::is_none")]
    budgets: Option<RenderedBudgets>,
    model: Vec<RenderedModel<'a>>,
}

#[derive(Serialize)]
struct RenderedBudgets {
    low: f64,
    medium: f64,
    high: f64,
    xhigh: f64,
}

#[derive(Serialize)]
struct RenderedModel<'a> {
    id: &'a str,
    unet: &'a Path,
    dtype: String,
    device: String,
    distilled: bool,
}

impl Catalog {
    /// Returns the catalog as TOML, smallest models first, relative paths resolved.
    pub fn to_toml(&self) -> String {
        let family = self.families.iter().map(RenderedFamily::from).collect();
        toml::to_string(&Rendered { family })
            .expect("paths were read from text, and the rest is TOML")
    }
}

impl<'a> From<&'a Family> for RenderedFamily<'a> {
    fn from(family: &'a Family) -> Self {
        Self {
            id: &family.id,
            path: &family.path,
            profile: family.profile.as_deref(),
            vocabulary: family.vocabulary.as_ref().and_then(Vocabulary::path),
            sizes: &family.sizes,
            budgets: family.budgets.map(|budgets| RenderedBudgets {
                low: budgets.low.tflops(),
                medium: budgets.medium.tflops(),
                high: budgets.high.tflops(),
                xhigh: budgets.xhigh.tflops(),
            }),
            model: family.models.iter().map(RenderedModel::from).collect(),
        }
    }
}

impl<'a> From<&'a ModelCard> for RenderedModel<'a> {
    fn from(model: &'a ModelCard) -> Self {
        Self {
            id: &model.id.0,
            unet: &model.unet_path,
            dtype: model.dtype.to_string(),
            device: model.device.to_string(),
            distilled: model.distilled,
        }
    }
}
