//! `POST /v1/images/generations` where it works.

use std::{convert::Infallible, time::Duration};

use axum::{body::Body, http::Request};
use insta::assert_json_snapshot;
use serde_json::json;
use tokio::sync::mpsc::unbounded_channel;
use tokio_stream::StreamExt;

use super::toy::{Gate, Toy};

#[tokio::test]
async fn a_prompt_alone_gets_a_picture_with_its_plan_and_what_came_of_it() {
    let toy = Toy::start().await;
    let reply = toy.draw(json!({ "prompt": "a heart" })).await.ok();
    let seed = reply["data"][0]["seed"].as_u64().unwrap();
    assert!(seed < 1 << 32);
    assert_json_snapshot!(reply, {
        ".data[0].seed" => "[seed]",
        ".data[0].b64_json" => insta::dynamic_redaction(move |value, _path| {
            let decoded = decode(value.as_str().unwrap());
            assert_eq!(decoded, format!("PNG of seed {seed}"));
            "[file]"
        }),
    });
}

#[tokio::test]
async fn everything_at_once_is_understood_and_echoed() {
    let toy = Toy::start().await;
    let body = json!({
        "prompt": "a heart", "model": "toy", "n": 2, "size": "64x64", "quality": "xhigh",
        "negative_prompt": "blur", "seed": 41, "user": "someone",
        "budget": {
            "latency_ms": 900, "tflops": 0.5, "objective": "alignment", "min_score": 0.3,
            "minimize": "tflops", "on_late": "run_late",
        },
    });
    assert_json_snapshot!(toy.draw(body).await.ok());
}

#[tokio::test]
async fn every_format_is_written_and_told() {
    let toy = Toy::start().await;
    for (format, compression) in [("jpeg", 0), ("jpeg", 80), ("webp", 100), ("png", 100)] {
        let body = json!({
            "prompt": "a heart", "seed": 1, "output_format": format, "output_compression": compression,
        });
        let reply = toy.draw(body).await.ok();
        assert_eq!(reply["output_format"], format);
        let file = decode(reply["data"][0]["b64_json"].as_str().unwrap());
        assert_eq!(file, format!("{} of seed 1", format.to_uppercase()));
    }
}

#[tokio::test]
async fn a_larger_budget_buys_a_better_plan() {
    let toy = Toy::start().await;
    let mut scores = Vec::new();
    for tflops in [0.012, 0.03, 0.06, 0.2] {
        let body = json!({ "prompt": "a heart", "budget": { "tflops": tflops } });
        let reply = toy.draw(body).await.ok();
        assert!(
            reply["actual"]["tflops"].as_f64().unwrap() <= tflops,
            "{reply}"
        );
        scores.push(reply["estimate"]["score"]["mean"].as_f64().unwrap());
    }
    assert!(scores.is_sorted() && scores[0] < scores[3], "{scores:?}");
}

#[tokio::test]
async fn explicit_fields_pin_their_part_of_the_plan() {
    let toy = Toy::start().await;
    let body = json!({
        "prompt": "a heart", "model": "toy-8", "num_inference_steps": 3, "guidance_scale": 1,
        "sampler": "ddim",
    });
    let reply = toy.draw(body).await.ok();
    let expected = json!({
        "model": "toy-8", "stages": [], "sampler": "ddim", "steps": 3, "guidance_scale": 1.0,
        "guidance_interval": null, "candidates": null, "size": "64x64",
    });
    assert_eq!(reply["plan"], expected);
    assert_eq!(reply["actual"]["nfe"], 3);
    assert_eq!(reply["data"][0]["steps_run"], 3);
}

#[tokio::test]
async fn a_pin_that_was_never_measured_is_honoured_without_a_score_and_with_a_warning() {
    let toy = Toy::start().await;
    let body = json!({ "prompt": "a heart", "num_inference_steps": 100 });
    let reply = toy.draw(body).await.ok();
    assert_eq!(reply["plan"]["steps"], 100);
    assert!(reply["estimate"]["score"].is_null());
    assert_eq!(reply["warnings"][0]["code"], "unmeasured_pin");
    let text = toy.metrics.text();
    assert!(
        text.contains("goldilocks_warnings_total{code=\"unmeasured_pin\"} 1"),
        "{text}"
    );
}

