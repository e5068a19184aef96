//! How does a trace meet a server? Open loop: every request is sent when the trace says so, whatever became of the
//! others, and its latency counts from that *intended* moment. A server that stalls cannot slow its users down, nor can
//! a generator that stalls hide it ("coordinated omission").

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::{
    sync::{Semaphore, mpsc::UnboundedReceiver},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    record::{Failure, Outcome, Record},
    report::Quantiles,
    trace::{Arrival, Trace},
};
use crate::{
    telemetry::Clock,
    units::{Millis, Moment},
};

/// Whoever answers requests.
pub trait Target: Send + Sync + 'static {
    /// Sends request `number` of the trace and waits for the last byte of its end.
    fn ask(&self, number: usize, arrival: &Arrival) -> impl Future<Output = Reply> + Send;
}

/// How one try ended, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// When its last byte was there.
    pub finished: Moment,
    /// How it ended.
    pub outcome: Outcome,
}

/// How to replay.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Moment zero of the trace.
    pub start: Moment,
    /// How long to wait for the end of one try.
    pub patience: Duration,
    /// Whether a refusal that says when is asked again, once, the same.
    pub retry: bool,
    /// Requests beyond so many at once wait for one to end; their clocks run.
    pub max_in_flight: usize,
}

/// What came of it.
#[derive(Debug)]
pub struct Replayed {
    /// The requests that ended, in the order of the trace.
    pub records: Vec<Record>,
    /// For each of them how much later than intended it was first sent, in milliseconds.
    pub sent_late_ms: Vec<f64>,
    /// How the generator itself did.
    pub sending: Sending,
}

/// How the generator did: what a report can be trusted with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sending {
    /// How much later than intended requests were sent.
    pub late_ms: Option<Quantiles>,
    /// Most requests that were under way at once.
    pub most_in_flight: usize,
    /// The bound on them.
    pub max_in_flight: usize,
    /// Requests that had to wait because of the bound.
    pub held_back: usize,
    /// Requests that were not sent, since it was told to stop.
    pub unsent: usize,
    /// Requests that were sent and whose end was not waited for, since it was told so twice.
    pub abandoned: usize,
}

/// A trace on its way to a target.
#[derive(Debug)]
pub struct Replay<T> {
    trace: Trace,
    target: T,
    clock: Arc<dyn Clock>,
    settings: Settings,
    room: Semaphore,
    most_in_flight: AtomicUsize,
}

/// One try that ended.
struct Tried {
    sent: Moment,
    was_held_back: bool,
    reply: Reply,
}

/// A request that ended.
struct Done {
    number: usize,
    record: Record,
    sent_late: Duration,
    was_held_back: bool,
}

impl<T: Target> Replay<T> {
    /// Prepares to send `trace` to `target`; `clock` is the one that the target tells the end of replies by.
    pub fn new(trace: Trace, target: T, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self {
            trace,
            target,
            clock,
            settings,
            room: Semaphore::new(settings.max_in_flight),
            most_in_flight: AtomicUsize::new(0),
        }
    }

    /// Sends request i as soon as `due` says i. Ends when `due` is closed and every request has ended.
    ///
    /// A message on `stop` ends the sending, and what is under way is waited for; the next one ends that too.
    /// `on_record` is called whenever a request ends.
    pub async fn run(
        self,
        mut due: UnboundedReceiver<usize>,
        mut stop: UnboundedReceiver<()>,
        mut on_record: impl FnMut(&Record),
    ) -> Replayed {
        let replay = Arc::new(self);
        let (mut errands, mut done) = (JoinSet::new(), Vec::new());
        let (mut n_sent, mut is_sending, mut may_be_stopped) = (0, true, true);
        while is_sending || !errands.is_empty() {
            tokio::select! {
                biased;
                told = stop.recv(), if may_be_stopped => match told {
                    Some(()) if is_sending => is_sending = false,
                    Some(()) => break,
                    None => may_be_stopped = false,
                },
                number = due.recv(), if is_sending => match number {
                    Some(number) => {
                        n_sent += 1;
                        errands.spawn(Arc::clone(&replay).errand(number));
                    }
                    None => is_sending = false,
                },
                Some(ended) = errands.join_next(), if !errands.is_empty() => {
                    // One that panicked counts as abandoned.
                    done.extend(ended.inspect(|done: &Done| on_record(&done.record)));
                }
            }
        }
        replay.sum_up(n_sent, done)
    }

    fn sum_up(&self, n_sent: usize, mut done: Vec<Done>) -> Replayed {
        done.sort_by_key(|done| done.number);
        let sent_late = done.iter().map(|done| Millis::from(done.sent_late).0);
        let sent_late_ms: Vec<f64> = sent_late.collect();
        let sending = Sending {
            late_ms: Quantiles::of(sent_late_ms.clone()),
            most_in_flight: self.most_in_flight.load(Ordering::Relaxed),
            max_in_flight: self.settings.max_in_flight,
            held_back: done.iter().filter(|done| done.was_held_back).count(),
            unsent: self.trace.arrivals().len().saturating_sub(n_sent),
            abandoned: n_sent - done.len(),
        };
        Replayed {
            records: done.into_iter().map(|done| done.record).collect(),
            sent_late_ms,
            sending,
        }
    }

    /// Sends one request, twice where that is wanted, and measures from the intended moment.
    async fn errand(self: Arc<Self>, number: usize) -> Done {
        let arrival = &self.trace.arrivals()[number];
        let intended = Moment(self.settings.start.0.saturating_add(arrival.at()));
        let first = self.attempt(number, arrival).await;
        let (mut reply, mut tries) = (first.reply, 1);
        if self.settings.retry
            && let Some(wait) = worth_asking_after(&reply.outcome)
        {
            sleep(wait).await;
            reply = self.attempt(number, arrival).await.reply;
            tries = 2;
        }
        Done {
            number,
            sent_late: first.sent.since(intended),
            was_held_back: first.was_held_back,
            record: Record {
                arrival_seconds: arrival.arrival_seconds,
                class: arrival.class,
                images: arrival.images,
                latency_ms: reply.finished.since(intended).into(),
                tries,
                outcome: reply.outcome,
            },
        }
    }

    async fn attempt(&self, number: usize, arrival: &Arrival) -> Tried {
        let (_permit, was_held_back) = match self.room.try_acquire() {
            Ok(permit) => (Some(permit), false),
            Err(_full) => (self.room.acquire().await.ok(), true),
        };
        let in_flight = self.settings.max_in_flight - self.room.available_permits();
        self.most_in_flight.fetch_max(in_flight, Ordering::Relaxed);
        let sent = self.clock.now();
        let asking = self.target.ask(number, arrival);
        let reply = timeout(self.settings.patience, asking).await;
        let reply = reply.unwrap_or_else(|_elapsed| Reply {
            finished: self.clock.now(),
            outcome: Outcome::Failed(Failure::TimedOut),
        });
        Tried {
            sent,
            was_held_back,
            reply,
        }
    }
}

fn worth_asking_after(outcome: &Outcome) -> Option<Duration> {
    match outcome {
        Outcome::Refused(refusal) => refusal.retry_after_ms.map(Duration::from_millis),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
