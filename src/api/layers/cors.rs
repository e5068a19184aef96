//! Whose pages may read replies? Nobody's, unless the operator lists them. Browsers ask before they send a
//! key, so preflights are answered before anything else looks at a request.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::config::CorsOrigin;

/// How long a browser need not ask again, at most as long as any of them remembers.
const REMEMBERED: Duration = Duration::from_hours(2);

/// What pages may read beside the body.
const EXPOSED: [HeaderName; 4] = [
    HeaderName::from_static("x-request-id"),
    header::RETRY_AFTER,
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("x-should-retry"),
];

/// Returns the layer; none where no origin is listed, so that replies do not speak of it.
pub(super) fn layer(origins: &[CorsOrigin]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let layer = CorsLayer::new()
        .allow_origin(allowed(origins))
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        // What a page may ask is checked like anybody's: no header opens anything by itself.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED)
        .max_age(REMEMBERED);
    Some(layer)
}

fn allowed(origins: &[CorsOrigin]) -> AllowOrigin {
    let listed: Option<Vec<HeaderValue>> = origins
        .iter()
        .map(|origin| match origin {
            CorsOrigin::Any => None,
            CorsOrigin::Only(origin) => {
                Some(HeaderValue::from_str(origin).expect("an origin is of small letters"))
            }
        })
        .collect();
    listed.map_or_else(AllowOrigin::any, AllowOrigin::list)
}
