//! How does one come back later for a picture? A job: made, asked after, cancelled, and kept for a while.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::{
    body::JsonObject,
    error::{AnyRouteErrors, ApiError, ErrorBody, RequestErrors, RunErrors},
    generate::{Asked, Audience, GenerateRequest, Run, admission, reply::GenerateReply},
    layers::Arrival,
    state::AppState,
};
use crate::runtime::Standing;

mod kept;

pub(super) use kept::KeptJobs;
use kept::{Kept, Status};

/// A job and how far it is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobReply {
    /// Names the job.
    #[schema(example = "job_5f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f")]
    id: String,
    /// What this is.
    #[schema(example = "image.generation.job")]
    object: &'static str,
    /// How far it is.
    status: Status,
    /// Seconds since 1970 UTC.
    created: u64,
    /// Jobs that are more urgent; null once the device has begun.
    queue_position: Option<usize>,
    /// Milliseconds until the device is expected to begin; null once it has.
    starts_in_ms: Option<f64>,
    /// Milliseconds until it is expected to be finished; null once it is.
    finishes_in_ms: Option<f64>,
    /// Sampling steps behind its pictures; null once they are made.
    steps_done: Option<u32>,
    /// Sampling steps of all its pictures; null once they are made.
    steps_total: Option<u32>,
    /// What `POST /v1/images/generations` would have answered; null until it is there.
    #[schema(value_type = Option<GenerateReply>)]
    result: Option<Arc<RawValue>>,
    /// Why there is no result; null unless it failed or was cancelled.
    error: Option<ErrorBody>,
}

/// Make a job.
///
/// Takes what `POST /v1/images/generations` takes, but for `stream`, and answers at once: admitted, or
/// refused as that would. Results are kept for ten minutes.
#[utoipa::path(
    post,
    path = "/v1/images/jobs",
    operation_id = "createImageJob",
    tag = "jobs",
    request_body = GenerateRequest,
    responses(
        (status = 202, description = "The job; `Location` is where to ask after it", body = JobReply),
        RequestErrors, RunErrors, AnyRouteErrors
    )
)]
pub(super) async fn create(
    State(state): State<AppState>,
    Extension(Arrival(arrived)): Extension<Arrival>,
    headers: HeaderMap,
    JsonObject(body): JsonObject,
) -> Result<Response, ApiError> {
    let asked = Asked::read(body, headers, arrived, &state)?;
    if asked.request.stream == Some(true) {
        return Err(ApiError::ConflictingFields {
            param: "stream".to_owned(),
            message: "a job is not streamed; leave stream out, or POST to /v1/images/generations"
                .to_owned(),
        });
    }
    let (admitted, is_admitted) = oneshot::channel();
    tokio::spawn(run(state.clone(), asked, admitted));
    let id = admission(is_admitted).await?;
    let mut response = (StatusCode::ACCEPTED, Json(found(&state, &id)?)).into_response();
    if let Ok(place) = HeaderValue::from_str(&format!("/v1/images/jobs/{id}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// Runs a job to its end, whoever waits for it.
async fn run(state: AppState, asked: Asked, admitted: oneshot::Sender<Result<String, ApiError>>) {
    let spec = match asked.spec(&state) {
        Ok(spec) => spec,
        Err(error) => return drop(admitted.send(Err(error))),
    };
    let run = match Run::admit(&state, &spec, asked.arrived, Audience::Nobody) {
        Ok(run) => run,
        Err(error) => return drop(admitted.send(Err(error))),
    };
    let now = state.clock().now();
    let id = state
        .jobs()
        .begin(run.id(), state.clock().unix_seconds(), now);
    if admitted.send(Ok(id.clone())).is_err() {
        // Nobody ever heard of it.
        return state.jobs().forget(&id);
    }
    let ended = run.reply().await;
    state.jobs().end(&id, ended, state.clock().now());
}

/// Ask after a job.
///
/// How far it is, when it is expected to begin and to be finished, and its result once it is there.
#[utoipa::path(
    get,
    path = "/v1/images/jobs/{id}",
    operation_id = "getImageJob",
    tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 200, description = "The job", body = JobReply),
        (status = 404, description = "job_not_found: there is none, or it is long over", body = super::error::ErrorReply),
        AnyRouteErrors
    )
)]
pub(super) async fn retrieve(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<JobReply>, ApiError> {
    found(&state, &id).map(Json)
}

/// Cancel a job.
///
/// It stops before its next step. A job that is over stays as it is.
#[utoipa::path(
    delete,
    path = "/v1/images/jobs/{id}",
    operation_id = "cancelImageJob",
    tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 200, description = "The job; `cancelled` unless it was over before", body = JobReply),
        (status = 404, description = "job_not_found: there is none, or it is long over", body = super::error::ErrorReply),
        AnyRouteErrors
    )
)]
pub(super) async fn cancel(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<JobReply>, ApiError> {
    if let Some(kept) = state.jobs().get(&id, state.clock().now())
        && kept.status == Status::InProgress
    {
        // Pictures that are only being written are as good as there.
        if state.runtime().cancel(kept.job) {
            state.jobs().cancel(&id, state.clock().now());
        }
    }
    found(&state, &id).map(Json)
}

fn found(state: &AppState, id: &str) -> Result<JobReply, ApiError> {
    let kept = state.jobs().get(id, state.clock().now());
    let kept = kept.ok_or_else(|| ApiError::UnknownJob {
        id: super::fields::shortened(id),
    })?;
    let standing = (kept.status == Status::InProgress)
        .then(|| state.runtime().standing(kept.job))
        .flatten();
    Ok(JobReply::new(id, kept, standing))
}

impl JobReply {
    fn new(id: &str, kept: Kept, standing: Option<Standing>) -> Self {
        let waiting = standing.filter(|standing| !standing.has_begun);
        let status = match kept.status {
            Status::InProgress if waiting.is_some() => Status::Queued,
            status => status,
        };
        Self {
            id: id.to_owned(),
            object: "image.generation.job",
            status,
            created: kept.created,
            queue_position: waiting.map(|standing| standing.ahead),
            starts_in_ms: waiting.map(|standing| standing.starts_in.0),
            finishes_in_ms: standing.map(|standing| standing.finishes_in.0),
            steps_done: standing.map(|standing| standing.steps_done),
            steps_total: standing.map(|standing| standing.steps_total),
            result: kept.result,
            error: kept.error.map(|error| error.body().error),
        }
    }
}
