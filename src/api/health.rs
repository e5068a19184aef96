//! Is the process alive, and may it be sent work? Two questions, two routes: a busy server is both.

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

use super::{
    error::{AnyRouteErrors, LoadProgress},
    state::AppState,
};
use crate::runtime::Readiness;

/// A busy worker that took no step for this long is stuck: the dearest step of the largest hosted
/// network on a slow CPU stays well below it.
const STUCK_AFTER: Duration = Duration::from_mins(2);

/// Whether the process should be left running.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LivenessReply {
    /// `live`, or `stuck` if a restart would help.
    status: &'static str,
    /// How long a busy worker has gone without a step.
    worker_silent_seconds: f64,
    /// Workers whose thread ended before it was told to.
    workers_lost: usize,
}

/// Whether the server takes work; never a matter of load.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReadinessReply {
    /// `ready`, `warming`, `failed` or `draining`.
    status: &'static str,
    /// How far the warm-up is; null unless `warming`.
    progress: Option<LoadProgress>,
    /// What went wrong; null unless `failed`.
    reason: Option<String>,
}

/// Liveness.
///
/// Restart the process when this is not 200. Needs no key with `--open-probes`.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "operation",
    responses(
        (status = 200, description = "Every worker moves or waits for work", body = LivenessReply),
        (status = 503, description = "A worker is stuck or gone", body = LivenessReply),
        AnyRouteErrors
    )
)]
pub(super) async fn livez(State(state): State<AppState>) -> (StatusCode, Json<LivenessReply>) {
    let liveness = state.runtime().liveness();
    let is_live = liveness.workers_lost == 0 && liveness.silent_for < STUCK_AFTER;
    let reply = LivenessReply {
        status: if is_live { "live" } else { "stuck" },
        worker_silent_seconds: liveness.silent_for.as_secs_f64(),
        workers_lost: liveness.workers_lost,
    };
    (ok_if(is_live), Json(reply))
}

/// Readiness.
///
/// Send work when this is 200: models are loaded and timed, and the server is not stopping. Needs no key with
/// `--open-probes`.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    responses(
        (status = 200, description = "Takes work", body = ReadinessReply),
        (status = 503, description = "Warming up, failed to load, or stopping", body = ReadinessReply),
        AnyRouteErrors
    )
)]
pub(super) async fn readyz(State(state): State<AppState>) -> (StatusCode, Json<ReadinessReply>) {
    let readiness = state.runtime().readiness();
    let is_ready = readiness.is_ready();
    let (status, progress, reason) = match readiness {
        Readiness::Ready => ("ready", None, None),
        Readiness::Warming(progress) => ("warming", Some(progress.into()), None),
        Readiness::Failed { reason } => ("failed", None, Some(reason)),
        Readiness::Draining => ("draining", None, None),
    };
    let reply = ReadinessReply {
        status,
        progress,
        reason,
    };
    (ok_if(is_ready), Json(reply))
}

fn ok_if(good: bool) -> StatusCode {
    if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}
