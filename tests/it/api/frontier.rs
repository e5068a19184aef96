//! `GET /v1/frontier`: what each budget would buy, as a curve.

use goldilocks::planner::{LatencyModel, PhaseTimes};
use insta::assert_json_snapshot;
use serde_json::{Value, json};

use super::toy::Toy;

fn costs(curve: &Value, axis: &str) -> Vec<f64> {
    let entries = curve.as_array().unwrap().iter();
    let cost = |entry: &Value| match axis {
        "latency" => entry["estimate"]["latency_ms"]["p99"].as_f64().unwrap(),
        _ => entry["estimate"]["tflops"].as_f64().unwrap(),
    };
    entries.map(cost).collect()
}

/// Turns every entry into "model steps guidance: tflops".
fn shorten(curve: &mut Value) {
    for entry in curve.as_array_mut().unwrap() {
        let (plan, tflops) = (&entry["plan"], &entry["estimate"]["tflops"]);
        let model = plan["model"].as_str().unwrap();
        let line = format!(
            "{model} {} {}: {tflops}",
            plan["steps"], plan["guidance_scale"]
        );
        *entry = line.into();
    }
}

fn score(entry: &Value) -> f64 {
    entry["estimate"]["score"]["mean"].as_f64().unwrap()
}

#[tokio::test]
async fn the_frontier_is_told_for_all_models_and_for_each() {
    let toy = Toy::start().await;
    let mut told = toy.get("/v1/frontier").await.ok();
    // One entry in full, the others in a line.
    let first = told["curve"][0].clone();
    shorten(&mut told["curve"]);
    for model in told["models"].as_array_mut().unwrap() {
        shorten(&mut model["curve"]);
    }
    told["entry"] = first;
    assert_json_snapshot!(told);
}

#[tokio::test]
async fn curves_rise_on_the_axis_that_was_asked_for() {
    let toy = Toy::start().await;
    for axis in ["latency", "tflops"] {
        for objective in ["balanced", "alignment", "fidelity"] {
            let path =
                format!("/v1/frontier?axis={axis}&objective={objective}&size=64x64&model=toy");
            let told = toy.get(&path).await.ok();
            assert_eq!(
                (&told["axis"], &told["objective"]),
                (&json!(axis), &json!(objective))
            );
            let models = told["models"].as_array().unwrap();
            assert_eq!(models.len(), 2);
            let curves = models.iter().map(|model| &model["curve"]);
            for curve in curves.chain([&told["curve"]]) {
                let costs = costs(curve, axis);
                assert!(
                    costs.len() > 1 && costs.is_sorted_by(|a, b| a < b),
                    "{costs:?}"
                );
                let scores: Vec<f64> = curve.as_array().unwrap().iter().map(score).collect();
                assert!(scores.is_sorted_by(|a, b| a < b), "{scores:?}");
            }
        }
    }
}

#[tokio::test]
async fn every_plan_on_the_frontier_is_the_choice_for_its_own_cost() {
    let toy = Toy::start().await;
    for (axis, field) in [("latency", "latency_ms"), ("tflops", "tflops")] {
        let told = toy.get(&format!("/v1/frontier?axis={axis}")).await.ok();
        let curve = told["curve"].as_array().unwrap();
        for (entry, cost) in curve.iter().zip(costs(&told["curve"], axis)) {
            let body = json!({ "prompt": "a heart", "budget": { field: cost * (1.0 + 1e-9) } });
            assert_eq!(toy.post("/v1/plan", body).await.ok()["plan"], entry["plan"]);
        }
    }
}

#[tokio::test]
async fn a_model_is_shown_alone() {
    let toy = Toy::start().await;
    let told = toy.get("/v1/frontier?model=toy-16").await.ok();
    let models = told["models"].as_array().unwrap();
    assert_eq!(models.len(), 1);
    assert_eq!(models[0]["model"], "toy-16");
    assert_eq!(models[0]["curve"], told["curve"]);
}

#[tokio::test]
async fn what_a_query_gets_wrong_is_refused_in_the_one_shape() {
    let toy = Toy::start().await;
    let refused = async |query: &str, status, code, param: &str| {
        let reply = toy.get(&format!("/v1/frontier?{query}")).await;
        let error = reply.refused(status, code);
        assert_eq!(error["param"], param, "{error}");
        error["message"].as_str().unwrap().to_owned()
    };
    let message = refused("axes=latency", 400, "unknown_field", "axes").await;
    assert!(message.contains("did you mean \"axis\"?"), "{message}");
    let message = refused("axis=watts", 400, "invalid_value", "axis").await;
    assert!(message.contains("tflops"), "{message}");
    refused("objective=beauty", 400, "invalid_value", "objective").await;
    refused("size=96x96", 400, "invalid_value", "size").await;
    refused("axis=latency&axis=tflops", 400, "invalid_value", "axis").await;
    refused("model=huge", 404, "model_not_found", "model").await;
    toy.post("/v1/frontier", json!({}))
        .await
        .refused(405, "method_not_allowed");
}

#[tokio::test]
async fn latencies_are_told_once_the_machine_was_timed() {
    let toy = Toy::start().await;
    *toy.latency.write().unwrap() = LatencyModel::new(PhaseTimes::default());
    let reply = toy.get("/v1/frontier?axis=latency").await;
    reply.refused(503, "latency_unknown");
    let told = toy.get("/v1/frontier").await.ok();
    assert_eq!(told["curve"][0]["estimate"]["latency_ms"], Value::Null);
    assert!(costs(&told["curve"], "tflops")[0] > 0.0);
}
