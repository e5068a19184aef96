//! Do choices follow a machine whose times move, and is what is on offer worked out anew behind them?

use std::time::Duration;

use goldilocks::planner::{LatencyModel, PhaseKey, PhaseTimes};
use serde_json::json;

use super::toy::Toy;

/// Every step takes this much longer from now on.
fn slow_down(toy: &Toy, factor: f64) {
    let mut latency = toy.latency.write().unwrap();
    let mut phases = latency.phases().clone();
    for known in latency.phases().entries() {
        if let PhaseKey::Step { model, size, rows } = &known.of {
            phases.set_step(model, *size, *rows, known.ms * factor);
        }
    }
    *latency = LatencyModel::new(phases);
}

fn n_rebuilds(toy: &Toy) -> u64 {
    let text = toy.metrics.text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("goldilocks_menu_rebuilds_total "));
    line.unwrap().parse().unwrap()
}

async fn rebuilt(toy: &Toy, times: u64) {
    let wait = async {
        while n_rebuilds(toy) < times {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
    waited.expect("the menus should have been made anew");
}

#[tokio::test]
async fn times_that_move_by_one_percent_change_promises_and_rebuild_nothing() {
    let toy = Toy::start().await;
    let body = json!({ "prompt": "a heart", "num_inference_steps": 4 });
    let p99 = async || {
        let told = toy.post("/v1/plan", body.clone()).await.ok();
        told["estimate"]["latency_ms"]["p99"].as_f64().unwrap()
    };
    let before = p99().await;
    slow_down(&toy, 1.01);
    assert!(p99().await > before);
    assert_eq!(n_rebuilds(&toy), 0);
}

#[tokio::test]
async fn times_that_move_by_three_percent_rebuild_once_and_choices_stay_within_their_budget() {
    let toy = Toy::start().await;
    slow_down(&toy, 1.03);
    for latency_ms in [30, 50, 100, 200] {
        let body = json!({ "prompt": "a heart", "budget": { "latency_ms": latency_ms } });
        let told = toy.post("/v1/plan", body).await.ok();
        let p99 = told["estimate"]["latency_ms"]["p99"].as_f64().unwrap();
        assert!(p99 <= f64::from(latency_ms), "{told}");
    }
    rebuilt(&toy, 1).await;
    toy.post("/v1/plan", json!({ "prompt": "a heart" }))
        .await
        .ok();
    assert_eq!(n_rebuilds(&toy), 1);
}

#[tokio::test]
async fn a_machine_that_was_just_timed_is_chosen_for_at_once() {
    let toy = Toy::start().await;
    let times = toy.latency.read().unwrap().clone();
    let body = json!({ "prompt": "a heart", "budget": { "latency_ms": 100 } });
    let expected = toy.post("/v1/plan", body.clone()).await.ok();
    // As before the probe at start, and after.
    *toy.latency.write().unwrap() = LatencyModel::new(PhaseTimes::default());
    let refused = toy.post("/v1/plan", body.clone()).await;
    refused.refused(503, "latency_unknown");
    rebuilt(&toy, 1).await;
    *toy.latency.write().unwrap() = times;
    assert_eq!(toy.post("/v1/plan", body).await.ok(), expected);
    rebuilt(&toy, 2).await;
}
