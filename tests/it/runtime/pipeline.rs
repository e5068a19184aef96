//! Does a job become a picture on the engine itself? On tiny random weights.

use std::sync::{Arc, RwLock};

use goldilocks::{
    catalog::{Catalog, SamplerKind},
    planner::{LatencyModel, PhaseTimes, Plan},
    runtime::{
        Job, Outcome, Rules, Runtime, Settings, WorkerSpec,
        executor::pipeline::{devices, encode_file, loading},
    },
    telemetry::{ManualClock, Metrics},
};

use super::{ready, script::family};

/// A runtime whose model is loaded.
async fn started() -> Runtime {
    let family = family();
    let models = family.models.iter().map(|model| model.id.clone()).collect();
    let catalog = Catalog {
        families: vec![family],
    };
    let (device, families) = devices(&catalog).remove(0);
    let worker = WorkerSpec {
        device,
        models,
        families: families.clone(),
        load: loading(families),
    };
    let settings = Settings {
        rules: Rules::default(),
        encode: encode_file,
        latency: Arc::new(RwLock::new(LatencyModel::new(PhaseTimes::default()))),
        clock: Arc::new(ManualClock::default()),
        metrics: Arc::new(Metrics::new(["sd1"])),
    };
    let runtime = Runtime::start(vec![worker], settings).unwrap();
    ready(&runtime).await;
    runtime
}

fn picture(guidance_scale: f64, seeds: &[u64]) -> Job {
    let family = family();
    let (model, size) = (family.models[0].id.clone(), family.default_size());
    let plan = Plan::plain(model, SamplerKind::Ddim, 3, guidance_scale, size);
    Job::of_plan("a red circle", plan, &family, seeds)
}

async fn draw(runtime: &Runtime, job: Job) -> Outcome {
    runtime.submit(job).unwrap().outcome().await.unwrap()
}

#[tokio::test]
async fn a_seed_gives_the_same_file_alone_and_in_company() {
    let runtime = started().await;
    let alone = draw(&runtime, picture(3.0, &[12])).await;
    let together = draw(&runtime, picture(3.0, &[11, 12])).await;
    assert_eq!(alone.images[0], together.images[1]);
    assert_ne!(together.images[0].file, together.images[1].file);
    assert!(alone.images[0].file.starts_with(b"\x89PNG\r\n\x1a\n"));
    let text = String::from_utf8_lossy(&alone.images[0].file).into_owned();
    assert!(
        text.contains("a red circle") && text.contains("Seed: 12"),
        "no parameters"
    );
}

#[tokio::test]
async fn evaluations_and_operations_are_those_that_ran() {
    let runtime = started().await;
    let unguided = draw(&runtime, picture(1.0, &[1])).await;
    let guided = draw(&runtime, picture(3.0, &[1])).await;
    assert_eq!((unguided.nfe, guided.nfe), (3, 6));
    assert_eq!(guided.images[0].steps_run, 3);
    let twice = draw(&runtime, picture(1.0, &[1, 2])).await;
    assert!(unguided.flops.0 > 0.0);
    assert!(
        twice.flops < unguided.flops * 2.0,
        "the text is counted once"
    );
    assert!(twice.flops > guided.flops, "the second decode is counted");
}

#[tokio::test]
async fn a_prompt_that_comes_again_is_not_encoded_again_and_gives_the_same_file() {
    let runtime = started().await;
    let mut job = picture(3.0, &[1]);
    job.negative_prompt = "a blue square".into();
    let first = draw(&runtime, job.clone()).await;
    let again = draw(&runtime, job).await;
    assert_eq!((first.texts_encoded, again.texts_encoded), (2, 0));
    assert_eq!(first.images, again.images);
    assert!(again.flops < first.flops, "operations are those that ran");
}

#[tokio::test]
async fn a_prompt_that_is_too_long_says_how_much_was_cut() {
    let runtime = started().await;
    let mut long = picture(1.0, &[1]);
    assert_eq!(draw(&runtime, long.clone()).await.tokens_cut, 0);
    long.prompt = "a red circle ".repeat(60);
    assert!(draw(&runtime, long).await.tokens_cut > 0);
}
