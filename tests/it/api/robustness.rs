//! No input makes the server fail.

use proptest::{prelude::*, test_runner::RngSeed};
use serde_json::{Number, Value};

use super::toy::Toy;

const FIELDS: [&str; 23] = [
    "prompt",
    "model",
    "n",
    "size",
    "quality",
    "response_format",
    "output_format",
    "output_compression",
    "background",
    "moderation",
    "stream",
    "partial_images",
    "style",
    "user",
    "negative_prompt",
    "num_inference_steps",
    "guidance_scale",
    "seed",
    "sampler",
    "plan_token",
    "budget",
    "extra",
    "",
];
const BUDGET_FIELDS: [&str; 7] = [
    "latency_ms",
    "tflops",
    "objective",
    "min_score",
    "minimize",
    "on_late",
    "extra",
];
const SD_FIELDS: [&str; 18] = [
    "prompt",
    "negative_prompt",
    "seed",
    "sampler_name",
    "sampler_index",
    "batch_size",
    "n_iter",
    "steps",
    "cfg_scale",
    "width",
    "height",
    "override_settings",
    "send_images",
    "budget",
    "enable_hr",
    "hr_scale",
    "sd_model_checkpoint",
    "",
];
/// Values that some field accepts, so that requests get past the first check.
const WORDS: [&str; 18] = [
    "auto", "toy", "toy-8", "64x64", "low", "max", "b64_json", "png", "opaque", "ddim", "balanced",
    "latency", "tflops", "run_late", "a heart", "", "0x0", "break",
];

fn scalar() -> impl Strategy<Value = Value> {
    let numbers = [0.0, -1.0, 0.5, 1.0, 3.0, 10.0, 1e3, 1e15, 1e300, -1e-300];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (1..12_u64).prop_map(Value::from),
        prop::sample::select(numbers.to_vec())
            .prop_map(|number| Value::Number(Number::from_f64(number).unwrap())),
        ".{0,12}".prop_map(Value::String),
        prop::sample::select(WORDS.to_vec()).prop_map(Value::from),
    ]
}

fn object(names: &'static [&'static str], value: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let field = (prop::sample::select(names.to_vec()), value);
    prop::collection::vec(field, 0..6)
        .prop_map(|fields| {
            let named = fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value));
            Value::Object(named.collect())
        })
        .boxed()
}

fn inner() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => scalar(),
        1 => prop::collection::vec(scalar(), 0..3).prop_map(Value::Array),
        2 => object(&BUDGET_FIELDS, scalar().boxed()),
    ]
}

fn request() -> impl Strategy<Value = Value> {
    (object(&FIELDS, inner().boxed()), any::<bool>()).prop_map(|(mut body, has_prompt)| {
        if has_prompt {
            body["prompt"] = "a heart".into();
        }
        body
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, rng_seed: RngSeed::Fixed(240_401_367), ..ProptestConfig::default() })]

    #[test]
    fn no_request_is_answered_with_a_fault_of_the_server(
        body in request(),
        header in prop::option::of("[ -~]{0,8}"),
    ) {
        let asynchronous = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        asynchronous.block_on(async {
            let toy = Toy::start().await;
            let headers: Vec<(&'static str, &str)> =
                header.iter().map(|value| ("grpc-timeout", value.as_str())).collect();
            for path in ["/v1/plan", "/v1/images/generations"] {
                let reply = toy.post_with(path, &headers, body.clone()).await;
                let status = reply.status.as_u16();
                assert!([200, 400, 404, 422].contains(&status), "{status} for {body}: {}", reply.text);
                if status != 200 {
                    assert!(reply.json()["error"]["message"].is_string(), "{}", reply.text);
                }
            }
        });
    }

    #[test]
    fn no_request_of_the_web_interface_is_answered_with_a_fault_of_the_server(
        mut body in object(&SD_FIELDS, inner().boxed()),
        has_prompt in any::<bool>(),
    ) {
        let asynchronous = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        asynchronous.block_on(async {
            let toy = Toy::start().await;
            if has_prompt {
                body["prompt"] = "a heart".into();
            }
            for path in ["/sdapi/v1/txt2img", "/sdapi/v1/options"] {
                let reply = toy.post(path, body.clone()).await;
                let status = reply.status.as_u16();
                assert!([200, 400, 404, 422].contains(&status), "{status} for {body}: {}", reply.text);
                if status != 200 {
                    assert!(reply.json()["detail"].is_string(), "{}", reply.text);
                }
            }
        });
    }

    #[test]
    fn no_bytes_are_answered_with_a_fault_of_the_server(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let asynchronous = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        asynchronous.block_on(async {
            let toy = Toy::start().await;
            let request = axum::http::Request::post("/v1/plan").body(bytes.into()).unwrap();
            toy.send(request).await.refused(400, "invalid_json");
        });
    }
}
