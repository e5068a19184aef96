//! How is a refusal written? OpenAI's shape, the headers that tell SDKs whether to ask again, and what would do.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiError;
use crate::{
    planner::{Limit, MinimumFeasible, Refusal},
    runtime::Progress,
};

/// How soon a client should ask again while weights load or the server leaves.
const SOON: Duration = Duration::from_secs(2);

/// How far the weights are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct LoadProgress {
    /// Models whose weights are in memory.
    pub models_loaded: usize,
    /// Models whose speed on this machine is known.
    pub models_timed: usize,
    /// All models.
    pub models: usize,
}

impl From<Progress> for LoadProgress {
    fn from(progress: Progress) -> Self {
        Self {
            models_loaded: progress.models_loaded,
            models_timed: progress.models_timed,
            models: progress.models,
        }
    }
}

/// The body of every refusal.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorReply {
    /// What went wrong.
    pub error: ErrorBody,
}

/// What went wrong, in OpenAI's shape with additions.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// For people: what was found and what would work.
    pub message: String,
    /// The kind of fault, as OpenAI names it.
    #[schema(example = "invalid_request_error")]
    pub r#type: &'static str,
    /// The fault itself; stable.
    #[schema(example = "invalid_value")]
    pub code: &'static str,
    /// The field or header at fault.
    pub param: Option<String>,
    /// With `budget_infeasible`: what would do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub minimum_feasible: Option<MinimumFeasible>,
    /// With `budget_infeasible`: which limit is too low.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub limit: Option<Limit>,
    /// With `unknown_field` and `model_not_found`: what would work.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub known: Vec<String>,
    /// With `loading`: how far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub loading: Option<LoadProgress>,
    /// When it is worth asking again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub retry_after_ms: Option<u64>,
}

/// The error, left on a response for the layers that count refusals and write them in another shape.
#[derive(Debug, Clone)]
pub(in crate::api) struct Refused {
    /// One of [`ApiError::KINDS`].
    pub(in crate::api) kind: &'static str,
    /// For people.
    pub(in crate::api) message: String,
}

impl ApiError {
    fn openai_type(&self) -> &'static str {
        match self {
            Self::Unauthorized { .. } => "authentication_error",
            _ if self.status() == StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            _ if self.status().is_server_error() => "server_error",
            _ => "invalid_request_error",
        }
    }

    fn param(&self) -> Option<&str> {
        match self {
            Self::InvalidValue { param, .. }
            | Self::MissingField { param, .. }
            | Self::UnknownField { param, .. }
            | Self::ConflictingFields { param, .. }
            | Self::NotImplemented { param, .. } => Some(param),
            Self::Refused(refusal, header) => header.or_else(|| refusal.param()),
            Self::UnknownModel { .. } => Some("model"),
            Self::InvalidPlanToken(_) | Self::StalePlanToken { .. } => Some("plan_token"),
            _ => None,
        }
    }

    fn known(&self) -> Vec<String> {
        match self {
            Self::UnknownField { known, .. } => known.iter().map(ToString::to_string).collect(),
            Self::UnknownModel { known, .. } => known.clone(),
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { retry_after, .. } => Some(*retry_after),
            Self::Refused(refusal, _) => match &**refusal {
                Refusal::Overloaded { retry_after, .. } => {
                    Some(Duration::from_secs_f64(retry_after.0.max(0.0) / 1e3))
                }
                Refusal::LatencyUnknown => Some(SOON),
                _ => None,
            },
            Self::Loading { .. } | Self::ShuttingDown => Some(SOON),
            _ => None,
        }
    }

    /// Whether asking for the same once more would only waste work.
    fn is_final(&self) -> bool {
        matches!(
            self.status(),
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::GATEWAY_TIMEOUT
        )
    }

    pub(in crate::api) fn body(&self) -> ErrorReply {
        let infeasible = match self {
            Self::Refused(refusal, _) => match &**refusal {
                Refusal::Infeasible(infeasible) => Some(infeasible),
                _ => None,
            },
            _ => None,
        };
        let loading = match self {
            Self::Loading { progress } => Some(*progress),
            _ => None,
        };
        ErrorReply {
            error: ErrorBody {
                message: self.to_string(),
                r#type: self.openai_type(),
                code: self.kind(),
                param: self.param().map(str::to_owned),
                minimum_feasible: infeasible.map(|infeasible| infeasible.minimum_feasible),
                limit: infeasible.map(|infeasible| infeasible.limit),
                known: self.known(),
                loading,
                retry_after_ms: self.retry_after().map(|wait| wait.as_millis() as u64),
            },
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(self.body())).into_response();
        response.extensions_mut().insert(Refused {
            kind: self.kind(),
            message: self.to_string(),
        });
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after() {
            // Whole seconds for everybody, rounded up so that nobody comes back too early.
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            headers.insert(header::RETRY_AFTER, number(seconds));
            headers.insert(
                HeaderName::from_static("retry-after-ms"),
                number(wait.as_millis()),
            );
        }
        if self.is_final() {
            headers.insert(
                HeaderName::from_static("x-should-retry"),
                HeaderValue::from_static("false"),
            );
        }
        if matches!(self, Self::Unauthorized { .. }) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn number(value: u128) -> HeaderValue {
    HeaderValue::from_str(&value.to_string()).expect("digits are a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds_and_kept_in_milliseconds() {
        let error = ApiError::Overloaded {
            message: "2 s of work are queued".to_owned(),
            retry_after: Duration::from_millis(1200),
        };
        let response = error.into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(response.headers()["retry-after-ms"], "1200");
    }

    #[test]
    fn a_score_out_of_reach_is_not_worth_a_retry() {
        let error = ApiError::from(Refusal::MinScoreOutOfReach {
            min_score: 0.99,
            best: Some(0.7),
            because_of_pins: false,
        });
        let response = error.into_response();
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(response.headers()["x-should-retry"], "false");
    }

    #[test]
    fn the_error_is_left_for_the_layers() {
        let response = ApiError::ShuttingDown.into_response();
        let refused = response.extensions().get::<Refused>().unwrap();
        assert!(ApiError::KINDS.contains(&refused.kind));
        assert_eq!(refused.message, ApiError::ShuttingDown.to_string());
    }
}
