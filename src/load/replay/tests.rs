//! The open loop against a scripted target, on a clock that the test moves.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
};

use tokio::{
    sync::{
        mpsc::{UnboundedSender, unbounded_channel},
        oneshot,
    },
    task::JoinHandle,
};

use super::*;
use crate::{
    load::{
        record::{
            Refusal,
            tests::{answered, refused},
        },
        trace::BudgetClass,
    },
    telemetry::ManualClock,
};

type Answer = oneshot::Sender<Outcome>;

/// Says which request was sent, and answers it when the test says so, or at once where there is a script.
#[derive(Debug)]
struct Scripted {
    clock: Arc<ManualClock>,
    sent: UnboundedSender<(usize, Answer)>,
    script: Mutex<HashMap<usize, VecDeque<Outcome>>>,
}

impl Target for Scripted {
    async fn ask(&self, number: usize, _arrival: &Arrival) -> Reply {
        let script = self
            .script
            .lock()
            .unwrap()
            .get_mut(&number)
            .and_then(VecDeque::pop_front);
        let outcome = if let Some(outcome) = script {
            outcome
        } else {
            let (answer, answered) = oneshot::channel();
            self.sent.send((number, answer)).unwrap();
            answered.await.unwrap()
        };
        Reply {
            finished: self.clock.now(),
            outcome,
        }
    }
}

/// A replay under way.
struct Run {
    clock: Arc<ManualClock>,
    due: UnboundedSender<usize>,
    stop: UnboundedSender<()>,
    sent: UnboundedReceiver<(usize, Answer)>,
    ended: UnboundedReceiver<Record>,
    replayed: JoinHandle<Replayed>,
}

const SETTINGS: Settings = Settings {
    start: Moment(Duration::from_secs(1)),
    patience: Duration::from_mins(1),
    retry: false,
    max_in_flight: 10,
};

/// Replays `n` requests, one every 100 ms from one second on.
fn run(n: usize, settings: Settings, script: &[(usize, &[Outcome])]) -> Run {
    let arrival = |i: usize| Arrival {
        arrival_seconds: i as f64 * 0.1,
        class: BudgetClass::default(),
        images: 1,
        prompt: "a dog".into(),
    };
    let trace = Trace::new((0..n).map(arrival).collect()).unwrap();
    let clock = Arc::new(ManualClock::default());
    clock.advance(SETTINGS.start.0);
    let script = script
        .iter()
        .map(|(number, outcomes)| (*number, outcomes.to_vec().into()));
    let (say, sent) = unbounded_channel();
    let (due, is_due) = unbounded_channel();
    let (stop, stopped) = unbounded_channel();
    let (end, ended) = unbounded_channel();
    let target = Scripted {
        clock: clock.clone(),
        sent: say,
        script: Mutex::new(script.collect()),
    };
    let replay = Replay::new(trace, target, clock.clone(), settings);
    let replayed = tokio::spawn(async move {
        let on_record = |record: &Record| drop(end.send(record.clone()));
        replay.run(is_due, stopped, on_record).await
    });
    Run {
        clock,
        due,
        stop,
        sent,
        ended,
        replayed,
    }
}

impl Run {
    fn advance(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }

    /// Says that a request is due and waits until the target has it.
    async fn send(&mut self, number: usize) -> Answer {
        self.due.send(number).unwrap();
        self.sent().await
    }

    /// Waits until the target has one more request.
    async fn sent(&mut self) -> Answer {
        self.sent.recv().await.unwrap().1
    }

    /// Waits until a request has ended.
    async fn ended(&mut self) -> Record {
        self.ended.recv().await.unwrap()
    }

    /// Has no more due, and waits for the end.
    async fn finish(self) -> Replayed {
        drop(self.due);
        self.replayed.await.unwrap()
    }
}

fn latencies(replayed: &Replayed) -> Vec<f64> {
    let records = replayed.records.iter();
    records.map(|record| record.latency_ms.0).collect()
}

fn later(ms: u64) -> Outcome {
    Outcome::Refused(Refusal {
        status: 429,
        code: "overloaded".into(),
        retry_after_ms: Some(ms),
    })
}

