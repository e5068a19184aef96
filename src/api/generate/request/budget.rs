//! What may the field `budget` say?

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{error::ApiError, fields::Fields},
    planner::{Cost, Objective},
    runtime::OnLate,
};

/// What a request grants. Every limit that is present holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetRequest {
    /// Milliseconds from the parsed request head to the finished body: queue included, network excluded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(exclusive_minimum = 0, example = 800)]
    pub latency_ms: Option<f64>,
    /// 10^12 floating-point operations of the whole request: text once, `n` times denoise and decode.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(exclusive_minimum = 0, example = 1.5)]
    pub tflops: Option<f64>,
    /// Which score is maximized; `balanced` when left out. Of a family whose profile is of kind `self`
    /// (`GET /v1/models`), `fidelity` and `balanced` are the same and `alignment` is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<Objective>,
    /// Refuse rather than choose a plan that is predicted to score less.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1)]
    pub min_score: Option<f64>,
    /// The dual problem: the cheapest plan that reaches `min_score`, which it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimize: Option<Cost>,
    /// What happens when `latency_ms` cannot be kept any more: `degrade` takes fewer steps, as far as
    /// `min_score` allows; `reject` answers 504; `run_late` finishes the picture and marks it `late`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(default = "degrade", pattern = "^(degrade|reject|run_late)$")]
    pub on_late: Option<String>,
}

/// What `objective` may say.
pub(in crate::api) const OBJECTIVES: [(&str, Objective); 3] = [
    ("fidelity", Objective::Fidelity),
    ("alignment", Objective::Alignment),
    ("balanced", Objective::Balanced),
];

/// What `on_late` may say.
pub(in crate::api) const ON_LATE: [(&str, OnLate); 3] = [
    ("degrade", OnLate::Degrade),
    ("reject", OnLate::Reject),
    ("run_late", OnLate::RunLate),
];

const COSTS: [(&str, Cost); 2] = [("latency", Cost::Latency), ("tflops", Cost::Tflops)];

impl BudgetRequest {
    /// Takes the field `budget`.
    pub(in crate::api) fn take_from(request: &mut Fields) -> Result<Option<Self>, ApiError> {
        let Some(mut fields) = request.object("budget", "budget.")? else {
            return Ok(None);
        };
        let positive = |number: f64| number > 0.0;
        let budget = Self {
            latency_ms: fields.number("latency_ms", "milliseconds above 0", positive)?,
            tflops: fields.number("tflops", "10^12 operations above 0", positive)?,
            objective: fields.choice("objective", &OBJECTIVES)?,
            min_score: fields.number("min_score", "a number from 0 to 1", |score| {
                (0.0..=1.0).contains(&score)
            })?,
            minimize: fields.choice("minimize", &COSTS)?,
            on_late: on_late(&mut fields)?,
        };
        fields.finish()?;
        if budget.minimize.is_some() && budget.min_score.is_none() {
            return Err(ApiError::MissingField {
                param: "budget.min_score".to_owned(),
                message: "budget.minimize needs budget.min_score, the score that the cheapest plan must reach"
                    .to_owned(),
            });
        }
        Ok(Some(budget))
    }
}

fn on_late(fields: &mut Fields) -> Result<Option<String>, ApiError> {
    let names = ON_LATE.map(|(name, _)| (name, name));
    Ok(fields.choice("on_late", &names)?.map(str::to_owned))
}
