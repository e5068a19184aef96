//! What is the picture side of a CLIP pair made of, and does it look at latents?
//!
//! Published folders have a tower that looks at pixels, for other purposes: those are passed over, and so
//! are their other keys. One that looks at as many channels as the latents have is a ranker, and is read
//! strictly.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ArchitectureError, norm_eps, quick_gelu, read_json};

/// `image_encoder/config.json` of a `CLIPVisionModelWithProjection`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisionConfig {
    /// Channels of what it looks at.
    #[serde(default = "rgb")]
    pub num_channels: usize,
    /// Side of what it looks at.
    pub image_size: usize,
    /// Side of a patch, each of which becomes one state.
    pub patch_size: usize,
    /// Width of the states.
    pub hidden_size: usize,
    /// Width inside the feed-forward layers.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Number of heads.
    pub num_attention_heads: usize,
    /// Width of the space that texts and pictures share.
    pub projection_dim: usize,
    /// `quick_gelu` or `gelu`.
    #[serde(default = "quick_gelu")]
    pub hidden_act: String,
    /// Epsilon of the layer norms.
    #[serde(default = "norm_eps")]
    pub layer_norm_eps: f64,
}

/// The one key that says what a tower is for.
#[derive(Deserialize)]
struct Channels {
    #[serde(default = "rgb")]
    num_channels: usize,
}

impl VisionConfig {
    /// Reads the file of a tower that looks at latents of so many channels; none if there is no file or
    /// the tower looks at something else. Refuses by name what the engine does not have.
    pub fn read(path: &Path, latent_channels: usize) -> Result<Option<Self>, ArchitectureError> {
        if !path.is_file() {
            return Ok(None);
        }
        let Channels { num_channels } = read_json(path)?;
        if num_channels != latent_channels {
            return Ok(None);
        }
        let config: Self = read_json(path)?;
        match config.unsupported() {
            None => Ok(Some(config)),
            Some((key, value, supported)) => Err(ArchitectureError::Unsupported {
                path: path.display().to_string(),
                key,
                value,
                supported,
            }),
        }
    }

    /// Patches along one side.
    pub fn patches_per_side(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// States that the layers see: one for each patch, and one that becomes the picture's.
    pub fn n_states(&self) -> usize {
        self.patches_per_side().pow(2) + 1
    }

    fn unsupported(&self) -> Option<(&'static str, String, &'static str)> {
        let counts = [
            ("image_size", self.image_size),
            ("patch_size", self.patch_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.num_attention_heads),
            ("projection_dim", self.projection_dim),
        ];
        if let Some((key, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Some((*key, "0".into(), "1 or more"));
        }
        if !self.image_size.is_multiple_of(self.patch_size) {
            let value = self.patch_size.to_string();
            return Some(("patch_size", value, "a divisor of image_size"));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let value = self.num_attention_heads.to_string();
            return Some(("num_attention_heads", value, "a divisor of hidden_size"));
        }
        if !["quick_gelu", "gelu"].contains(&self.hidden_act.as_str()) {
            return Some(("hidden_act", self.hidden_act.clone(), "quick_gelu, gelu"));
        }
        None
    }
}

fn rgb() -> usize {
    3
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(key: &str, value: Value) -> Result<Option<VisionConfig>, ArchitectureError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let mut config = json!({
            "num_channels": 4,
            "image_size": 16,
            "patch_size": 2,
            "hidden_size": 96,
            "intermediate_size": 384,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "projection_dim": 128,
        });
        config[key] = value;
        std::fs::write(&path, config.to_string()).unwrap();
        VisionConfig::read(&path, 4)
    }

    #[test]
    fn a_tower_over_latents_is_read_and_has_a_state_for_each_patch_and_one_more() {
        let config = read("image_size", json!(8)).unwrap().unwrap();
        assert_eq!((config.patches_per_side(), config.n_states()), (4, 17));
        assert_eq!(config.hidden_act, "quick_gelu");
    }

    #[test]
    fn a_tower_over_pixels_is_passed_over_whatever_else_it_says() {
        assert_eq!(read("num_channels", json!(3)).unwrap(), None);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        assert_eq!(VisionConfig::read(&path, 4).unwrap(), None, "no file");
        std::fs::write(&path, r#"{"model_type": "clip_vision_model"}"#).unwrap();
        assert_eq!(
            VisionConfig::read(&path, 4).unwrap(),
            None,
            "RGB by default"
        );
    }

    #[test]
    fn a_tower_over_latents_that_cannot_be_run_is_refused_by_name() {
        for (key, value) in [
            ("patch_size", json!(3)),
            ("patch_size", json!(0)),
            ("num_attention_heads", json!(5)),
            ("projection_dim", json!(0)),
            ("hidden_act", json!("relu")),
        ] {
            let message = read(key, value).unwrap_err().to_string();
            assert!(message.contains(key), "{message}");
            assert!(message.contains("supported: "), "{message}");
        }
        let message = read("hidden_size", Value::Null).unwrap_err().to_string();
        assert!(message.contains("not a valid configuration"), "{message}");
    }
}
