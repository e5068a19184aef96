//! How does a request become a picture? Read, settled, planned, run, answered: one function each.

use std::time::Duration;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};

use serde::Serialize;

use super::{
    body::JsonObject,
    error::{AnyRouteErrors, ApiError, RequestErrors, RunErrors},
    layers::Arrival,
    state::AppState,
};
use crate::{
    planner::{Decision, Estimate, Finished, PlanToken, Ran, Took},
    runtime::{Job, JobError, Outcome, Phases, Readiness, SubmitError, Ticket},
    telemetry::BudgetKind,
    units::{Flops, Millis, Moment},
};
use reply::{Actual, BudgetReply, GenerateReply, ImageReply};

mod bulk;
mod deadline;
pub(super) mod reply;
pub(super) mod request;
pub(super) mod spec;
pub(super) mod warnings;

pub use request::{BudgetRequest, GenerateRequest};
pub(super) use spec::Spec;

/// Draw.
///
/// Chooses the plan that is predicted to be the best one within the budget, runs it, and answers
/// with the pictures, the plan, what was predicted and what came out. The headers
/// `Request-Timeout-Ms`, `grpc-timeout` and `X-Request-Timeout` lower `budget.latency_ms`.
#[utoipa::path(
    post,
    path = "/v1/images/generations",
    operation_id = "createImage",
    tag = "images",
    request_body = GenerateRequest,
    responses(
        (status = 200, description = "Every picture, as base64", body = GenerateReply),
        RequestErrors, RunErrors, AnyRouteErrors
    )
)]
pub(super) async fn generate(
    State(state): State<AppState>,
    Extension(Arrival(arrived)): Extension<Arrival>,
    headers: HeaderMap,
    JsonObject(body): JsonObject,
) -> Result<Response, ApiError> {
    let request = GenerateRequest::parse(body, state.limits())?;
    let spec = Spec::new(request, &headers, state.catalog(), state.limits())?;
    let reply = draw(&state, &spec, arrived).await?;
    json(reply.n_bytes(), reply).await
}

