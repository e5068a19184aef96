//! How good is a picture?
//!
//! A small network that no generating network was trained with looks at pictures: its answers tell
//! whether the caption was obeyed ([`alignment`]), its features how close a set of pictures comes
//! to real ones ([`cmmd`], and [`frechet`] for comparison with the field).

use std::path::{Path, PathBuf};

use candle_core::{Device, safetensors};

use crate::{engine::Pixels, units::ImageSize};

pub mod alignment;
pub mod cmmd;
pub mod config;
pub mod features;
pub mod frechet;
mod network;

pub use alignment::Attributes;
pub use features::Features;

use config::{EvaluatorConfig, LayerConfig, VERSION};
use network::Network;

/// Pictures looked at in one go: enough to fill the matrix products, little enough to stay in cache.
const BATCH: usize = 32;

/// The evaluator of a family cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EvaluatorError {
    /// A file is missing or cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The configuration is not what training writes.
    #[error("{path} is not an evaluator configuration: {source}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// The configuration is of another version of goldilocks, or contradicts itself.
    #[error("{path}: {reason}", path = path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it says and what would work.
        reason: String,
    },
    /// The weights do not fit the configuration, or the arithmetic failed.
    #[error("the evaluator in {path} failed: {source}", path = path.display())]
    Network {
        /// The folder.
        path: PathBuf,
        /// What candle says.
        source: candle_core::Error,
    },
    /// A picture has another size than the evaluator was trained on.
    #[error("a picture of {found} cannot be judged; this evaluator takes {taken}")]
    Size {
        /// Its size.
        found: ImageSize,
        /// The size it was trained on.
        taken: ImageSize,
    },
}

/// What the evaluator says about one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// Where it lies among pictures; never negative.
    pub features: Vec<f32>,
    /// The most likely answer to every question, accepted or not.
    pub attributes: Attributes,
}

/// A loaded evaluator.
#[derive(Debug, Clone)]
pub struct Evaluator {
    folder: PathBuf,
    config: EvaluatorConfig,
    network: Network,
}

impl Evaluator {
    /// Loads `config.json` and `model.safetensors` of an `evaluator` folder.
    pub fn load(folder: &Path) -> Result<Self, EvaluatorError> {
        let config = read_config(&folder.join("config.json"))?;
        let network = safetensors::load(folder.join("model.safetensors"), &Device::Cpu)
            .and_then(|tensors| Network::new(&config, &tensors))
            .map_err(|source| EvaluatorError::Network {
                path: folder.to_owned(),
                source,
            })?;
        Ok(Self {
            folder: folder.to_owned(),
            config,
            network,
        })
    }

    /// The questions it answers reliably on real pictures.
    pub fn accepted(&self) -> &[String] {
        &self.config.accepted
    }

    /// Looks at every picture; the answer does not depend on which others are in the list.
    pub fn evaluate(&self, pictures: &[Pixels]) -> Result<Vec<Assessment>, EvaluatorError> {
        let mut assessments = Vec::with_capacity(pictures.len());
        for batch in pictures.chunks(BATCH) {
            assessments.extend(self.evaluate_batch(batch)?);
        }
        Ok(assessments)
    }

    fn evaluate_batch(&self, batch: &[Pixels]) -> Result<Vec<Assessment>, EvaluatorError> {
        let side = self.config.picture.side;
        let size = ImageSize {
            width: side,
            height: side,
        };
        if let Some(odd) = batch.iter().find(|picture| picture.size != size) {
            return Err(EvaluatorError::Size {
                found: odd.size,
                taken: size,
            });
        }
        let pixels = batch
            .iter()
            .flat_map(|picture| picture.rgb.iter().copied())
            .collect();
        let look = self.network.look(pixels, side as usize);
        let (features, classes) = look.map_err(|source| EvaluatorError::Network {
            path: self.folder.clone(),
            source,
        })?;
        let assess = |(features, classes): (Vec<f32>, &Vec<u32>)| Assessment {
            features,
            attributes: self.answers(classes),
        };
        Ok(features.into_iter().zip(&classes).map(assess).collect())
    }

    fn answers(&self, classes: &[u32]) -> Attributes {
        let heads = self.config.heads.iter().zip(classes);
        heads
            .map(|(head, &class)| (head.name.clone(), head.classes[class as usize].clone()))
            .collect()
    }
}

fn read_config(path: &Path) -> Result<EvaluatorConfig, EvaluatorError> {
    let text = std::fs::read_to_string(path).map_err(|source| EvaluatorError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let config: EvaluatorConfig =
        serde_json::from_str(&text).map_err(|source| EvaluatorError::Malformed {
            path: path.to_owned(),
            source,
        })?;
    match contradiction(&config) {
        None => Ok(config),
        Some(reason) => Err(EvaluatorError::Unsupported {
            path: path.to_owned(),
            reason,
        }),
    }
}

fn contradiction(config: &EvaluatorConfig) -> Option<String> {
    if config.version != VERSION {
        return Some(format!(
            "version {} is not supported; supported: {VERSION}",
            config.version
        ));
    }
    let features = match config.layers.last() {
        Some(LayerConfig::Linear { outputs, .. }) => *outputs,
        _ => return Some("layers must end with a linear layer, which gives the features".into()),
    };
    if features != config.feature_dim {
        return Some(format!(
            "feature_dim {} is not the {features} outputs of the last layer",
            config.feature_dim
        ));
    }
    let known = |name: &String| config.heads.iter().any(|head| head.name == *name);
    let stranger = config.accepted.iter().find(|name| !known(name))?;
    Some(format!(
        "accepted head {stranger:?} is not one of the heads"
    ))
}

#[cfg(test)]
mod tests;
