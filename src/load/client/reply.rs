//! What does a server's reply say? OpenAI's fields, and this server's own where they are there.

use hyper::{
    StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};
use serde::Deserialize;

use crate::{
    load::record::{Answer, Failure, Outcome, Refusal},
    units::{Millis, Steps},
};

/// Where no code is given.
const NO_CODE: &str = "no_code";

#[derive(Deserialize)]
struct Pictures {
    data: Vec<Picture>,
    plan: Option<Plan>,
    estimate: Option<Estimate>,
    actual: Option<Actual>,
}

/// One picture, without the picture.
#[derive(Deserialize)]
struct Picture {
    #[serde(default)]
    degraded: bool,
    #[serde(default)]
    late: bool,
    steps_run: Option<Steps>,
}

#[derive(Deserialize)]
struct Plan {
    model: Option<String>,
}

#[derive(Deserialize)]
struct Estimate {
    score: Option<Score>,
}

#[derive(Deserialize)]
struct Score {
    mean: f64,
}

#[derive(Deserialize)]
struct Actual {
    latency_ms: Option<Millis>,
    tflops: Option<f64>,
}

#[derive(Deserialize)]
struct ErrorReply {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: Option<String>,
}

/// Reads a whole reply to a request for `images` pictures.
pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8], images: u32) -> Outcome {
    if !status.is_success() {
        let error: Option<ErrorReply> = serde_json::from_slice(body).ok();
        let code = error.and_then(|reply| reply.error.code);
        return Outcome::Refused(Refusal {
            status: status.as_u16(),
            code: code.unwrap_or_else(|| NO_CODE.to_owned()),
            retry_after_ms: retry_after_ms(headers),
        });
    }
    match serde_json::from_slice::<Pictures>(body) {
        Ok(pictures) if pictures.data.len() == images as usize => {
            Outcome::Answered(pictures.into())
        }
        _ => Outcome::Failed(Failure::NotUnderstood),
    }
}

impl From<Pictures> for Answer {
    fn from(pictures: Pictures) -> Self {
        let score = pictures.estimate.and_then(|estimate| estimate.score);
        let (server_ms, tflops) = match pictures.actual {
            Some(actual) => (actual.latency_ms, actual.tflops),
            None => (None, None),
        };
        Self {
            score: score.map(|score| score.mean),
            server_ms,
            tflops,
            model: pictures.plan.and_then(|plan| plan.model),
            steps_run: pictures.data.first().and_then(|first| first.steps_run),
            degraded: pictures.data.iter().any(|picture| picture.degraded),
            late: pictures.data.iter().any(|picture| picture.late),
        }
    }
}

/// The milliseconds that this server tells, else the whole seconds of the standard. A date is no wait that a generator
/// could keep without asking for the time of day.
fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let number = |value: Option<&hyper::header::HeaderValue>| -> Option<u64> {
        value?.to_str().ok()?.trim().parse().ok()
    };
    let seconds = || number(headers.get(RETRY_AFTER));
    number(headers.get("retry-after-ms")).or_else(|| seconds()?.checked_mul(1000))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use serde_json::json;

    use super::*;

    fn ok(body: &serde_json::Value, images: u32) -> Outcome {
        read(
            StatusCode::OK,
            &HeaderMap::new(),
            body.to_string().as_bytes(),
            images,
        )
    }

    #[test]
    fn an_answer_is_read_to_what_the_report_needs() {
        let body = json!({
            "created": 1,
            "data": [
                { "b64_json": "iVBORw0KGgo=", "seed": 7, "steps_run": 3, "degraded": false, "late": false },
                { "b64_json": "iVBORw0KGgo=", "seed": 8, "steps_run": 2, "degraded": true, "late": false },
            ],
            "plan": { "model": "emoji-c32-lcm", "sampler": "lcm", "steps": 3 },
            "estimate": { "latency_ms": { "p50": 21.0 }, "score": { "mean": 0.8, "standard_error": 0.02 } },
            "actual": { "latency_ms": 17.5, "tflops": 0.0036 },
        });
        let expected = Answer {
            score: Some(0.8),
            server_ms: Some(Millis(17.5)),
            tflops: Some(0.0036),
            model: Some("emoji-c32-lcm".into()),
            steps_run: Some(3),
            degraded: true,
            late: false,
        };
        assert_eq!(ok(&body, 2), Outcome::Answered(expected));
        assert_eq!(ok(&body, 1), Outcome::Failed(Failure::NotUnderstood));
    }

    #[test]
    fn a_score_may_be_null_and_another_server_may_tell_nothing() {
        let unscored = json!({ "data": [{ "late": true }], "estimate": { "score": null } });
        for (body, late) in [
            (unscored, true),
            (json!({ "data": [{ "b64_json": "" }] }), false),
        ] {
            let expected = Answer {
                late,
                ..Answer::default()
            };
            assert_eq!(ok(&body, 1), Outcome::Answered(expected));
        }
    }

    #[test]
    fn a_refusal_tells_its_code_and_when_to_ask_again() {
        let overloaded = br#"{"error":{"message":"busy","code":"overloaded"}}"#;
        let read = |headers: &[(&'static str, &'static str)], body: &[u8]| {
            let pairs = headers.iter().copied();
            let headers = pairs.map(|(name, value)| {
                (
                    hyper::header::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            });
            match super::read(StatusCode::TOO_MANY_REQUESTS, &headers.collect(), body, 1) {
                Outcome::Refused(refusal) => (refusal.code, refusal.retry_after_ms),
                other => panic!("{other:?}"),
            }
        };
        let seconds = ("retry-after", "2");
        let code = || "overloaded".to_owned();
        assert_eq!(read(&[seconds], overloaded), (code(), Some(2000)));
        assert_eq!(
            read(&[seconds, ("retry-after-ms", "1200")], overloaded),
            (code(), Some(1200))
        );
        let date = ("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT");
        assert_eq!(read(&[date], overloaded), (code(), None));
        for body in [&b""[..], b"<html>", br#"{"error":{"code":null}}"#] {
            assert_eq!(read(&[], body), (NO_CODE.to_owned(), None));
        }
    }

    #[test]
    fn what_is_not_json_is_not_understood() {
        for body in [&b""[..], b"hello", b"{}", br#"{"data":3}"#] {
            let outcome = read(StatusCode::OK, &HeaderMap::new(), body, 1);
            assert_eq!(outcome, Outcome::Failed(Failure::NotUnderstood));
        }
    }
}
