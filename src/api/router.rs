//! Which routes are there? All of them, and nothing else.

use axum::{
    Router,
    extract::MatchedPath,
    http::{Method, Uri},
    routing::get,
};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    error::ApiError, frontier, generate, health, jobs, layers, metrics, models, openapi, plan,
    playground, sdapi, state::AppState,
};

/// Every route as a metric label or a log field; what is not here counts as [`UNMATCHED`].
pub(super) const PATTERNS: [&str; 21] = [
    "/v1/images/generations",
    "/v1/images/jobs",
    "/v1/images/jobs/{id}",
    "/v1/plan",
    "/v1/frontier",
    "/v1/models",
    "/v1/models/{id}",
    "/sdapi/v1/txt2img",
    "/sdapi/v1/progress",
    "/sdapi/v1/interrupt",
    "/sdapi/v1/sd-models",
    "/sdapi/v1/samplers",
    "/sdapi/v1/schedulers",
    "/sdapi/v1/options",
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/",
    "/playground/{file}",
];

/// The label of requests that hit no route, so that scanners do not make series.
const UNMATCHED: &str = "unmatched";

/// Returns the service: every route with its layers around it.
pub fn app(state: AppState) -> Router {
    let (routes, _) = documented().split_for_parts();
    let document = openapi::document();
    let routes = routes
        .route(
            "/openapi.json",
            get(move || async move { openapi::serve(document.clone()) }),
        )
        .route("/docs", get(openapi::reference))
        .route("/", get(playground::page))
        .route("/playground/{file}", get(playground::file))
        .fallback(unknown_route)
        .method_not_allowed_fallback(other_method);
    layers::around(routes, &state).with_state(state)
}

/// The routes that the document describes; `routes!` registers each with its description.
pub(super) fn documented() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::Document::openapi())
        .routes(routes!(generate::generate))
        .routes(routes!(jobs::create))
        .routes(routes!(jobs::retrieve, jobs::cancel))
        .routes(routes!(plan::plan))
        .routes(routes!(frontier::frontier))
        .routes(routes!(models::list))
        .routes(routes!(models::retrieve))
        .routes(routes!(sdapi::txt2img))
        .routes(routes!(sdapi::watch::progress))
        .routes(routes!(sdapi::watch::interrupt))
        .routes(routes!(sdapi::listings::models))
        .routes(routes!(sdapi::listings::samplers))
        .routes(routes!(sdapi::listings::noise_spacings))
        .routes(routes!(sdapi::options::read, sdapi::options::write))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
}

/// Returns the pattern that a request matched, as a label of a closed set.
pub(super) fn pattern(matched: Option<&MatchedPath>) -> &'static str {
    matched
        .and_then(|path| PATTERNS.into_iter().find(|known| *known == path.as_str()))
        .unwrap_or(UNMATCHED)
}

async fn unknown_route(uri: Uri) -> ApiError {
    ApiError::UnknownRoute {
        path: super::fields::shortened(uri.path()),
    }
}

async fn other_method(method: Method, uri: Uri) -> ApiError {
    ApiError::MethodNotAllowed {
        method: super::fields::shortened(method.as_str()),
        path: super::fields::shortened(uri.path()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_route_has_its_label() {
        let document = documented().into_openapi();
        for path in document.paths.paths.keys() {
            assert!(PATTERNS.contains(&path.as_str()), "{path}");
        }
    }
}
