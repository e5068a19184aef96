//! Who may ask? Everybody, unless the operator named keys; then whoever sends one as a bearer token.
//!
//! Probes, the scrape and the documentation stay open: they are asked by machines without keys or by
//! browsers, and show nothing of anybody's prompts.

use std::hint::black_box;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use crate::{
    api::{error::ApiError, router, state::AppState},
    config::ApiKey,
};

/// Routes that need no key.
const OPEN: [&str; 6] = [
    "/",
    "/docs",
    "/openapi.json",
    "/livez",
    "/readyz",
    "/metrics",
];

/// The keys that open the server, as digests of one length.
#[derive(Clone)]
pub(in crate::api) struct Keys(Vec<[u8; 32]>);

impl Keys {
    /// No key at all leaves the server open.
    pub(in crate::api) fn new(keys: &[ApiKey]) -> Self {
        Self(keys.iter().map(|key| digest(key.secret())).collect())
    }

    /// Compares with every key and every byte of it, so that time tells nothing.
    fn admit(&self, token: &str) -> bool {
        let token = digest(token);
        let differs = |key: &[u8; 32]| {
            key.iter()
                .zip(token)
                .fold(0, |all, (ours, theirs)| black_box(all | (ours ^ theirs)))
        };
        self.0
            .iter()
            .fold(false, |found, key| found | (differs(key) == 0))
    }
}

/// Lets a request through if it needs no key or has one.
pub(super) async fn require_key(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let keys = state.keys();
    let route = router::pattern(request.extensions().get::<MatchedPath>());
    if keys.0.is_empty() || OPEN.contains(&route) {
        return next.run(request).await;
    }
    match bearer(request.headers()) {
        Some(token) if keys.admit(token) => next.run(request).await,
        token => ApiError::Unauthorized {
            given: token.is_some(),
        }
        .into_response(),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|token| !token.is_empty())
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admits_any_of_the_keys_and_nothing_near_them() {
        let keys = Keys(vec![digest("first"), digest("second")]);
        assert!(keys.admit("first") && keys.admit("second"));
        for near in ["", "firs", "first ", "First", "third"] {
            assert!(!keys.admit(near), "{near:?}");
        }
    }

    #[test]
    fn reads_bearer_tokens_whatever_the_case_of_the_scheme() {
        let sent =
            |value: &str| HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
        assert_eq!(bearer(&sent("Bearer abc")), Some("abc"));
        assert_eq!(bearer(&sent("bearer  abc")), Some("abc"));
        for none in ["abc", "Basic abc", "Bearer ", "Bearer"] {
            assert_eq!(bearer(&sent(none)), None, "{none:?}");
        }
    }
}
