//! What do real pictures look like to the evaluator? Features of pictures that no network drew.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use safetensors::SafeTensors;
use serde::Deserialize;

use super::store;

/// What training wrote about real pictures, drawn as the evaluation captions are.
#[derive(Debug, Clone, PartialEq)]
pub struct RealPictures {
    /// Features of the pictures that everything is compared with.
    pub reference: Vec<Vec<f32>>,
    /// Other real pictures: how close real ones come.
    pub others: Sample,
    /// Those others after a round trip through the autoencoder: how close any plan can come.
    pub reconstructions: Sample,
}

/// Pictures that no plan made.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Their features.
    pub features: Vec<Vec<f32>>,
    /// Share of them in which the evaluator is right about everything, open questions included.
    pub alignment: f64,
}

#[derive(Deserialize)]
struct Figures {
    accuracy: Accuracies,
}

#[derive(Deserialize)]
struct Accuracies {
    real_b: Accuracy,
    reconstruction_b: Accuracy,
}

#[derive(Deserialize)]
struct Accuracy {
    all: f64,
}

impl RealPictures {
    /// Reads `reference.safetensors` and `figures.json` of an `evaluation` folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("reference.safetensors");
        let bytes =
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let features = |name: &str| {
            let rows = SafeTensors::deserialize(&bytes).map_err(anyhow::Error::from);
            let rows = rows.and_then(|tensors| store::rows(&tensors, name));
            let rows = rows.with_context(|| format!("{} cannot be used", path.display()))?;
            ensure!(
                rows.len() >= 2,
                "{}: {name} has {} rows; at least 2 are needed",
                path.display(),
                rows.len()
            );
            Ok(rows)
        };
        let Figures { accuracy } = figures(&folder.join("figures.json"))?;
        Ok(Self {
            reference: features("features_a")?,
            others: Sample {
                features: features("features_b")?,
                alignment: accuracy.real_b.all,
            },
            reconstructions: Sample {
                features: features("features_reconstruction")?,
                alignment: accuracy.reconstruction_b.all,
            },
        })
    }
}

fn figures(path: &Path) -> Result<Figures> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} has no accuracies of real pictures", path.display()))
}
