//! Why was a plan not chosen?

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use crate::units::Millis;

/// Why a plan was not chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Loss {
    /// It is predicted to score less.
    LowerScore {
        /// By how much; null if one of the plans was never measured.
        by: Option<f64>,
        /// The standard error of the paired difference.
        standard_error: Option<f64>,
    },
    /// It is predicted to score more, but by less than one standard error, and costs more.
    WithinNoise {
        /// By how much.
        by: f64,
        /// The standard error of the paired difference.
        standard_error: f64,
    },
    /// It would be good enough, but costs more.
    CostsMore {
        /// By how many tflops; null if it does not.
        tflops: Option<f64>,
        /// By how many milliseconds at p99; null if it does not.
        #[schema(value_type = Option<f64>)]
        latency_ms: Option<Millis>,
    },
    /// Its cheapest plan exceeds the budget.
    OverBudget {
        /// By how many tflops; null if it does not.
        tflops: Option<f64>,
        /// By how many milliseconds at p99; null if it does not.
        #[schema(value_type = Option<f64>)]
        latency_ms: Option<Millis>,
    },
    /// It does not reach `min_score`.
    BelowMinScore {
        /// By how much; null if it was never measured.
        by: Option<f64>,
    },
    /// It is predicted to score more, but the request fixes another model.
    OtherModelPinned {
        /// By how much; null if one of the plans was never measured.
        by: Option<f64>,
    },
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let and = |tflops: Option<f64>, latency_ms: Option<Millis>| {
            let tflops = tflops.map(|by| format!("{by:.4} tflops"));
            let latency = latency_ms.map(|by| format!("{:.1} ms", by.0));
            let parts: Vec<String> = latency.into_iter().chain(tflops).collect();
            parts.join(" and ")
        };
        match *self {
            Self::LowerScore {
                by: Some(by),
                standard_error: Some(error),
            } => write!(f, "predicted to score {by:.4} less (+- {error:.4})"),
            Self::LowerScore { .. } => f.write_str("not preferred; never measured"),
            Self::WithinNoise { by, standard_error } => write!(
                f,
                "predicted to score {by:.4} more, within the error of {standard_error:.4}, \
                 and not cheaper"
            ),
            Self::CostsMore { tflops, latency_ms } => match and(tflops, latency_ms) {
                by if by.is_empty() => f.write_str("good enough, and no cheaper"),
                by => write!(f, "good enough, but takes {by} more"),
            },
            Self::OverBudget { tflops, latency_ms } => match and(tflops, latency_ms) {
                by if by.is_empty() => f.write_str("its latency is not known"),
                by => write!(f, "its cheapest plan is {by} over budget"),
            },
            Self::BelowMinScore { by: Some(by) } => write!(f, "{by:.4} below min_score"),
            Self::BelowMinScore { by: None } => f.write_str("min_score is set; never measured"),
            Self::OtherModelPinned { by: Some(by) } => write!(
                f,
                "predicted to score {by:.4} more, but the request fixes another model"
            ),
            Self::OtherModelPinned { by: None } => f.write_str("the request fixes another model"),
        }
    }
}
