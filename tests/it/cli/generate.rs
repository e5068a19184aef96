//! Does `generate` draw what a server would?

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use goldilocks::{
    catalog::{self, ModelId, SamplerKind},
    diffusion::Stage,
    planner::{Candidates, Plan, PlanToken},
};
use serde_json::{Value, json};

use super::{goldilocks, root, run, told};
use crate::server::Server;

fn answer(arguments: &[&str]) -> Value {
    let out = run(arguments);
    assert!(out.status.success(), "{}", told(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

#[test]
fn a_budget_buys_the_plan_that_plan_explains_and_pins_hold_it() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("out.png");
    let file = file.to_str().unwrap();
    for budget in [
        &["--tflops", "0.004"][..],
        &["--quality", "low"],
        &["--min-score", "0.5", "--minimize", "tflops"],
        &["--tflops", "0.01", "--model", "emoji-c16", "--steps", "6"],
    ] {
        let explained = answer(&[&["plan", "--json"], budget].concat());
        let drawn = ["generate", "a red heart", "--json", "-o", file];
        let drawn = answer(&[&drawn[..], budget].concat());
        assert_eq!(drawn[0]["plan"], explained["plan"], "{budget:?}");

        let token = explained["plan_token"].as_str().unwrap();
        let again = ["generate", "a red heart", "--json", "-o", file];
        let again = answer(&[&again[..], &["--plan-token", token]].concat());
        assert_eq!(again[0]["plan"], explained["plan"], "{budget:?}");

        let pinned = run(&["generate", "a cat", "--plan-token", token, "--steps", "3"]);
        assert_eq!(pinned.status.code(), Some(2));
        let said = told(&pinned.stderr);
        assert!(said.contains("cannot be used with"), "{said}");
    }
}

#[test]
fn a_token_draws_the_picture_of_the_servers_reply() {
    let config = root().join("models.toml");
    let catalog = catalog::load(&config).unwrap();
    let model = |name: &str| ModelId(format!("emoji-{name}"));
    let size = "128x128".parse().unwrap();
    let mixed = Plan {
        stages: vec![Stage {
            model: model("c16"),
            share: 0.5,
        }],
        candidates: Some(Candidates {
            n: 3,
            pruned_after: Some(0.5),
        }),
        ..Plan::plain(model("c32"), SamplerKind::EulerAncestral, 4, 3.0, size)
    };
    let mixed = PlanToken::new(&mixed, catalog.default_family()).to_string();
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(&config, state.path());
    let asked = [
        json!({ "prompt": "a dog", "negative_prompt": "a cat", "seed": 5, "plan_token": mixed }),
        json!({ "prompt": "two cats on grass", "seed": 7, "budget": { "tflops": 0.008 } }),
    ];
    for request in asked {
        let (status, reply) = server.draw(&request);
        assert_eq!(status, 200, "{reply}");
        let file = state.path().join("out.png");
        let text = |field: &str| request[field].as_str().unwrap_or_default();
        let token = reply["plan_token"].as_str().unwrap();
        let seed = request["seed"].to_string();
        let mut command = goldilocks(&state, &["generate", text("prompt"), "--seed", &seed]);
        command.args(["--negative-prompt", text("negative_prompt")]);
        command.args(["--plan-token", token, "-o"]).arg(&file);
        let out = command.output().unwrap();
        assert!(out.status.success(), "{}", told(&out.stderr));
        let picture = reply["data"][0]["b64_json"].as_str().unwrap();
        let same = fs::read(&file).unwrap() == STANDARD.decode(picture).unwrap();
        assert!(same, "{}", reply["plan"]);
    }
}
