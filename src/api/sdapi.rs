//! How do clients of AUTOMATIC1111's web interface get pictures? By the routes they know, as far as those
//! say something that can be done here.
//!
//! Lenient where `/v1` is strict: a field that means nothing here is told in `info.warnings` and does not stop
//! anything; one of the wrong type is refused. Steps, `cfg_scale` and sampler are pins where they are
//! given, all else is planned.

use axum::{
    Extension, Json,
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    body::JsonObject,
    error::{ApiError, Refused},
    generate::{self, Audience, Run, Spec},
    layers::Arrival,
    state::AppState,
};

pub(super) mod listings;
pub(super) mod options;
mod reply;
mod request;
mod unsupported;
pub(super) mod watch;

use reply::Txt2ImgReply;
use request::Txt2ImgRequest;

/// Every refusal below `/sdapi`.
#[derive(Debug, Serialize, ToSchema)]
struct DetailReply {
    /// The fault itself, the `code` of refusals below `/v1`.
    #[schema(example = "invalid_value")]
    error: &'static str,
    /// For people: what was found and what would work.
    detail: String,
}

/// Draw, for AUTOMATIC1111's clients.
///
/// Takes the web interface's fields and `budget`; a field that means nothing here is told in `info.warnings`.
/// Given steps, `cfg_scale` and `sampler_name` are pins, what is not given is planned. `info` is JSON in a string.
#[utoipa::path(
    post,
    path = "/sdapi/v1/txt2img",
    operation_id = "txt2img",
    tag = "automatic1111",
    request_body = Txt2ImgRequest,
    responses(
        (status = 200, description = "Every picture, as base64", body = Txt2ImgReply),
        (status = 400, description = "A field that is read has the wrong type or range", body = DetailReply),
        (status = 401, description = "No key, if the server has keys: a bearer token, or the password of basic authentication", body = DetailReply),
        (status = 404, description = "No such model", body = DetailReply),
        (status = 408, description = "The body did not arrive in time", body = DetailReply),
        (status = 413, description = "The body is too long", body = DetailReply),
        (status = 415, description = "The body is not JSON", body = DetailReply),
        (status = 422, description = "No plan fits even an idle server", body = DetailReply),
        (status = 429, description = "Only the load prevents it; see Retry-After", body = DetailReply),
        (status = 500, description = "A fault of the server", body = DetailReply),
        (status = 503, description = "Loading or shutting down; see Retry-After", body = DetailReply),
        (status = 504, description = "It took longer than the server allows", body = DetailReply)
    )
)]
pub(super) async fn txt2img(
    State(state): State<AppState>,
    Extension(Arrival(arrived)): Extension<Arrival>,
    headers: HeaderMap,
    JsonObject(body): JsonObject,
) -> Result<Response, ApiError> {
    let (asked, mut notices) = Txt2ImgRequest::parse(body.clone(), state.limits())?;
    let request = asked.understood(&state, &mut notices)?;
    let spec = Spec::new(request, &headers, state.catalog(), state.limits())?;
    let run = Run::admit(&state, &spec, arrived, Audience::Nobody)?;
    let _watch = state.watched().watch(run.id());
    let drawn = run.reply().await?;
    for notice in &notices {
        state.metrics().warned(notice.code);
    }
    let n_bytes = drawn.n_bytes();
    let reply = Txt2ImgReply::new(&spec, &asked, drawn, notices, body);
    generate::json(n_bytes, reply).await
}

/// Writes a refusal below `/sdapi`, wherever it was made, in FastAPI's shape and in the words of its fields.
pub(super) async fn in_their_shape(request: Request, next: Next) -> Response {
    let is_theirs = request.uri().path().starts_with("/sdapi/");
    let response = next.run(request).await;
    let refused = response.extensions().get::<Refused>().cloned();
    let Some(refused) = refused.filter(|_| is_theirs) else {
        return response;
    };
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let reply = DetailReply {
        error: refused.kind,
        detail: in_their_words(&refused.message),
    };
    let body = Json(reply).into_response().into_body();
    Response::from_parts(parts, body)
}

fn in_their_words(message: &str) -> String {
    message
        .replace("num_inference_steps", "steps")
        .replace("guidance_scale", "cfg_scale")
}
