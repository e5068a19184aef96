//! Can one come back later for a picture?

use axum::{body::Body, http::Request};
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;

use super::toy::{Gate, Toy};

async fn create(toy: &Toy, body: Value) -> Value {
    let reply = toy.post("/v1/images/jobs", body).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    let job = reply.json();
    let place = format!("/v1/images/jobs/{}", job["id"].as_str().unwrap());
    assert_eq!(reply.headers["location"], place.as_str());
    job
}

fn place(job: &Value) -> String {
    format!("/v1/images/jobs/{}", job["id"].as_str().unwrap())
}

async fn cancel(toy: &Toy, job: &Value) -> Value {
    let request = Request::delete(place(job)).body(Body::empty()).unwrap();
    toy.send(request).await.ok()
}

/// Asks until the job is over.
async fn ended(toy: &Toy, job: &Value) -> Value {
    loop {
        let now = toy.get(&place(job)).await.ok();
        if !["queued", "in_progress"].contains(&now["status"].as_str().unwrap()) {
            return now;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_job_ends_with_what_a_request_would_have_answered() {
    let toy = Toy::start().await;
    let body = json!({"prompt": "a heart", "seed": 3, "budget": {"latency_ms": 300}});
    let job = create(&toy, body.clone()).await;
    assert_eq!(job["object"], "image.generation.job");
    let ended = ended(&toy, &job).await;
    assert_eq!(
        (&ended["status"], &ended["error"]),
        (&json!("succeeded"), &Value::Null)
    );
    let direct = toy.draw(body).await.ok();
    assert_eq!(ended["result"]["data"], direct["data"]);
    assert_eq!(ended["result"]["plan"], direct["plan"]);
}

#[tokio::test]
async fn a_job_knows_its_place_and_can_be_cancelled_before_and_while_it_runs() {
    let (let_step, steps) = std::sync::mpsc::channel();
    let (said, mut heard) = unbounded_channel();
    let toy = Toy::gated(Gate { steps, said }).await;
    let body = json!({"prompt": "x", "model": "toy-8", "num_inference_steps": 8});
    let running = create(&toy, body.clone()).await;
    assert_eq!(heard.recv().await, Some("begun"));
    let waiting = create(&toy, body.clone()).await;
    assert_eq!(
        (&waiting["status"], &waiting["queue_position"]),
        (&json!("queued"), &json!(1))
    );
    assert!(waiting["starts_in_ms"].as_f64().unwrap() > 0.0);
    assert!(waiting["finishes_in_ms"].as_f64() > waiting["starts_in_ms"].as_f64());
    assert_eq!(waiting["steps_total"], 8);
    let now = toy.get(&place(&running)).await.ok();
    assert_eq!(
        (&now["status"], &now["queue_position"]),
        (&json!("in_progress"), &Value::Null)
    );
    let refused = toy.post("/v1/images/jobs", body).await;
    refused.refused(429, "overloaded");

    assert_eq!(cancel(&toy, &waiting).await["status"], "cancelled");
    assert_eq!(cancel(&toy, &running).await["status"], "cancelled");
    let_step.send(()).unwrap();
    assert_eq!(heard.recv().await, Some("stopped"));
    let after = cancel(&toy, &running).await;
    assert_eq!(
        (&after["status"], &after["error"]["code"]),
        (&json!("cancelled"), &json!("cancelled"))
    );
}

#[tokio::test]
async fn what_cannot_be_a_job_is_refused_at_once_and_what_fails_says_why() {
    let toy = Toy::start().await;
    let post = |body| toy.post("/v1/images/jobs", body);
    post(json!({"prompt": "x", "budget": {"latency_ms": 0.01}}))
        .await
        .refused(422, "budget_infeasible");
    post(json!({"prompt": "x", "stream": true}))
        .await
        .refused(400, "conflicting_fields");
    toy.get("/v1/images/jobs/job_0")
        .await
        .refused(404, "job_not_found");
    let job = create(&toy, json!({"prompt": "break the engine"})).await;
    let ended = ended(&toy, &job).await;
    assert_eq!(
        (&ended["status"], &ended["error"]["code"]),
        (&json!("failed"), &json!("internal_error"))
    );
    assert_eq!(ended["result"], Value::Null);
}
