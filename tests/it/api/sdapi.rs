//! The routes of AUTOMATIC1111's web interface: lenient, and in its shapes.

use axum::{body::Body, http::Request};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::toy::{Reply, Toy};

async fn txt2img(toy: &Toy, body: Value) -> Reply {
    toy.post("/sdapi/v1/txt2img", body).await
}

/// What `info` says, which is JSON in a string.
fn info(reply: &Value) -> Value {
    serde_json::from_str(reply["info"].as_str().unwrap()).unwrap()
}

fn files(reply: &Value) -> Vec<String> {
    let images = reply["images"].as_array().unwrap().iter();
    let file = |image: &Value| STANDARD.decode(image.as_str().unwrap()).unwrap();
    images
        .map(|image| String::from_utf8(file(image)).unwrap())
        .collect()
}

fn warned(info: &Value) -> Vec<&str> {
    let warnings = info["warnings"].as_array().unwrap().iter();
    let first = |warning: &Value| warning["code"].as_str().unwrap().len();
    assert!(warnings.clone().all(|warning| first(warning) > 0));
    warnings
        .map(|warning| warning["message"].as_str().unwrap())
        .collect()
}

/// The message of a refusal, which must have the web interface's shape.
fn detail(reply: &Reply, status: u16) -> String {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.text);
    let body = reply.json();
    assert!(body["error"].is_string(), "{body}");
    body["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_given_is_pinned_and_told_in_the_words_of_the_web_interface() {
    let toy = Toy::start().await;
    let body = json!({
        "prompt": "a heart", "negative_prompt": "blur", "seed": 41, "steps": 4, "cfg_scale": 3,
        "sampler_name": "DDIM", "batch_size": 2, "n_iter": 2, "width": 64, "height": 64,
        "override_settings": { "sd_model_checkpoint": "toy-16" },
    });
    let reply = txt2img(&toy, body.clone()).await.ok();
    assert_eq!(reply["parameters"], body);
    let seeds = [41, 42, 43, 44];
    assert_eq!(
        files(&reply),
        seeds.map(|seed| format!("PNG of seed {seed}"))
    );
    let info = info(&reply);
    assert_eq!(
        (&info["seed"], &info["all_seeds"]),
        (&json!(41), &json!(seeds))
    );
    assert_eq!(info["all_prompts"], json!(vec!["a heart"; 4]));
    for (name, value) in [
        ("sampler_name", json!("DDIM")),
        ("steps", json!(4)),
        ("cfg_scale", json!(3.0)),
        ("width", json!(64)),
        ("height", json!(64)),
        ("batch_size", json!(2)),
        ("sd_model_name", json!("toy-16")),
        ("negative_prompt", json!("blur")),
    ] {
        assert_eq!(info[name], value, "{name}");
    }
    assert_eq!(
        info["infotexts"][1],
        "a heart\nNegative prompt: blur\nSteps: 4, Sampler: DDIM, CFG scale: 3, Seed: 42, Size: 64x64, \
         Model: toy-16"
    );
    assert_eq!(info["warnings"], json!([]));
    let token = info["plan_token"].as_str().unwrap();
    let again = json!({ "prompt": "a heart", "plan_token": token, "seed": 41 });
    assert_eq!(toy.draw(again).await.ok()["plan"], info["plan"]);
}

#[tokio::test]
async fn what_is_not_given_is_planned_within_the_budget() {
    let toy = Toy::start().await;
    let budget = json!({ "tflops": 0.03 });
    let body = json!({ "prompt": "a heart", "budget": budget, "seed": -1 });
    let reply = txt2img(&toy, body).await.ok();
    let told = info(&reply);
    let told_below_v1 = toy
        .draw(json!({ "prompt": "a heart", "budget": budget }))
        .await
        .ok();
    assert_eq!(told["plan"], told_below_v1["plan"]);
    assert!(told["actual"]["tflops"].as_f64().unwrap() <= 0.03);
    assert!(told["seed"].as_u64().is_some());
    let tight = json!({ "prompt": "a heart", "budget": { "tflops": 0.001 } });
    let refused = txt2img(&toy, tight).await;
    assert_eq!(refused.headers["x-should-retry"], "false");
    assert!(detail(&refused, 422).contains("would do"));
}

#[tokio::test]
async fn what_means_nothing_here_is_told_and_stops_nothing() {
    let toy = Toy::start().await;
    let body = json!({
        "prompt": "a heart", "tiling": true, "enable_hr": true, "hr_scale": 2, "brand_new": { "x": 1 },
        "sampler_name": "DPM++ SDE Karras", "styles": [], "subseed": -1, "eta": 1,
        "override_settings": { "eta_noise_seed_delta": 31337, "samples_format": "jpg", "jpeg_quality": 70 },
    });
    let reply = txt2img(&toy, body).await.ok();
    assert!(files(&reply)[0].starts_with("JPEG of seed "));
    let told = info(&reply);
    let told = warned(&told);
    let starts = [
        "override_settings.eta_noise_seed_delta",
        "tiling",
        "enable_hr",
        "hr_scale",
        "brand_new",
        "sampler_name",
    ];
    assert_eq!(told.len(), starts.len(), "{told:?}");
    for start in starts {
        assert!(
            told.iter().any(|message| message.starts_with(start)),
            "{start}"
        );
    }
    let text = toy.metrics.text();
    let counted = "goldilocks_warnings_total{code=\"unsupported_field\"} 6";
    assert!(text.contains(counted), "{text}");
}