#[tokio::test]
async fn words_that_the_family_does_not_know_are_told() {
    let toy = Toy::start().await;
    let reply = toy
        .draw(json!({ "prompt": "a zebra hart, zebra!" }))
        .await
        .ok();
    assert_eq!(reply["warnings"][0]["code"], "unknown_words");
    let message = reply["warnings"][0]["message"].as_str().unwrap();
    let told = "not trained on \"zebra\", \"hart\" (did you mean \"heart\"?); GET /v1/models";
    assert!(message.contains(told), "{message}");
}

#[tokio::test]
async fn a_prompt_that_is_cut_is_told() {
    let toy = Toy::start().await;
    let reply = toy
        .draw(json!({ "prompt": "a heart ".repeat(20) }))
        .await
        .ok();
    assert_eq!(reply["warnings"][0]["code"], "prompt_truncated");
}

#[tokio::test]
async fn a_named_budget_is_told_as_the_operations_it_grants() {
    let toy = Toy::start().await;
    let body = json!({ "prompt": "a heart", "n": 2, "quality": "low" });
    let reply = toy.draw(body).await.ok();
    assert_eq!(reply["budget"]["tflops"], 0.04);
    assert_eq!(reply["budget"]["tflops_from"], "quality");
    assert!(
        reply["actual"]["tflops"].as_f64().unwrap() <= 0.04,
        "{reply}"
    );
    let body = json!({ "prompt": "a heart", "quality": "max", "budget": { "tflops": 0.03 } });
    let reply = toy.draw(body).await.ok();
    assert_eq!(reply["budget"]["tflops_from"], "budget.tflops");
}

#[tokio::test]
async fn each_picture_reports_a_seed_that_reproduces_it_alone() {
    let toy = Toy::start().await;
    let body = json!({ "prompt": "a heart", "n": 3, "seed": 9_007_199_254_740_989_u64 });
    let reply = toy.draw(body).await.ok();
    for (image_idx, image) in reply["data"].as_array().unwrap().iter().enumerate() {
        let seed = 9_007_199_254_740_989 + image_idx as u64;
        assert_eq!(image["seed"], seed);
        assert_eq!(
            decode(image["b64_json"].as_str().unwrap()),
            format!("PNG of seed {seed}")
        );
    }
}

#[tokio::test]
async fn work_that_misses_its_limit_is_delivered_and_marked_late() {
    let (steps, waits) = std::sync::mpsc::channel();
    let (said, mut hears) = unbounded_channel();
    let toy = Toy::gated(Gate { steps: waits, said }).await;
    let body = json!({
        "prompt": "a heart", "model": "toy-8", "num_inference_steps": 1, "guidance_scale": 1,
        "budget": { "latency_ms": 100 },
    });
    let (reply, ()) = tokio::join!(toy.draw(body), async {
        assert_eq!(hears.recv().await, Some("begun"));
        // Something else held the machine.
        toy.clock.advance(std::time::Duration::from_millis(200));
        steps.send(()).unwrap();
    });
    let reply = reply.ok();
    assert_eq!(reply["data"][0]["late"], true);
    assert!(reply["actual"]["latency_ms"].as_f64().unwrap() > 200.0);
    let text = toy.metrics.text();
    let missed = "goldilocks_budgets_total{class=\"0.1s\",kind=\"latency\",result=\"missed\"} 1";
    assert!(text.contains(missed), "{text}");
}

#[tokio::test]
async fn a_client_that_leaves_stops_its_work_at_the_next_step() {
    let (steps, waits) = std::sync::mpsc::channel();
    let (said, mut hears) = unbounded_channel();
    let toy = Toy::gated(Gate { steps: waits, said }).await;
    let body = json!({ "prompt": "a heart", "model": "toy-8", "num_inference_steps": 50 });
    tokio::select! {
        reply = toy.draw(body) => panic!("answered before its first step: {}", reply.text),
        word = hears.recv() => assert_eq!(word, Some("begun")),
    }
    // The request's future is dropped here, as it is when its connection closes.
    steps.send(()).unwrap();
    assert_eq!(hears.recv().await, Some("stopped"));
    let text = toy.metrics.text();
    assert!(text.contains("goldilocks_requests_in_flight 0"), "{text}");

    // The worker counts a job's steps when it has ended, and then takes the next one.
    steps.send(()).unwrap();
    let next = json!({ "prompt": "a heart", "model": "toy-16", "num_inference_steps": 1 });
    toy.draw(next).await.ok();
    let text = toy.metrics.text();
    assert!(
        text.contains("goldilocks_steps_total{model=\"toy-8\"} 1"),
        "{text}"
    );
}

