//! How is a settled request run? Planned, admitted, waited for, answered and learned from.

use std::{sync::Arc, time::Duration};

use super::{
    account, bulk,
    reply::{Actual, BudgetReply, GenerateReply, ImageReply},
    spans::{Marks, Spans},
    spec::Spec,
    warnings,
};
use crate::{
    api::{error::ApiError, state::AppState},
    planner::{
        Decision, Estimate, Finished, LatencyModel, PlanToken, Ran, Refusal, ScoreEstimate, Took,
    },
    runtime::{
        Binding, Event, Job, JobError, JobId, MenuBinder, Outcome, Phases, Readiness, Rendered,
        SubmitError, Ticket,
    },
    units::{Flops, Millis, Moment},
};

/// Nobody needs to come back sooner than this.
const SOONEST: Duration = Duration::from_millis(1);

/// Who watches a request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Audience {
    /// Only the reply is wanted.
    Nobody,
    /// Somebody who is shown so many pictures on their way, for each picture.
    Shown(u32),
}

/// A request that was admitted. Dropping it cancels it at its next step.
pub(in crate::api) struct Run<'a> {
    state: &'a AppState,
    spec: &'a Spec<'a>,
    ticket: Ticket,
    marks: Marks,
    audience: Audience,
}

impl<'a> Run<'a> {
    /// Admits a request, or says why not.
    pub(in crate::api) fn admit(
        state: &'a AppState,
        spec: &'a Spec<'a>,
        arrived: Moment,
        audience: Audience,
    ) -> Result<Self, ApiError> {
        let read = state.clock().now();
        let ticket = submit(state, spec, arrived, audience)
            .inspect_err(|error| account::not_admitted(state.metrics(), spec, error))?;
        tracing::info!(
            job.id = ticket.id.0,
            images = spec.plan_request.n_images,
            "request admitted"
        );
        Ok(Self {
            state,
            spec,
            ticket,
            marks: Marks {
                arrived,
                read,
                shown: Duration::ZERO,
            },
            audience,
        })
    }

    /// Names its job.
    pub(in crate::api) fn id(&self) -> JobId {
        self.ticket.id
    }

    /// Waits for what happens next; none once its outcome is there.
    pub(in crate::api) async fn event(&mut self) -> Option<Event> {
        self.ticket.event().await
    }

    /// Waits for the outcome. A client that leaves drops this future, and with it the ticket, which
    /// cancels the job at its next step; so does the time limit.
    pub(in crate::api) async fn reply(self) -> Result<GenerateReply, ApiError> {
        let Self {
            state,
            spec,
            ticket,
            mut marks,
            audience,
        } = self;
        let mut outcome = finished(state, ticket)
            .await
            .inspect_err(|error| account::given_up(state.metrics(), spec, error))?;
        if audience != Audience::Nobody {
            marks.shown = state.clock().now().since(outcome.answered);
        }
        let images = std::mem::take(&mut outcome.images);
        let bytes = images.iter().map(|image| image.file.len()).sum();
        let scores: Vec<_> = images
            .iter()
            .map(|image| score(state, spec, &outcome.decision, image))
            .collect();
        account::scored(state.metrics(), spec, &scores);
        let in_base64 = move || {
            let pairs = images.iter().zip(scores);
            pairs
                .map(|(image, score)| ImageReply::new(image, score))
                .collect()
        };
        let data = bulk::run(bytes, in_base64).await?;
        Ok(answer(state, spec, (outcome, data), marks))
    }
}

/// What a picture is predicted to be worth: the plan's score, or a shortened one's where it was measured.
pub(super) fn score(
    state: &AppState,
    spec: &Spec<'_>,
    decision: &Decision,
    image: &Rendered,
) -> Option<ScoreEstimate> {
    let objective = spec.plan_request.budget.objective;
    match image.rush {
        None => decision.estimate.score,
        Some(rush) => {
            let menus = state.menus(spec.family);
            menus.rushed(&decision.plan, rush, objective)
        }
    }
}

