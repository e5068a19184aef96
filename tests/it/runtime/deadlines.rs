//! Are deadlines kept under load, and is the time used that they leave?

use std::{sync::Arc, time::Duration};

use goldilocks::{
    planner::LatencyEstimate,
    runtime::{Job, JobError, JobId, OnLate, SubmitError},
    units::Millis,
};

use super::script::{Set, Stage, UpTo, binding, flexible, job, plan};

async fn roomy(is_gated: bool) -> Stage {
    let mut set = Set {
        is_gated,
        ..Set::default()
    };
    set.rules.most_jobs = 64;
    Stage::set(set).await
}

#[tokio::test]
async fn an_idle_device_gives_a_request_all_that_it_has_time_for() {
    let stage = roomy(false).await;
    let rich = stage
        .runtime
        .submit(flexible("rich", 500.0, OnLate::Degrade))
        .unwrap();
    assert_eq!(rich.outcome().await.unwrap().images[0].steps_run, 10);
    let poor = stage
        .runtime
        .submit(flexible("poor", 500.0, OnLate::Degrade));
    // The clock has moved, so a job that arrived at moment zero has less of its time left.
    poor.unwrap().outcome().await.unwrap();
}

#[tokio::test]
async fn behind_others_a_request_starts_smaller_and_everybody_is_in_time() {
    let mut stage = roomy(true).await;
    let first = stage
        .runtime
        .submit(flexible("first", 400.0, OnLate::Degrade))
        .unwrap();
    stage.begun.recv().await.unwrap();
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            stage
                .runtime
                .submit(flexible("waiting", 400.0, OnLate::Degrade))
                .unwrap()
        })
        .collect();
    stage.release();
    let mut steps = vec![first.outcome().await.unwrap().images[0].steps_run];
    for ticket in waiting {
        let outcome = ticket.outcome().await.unwrap();
        let image = &outcome.images[0];
        assert_eq!(image.rush, None, "what was promised was not cut");
        assert_eq!(image.steps_run, outcome.decision.plan.steps);
        steps.push(image.steps_run);
    }
    assert_eq!(steps[0], 10);
    // As the queue shortens there is more for each.
    assert!(steps[1] < 10 && steps[1..].is_sorted(), "{steps:?}");
    let spent = stage.clock_ms();
    assert!(spent <= 400.0, "{spent} ms for {steps:?}");
    assert!(spent >= 250.0, "{spent} ms of 400 were used for {steps:?}");
    let text = stage.metrics.text();
    let dispatched: f64 = text
        .lines()
        .filter(|line| line.starts_with("goldilocks_plan_changes_total{at=\"dispatch\""))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert!((dispatched - 6.0).abs() < 1e-9, "{text}");
    // The first one had the device to itself, and began as it had been chosen.
    let same = "goldilocks_plan_changes_total{at=\"dispatch\",change=\"same\"}";
    assert!(!text.contains(&format!("{same} 6")), "{text}");
    assert!(!text.contains(&format!("{same} 0")), "{text}");
}

#[tokio::test]
async fn what_cannot_be_done_in_time_is_refused_with_a_time_that_is_true() {
    let mut stage = roomy(true).await;
    let long = stage.runtime.submit(job("long", &[1, 2, 3, 4])).unwrap();
    stage.begun.recv().await.unwrap();
    let refused = stage
        .runtime
        .submit(flexible("hurried", 60.0, OnLate::Degrade))
        .unwrap();
    // The long job has no deadline of its own, so that a hurried one goes first.
    stage.release();
    refused.outcome().await.unwrap();
    long.outcome().await.unwrap();

    let mut stage = roomy(true).await;
    let first = stage
        .runtime
        .submit(flexible("first", 90.0, OnLate::Degrade))
        .unwrap();
    stage.begun.recv().await.unwrap();
    let refused = stage
        .runtime
        .submit(flexible("second", 60.0, OnLate::Degrade))
        .unwrap_err();
    let SubmitError::NoRoom { room_in } = refused else {
        panic!("{refused}");
    };
    assert!(room_in > Duration::ZERO);
    stage.shows("goldilocks_admissions_total{result=\"no_room\"} 1");
    stage.release();
    first.outcome().await.unwrap();
    let mut again = flexible("second", 60.0, OnLate::Degrade);
    again.arrived = stage.now();
    stage
        .runtime
        .submit(again)
        .unwrap()
        .outcome()
        .await
        .unwrap();
}

