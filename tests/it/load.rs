//! Does the generator tell what a server did? Against one that does as the prompt says.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use goldilocks::{
    load::{
        client::{HttpServer, Presence},
        pace::Pacer,
        record::{Failure, Outcome, Refusal},
        replay::{Replay, Replayed, Settings},
        report::Report,
        trace::{Arrival, Trace},
    },
    telemetry::{Clock, SystemClock},
    units::Moment,
};
use tokio::sync::mpsc::unbounded_channel;

mod command;
mod scripted;

use scripted::{DELAY, KEY, Scripted};

/// A trace of rows below the header.
pub(crate) fn trace(rows: &str) -> Trace {
    Trace::parse(&text(rows)).unwrap()
}

fn text(rows: &str) -> String {
    format!("arrival_seconds,latency_ms,tflops,images,prompt\n{rows}")
}

/// Sends a trace to the server at `url`, now.
pub(crate) async fn replay(
    url: &str,
    trace: Trace,
    change: impl FnOnce(&mut Settings),
) -> Replayed {
    replay_with(url, None, trace, change).await
}

async fn replay_with(
    url: &str,
    key: Option<&str>,
    trace: Trace,
    change: impl FnOnce(&mut Settings),
) -> Replayed {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let server = HttpServer::new(url.parse().unwrap(), key, Arc::clone(&clock)).unwrap();
    let mut settings = Settings {
        start: Moment(clock.now().0 + Duration::from_millis(5)),
        patience: Duration::from_secs(10),
        retry: false,
        max_in_flight: 64,
    };
    change(&mut settings);
    let offsets = trace.arrivals().iter().map(Arrival::at).collect();
    let replay = Replay::new(trace, server, Arc::clone(&clock), settings);
    let Pacer { due, stop: _pacing } = Pacer::start(clock, settings.start, offsets).unwrap();
    let (_never, stop) = unbounded_channel();
    replay.run(due, stop, |_| {}).await
}

#[tokio::test]
async fn every_end_of_a_request_is_told_for_what_it_is() {
    let server = Scripted::start().await;
    let replayed = replay(
        &server.url,
        trace(
            "0,1000,0.004,2,answer\n\
             0.01,1,,1,answer\n\
             0.02,1000,,1,busy\n\
             0.03,1000,,1,infeasible\n\
             0.04,1000,,1,hang up\n\
             0.05,1000,,1,stop half way\n\
             0.06,1000,,1,babble\n\
             0.07,,,1,degrade\n",
        ),
        |_| {},
    )
    .await;
    let records = &replayed.records;
    let outcome = |i: usize| &records[i].outcome;

    let answer = records[0].answer().unwrap();
    assert_eq!((answer.score, answer.tflops), (Some(0.75), Some(0.003)));
    assert_eq!(
        (answer.model.as_deref(), answer.steps_run),
        (Some("toy"), Some(3))
    );
    assert!(records[0].is_attained() && !answer.degraded && !answer.late);
    assert!(records[0].latency_ms.0 >= DELAY.as_secs_f64() * 1e3);
    // A budget of 1 ms is over before the server answers, whatever the server says.
    assert!(records[1].answer().is_some() && !records[1].is_attained());
    let refusal = |status, code: &str, retry_after_ms| {
        Outcome::Refused(Refusal {
            status,
            code: code.into(),
            retry_after_ms,
        })
    };
    assert_eq!(*outcome(2), refusal(429, "overloaded", Some(1)));
    assert_eq!(*outcome(3), refusal(422, "budget_infeasible", None));
    assert_eq!(*outcome(4), Outcome::Failed(Failure::ConnectionLost));
    assert_eq!(*outcome(5), Outcome::Failed(Failure::BodyCut));
    assert_eq!(*outcome(6), Outcome::Failed(Failure::NotUnderstood));
    let degraded = records[7].answer().unwrap();
    assert!(degraded.degraded && degraded.late && degraded.score.is_none());

    let report = Report::of(records).unwrap();
    let all = &report.all;
    assert_eq!(
        (all.offered, all.admitted, all.answered, all.attained),
        (8, 6, 3, 2)
    );
    assert_eq!((all.degraded, all.late, all.unscored), (1, 1, 1));
    assert_eq!(all.score_at_budget.mean, 0.75 / 8.0);
    let refusals = [("429 overloaded", 1), ("422 budget_infeasible", 1)];
    let refusals = refusals.map(|(name, n)| (name.to_owned(), n));
    assert_eq!(report.refusals, BTreeMap::from(refusals));
    assert_eq!(report.failures.len(), 3);
    assert_eq!(report.classes.len(), 4);
}

