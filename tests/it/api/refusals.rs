//! Every way of hearing no: its status, its code, and what it tells a program to do next.

use std::sync::mpsc;

use axum::{body::Body, http::Request};
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;

use super::toy::{Gate, Setup, Toy};

/// A request that would work, changed by one field.
fn with(name: &str, value: Value) -> Value {
    let mut body = json!({ "prompt": "a heart" });
    body[name] = value;
    body
}

#[tokio::test]
async fn a_bad_field_is_named() {
    let toy = Toy::start().await;
    for (name, value, code, param) in [
        ("prompt", json!(3), "invalid_value", "prompt"),
        ("prompt", json!(""), "invalid_value", "prompt"),
        ("prompt", Value::Null, "missing_field", "prompt"),
        ("n", json!(0), "invalid_value", "n"),
        ("size", json!("65x64"), "invalid_value", "size"),
        ("quality", json!("hd"), "invalid_value", "quality"),
        (
            "response_format",
            json!("url"),
            "not_implemented",
            "response_format",
        ),
        (
            "output_format",
            json!("gif"),
            "invalid_value",
            "output_format",
        ),
        (
            "output_compression",
            json!(80),
            "conflicting_fields",
            "output_compression",
        ),
        ("stream", json!("yes"), "invalid_value", "stream"),
        (
            "num_inference_steps",
            json!(501),
            "invalid_value",
            "num_inference_steps",
        ),
        (
            "guidance_scale",
            json!("high"),
            "invalid_value",
            "guidance_scale",
        ),
        ("seed", json!(-1), "invalid_value", "seed"),
        ("sampler", json!("ancestral"), "invalid_value", "sampler"),
        (
            "budget",
            json!({ "latency_ms": 0 }),
            "invalid_value",
            "budget.latency_ms",
        ),
        (
            "budget",
            json!({ "minimize": "tflops" }),
            "missing_field",
            "budget.min_score",
        ),
        (
            "budget",
            json!({ "latncy_ms": 5 }),
            "unknown_field",
            "budget.latncy_ms",
        ),
        ("steps", json!(5), "unknown_field", "steps"),
    ] {
        let error = toy.draw(with(name, value)).await.refused(400, code);
        assert_eq!(error["param"], param, "{error}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    let text = toy.metrics.text();
    assert!(
        text.contains("goldilocks_refusals_total{code=\"not_implemented\"} 1"),
        "{text}"
    );
}

#[tokio::test]
async fn the_last_seed_must_be_exact_too() {
    let toy = Toy::start().await;
    let body = json!({ "prompt": "a heart", "n": 2, "seed": 9_007_199_254_740_991_u64 });
    let error = toy.draw(body).await.refused(400, "invalid_value");
    assert_eq!(error["param"], "seed");
}

#[tokio::test]
async fn an_unknown_field_is_refused_with_its_nearest_spelling() {
    let toy = Toy::start().await;
    let reply = toy.draw(with("negative_promt", json!("x"))).await;
    assert_json_snapshot!(reply.refused(400, "unknown_field"));
}

#[tokio::test]
async fn a_syntax_error_is_found_by_line_and_column() {
    let toy = Toy::start().await;
    let request = Request::post("/v1/plan")
        .body(Body::from("{\n\"prompt\": oops}"))
        .unwrap();
    let error = toy.send(request).await.refused(400, "invalid_json");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("line 2 column 11"),
        "{error}"
    );
}

#[tokio::test]
async fn another_content_type_is_refused_and_none_is_taken_for_json() {
    let toy = Toy::start().await;
    let send = |content_type: Option<&str>| {
        let request = Request::post("/v1/plan");
        let request = match content_type {
            Some(text) => request.header("content-type", text),
            None => request,
        };
        toy.send(
            request
                .body(Body::from(r#"{"prompt": "a heart"}"#))
                .unwrap(),
        )
    };
    send(None).await.ok();
    let form = send(Some("multipart/form-data; boundary=x")).await;
    form.refused(415, "unsupported_media_type");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let toy = Toy::start().await;
    let error = toy
        .draw(with("user", json!("x".repeat(70_000))))
        .await
        .refused(413, "body_too_large");
    assert!(
        error["message"].as_str().unwrap().contains("65536"),
        "{error}"
    );
}

#[tokio::test]
async fn a_body_that_dawdles_is_refused() {
    let toy = Toy::with(&["--body-timeout=0.02"]).await;
    let body = Body::new(NeverEnding);
    let request = Request::post("/v1/plan").body(body).unwrap();
    toy.send(request).await.refused(408, "body_timeout");
}

/// A body whose next byte never comes.
struct NeverEnding;

impl http_body::Body for NeverEnding {
    type Data = axum::body::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn an_unknown_model_is_refused_with_the_known_ones() {
    let toy = Toy::start().await;
    let reply = toy.draw(with("model", json!("dall-e-3"))).await;
    assert_json_snapshot!(reply.refused(404, "model_not_found"));
    for path in ["/v1/models/toy-32", "/v1/models/%ff"] {
        toy.get(path).await.refused(404, "model_not_found");
    }
}

#[tokio::test]
async fn a_budget_below_the_cheapest_plan_is_refused_with_one_that_would_do() {
    let toy = Toy::start().await;
    let reply = toy
        .draw(with("budget", json!({ "tflops": 0.001, "latency_ms": 1 })))
        .await;
    assert_eq!(reply.headers["x-should-retry"], "false");
    let error = reply.refused(422, "budget_infeasible");
    assert_json_snapshot!(error);
    let would_do = &error["minimum_feasible"];
    let budget = json!({ "tflops": would_do["tflops"], "latency_ms": would_do["latency_ms"] });
    toy.draw(with("budget", budget)).await.ok();
}

#[tokio::test]
async fn a_score_out_of_reach_is_refused_with_the_best_there_is() {
    let toy = Toy::start().await;
    let reply = toy.draw(with("budget", json!({ "min_score": 0.99 }))).await;
    let error = reply.refused(422, "min_score_out_of_reach");
    assert_eq!(error["param"], "budget.min_score");
    assert!(
        error["message"].as_str().unwrap().contains("0.9"),
        "{error}"
    );
}

#[tokio::test]
async fn fields_that_exclude_each_other_are_refused() {
    let toy = Toy::start().await;
    let body = json!({ "prompt": "a heart", "negative_prompt": "blur", "guidance_scale": 1 });
    toy.draw(body).await.refused(400, "conflicting_fields");
}

#[tokio::test]
async fn more_work_than_the_server_allows_is_refused() {
    let toy = Toy::with(&["--max-tflops=0.05"]).await;
    let body = json!({ "prompt": "a heart", "n": 10 });
    let error = toy.draw(body).await.refused(400, "invalid_value");
    assert_eq!(error["param"], "budget.tflops");
}

#[tokio::test]
async fn only_the_load_is_reason_for_a_429_that_says_when_to_come_back() {
    let (steps, waits) = mpsc::channel();
    let (said, mut hears) = unbounded_channel();
    let toy = Toy::gated(Gate { steps: waits, said }).await;
    let slow = json!({ "prompt": "a heart", "model": "toy-16", "num_inference_steps": 100 });
    // One that would rather have nothing than less gives up nothing either.
    let mut firm = slow.clone();
    firm["budget"] = json!({ "latency_ms": 1190, "on_late": "reject" });
    let running = tokio::spawn(draw(&toy, firm));
    assert_eq!(hears.recv().await, Some("begun"));

    // A hundred guided steps of 8 ms lie ahead; 60 ms would do on an idle server.
    let reply = toy.draw(with("budget", json!({ "latency_ms": 60 }))).await;
    let retry_after_ms: f64 = reply.headers["retry-after-ms"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1.0..1000.0).contains(&retry_after_ms), "{retry_after_ms}");
    assert_eq!(reply.headers["retry-after"], "1");
    assert!(!reply.headers.contains_key("x-should-retry"));
    let error = reply.refused(429, "overloaded");
    assert_eq!(error["type"], "rate_limit_error");

    // Without a limit it may wait, until the queue is full.
    let waiting = tokio::spawn(draw(&toy, slow.clone()));
    // One runs and one waits: before the first has begun it is the one that waits.
    let queued =
        ["running", "waiting"].map(|s| format!("goldilocks_queued_jobs{{state=\"{s}\"}} 1"));
    while !queued.iter().all(|line| toy.metrics.text().contains(line)) {
        tokio::task::yield_now().await;
    }
    let reply = toy.draw(slow).await;
    assert!(reply.headers.contains_key("retry-after-ms"));
    reply.refused(429, "overloaded");

    drop(steps);
    running.await.unwrap();
    waiting.await.unwrap();
}

/// Draws on a task of its own.
fn draw(toy: &Toy, body: Value) -> impl Future<Output = ()> + use<> {
    let app = toy.app.clone();
    async move {
        let request = Request::post("/v1/images/generations").body(Body::from(body.to_string()));
        let response = tower::ServiceExt::oneshot(app, request.unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
    }
}

#[tokio::test]
async fn while_weights_load_the_progress_is_told_and_plans_are_made() {
    let (loaded, load_gate) = mpsc::channel();
    let toy = Toy::launch(Setup {
        load_gate: Some(load_gate),
        ..Setup::default()
    });
    let reply = toy.draw(with("n", json!(1))).await;
    assert_eq!(reply.headers["retry-after"], "2");
    let error = reply.refused(503, "loading");
    assert_eq!(
        error["loading"],
        json!({ "models_loaded": 0, "models_timed": 0, "models": 2 })
    );
    toy.draw(with("n", json!("x")))
        .await
        .refused(400, "invalid_value");
    toy.post("/v1/plan", with("n", json!(1))).await.ok();

    let readiness = toy.get("/readyz").await;
    assert_eq!(readiness.status, 503);
    assert_eq!(readiness.json()["status"], "warming");
    assert_eq!(toy.get("/livez").await.status, 200);

    drop(loaded);
    toy.ready().await;
    assert_eq!(toy.get("/readyz").await.ok()["status"], "ready");
    toy.draw(with("n", json!(1))).await.ok();
}

#[tokio::test]
async fn a_job_that_fails_is_answered_and_the_next_one_works() {
    let toy = Toy::start().await;
    for prompt in ["break the engine", "break the worker"] {
        let reply = toy.draw(json!({ "prompt": prompt })).await;
        let error = reply.refused(500, "internal_error");
        assert_eq!(error["type"], "server_error");
        toy.draw(json!({ "prompt": "a heart" })).await.ok();
    }
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let toy = Toy::start().await;
    toy.state
        .runtime()
        .shutdown(std::time::Duration::from_secs(5))
        .await;
    toy.draw(with("n", json!(1)))
        .await
        .refused(503, "shutting_down");
    let readiness = toy.get("/readyz").await;
    assert_eq!(
        (readiness.status.as_u16(), &readiness.json()["status"]),
        (503, &json!("draining"))
    );
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_in_the_same_shape() {
    let toy = Toy::start().await;
    toy.get("/v1/completions")
        .await
        .refused(404, "route_not_found");
    let reply = toy.get("/v1/images/generations").await;
    assert_eq!(reply.headers["allow"], "POST");
    reply.refused(405, "method_not_allowed");
}

/// What is refused is never run, so nothing would ever show that the machine is faster than it was at start.
#[tokio::test]
async fn a_machine_that_is_thought_too_slow_is_timed_again() {
    for (path, body) in [
        (
            "/v1/images/generations",
            json!({ "prompt": "a heart", "budget": { "latency_ms": 40 } }),
        ),
        (
            "/v1/plan",
            json!({ "prompt": "a heart", "budget": { "latency_ms": 40 } }),
        ),
    ] {
        let toy = Toy::launch(Setup {
            faster: Some(5.0),
            ..Setup::default()
        });
        toy.ready().await;
        toy.post(path, body.clone())
            .await
            .refused(422, "budget_infeasible");
        let done = "goldilocks_timed_again_total{result=\"done\"} 1";
        while !toy.metrics.text().lines().any(|line| line == done) {
            tokio::task::yield_now().await;
        }
        toy.post(path, body).await.ok();
    }
}
