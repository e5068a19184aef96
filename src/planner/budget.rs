//! What does a request grant, and what does it insist on?

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::plan::Plan;
use crate::{
    catalog::{ModelId, NamedBudgets, SamplerKind},
    units::{Flops, ImageSize, Millis, Steps},
};

/// What a request grants. Every limit that is present must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Budget {
    /// From the request's head to the last byte of the reply.
    pub latency: Option<Millis>,
    /// Operations of the whole request, all its pictures together.
    pub flops: Option<Flops>,
    /// A budget with a name. Absent, and no limit either, means [`Quality::Auto`]. Where it stands
    /// for a number of operations, `flops` takes its place.
    pub quality: Option<Quality>,
    /// Which score is maximised.
    pub objective: Objective,
    /// Never choose a plan that is predicted to score less.
    pub min_score: Option<f64>,
    /// The dual problem: the cheapest plan that reaches `min_score`.
    pub minimize: Option<Cost>,
}

impl Budget {
    /// Whether a number was granted, rather than a name or nothing.
    pub fn is_limited(&self) -> bool {
        self.latency.is_some() || self.flops.is_some()
    }
}

/// Budgets with a name, OpenAI's `quality`. None of them is ever infeasible by itself: where the
/// name grants less than the cheapest plan needs, the cheapest plan is granted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// The cheapest plan within [`AUTO_TOLERANCE`] of the family's best. Beside a limit in numbers
    /// it adds nothing: the limit decides.
    #[default]
    Auto,
    /// The family's `low` operations for each picture.
    Low,
    /// The family's `medium` operations for each picture.
    Medium,
    /// The family's `high` operations for each picture.
    High,
    /// The family's `xhigh` operations for each picture.
    Xhigh,
    /// The best plan, whatever it costs.
    Max,
}

impl Quality {
    /// Returns the operations that the name grants for one picture, if it names a number.
    pub fn flops_per_image(self, budgets: &NamedBudgets) -> Option<Flops> {
        match self {
            Self::Low => Some(budgets.low),
            Self::Medium => Some(budgets.medium),
            Self::High => Some(budgets.high),
            Self::Xhigh => Some(budgets.xhigh),
            Self::Auto | Self::Max => None,
        }
    }
}

/// How much score [`Quality::Auto`] gives away for a cheaper plan.
pub const AUTO_TOLERANCE: f64 = 0.01;

/// Which score is maximised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// How close the pictures come to real ones: 1 - CMMD(plan) / CMMD(anchor), clipped to [0, 1]. In a
    /// profile of kind `self`: how close they come to those of the family's own dearest plan.
    Fidelity,
    /// Share of pictures in which the evaluator finds every attribute of the caption. Refused where the
    /// profile is of kind `self`, which cannot tell.
    Alignment,
    /// The mean of both; the fidelity alone in a profile of kind `self`.
    #[default]
    Balanced,
}

impl Objective {
    /// Every objective.
    pub const ALL: [Self; 3] = [Self::Fidelity, Self::Alignment, Self::Balanced];
}

/// Which cost the dual problem minimises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cost {
    /// Predicted p99 latency.
    Latency,
    /// Operations.
    Tflops,
}

impl Cost {
    /// The cost that is not this one.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Tflops => Self::Latency,
            Self::Latency => Self::Tflops,
        }
    }
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
    /// Exactly this plan, which is then held against the budget and never replaced. It excludes all other
    /// pins, and the request's size must be its own.
    pub plan: Option<Plan>,
}

impl Pins {
    /// Whether nothing is fixed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
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
    /// Prompts that are known to be kept encoded from earlier requests: they take no time. Operations are
    /// counted all the same, so that a budget in operations buys the same picture every time.
    pub kept_texts: u32,
}

impl PlanRequest {
    /// Prompts to encode: the empty prompt of guidance is encoded once for all requests.
    pub fn n_prompts(&self) -> u32 {
        1 + u32::from(self.has_negative_prompt)
    }

    /// Those of them that take time.
    pub fn n_new_texts(&self) -> u32 {
        self.n_prompts().saturating_sub(self.kept_texts)
    }
}

/// What else the server has to do.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Predicted work ahead of this request.
    pub queued: Millis,
}

impl Load {
    /// Nothing ahead: what "infeasible" is judged by.
    pub const IDLE: Self = Self {
        queued: Millis::ZERO,
    };
}
