//! Does a runtime that is told to stop finish what it admitted, and no more?

use std::time::Duration;

use goldilocks::runtime::{JobError, Readiness, SubmitError};

use super::script::{Stage, job};

/// Longer than any test takes, and never waited for in full.
const LONG: Duration = Duration::from_mins(10);

#[tokio::test]
async fn admitted_jobs_finish_within_the_grace() {
    let mut stage = Stage::gated().await;
    let running = stage.runtime.submit(job("running", &[1])).unwrap();
    stage.begun.recv().await.unwrap();
    let waiting = stage.runtime.submit(job("waiting", &[1])).unwrap();
    let runtime = stage.runtime.clone();
    let stopping = tokio::spawn(async move { runtime.shutdown(LONG).await });
    let mut readiness = stage.runtime.watch_readiness();
    readiness
        .wait_for(|now| *now == Readiness::Draining)
        .await
        .unwrap();
    let late = stage.runtime.submit(job("late", &[1])).unwrap_err();
    assert_eq!(late, SubmitError::ShuttingDown);
    stage.release();
    running.outcome().await.unwrap();
    waiting.outcome().await.unwrap();
    stopping.await.unwrap();
}

#[tokio::test]
async fn what_is_not_done_after_the_grace_is_answered_and_stopped_at_its_next_step() {
    let mut stage = Stage::gated().await;
    let running = stage.runtime.submit(job("running", &[1, 2, 3])).unwrap();
    stage.begun.recv().await.unwrap();
    let waiting = stage.runtime.submit(job("waiting", &[1])).unwrap();
    let runtime = stage.runtime.clone();
    let stopping = tokio::spawn(async move { runtime.shutdown(Duration::ZERO).await });
    // The waiting job is answered only when the grace is over, while the running one still holds the device.
    assert_eq!(waiting.outcome().await.unwrap_err(), JobError::ShuttingDown);
    stage.release();
    assert_eq!(running.outcome().await.unwrap_err(), JobError::ShuttingDown);
    stopping.await.unwrap();
}

#[tokio::test]
async fn an_idle_runtime_stops_at_once_and_twice_is_as_good_as_once() {
    let stage = Stage::open().await;
    stage.runtime.shutdown(LONG).await;
    stage.runtime.shutdown(LONG).await;
    assert_eq!(stage.runtime.readiness(), Readiness::Draining);
}