#[tokio::test]
async fn the_server_is_told_budget_pictures_seed_and_key() {
    let server = Scripted::start().await;
    let rows = "0,1000,0.004,2,need a key\n0,,,1,need a key\n";
    let with_key = replay_with(&server.url, Some(KEY), trace(rows), |_| {}).await;
    assert!(
        with_key
            .records
            .iter()
            .all(|record| record.answer().is_some())
    );
    let mut heard = server.heard();
    heard.sort_by_key(|body| body["seed"].as_u64());
    assert_eq!(heard[0]["budget"]["latency_ms"], 1000.0);
    assert_eq!(heard[0]["budget"]["tflops"], 0.004);
    assert_eq!((&heard[0]["n"], &heard[0]["seed"]), (&2.into(), &0.into()));
    assert_eq!(heard[1].get("budget"), None);

    let without = replay(&server.url, trace(rows), |_| {}).await;
    let refused = without.records.iter().map(|record| match &record.outcome {
        Outcome::Refused(refusal) => refusal.status,
        other => panic!("{other:?}"),
    });
    assert_eq!(refused.collect::<Vec<_>>(), [401, 401]);
}

#[tokio::test]
async fn connections_are_kept_and_slow_answers_hold_nobody_up() {
    let server = Scripted::start().await;
    let one_by_one = (0..20).map(|i| format!("{},,,1,at once\n", f64::from(i) * 0.01));
    let replayed = replay(&server.url, trace(&one_by_one.collect::<String>()), |_| {}).await;
    assert!(
        replayed
            .records
            .iter()
            .all(|record| record.answer().is_some())
    );
    // One after another they need one connection; where the machine dawdles, a few.
    let n_connections = server.n_connections();
    assert!(n_connections <= 5, "{n_connections} connections");

    let together = replay(&server.url, trace(&"0,,,1,answer\n".repeat(20)), |_| {}).await;
    assert_eq!(together.sending.held_back, 0);
    let slowest = together
        .records
        .iter()
        .map(|r| r.latency_ms.0)
        .fold(0.0, f64::max);
    let in_turn = 20.0 * DELAY.as_secs_f64() * 1e3;
    assert!(
        slowest < in_turn / 2.0,
        "{slowest} ms, in turn {in_turn} ms"
    );
}

#[tokio::test]
async fn a_bound_on_connections_holds_requests_back_and_says_so() {
    let server = Scripted::start().await;
    let bounded = replay(
        &server.url,
        trace(&"0,,,1,answer\n".repeat(4)),
        |settings| {
            settings.max_in_flight = 1;
        },
    );
    let bounded = bounded.await;
    let sending = &bounded.sending;
    assert_eq!((sending.held_back, sending.most_in_flight), (3, 1));
    let slowest = bounded
        .records
        .iter()
        .map(|r| r.latency_ms.0)
        .fold(0.0, f64::max);
    assert!(slowest >= 4.0 * DELAY.as_secs_f64() * 1e3, "{slowest} ms");
}

#[tokio::test]
async fn a_refusal_is_asked_again_as_the_server_says() {
    let server = Scripted::start().await;
    let rows = "0,,,1,busy at first\n0,,,1,busy\n0,,,1,infeasible\n";
    let replayed = replay(&server.url, trace(rows), |settings| settings.retry = true).await;
    let tries: Vec<u32> = replayed.records.iter().map(|record| record.tries).collect();
    assert_eq!(tries, [2, 2, 1]);
    let report = Report::of(&replayed.records).unwrap();
    assert_eq!(
        (
            report.asked_again,
            report.admitted_then,
            report.all.answered
        ),
        (2, 1, 1)
    );
}

#[tokio::test]
async fn a_server_that_never_ends_is_given_up() {
    let server = Scripted::start().await;
    let replayed = replay(&server.url, trace("0,,,1,never\n"), |settings| {
        settings.patience = Duration::from_millis(30);
    });
    let replayed = replayed.await;
    assert_eq!(
        replayed.records[0].outcome,
        Outcome::Failed(Failure::TimedOut)
    );
}

#[tokio::test]
async fn nobody_there_is_a_failure_of_each_request_and_no_admission() {
    let gone = Scripted::start().await.stop().await;
    let replayed = replay(&gone, trace("0,,,1,answer\n"), |_| {}).await;
    assert_eq!(
        replayed.records[0].outcome,
        Outcome::Failed(Failure::NotConnected)
    );
    assert_eq!(Report::of(&replayed.records).unwrap().all.admitted, 0);
}

#[tokio::test]
async fn it_is_asked_first_whether_anybody_is_there_and_ready() {
    let presence = async |url: &str| {
        let clock = Arc::new(SystemClock::start());
        let server = HttpServer::new(url.parse().unwrap(), None, clock).unwrap();
        server.presence().await
    };
    let server = Scripted::start().await;
    assert_eq!(presence(&server.url).await, Presence::Ready);
    assert_eq!(
        presence(&format!("{}/warming", server.url)).await,
        Presence::NotReady
    );
    let gone = server.stop().await;
    let Presence::Absent(why) = presence(&gone).await else {
        panic!("somebody is there");
    };
    assert!(why.to_lowercase().contains("refused"), "{why}");
}
