//! Is a request answered bit by bit as OpenAI's clients expect it?

use axum::http::header;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;

use super::toy::{Gate, Setup, Toy};

/// Names and data of all events.
fn events(text: &str) -> Vec<(String, Value)> {
    let blocks = text.split("\n\n").filter(|block| !block.trim().is_empty());
    let read = |block: &str| {
        let field = |name: &str| {
            let prefix = format!("{name}: ");
            let mut lines = block.lines();
            lines.find_map(|line| line.strip_prefix(&prefix).map(str::to_owned))
        };
        let data = field("data").unwrap_or_else(|| panic!("no data in {block:?}"));
        (
            field("event").unwrap(),
            serde_json::from_str(&data).unwrap(),
        )
    };
    blocks.map(read).collect()
}

fn names(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.as_str()).collect()
}

fn file(event: &Value) -> String {
    let bytes = STANDARD
        .decode(event["b64_json"].as_str().unwrap())
        .unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn pictures_on_their_way_come_before_the_finished_one() {
    let toy = Toy::start().await;
    let body = json!({
        "prompt": "a heart", "stream": true, "partial_images": 2, "seed": 5,
        "model": "toy-16", "num_inference_steps": 6, "output_format": "png",
    });
    let reply = toy.draw(body).await;
    assert_eq!(reply.headers[header::CONTENT_TYPE], "text/event-stream");
    assert_eq!(reply.headers["x-accel-buffering"], "no");
    let events = events(&reply.text);
    assert_eq!(
        names(&events),
        [
            "image_generation.partial_image",
            "image_generation.partial_image",
            "image_generation.completed"
        ]
    );
    for (number, (name, event)) in events[..2].iter().enumerate() {
        assert_eq!(event["type"], name.as_str());
        assert_eq!(event["partial_image_index"], number);
        assert_eq!(event["output_format"], "png");
        assert_eq!(event["size"], "64x64");
        assert!(event["created_at"].is_u64() && event["b64_json"].is_string());
    }
    let last = &events[2].1;
    assert_eq!(file(last), "PNG of seed 5");
    assert_eq!(last["plan"]["steps"], 6);
    assert_eq!(last["steps_run"], 6);
    assert!(last["actual"]["latency_ms"].is_number() && last["plan_token"].is_string());
}

#[tokio::test]
async fn several_pictures_come_one_by_one_and_the_last_one_tells_everything() {
    let toy = Toy::start().await;
    let options = json!({"include_plan": true, "include_progress": true});
    let body = json!({
        "prompt": "hearts", "stream": true, "n": 2, "seed": 1, "stream_options": options,
        "model": "toy-8", "num_inference_steps": 2,
    });
    let events = events(&toy.draw(body).await.text);
    // Files are written beside the device, so that a picture may come after the next one's first step.
    let of = |kind: &str| -> Vec<&Value> {
        let kind = format!("image_generation.{kind}");
        let of_kind = events.iter().filter(|(name, _)| *name == kind);
        of_kind.map(|(_, event)| event).collect()
    };
    assert_eq!(events.len(), 7, "{:?}", names(&events));
    assert_eq!(events[0].1["plan"]["model"], "toy-8");
    let steps = of("progress");
    let steps: Vec<_> = steps
        .iter()
        .map(|step| (&step["image_index"], &step["steps_done"]))
        .collect();
    let numbers = [0, 1, 2].map(|number| json!(number));
    let [zero, one, two] = &numbers;
    assert_eq!(steps, [(zero, one), (zero, two), (one, one), (one, two)]);
    let completed = of("completed");
    let [first, last] = completed.as_slice() else {
        panic!("{completed:?}");
    };
    assert_eq!(events.last().unwrap().1, **last);
    assert_eq!(
        (file(first), file(last)),
        ("PNG of seed 1".into(), "PNG of seed 2".into())
    );
    assert_eq!((&first["image_index"], &last["image_index"]), (zero, one));
    assert!(first.get("actual").is_none() && last["actual"].is_object());
}

#[tokio::test]
async fn what_is_refused_at_once_is_an_ordinary_refusal_and_what_fails_later_an_event() {
    let toy = Toy::start().await;
    let hopeless = json!({"prompt": "x", "stream": true, "budget": {"latency_ms": 0.01}});
    toy.draw(hopeless).await.refused(422, "budget_infeasible");
    let unshown = json!({"prompt": "x", "partial_images": 2});
    toy.draw(unshown).await.refused(400, "conflicting_fields");
    let broken = toy
        .draw(json!({"prompt": "break the engine", "stream": true}))
        .await;
    let events = events(&broken.text);
    assert_eq!(names(&events), ["error"]);
    assert_eq!(events[0].1["error"]["code"], "internal_error");
}

#[tokio::test]
async fn a_client_that_leaves_its_stream_stops_the_work() {
    let (let_step, steps) = std::sync::mpsc::channel();
    let (said, mut heard) = unbounded_channel();
    let toy = Toy::gated(Gate { steps, said }).await;
    let body = json!({"prompt": "x", "stream": true, "num_inference_steps": 8, "model": "toy-8"});
    {
        let reading = toy.draw(body);
        tokio::pin!(reading);
        tokio::select! {
            _ = &mut reading => panic!("nothing lets it finish"),
            word = heard.recv() => assert_eq!(word, Some("begun")),
        }
    }
    // Whoever tells the story notices that nobody listens.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    // The step that is on its way may end, and no other begins.
    let_step.send(()).unwrap();
    assert_eq!(heard.recv().await, Some("stopped"));
    let text = toy.metrics.text();
    assert!(
        text.contains("goldilocks_jobs_total{outcome=\"cancelled\"} 1"),
        "{text}"
    );
}

#[tokio::test]
async fn a_stream_takes_no_longer_than_any_other_reply() {
    let (steps, gate) = std::sync::mpsc::channel();
    let (said, mut says) = unbounded_channel();
    let toy = Toy::launch(Setup {
        flags: vec!["--request-timeout=0.2".to_owned()],
        gate: Some(Gate { steps: gate, said }),
        ..Setup::default()
    });
    toy.ready().await;
    let reply = toy
        .draw(json!({ "prompt": "a heart", "stream": true }))
        .await;
    let events = events(&reply.text);
    assert_eq!(names(&events), ["error"]);
    assert_eq!(events[0].1["error"]["code"], "request_timeout");
    // And nothing more is drawn for it.
    assert_eq!(says.recv().await, Some("begun"));
    steps.send(()).unwrap();
    assert_eq!(says.recv().await, Some("stopped"));
}
