//! How is a running server asked? `POST /v1/images/generations` over HTTP/1.1, on connections that are kept.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde_json::{Map, Value, json};

use super::{
    record::{Failure, Outcome},
    replay::{Reply, Target},
    trace::Arrival,
};
use crate::telemetry::Clock;

mod reply;

/// Less than servers let a silent connection live, so that no request is sent into one that is about to close.
const IDLE: Duration = Duration::from_secs(5);

/// Where a server is: `http://HOST:PORT`, perhaps with a path before its routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = || {
            format!(
                "{text:?} is no address of a server; write for example http://127.0.0.1:8080 (a server behind TLS is asked through a local proxy)"
            )
        };
        let uri: Uri = text.parse().map_err(|_| fault())?;
        let is_bare = !text.contains(['?', '#']);
        if uri.scheme_str() != Some("http") || uri.host().is_none() || !is_bare {
            return Err(fault());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl BaseUrl {
    fn route(&self, path: &str) -> Uri {
        let uri = format!("{}{path}", self.0).parse();
        uri.expect("a path can follow a checked address")
    }
}

/// A server that is asked over HTTP.
#[derive(Debug)]
pub struct HttpServer {
    client: Client<HttpConnector, Full<Bytes>>,
    url: BaseUrl,
    authorization: Option<HeaderValue>,
    clock: Arc<dyn Clock>,
}

/// A key that no header can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the API key holds characters that no HTTP header can; write one key a line, in ASCII")]
pub struct BadKey;

/// Whether it is worth beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It answers, and does not say that it is not ready.
    Ready,
    /// It says that it is not ready.
    NotReady,
    /// It does not answer.
    Absent(String),
}

impl HttpServer {
    /// Prepares to ask the server at `url`; replies are timed by `clock`.
    pub fn new(url: BaseUrl, api_key: Option<&str>, clock: Arc<dyn Clock>) -> Result<Self, BadKey> {
        let mut connector = HttpConnector::new();
        // A request is written whole; waiting to fill a packet would only add latency.
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Ok(Self {
            client,
            url,
            authorization: api_key.map(bearer).transpose()?,
            clock,
        })
    }

    /// Asks whether it is ready. Servers without `/readyz` are taken for ready if they answer at all.
    pub async fn presence(&self) -> Presence {
        match self.client.get(self.url.route("/readyz")).await {
            Ok(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE => {
                Presence::NotReady
            }
            Ok(_) => Presence::Ready,
            Err(error) => Presence::Absent(causes(&error)),
        }
    }

    fn request(&self, number: usize, arrival: &Arrival) -> Request<Full<Bytes>> {
        let body = Bytes::from(body(number, arrival).to_string());
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.route("/v1/images/generations");
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        request
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Whole, Failure> {
        let response = self.client.request(request).await;
        let (head, body) = response.map_err(|error| failure(&error))?.into_parts();
        let body = body.collect().await.map_err(|_| Failure::BodyCut)?;
        Ok(Whole {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }
}

/// A reply to its last byte.
struct Whole {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Target for HttpServer {
    async fn ask(&self, number: usize, arrival: &Arrival) -> Reply {
        let exchanged = self.exchange(self.request(number, arrival)).await;
        // Reading the reply is the generator's time, not the server's.
        let finished = self.clock.now();
        let outcome = match exchanged {
            Ok(whole) => reply::read(whole.status, &whole.headers, &whole.body, arrival.images),
            Err(failure) => Outcome::Failed(failure),
        };
        Reply { finished, outcome }
    }
}

/// What is sent. The seed is the request's number, so that every server is asked for the same pictures.
fn body(number: usize, arrival: &Arrival) -> Value {
    let mut budget = Map::new();
    if let Some(limit) = arrival.class.latency_ms {
        budget.insert("latency_ms".into(), limit.0.into());
    }
    if let Some(limit) = arrival.class.tflops {
        budget.insert("tflops".into(), limit.into());
    }
    let mut body = json!({ "prompt": arrival.prompt, "n": arrival.images, "seed": number });
    if !budget.is_empty() {
        body["budget"] = budget.into();
    }
    body
}

fn bearer(key: &str) -> Result<HeaderValue, BadKey> {
    let mut value = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| BadKey)?;
    value.set_sensitive(true);
    Ok(value)
}

fn failure(error: &Error) -> Failure {
    if error.is_connect() {
        Failure::NotConnected
    } else {
        Failure::ConnectionLost
    }
}

/// The error with what lies behind it: the outermost one alone says "client error".
fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(error.source(), |cause| cause.source());
    let told: Vec<String> = chain.map(ToString::to_string).collect();
    told.last().cloned().unwrap_or_else(|| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{load::trace::BudgetClass, units::Millis};

    #[test]
    fn an_address_is_read_and_routes_follow_it() {
        for (text, route) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/readyz"),
            ("http://[::1]:80/", "http://[::1]:80/readyz"),
            ("http://host/behind/here/", "http://host/behind/here/readyz"),
        ] {
            let url: BaseUrl = text.parse().unwrap();
            assert_eq!(url.route("/readyz").to_string(), route);
        }
    }

    #[test]
    fn what_is_no_address_is_told_what_would_be() {
        for text in [
            "",
            "127.0.0.1:8080",
            "https://host",
            "/v1",
            "http://host/?a=b",
            "http://host#a",
            "http://",
        ] {
            let told = text.parse::<BaseUrl>().unwrap_err();
            assert!(told.contains("http://127.0.0.1:8080"), "{told}");
        }
    }

    #[test]
    fn a_request_says_what_the_trace_says_and_no_more() {
        let mut arrival = Arrival {
            arrival_seconds: 0.0,
            class: BudgetClass::default(),
            images: 2,
            prompt: "a \"dog\"".into(),
        };
        let bare = json!({ "prompt": "a \"dog\"", "n": 2, "seed": 7 });
        assert_eq!(body(7, &arrival), bare);
        arrival.class = BudgetClass {
            latency_ms: Some(Millis(60.0)),
            tflops: Some(0.004),
        };
        let budget = json!({ "latency_ms": 60.0, "tflops": 0.004 });
        assert_eq!(body(7, &arrival)["budget"], budget);
    }

    #[test]
    fn a_key_becomes_a_header_that_is_not_shown() {
        let header = bearer("secret").unwrap();
        assert_eq!(header, "Bearer secret");
        assert!(!format!("{header:?}").contains("secret"));
        assert_eq!(bearer("a\nb"), Err(BadKey));
    }
}
