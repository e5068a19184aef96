//! What does a request grant, and what does it insist on?

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    catalog::{ModelId, SamplerKind},
    units::{Flops, ImageSize, Millis, Steps},
};

/// What a request grants. Every limit that is present must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Budget {
    /// From the request's head to the last byte of the reply.
    pub latency: Option<Millis>,
    /// Operations of the whole request, all its pictures together.
    pub flops: Option<Flops>,
    /// Which score is maximised.
    pub objective: Objective,
    /// Never choose a plan that is predicted to score less.
    pub min_score: Option<f64>,
    /// The dual problem: the cheapest plan that reaches `min_score`.
    pub minimize: Option<Cost>,
    /// Among the best, the cheapest within this much of the best score (`quality: auto` has 0.01).
    pub tolerance: f64,
}

/// Which score is maximised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// How close the pictures come to real ones: 1 - CMMD(plan) / CMMD(anchor), clipped to [0, 1].
    Fidelity,
    /// Share of pictures in which the evaluator finds every attribute of the caption.
    Alignment,
    /// The mean of both.
    #[default]
    Balanced,
}

/// Which cost the dual problem minimises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cost {
    /// Predicted p95 latency.
    Latency,
    /// Operations.
    Tflops,
}

/// The parts of the plan that the request fixes; the rest is planned around them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pins {
    /// Only this model.
    pub model: Option<ModelId>,
    /// Only this sampler.
    pub sampler: Option<SamplerKind>,
    /// Only this many steps.
    pub steps: Option<Steps>,
    /// Only this guidance scale.
    pub guidance_scale: Option<f64>,
}

/// One request, as the planner sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanRequest {
    /// Size of the pictures.
    pub size: ImageSize,
    /// Number of pictures.
    pub n_images: u32,
    /// What is granted.
    pub budget: Budget,
    /// What is insisted on.
    pub pins: Pins,
    /// A negative prompt excludes unguided and distilled plans.
    pub has_negative_prompt: bool,
}
