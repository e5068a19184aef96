//! What does the scrape read? The text exposition of every series, in Prometheus' format.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use super::{error::AnyRouteErrors, state::AppState};

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics.
///
/// Every series exists from the start, so that a rate over a quiet server is zero and not missing. Needs no key
/// with `--open-metrics`.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    responses((status = 200, description = "Prometheus text exposition", body = String, content_type = "text/plain"), AnyRouteErrors)
)]
pub(super) async fn metrics(State(state): State<AppState>) -> Response {
    state.runtime().tell_gauges();
    state.jobs().tell(state.metrics());
    let text = state.metrics().text();
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response()
}
