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

#[tokio::test]
async fn with_keys_only_probes_and_documents_stay_open() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "first-key\nsecond-key\n").unwrap();
    let toy = Toy::with(&[&format!("--api-key-file={}", file.path().display())]).await;
    for path in ["/livez", "/readyz", "/metrics", "/openapi.json", "/docs"] {
        assert_eq!(toy.get(path).await.status, 200, "{path}");
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
