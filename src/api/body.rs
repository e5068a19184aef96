//! How does a body become a JSON object? With a limit on its length, a limit on its time, and a clear refusal.

use std::error::Error;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use http_body_util::LengthLimitError;
use serde_json::{Map, Value};

use super::{error::ApiError, state::AppState};
use crate::config::Limits;

/// The body of a request, which is one JSON object.
#[derive(Debug)]
pub(super) struct JsonObject(pub(super) Map<String, Value>);

impl FromRequest<AppState> for JsonObject {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        refuse_other_media(request.headers())?;
        let bytes = read(request.into_body(), state.limits()).await?;
        parse(&bytes).map(Self)
    }
}

/// A missing content type is taken for JSON: nothing else is read here, so nothing can be mistaken.
fn refuse_other_media(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let found = String::from_utf8_lossy(value.as_bytes());
    let essence = found.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    let is_json = essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    if is_json {
        return Ok(());
    }
    Err(ApiError::UnsupportedMediaType {
        found: super::fields::shortened(&found),
    })
}

async fn read(body: Body, limits: &Limits) -> Result<Bytes, ApiError> {
    let late = || ApiError::BodyTimeout {
        limit_ms: limits.body_timeout.as_millis() as u64,
    };
    let arrival = to_bytes(body, limits.max_body_bytes);
    match tokio::time::timeout(limits.body_timeout, arrival).await {
        Err(_elapsed) => Err(late()),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_long(&error) => Err(ApiError::BodyTooLarge {
            limit_bytes: limits.max_body_bytes,
        }),
        // The connection broke; nobody is left to read this.
        Ok(Err(_)) => Err(late()),
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    error
        .source()
        .is_some_and(<dyn Error>::is::<LengthLimitError>)
}

fn parse(bytes: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let fault = |message| Err(ApiError::InvalidJson { message });
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => fault("it holds another kind of value; send {\"prompt\": \"...\"}".to_owned()),
        Err(error) if bytes.is_empty() => {
            debug_assert!(error.is_eof());
            fault("it is empty; send {\"prompt\": \"...\"}".to_owned())
        }
        Err(error) => fault(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_is_found_by_line_and_column() {
        let message = parse(b"{\n  \"prompt\": }").unwrap_err().to_string();
        assert!(message.contains("line 2 column 13"), "{message}");
    }

    #[test]
    fn what_is_json_but_no_object_is_refused() {
        for body in ["[]", "3", "\"a cat\"", "null", ""] {
            assert_eq!(parse(body.as_bytes()).unwrap_err().kind(), "invalid_json");
        }
    }

    #[test]
    fn json_goes_by_several_names() {
        let allowed = |text: &str| {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, text.parse().unwrap())]);
            refuse_other_media(&headers).is_ok()
        };
        assert!(allowed("application/json"));
        assert!(allowed("Application/JSON; charset=utf-8"));
        assert!(allowed("application/merge-patch+json"));
        assert!(!allowed("text/plain"));
        assert!(!allowed("multipart/form-data; boundary=x"));
    }
}
