//! Which models are hosted, and what are they made of?
//!
//! A [`Family`] is a set of models that share latent space, autoencoder, text encoder and training
//! data and differ in their U-Net; a [`ModelCard`] is one U-Net of it.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::units::{Flops, ImageSize};

pub mod architecture;
mod assemble;
pub mod digest;
pub mod raw;
mod render;
mod table;
pub mod vocabulary;

pub use raw::{CatalogError, family_from_folder, load};
pub use table::Fault;
pub use vocabulary::Vocabulary;

use architecture::{NoiseScheduleConfig, TextEncoderConfig, UnetConfig, VaeConfig, VisionConfig};

/// Everything that may be asked for.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// The hosted families; the first one is the default. Never empty.
    pub families: Vec<Family>,
}

impl Catalog {
    /// Returns the family with this id.
    pub fn family(&self, id: &str) -> Option<&Family> {
        self.families.iter().find(|family| family.id == id)
    }

    /// Returns the model with this id, and its family.
    pub fn model(&self, id: &str) -> Option<(&Family, &ModelCard)> {
        self.families
            .iter()
            .find_map(|family| Some((family, family.model(id)?)))
    }

    /// Returns the family that `"auto"` means.
    pub fn default_family(&self) -> &Family {
        &self.families[0]
    }
}

/// Models that share latent space, autoencoder and text encoder, and differ in U-Net size.
#[derive(Debug, Clone)]
pub struct Family {
    /// Name, unique over all families and models.
    pub id: String,
    /// The diffusers-layout folder.
    pub path: PathBuf,
    /// The hosted U-Nets, smallest first. Never empty.
    pub models: Vec<ModelCard>,
    /// Picture sizes on offer; the first one is the default. Never empty.
    pub sizes: Vec<ImageSize>,
    /// Measured scores, if there are any.
    pub profile: Option<PathBuf>,
    /// What `quality` means; where the operator does not say, the planner spreads the names over the plans
    /// on offer.
    pub budgets: Option<NamedBudgets>,
    /// The words the family knows, if it says so.
    pub vocabulary: Option<Vocabulary>,
    /// The autoencoder.
    pub vae: VaeConfig,
    /// The text encoder.
    pub text_encoder: TextEncoderConfig,
    /// What compares latents with prompts, where the family has it: it draws nothing.
    pub image_encoder: Option<VisionConfig>,
    /// The noise schedule of training.
    pub noise_schedule: NoiseScheduleConfig,
    /// SHA-256 of the weights and configurations of all parts that draw, as `sha256:<hex>`.
    pub digest: String,
    /// The same of the image encoder alone, on which only the choice among candidates depends.
    pub image_encoder_digest: Option<String>,
}

impl Family {
    /// Returns the model with this id.
    pub fn model(&self, id: &str) -> Option<&ModelCard> {
        self.models.iter().find(|model| model.id.0 == id)
    }

    /// Whether pictures of this size can be compared with a prompt before they are decoded.
    pub fn ranks(&self, size: ImageSize) -> bool {
        self.image_encoder.as_ref().is_some_and(|config| {
            let side = config.image_size as u32 * self.vae.downscale();
            (size.width, size.height) == (side, side)
        })
    }

    /// Returns the size a request gets that names none.
    pub fn default_size(&self) -> ImageSize {
        self.sizes[0]
    }
}

/// The name of a model, unique over all families.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelId(pub String);

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One hosted U-Net.
#[derive(Debug, Clone)]
pub struct ModelCard {
    /// Its name.
    pub id: ModelId,
    /// The folder with `config.json` and the weights.
    pub unet_path: PathBuf,
    /// What it is made of.
    pub unet: UnetConfig,
    /// Precision of the arithmetic.
    pub dtype: Dtype,
    /// Where it runs.
    pub device: DeviceSpec,
    /// Whether guidance is baked in, so that it takes no negative prompt and costs one evaluation a step.
    pub distilled: bool,
}

