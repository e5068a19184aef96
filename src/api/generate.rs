//! How does a request become a picture? Read and settled here, planned and run in [`run`], and answered at once,
//! as a [`stream`] or later on (`super::jobs`).

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::{
    body::JsonObject,
    error::{AnyRouteErrors, ApiError, RequestErrors, RunErrors},
    layers::Arrival,
    state::AppState,
};
use crate::units::Moment;

mod account;
mod bulk;
mod deadline;
pub(super) mod reply;
pub(super) mod request;
pub(super) mod run;
mod spans;
pub(super) mod spec;
mod stream;
pub(super) mod warnings;

pub(super) use deadline::LatencySource;
pub(crate) use request::MAX_GUIDANCE_SCALE;
pub(super) use request::OBJECTIVES;
pub use request::{BudgetRequest, GenerateRequest};
pub(super) use run::{Audience, Run, refuse_beyond};
pub(super) use spec::Spec;

/// A request that was read and not yet settled: it outlives the connection that it came by.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) request: GenerateRequest,
    pub(super) headers: HeaderMap,
    pub(super) arrived: Moment,
}

impl Asked {
    /// Reads it.
    pub(super) fn read(
        body: Map<String, Value>,
        headers: HeaderMap,
        arrived: Moment,
        state: &AppState,
    ) -> Result<Self, ApiError> {
        Ok(Self {
            request: GenerateRequest::parse(body, state.limits())?,
            headers,
            arrived,
        })
    }

    /// Settles it against what is hosted.
    pub(super) fn spec<'a>(&self, state: &'a AppState) -> Result<Spec<'a>, ApiError> {
        let request = self.request.clone();
        let spec = Spec::new(request, &self.headers, state.catalog(), state.limits())?;
        Ok(spec.with_known(state.texts()))
    }
}

/// Draw.
///
/// Chooses the plan that is predicted to be the best one within the budget, runs it, and answers
/// with the pictures, the plan, what was predicted and what came out. The headers
/// `Request-Timeout-Ms`, `grpc-timeout` and `X-Request-Timeout` lower `budget.latency_ms`. With `stream`
/// the answer is a stream of server-sent events, OpenAI's `image_generation.partial_image` and
/// `image_generation.completed`, and `error`.
#[utoipa::path(
    post,
    path = "/v1/images/generations",
    operation_id = "createImage",
    tag = "images",
    request_body = GenerateRequest,
    responses(
        (status = 200, description = "Every picture, as base64", content(
            (reply::GenerateReply = "application/json"),
            (String = "text/event-stream")
        )),
        RequestErrors, RunErrors, AnyRouteErrors
    )
)]
pub(super) async fn generate(
    State(state): State<AppState>,
    Extension(Arrival(arrived)): Extension<Arrival>,
    headers: HeaderMap,
    JsonObject(body): JsonObject,
) -> Result<Response, ApiError> {
    let asked = Asked::read(body, headers, arrived, &state)?;
    if asked.request.stream == Some(true) {
        return stream::reply(state, asked).await;
    }
    let spec = asked.spec(&state)?;
    let run = Run::admit(&state, &spec, arrived, Audience::Nobody)?;
    let reply = run.reply().await?;
    json(reply.n_bytes(), reply).await
}

/// What came of a request whose work goes on beside the connection that it came by.
pub(super) async fn admission<T>(
    admitted: oneshot::Receiver<Result<T, ApiError>>,
) -> Result<T, ApiError> {
    admitted.await.unwrap_or_else(|_| {
        Err(ApiError::Failed {
            message: "a fault of the server; it was logged".to_owned(),
        })
    })
}

/// Writes a reply with so many bytes of pictures.
pub(super) async fn json(
    n_bytes: usize,
    reply: impl Serialize + Send + 'static,
) -> Result<Response, ApiError> {
    let write = move || serde_json::to_vec(&reply).expect("a reply of plain values can be written");
    let body = bulk::run(n_bytes, write).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}