#[tokio::test]
async fn a_server_that_stalls_does_not_slow_its_users_down() {
    let mut run = run(3, SETTINGS, &[]);
    let stalled = run.send(0).await;
    run.advance(100);
    let second = run.send(1).await;
    run.advance(100);
    let third = run.send(2).await;
    third.send(answered(None)).unwrap();
    run.ended().await;
    run.advance(500);
    second.send(answered(None)).unwrap();
    stalled.send(answered(None)).unwrap();
    let replayed = run.finish().await;
    assert_eq!(latencies(&replayed), [700.0, 600.0, 0.0]);
    assert_eq!(replayed.sending.most_in_flight, 3);
    assert_eq!(replayed.sending.late_ms.unwrap().max, 0.0);
}

#[tokio::test]
async fn a_generator_that_stalls_says_so_and_its_delay_counts() {
    let mut run = run(2, SETTINGS, &[]);
    run.advance(30);
    let first = run.send(0).await;
    run.advance(10);
    first.send(answered(None)).unwrap();
    run.ended().await;
    run.advance(60);
    run.send(1).await.send(answered(None)).unwrap();
    let replayed = run.finish().await;
    assert_eq!(replayed.sent_late_ms, [30.0, 0.0]);
    assert_eq!(
        latencies(&replayed),
        [40.0, 0.0],
        "from the intended moments"
    );
    let late = replayed.sending.late_ms.unwrap();
    assert_eq!((late.p50, late.max), (0.0, 30.0));
}

#[tokio::test]
async fn requests_beyond_the_bound_wait_while_their_clocks_run() {
    let settings = Settings {
        max_in_flight: 1,
        ..SETTINGS
    };
    let mut run = run(2, settings, &[]);
    let first = run.send(0).await;
    run.advance(100);
    run.due.send(1).unwrap();
    // The second one is taken in, and does not reach the target.
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    assert!(run.sent.try_recv().is_err());
    run.advance(200);
    first.send(answered(None)).unwrap();
    run.sent().await.send(answered(None)).unwrap();
    let replayed = run.finish().await;
    assert_eq!(replayed.sent_late_ms, [0.0, 200.0]);
    assert_eq!(latencies(&replayed), [300.0, 200.0]);
    let sending = replayed.sending;
    assert_eq!(
        (
            sending.held_back,
            sending.most_in_flight,
            sending.max_in_flight
        ),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn a_refusal_is_asked_again_once_if_that_is_wanted_and_it_says_when() {
    let retry = Settings {
        retry: true,
        ..SETTINGS
    };
    let script: [(usize, &[Outcome]); 3] = [
        (0, &[later(1), answered(Some(0.5))]),
        (1, &[later(1), later(1)]),
        (2, &[refused(422, "budget_infeasible")]),
    ];
    for (settings, tries, n_answered) in [(retry, [2, 2, 1], 1), (SETTINGS, [1, 1, 1], 0)] {
        let run = run(3, settings, &script);
        (0..3).for_each(|number| run.due.send(number).unwrap());
        let records = run.finish().await.records;
        let tried: Vec<u32> = records.iter().map(|record| record.tries).collect();
        assert_eq!(tried, tries);
        let answers = records.iter().filter(|record| record.answer().is_some());
        assert_eq!(answers.count(), n_answered);
    }
}

#[tokio::test]
async fn a_reply_that_never_ends_is_given_up() {
    let settings = Settings {
        patience: Duration::from_millis(5),
        ..SETTINGS
    };
    let mut run = run(1, settings, &[]);
    let _never = run.send(0).await;
    let replayed = run.finish().await;
    assert_eq!(
        replayed.records[0].outcome,
        Outcome::Failed(Failure::TimedOut)
    );
}

#[tokio::test]
async fn told_to_stop_it_waits_for_what_is_under_way_and_told_again_it_does_not() {
    for impatient in [false, true] {
        let mut run = run(5, SETTINGS, &[(0, &[answered(None)])]);
        run.due.send(0).unwrap();
        run.ended().await;
        let under_way = run.send(1).await;
        run.stop.send(()).unwrap();
        if impatient {
            run.stop.send(()).unwrap();
        } else {
            under_way.send(answered(None)).unwrap();
        }
        let replayed = run.replayed.await.unwrap();
        let sending = &replayed.sending;
        assert_eq!(sending.unsent, 3);
        assert_eq!(sending.abandoned, usize::from(impatient));
        assert_eq!(replayed.records.len(), 2 - usize::from(impatient));
    }
}
