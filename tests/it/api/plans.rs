//! `POST /v1/plan`: the choice and its reasons, without the work.

use insta::assert_json_snapshot;
use serde_json::json;

use super::toy::Toy;

#[tokio::test]
async fn a_plan_comes_with_its_runners_up_and_what_more_would_buy() {
    let toy = Toy::start().await;
    let body = json!({ "prompt": "a heart", "budget": { "tflops": 0.03 } });
    assert_json_snapshot!(toy.post("/v1/plan", body).await.ok());
}

#[tokio::test]
async fn what_fixed_fields_give_away_is_told_beside_the_plan_they_exclude() {
    let toy = Toy::start().await;
    let body = json!({ "prompt": "a heart", "quality": "max" });
    let free = toy.post("/v1/plan", body).await.ok();
    assert_eq!(free["pins_cost"], json!(null));
    let body = json!({ "prompt": "a heart", "quality": "max", "num_inference_steps": 4 });
    let pinned = toy.post("/v1/plan", body).await.ok();
    let cost = &pinned["pins_cost"];
    assert_eq!(
        (&cost["plan"], &cost["estimate"]),
        (&free["plan"], &free["estimate"])
    );
    // 16 steps score 0.9 on the larger model, 4 steps 0.7.
    let score = cost["score"].as_f64().unwrap();
    assert!((score - 0.2).abs() < 1e-9, "{cost}");
    assert!(cost["tflops"].as_f64().unwrap() < 0.0 && cost["latency_ms"].as_f64().unwrap() < 0.0);
    let message = cost["message"].as_str().unwrap();
    assert!(
        message.starts_with("without the pins: 0.2000 more score"),
        "{message}"
    );
}

#[tokio::test]
async fn the_plan_that_is_told_is_the_plan_that_runs() {
    let toy = Toy::start().await;
    for budget in [
        json!(null),
        json!({ "latency_ms": 70 }),
        json!({ "tflops": 0.08 }),
    ] {
        let body = json!({ "prompt": "a heart", "budget": budget });
        let told = toy.post("/v1/plan", body.clone()).await.ok();
        let ran = toy.draw(body).await.ok();
        assert_eq!(told["plan"], ran["plan"]);
        assert_eq!(told["budget"], ran["budget"]);
    }
}

#[tokio::test]
async fn words_that_the_family_does_not_know_are_told_before_anything_is_drawn() {
    let toy = Toy::start().await;
    let body = json!({ "prompt": "a zebra" });
    let told = toy.post("/v1/plan", body.clone()).await.ok();
    assert_eq!(told["warnings"][0]["code"], "unknown_words");
    let ran = toy.draw(body).await.ok();
    assert_eq!(told["warnings"][0], ran["warnings"][0]);
}

#[tokio::test]
async fn planning_draws_nothing() {
    let toy = Toy::start().await;
    toy.post("/v1/plan", json!({ "prompt": "a heart" }))
        .await
        .ok();
    let text = toy.metrics.text();
    assert!(
        text.contains("goldilocks_images_total{model=\"toy-16\"} 0"),
        "{text}"
    );
}

#[tokio::test]
async fn a_plan_is_refused_for_the_same_reasons_as_a_picture() {
    let toy = Toy::start().await;
    let post = |body| toy.post("/v1/plan", body);
    post(json!({})).await.refused(400, "missing_field");
    post(json!({ "prompt": "a heart", "steps": 1 }))
        .await
        .refused(400, "unknown_field");
    let starved = json!({ "prompt": "a heart", "budget": { "tflops": 1e-9 } });
    post(starved).await.refused(422, "budget_infeasible");
}
