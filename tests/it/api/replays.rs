//! `plan_token`: a plan that ran runs once more.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::toy::Toy;

/// The token of the plan that a budget buys.
async fn token(toy: &Toy) -> (String, Value) {
    let body = json!({ "prompt": "a heart", "budget": { "tflops": 0.03 } });
    let reply = toy.draw(body).await.ok();
    let token = reply["plan_token"].as_str().unwrap().to_owned();
    (token, reply)
}

fn with(token: &str, more: &Value) -> Value {
    let mut body = json!({ "prompt": "a heart", "plan_token": token });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// A token that says the same of other bytes.
fn changed(token: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
    change(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test]
async fn a_plan_runs_once_more_whatever_would_be_chosen_now() {
    let toy = Toy::start().await;
    let (token, first) = token(&toy).await;
    assert!(token.len() < 300);
    let free = toy.draw(json!({ "prompt": "a heart" })).await.ok();
    assert_ne!(free["plan"], first["plan"]);
    for more in [
        json!({}),
        json!({ "model": "auto", "size": "auto", "quality": "max", "n": 2 }),
        json!({ "model": "toy", "size": "64x64", "negative_prompt": "blur", "seed": 5 }),
        json!({ "budget": { "latency_ms": 500, "min_score": 0.1, "minimize": "latency" } }),
    ] {
        let reply = toy.draw(with(&token, &more)).await.ok();
        assert_eq!(reply["plan"], first["plan"]);
        assert_eq!(reply["plan_token"], token);
        assert_eq!(reply["estimate"]["score"], first["estimate"]["score"]);
    }
    let told = toy.post("/v1/plan", with(&token, &json!({}))).await.ok();
    assert_eq!(
        (&told["plan"], &told["runners_up"]),
        (&first["plan"], &json!([]))
    );
    assert_eq!(told["plan_token"], token);
}

#[tokio::test]
async fn what_would_run_can_be_asked_for_and_then_run() {
    let toy = Toy::start().await;
    let body = json!({ "prompt": "a heart", "num_inference_steps": 100 });
    let told = toy.post("/v1/plan", body).await.ok();
    let token = told["plan_token"].as_str().unwrap();
    let reply = toy.draw(with(token, &json!({}))).await.ok();
    assert_eq!(reply["plan"], told["plan"]);
    assert!(reply["estimate"]["score"].is_null());
    assert_eq!(reply["warnings"][0]["code"], "unmeasured_pin");
}

#[tokio::test]
async fn a_part_of_the_plan_beside_its_token_is_refused_by_name() {
    let toy = Toy::start().await;
    let (token, first) = token(&toy).await;
    for (name, value) in [
        ("model", first["plan"]["model"].clone()),
        ("num_inference_steps", first["plan"]["steps"].clone()),
        ("guidance_scale", json!(3)),
        ("sampler", json!("ddim")),
    ] {
        let error = toy.draw(with(&token, &json!({ name: value }))).await;
        let error = error.refused(400, "conflicting_fields");
        assert_eq!(error["param"], name);
    }
}

#[tokio::test]
async fn a_budget_that_the_plan_does_not_fit_is_refused_with_what_it_needs() {
    let toy = Toy::start().await;
    let (token, _) = token(&toy).await;
    let tight = json!({ "budget": { "tflops": 0.001 } });
    let error = toy.draw(with(&token, &tight)).await;
    let error = error.refused(422, "budget_infeasible");
    let needed = error["minimum_feasible"]["tflops"].clone();
    let budget = json!({ "budget": { "tflops": needed } });
    toy.draw(with(&token, &budget)).await.ok();
    let strict = json!({ "budget": { "min_score": 0.95 } });
    let reply = toy.draw(with(&token, &strict)).await;
    reply.refused(422, "min_score_out_of_reach");
}

#[tokio::test]
async fn other_weights_other_models_and_no_tokens_are_told_apart() {
    let toy = Toy::start().await;
    let (token, _) = token(&toy).await;
    let stale = changed(&token, |bytes| bytes[3] ^= 1);
    let reply = toy.draw(with(&stale, &json!({}))).await;
    assert_eq!(reply.headers["x-should-retry"], "false");
    let error = reply.refused(422, "stale_plan_token");
    assert_eq!(error["param"], "plan_token");
    let other = changed(&token, |bytes| {
        let at = bytes.windows(4).position(|part| part == b"toy-").unwrap();
        bytes[at] = b'j';
    });
    let reply = toy.draw(with(&other, &json!({}))).await;
    reply.refused(404, "model_not_found");
    let garbage = ["", "abc", "not base64!", &token[..40], &"A".repeat(5000)];
    for text in garbage {
        let reply = toy.draw(with(text, &json!({}))).await;
        let error = reply.refused(400, "invalid_plan_token");
        assert_eq!(error["param"], "plan_token");
    }
    let text = toy.metrics.text();
    let counted = "goldilocks_refusals_total{code=\"invalid_plan_token\"} 5";
    assert!(text.contains(counted), "{text}");
}
