//! What headers do: deadlines, names of requests, keys.

use axum::{body::Body, http::Request};
use serde_json::{Value, json};

use super::toy::Toy;

async fn in_force(
    toy: &Toy,
    headers: &[(&'static str, &str)],
    body_ms: Option<f64>,
) -> (Value, Value) {
    let body = json!({ "prompt": "a heart", "budget": { "latency_ms": body_ms } });
    let budget = toy.post_with("/v1/plan", headers, body).await.ok()["budget"].clone();
    (budget["latency_ms"].clone(), budget["latency_from"].clone())
}

#[tokio::test]
async fn the_lowest_limit_is_in_force_and_its_source_is_echoed() {
    let toy = Toy::start().await;
    let header = ("request-timeout-ms", "700");
    assert_eq!(in_force(&toy, &[], None).await, (Value::Null, Value::Null));
    assert_eq!(
        in_force(&toy, &[], Some(800.0)).await,
        (json!(800.0), json!("budget.latency_ms"))
    );
    assert_eq!(
        in_force(&toy, &[header], Some(800.0)).await,
        (json!(700.0), json!("Request-Timeout-Ms"))
    );
    assert_eq!(
        in_force(&toy, &[header], Some(600.0)).await,
        (json!(600.0), json!("budget.latency_ms"))
    );
    let all = [
        header,
        ("grpc-timeout", "500m"),
        ("x-request-timeout", "0.6"),
    ];
    assert_eq!(
        in_force(&toy, &all, Some(800.0)).await,
        (json!(500.0), json!("grpc-timeout"))
    );
}

#[tokio::test]
async fn a_refusal_names_the_header_that_asked_for_too_much() {
    let toy = Toy::start().await;
    let body = json!({ "prompt": "a heart", "budget": { "latency_ms": 3000 } });
    for path in ["/v1/images/generations", "/v1/plan"] {
        let headers = [("x-request-timeout", "0.001")];
        let reply = toy.post_with(path, &headers, body.clone()).await;
        let error = reply.refused(422, "budget_infeasible");
        assert_eq!(error["param"], "X-Request-Timeout");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.ends_with("that of the header X-Request-Timeout"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_malformed_deadline_is_refused_by_its_name() {
    let toy = Toy::start().await;
    let headers = [("grpc-timeout", "soon")];
    let body = json!({ "prompt": "a heart" });
    let reply = toy
        .post_with("/v1/images/generations", &headers, body)
        .await;
    assert_eq!(reply.refused(400, "invalid_value")["param"], "grpc-timeout");
}

#[tokio::test]
async fn a_request_keeps_its_name_or_gets_one_whatever_the_answer() {
    let toy = Toy::start().await;
    for path in [
        "/livez",
        "/metrics",
        "/docs",
        "/",
        "/nowhere",
        "/v1/images/generations",
    ] {
        let request = Request::get(path)
            .header("x-request-id", "mine-1")
            .body(Body::empty());
        let reply = toy.send(request.unwrap()).await;
        assert_eq!(reply.headers["x-request-id"], "mine-1", "{path}");
        let made = toy.get(path).await.headers["x-request-id"].clone();
        assert_eq!(made.len(), 32, "{path}");
    }
}

#[tokio::test]
async fn a_name_unfit_for_a_log_is_replaced() {
    let toy = Toy::start().await;
    let request = Request::get("/livez")
        .header("x-request-id", "a b\"c")
        .body(Body::empty());
    let reply = toy.send(request.unwrap()).await;
    assert_eq!(reply.headers["x-request-id"].len(), 32);
}

/// A server with two keys, and with these flags.
async fn with_keys(flags: &[&str]) -> Toy {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "first-key\nsecond-key\n").unwrap();
    let keys = format!("--api-key-file={}", file.path().display());
    Toy::with(&[&[keys.as_str()], flags].concat()).await
}

#[tokio::test]
async fn with_keys_only_documents_stay_open() {
    let toy = with_keys(&[]).await;
    for path in ["/openapi.json", "/docs"] {
        assert_eq!(toy.get(path).await.status, 200, "{path}");
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        toy.get(path).await.refused(401, "invalid_api_key");
    }
    let reply = toy.get("/v1/models").await;
    assert_eq!(reply.headers["www-authenticate"], "Bearer");
    assert_eq!(
        reply.refused(401, "invalid_api_key")["type"],
        "authentication_error"
    );
    toy.get("/nowhere").await.refused(401, "invalid_api_key");

    let body = || json!({ "prompt": "a heart" });
    for (value, status) in [
        ("Bearer first-key", 200),
        ("bearer second-key", 200),
        ("Bearer third-key", 401),
        ("Basic first-key", 401),
    ] {
        let reply = toy
            .post_with("/v1/plan", &[("authorization", value)], body())
            .await;
        assert_eq!(reply.status, status, "{value}");
    }
}

#[tokio::test]
async fn probes_and_scrapes_need_no_key_where_the_operator_says_so() {
    let statuses = async |flags: &[&str]| {
        let toy = with_keys(flags).await;
        let mut found = Vec::new();
        for path in ["/livez", "/readyz", "/metrics", "/v1/models"] {
            found.push(toy.get(path).await.status.as_u16());
        }
        found
    };
    assert_eq!(statuses(&["--open-probes"]).await, [200, 200, 401, 401]);
    assert_eq!(statuses(&["--open-metrics"]).await, [401, 401, 200, 401]);
    let both = ["--open-probes", "--open-metrics"];
    assert_eq!(statuses(&both).await, [200, 200, 200, 401]);
}

/// What a browser asks before it lets a page send a key.
fn preflight(origin: &str) -> Request<Body> {
    let request = Request::options("/v1/images/generations")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,content-type",
        );
    request.body(Body::empty()).unwrap()
}

fn from(origin: &str) -> Request<Body> {
    let request = Request::get("/v1/models")
        .header("origin", origin)
        .header("authorization", "Bearer first-key");
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn only_pages_of_listed_origins_may_read_replies() {
    let here = "https://a.example";
    let toy = with_keys(&["--cors-origin", here, "--cors-origin", "http://b:3000"]).await;
    for origin in [here, "http://b:3000"] {
        let reply = toy.send(preflight(origin)).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.headers["access-control-allow-origin"], origin);
        let allowed = &reply.headers["access-control-allow-headers"];
        assert_eq!(allowed, "authorization,content-type");
        let methods = reply.headers["access-control-allow-methods"].to_str();
        assert!(methods.unwrap().contains("POST"));
        assert!(reply.headers.contains_key("x-request-id"));
        let reply = toy.send(from(origin)).await;
        assert_eq!(reply.headers["access-control-allow-origin"], origin);
        let exposed = reply.headers["access-control-expose-headers"].to_str();
        assert!(exposed.unwrap().contains("retry-after-ms"));
        assert_eq!(reply.status, 200);
    }
    for request in [preflight("https://c.example"), from("https://c.example")] {
        let reply = toy.send(request).await;
        assert!(!reply.headers.contains_key("access-control-allow-origin"));
    }
    // A page must be able to read that its key is wrong.
    let request = Request::get("/v1/models").header("origin", here);
    let reply = toy.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.headers["access-control-allow-origin"], here);
    reply.refused(401, "invalid_api_key");
}

#[tokio::test]
async fn every_page_may_read_replies_where_all_are_listed_and_none_where_none_is() {
    let toy = with_keys(&["--cors-origin=*"]).await;
    for request in [preflight("https://c.example"), from("https://c.example")] {
        let reply = toy.send(request).await;
        assert_eq!(reply.headers["access-control-allow-origin"], "*");
    }
    let toy = Toy::start().await;
    let reply = toy.send(preflight("https://c.example")).await;
    reply.refused(405, "method_not_allowed");
    let reply = toy.send(from("https://c.example")).await;
    assert!(!reply.headers.contains_key("access-control-allow-origin"));
}