#[tokio::test]
async fn what_had_to_wait_too_long_is_told_with_its_wait() {
    let mut stage = roomy(true).await;
    let first = stage.runtime.submit(job("first", &[1])).unwrap();
    stage.begun.recv().await.unwrap();
    let mut hurried = flexible("hurried", 120.0, OnLate::Degrade);
    // Nothing but the floor is ever granted.
    hurried.binder = Arc::new(UpTo {
        steps: 0,
        n_images: 1,
        may_rush: true,
    });
    let alone = LatencyEstimate {
        p50: Millis(27.0),
        p95: Millis(28.0),
        p99: Millis(29.0),
    };
    hurried.floor.decision.estimate.latency_ms = Some(alone);
    let hurried = stage.runtime.submit(hurried).unwrap();
    // Something else had the machine until there was no time left.
    stage.clock.advance(Duration::from_millis(150));
    stage.release();
    first.outcome().await.unwrap();
    let outcome = hurried.outcome().await.unwrap();
    let told = outcome.decision.estimate.latency_ms.unwrap();
    assert!(told.p50.0 >= 150.0 + alone.p50.0, "{told:?}");
    let spread = told.p99.0 - told.p50.0;
    assert!((spread - 2.0).abs() < 1e-9, "{told:?}");
}

#[tokio::test]
async fn a_device_that_is_slower_than_predicted_takes_fewer_steps() {
    let mut stage = roomy(true).await;
    let slow = stage
        .runtime
        .submit(flexible("slow", 120.0, OnLate::Degrade))
        .unwrap();
    stage.begun.recv().await.unwrap();
    stage.let_step();
    stage.until_ran(1).await;
    // Something else had the machine.
    stage.clock.advance(Duration::from_millis(70));
    stage.release();
    let image = slow.outcome().await.unwrap().images.remove(0);
    let rush = image.rush.expect("it was shortened");
    assert!(
        image.steps_run < 10 && rush.after + rush.then == image.steps_run,
        "{rush:?}"
    );
    stage.shows("goldilocks_images_degraded_total 1");
    stage.shows("goldilocks_plan_changes_total{at=\"step\",change=\"larger\"} 0");
    let never = "goldilocks_plan_changes_total{at=\"step\",change=\"smaller\"} 0";
    assert!(!stage.metrics.text().contains(never));
}

#[tokio::test]
async fn one_that_would_rather_not_be_late_is_refused_and_one_that_would_is_finished() {
    for (on_late, is_refused) in [(OnLate::Reject, true), (OnLate::RunLate, false)] {
        let mut stage = roomy(true).await;
        let ticket = stage
            .runtime
            .submit(flexible("slow", 120.0, on_late))
            .unwrap();
        stage.begun.recv().await.unwrap();
        stage.let_step();
        stage.until_ran(1).await;
        stage.clock.advance(Duration::from_millis(200));
        stage.release();
        match ticket.outcome().await {
            Ok(outcome) => {
                assert!(!is_refused);
                assert_eq!(outcome.images[0].rush, None);
            }
            Err(error) => {
                assert!(is_refused);
                assert_eq!(error, JobError::DeadlineExceeded);
                stage.shows("goldilocks_jobs_total{outcome=\"late\"} 1");
                // At most the step that was on its way when the time was up.
                assert!(stage.ran.lock().unwrap().len() <= 2);
            }
        }
    }
}