#[tokio::test]
async fn pictures_may_be_left_out() {
    let toy = Toy::start().await;
    let body = json!({ "prompt": "a heart", "send_images": false });
    let reply = txt2img(&toy, body).await.ok();
    assert_eq!(reply["images"], json!([]));
    assert_eq!(info(&reply)["all_seeds"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_wrong_is_refused_in_the_words_of_the_web_interface() {
    let toy = Toy::start().await;
    for (name, value, status, told) in [
        ("steps", json!("many"), 400, "steps must be an integer"),
        ("steps", json!(501), 400, "steps must be at most 500"),
        ("cfg_scale", json!(0.5), 400, "cfg_scale must be a number"),
        ("seed", json!(-2), 400, "-1 for a random seed"),
        ("seed", json!(1.5), 400, "-1 for a random seed"),
        ("prompt", json!(""), 400, "prompt is empty"),
        ("prompt", json!(7), 400, "prompt must be a string"),
        ("width", json!(512), 400, "size 512x64 is not offered"),
        (
            "batch_size",
            json!(11),
            400,
            "batch_size must be an integer from 1 to 10",
        ),
        (
            "sampler_name",
            json!(3),
            400,
            "sampler_name must be a string",
        ),
        (
            "override_settings",
            json!([]),
            400,
            "override_settings must be an object",
        ),
        (
            "budget",
            json!({ "ms": 1 }),
            400,
            "unknown field \"budget.ms\"",
        ),
        (
            "override_settings",
            json!({ "sd_model_checkpoint": "v1-5" }),
            404,
            "model \"v1-5\" is not hosted here",
        ),
    ] {
        let mut body = json!({ "prompt": "a heart" });
        body[name] = value;
        let told_here = detail(&txt2img(&toy, body).await, status);
        assert!(told_here.contains(told), "{told_here}");
    }
    let many = json!({ "prompt": "a heart", "batch_size": 4, "n_iter": 4 });
    assert!(detail(&txt2img(&toy, many).await, 400).contains("4 times"));
    let unguided = json!({ "prompt": "a heart", "negative_prompt": "blur", "cfg_scale": 1 });
    let told = detail(&txt2img(&toy, unguided).await, 400);
    assert!(
        told.contains("cfg_scale is 1") && !told.contains("guidance_scale"),
        "{told}"
    );
    // Whoever refuses, below /sdapi the shape is the same.
    detail(&toy.get("/sdapi/v1/nowhere").await, 404);
    detail(&toy.get("/sdapi/v1/txt2img").await, 405);
    let broken = txt2img(&toy, json!({ "prompt": "break the worker" })).await;
    detail(&broken, 500);
    let no_json = Request::post("/sdapi/v1/txt2img").body(Body::from("steps=3"));
    detail(&toy.send(no_json.unwrap()).await, 400);
    assert!(toy.get("/v1/nowhere").await.json()["error"]["code"].is_string());
}

#[tokio::test]
async fn models_samplers_and_settings_are_listed_and_can_be_said_back() {
    let toy = Toy::start().await;
    let models = toy.get("/sdapi/v1/sd-models").await.ok();
    let titles = models
        .as_array()
        .unwrap()
        .iter()
        .map(|model| &model["title"]);
    let titles: Vec<&str> = titles.map(|title| title.as_str().unwrap()).collect();
    assert_eq!(titles, ["auto", "toy", "toy-8", "toy-16"]);
    for title in titles {
        let settings = json!({ "sd_model_checkpoint": title });
        let body = json!({ "prompt": "a heart", "override_settings": settings });
        txt2img(&toy, body).await.ok();
    }
    let samplers = toy.get("/sdapi/v1/samplers").await.ok();
    for sampler in samplers.as_array().unwrap() {
        for name in [&sampler["name"], &sampler["aliases"][0]] {
            let body = json!({ "prompt": "a heart", "sampler_name": name, "steps": 4 });
            let told = info(&txt2img(&toy, body).await.ok());
            assert_eq!(told["sampler_name"], sampler["name"]);
        }
    }
    let spacings = toy.get("/sdapi/v1/schedulers").await.ok();
    let body = json!({ "prompt": "a heart", "scheduler": spacings[0]["name"] });
    assert_eq!(info(&txt2img(&toy, body).await.ok())["warnings"], json!([]));

    let mut settings = toy.get("/sdapi/v1/options").await.ok();
    assert_eq!(settings["sd_model_checkpoint"], "auto");
    let set = toy.post("/sdapi/v1/options", settings.clone()).await;
    assert_eq!(set.ok(), Value::Null);
    settings["sd_model_checkpoint"] = json!("toy-8");
    let told = detail(&toy.post("/sdapi/v1/options", settings).await, 400);
    assert!(
        told.starts_with("sd_model_checkpoint cannot be changed"),
        "{told}"
    );
}

#[tokio::test]
async fn a_key_may_come_as_a_password() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "first-key\n").unwrap();
    let toy = Toy::with(&[&format!("--api-key-file={}", file.path().display())]).await;
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    for (path, value, status) in [
        ("/sdapi/v1/samplers", basic("anybody:first-key"), 200),
        ("/sdapi/v1/samplers", "Bearer first-key".to_owned(), 200),
        ("/sdapi/v1/samplers", basic("first-key:"), 401),
        ("/sdapi/v1/samplers", basic("first-key"), 401),
        ("/sdapi/v1/samplers", "Basic first-key".to_owned(), 401),
        ("/v1/models", basic("anybody:first-key"), 401),
    ] {
        let request = Request::get(path).header("authorization", &value);
        let reply = toy.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status.as_u16(), status, "{path} {value}");
    }
    detail(&toy.get("/sdapi/v1/samplers").await, 401);
}
