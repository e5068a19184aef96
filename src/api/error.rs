//! What does a client hear when the answer is no? One shape for every route, made here and nowhere else.
//!
//! The shape is OpenAI's (`error.message`, `type`, `code`, `param`) with fields beside it that
//! help a program to do better next time. [`ApiError::kind`] is stable: it is the `code` of the
//! reply and the label of the metric. Official SDKs retry 408, 409, 429 and every 5xx unless told
//! otherwise, so 422 says `x-should-retry: false` and what will pass says when.

use std::time::Duration;

use axum::http::StatusCode;

use crate::planner::{PlanTokenError, Refusal};

mod documented;
mod reply;

pub(super) use documented::{AnyRouteErrors, RequestErrors, RunErrors};
pub(super) use reply::Refused;
pub use reply::{ErrorBody, ErrorReply, LoadProgress};

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
    /// Two fields of the request exclude each other.
    #[error("{message}")]
    ConflictingFields {
        /// The field that had better be left out.
        param: String,
        /// Why, and what would work.
        message: String,
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
    /// The text in `plan_token` is none.
    #[error("plan_token cannot be read: {0}")]
    InvalidPlanToken(PlanTokenError),
    /// The plan in `plan_token` was made for other weights.
    #[error(
        "plan_token was made for other weights than those of family {family:?} now, so what it promised \
         does not hold; ask for a new plan"
    )]
    StalePlanToken {
        /// The family.
        family: String,
    },
    /// No such job.
    #[error("there is no job {id:?}; results are kept for ten minutes")]
    UnknownJob {
        /// The id that was asked for.
        id: String,
    },
    /// No such route.
    #[error(
        "there is nothing at {path}; GET /openapi.json lists every route, and so does /docs in a browser"
    )]
    UnknownRoute {
        /// The path that was asked for.
        path: String,
    },
    /// The route exists, but not for this method.
    #[error(
        "{path} does not answer {method}; GET /openapi.json tells what each route answers, and so does /docs in a browser"
    )]
    MethodNotAllowed {
        /// The method that was used.
        method: String,
        /// The path that was asked for.
        path: String,
    },
    /// The planner found no plan; it knows why and what would do. Where a header limited the time that is too little, it
    /// is named.
    #[error("{_0}{}", header_that_limits(*_1))]
    Refused(Box<Refusal>, Option<&'static str>),
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
    /// The deadline cannot be kept any more, and the request would rather have nothing than be late.
    #[error(
        "budget.latency_ms cannot be kept any more, and budget.on_late or budget.min_score forbid what could \
         still be done; grant more time, send on_late \"run_late\", or lower min_score"
    )]
    DeadlineExceeded,
    /// Somebody cancelled it by name.
    #[error("the job was cancelled")]
    Cancelled,
    /// A fault of the server.
    #[error("{message}")]
    Failed {
        /// What can be said about it.
        message: String,
    },
}

impl ApiError {
    /// Every [`Self::kind`] there is.
    pub const KINDS: [&'static str; 26] = [
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
        "job_not_found",
        "route_not_found",
        "method_not_allowed",
        "conflicting_fields",
        "invalid_plan_token",
        "stale_plan_token",
        "min_score_out_of_reach",
        "budget_infeasible",
        "latency_unknown",
        "overloaded",
        "loading",
        "shutting_down",
        "request_timeout",
        "deadline_exceeded",
        "cancelled",
        "internal_error",
    ];

    /// Returns the stable name of this error, one of [`Self::KINDS`].
    pub fn kind(&self) -> &'static str {
        match self {
            Self::InvalidValue { .. } => "invalid_value",
            Self::MissingField { .. } => "missing_field",
            Self::UnknownField { .. } => "unknown_field",
            Self::ConflictingFields { .. } => "conflicting_fields",
            Self::NotImplemented { .. } => "not_implemented",
            Self::InvalidJson { .. } => "invalid_json",
            Self::UnsupportedMediaType { .. } => "unsupported_media_type",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyTimeout { .. } => "body_timeout",
            Self::Unauthorized { .. } => "invalid_api_key",
            Self::UnknownModel { .. } => "model_not_found",
            Self::InvalidPlanToken(_) => "invalid_plan_token",
            Self::StalePlanToken { .. } => "stale_plan_token",
            Self::UnknownJob { .. } => "job_not_found",
            Self::UnknownRoute { .. } => "route_not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::Refused(refusal, _) => refusal_kind(refusal),
            Self::Overloaded { .. } => "overloaded",
            Self::Loading { .. } => "loading",
            Self::ShuttingDown => "shutting_down",
            Self::RequestTimeout { .. } => "request_timeout",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Cancelled => "cancelled",
            Self::Failed { .. } => "internal_error",
        }
    }

    /// Returns the status of the reply.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::InvalidValue { .. }
            | Self::MissingField { .. }
            | Self::UnknownField { .. }
            | Self::ConflictingFields { .. }
            | Self::NotImplemented { .. }
            | Self::InvalidPlanToken(_)
            | Self::InvalidJson { .. } => StatusCode::BAD_REQUEST,
            Self::StalePlanToken { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unauthorized { .. } => StatusCode::UNAUTHORIZED,
            Self::UnknownModel { .. } | Self::UnknownJob { .. } | Self::UnknownRoute { .. } => {
                StatusCode::NOT_FOUND
            }
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Refused(refusal, _) => refusal_status(refusal),
            Self::Overloaded { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Failed { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Loading { .. } | Self::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            Self::RequestTimeout { .. } | Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::Cancelled => StatusCode::CONFLICT,
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
        Self::Refused(Box::new(refusal), None)
    }
}

fn header_that_limits(header: Option<&str>) -> String {
    header.map_or_else(String::new, |header| {
        format!("; the limit is that of the header {header}")
    })
}

fn hint(nearest: Option<&str>, known: &[&str]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean {nearest:?}?"),
        None => format!("known here: {}", known.join(", ")),
    }
}
