//! What is a network made of? Mirrors of the JSON files of a diffusers-layout folder.
//!
//! Nothing is assumed: every size is read from the JSON, with diffusers' own defaults for what the
//! file leaves out. What the engine cannot run is refused by name, never ignored.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

mod noise_schedule;
mod vision;

pub use noise_schedule::{BetaSchedule, NoiseScheduleConfig, Prediction, TimestepSpacing};
pub use vision::VisionConfig;

/// A file of a diffusers-layout folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchitectureError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// Where the file should be.
        path: String,
        /// Why it cannot be read.
        source: std::io::Error,
    },
    /// The file is not the JSON that diffusers writes.
    #[error("{path} is not a valid configuration: {source}")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// The file asks for a part that this engine does not have.
    #[error("{path}: {key} = {value} is not supported; supported: {supported}")]
    Unsupported {
        /// The file.
        path: String,
        /// The key in the JSON.
        key: &'static str,
        /// Its value.
        value: String,
        /// What would work.
        supported: &'static str,
    },
}

/// Reads one JSON file as `T`.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ArchitectureError> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|source| ArchitectureError::Unreadable {
        path: name.clone(),
        source,
    })?;
    serde_json::from_str(&text)
        .map_err(|source| ArchitectureError::Malformed { path: name, source })
}

/// One value for every level of a network, or one value each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PerLevel {
    /// The same at every level.
    Same(usize),
    /// One entry for each level, highest resolution first.
    Each(Vec<usize>),
}

impl PerLevel {
    /// Returns the value at `level`, 0 being the highest resolution; the last entry if there are fewer.
    pub fn at(&self, level: usize) -> usize {
        match self {
            Self::Same(value) => *value,
            Self::Each(values) => values[level.min(values.len() - 1)],
        }
    }

    fn is_zero_or_empty(&self) -> bool {
        match self {
            Self::Same(value) => *value == 0,
            Self::Each(values) => values.is_empty() || values.contains(&0),
        }
    }
}

/// `unet/config.json` of a `UNet2DConditionModel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnetConfig {
    /// Side of the latents the network was trained on.
    #[serde(default)]
    pub sample_size: Option<usize>,
    /// Channels of the latents.
    pub in_channels: usize,
    /// Channels of the prediction.
    pub out_channels: usize,
    /// Filters of each level, highest resolution first.
    pub block_out_channels: Vec<usize>,
    /// `DownBlock2D` or `CrossAttnDownBlock2D` for each level.
    pub down_block_types: Vec<String>,
    /// `CrossAttnUpBlock2D` or `UpBlock2D`, lowest resolution first.
    pub up_block_types: Vec<String>,
    /// `UNetMidBlock2DCrossAttn`; null where the network has no middle (BK-SDM).
    #[serde(default = "mid_block_type")]
    pub mid_block_type: Option<String>,
    /// Residual blocks of a down block; an up block has one more.
    #[serde(default = "layers_per_block")]
    pub layers_per_block: PerLevel,
    /// Transformer layers at each attention.
    #[serde(default = "one")]
    pub transformer_layers_per_block: PerLevel,
    /// Misnamed by diffusers: the *number* of heads where `num_attention_heads` is null.
    #[serde(default = "attention_head_dim")]
    pub attention_head_dim: PerLevel,
    /// Number of heads, if the file says so plainly.
    #[serde(default)]
    pub num_attention_heads: Option<PerLevel>,
    /// Width of the text states.
    #[serde(default = "cross_attention_dim")]
    pub cross_attention_dim: PerLevel,
    /// Groups of every group norm.
    #[serde(default = "norm_num_groups")]
    pub norm_num_groups: usize,
    /// Epsilon of the residual blocks' group norms.
    #[serde(default = "norm_eps")]
    pub norm_eps: f64,
    /// Linear layers instead of 1x1 convolutions around the attention (SD 2.x).
    #[serde(default)]
    pub use_linear_projection: bool,
    /// Whether the cosine half of the timestep embedding comes first.
    #[serde(default = "yes")]
    pub flip_sin_to_cos: bool,
    /// Shift of the timestep frequencies.
    #[serde(default)]
    pub freq_shift: f64,
    /// Activation of the residual blocks.
    #[serde(default = "silu")]
    pub act_fn: String,
    /// Padding of the down-sampling convolutions.
    #[serde(default = "one_pixel")]
    pub downsample_padding: usize,
    /// `default`, or an addition that this engine does not have.
    #[serde(default = "default_shift")]
    pub resnet_time_scale_shift: String,
    /// Must be false: the first attention attends to the picture.
    #[serde(default)]
    pub only_cross_attention: bool,
    /// Must be null: no class embedding.
    #[serde(default)]
    pub class_embed_type: Option<String>,
    /// Must be null: no added embedding (SDXL).
    #[serde(default)]
    pub addition_embed_type: Option<String>,
    /// Must be null: no guidance embedding (LCM).
    #[serde(default)]
    pub time_cond_proj_dim: Option<usize>,
}

