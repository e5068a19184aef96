//! Are jobs run in order, timed, bounded and counted?

use std::time::Duration;

use goldilocks::{
    catalog::ModelId,
    runtime::{Phases, SubmitError},
    units::{Flops, Millis},
};

use super::script::{Stage, job};

#[tokio::test]
async fn an_outcome_has_its_pictures_and_where_the_time_went() {
    let stage = Stage::open().await;
    let ticket = stage.runtime.submit(job("two cats", &[7, 8])).unwrap();
    let outcome = ticket.outcome().await.unwrap();
    let files: Vec<&[u8]> = outcome
        .images
        .iter()
        .map(|image| image.file.as_slice())
        .collect();
    assert_eq!(files, [b"7", b"8"]);
    assert_eq!(outcome.images[1].steps_run, 4);
    assert_eq!((outcome.nfe, outcome.flops), (8, Flops(8e9)));
    let expected = Phases {
        text: Millis(2.0),
        denoise: Millis(40.0),
        decode: Millis(40.0),
        ..Phases::default()
    };
    // The device moves the clock while a file is written beside it.
    let phases = Phases {
        encode: Millis::ZERO,
        ..outcome.phases
    };
    assert_eq!(phases, expected);
    stage.shows("goldilocks_images_total{model=\"toy\"} 2");
    stage.shows("goldilocks_steps_total{model=\"toy\"} 8");
    stage.shows("goldilocks_nfe_total{model=\"toy\"} 8");
}

#[tokio::test]
async fn jobs_run_in_the_order_of_their_arrival_and_know_how_long_they_waited() {
    let mut stage = Stage::gated().await;
    let first = stage.runtime.submit(job("first", &[1])).unwrap();
    assert_eq!(stage.begun.recv().await.unwrap(), "first");
    // Its text moves the clock; the others shall arrive at one moment.
    stage.until(2.0).await;
    let second = stage.runtime.submit(job("second", &[1])).unwrap();
    let third = stage.runtime.submit(job("third", &[1])).unwrap();
    for _ in 0..12 {
        stage.let_step();
    }
    first.outcome().await.unwrap();
    let second = second.outcome().await.unwrap();
    let third = third.outcome().await.unwrap();
    assert_eq!(stage.begun.recv().await.unwrap(), "second");
    assert_eq!(stage.begun.recv().await.unwrap(), "third");
    assert!(third.phases.queue.0 - second.phases.queue.0 >= 42.0);
}

#[tokio::test]
async fn a_full_queue_refuses_and_says_how_many_wait() {
    let mut stage = Stage::gated().await;
    let running = stage.runtime.submit(job("running", &[1])).unwrap();
    stage.begun.recv().await.unwrap();
    let waiting = [(); 2].map(|()| stage.runtime.submit(job("waiting", &[1])).unwrap());
    let refused = stage.runtime.submit(job("one too many", &[1])).unwrap_err();
    let SubmitError::Full { most_jobs, room_in } = refused else {
        panic!("{refused}");
    };
    assert_eq!(most_jobs, 3);
    stage.shows("goldilocks_admissions_total{result=\"admitted\"} 3");
    stage.shows("goldilocks_admissions_total{result=\"full\"} 1");
    // The running job has 40 ms left, or 42 if its text is not done yet.
    assert!((40..=42).contains(&room_in.as_millis()), "{room_in:?}");
    stage.release();
    for ticket in [running].into_iter().chain(waiting) {
        ticket.outcome().await.unwrap();
    }
}

#[tokio::test]
async fn queued_work_is_what_is_predicted_and_not_yet_done() {
    let mut stage = Stage::gated().await;
    assert_eq!(stage.runtime.queued_work(), Millis::ZERO);
    let running = stage.runtime.submit(job("running", &[1])).unwrap();
    stage.begun.recv().await.unwrap();
    let waiting = stage.runtime.submit(job("waiting", &[1])).unwrap();
    stage.clock.advance(Duration::from_millis(10));
    let ahead = stage.runtime.queued_work();
    stage.runtime.tell_gauges();
    stage.shows("goldilocks_queued_jobs{state=\"waiting\"} 1");
    stage.shows("goldilocks_queued_jobs{state=\"running\"} 1");
    // The running job has had its text or a step of 5 ms, since a piece of work never counts for more than it is
    // predicted to take.
    assert!((77.0..=82.0).contains(&ahead.0), "{ahead:?}");
    stage.release();
    running.outcome().await.unwrap();
    waiting.outcome().await.unwrap();
    assert_eq!(stage.runtime.queued_work(), Millis::ZERO);
    // Each took 2 ms of text, 20 of steps and 20 of decoding; besides that the clock was moved by 10.
    let text = stage.metrics.text();
    let busy = text
        .lines()
        .find_map(|line| line.strip_prefix("goldilocks_device_busy_seconds_total{device=\"0\"} "));
    let busy: f64 = busy.unwrap().parse().unwrap();
    assert!((busy - 0.094).abs() < 1e-9, "{busy}");
}

#[tokio::test]
async fn a_job_that_nobody_waits_for_stops_at_its_next_step() {
    let mut stage = Stage::gated().await;
    let unwanted = stage.runtime.submit(job("unwanted", &[1, 2, 3])).unwrap();
    stage.begun.recv().await.unwrap();
    let never_begun = stage.runtime.submit(job("never begun", &[1])).unwrap();
    let wanted = stage.runtime.submit(job("wanted", &[1])).unwrap();
    drop((unwanted, never_begun));
    stage.release();
    wanted.outcome().await.unwrap();
    assert_eq!(stage.begun.recv().await.unwrap(), "wanted");
    let text = stage.metrics.text();
    let cancelled = "goldilocks_jobs_total{outcome=\"cancelled\"} 2";
    assert!(text.contains(cancelled), "{text}");
    // At most one step of the unwanted job, and the four of the wanted one.
    let steps = text
        .lines()
        .find_map(|line| line.strip_prefix("goldilocks_steps_total{model=\"toy\"} "));
    let steps: u32 = steps.unwrap().parse().unwrap();
    assert!(steps <= 5, "{steps} steps ran");
}

#[tokio::test]
async fn a_model_that_nobody_hosts_is_refused_by_name() {
    let stage = Stage::open().await;
    let mut stray = job("stray", &[1]);
    stray.binding.decision.plan.model = ModelId("other".into());
    let refused = stage.runtime.submit(stray).unwrap_err();
    assert!(refused.to_string().contains("other"), "{refused}");
}
