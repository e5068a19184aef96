//! What machines and browsers read: metrics, the OpenAPI document, the reference page.

use serde_json::json;

use super::toy::Toy;

#[tokio::test]
async fn metrics_tell_what_happened_in_the_text_format() {
    let toy = Toy::start().await;
    let body = json!({
        "prompt": "a heart", "n": 2, "model": "toy-8", "num_inference_steps": 4,
        "guidance_scale": 3, "budget": { "latency_ms": 500, "tflops": 1 },
    });
    toy.draw(body).await.ok();
    toy.get("/nowhere").await;
    let reply = toy.get("/metrics").await;
    assert_eq!(
        reply.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    for line in [
        "goldilocks_requests_total{route=\"/v1/images/generations\",status=\"200\"} 1",
        "goldilocks_requests_total{route=\"unmatched\",status=\"404\"} 1",
        "goldilocks_request_duration_seconds_count{route=\"/v1/images/generations\"} 1",
        "goldilocks_requests_in_flight 1",
        "goldilocks_refusals_total{code=\"route_not_found\"} 1",
        "goldilocks_refusals_total{code=\"budget_infeasible\"} 0",
        "goldilocks_warnings_total{code=\"latency_unlearned\"} 1",
        "goldilocks_plans_total{model=\"toy-8\",sampler=\"ddim\",steps=\"3-4\"} 1",
        "goldilocks_budgets_total{class=\"0.5s\",kind=\"latency\",result=\"attained\"} 1",
        "goldilocks_budgets_total{class=\"0.5s\",kind=\"tflops\",result=\"attained\"} 1",
        "goldilocks_budget_used_ratio_count{kind=\"latency\"} 1",
        "goldilocks_generation_duration_seconds_count 1",
        "goldilocks_latency_prediction_ratio_count 1",
        "goldilocks_predicted_score_count{objective=\"balanced\"} 2",
        "goldilocks_admissions_total{result=\"admitted\"} 1",
        "goldilocks_jobs_total{outcome=\"finished\"} 1",
        "goldilocks_images_total{model=\"toy-8\"} 2",
        "goldilocks_steps_total{model=\"toy-8\"} 8",
        "goldilocks_nfe_total{model=\"toy-8\"} 16",
        "goldilocks_model_loaded{model=\"toy-16\"} 1",
    ] {
        assert!(
            reply.text.contains(line),
            "{line} is not in\n{}",
            reply.text
        );
    }
}

#[tokio::test]
async fn every_line_of_the_metrics_parses() {
    let toy = Toy::start().await;
    toy.draw(json!({ "prompt": "a heart" })).await.ok();
    let text = toy.get("/metrics").await.text;
    let mut n_samples = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap();
        let name = series.split('{').next().unwrap();
        let fit = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(
            name.starts_with("goldilocks_") && name.chars().all(fit),
            "{line}"
        );
        n_samples += 1;
    }
    assert!(n_samples > 300, "{n_samples}");
}

#[tokio::test]
async fn the_document_that_is_served_is_the_committed_one() {
    let toy = Toy::start().await;
    let reply = toy.get("/openapi.json").await;
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(reply.text, goldilocks::api::document());
}

#[tokio::test]
async fn the_reference_page_needs_nothing_from_elsewhere() {
    let toy = Toy::start().await;
    let reply = toy.get("/docs").await;
    assert_eq!(reply.headers["content-type"], "text/html; charset=utf-8");
    assert!(
        reply.headers["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("default-src 'none'")
    );
    for elsewhere in ["src=", "http://", "https://", "@import", "url("] {
        assert!(!reply.text.contains(elsewhere), "{elsewhere}");
    }
}
