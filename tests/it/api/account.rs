//! What the operator is told of promises and of load.

use std::sync::mpsc;

use axum::{body::Body, http::Request};
use serde_json::json;
use tokio::sync::mpsc::unbounded_channel;

use super::toy::{Gate, Toy};

/// The value of one series.
fn value(text: &str, series: &str) -> f64 {
    let mut lines = text.lines();
    let found = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let found = found.unwrap_or_else(|| panic!("{series} is not in\n{text}"));
    found.parse().unwrap()
}

/// The same of a series that counts.
fn count(text: &str, series: &str) -> u64 {
    value(text, series) as u64
}

fn budgets(kind: &str, class: &str, result: &str) -> String {
    format!("goldilocks_budgets_total{{class=\"{class}\",kind=\"{kind}\",result=\"{result}\"}}")
}

#[tokio::test]
async fn limits_that_nobody_could_keep_are_told_apart_from_those_that_held() {
    let toy = Toy::start().await;
    let draw = async |budget| {
        toy.draw(json!({ "prompt": "a heart", "budget": budget }))
            .await
    };
    draw(json!({ "latency_ms": 0.001 }))
        .await
        .refused(422, "budget_infeasible");
    draw(json!({ "latency_ms": 2000, "tflops": 1e-9 }))
        .await
        .refused(422, "budget_infeasible");
    draw(json!({ "tflops": 1 })).await.ok();
    draw(json!({ "latency_ms": 2000, "tflops": 1 })).await.ok();
    let bad = json!({ "latency_ms": 2000, "min_score": 2 });
    draw(bad).await.refused(400, "invalid_value");
    let text = toy.metrics.text();
    for (series, n) in [
        (budgets("latency", "0.05s", "infeasible"), 1),
        (budgets("latency", "2s", "infeasible"), 1),
        (budgets("tflops", "2s", "infeasible"), 1),
        (budgets("tflops", "none", "attained"), 1),
        (budgets("latency", "2s", "attained"), 1),
        (budgets("tflops", "2s", "attained"), 1),
        (budgets("latency", "2s", "refused"), 0),
        (
            "goldilocks_budget_used_ratio_count{kind=\"tflops\"}".to_owned(),
            2,
        ),
        (
            "goldilocks_budget_used_ratio_bucket{kind=\"tflops\",le=\"1\"}".to_owned(),
            2,
        ),
        ("goldilocks_generation_duration_seconds_count".to_owned(), 2),
    ] {
        assert_eq!(count(&text, &series), n, "{series}");
    }
}

#[tokio::test]
async fn what_waits_is_told_in_jobs_and_operations_and_what_the_load_keeps_out_is_counted() {
    let (steps, waits) = mpsc::channel();
    let (said, mut hears) = unbounded_channel();
    let toy = Toy::gated(Gate { steps: waits, said }).await;
    let slow = json!({ "prompt": "a heart", "model": "toy-16", "num_inference_steps": 16 });
    let draw = || {
        let request = Request::post("/v1/images/generations").body(Body::from(slow.to_string()));
        tokio::spawn(tower::ServiceExt::oneshot(
            toy.app.clone(),
            request.unwrap(),
        ))
    };
    let running = draw();
    assert_eq!(hears.recv().await, Some("begun"));
    let planned = toy.post("/v1/plan", slow.clone()).await.ok();
    let planned = planned["estimate"]["tflops"].as_f64().unwrap() * 1e12;
    let flops = async || value(&toy.get("/metrics").await.text, "goldilocks_queued_flops");
    let mut one = planned;
    while one >= planned {
        // Until the books say that the text is done.
        tokio::task::yield_now().await;
        one = flops().await;
    }
    assert!(one > 0.9 * planned, "{one} of {planned}");
    let waiting = draw();
    let ahead = "goldilocks_queued_jobs{state=\"waiting\"}";
    while count(&toy.get("/metrics").await.text, ahead) == 0 {
        tokio::task::yield_now().await;
    }
    let hurried = json!({ "prompt": "a heart", "budget": { "latency_ms": 60 } });
    toy.draw(hurried).await.refused(429, "overloaded");
    let text = toy.get("/metrics").await.text;
    let two = value(&text, "goldilocks_queued_flops");
    assert!(
        (two - one - planned).abs() <= 1e-6 * planned,
        "{two} is not {one} and {planned}"
    );
    assert_eq!(count(&text, "goldilocks_queued_jobs{state=\"running\"}"), 1);
    assert_eq!(count(&text, &budgets("latency", "0.1s", "refused")), 1);
    assert_eq!(count(&text, "goldilocks_ready"), 1);

    drop(steps);
    for drawn in [running, waiting] {
        assert_eq!(drawn.await.unwrap().unwrap().status(), 200);
    }
    let text = toy.get("/metrics").await.text;
    assert_eq!(count(&text, "goldilocks_queued_flops"), 0);
    assert_eq!(count(&text, ahead), 0);
    let ran = value(&text, "goldilocks_flops_total");
    assert!(
        (ran / planned - 2.0).abs() < 1e-6,
        "{ran} is not twice {planned}"
    );
    let wasted = "goldilocks_wasted_nfe_total{reason=\"cancelled\"}";
    assert_eq!(count(&text, wasted), 0);
}

#[tokio::test]
async fn predictions_are_judged_once_they_are_learned() {
    let toy = Toy::start().await;
    let body = json!({ "prompt": "a heart", "budget": { "latency_ms": 1000 } });
    let series = |basis: &str, result: &str| {
        format!(
            "goldilocks_latency_predictions_total{{basis=\"{basis}\",percentile=\"p95\",result=\"{result}\"}}"
        )
    };
    toy.draw(body.clone()).await.ok();
    assert_eq!(count(&toy.metrics.text(), &series("work", "held")), 0);
    for _ in 0..60 {
        toy.draw(body.clone()).await.ok();
    }
    let text = toy.metrics.text();
    for basis in ["work", "reply"] {
        let judged =
            count(&text, &series(basis, "held")) + count(&text, &series(basis, "exceeded"));
        assert!((20..60).contains(&judged), "{judged} of {basis}");
    }
    // The toy takes the same time again and again.
    assert!(count(&text, &series("work", "held")) >= 20, "{text}");
}

#[tokio::test]
async fn jobs_that_are_kept_are_told_by_their_status() {
    let toy = Toy::start().await;
    let made = toy
        .post("/v1/images/jobs", json!({ "prompt": "a heart" }))
        .await;
    assert_eq!(made.status, 202, "{}", made.text);
    let done = "goldilocks_kept_jobs{status=\"succeeded\"}";
    while count(&toy.get("/metrics").await.text, done) == 0 {
        tokio::task::yield_now().await;
    }
    let text = toy.get("/metrics").await.text;
    assert_eq!(
        count(&text, "goldilocks_kept_jobs{status=\"in_progress\"}"),
        0
    );
    assert_eq!(
        count(&text, "goldilocks_generation_duration_seconds_count"),
        1
    );
}
