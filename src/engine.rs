//! How does a plan become a picture? Text encoder, U-Net, sampler and decoder on a device.
//!
//! - [`pipeline`]: the whole way, for many pictures at once
//! - [`ops`]: the few fused operations that the networks are written in, and their backends
//! - [`unet`], [`vae`]: the two networks that cost the time, each written once over [`ops`]
//! - [`tokenizer`], [`text_encoder`]: prompts to text states, once a request
//! - [`ranker`]: which of several latents suits a prompt best, before any is decoded
//! - [`weights`], [`device`]: where the numbers come from, and where they go
//! - [`preview`]: what latents look like before they are decoded
//! - [`image`]: pixels to files

use crate::{
    catalog::{DeviceSpec, ModelId, architecture::ArchitectureError},
    diffusion::{noise_schedule::NoiseScheduleError, sampler::SamplerError},
};

mod clip;
pub mod device;
pub mod image;
pub mod noise;
pub mod ops;
pub mod pipeline;
pub mod preview;
pub mod ranker;
pub mod text_encoder;
pub mod tokenizer;
pub mod unet;
pub mod vae;
pub mod weights;

pub use crate::units::Memory;
pub use image::Pixels;
pub use pipeline::{Conditioning, ImageSpec, Latents, Pipeline, Trajectory};

/// The engine cannot load a family or draw a picture.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] device::DeviceError),
    /// A weights file cannot be used.
    #[error(transparent)]
    Weights(#[from] weights::WeightsError),
    /// The tokenizer's files cannot be used.
    #[error(transparent)]
    Tokenizer(#[from] tokenizer::TokenizerError),
    /// A configuration file cannot be used.
    #[error(transparent)]
    Architecture(#[from] ArchitectureError),
    /// The noise schedule makes no sense.
    #[error(transparent)]
    NoiseSchedule(#[from] NoiseScheduleError),
    /// The sampler cannot take these steps.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
    /// The text encoder or the ranker has an activation that the engine does not know.
    #[error("CLIP's activation {0:?} is not supported; supported: quick_gelu, gelu")]
    ClipActivation(String),
    /// The family cannot compare pictures with prompts.
    #[error(
        "the family has no ranker, an image_encoder/ folder whose num_channels is that of the latents; \
         draw one candidate"
    )]
    NoRanker,
    /// The ranker was trained on latents of one shape.
    #[error("latents {index} of {found:?} cannot be ranked; the ranker compares {expected:?}")]
    RankedShape {
        /// Their place among those to rank.
        index: usize,
        /// Channels, height and width that can be ranked.
        expected: (usize, usize, usize),
        /// Channels, height and width that came.
        found: (usize, usize, usize),
    },
    /// A latent that shall be ranked left the range of numbers.
    #[error("latents {index} of those to rank have numbers that are not finite")]
    NonFiniteRanked {
        /// Their place among those to rank.
        index: usize,
    },
    /// A tensor has the wrong shape for a layer.
    #[error("layer {layer:?}: the {what} is {found}, but {expected} is needed")]
    Shape {
        /// The layer's name in the checkpoint.
        layer: String,
        /// Which tensor.
        what: &'static str,
        /// The shape that would do.
        expected: ops::Shape,
        /// The shape that came.
        found: ops::Shape,
    },
    /// A batch has not one timestep and one text for each row.
    #[error("{rows} rows of latents need as many timesteps and texts, not {timesteps} and {texts}")]
    RowCounts {
        /// Rows of latents.
        rows: usize,
        /// Timesteps that came with them.
        timesteps: usize,
        /// Texts that came with them.
        texts: usize,
    },
    /// The processor does not multiply in bf16.
    #[error(
        "this processor has no avx512_bf16, which model {model} needs; give it dtype = \"f32\" or \"auto\""
    )]
    NoBf16 {
        /// The model that says so.
        model: ModelId,
    },
    /// Channels do not split into groups or heads.
    #[error("layer {layer:?}: {channels} channels do not split into {parts} equal parts")]
    Indivisible {
        /// The layer's name in the checkpoint.
        layer: String,
        /// Its channels.
        channels: usize,
        /// Groups or heads.
        parts: usize,
    },
    /// The backend failed, for lack of memory for example.
    #[error("the device failed: {0}")]
    Backend(#[from] candle_core::Error),
    /// Models of one family must share a device, as they share text encoder and decoder.
    #[error("the models of family {family:?} are on {first} and {other}; one device is needed")]
    MixedDevices {
        /// The family.
        family: String,
        /// Device of the first model.
        first: DeviceSpec,
        /// A device that differs.
        other: DeviceSpec,
    },
    /// The model is not loaded.
    #[error("model {model} is not loaded; loaded: {loaded}")]
    UnknownModel {
        /// The model that was asked for.
        model: ModelId,
        /// The models there are.
        loaded: String,
    },
    /// The picture's size does not suit the autoencoder.
    #[error("size {size} is not possible; width and height must be multiples of {multiple}")]
    Size {
        /// The size that was asked for.
        size: crate::units::ImageSize,
        /// Pixels for each latent.
        multiple: u32,
    },
    /// Guidance must be a number.
    #[error("guidance scale {0} is not a finite number")]
    Guidance(f64),
    /// Initial noise has another size than the picture's latents.
    #[error("the initial noise has {found} numbers, but the picture's latents have {expected}")]
    NoiseLength {
        /// Numbers needed.
        expected: usize,
        /// Numbers that came.
        found: usize,
    },
    /// Rows of one step must share model and latent shape.
    #[error("rows of {first} and {other} cannot share a step; one model and one size are needed")]
    MixedBatch {
        /// What the first row is.
        first: String,
        /// What another row is.
        other: String,
    },
    /// A trajectory was begun by a pipeline that computes with another backend.
    #[error(
        "the trajectory was begun by a pipeline that computes with another backend; let that pipeline move it on"
    )]
    OtherBackend,
    /// A trajectory has no step left.
    #[error("the trajectory of seed {seed} is at its end, after {steps} steps")]
    Finished {
        /// The seed.
        seed: u64,
        /// Its steps.
        steps: usize,
    },
    /// A row left the range of numbers.
    #[error("the {what} of seed {seed} has numbers that are not finite, at step {step}")]
    NonFinite {
        /// Latents or picture.
        what: &'static str,
        /// The seed of the row.
        seed: u64,
        /// Steps done.
        step: usize,
    },
    /// A picture left the range of numbers in the decoder.
    #[error("picture {index} of the decoded batch has numbers that are not finite")]
    NonFinitePicture {
        /// Its place in the batch.
        index: usize,
    },
    /// A format has no pictures of this size.
    #[error("a picture of {pixels} pixels on one side cannot be written as {format}")]
    FileSize {
        /// The format's name.
        format: &'static str,
        /// The longer side.
        pixels: u32,
    },
    /// The picture could not be written as PNG.
    #[error("cannot encode the picture: {0}")]
    Png(#[from] png::EncodingError),
    /// The picture could not be written as JPEG.
    #[error("cannot encode the picture: {0}")]
    Jpeg(#[from] jpeg_encoder::EncodingError),
    /// The picture could not be written as WebP.
    #[error("cannot encode the picture: {0}")]
    Webp(#[from] image_webp::EncodingError),
}

impl EngineError {
    fn shape(layer: &str, what: &'static str, expected: ops::Shape, found: ops::Shape) -> Self {
        Self::Shape {
            layer: layer.to_owned(),
            what,
            expected,
            found,
        }
    }
}