impl UnetConfig {
    /// Reads the file and refuses by name what the engine does not have.
    pub fn read(path: &Path) -> Result<Self, ArchitectureError> {
        let config: Self = read_json(path)?;
        match config.unsupported() {
            None => Ok(config),
            Some((key, value, supported)) => Err(ArchitectureError::Unsupported {
                path: path.display().to_string(),
                key,
                value,
                supported,
            }),
        }
    }

    /// Number of levels, the highest resolution included.
    pub fn n_levels(&self) -> usize {
        self.block_out_channels.len()
    }

    /// Number of attention heads at `level`.
    pub fn n_heads(&self, level: usize) -> usize {
        let heads = self.num_attention_heads.as_ref();
        heads.unwrap_or(&self.attention_head_dim).at(level)
    }

    /// Whether the down path attends to the text at `level`.
    pub fn down_attends(&self, level: usize) -> bool {
        self.down_block_types[level] == "CrossAttnDownBlock2D"
    }

    /// Whether the up path attends to the text at `level` (levels counted from the highest resolution).
    pub fn up_attends(&self, level: usize) -> bool {
        self.up_block_types[self.n_levels() - 1 - level] == "CrossAttnUpBlock2D"
    }

    fn unsupported(&self) -> Option<(&'static str, String, &'static str)> {
        let levels = self.n_levels();
        let same_length = "one entry for each level of block_out_channels";
        let odd = |types: &[String], known: [&str; 2]| {
            types
                .iter()
                .find(|name| !known.contains(&name.as_str()))
                .cloned()
        };
        if levels == 0 || self.down_block_types.len() != levels {
            return Some((
                "down_block_types",
                format!("{:?}", self.down_block_types),
                same_length,
            ));
        }
        if self.up_block_types.len() != levels {
            return Some((
                "up_block_types",
                format!("{:?}", self.up_block_types),
                same_length,
            ));
        }
        if let Some(name) = odd(
            &self.down_block_types,
            ["DownBlock2D", "CrossAttnDownBlock2D"],
        ) {
            return Some((
                "down_block_types",
                name,
                "DownBlock2D, CrossAttnDownBlock2D",
            ));
        }
        if let Some(name) = odd(&self.up_block_types, ["UpBlock2D", "CrossAttnUpBlock2D"]) {
            return Some(("up_block_types", name, "UpBlock2D, CrossAttnUpBlock2D"));
        }
        if let Some(name) = &self.mid_block_type
            && name != "UNetMidBlock2DCrossAttn"
        {
            return Some((
                "mid_block_type",
                name.clone(),
                "UNetMidBlock2DCrossAttn, null",
            ));
        }
        if self.act_fn != "silu" && self.act_fn != "swish" {
            return Some(("act_fn", self.act_fn.clone(), "silu"));
        }
        if self.resnet_time_scale_shift != "default" {
            let value = self.resnet_time_scale_shift.clone();
            return Some(("resnet_time_scale_shift", value, "default"));
        }
        if let Some(key) = self.zero_or_empty() {
            return Some((key, "0 or an empty list".into(), "1 or more"));
        }
        if self.only_cross_attention {
            return Some(("only_cross_attention", "true".into(), "false"));
        }
        if let Some(kind) = &self.class_embed_type {
            return Some(("class_embed_type", kind.clone(), "null"));
        }
        if let Some(kind) = &self.addition_embed_type {
            return Some(("addition_embed_type", kind.clone(), "null"));
        }
        if let Some(width) = self.time_cond_proj_dim {
            return Some(("time_cond_proj_dim", width.to_string(), "null"));
        }
        None
    }

