//! Is every field of a request checked, and does the message say what would work?

use std::time::Duration;

use serde_json::json;
use utoipa::PartialSchema;

use super::*;
use crate::{
    planner::{Cost, Objective},
    units::Flops,
};

fn limits() -> Limits {
    let soon = Duration::from_secs(1);
    Limits {
        max_body_bytes: 65_536,
        max_prompt_chars: 2000,
        max_images: 10,
        max_pixels: 1 << 20,
        max_flops: Flops::from_tflops(1000.0),
        header_timeout: soon,
        body_timeout: soon,
        request_timeout: soon,
        max_connections: 1,
    }
}

fn parse(value: Value) -> Result<GenerateRequest, ApiError> {
    let Value::Object(body) = value else {
        panic!("tests read objects");
    };
    GenerateRequest::parse(body, &limits())
}

/// The code and the field of the refusal of a good request with `name` set to `value`.
fn refusal(name: &str, value: Value) -> (&'static str, String) {
    let mut body = json!({ "prompt": "a heart" });
    body[name] = value;
    let error = parse(body).unwrap_err();
    (error.kind(), error.to_string())
}

#[test]
fn a_prompt_alone_is_a_request() {
    let request = parse(json!({ "prompt": "a heart" })).unwrap();
    let expected = GenerateRequest {
        prompt: "a heart".to_owned(),
        ..GenerateRequest::default()
    };
    assert_eq!(request, expected);
}

#[test]
fn every_neutral_value_of_openai_is_accepted() {
    parse(json!({
        "prompt": "a heart", "model": "auto", "n": 1, "size": "auto", "quality": "auto",
        "response_format": "b64_json", "output_format": "png", "output_compression": 100,
        "background": "opaque", "moderation": "low", "stream": false, "partial_images": 0,
        "style": null, "user": "someone",
    }))
    .unwrap();
}

#[test]
fn what_is_written_is_read_again() {
    let request = GenerateRequest {
        prompt: "a heart".to_owned(),
        model: Some("toy".to_owned()),
        n: Some(3),
        size: Some("64x64".to_owned()),
        quality: Some(Quality::Xhigh),
        negative_prompt: Some("blur".to_owned()),
        num_inference_steps: Some(8),
        guidance_scale: Some(3.5),
        seed: Some(MAX_EXACT_INTEGER),
        sampler: Some(SamplerKind::DpmPp2M),
        budget: Some(BudgetRequest {
            latency_ms: Some(800.0),
            tflops: Some(1.5),
            objective: Some(Objective::Alignment),
            min_score: Some(0.7),
            minimize: Some(Cost::Latency),
            on_late: Some("run_late".to_owned()),
        }),
        ..GenerateRequest::default()
    };
    assert_eq!(parse(serde_json::to_value(&request).unwrap()), Ok(request));
}

#[test]
fn what_is_known_but_not_done_yet_says_so() {
    for (name, value) in [
        ("response_format", json!("url")),
        ("background", json!("transparent")),
        ("style", json!("vivid")),
    ] {
        let (code, message) = refusal(name, value);
        assert_eq!(code, "not_implemented", "{message}");
        assert!(message.contains("leave"), "{message}");
    }
}

#[test]
fn a_value_out_of_range_is_refused_with_what_would_work() {
    for (name, value, would_work) in [
        ("prompt", json!("  "), "say what to draw"),
        ("prompt", json!("x".repeat(2001)), "at most 2000"),
        ("n", json!(11), "1 to 10"),
        ("stream", json!("yes"), "true or false"),
        ("partial_images", json!(4), "0 to 3"),
        ("budget", json!({ "on_late": "never" }), "degrade"),
        ("size", json!("big"), "WIDTHxHEIGHT"),
        ("size", json!("0x64"), "WIDTHxHEIGHT"),
        (
            "quality",
            json!("hd"),
            "auto, low, medium, high, xhigh, max",
        ),
        (
            "quality",
            json!("standard"),
            "auto, low, medium, high, xhigh, max",
        ),
        ("response_format", json!("png"), "one of b64_json"),
        ("output_format", json!("gif"), "one of png, jpeg, webp"),
        ("output_compression", json!(101), "0 to 100"),
        ("num_inference_steps", json!(0), "1 to 1000"),
        ("guidance_scale", json!(0.5), "from 1 (unguided) to 30"),
        ("seed", json!(-1), "0 to 9007199254740991"),
        (
            "seed",
            json!(9_007_199_254_740_992_u64),
            "0 to 9007199254740991",
        ),
        (
            "sampler",
            json!("heun"),
            "euler, euler_ancestral, ddpm, lcm",
        ),
        ("budget", json!(800), "an object"),
        ("budget", json!({ "latency_ms": 0 }), "milliseconds above 0"),
        ("budget", json!({ "tflops": -1.5 }), "operations above 0"),
        (
            "budget",
            json!({ "objective": "beauty" }),
            "fidelity, alignment, balanced",
        ),
        ("budget", json!({ "min_score": 1.1 }), "from 0 to 1"),
        (
            "budget",
            json!({ "min_score": 0.5, "minimize": "cost" }),
            "latency, tflops",
        ),
    ] {
        let (code, message) = refusal(name, value);
        assert_eq!(code, "invalid_value", "{message}");
        assert!(message.contains(would_work), "{message}");
    }
}

#[test]
fn a_field_that_another_one_needs_is_missed() {
    assert_eq!(parse(json!({})).unwrap_err().kind(), "missing_field");
    let (code, message) = refusal("budget", json!({ "minimize": "latency" }));
    assert_eq!(code, "missing_field");
    assert!(message.contains("budget.min_score"), "{message}");
}

#[test]
fn unknown_fields_are_refused_at_both_levels() {
    for (name, value, meant) in [
        ("negativ_prompt", json!("x"), "\"negative_prompt\""),
        ("num_steps", json!(3), "known here: "),
        ("budget", json!({ "latency": 5 }), "\"latency_ms\""),
    ] {
        let (code, message) = refusal(name, value);
        assert_eq!(code, "unknown_field");
        assert!(message.contains(meant), "{message}");
    }
}

#[test]
fn the_prompt_is_never_repeated_in_a_refusal() {
    let (_, message) = refusal("prompt", json!(["secret scene"]));
    assert!(!message.contains("secret"), "{message}");
}

#[test]
fn the_document_lists_exactly_the_fields_that_are_read() {
    let mut fields = Fields::of_body(Map::from_iter([
        ("prompt".to_owned(), json!("a heart")),
        ("budget".to_owned(), json!({})),
    ]));
    GenerateRequest::take_from(&mut fields, &limits()).unwrap();
    let mut read: Vec<&str> = fields.asked().to_vec();
    read.sort_unstable();
    let schema = serde_json::to_value(GenerateRequest::schema()).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    let mut documented: Vec<&str> = properties.keys().map(String::as_str).collect();
    documented.sort_unstable();
    assert_eq!(read, documented);
    assert_eq!(schema["additionalProperties"], json!(false));
}
