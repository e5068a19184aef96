//! A Stable-Diffusion-shaped family from disk, without an evaluator: measured against itself, planned for and
//! served within budgets, all through the program as people run it.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::Server;

const MODELS: &str = r#"
[[family]]
id = "own"
path = "weights"
sizes = ["64x64"]
PROFILE
[[family.model]]
id = "own-tiny"
unet = "unet-tiny"
[[family.model]]
id = "own-base"
unet = "unet-base"
"#;

/// Two U-Nets of BK-SDM's shapes over the parts of one of them, and a `models.toml`.
struct Own(TempDir);

impl Own {
    fn new() -> Self {
        let own = Self(tempfile::tempdir().unwrap());
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let weights = own.path("weights");
        fs::create_dir(&weights).unwrap();
        for part in ["vae", "text_encoder", "tokenizer", "scheduler"] {
            symlink(golden.join("bk-base").join(part), weights.join(part)).unwrap();
        }
        symlink(golden.join("bk-tiny/unet"), weights.join("unet-tiny")).unwrap();
        symlink(golden.join("bk-base/unet"), weights.join("unet-base")).unwrap();
        own.host("");
        own
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes `models.toml` with this line about the profile.
    fn host(&self, profile: &str) {
        let text = MODELS.replace("PROFILE", profile);
        fs::write(self.path("models.toml"), text).unwrap();
    }

    fn run(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_goldilocks"))
            .args(words)
            .arg("--config")
            .arg(self.path("models.toml"))
            .env("RAYON_NUM_THREADS", "1")
            .output()
            .unwrap()
    }

    fn calibrate(&self, words: &[&str]) -> Output {
        let work = self.path("work");
        let always = ["calibrate", "quality", "--threads=1", "--steps=1,2,4,8"];
        let work = format!("--work-dir={}", work.display());
        let words: Vec<&str> = always
            .into_iter()
            .chain([&*work])
            .chain(words.iter().copied())
            .collect();
        self.run(&words)
    }

    fn profile(&self) -> Value {
        let text = fs::read_to_string(self.path("calibration/own.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn plan(&self, words: &[&str]) -> Output {
        let state = format!("--state-dir={}", self.path("state").display());
        let words: Vec<&str> = ["plan", "--json", &state]
            .into_iter()
            .chain(words.iter().copied())
            .collect();
        self.run(&words)
    }
}

fn told(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn fault(output: &Output) -> String {
    assert!(!output.status.success(), "it should have failed");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn cell<'p>(profile: &'p Value, plan: &Value) -> &'p Value {
    let keys = ["model", "sampler", "steps", "guidance_scale"];
    let is_it = |cell: &&Value| keys.iter().all(|key| cell["plan"][key] == plan[key]);
    profile["cells"]
        .as_array()
        .unwrap()
        .iter()
        .find(is_it)
        .unwrap()
}

#[test]
fn a_family_without_an_evaluator_is_measured_against_itself_and_served_within_budgets() {
    let own = Own::new();
    let refused = fault(&own.calibrate(&[]));
    assert!(
        refused.contains("no evaluator") && refused.contains("--self"),
        "{refused}"
    );

    let calibrated = own.calibrate(&["--self", "--captions=6"]);
    assert!(calibrated.status.success(), "{}", fault(&calibrated));
    let profile = own.profile();
    says_what_it_is(&profile);
    let again = own.calibrate(&["--self", "--captions=6", "--minutes=0"]);
    assert!(
        again.status.success(),
        "nothing is drawn twice: {}",
        fault(&again)
    );
    assert_eq!(own.profile()["cells"], profile["cells"]);

    own.host(r#"profile = "calibration/own.json""#);
    let tflops = plans_within_budgets(&own);
    answers_within_budgets(&own, tflops);
}

fn says_what_it_is(profile: &Value) {
    assert_eq!(profile["kind"], "self");
    assert!(
        profile["provenance"]["prompts_digest"]
            .as_str()
            .unwrap()
            .starts_with("sha256:")
    );
    assert_eq!(profile["provenance"]["evaluator_digest"], Value::Null);
    let dearest = &profile["dearest"];
    let expected = json!(["own-base", "ddim", 50, 7.5]);
    let found = ["model", "sampler", "steps", "guidance_scale"].map(|key| dearest[key].clone());
    assert_eq!(json!(found), expected);
    let exactly = |mean: f64| json!({ "mean": mean, "standard_error": 0.0 });
    assert_eq!(cell(profile, dearest)["fidelity"], exactly(1.0));
    assert_eq!(cell(profile, &profile["anchor"])["fidelity"], exactly(0.0));
    // Two models at four step counts and three guidance scales, and the dearest plan.
    assert_eq!(profile["cells"].as_array().unwrap().len(), 25);
    // The same network from the same noise comes closer as its steps get finer.
    let mut near = dearest.clone();
    let distance = |near: &Value| cell(profile, near)["distance"].as_f64().unwrap();
    let distances = [1, 2, 4, 8].map(|steps| {
        near["steps"] = steps.into();
        distance(&near)
    });
    assert!(
        distances[3] < distances[2] && distances[2] < distances[0],
        "{distances:?}"
    );
    assert!(distances[3] > 0.0, "{distances:?}");
}

/// Returns a budget that a plan in the middle of the frontier meets.
fn plans_within_budgets(own: &Own) -> f64 {
    let best = told(&own.plan(&["--quality=max"]));
    assert_eq!(best["plan"]["model"], "own-base");
    let low = told(&own.plan(&["--quality=low"]))["estimate"]["tflops"]
        .as_f64()
        .unwrap();
    let tflops = 0.5 * (low + best["estimate"]["tflops"].as_f64().unwrap());
    let budget = format!("--tflops={tflops}");
    let middle = told(&own.plan(&[&budget]));
    assert!(middle["estimate"]["tflops"].as_f64().unwrap() <= tflops);
    let score = middle["estimate"]["score"]["mean"].as_f64().unwrap();
    let top = best["estimate"]["score"]["mean"].as_f64().unwrap();
    assert!(0.0 < score && score <= top, "{middle}");
    assert_eq!(middle["warnings"], json!([]), "it was planned, not guessed");
    // No [family.budgets]: the names are spread up to what nothing at all buys.
    let (auto, xhigh) = (told(&own.plan(&[])), told(&own.plan(&["--quality=xhigh"])));
    assert_eq!(auto["plan"], xhigh["plan"]);
    let in_time = told(&own.plan(&["--latency-ms=60000", "--objective=fidelity"]));
    assert_eq!(in_time["estimate"]["score"], best["estimate"]["score"]);
    let refused = fault(&own.plan(&["--objective=alignment"]));
    assert!(
        refused.contains("dearest plan") && refused.contains("fidelity"),
        "{refused}"
    );
    tflops
}

fn answers_within_budgets(own: &Own, tflops: f64) {
    let server = Server::start(&own.path("models.toml"), &own.path("state"));
    let families = &server.get("/v1/models")["families"];
    let profile = &families[0]["profile"];
    assert_eq!(
        (&profile["kind"], &profile["captions"]),
        (&json!("self"), &json!(6))
    );
    let named = &families[0]["quality_tflops"];
    let names = ["low", "medium", "high", "xhigh"].map(|name| named[name].as_f64().unwrap());
    assert!(names.is_sorted() && names[0] < names[3], "{named}");

    let ask = |budget: Value| json!({ "prompt": "a red fox in snow", "seed": 7, "budget": budget });
    let (status, reply) = server.draw(&ask(json!({ "tflops": tflops, "min_score": 0.05 })));
    assert_eq!(status, 200, "{reply}");
    assert!(reply["data"][0]["b64_json"].as_str().unwrap().len() > 100);
    assert!(
        reply["estimate"]["score"]["mean"].as_f64().unwrap() >= 0.05,
        "{reply}"
    );
    assert!(
        reply["actual"]["tflops"].as_f64().unwrap() <= tflops,
        "{reply}"
    );
    assert_eq!(reply["warnings"], json!([]));

    let (status, reply) = server.draw(&ask(json!({ "objective": "alignment" })));
    assert_eq!(status, 400, "{reply}");
    assert_eq!(reply["error"]["code"], "conflicting_fields");
    assert_eq!(reply["error"]["param"], "budget.objective");
}

#[test]
fn prompts_of_ones_own_are_drawn_and_named_by_their_digest() {
    let own = Own::new();
    fs::write(own.path("prompts.txt"), "a cat\n\na dog\n").unwrap();
    let prompts = format!("--prompts={}", own.path("prompts.txt").display());
    let words = ["--self", "--guidance=1,5", "--model=own-base", &prompts];
    let calibrated = own.calibrate(&words);
    assert!(calibrated.status.success(), "{}", fault(&calibrated));
    let profile = own.profile();
    assert_eq!(profile["provenance"]["n_captions"], 2);
    // printf 'a cat\na dog\n' | sha256sum
    let digest = profile["provenance"]["prompts_digest"].as_str().unwrap();
    assert!(digest.starts_with("sha256:c3f20e3f4ebf057a"), "{digest}");
    assert_eq!(
        profile["dearest"]["guidance_scale"], 5.0,
        "the nearest to the usual one"
    );
    let unread = fault(&own.calibrate(&[&prompts]));
    assert!(unread.contains("--self"), "{unread}");
}

#[test]
fn where_all_models_are_distilled_the_dearest_plan_is_the_largest_at_its_most_steps() {
    let own = Own::new();
    own.host("");
    let models = fs::read_to_string(own.path("models.toml")).unwrap();
    let models = models.replace("unet = ", "distilled = true\nunet = ");
    fs::write(own.path("models.toml"), models).unwrap();
    let calibrated = own.calibrate(&["--self", "--captions=2"]);
    assert!(calibrated.status.success(), "{}", fault(&calibrated));
    let profile = own.profile();
    let dearest = &profile["dearest"];
    let found = ["model", "sampler", "steps", "guidance_scale"].map(|key| dearest[key].clone());
    assert_eq!(json!(found), json!(["own-base", "lcm", 4, 1.0]));
    assert_eq!(profile["cells"].as_array().unwrap().len(), 8);
    assert_eq!(cell(&profile, dearest)["balanced"]["mean"], 1.0);
}

#[test]
fn a_profile_from_the_literature_is_refused_where_plans_are_wanted() {
    let own = Own::new();
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("calibration/literature.json");
    own.host(&format!("profile = {:?}", table.display().to_string()));
    let refused = fault(&own.plan(&["--quality=max"]));
    assert!(
        refused.contains("literature.json") && refused.contains("for display"),
        "{refused}"
    );
}
