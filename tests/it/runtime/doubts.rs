//! Is a machine that is thought too slow timed again, and is nobody in the way of that?

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use goldilocks::{
    catalog::{DeviceSpec, ModelId},
    planner::PhaseTimes,
    runtime::{Doubt, Job, LoadExecutor, Runtime, SubmitError, WorkerSpec, executor::faulty},
    telemetry::{ManualClock, Metrics},
    units::Millis,
};

use super::script::{MODEL, Scripted, Set, Stage, binding, family, job, plan, settings};

const DONE: &str = "goldilocks_timed_again_total{result=\"done\"}";
const INTERRUPTED: &str = "goldilocks_timed_again_total{result=\"interrupted\"}";
const FAILED: &str = "goldilocks_timed_again_total{result=\"failed\"}";

fn model() -> ModelId {
    ModelId(MODEL.into())
}

fn doubt(limit: f64) -> Doubt {
    let family = family();
    Doubt {
        size: family.default_size(),
        family: family.id,
        limit: Millis(limit),
    }
}

/// A stage whose device is thought to take what `slow` sets beside 10 ms for a text and 100 for a decode: both are
/// five times too long.
async fn thought_slow(is_gated: bool, slow: &[(u32, f64)]) -> Stage {
    let stage = Stage::set(Set {
        is_gated,
        is_doubtful: true,
        ..Set::default()
    })
    .await;
    let family = family();
    let size = family.default_size();
    let mut times = PhaseTimes::default();
    times.set_text(&family.id, Millis(10.0));
    times.set_decode(&family.id, size, Millis(100.0));
    for (rows, ms) in slow {
        times.set_step(&family.models[0].id, size, *rows, Millis(*ms));
    }
    stage.latency.write().unwrap().probed(times);
    stage
}

fn step(stage: &Stage, rows: u32) -> Millis {
    let family = family();
    let (model, size) = (&family.models[0].id, family.default_size());
    let latency = stage.latency.read().unwrap();
    latency.phases().step(model, size, rows).unwrap()
}

#[tokio::test]
async fn a_doubt_is_settled_once_and_not_again_for_a_while() {
    let stage = thought_slow(false, &[(1, 25.0), (2, 50.0)]).await;
    let mut timed = stage.runtime.watch_timed();
    stage.runtime.doubt(&model(), doubt(60.0));
    timed.changed().await.unwrap();
    stage.until_shown(&format!("{DONE} 1")).await;
    assert_eq!(
        [1, 2].map(|rows| step(&stage, rows)),
        [5.0, 10.0].map(Millis)
    );
    let family = family();
    let text = stage.latency.read().unwrap().phases().text(&family.id);
    assert_eq!(text, Some(Millis(2.0)), "every prompt was a new one");

    stage.runtime.doubt(&model(), doubt(60.0));
    let ticket = stage.runtime.submit(job("a cat", &[1])).unwrap();
    ticket.outcome().await.unwrap();
    stage.shows(&format!("{INTERRUPTED} 0"));
    stage.clock.advance(Duration::from_secs(10));
    stage.runtime.doubt(&model(), doubt(60.0));
    stage.until_shown(&format!("{DONE} 2")).await;
    // What it draws for nobody is nobody's in the metrics, too.
    stage.shows("goldilocks_jobs_total{outcome=\"finished\"} 1");
}

#[tokio::test]
async fn whoever_comes_waits_for_one_piece_of_work_and_ends_it() {
    let mut stage = thought_slow(true, &[(1, 25.0), (2, 50.0)]).await;
    stage.runtime.doubt(&model(), doubt(60.0));
    stage.until(2.0).await;
    // The device is in the first step now: it takes 25 ms at most, by a clock that stands still.
    let ahead = stage.runtime.queued_work();
    assert!(ahead > Millis::ZERO && ahead <= Millis(25.0), "{ahead:?}");
    let ticket = stage.runtime.submit(job("a cat", &[1])).unwrap();
    stage.release();
    ticket.outcome().await.unwrap();
    stage.shows(&format!("{INTERRUPTED} 1"));
    stage.shows(&format!("{DONE} 0"));
    assert_eq!(stage.clock_ms(), 2.0 + 5.0 + 42.0);
    assert_eq!(step(&stage, 1), Millis(25.0));
    // What the request took says more than it would have, for a while.
    stage.runtime.doubt(&model(), doubt(60.0));
    stage.clock.advance(Duration::from_secs(10));
    stage.shows(&format!("{DONE} 0"));
    stage.runtime.doubt(&model(), doubt(60.0));
    stage.until_shown(&format!("{DONE} 1")).await;
}