fn submit(
    state: &AppState,
    spec: &Spec<'_>,
    arrived: Moment,
    audience: Audience,
) -> Result<Ticket, ApiError> {
    refuse_until_ready(state)?;
    let job = job(state, spec, arrived, audience)?;
    let submitted = state.runtime().submit(job);
    submitted.map_err(|error| not_admitted(state, &error))
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

/// Chooses what an idle server would do, and holds it against the server's own limit: what even that one
/// cannot do is refused for good, and the runtime says what the load leaves of it.
fn job(
    state: &AppState,
    spec: &Spec<'_>,
    arrived: Moment,
    audience: Audience,
) -> Result<Job, ApiError> {
    let menus = state.menus(spec.family);
    let binder = MenuBinder::new(menus, spec.plan_request.clone());
    // The lock is let go of before the refusal is doubted.
    let chosen = chosen(&binder, &state.latency());
    let (binding, floor) = chosen.map_err(|refusal| state.refuse(spec, refusal))?;
    refuse_beyond(state.limits().max_flops, &binding.decision.estimate)?;
    let models = spec.family.models.iter();
    Ok(Job {
        prompt: spec.prompt.clone(),
        negative_prompt: spec.negative_prompt.clone(),
        seeds: spec.seeds(),
        format: spec.format,
        models: models.map(|card| card.id.clone()).collect(),
        arrived,
        limit: spec.plan_request.budget.latency,
        on_late: spec.on_late,
        floor,
        binding,
        binder: Arc::new(binder),
        wants_events: audience != Audience::Nobody,
        partial_images: match audience {
            Audience::Nobody => 0,
            Audience::Shown(partial_images) => partial_images,
        },
    })
}

/// What an idle server would do, and the least that it may end on.
fn chosen(binder: &MenuBinder, latency: &LatencyModel) -> Result<(Binding, Binding), Refusal> {
    Ok((binder.on_idle(latency)?, binder.floor(latency)?))
}

/// Refuses work that is more than the server does for one request, whatever its budget.
pub(in crate::api) fn refuse_beyond(allowed: Flops, estimate: &Estimate) -> Result<(), ApiError> {
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

fn not_admitted(state: &AppState, error: &SubmitError) -> ApiError {
    match error {
        SubmitError::Full { room_in, .. } | SubmitError::NoRoom { room_in } => {
            ApiError::Overloaded {
                message: error.to_string(),
                retry_after: (*room_in).max(SOONEST),
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

/// Counts a request that took longer than the server allows, whoever else was waited for.
pub(super) fn timed_out(state: &AppState, spec: &Spec<'_>) -> ApiError {
    let error = too_long(state.limits().request_timeout);
    account::given_up(state.metrics(), spec, &error);
    error
}

fn too_long(limit: Duration) -> ApiError {
    ApiError::RequestTimeout {
        limit_ms: limit.as_millis() as u64,
    }
}

/// Waits for the outcome, no longer than the server allows.
async fn finished(state: &AppState, ticket: Ticket) -> Result<Outcome, ApiError> {
    let limit = state.limits().request_timeout;
    let outcome = tokio::time::timeout(limit, ticket.outcome()).await;
    let outcome = outcome.map_err(|_elapsed| too_long(limit))?;
    outcome.map_err(|error| match error {
        JobError::ShuttingDown => ApiError::ShuttingDown,
        JobError::DeadlineExceeded => ApiError::DeadlineExceeded,
        JobError::Cancelled => ApiError::Cancelled,
        JobError::Failed(_) | JobError::Panicked => ApiError::Failed {
            message: error.to_string(),
        },
    })
}

fn answer(
    state: &AppState,
    spec: &Spec<'_>,
    (outcome, mut data): (Outcome, Vec<ImageReply>),
    marks: Marks,
) -> GenerateReply {
    let limit = spec.plan_request.budget.latency;
    // The clock is read after base64, so `late` is filled in here.
    let spans = marks.until(state.clock().now());
    let latency = spans.latency;
    let late = limit.is_some_and(|limit| latency > limit);
    for image in &mut data {
        image.late = late;
    }
    record(state, spec, &outcome, spans);
    let actual = Actual::new(&outcome, spec.plan_request.n_images, latency);
    let (decision, tokens_cut) = (outcome.decision, outcome.tokens_cut);
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
            warnings::told(decision.warnings, tokens_cut),
        ),
        budget: BudgetReply::of(spec, state.menus(spec.family).budgets(), &decision.estimate),
        actual,
        estimate: decision.estimate,
        plan_token: PlanToken::new(&decision.plan, spec.family).to_string(),
        plan: decision.plan,
    }
}

/// Counts what came out, and learns from it.
fn record(state: &AppState, spec: &Spec<'_>, outcome: &Outcome, spans: Spans) {
    let finished = finished_request(spec, outcome, spans.own);
    // Predictions are judged before they are learned from.
    account::predicted(state, &finished, outcome, spans.latency);
    account::delivered(state.metrics(), spec, outcome, spans.latency);
    state.learn(&finished);
    state.texts().remember(&spec.family.id, &spec.texts());
}

/// What the latency model learns from. Texts that were kept encoded from earlier requests did not run:
/// repeated prompts do not teach that all requests take less.
fn finished_request(spec: &Spec<'_>, outcome: &Outcome, own: Millis) -> Finished {
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
        size: outcome.decision.plan.size,
        n_images: spec.plan_request.n_images,
        n_texts: outcome.texts_encoded,
        n_ranked: outcome.n_ranked,
    };
    let took = Took {
        text,
        steps: &outcome.steps,
        rank,
        decode,
        encode,
        whole: Millis(own.0 - queue.0),
        queue,
    };
    Finished::new(ran, took)
}
