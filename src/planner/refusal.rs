//! Why is there no plan, and what would do?

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    catalog::{ModelId, SamplerKind},
    units::{Flops, ImageSize, Millis, Steps},
};

/// No plan fits. The first one that applies is told.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The pinned model is not one of the family.
    #[error("model {model:?} is not one of family {family:?}; choose one of {known}")]
    UnknownModel {
        /// What was asked for.
        model: String,
        /// The family.
        family: String,
        /// What would work.
        known: String,
    },
    /// The family makes no pictures of this size.
    #[error("size {size} is not on offer; choose one of {known}")]
    UnknownSize {
        /// What was asked for.
        size: ImageSize,
        /// What would work.
        known: String,
    },
    /// Parts of the request exclude each other, whatever the budget.
    #[error("{0}")]
    Conflict(Conflict),
    /// No plan is predicted to score as much, whatever the budget.
    #[error("no plan {}reaches min_score {min_score}; {}", pinned(.because_of_pins), best_there_is(.best))]
    MinScoreOutOfReach {
        /// What was asked for.
        min_score: f64,
        /// The best score that any plan within the pins has; null if they were never measured.
        best: Option<f64>,
        /// Whether some plan would reach it without the pins.
        because_of_pins: bool,
    },
    /// A latency was asked for, and this machine has not been timed.
    #[error(
        "the latency of this machine is not known yet, so latency_ms cannot be promised; \
         `goldilocks serve` measures it at start"
    )]
    LatencyUnknown,
    /// No plan fits the budget, even on an idle server.
    #[error("{0}")]
    Infeasible(Infeasible),
    /// A plan would fit on an idle server, but not behind the work that waits.
    #[error(
        "the server is busy: the fastest plan that fits would now take {:.0} ms; \
         try again in {:.0} ms", .fastest.0, .retry_after.0
    )]
    Overloaded {
        /// Predicted p99 of the fastest plan that fits otherwise, queue included.
        fastest: Millis,
        /// When the queue is predicted to have become short enough.
        retry_after: Millis,
    },
}

impl Refusal {
    /// A stable name for replies and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownModel { .. } => "unknown_model",
            Self::UnknownSize { .. } => "unknown_size",
            Self::Conflict(_) => "conflicting_fields",
            Self::MinScoreOutOfReach { .. } => "min_score_out_of_reach",
            Self::LatencyUnknown => "latency_unknown",
            Self::Infeasible(_) => "infeasible_budget",
            Self::Overloaded { .. } => "overloaded",
        }
    }

    /// Whether the same request may succeed later: only the load is in its way.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Overloaded { .. } | Self::LatencyUnknown)
    }

    /// The request field that is to blame, if there is one.
    pub fn param(&self) -> Option<&'static str> {
        match self {
            Self::UnknownModel { .. } => Some("model"),
            Self::UnknownSize { .. } => Some("size"),
            Self::Conflict(conflict) => Some(conflict.param()),
            Self::MinScoreOutOfReach { .. } => Some("budget.min_score"),
            Self::LatencyUnknown | Self::Overloaded { .. } => Some("budget.latency_ms"),
            Self::Infeasible(infeasible) => Some(match infeasible.limit {
                Limit::Latency => "budget.latency_ms",
                Limit::Tflops => "budget.tflops",
                Limit::Either | Limit::Both => "budget",
            }),
        }
    }
}

/// Parts of a request that exclude each other.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Conflict {
    /// An unguided plan does not see the negative prompt.
    #[error(
        "a negative prompt needs guidance, but guidance_scale is 1; \
         leave guidance_scale out or set it above 1"
    )]
    NegativePromptUnguided,
    /// A distilled model has its guidance baked in.
    #[error("a negative prompt needs guidance, and {model} is distilled; leave one of them out")]
    NegativePromptDistilled {
        /// The model.
        model: ModelId,
    },
    /// A distilled model is not guided.
    #[error("{model} is distilled, its guidance is baked in; leave guidance_scale out")]
    GuidedDistilled {
        /// The model.
        model: ModelId,
    },
    /// A sampler cannot take so many steps, whatever the model.
    #[error("{sampler} takes at most {max} steps, not {steps}; ask for fewer")]
    TooManySteps {
        /// The sampler.
        sampler: SamplerKind,
        /// The steps asked for.
        steps: Steps,
        /// The most that it takes.
        max: usize,
    },
    /// The whole plan is fixed, and a part of it once more.
    #[error("plan_token fixes the whole plan; leave {field} out")]
    PinBesidePlan {
        /// The field of the part.
        field: &'static str,
    },
    /// The whole plan is fixed, and makes pictures of another size.
    #[error("the plan of plan_token makes pictures of {plan}, not of {asked}; leave size out")]
    SizeBesidePlan {
        /// What it makes.
        plan: ImageSize,
        /// What was asked for.
        asked: ImageSize,
    },
    /// The whole plan is fixed and does not see the negative prompt.
    #[error(
        "a negative prompt needs guidance, and the plan of plan_token has none; leave negative_prompt out"
    )]
    NegativePromptUnguidedPlan,
    /// The whole plan is fixed, and the family cannot run it.
    #[error("the plan of plan_token cannot run here: {reason}")]
    ImpossiblePlan {
        /// Why.
        reason: Box<Conflict>,
    },
    /// Candidates are asked for, and nothing compares them with the prompt.
    #[error("nothing ranks candidates of {size} here, so there is no best one")]
    NothingRanks {
        /// The size.
        size: ImageSize,
    },
    /// The noise schedule has no such trajectory.
    #[error("{sampler} cannot spread {steps} steps over this family's noise schedule")]
    NoTrajectory {
        /// The sampler.
        sampler: SamplerKind,
        /// The steps asked for.
        steps: Steps,
    },
    /// There is nothing to minimise towards.
    #[error("minimize looks for the cheapest plan that reaches min_score; give min_score too")]
    MinimizeWithoutMinScore,
    /// Nothing looked at the family's pictures, so nobody knows how well they show what was asked for.
    #[error(
        "the plans of family {family:?} were scored by how close they come to its own dearest plan, which \
         says nothing about alignment; leave objective out, or say balanced or fidelity, which are the same here"
    )]
    AlignmentUnknown {
        /// The family.
        family: String,
    },
}

