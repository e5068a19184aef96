//! Can one watch a job on its way, and stop it?

use goldilocks::runtime::{Event, Job, JobError};

use super::script::{Stage, job};

fn watched(prompt: &str) -> Job {
    Job {
        wants_events: true,
        partial_images: 2,
        ..job(prompt, &[7])
    }
}

#[tokio::test]
async fn a_job_tells_its_plan_its_steps_its_partial_pictures_and_the_finished_one() {
    let stage = Stage::open().await;
    let mut ticket = stage.runtime.submit(watched("a cat")).unwrap();
    let mut events = Vec::new();
    while let Some(event) = ticket.event().await {
        events.push(event);
    }
    ticket.outcome().await.unwrap();
    let (mut told, mut files) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Begun(decision) => told.push(format!("{} steps", decision.plan.steps)),
            Event::Step { done, total, .. } => told.push(format!("{done}/{total}")),
            // Files are written beside the device.
            Event::Partial { number, file, .. } => files.push((Some(number), file)),
            Event::Picture { rendered, .. } => files.push((None, rendered.file)),
        }
    }
    assert_eq!(told, ["4 steps", "1/4", "2/4", "3/4", "4/4"]);
    let expected = [(Some(0), "7000"), (Some(1), "7000"), (None, "7")];
    assert_eq!(
        files,
        expected.map(|(number, text)| (number, text.as_bytes().to_vec()))
    );
}

#[tokio::test]
async fn a_cancelled_job_takes_no_further_step() {
    let mut stage = Stage::gated().await;
    let ticket = stage.runtime.submit(job("unwanted", &[1, 2])).unwrap();
    stage.begun.recv().await.unwrap();
    let waiting = stage.runtime.submit(job("waiting", &[1])).unwrap();
    assert!(stage.runtime.cancel(waiting.id));
    assert!(stage.runtime.cancel(ticket.id));
    stage.let_step();
    assert_eq!(ticket.outcome().await.unwrap_err(), JobError::Cancelled);
    assert_eq!(waiting.outcome().await.unwrap_err(), JobError::Cancelled);
    let n_ran = stage.ran.lock().unwrap().len();
    assert!(n_ran <= 1, "at most the step that was on its way: {n_ran}");
    stage.release();
    let next = stage.runtime.submit(job("next", &[1])).unwrap();
    assert!(!stage.runtime.cancel(goldilocks::runtime::JobId(9999)));
    next.outcome().await.unwrap();
    stage.shows(&format!(
        "goldilocks_wasted_nfe_total{{reason=\"cancelled\"}} {n_ran}"
    ));
}

#[tokio::test]
async fn one_can_ask_where_a_job_stands() {
    let mut stage = Stage::gated().await;
    let running = stage.runtime.submit(job("running", &[1])).unwrap();
    stage.begun.recv().await.unwrap();
    stage.until(2.0).await;
    let waiting = stage.runtime.submit(job("waiting", &[1])).unwrap();
    let standing = stage.runtime.standing(waiting.id).unwrap();
    assert_eq!((standing.ahead, standing.has_begun), (1, false));
    assert_eq!((standing.steps_done, standing.steps_total), (0, 4));
    assert!((standing.starts_in.0 - 40.0).abs() < 1e-6, "{standing:?}");
    assert!((standing.finishes_in.0 - 82.0).abs() < 1e-6, "{standing:?}");
    let first = stage.runtime.standing(running.id).unwrap();
    assert_eq!((first.ahead, first.has_begun), (0, true));
    let id = running.id;
    stage.release();
    running.outcome().await.unwrap();
    waiting.outcome().await.unwrap();
    assert_eq!(stage.runtime.standing(id), None);
}