#[tokio::test]
async fn what_would_keep_others_waiting_is_left_out() {
    let stage = thought_slow(false, &[(1, 25.0), (2, 400.0)]).await;
    stage.runtime.doubt(&model(), doubt(60.0));
    stage.until_shown(&format!("{DONE} 1")).await;
    assert_eq!(
        [1, 2].map(|rows| step(&stage, rows)),
        [5.0, 400.0].map(Millis)
    );
    // Unless those that are refused take as long.
    stage.clock.advance(Duration::from_mins(1));
    stage.runtime.doubt(&model(), doubt(400.0));
    stage.until_shown(&format!("{DONE} 2")).await;
    assert_eq!(step(&stage, 2), Millis(10.0));
}

#[tokio::test]
async fn whoever_is_turned_away_by_it_ends_it() {
    let mut stage = thought_slow(true, &[(1, 25.0), (2, 50.0)]).await;
    stage.runtime.doubt(&model(), doubt(60.0));
    stage.until(2.0).await;
    // The piece of work at hand leaves too little time, however soon it will be over.
    let tight = |now| Job {
        arrived: now,
        limit: Some(Millis(70.0)),
        ..job("a cat", &[1])
    };
    let refused = stage.runtime.submit(tight(stage.now())).unwrap_err();
    assert!(matches!(refused, SubmitError::NoRoom { room_in } if !room_in.is_zero()));
    stage.release();
    stage.until_shown(&format!("{INTERRUPTED} 1")).await;
    stage
        .runtime
        .submit(tight(stage.now()))
        .unwrap()
        .outcome()
        .await
        .unwrap();
}

#[tokio::test]
async fn nothing_is_timed_while_there_is_something_to_do() {
    let mut stage = thought_slow(true, &[(1, 25.0)]).await;
    let ticket = stage.runtime.submit(job("a cat", &[1])).unwrap();
    stage.runtime.doubt(&model(), doubt(60.0));
    stage.release();
    ticket.outcome().await.unwrap();
    let next = stage.runtime.submit(job("a dog", &[1])).unwrap();
    next.outcome().await.unwrap();
    for end in [DONE, INTERRUPTED, FAILED] {
        stage.shows(&format!("{end} 0"));
    }
}

#[tokio::test]
async fn a_device_that_fails_meanwhile_serves_on() {
    let clock = Arc::new(ManualClock::default());
    let device = Scripted::alone(clock.clone());
    let load: LoadExecutor = Box::new(|_| Ok(Box::new(device)));
    let worker = WorkerSpec {
        device: DeviceSpec::Cpu,
        models: vec![model()],
        families: vec![family()],
        load: faulty::failing(load, NonZeroU64::new(2).unwrap()),
    };
    let metrics = Arc::new(Metrics::new([MODEL]));
    let settings = settings(clock.clone(), metrics.clone());
    let runtime = Runtime::start(vec![worker], settings).unwrap();
    super::ready(&runtime).await;
    for n in 1..=3 {
        clock.advance(Duration::from_mins(10));
        runtime.doubt(&model(), doubt(60.0));
        let failed = format!("{FAILED} {n}");
        while !metrics.text().lines().any(|line| line == failed) {
            tokio::task::yield_now().await;
        }
    }
    assert!(metrics.text().contains("goldilocks_worker_panics_total 1"));
    let one_step = binding(plan(1));
    let job = Job {
        floor: one_step.clone(),
        binder: Arc::new(one_step.clone()),
        binding: one_step,
        ..job("a cat", &[1])
    };
    runtime.submit(job).unwrap().outcome().await.unwrap();
}
