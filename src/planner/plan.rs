//! What fixes the work of one picture, and what is predicted of it?

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    catalog::{ModelId, SamplerKind},
    diffusion::{GuidanceInterval, Route, Stage},
    units::{Flops, ImageSize, Millis, Nfe, Steps},
};

/// Everything that fixes the work of one picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The U-Net; of a stitched plan the one that finishes.
    #[schema(value_type = String, example = "emoji-c16")]
    pub model: ModelId,
    /// Smaller models that take the first steps (T-Stitch, arXiv 2402.14167); empty where `model` takes
    /// them all.
    #[serde(default)]
    pub stages: Vec<Stage>,
    /// The sampling algorithm.
    #[schema(value_type = String, example = "ddim")]
    pub sampler: SamplerKind,
    /// Sampling steps.
    #[schema(value_type = u32, example = 8)]
    pub steps: Steps,
    /// Scale of classifier-free guidance; 1 is unguided and costs half.
    #[schema(example = 3.0)]
    pub guidance_scale: f64,
    /// Noise levels at which steps are guided (arXiv 2404.07724), at half the cost elsewhere; null for
    /// all of them.
    #[serde(default)]
    pub guidance_interval: Option<GuidanceInterval>,
    /// Several pictures are begun and the one that suits the prompt best is kept; null for one.
    #[serde(default)]
    pub candidates: Option<Candidates>,
    /// Size of the picture.
    #[schema(value_type = String, example = "128x128")]
    pub size: ImageSize,
}

/// The best of several pictures of one prompt, as the text encoder's own picture network ranks them:
/// the pair that conditions the drawing, never the evaluator that measures it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Candidates {
    /// Pictures that are begun, at least 2. All of them are charged.
    #[schema(minimum = 2, example = 2)]
    pub n: u32,
    /// Share of the steps after which their estimates are ranked and only the best one goes on; null
    /// to finish all of them.
    #[schema(example = 0.5)]
    pub pruned_after: Option<f64>,
}

impl Candidates {
    /// Steps that every candidate takes, of as many as the plan has; at least 1.
    pub fn shared_steps(&self, steps: Steps) -> Steps {
        let pruned = |share: f64| (share * f64::from(steps)).round() as Steps;
        self.pruned_after
            .map_or(steps, pruned)
            .clamp(1, steps.max(1))
    }
}

/// In one line: `emoji-c8 0.4, emoji-c32, ddim, steps 8, guidance 3 in (0.3, 5], best of 2 after 0.5, 128x128`.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Stage { model, share } in &self.stages {
            write!(f, "{model} {share}, ")?;
        }
        let (model, sampler, steps) = (&self.model, self.sampler, self.steps);
        write!(
            f,
            "{model}, {sampler}, steps {steps}, guidance {}",
            self.guidance_scale
        )?;
        if let Some(interval) = self.guidance_interval {
            write!(f, " in ({}, ", interval.sigma_low)?;
            match interval.sigma_high {
                Some(high) => write!(f, "{high}]")?,
                None => f.write_str("inf]")?,
            }
        }
        if let Some(Candidates { n, pruned_after }) = self.candidates {
            write!(f, ", best of {n}")?;
            if let Some(share) = pruned_after {
                write!(f, " after {share}")?;
            }
        }
        write!(f, ", {}", self.size)
    }
}

impl Plan {
    /// A plan of one model that guides every step or none.
    pub fn plain(
        model: ModelId,
        sampler: SamplerKind,
        steps: Steps,
        guidance_scale: f64,
        size: ImageSize,
    ) -> Self {
        Self {
            model,
            stages: Vec::new(),
            sampler,
            steps,
            guidance_scale,
            guidance_interval: None,
            candidates: None,
            size,
        }
    }

    /// The steps of one picture, for whoever draws it.
    pub fn route(&self) -> Route {
        Route {
            stages: self.stages.clone(),
            sampler: self.sampler,
            steps: self.steps,
            guidance_scale: self.guidance_scale,
            guidance_interval: self.guidance_interval,
        }
    }

    /// Whether steps are guided, all or some of them.
    pub fn is_guided(&self) -> bool {
        self.guidance_scale != 1.0
    }

    /// Whether it has neither stages nor an interval nor candidates.
    pub fn is_plain(&self) -> bool {
        self.stages.is_empty() && self.guidance_interval.is_none() && self.candidates.is_none()
    }

    /// Whether they differ in their step counts at most.
    pub fn is_like(&self, other: &Self) -> bool {
        self.with_steps(0) == other.with_steps(0)
    }

    /// The same with another number of steps.
    #[must_use]
    pub fn with_steps(&self, steps: Steps) -> Self {
        Self {
            steps,
            ..self.clone()
        }
    }

    /// Every model that takes steps, in order.
    pub fn models(&self) -> impl Iterator<Item = &ModelId> {
        self.stages
            .iter()
            .map(|stage| &stage.model)
            .chain([&self.model])
    }

    /// Candidates that are begun, 1 where there is nothing to choose from.
    pub fn n_begun(&self) -> u32 {
        self.candidates.map_or(1, |candidates| candidates.n)
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
    /// Predicted score; null where the plan was never measured. What it means is the `kind` of the family's
    /// profile in `GET /v1/models`.
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
    /// 95 of 100 such requests take no longer.
    #[schema(value_type = f64)]
    pub p95: Millis,
    /// 99 of 100 such requests take no longer: what budgets and admission are held against.
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
