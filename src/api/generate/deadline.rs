//! How long may the request take, and who said so? The lowest of the body and three headers.
//!
//! - `Request-Timeout-Ms`: a positive integer of milliseconds;
//! - `grpc-timeout`: gRPC's grammar, 1 to 8 digits and one of `H M S m u n`;
//! - `X-Request-Timeout`: decimal seconds.
//!
//! A header only lowers the body's budget: a proxy knows when the caller gives up, not what the
//! caller would like.

use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{api::error::ApiError, units::Millis};

/// Where the latency limit in force came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::api) enum LatencySource {
    /// The field `budget.latency_ms`.
    #[serde(rename = "budget.latency_ms")]
    Body,
    /// The header `Request-Timeout-Ms`.
    #[serde(rename = "Request-Timeout-Ms")]
    RequestTimeoutMs,
    /// The header `grpc-timeout`.
    #[serde(rename = "grpc-timeout")]
    GrpcTimeout,
    /// The header `X-Request-Timeout`.
    #[serde(rename = "X-Request-Timeout")]
    XRequestTimeout,
}

impl LatencySource {
    /// The header that it is; none where it is a field.
    pub(in crate::api) fn header(self) -> Option<&'static str> {
        let known = HEADERS.iter().find(|(source, ..)| *source == self);
        known.map(|(_, name, ..)| *name)
    }
}

/// Reads one header's value as milliseconds.
type Reading = fn(&str) -> Option<f64>;

const HEADERS: [(LatencySource, &str, &str, Reading); 3] = [
    (
        LatencySource::RequestTimeoutMs,
        "Request-Timeout-Ms",
        "a positive integer of milliseconds, such as 800",
        milliseconds,
    ),
    (
        LatencySource::GrpcTimeout,
        "grpc-timeout",
        "1 to 8 digits and a unit of H, M, S, m, u or n, such as 800m",
        grpc_timeout,
    ),
    (
        LatencySource::XRequestTimeout,
        "X-Request-Timeout",
        "decimal seconds above 0, such as 0.8",
        seconds,
    ),
];

/// Returns the lowest of the body's limit and those of the deadline headers.
pub(super) fn in_force(
    body: Option<Millis>,
    headers: &HeaderMap,
) -> Result<Option<(Millis, LatencySource)>, ApiError> {
    let mut lowest = body.map(|limit| (limit, LatencySource::Body));
    for (source, name, expected, read) in HEADERS {
        for value in headers.get_all(name) {
            let text = value.to_str().unwrap_or_default().trim();
            let limit = read(text)
                .filter(|limit| limit.is_finite() && *limit > 0.0)
                .map(Millis)
                .ok_or_else(|| ApiError::InvalidValue {
                    param: name.to_owned(),
                    message: format!("the header {name} must be {expected}"),
                })?;
            if lowest.is_none_or(|(lowest, _)| limit < lowest) {
                lowest = Some((limit, source));
            }
        }
    }
    Ok(lowest)
}

fn milliseconds(text: &str) -> Option<f64> {
    is_digits(text).then(|| text.parse().ok()).flatten()
}

fn grpc_timeout(text: &str) -> Option<f64> {
    let unit = text.chars().next_back()?;
    let digits = text.strip_suffix(unit)?;
    let in_milliseconds = match unit {
        'H' => 3.6e6,
        'M' => 6e4,
        'S' => 1e3,
        'm' => 1.0,
        'u' => 1e-3,
        'n' => 1e-6,
        _ => return None,
    };
    let count: f64 = (is_digits(digits) && digits.len() <= 8)
        .then(|| digits.parse().ok())
        .flatten()?;
    Some(count * in_milliseconds)
}

fn seconds(text: &str) -> Option<f64> {
    // Rust's own reader also takes "inf", "nan" and "1e3", which no header should say.
    let is_decimal = text
        .chars()
        .all(|character| character.is_ascii_digit() || character == '.');
    is_decimal
        .then(|| text.parse::<f64>().ok())
        .flatten()
        .map(|seconds| seconds * 1e3)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|character| character.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn without_body_or_header_there_is_no_limit() {
        assert_eq!(in_force(None, &HeaderMap::new()), Ok(None));
    }

    #[test]
    fn a_header_lowers_the_bodys_limit_and_never_raises_it() {
        let body = Some(Millis(500.0));
        let lower = in_force(body, &headers(&[("request-timeout-ms", "200")]));
        assert_eq!(
            lower,
            Ok(Some((Millis(200.0), LatencySource::RequestTimeoutMs)))
        );
        let higher = in_force(body, &headers(&[("request-timeout-ms", "9000")]));
        assert_eq!(higher, Ok(Some((Millis(500.0), LatencySource::Body))));
    }

    #[test]
    fn the_lowest_header_wins_whatever_its_unit() {
        let all = headers(&[
            ("request-timeout-ms", "900"),
            ("grpc-timeout", "1S"),
            ("x-request-timeout", "0.25"),
        ]);
        assert_eq!(
            in_force(None, &all),
            Ok(Some((Millis(250.0), LatencySource::XRequestTimeout)))
        );
    }

    #[test]
    fn reads_the_whole_grpc_grammar() {
        for (text, expected) in [
            ("1H", 3.6e6),
            ("2M", 1.2e5),
            ("3S", 3e3),
            ("4m", 4.0),
            ("5000u", 5.0),
            ("6000000n", 6.0),
            ("99999999m", 99_999_999.0),
        ] {
            assert_eq!(grpc_timeout(text), Some(expected), "{text}");
        }
        for text in ["", "S", "1", "1s", "-1S", "1.5S", "123456789S", "1 S"] {
            assert_eq!(grpc_timeout(text), None, "{text}");
        }
    }

    #[test]
    fn a_malformed_header_is_refused_by_name() {
        for (name, value) in [
            ("request-timeout-ms", "0"),
            ("request-timeout-ms", "-5"),
            ("request-timeout-ms", "1.5"),
            ("x-request-timeout", "inf"),
            ("x-request-timeout", "1e3"),
            ("x-request-timeout", "."),
            ("grpc-timeout", "soon"),
        ] {
            let error = in_force(None, &headers(&[(name, value)])).unwrap_err();
            assert!(
                error.to_string().to_lowercase().contains(name),
                "{name}: {value}: {error}"
            );
        }
    }
}
