//! How does a server end?

use std::fs;

use serde_json::{Value, json};

use super::{goldilocks, root, told};
use crate::{folders::copy, server::Server};

#[test]
fn a_server_that_is_told_to_stop_finishes_jobs_that_no_connection_waits_for() {
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(&root().join("models.toml"), state.path());
    let work =
        json!({ "prompt": "a cat", "n": 4, "model": "emoji-c32", "num_inference_steps": 250 });
    let (status, job) = server.send("POST", "/v1/images/jobs", &work.to_string());
    assert_eq!(status, 202, "{job}");
    let job: Value = serde_json::from_str(&job).unwrap();
    server.terminate();
    let place = format!("/v1/images/jobs/{}", job["id"].as_str().unwrap());
    // Whoever comes meanwhile is answered; the signal may be on its way.
    while server.send("GET", "/readyz", "").0 == 200 {
        std::thread::yield_now();
    }
    assert_eq!(server.get(&place)["status"], "in_progress");
    let (status, refused) = server.draw(&json!({ "prompt": "a dog" }));
    assert_eq!(
        (status, &refused["error"]["code"]),
        (503, &json!("shutting_down"))
    );
    let finished = |text: &str| text.contains("goldilocks_jobs_total{outcome=\"finished\"} 1");
    while let Some((200, text)) = server.try_send("GET", "/metrics", "") {
        if finished(&text) {
            break;
        }
    }
    assert_eq!(server.ended(), Some(0));
}

#[test]
fn a_server_whose_models_cannot_be_loaded_ends_and_says_why() {
    let place = tempfile::tempdir().unwrap();
    let family = place.path().join("family");
    copy(&root().join("tests/golden/sd1"), &family);
    let unet = family.join("unet/diffusion_pytorch_model.safetensors");
    let whole = fs::read(&unet).unwrap();
    fs::write(&unet, &whole[..whole.len() / 2]).unwrap();
    let config = place.path().join("models.toml");
    let entry = r#"
        [[family]]
        id = "cut"
        path = "family"
        sizes = ["64x64"]
        [[family.model]]
        id = "short"
        unet = "unet"
    "#;
    fs::write(&config, entry).unwrap();
    let config = config.to_str().unwrap();
    let run = |command| {
        let arguments = [command, "--listen=127.0.0.1:0", "--config", config];
        goldilocks(&place, &arguments).output().unwrap()
    };
    // Whoever asks the doctor before hears the same.
    let (served, examined) = (run("serve"), run("doctor"));
    for (out, said) in [(&served, &served.stderr), (&examined, &examined.stdout)] {
        let said = told(said);
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains("is not a valid safetensors file"), "{said}");
    }
}
