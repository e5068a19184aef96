//! What happens to every request, whatever its route? From the outside in:
//!
//! 1. [`observe`]: arrival time, request id, span, counters, one log line;
//! 2. [`sdapi::in_their_shape`]: refusals below `/sdapi` as clients expect them there;
//! 3. catch-panic: a fault of ours is a 500 in the usual shape, and the process lives on;
//! 4. [`cors`]: whose pages may read the answer, where some are listed;
//! 5. [`auth`]: who may ask.
//!
//! Limits on bodies stand in [`super::body`], those on connections in [`super::serve()`].

use std::{any::Any, iter};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use tower_http::{
    catch_panic::CatchPanicLayer, sensitive_headers::SetSensitiveRequestHeadersLayer,
};
use tracing::{Instrument, Span, info_span};

use super::{
    error::{ApiError, Refused},
    router, sdapi,
    state::AppState,
};
use crate::units::Moment;

pub(super) mod auth;
mod cors;
mod request_id;

/// When the request's head was parsed; latency is measured from here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival(pub(super) Moment);

/// Puts the layers around every route.
pub(super) fn around(routes: Router<AppState>, state: &AppState) -> Router<AppState> {
    // The layer added last is the outermost.
    let routes = routes.layer(from_fn_with_state(state.clone(), auth::require_key));
    let routes = match cors::layer(state.cors_origins()) {
        Some(layer) => routes.layer(layer),
        None => routes,
    };
    routes
        .layer(CatchPanicLayer::custom(after_panic))
        .layer(from_fn(sdapi::in_their_shape))
        .layer(from_fn_with_state(state.clone(), observe))
        .layer(SetSensitiveRequestHeadersLayer::new(iter::once(
            header::AUTHORIZATION,
        )))
}

async fn observe(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let arrived = state.clock().now();
    let route = router::pattern(request.extensions().get::<MatchedPath>());
    let id = request_id::of(request.headers());
    let span = request_span(route, request.method(), &id);
    request.extensions_mut().insert(Arrival(arrived));
    // Held, not read: a client that leaves drops this future, and the count goes down.
    let in_flight = state.metrics().in_flight();
    let mut response = next.run(request).instrument(span.clone()).await;
    drop(in_flight);

    let took = state.clock().now().since(arrived);
    let status = response.status();
    state.metrics().answered(route, status.as_u16(), took);
    let refusal = response
        .extensions()
        .get::<Refused>()
        .map(|refused| refused.kind);
    if let Some(kind) = refusal {
        state.metrics().refused(kind);
    }
    log(&span, route, status, refusal, took.as_secs_f64());
    request_id::echo(id, response.headers_mut());
    response
}

fn request_span(route: &'static str, method: &Method, id: &str) -> Span {
    info_span!("request", "http.route" = route, "http.method" = %method, "request.id" = id)
}

/// Probes and scrapes come every few seconds and say nothing; what clients ask is worth a line.
fn log(span: &Span, route: &str, status: StatusCode, refusal: Option<&str>, seconds: f64) {
    let _entered = span.enter();
    let status = status.as_u16();
    if route.starts_with("/v1/") || route.starts_with("/sdapi/") {
        tracing::info!(
            "http.status" = status,
            "error.kind" = refusal,
            duration_seconds = seconds,
            "request answered"
        );
    } else {
        tracing::debug!(
            "http.status" = status,
            "error.kind" = refusal,
            duration_seconds = seconds,
            "request answered"
        );
    }
}

/// The reply to a request that hit a fault of ours. What it was goes to the log, not to the client.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer hands the payload over"
)]
fn after_panic(payload: Box<dyn Any + Send>) -> Response {
    let reason = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(reason, "a request hit a fault of the server");
    ApiError::Failed {
        message: "a fault of the server; it was logged under this request's x-request-id"
            .to_owned(),
    }
    .into_response()
}
