//! By which name do client and operator speak of one request? `x-request-id`: the client's if it is sane, else ours.

use std::hash::{BuildHasher, RandomState};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Longer names only swell logs.
const LONGEST: usize = 128;

/// Returns the client's id, or a new one if there is none or none that is fit for a log.
pub(super) fn of(headers: &HeaderMap) -> String {
    headers
        .get(HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_sane(id))
        .map_or_else(random, str::to_owned)
}

/// Names the request in the reply.
pub(super) fn echo(id: String, headers: &mut HeaderMap) {
    let value = HeaderValue::try_from(id).expect("a sane id is a header value");
    headers.insert(HEADER, value);
}

fn is_sane(id: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte);
    (1..=LONGEST).contains(&id.len()) && id.bytes().all(fit)
}

/// The standard library's hash keys are random for each map, which is all an id needs.
fn random() -> String {
    let word = || RandomState::new().hash_one(());
    format!("{:016x}{:016x}", word(), word())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(id: &str) -> HeaderMap {
        HeaderMap::from_iter([(HEADER, HeaderValue::from_str(id).unwrap())])
    }

    #[test]
    fn a_sane_id_is_kept() {
        for id in [
            "7",
            "req_01HX-9.2:a/b",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f0-01",
        ] {
            assert_eq!(of(&sent(id)), id);
        }
    }

    #[test]
    fn an_id_unfit_for_a_log_is_replaced() {
        for id in ["", "two words", "a\"b", &"x".repeat(LONGEST + 1)] {
            let kept = of(&sent(id));
            assert_ne!(kept, id);
            assert!(is_sane(&kept), "{kept}");
        }
    }

    #[test]
    fn made_ids_differ() {
        assert_ne!(of(&HeaderMap::new()), of(&HeaderMap::new()));
    }
}
