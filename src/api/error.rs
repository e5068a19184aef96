//! What does a client hear when the answer is no? One shape for every route, made here and nowhere else.
//!
//! The shape is OpenAI's (`error.message`, `type`, `code`, `param`) with fields beside it that
//! help a program to do better next time. [`ApiError::kind`] is stable: it is the `code` of the
//! reply and the label of the metric. Official SDKs retry 408, 409, 429 and every 5xx unless told
//! otherwise, so 422 says `x-should-retry: false` and what will pass says when.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder, response},
};

use crate::{
    planner::{Limit, MinimumFeasible, Refusal},
    runtime::Progress,
};

/// How soon a client should ask again while weights load or the server leaves.
const SOON: Duration = Duration::from_secs(2);

/// Every way of saying no.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ApiError {
    /// A field or header has the wrong type or lies outside its range.
    #[error("{message}")]
    InvalidValue {
        /// The field's path, or the header's name.
        param: String,
        /// What was found and what would work.
        message: String,
    },
    /// A field that must be there is not.
    #[error("{message}")]
    MissingField {
        /// The field's path.
        param: String,
        /// What it should hold.
        message: String,
    },
    /// A field that no version of this interface knows.
    #[error("unknown field {param:?}; {}", hint(*nearest, known))]
    UnknownField {
        /// The field's path.
        param: String,
        /// The known field with the nearest spelling.
        nearest: Option<&'static str>,
        /// The fields that are known at this place.
        known: Vec<&'static str>,
    },
    /// A value that the interface knows and this version does not do yet.
    #[error("{message}")]
    NotImplemented {
        /// The field's path.
        param: String,
        /// What would work.
        message: String,
    },
    /// The body is not a JSON object.
    #[error("the body is not a JSON object: {message}")]
    InvalidJson {
        /// What is wrong, with line and column.
        message: String,
    },
    /// The body says that it is something else than JSON.
    #[error("the content type {found:?} is not read here; send application/json")]
    UnsupportedMediaType {
        /// What the request said.
        found: String,
    },
    /// The body is longer than the limit.
    #[error("the body is longer than {limit_bytes} bytes; shorten the prompt")]
    BodyTooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The body did not arrive in time, or its connection broke.
    #[error("the body did not arrive within {limit_ms} ms; send it at once")]
    BodyTimeout {
        /// The limit.
        limit_ms: u64,
    },
    /// No key, or an unknown one.
    #[error("{}", if *given {
        "the API key is not known here; ask the operator for one"
    } else {
        "an API key is needed; send it as \"Authorization: Bearer <key>\""
    })]
    Unauthorized {
        /// Whether there was a key at all.
        given: bool,
    },
    /// No such model or family.
    #[error("model {asked:?} is not hosted here; choose one of {}", known.join(", "))]
    UnknownModel {
        /// What was asked for.
        asked: String,
        /// Every id that would work.
        known: Vec<String>,
    },
    /// No such route.
    #[error("there is nothing at {path}; GET /docs lists every route")]
    UnknownRoute {
        /// The path that was asked for.
        path: String,
    },
    /// The route exists, but not for this method.
    #[error("{path} does not answer {method}; GET /docs lists every route")]
    MethodNotAllowed {
        /// The method that was used.
        method: String,
        /// The path that was asked for.
        path: String,
    },
    /// The planner found no plan; it knows why and what would do.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// Only the load prevents it.
    #[error("{message}")]
    Overloaded {
        /// How much work is queued.
        message: String,
        /// When it is worth asking again.
        retry_after: Duration,
    },
    /// The weights are not there yet.
    #[error(
        "still warming up: {} of {models} models loaded, {} timed; ask again soon",
        progress.models_loaded, progress.models_timed, models = progress.models
    )]
    Loading {
        /// How far it is.
        progress: LoadProgress,
    },
    /// The server takes no more work.
    #[error("the server is shutting down; ask another one")]
    ShuttingDown,
    /// The answer took longer than the server allows for any request.
    #[error(
        "the request took longer than {limit_ms} ms, the most this server allows; ask for fewer pictures"
    )]
    RequestTimeout {
        /// The limit.
        limit_ms: u64,
    },
    /// A fault of the server.
    #[error("{message}")]
    Failed {
        /// What can be said about it.
        message: String,
    },
}

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

impl ApiError {
    /// Every [`Self::kind`] there is.
    pub const KINDS: [&'static str; 21] = [
        "invalid_value",
        "missing_field",
        "unknown_field",
        "not_implemented",
        "invalid_json",
        "unsupported_media_type",
        "body_too_large",
        "body_timeout",
        "invalid_api_key",
        "model_not_found",
        "route_not_found",
        "method_not_allowed",
        "conflicting_fields",
        "min_score_out_of_reach",
        "budget_infeasible",
        "latency_unknown",
        "overloaded",
        "loading",
        "shutting_down",
        "request_timeout",
        "internal_error",
    ];

