//! Who may ask? Everybody, unless the operator named keys; then whoever sends one as a bearer token, or, below
//! `/sdapi`, as a password.
//!
//! The page and the documentation stay open: they are asked for by browsers, and show what the repository shows. Probes and
//! scrapes are open where the operator says so.

use std::hint::black_box;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use crate::{
    api::{error::ApiError, router, state::AppState},
    config::Access,
};

/// Routes that never need a key.
const DOCUMENTS: [&str; 4] = ["/", "/playground/{file}", "/docs", "/openapi.json"];
const PROBES: [&str; 2] = ["/livez", "/readyz"];
const SCRAPES: [&str; 1] = ["/metrics"];

/// The keys that open the server, as digests of one length, and what is open without any.
#[derive(Clone)]
pub(in crate::api) struct Keys {
    digests: Vec<[u8; 32]>,
    open: Vec<&'static str>,
}

impl Keys {
    /// No key at all leaves the server open.
    pub(in crate::api) fn new(access: &Access) -> Self {
        let keys = access.api_keys.iter();
        let mut open = DOCUMENTS.to_vec();
        open.extend(PROBES.iter().filter(|_| access.open_probes));
        open.extend(SCRAPES.iter().filter(|_| access.open_metrics));
        Self {
            digests: keys.map(|key| digest(key.secret())).collect(),
            open,
        }
    }

    /// Whether a route is answered without a key.
    fn leave_open(&self, route: &str) -> bool {
        self.digests.is_empty() || self.open.contains(&route)
    }

    /// Compares with every key and every byte of it, so that time tells nothing.
    fn admit(&self, token: &str) -> bool {
        let token = digest(token);
        let differs = |key: &[u8; 32]| {
            key.iter()
                .zip(token)
                .fold(0, |all, (ours, theirs)| black_box(all | (ours ^ theirs)))
        };
        self.digests
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
    if keys.leave_open(route) {
        return next.run(request).await;
    }
    let token = bearer(request.headers()).map(str::to_owned);
    let token = token.or_else(|| {
        route
            .starts_with("/sdapi/")
            .then(|| password(request.headers()))
            .flatten()
    });
    match token {
        Some(token) if keys.admit(&token) => next.run(request).await,
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

/// AUTOMATIC1111's clients know names with passwords: the key is the password, whatever the name.
fn password(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, pair) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(pair.trim()).ok()?).ok()?;
    let (_name, password) = pair.split_once(':')?;
    Some(password.to_owned())
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admits_any_of_the_keys_and_nothing_near_them() {
        let keys = Keys {
            digests: vec![digest("first"), digest("second")],
            open: Vec::new(),
        };
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
