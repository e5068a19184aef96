//! What is the evaluator made of? The mirror of `evaluator/config.json`, as training writes it.

use serde::Deserialize;

/// The file version this reader understands.
pub(super) const VERSION: u32 = 1;

/// The whole file; figures about training that no reader needs are passed over.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct EvaluatorConfig {
    /// Version of the file.
    pub version: u32,
    /// What goes in.
    pub picture: PictureConfig,
    /// What halves the resolution first.
    pub pool: PoolConfig,
    /// The tower, input first. Convolutions carry their batch normalisation folded in.
    pub layers: Vec<LayerConfig>,
    /// Length of the features behind the last layer.
    pub feature_dim: usize,
    /// The questions, each answered by one linear layer over the features.
    pub heads: Vec<HeadConfig>,
    /// Questions answered well enough on real pictures to serve as a metric.
    pub accepted: Vec<String>,
}

/// How 8-bit pixels become the network's input.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PictureConfig {
    /// Width and height in pixels.
    pub side: u32,
    /// Order of the channels.
    pub channels: ChannelOrder,
    /// Each 8-bit value is multiplied by this ...
    pub scale: f64,
    /// ... and this is added.
    pub offset: f64,
}

/// Order of the colour channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// Red, green, blue.
    Rgb,
}

/// Pooling before the first layer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PoolConfig {
    /// How a window becomes one value.
    #[serde(rename = "type")]
    pub kind: PoolKind,
    /// Side of the window.
    pub kernel: usize,
    /// Distance between windows.
    pub stride: usize,
}

/// How a window becomes one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PoolKind {
    /// Its mean.
    Average,
}

/// One layer of the tower.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum LayerConfig {
    /// A square convolution with bias.
    Conv2d {
        /// Prefix of its tensors.
        name: String,
        /// Channels in.
        #[serde(rename = "in")]
        inputs: usize,
        /// Channels out.
        #[serde(rename = "out")]
        outputs: usize,
        /// Side of the kernel.
        kernel: usize,
        /// Distance between windows.
        stride: usize,
        /// Zeros added on every side.
        padding: usize,
        /// What follows.
        activation: Activation,
    },
    /// Channels, rows and columns become one axis.
    Flatten,
    /// A linear layer with bias.
    Linear {
        /// Prefix of its tensors.
        name: String,
        /// Values in.
        #[serde(rename = "in")]
        inputs: usize,
        /// Values out.
        #[serde(rename = "out")]
        outputs: usize,
        /// What follows.
        activation: Activation,
    },
}

/// What follows a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// max(x, 0).
    Relu,
}

/// One question and its possible answers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct HeadConfig {
    /// The question, as captions name it.
    pub name: String,
    /// Prefix of its tensors.
    pub tensor: String,
    /// The answers, in the order of the logits.
    pub classes: Vec<String>,
}