impl Conflict {
    /// The request field that is to blame.
    pub fn param(&self) -> &'static str {
        match self {
            Self::NegativePromptUnguided | Self::GuidedDistilled { .. } => "guidance_scale",
            Self::NegativePromptDistilled { .. } | Self::NegativePromptUnguidedPlan => {
                "negative_prompt"
            }
            Self::PinBesidePlan { field } => field,
            Self::SizeBesidePlan { .. } => "size",
            Self::ImpossiblePlan { .. } | Self::NothingRanks { .. } | Self::NoTrajectory { .. } => {
                "plan_token"
            }
            Self::TooManySteps { .. } => "num_inference_steps",
            Self::MinimizeWithoutMinScore => "budget.minimize",
            Self::AlignmentUnknown { .. } => "budget.objective",
        }
    }
}

/// No plan fits the budget, even on an idle server.
#[derive(Debug, Clone, PartialEq)]
pub struct Infeasible {
    /// Which limit is too low.
    pub limit: Limit,
    /// What would do.
    pub minimum_feasible: MinimumFeasible,
    /// Whether some plan would fit without the pins.
    pub because_of_pins: bool,
    /// Whether some plan would fit without `min_score`.
    pub because_of_min_score: bool,
}

/// Which limit of a budget is too low.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// `latency_ms` must rise.
    Latency,
    /// `tflops` must rise.
    Tflops,
    /// Raising one of them is enough.
    Either,
    /// Both must rise.
    Both,
}

/// The least budget that would do, rounded up, everything else being as it was asked. With limit `both` both
/// numbers are needed; else each of them does alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub struct MinimumFeasible {
    /// The least `latency_ms`; null if `latency_ms` is not what is in the way.
    #[schema(value_type = Option<f64>)]
    pub latency_ms: Option<Millis>,
    /// The least `tflops`; null if `tflops` is not what is in the way.
    pub tflops: Option<f64>,
}

/// A span that is told as a budget and really would do: the next whole microsecond above, so that
/// neither rounding nor the way through JSON takes it below what is needed.
pub(super) fn enough_time(span: Millis) -> Millis {
    Millis(((span.0 * 1e3).floor() + 1.0) / 1e3)
}

/// Operations that are told as a budget and really would do: the next whole 10^6 above, in tflops.
pub(super) fn enough_tflops(flops: Flops) -> f64 {
    ((flops.0 / 1e6).floor() + 1.0) / 1e6
}

impl std::fmt::Display for Infeasible {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let asked = match (self.because_of_pins, self.because_of_min_score) {
            (false, false) => "",
            (true, false) => "with these pins ",
            (false, true) => "with this min_score ",
            (true, true) => "with these pins and this min_score ",
        };
        let latency = self
            .minimum_feasible
            .latency_ms
            .map(|ms| format!("latency_ms of at least {}", ms.0));
        let tflops = self
            .minimum_feasible
            .tflops
            .map(|tflops| format!("tflops of at least {tflops}"));
        let join = if self.limit == Limit::Both {
            " and "
        } else {
            " or "
        };
        let would_do: Vec<String> = latency.into_iter().chain(tflops).collect();
        let would_do = would_do.join(join);
        write!(
            f,
            "no plan {asked}fits the budget, even on an idle server; {would_do} would do"
        )
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "thiserror hands in references"
)]
fn pinned(because_of_pins: &bool) -> &'static str {
    if *because_of_pins {
        "with these pins "
    } else {
        ""
    }
}

#[expect(clippy::ref_option, reason = "thiserror hands in references")]
fn best_there_is(best: &Option<f64>) -> String {
    match best {
        Some(best) => format!("the best one is predicted to score {best:.4}"),
        None => "none of them was ever measured".to_owned(),
    }
}
