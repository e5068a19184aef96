//! What does the interface promise, in a form that programs read? The document is derived from the handlers.
//!
//! `openapi/openapi.json` in the repository is this document, byte for byte; a test compares them.
//! The page at `/docs` renders it with no file from elsewhere, so that it works without a network.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        self,
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use super::{error::ErrorReply, router};

const REFERENCE: &str = include_str!("openapi/reference.html");
/// The page may run its own script and read the document, and nothing else.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
     connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the document says besides its routes.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "goldilocks",
        description = "A text-to-image server that takes a budget with every request and answers with the \
            picture of the plan that measured scaling data predict to be the best one within it.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ErrorReply)),
    tags(
        (name = "images", description = "Pictures and plans"),
        (name = "automatic1111", description = "For clients of AUTOMATIC1111's web interface: a subset, lenient where `/v1` is strict"),
        (name = "models", description = "What may be asked for"),
        (name = "operation", description = "For probes and scrapes")
    ),
    modifiers(&OptionalKey)
)]
pub(super) struct Document;

/// A key is asked for only where the operator named some.
struct OptionalKey;

impl Modify for OptionalKey {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        if let Some(components) = &mut document.components {
            components.add_security_scheme("api_key", SecurityScheme::Http(scheme));
        }
        let with_key = SecurityRequirement::new("api_key", Vec::<String>::new());
        document.security = Some(vec![SecurityRequirement::default(), with_key]);
    }
}

/// Returns the document as it is served and committed: indented JSON and a final newline.
pub fn document() -> String {
    let document = router::documented().into_openapi();
    let json = document
        .to_pretty_json()
        .expect("a document of plain values can be written");
    json + "\n"
}

/// Answers `GET /openapi.json` with `text`.
pub(super) fn serve(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// Answers `GET /docs`.
pub(super) async fn reference() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
    ];
    (headers, REFERENCE).into_response()
}