impl ModelCard {
    /// The samplers that its plans are offered with, the usual one first. A distilled model was trained
    /// to jump to the end from anywhere, which only one of them does.
    pub fn samplers(&self) -> &'static [SamplerKind] {
        if self.distilled {
            &[SamplerKind::Lcm]
        } else {
            &SamplerKind::UNDISTILLED
        }
    }

    /// Whether its plans are offered with this sampler; a request may insist on another one.
    pub fn suits(&self, sampler: SamplerKind) -> bool {
        self.samplers().contains(&sampler)
    }
}

/// Precision of a model's arithmetic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit floating point.
    #[default]
    F32,
    /// Products of the upper halves of such numbers, everything else as with [`Self::F32`]; on a GPU, weights
    /// and activations too.
    Bf16,
    /// The faster one, if it was measured that no score is lost by it. What loads a catalog to draw or to
    /// plan with puts one of the others in its place.
    Auto,
}

impl FromStr for Dtype {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            "auto" => Ok(Self::Auto),
            _ => Err(format!(
                "{text:?} is not a precision; write f32, bf16 or auto"
            )),
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F32 => f.write_str("f32"),
            Self::Bf16 => f.write_str("bf16"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

/// Where a model runs, written `cpu` or `cuda:0`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum DeviceSpec {
    /// All cores of this machine.
    #[default]
    Cpu,
    /// The CUDA device with this ordinal.
    Cuda(usize),
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

impl FromStr for DeviceSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ordinal = || text.strip_prefix("cuda:")?.parse().ok();
        match text {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => ordinal().map(Self::Cuda).ok_or_else(|| {
                format!("{text:?} is not a device; write cpu, or cuda:0 for the first GPU")
            }),
        }
    }
}

/// The budgets behind OpenAI's `quality`: operations for one picture.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct NamedBudgets {
    /// `quality: low`.
    pub low: Flops,
    /// `quality: medium`.
    pub medium: Flops,
    /// `quality: high`.
    pub high: Flops,
    /// `quality: xhigh`.
    pub xhigh: Flops,
}

/// The sampling algorithms on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SamplerKind {
    /// Deterministic DDIM (arXiv 2010.02502, eta 0).
    Ddim,
    /// DPM-Solver++(2M) (arXiv 2211.01095, algorithm 2).
    #[serde(rename = "dpmpp_2m")]
    DpmPp2M,
    /// Euler's method on the probability flow (arXiv 2206.00364, algorithm 1 at first order).
    Euler,
    /// Euler's method with fresh noise at every step.
    EulerAncestral,
    /// Ancestral sampling (arXiv 2006.11239, equation 7).
    Ddpm,
    /// Multistep consistency sampling (arXiv 2310.04378), for distilled models.
    Lcm,
}

impl SamplerKind {
    /// Every sampler.
    pub const ALL: [Self; 6] = [
        Self::Ddim,
        Self::DpmPp2M,
        Self::Euler,
        Self::EulerAncestral,
        Self::Ddpm,
        Self::Lcm,
    ];

    /// Those for models that are not distilled, the usual one first.
    pub const UNDISTILLED: [Self; 5] = [
        Self::Ddim,
        Self::DpmPp2M,
        Self::Euler,
        Self::EulerAncestral,
        Self::Ddpm,
    ];

    /// The name in AUTOMATIC1111's web interface and in the tools around it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Ddim => "DDIM",
            Self::DpmPp2M => "DPM++ 2M",
            Self::Euler => "Euler",
            Self::EulerAncestral => "Euler a",
            Self::Ddpm => "DDPM",
            Self::Lcm => "LCM",
        }
    }

    /// The name in requests, replies and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ddim => "ddim",
            Self::DpmPp2M => "dpmpp_2m",
            Self::Euler => "euler",
            Self::EulerAncestral => "euler_ancestral",
            Self::Ddpm => "ddpm",
            Self::Lcm => "lcm",
        }
    }
}

impl fmt::Display for SamplerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SamplerKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                format!("{text:?} is not a sampler; choose one of {names}")
            })
    }
}
