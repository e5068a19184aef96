//! What fixes the work of one picture, and what is predicted of it?

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    catalog::{ModelId, SamplerKind},
    units::{Flops, ImageSize, Millis, Nfe, Steps},
};

/// Everything that fixes the work of one picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// The U-Net.
    #[schema(value_type = String, example = "emoji-c16")]
    pub model: ModelId,
    /// The sampling algorithm.
    #[schema(value_type = String, example = "ddim")]
    pub sampler: SamplerKind,
    /// Sampling steps.
    #[schema(value_type = u32, example = 8)]
    pub steps: Steps,
    /// Scale of classifier-free guidance; 1 is unguided and costs half.
    #[schema(example = 3.0)]
    pub guidance_scale: f64,
    /// Size of the picture.
    #[schema(value_type = String, example = "128x128")]
    pub size: ImageSize,
}

impl Plan {
    /// Whether every step evaluates the network twice.
    pub fn is_guided(&self) -> bool {
        self.guidance_scale != 1.0
    }

    /// Rows of the batch that one picture fills: a guided one is evaluated with and without its text.
    pub fn rows(&self) -> u32 {
        if self.is_guided() { 2 } else { 1 }
    }

    /// Network evaluations for one picture.
    pub fn nfe(&self) -> Nfe {
        self.steps.saturating_mul(self.rows())
    }
}

/// What the planner predicts for a request that runs a plan.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Estimate {
    /// Latency of the whole request; null before the latency of this machine is known.
    pub latency_ms: Option<LatencyEstimate>,
    /// 10^12 floating-point operations of the whole request.
    pub tflops: f64,
    /// 10^12 floating-point operations for each picture.
    pub tflops_per_image: f64,
    /// Network evaluations for each picture.
    #[schema(value_type = u32)]
    pub nfe: Nfe,
    /// Predicted score; null where the plan was never measured.
    pub score: Option<ScoreEstimate>,
}

impl Estimate {
    /// Operations of the whole request.
    pub fn flops(&self) -> Flops {
        Flops::from_tflops(self.tflops)
    }
}

/// Quantiles of a predicted latency, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct LatencyEstimate {
    /// Half of such requests take no longer.
    #[schema(value_type = f64)]
    pub p50: Millis,
    /// 95 of 100 such requests take no longer: what a budget is held against.
    #[schema(value_type = f64)]
    pub p95: Millis,
    /// 99 of 100 such requests take no longer: what admission is held against.
    #[schema(value_type = f64)]
    pub p99: Millis,
}

/// A predicted score in [0, 1], higher is better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreEstimate {
    /// The mean over the measured captions.
    pub mean: f64,
    /// Its standard error.
    pub standard_error: f64,
}