#[tokio::test]
async fn one_that_is_late_gives_way_to_the_hurried_and_not_to_those_with_all_the_time_in_the_world()
{
    let mut stage = roomy(true).await;
    let late = flexible("late", 100.0, OnLate::RunLate);
    let late = stage.runtime.submit(late).unwrap();
    stage.begun.recv().await.unwrap();
    let patient = stage.runtime.submit(job("patient", &[1])).unwrap();
    let hurried = flexible("hurried", 900.0, OnLate::Degrade);
    let hurried = stage.runtime.submit(hurried).unwrap();
    stage.let_step();
    stage.until_ran(1).await;
    stage.clock.advance(Duration::from_millis(150));
    stage.release();
    for ticket in [late, patient, hurried] {
        ticket.outcome().await.unwrap();
    }
    let ran = stage.ran.lock().unwrap().clone();
    let mut order: Vec<_> = ran.iter().map(|rows| rows[0].job).collect();
    order.dedup();
    let [first, second, third, fourth] = order[..] else {
        panic!("{order:?}");
    };
    assert_eq!((first, third), (JobId(0), JobId(0)), "{order:?}");
    assert_eq!((second, fourth), (JobId(2), JobId(1)), "{order:?}");
}

#[tokio::test]
async fn one_that_will_be_late_does_not_make_those_behind_it_late() {
    let mut stage = roomy(true).await;
    // 42 ms, and more urgent than those who come after it.
    let first = stage.runtime.submit(Job {
        limit: Some(Millis(140.0)),
        on_late: OnLate::RunLate,
        ..job("first", &[1])
    });
    assert_eq!(stage.begun.recv().await.unwrap(), "first");
    let tickets: Vec<_> = [("a", 150.0), ("b", 177.0), ("c", 204.0), ("d", 231.0)]
        .into_iter()
        .map(|(prompt, limit)| {
            let mut job = flexible(prompt, limit, OnLate::Degrade);
            // Nothing but the floor, 27 ms, is ever granted.
            job.binder = Arc::new(UpTo {
                steps: 0,
                n_images: 1,
                may_rush: true,
            });
            stage.runtime.submit(job).unwrap()
        })
        .collect();
    // Something else had the machine until there was no time left for the first of them.
    stage.clock.advance(Duration::from_millis(90));
    stage.release();
    first.unwrap().outcome().await.unwrap();
    for ticket in tickets {
        ticket.outcome().await.unwrap();
    }
    let mut begun = Vec::new();
    while let Ok(prompt) = stage.begun.try_recv() {
        begun.push(prompt);
    }
    assert_eq!(begun, ["b", "c", "d", "a"]);
}

/// A job of so many steps of 5 ms that nobody set a time for.
fn whenever(prompt: &str, steps: u32) -> Job {
    let binding = binding(plan(steps));
    Job {
        floor: binding.clone(),
        binder: Arc::new(binding.clone()),
        binding,
        ..job(prompt, &[1])
    }
}

#[tokio::test]
async fn who_set_no_time_waits_where_who_did_is_turned_away() {
    let mut stage = roomy(true).await;
    // A minute of work, twice what anybody is expected to be patient for.
    let long = stage.runtime.submit(whenever("long", 12_000)).unwrap();
    stage.begun.recv().await.unwrap();
    let short = stage.runtime.submit(whenever("short", 1)).unwrap();
    let timed = Job {
        limit: Some(Millis(31_000.0)),
        ..whenever("timed", 7000)
    };
    let refused = stage.runtime.submit(timed).unwrap_err();
    assert!(matches!(refused, SubmitError::NoRoom { .. }));
    // Neither is in the way of those in a hurry, and there is an end to patience.
    let hurried = stage
        .runtime
        .submit(flexible("hurried", 400.0, OnLate::Degrade));
    let longer = stage.runtime.submit(whenever("longer", 60_000)).unwrap();
    let beyond = stage.runtime.submit(whenever("beyond", 60_000));
    let Err(SubmitError::NoRoom { room_in }) = beyond else {
        panic!("{beyond:?}")
    };
    assert!(room_in > Duration::from_mins(5), "{room_in:?}");
    stage.runtime.cancel(longer.id);
    stage.release();
    let hurried = hurried.unwrap().outcome().await.unwrap();
    assert!(hurried.phases.queue < Millis(50.0), "{:?}", hurried.phases);
    short.outcome().await.unwrap();
    long.outcome().await.unwrap();
}