/// Plans a request whose meaning is settled, runs it and tells what came of it.
pub(super) async fn draw(
    state: &AppState,
    spec: &Spec<'_>,
    arrived: Moment,
) -> Result<GenerateReply, ApiError> {
    refuse_until_ready(state)?;
    let decision = decide(state, spec)?;
    let ticket = submit(state, spec, &decision, arrived)?;
    let mut outcome = finished(state, ticket).await?;
    let images = std::mem::take(&mut outcome.images);
    let bytes = images.iter().map(|image| image.file.len()).sum();
    let in_base64 = move || images.iter().map(ImageReply::new).collect();
    let data = bulk::run(bytes, in_base64).await?;
    Ok(answer(state, spec, decision, (&outcome, data), arrived))
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

/// Tells how far the warm-up is rather than promise a plan that nobody can run yet.
fn refuse_until_ready(state: &AppState) -> Result<(), ApiError> {
    match state.runtime().readiness() {
        Readiness::Ready => Ok(()),
        Readiness::Warming(progress) => Err(ApiError::Loading {
            progress: progress.into(),
        }),
        Readiness::Draining => Err(ApiError::ShuttingDown),
        Readiness::Failed { reason } => Err(ApiError::Failed {
            message: format!("the models could not be loaded: {reason}"),
        }),
    }
}

/// Chooses the plan, and holds it against the server's own limit.
fn decide(state: &AppState, spec: &Spec<'_>) -> Result<Decision, ApiError> {
    let menus = state.menus(spec.family);
    let load = state.load();
    let decision = menus.choose(&spec.plan_request, &state.latency(), load)?;
    refuse_beyond(state.limits().max_flops, &decision.estimate)?;
    Ok(decision)
}

/// Refuses work that is more than the server does for one request, whatever its budget.
pub(super) fn refuse_beyond(allowed: Flops, estimate: &Estimate) -> Result<(), ApiError> {
    if estimate.flops() <= allowed {
        return Ok(());
    }
    Err(ApiError::InvalidValue {
        param: "budget.tflops".to_owned(),
        message: format!(
            "the plan for this request needs {:.3} tflops, and this server allows {:.3}; \
             ask for fewer pictures or steps, or set budget.tflops to at most that",
            estimate.tflops,
            allowed.tflops()
        ),
    })
}

fn submit(
    state: &AppState,
    spec: &Spec<'_>,
    decision: &Decision,
    arrived: Moment,
) -> Result<Ticket, ApiError> {
    let speed = state.latency().speed_factor();
    let plan = &decision.plan;
    let job = Job {
        prompt: spec.prompt.clone(),
        negative_prompt: spec.negative_prompt.clone(),
        plan: plan.clone(),
        seeds: spec.seeds(),
        format: spec.format,
        arrived,
        predicted: decision.phases.unwrap_or_default() * speed,
    };
    let ticket = state
        .runtime()
        .submit(job)
        .map_err(|error| not_admitted(state, &error))?;
    state.metrics().planned(&plan.model.0, plan.sampler.name());
    tracing::info!(
        plan.model = %plan.model,
        plan.sampler = %plan.sampler,
        plan.steps = plan.steps,
        plan.guidance_scale = plan.guidance_scale,
        images = spec.plan_request.n_images,
        "request admitted"
    );
    Ok(ticket)
}

fn not_admitted(state: &AppState, error: &SubmitError) -> ApiError {
    match error {
        // A full queue has room again when one job is done, so the wait is one job's share of it.
        SubmitError::Overloaded { capacity } => {
            let share = state.load().queued.0 / 1e3 / *capacity as f64;
            ApiError::Overloaded {
                message: error.to_string(),
                retry_after: Duration::from_secs_f64(share.clamp(0.1, 60.0)),
            }
        }
        SubmitError::ShuttingDown => ApiError::ShuttingDown,
        SubmitError::NotReady => refuse_until_ready(state)
            .err()
            .unwrap_or(ApiError::ShuttingDown),
        SubmitError::UnknownModel(_) => ApiError::Failed {
            message: error.to_string(),
        },
    }
}

/// Waits for the outcome. A client that leaves drops this future, and with it the ticket, which
/// cancels the job at its next step; so does the time limit.
async fn finished(state: &AppState, ticket: Ticket) -> Result<Outcome, ApiError> {
    let limit = state.limits().request_timeout;
    let outcome = tokio::time::timeout(limit, ticket.outcome()).await;
    let outcome = outcome.map_err(|_elapsed| ApiError::RequestTimeout {
        limit_ms: limit.as_millis() as u64,
    })?;
    outcome.map_err(|error| match error {
        JobError::ShuttingDown => ApiError::ShuttingDown,
        JobError::Failed(_) | JobError::Panicked => ApiError::Failed {
            message: error.to_string(),
        },
    })
}

fn answer(
    state: &AppState,
    spec: &Spec<'_>,
    decision: Decision,
    (outcome, mut data): (&Outcome, Vec<ImageReply>),
    arrived: Moment,
) -> GenerateReply {
    let limit = spec.plan_request.budget.latency;
    // The clock is read after base64, so `late` is filled in here.
    let latency = Millis::from(state.clock().now().since(arrived));
    let late = limit.is_some_and(|limit| latency > limit);
    for image in &mut data {
        image.late = late;
    }
    record(state, spec, &decision, outcome, latency);
    GenerateReply {
        created: state.clock().unix_seconds(),
        data,
        output_format: spec.format,
        size: decision.plan.size,
        quality: spec.plan_request.budget.quality.unwrap_or_default(),
        background: "opaque",
        warnings: warnings::of(
            state.metrics(),
            spec,
            warnings::told(decision.warnings, outcome.tokens_cut),
        ),
        budget: BudgetReply::of(spec, state.menus(spec.family).budgets(), &decision.estimate),
        actual: Actual::new(outcome, spec.plan_request.n_images, latency),
        estimate: decision.estimate,
        plan_token: PlanToken::new(&decision.plan, spec.family).to_string(),
        plan: decision.plan,
    }
}

/// Learns from what came out, and counts it.
fn record(
    state: &AppState,
    spec: &Spec<'_>,
    decision: &Decision,
    outcome: &Outcome,
    latency: Millis,
) {
    if let Some(finished) = finished_request(spec, decision, outcome, latency) {
        if let Some(sum) = state.latency().sum(&finished) {
            let predicted = state.latency().estimate(sum, Millis::ZERO).p50;
            let actual = latency.0 - outcome.phases.queue.0;
            state.metrics().latency_ratio(actual / predicted.0);
        }
        state.learn(&finished);
    }
    let budget = &spec.plan_request.budget;
    if let Some(limit) = budget.latency {
        state
            .metrics()
            .budget(BudgetKind::Latency, latency <= limit);
    }
    if let Some(limit) = budget.flops {
        state
            .metrics()
            .budget(BudgetKind::Tflops, outcome.flops <= limit);
    }
}

/// What the latency model learns from. Every promise is made for texts that are new, and texts that were
/// kept encoded from earlier requests did not run: repeated prompts do not teach that all requests take
/// less.
fn finished_request(
    spec: &Spec<'_>,
    decision: &Decision,
    outcome: &Outcome,
    latency: Millis,
) -> Option<Finished> {
    let Phases {
        queue,
        text,
        rank,
        decode,
        encode,
        ..
    } = outcome.phases;
    let ran = Ran {
        family: spec.family,
        plan: &decision.plan,
        n_images: spec.plan_request.n_images,
        n_texts: outcome.texts_encoded,
    };
    let took = Took {
        text,
        steps: &outcome.steps,
        rank,
        decode,
        encode,
        whole: Millis(latency.0 - queue.0),
    };
    Finished::new(ran, took)
}
