//! How far is the picture, and stop it: the web interface's two global routes, about its own jobs alone.
//!
//! They name no job, so that they are about whatever came by `txt2img`: nobody stops what another interface asked for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::state::AppState,
    runtime::{JobId, Standing},
};

/// The jobs that came by `txt2img` and are not answered.
#[derive(Debug, Default)]
pub(in crate::api) struct WatchedJobs(Mutex<Vec<JobId>>);

/// A job that is watched until this is dropped.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    jobs: &'a WatchedJobs,
    id: JobId,
}

impl WatchedJobs {
    pub(super) fn watch(&self, id: JobId) -> Watch<'_> {
        self.lock().push(id);
        Watch { jobs: self, id }
    }

    fn ids(&self) -> Vec<JobId> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<JobId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.jobs.lock().retain(|id| *id != self.id);
    }
}

/// How far `txt2img` is.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ProgressReply {
    /// Share of all steps that are done, from 0 to 1; 0 where nothing is under way.
    progress: f64,
    /// Seconds until all is expected to be finished.
    eta_relative: f64,
    /// What is under way.
    state: ProgressState,
    /// Pictures on their way are shown by `/v1` streams alone.
    #[schema(value_type = Option<String>)]
    current_image: (),
    /// Nothing.
    #[schema(value_type = Option<String>)]
    textinfo: (),
}

/// What is under way.
#[derive(Debug, Serialize, ToSchema)]
struct ProgressState {
    /// Always false: nothing is skipped.
    skipped: bool,
    /// Always false: what is interrupted is over at once.
    interrupted: bool,
    /// Nothing.
    job: &'static str,
    /// Jobs that are not answered.
    job_count: usize,
    /// Steps that are done.
    sampling_step: u32,
    /// All steps.
    sampling_steps: u32,
}

/// Progress, for AUTOMATIC1111's clients.
///
/// Of all that came by `txt2img` and is not answered.
#[utoipa::path(
    get,
    path = "/sdapi/v1/progress",
    operation_id = "sdapiProgress",
    tag = "automatic1111",
    responses((status = 200, description = "How far it is", body = ProgressReply))
)]
pub(in crate::api) async fn progress(State(state): State<AppState>) -> Json<ProgressReply> {
    let ids = state.watched().ids();
    let standings: Vec<Standing> = ids
        .iter()
        .filter_map(|id| state.runtime().standing(*id))
        .collect();
    let done = standings.iter().map(|standing| standing.steps_done).sum();
    let total: u32 = standings.iter().map(|standing| standing.steps_total).sum();
    let ends = standings.iter().map(|standing| standing.finishes_in.0);
    Json(ProgressReply {
        progress: f64::from(done) / f64::from(total.max(1)),
        eta_relative: ends.fold(0.0, f64::max) / 1e3,
        state: ProgressState {
            skipped: false,
            interrupted: false,
            job: "",
            job_count: ids.len(),
            sampling_step: done,
            sampling_steps: total,
        },
        current_image: (),
        textinfo: (),
    })
}

/// Interrupt, for AUTOMATIC1111's clients.
///
/// Stops everything that came by `txt2img` before its next step; it answers that it was cancelled.
#[utoipa::path(
    post,
    path = "/sdapi/v1/interrupt",
    operation_id = "sdapiInterrupt",
    tag = "automatic1111",
    responses((status = 200, description = "An empty object", body = Object))
)]
pub(in crate::api) async fn interrupt(State(state): State<AppState>) -> Json<serde_json::Value> {
    for id in state.watched().ids() {
        state.runtime().cancel(id);
    }
    Json(serde_json::json!({}))
}
