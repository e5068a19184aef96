//! Reads what `scripts/golden/models.py` wrote: tiny models in diffusers layout, and what diffusers
//! computes from them.

use std::{collections::BTreeMap, path::PathBuf};

use goldilocks::{
    catalog::{
        Dtype, Family, ModelCard, ModelId, NamedBudgets,
        architecture::{UnetConfig, read_json},
    },
    engine::{
        Pipeline,
        weights::{Weights, WeightsError},
    },
    units::{Flops, ImageSize, Steps},
};
use serde::Deserialize;

/// The models that are shaped like public ones.
pub(crate) const MODELS: [&str; 5] = ["sd1", "sd2", "bk-base", "bk-small", "bk-tiny"];

/// What was recorded.
#[derive(Debug, Deserialize)]
pub(crate) struct Facts {
    pub(crate) prompt: String,
    pub(crate) negative_prompt: String,
    pub(crate) guidance: f64,
    /// Names the noise that a sampler adds on the way.
    pub(crate) seed: u64,
    pub(crate) steps: Vec<Steps>,
    pub(crate) pixels_at: Steps,
    pub(crate) path_at: Steps,
    pub(crate) other_sizes: BTreeMap<String, [usize; 2]>,
    pub(crate) token_ids: BTreeMap<String, Vec<u32>>,
}

/// What `scripts/golden/family.py` recorded of a family with weights of its own.
#[derive(Debug, Deserialize)]
pub(crate) struct DrawnFacts {
    pub(crate) prompt: String,
    pub(crate) negative_prompt: String,
    pub(crate) guidance: f64,
    pub(crate) seed: u64,
    pub(crate) steps: Vec<Steps>,
    /// Step counts of distilled models.
    #[serde(default)]
    pub(crate) distilled_steps: Vec<Steps>,
    pub(crate) digests: BTreeMap<String, String>,
}

/// What diffusers drew with a family whose weights are elsewhere.
pub(crate) struct Drawn {
    pub(crate) facts: DrawnFacts,
    pub(crate) tensors: Weights,
}

/// Reads the recordings of a family.
pub(crate) fn drawn(family: &str) -> Drawn {
    let folder = folder_of(family);
    Drawn {
        facts: read_json(&folder.join("golden.json")).unwrap(),
        tensors: Weights::open(&folder.join("golden.safetensors")).unwrap(),
    }
}

fn folder_of(name: &str) -> PathBuf {
    let goldens = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    goldens.join(name)
}

/// One folder of `tests/golden`.
pub(crate) struct Golden {
    pub(crate) folder: PathBuf,
    pub(crate) facts: Facts,
    tensors: Weights,
}

impl Golden {
    pub(crate) fn open(model: &str) -> Self {
        let folder = folder_of(model);
        Self {
            facts: read_json(&folder.join("golden.json")).unwrap(),
            tensors: Weights::open(&folder.join("golden.safetensors")).unwrap(),
            folder,
        }
    }

    /// A floating-point tensor, with its shape.
    pub(crate) fn tensor(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        self.tensors.read(name).unwrap()
    }

    /// The pixels of a trajectory: height, width, RGB.
    pub(crate) fn pixels(&self, name: &str) -> Vec<u8> {
        match self.tensors.read_bytes(name) {
            Ok(bytes) => bytes.to_vec(),
            Err(WeightsError::TensorMissing { tensor, .. }) => panic!("no {tensor}"),
            Err(fault) => panic!("{fault}"),
        }
    }

    /// The folder as a family of one model, called `unet`.
    pub(crate) fn family(&self) -> Family {
        let config = |name: &str| self.folder.join(name);
        let vae = read_json(&config("vae/config.json")).unwrap();
        let unet = UnetConfig::read(&config("unet/config.json")).unwrap();
        let side = 8 * unet.sample_size.unwrap() as u32;
        let no_budget = Flops::ZERO;
        Family {
            id: "golden".into(),
            path: self.folder.clone(),
            models: vec![ModelCard {
                id: unet_id(),
                unet_path: config("unet"),
                unet,
                dtype: Dtype::F32,
                device: "cpu".parse().unwrap(),
                distilled: false,
            }],
            sizes: vec![ImageSize {
                width: side,
                height: side,
            }],
            profile: None,
            budgets: Some(NamedBudgets {
                low: no_budget,
                medium: no_budget,
                high: no_budget,
                xhigh: no_budget,
            }),
            vocabulary: None,
            vae,
            text_encoder: read_json(&config("text_encoder/config.json")).unwrap(),
            image_encoder: None,
            noise_schedule: read_json(&config("scheduler/scheduler_config.json")).unwrap(),
            digest: "sha256:golden".into(),
            image_encoder_digest: None,
        }
    }

    pub(crate) fn pipeline(&self) -> Pipeline {
        Pipeline::load(&self.family()).unwrap()
    }

    /// As an accelerator computes, on a processor.
    pub(crate) fn pipeline_on_candle(&self) -> Pipeline {
        Pipeline::load_on_candle(&self.family()).unwrap()
    }
}

/// The name of a folder's only model.
pub(crate) fn unet_id() -> ModelId {
    ModelId("unet".into())
}