    /// The first key whose numbers leave nothing to compute with.
    fn zero_or_empty(&self) -> Option<&'static str> {
        let groups = PerLevel::Same(self.norm_num_groups);
        let heads = self.num_attention_heads.as_ref();
        let counts = [
            ("layers_per_block", &self.layers_per_block),
            (
                "transformer_layers_per_block",
                &self.transformer_layers_per_block,
            ),
            ("attention_head_dim", &self.attention_head_dim),
            (
                "num_attention_heads",
                heads.unwrap_or(&self.attention_head_dim),
            ),
            ("cross_attention_dim", &self.cross_attention_dim),
            ("norm_num_groups", &groups),
        ];
        let fault = counts.iter().find(|(_, count)| count.is_zero_or_empty());
        fault.map(|(key, _)| *key)
    }
}

/// `vae/config.json` of an `AutoencoderKL`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VaeConfig {
    /// Channels of the picture.
    pub in_channels: usize,
    /// Channels of the decoded picture.
    pub out_channels: usize,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Filters of each level, highest resolution first.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks of an encoder level; a decoder level has one more.
    #[serde(default = "one_pixel")]
    pub layers_per_block: usize,
    /// Groups of every group norm.
    #[serde(default = "norm_num_groups")]
    pub norm_num_groups: usize,
    /// The U-Net's latents are the encoder's times this.
    #[serde(default = "scaling_factor")]
    pub scaling_factor: f64,
    /// Whether the middle block attends over all positions.
    #[serde(default = "yes")]
    pub mid_block_add_attention: bool,
    /// Whether a 1x1 convolution stands before the decoder.
    #[serde(default = "yes")]
    pub use_post_quant_conv: bool,
    /// Whether a 1x1 convolution stands behind the encoder.
    #[serde(default = "yes")]
    pub use_quant_conv: bool,
}

impl VaeConfig {
    /// Picture pixels for each latent along one side.
    pub fn downscale(&self) -> u32 {
        1 << (self.block_out_channels.len() - 1)
    }
}

/// `text_encoder/config.json` of a `CLIPTextModel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextEncoderConfig {
    /// Number of tokens known.
    pub vocab_size: usize,
    /// Width of the states.
    pub hidden_size: usize,
    /// Width inside the feed-forward layers.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Number of heads.
    pub num_attention_heads: usize,
    /// Tokens of a full context.
    pub max_position_embeddings: usize,
    /// `quick_gelu` (SD 1.x) or `gelu` (SD 2.x).
    #[serde(default = "quick_gelu")]
    pub hidden_act: String,
    /// Epsilon of the layer norms.
    #[serde(default = "norm_eps")]
    pub layer_norm_eps: f64,
}

fn yes() -> bool {
    true
}
fn one() -> PerLevel {
    PerLevel::Same(1)
}
fn one_pixel() -> usize {
    1
}
fn layers_per_block() -> PerLevel {
    PerLevel::Same(2)
}
fn attention_head_dim() -> PerLevel {
    PerLevel::Same(8)
}
fn cross_attention_dim() -> PerLevel {
    PerLevel::Same(1280)
}
fn norm_num_groups() -> usize {
    32
}
fn norm_eps() -> f64 {
    1e-5
}
fn scaling_factor() -> f64 {
    0.18215
}
fn silu() -> String {
    "silu".into()
}
fn quick_gelu() -> String {
    "quick_gelu".into()
}
fn default_shift() -> String {
    "default".into()
}
#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's own type")]
fn mid_block_type() -> Option<String> {
    Some("UNetMidBlock2DCrossAttn".into())
}

#[cfg(test)]
mod tests;
