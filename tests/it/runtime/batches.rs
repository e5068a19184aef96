//! Do pictures share evaluations where that pays, and fail alone all the same?

use goldilocks::{
    runtime::{JobError, Rules},
    units::Millis,
};

use super::script::{Set, Stage, job};

/// A device on which a further row costs next to nothing, and that waits for the test.
async fn batching() -> Stage {
    Stage::set(Set {
        is_gated: true,
        further_row: 0.5,
        rules: Rules::default(),
        ..Set::default()
    })
    .await
}

#[tokio::test]
async fn pictures_of_one_and_of_several_jobs_share_evaluations() {
    let mut stage = batching().await;
    let first = stage.runtime.submit(job("two at once", &[1, 2])).unwrap();
    stage.begun.recv().await.unwrap();
    let second = stage.runtime.submit(job("one more", &[3])).unwrap();
    stage.release();
    let first = first.outcome().await.unwrap();
    let second = second.outcome().await.unwrap();
    assert_eq!(first.images.len(), 2);
    let ran = stage.ran.lock().unwrap().clone();
    let most = ran.iter().map(Vec::len).max();
    assert_eq!(most, Some(3), "{ran:?}");
    assert!(ran.len() <= 5, "twelve steps in {} evaluations", ran.len());
    // One evaluation is one time, however many of a job's pictures it moved.
    assert!(first.phases.denoise.0 < 4.0 * 7.0, "{:?}", first.phases);
    assert_eq!((first.nfe, second.nfe), (8, 4));
    let whole: Millis = first.steps.iter().map(|step| step.took).sum();
    assert_eq!(whole, first.phases.denoise);
}

#[tokio::test]
async fn where_sharing_saves_nothing_one_picture_is_finished_before_the_next() {
    let stage = Stage::open().await;
    let both = stage.runtime.submit(job("two", &[1, 2])).unwrap();
    both.outcome().await.unwrap();
    let ran = stage.ran.lock().unwrap().clone();
    assert!(ran.iter().all(|rows| rows.len() == 1));
    let pictures: Vec<usize> = ran.iter().map(|rows| rows[0].picture).collect();
    assert_eq!(pictures, [0, 0, 0, 0, 1, 1, 1, 1]);
}

#[tokio::test]
async fn a_row_that_fails_fails_alone() {
    for fatal in ["fail to step", "break the batch"] {
        let mut stage = batching().await;
        let good = stage.runtime.submit(job("a cat", &[1])).unwrap();
        stage.begun.recv().await.unwrap();
        let bad = stage.runtime.submit(job(fatal, &[2])).unwrap();
        let too = stage.runtime.submit(job("a dog", &[3])).unwrap();
        stage.release();
        assert!(
            matches!(bad.outcome().await, Err(JobError::Failed(_))),
            "{fatal}"
        );
        assert_eq!(good.outcome().await.unwrap().nfe, 4, "{fatal}");
        assert_eq!(too.outcome().await.unwrap().nfe, 4, "{fatal}");
        stage.shows("goldilocks_jobs_total{outcome=\"failed\"} 1");
        assert_eq!(stage.runtime.queued_work(), Millis::ZERO);
    }
}

#[tokio::test]
async fn a_panic_in_a_shared_step_is_answered_and_survived() {
    let mut stage = batching().await;
    let bad = stage.runtime.submit(job("panic in a step", &[2])).unwrap();
    stage.begun.recv().await.unwrap();
    stage.let_step();
    assert_eq!(bad.outcome().await.unwrap_err(), JobError::Panicked);
    let next = stage.runtime.submit(job("a cat", &[1])).unwrap();
    stage.release();
    next.outcome().await.unwrap();
    stage.shows("goldilocks_worker_panics_total 1");
}