#[tokio::test]
async fn latency_is_learned_from_requests_as_they_finish() {
    let toy = Toy::start().await;
    let body = json!({ "prompt": "a heart", "budget": { "latency_ms": 1000 } });
    let first = toy.draw(body.clone()).await.ok();
    assert_eq!(first["warnings"][0]["code"], "latency_unlearned");
    for _ in 0..40 {
        toy.draw(body.clone()).await.ok();
    }
    let last = toy.draw(body).await.ok();
    assert_eq!(last["warnings"], json!([]));
    let (predicted, took) = (
        &last["estimate"]["latency_ms"]["p50"],
        &last["actual"]["latency_ms"],
    );
    let ratio = predicted.as_f64().unwrap() / took.as_f64().unwrap();
    assert!((0.99..1.01).contains(&ratio), "{ratio}");
}

#[tokio::test]
async fn a_prompt_that_is_kept_is_promised_without_its_encoding_and_teaches_nothing_of_new_ones() {
    let body =
        |prompt: &str| json!({ "prompt": prompt, "model": "toy-8", "num_inference_steps": 4 });
    let mut of_new_ones = Vec::new();
    for repeats in [false, true] {
        let toy = Toy::start().await;
        for i in 0..40 {
            let i = if repeats { 0 } else { i };
            toy.draw(body(&format!("heart {i}"))).await.ok();
        }
        let new = toy.post("/v1/plan", body("a circle")).await.ok();
        let kept = toy.post("/v1/plan", body("heart 0")).await.ok();
        let p50 = |reply: &serde_json::Value| reply["estimate"]["latency_ms"]["p50"].as_f64();
        let saved = p50(&new).unwrap() - p50(&kept).unwrap();
        assert!((saved - 2.0).abs() < 0.01, "{new} {kept}");
        assert_eq!(new["estimate"]["tflops"], kept["estimate"]["tflops"]);
        let drawn = toy.draw(body("heart 0")).await.ok();
        assert_eq!(drawn["estimate"], kept["estimate"]);
        assert_eq!(drawn["actual"]["phases_ms"]["text"], 0.0);
        of_new_ones.push(new["estimate"]["latency_ms"].clone());
    }
    for quantile in ["p50", "p95", "p99"] {
        let of = |idx: usize| of_new_ones[idx][quantile].as_f64().unwrap();
        assert!((of(0) / of(1) - 1.0).abs() < 1e-9, "{of_new_ones:?}");
    }
}

fn decode(base64: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    String::from_utf8(STANDARD.decode(base64).unwrap()).unwrap()
}

/// What a client does with its time says nothing of the machine: nobody else's promises get wider for it.
#[tokio::test]
async fn a_body_that_comes_slowly_is_not_learned_from() {
    let toy = Toy::start().await;
    let body = json!({ "prompt": "a heart", "model": "toy-8", "num_inference_steps": 4 });
    for _ in 0..40 {
        toy.draw(body.clone()).await.ok();
    }
    let p99 = async || {
        let plan = toy.post("/v1/plan", body.clone()).await.ok();
        plan["estimate"]["latency_ms"]["p99"].as_f64().unwrap()
    };
    let before = p99().await;
    let (clock, bytes) = (toy.clock.clone(), body.to_string());
    let slowly = tokio_stream::once(bytes).map(move |bytes| {
        clock.advance(Duration::from_secs(9));
        Ok::<_, Infallible>(bytes)
    });
    let request = Request::post("/v1/images/generations").body(Body::from_stream(slowly));
    let reply = toy.send(request.unwrap()).await.ok();
    // Its own budget counts it.
    assert!(reply["actual"]["latency_ms"].as_f64().unwrap() > 9000.0);
    assert!((p99().await / before - 1.0).abs() < 0.01);
}
