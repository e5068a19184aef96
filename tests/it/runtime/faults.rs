//! Does what fails fail alone?

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use goldilocks::{
    catalog::{DeviceSpec, ModelId},
    runtime::{
        JobError, LoadExecutor, Readiness, Runtime, SubmitError, WorkerSpec, executor::faulty,
    },
    telemetry::{ManualClock, Metrics},
    units::Millis,
};

use super::script::{MODEL, Scripted, Stage, job, settings};

#[tokio::test]
async fn a_job_that_fails_says_why_and_the_next_one_runs() {
    let stage = Stage::open().await;
    let failing = stage.runtime.submit(job("fail", &[1])).unwrap();
    let next = stage.runtime.submit(job("a cat", &[1])).unwrap();
    let error = failing.outcome().await.unwrap_err();
    assert!(
        error.to_string().contains("a value was not finite"),
        "{error}"
    );
    next.outcome().await.unwrap();
    stage.shows("goldilocks_jobs_total{outcome=\"failed\"} 1");
}

#[tokio::test]
async fn a_panic_is_survived_and_counted_and_gives_up_its_place() {
    let stage = Stage::open().await;
    let fatal = stage.runtime.submit(job("panic", &[1])).unwrap();
    assert_eq!(fatal.outcome().await.unwrap_err(), JobError::Panicked);
    let next = stage.runtime.submit(job("a cat", &[1])).unwrap();
    next.outcome().await.unwrap();
    stage.shows("goldilocks_worker_panics_total 1");
    stage.shows("goldilocks_jobs_total{outcome=\"failed\"} 1");
    stage.shows("goldilocks_jobs_total{outcome=\"finished\"} 1");
    assert_eq!(stage.runtime.queued_work(), Millis::ZERO);
    assert_eq!(stage.runtime.liveness().workers_lost, 0);
}

#[tokio::test]
async fn a_picture_that_cannot_be_encoded_fails_alone() {
    let stage = Stage::open().await;
    let failing = stage.runtime.submit(job("fail to encode", &[1])).unwrap();
    let error = failing.outcome().await.unwrap_err();
    assert_eq!(error, JobError::Failed("the picture has no pixels".into()));
    let fatal = stage
        .runtime
        .submit(job("panic while encoding", &[1]))
        .unwrap();
    assert_eq!(fatal.outcome().await.unwrap_err(), JobError::Panicked);
    stage
        .runtime
        .submit(job("a cat", &[1]))
        .unwrap()
        .outcome()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_worker_that_makes_no_step_is_seen_to_be_silent() {
    let mut stage = Stage::gated().await;
    stage.clock.advance(Duration::from_mins(1));
    assert_eq!(stage.runtime.liveness().silent_for, Duration::ZERO);
    let stuck = stage.runtime.submit(job("stuck", &[1])).unwrap();
    stage.begun.recv().await.unwrap();
    // It beats once more on its way to the step that it will not make.
    while stage.runtime.liveness().silent_for < Duration::from_secs(90) {
        stage.clock.advance(Duration::from_secs(90));
        tokio::task::yield_now().await;
    }
    stage.runtime.tell_gauges();
    let text = stage.metrics.text();
    let silent = text
        .lines()
        .find_map(|line| line.strip_prefix("goldilocks_worker_silent_seconds "));
    let silent: f64 = silent.unwrap().parse().unwrap();
    assert!(silent >= 90.0, "{silent}");
    stage.shows("goldilocks_ready 1");
    stage.shows("goldilocks_workers_lost 0");
    stage.release();
    stuck.outcome().await.unwrap();
}

#[tokio::test]
async fn a_device_that_fails_on_purpose_fails_at_its_turns_and_no_others() {
    let sound: LoadExecutor =
        Box::new(|_| Ok(Box::new(Scripted::alone(Arc::new(ManualClock::default())))));
    let runtime = loading(faulty::failing(sound, NonZeroU64::new(5).unwrap()));
    super::ready(&runtime).await;
    let mut ends = Vec::new();
    // Four steps each: the 5th, 10th and 15th step are the first ones of the second, fourth and sixth job.
    for _ in 0..6 {
        let ticket = runtime.submit(job("a cat", &[1])).unwrap();
        ends.push(ticket.outcome().await.err());
    }
    let failed = Some(JobError::Failed("this step failed on purpose".into()));
    let expected = [
        None,
        failed.clone(),
        None,
        failed,
        None,
        Some(JobError::Panicked),
    ];
    assert_eq!(ends, expected);
}

fn loading(load: LoadExecutor) -> Runtime {
    let models = vec![ModelId(MODEL.into())];
    let device = DeviceSpec::Cpu;
    let worker = WorkerSpec {
        device,
        models,
        families: Vec::new(),
        load,
    };
    let metrics = Arc::new(Metrics::new([MODEL]));
    Runtime::start(
        vec![worker],
        settings(Arc::new(ManualClock::default()), metrics),
    )
    .unwrap()
}

#[tokio::test]
async fn weights_that_cannot_be_loaded_leave_a_server_that_says_so() {
    let broken: LoadExecutor = Box::new(|_| Err("the file is cut short".into()));
    let panicking: LoadExecutor = Box::new(|_| panic!("a tensor has no shape"));
    for (load, reason) in [(broken, "cut short"), (panicking, "no shape")] {
        let runtime = loading(load);
        let mut readiness = runtime.watch_readiness();
        let failed = |now: &Readiness| matches!(now, Readiness::Failed { reason: why } if why.contains(reason));
        readiness.wait_for(failed).await.unwrap();
        assert_eq!(
            runtime.submit(job("a cat", &[1])).unwrap_err(),
            SubmitError::NotReady
        );
    }
}

#[tokio::test]
async fn nothing_is_admitted_before_the_models_are_loaded() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let runtime = loading(Box::new(move |_| {
        wait.recv().ok();
        Err("never mind".into())
    }));
    assert!(matches!(runtime.readiness(), Readiness::Warming(progress) if progress.models == 1));
    assert_eq!(
        runtime.submit(job("a cat", &[1])).unwrap_err(),
        SubmitError::NotReady
    );
    drop(go);
}