    /// Returns the stable name of this error, one of [`Self::KINDS`].
    pub fn kind(&self) -> &'static str {
        match self {
            Self::InvalidValue { .. } => "invalid_value",
            Self::MissingField { .. } => "missing_field",
            Self::UnknownField { .. } => "unknown_field",
            Self::NotImplemented { .. } => "not_implemented",
            Self::InvalidJson { .. } => "invalid_json",
            Self::UnsupportedMediaType { .. } => "unsupported_media_type",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyTimeout { .. } => "body_timeout",
            Self::Unauthorized { .. } => "invalid_api_key",
            Self::UnknownModel { .. } => "model_not_found",
            Self::UnknownRoute { .. } => "route_not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::Refused(refusal) => refusal_kind(refusal),
            Self::Overloaded { .. } => "overloaded",
            Self::Loading { .. } => "loading",
            Self::ShuttingDown => "shutting_down",
            Self::RequestTimeout { .. } => "request_timeout",
            Self::Failed { .. } => "internal_error",
        }
    }

    /// Returns the status of the reply.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::InvalidValue { .. }
            | Self::MissingField { .. }
            | Self::UnknownField { .. }
            | Self::NotImplemented { .. }
            | Self::InvalidJson { .. } => StatusCode::BAD_REQUEST,
            Self::Unauthorized { .. } => StatusCode::UNAUTHORIZED,
            Self::UnknownModel { .. } | Self::UnknownRoute { .. } => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Refused(refusal) => refusal_status(refusal),
            Self::Overloaded { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Failed { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Loading { .. } | Self::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            Self::RequestTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
        }
    }

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
            | Self::NotImplemented { param, .. } => Some(param),
            Self::Refused(refusal) => refusal.param(),
            Self::UnknownModel { .. } => Some("model"),
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
            Self::Refused(refusal) => match &**refusal {
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

    fn body(&self) -> ErrorReply {
        let infeasible = match self {
            Self::Refused(refusal) => match &**refusal {
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

/// A request at odds with itself is a bad request; one that asks for too much is well formed.
fn refusal_status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::UnknownModel { .. } => StatusCode::NOT_FOUND,
        Refusal::UnknownSize { .. } | Refusal::Conflict(_) => StatusCode::BAD_REQUEST,
        Refusal::MinScoreOutOfReach { .. } | Refusal::Infeasible(_) => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Refusal::LatencyUnknown => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Overloaded { .. } => StatusCode::TOO_MANY_REQUESTS,
    }
}

fn refusal_kind(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownModel { .. } => "model_not_found",
        Refusal::UnknownSize { .. } => "invalid_value",
        Refusal::Conflict(_) => "conflicting_fields",
        Refusal::MinScoreOutOfReach { .. } => "min_score_out_of_reach",
        Refusal::Infeasible(_) => "budget_infeasible",
        Refusal::LatencyUnknown => "latency_unknown",
        Refusal::Overloaded { .. } => "overloaded",
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// The name of the error, left on a response for the layer that counts refusals.
#[derive(Debug, Clone, Copy)]
pub(super) struct RefusalKind(pub(super) &'static str);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(self.body())).into_response();
        response.extensions_mut().insert(RefusalKind(self.kind()));
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

fn hint(nearest: Option<&str>, known: &[&str]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean {nearest:?}?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// Documents the refusals that every route may answer with.
pub(super) struct AnyRouteErrors;

impl IntoResponses for AnyRouteErrors {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        documented(&[
            (401, "invalid_api_key, if the server has keys"),
            (500, "internal_error"),
        ])
    }
}

/// Documents the refusals of routes that read a request for pictures.
pub(super) struct RequestErrors;

impl IntoResponses for RequestErrors {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        documented(&[
            (
                400,
                "invalid_value, missing_field, unknown_field, conflicting_fields, not_implemented or invalid_json; `param` names the field",
            ),
            (404, "model_not_found; `known` lists what is hosted"),
            (408, "body_timeout"),
            (413, "body_too_large"),
            (415, "unsupported_media_type"),
            (
                422,
                "budget_infeasible: no plan fits even an idle server, `minimum_feasible` would do; or min_score_out_of_reach",
            ),
            (
                503,
                "loading, latency_unknown or shutting_down; see Retry-After",
            ),
        ])
    }
}

/// Documents the refusals of routes that also run the work.
pub(super) struct RunErrors;

impl IntoResponses for RunErrors {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        documented(&[
            (
                429,
                "overloaded: only the load prevents it; see Retry-After",
            ),
            (504, "request_timeout"),
        ])
    }
}

fn documented(answers: &[(u16, &str)]) -> BTreeMap<String, RefOr<response::Response>> {
    let shape = Ref::from_schema_name("ErrorReply");
    answers
        .iter()
        .map(|(status, description)| {
            let content = ContentBuilder::new().schema(Some(shape.clone())).build();
            let answer = ResponseBuilder::new()
                .description(*description)
                .content("application/json", content)
                .build();
            (status.to_string(), RefOr::T(answer))
        })
        .collect()
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
    fn only_the_kind_is_left_for_the_layers() {
        let response = ApiError::ShuttingDown.into_response();
        let kind = response.extensions().get::<RefusalKind>().unwrap().0;
        assert!(ApiError::KINDS.contains(&kind));
    }
}
