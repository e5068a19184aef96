//! How well could anybody do? A policy that knows every request in advance and what everything takes, and so an upper
//! bound that no server reaches.
//!
//! Nobody has anything at first. Then time is given where it raises the score the most for what it costs, to those
//! who have nothing and to those who could have better, for as long as earliest-deadline-first, which is optimal on
//! one device, still has everybody in time. Several devices count as one that is so many times as fast. Greedy, and
//! so not quite the optimum.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{Setup, strategy::Ask};
use crate::{
    load::{
        record::{Answer, Outcome, Record, Refusal},
        trace::{Arrival, Trace},
    },
    planner::Cost,
    runtime::{Binding, MenuBinder},
    units::{Flops, Millis, Moment},
};

/// A request with everything that it could be given.
struct Task {
    released: f64,
    due: f64,
    /// Work and score of every plan within its budget, both rising.
    choices: Vec<Choice>,
    /// Nothing yet, or for good.
    chosen: Option<usize>,
}

#[derive(Debug, Clone)]
struct Choice {
    ms: f64,
    score: f64,
    binding: Binding,
}

/// A record for each request, in order of arrival.
pub fn run(setup: &Setup, trace: &Trace) -> Vec<Record> {
    let mut tasks: Vec<Task> = trace
        .arrivals()
        .iter()
        .map(|arrival| Task::new(setup, arrival))
        .collect();
    spend(&mut tasks);
    let ends = ends(&tasks);
    let pairs = trace.arrivals().iter().zip(tasks.iter().zip(ends));
    pairs
        .map(|(arrival, (task, end))| record(arrival, task, end))
        .collect()
}

impl Task {
    fn new(setup: &Setup, arrival: &Arrival) -> Self {
        let ask = Ask {
            arrival,
            arrived: Moment(arrival.at()),
            family: &setup.family,
        };
        let choices = choices(setup, &ask);
        let released = arrival.arrival_seconds * 1e3;
        let limit = arrival.class.latency_ms.unwrap_or(Millis(30_000.0));
        let encode = choices.first().map_or(0.0, |choice| {
            choice.binding.timetable.encode.0 * f64::from(arrival.images)
        });
        Self {
            released,
            due: released + limit.0 - encode,
            choices,
            chosen: None,
        }
    }

    fn choice(&self) -> Option<&Choice> {
        self.chosen.map(|place| &self.choices[place])
    }

    fn ms(&self) -> f64 {
        self.choice().map_or(0.0, |choice| choice.ms)
    }

    /// Score for each millisecond of the better choice that is most worth it.
    fn gain(&self) -> Option<(f64, usize)> {
        let (ms, score) = self.choice().map_or((0.0, 0.0), |now| (now.ms, now.score));
        let first = self.chosen.map_or(0, |place| place + 1);
        let better = self.choices.iter().enumerate().skip(first);
        let gains =
            better.map(|(place, next)| ((next.score - score) / (next.ms - ms).max(1e-9), place));
        gains
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(gain, _)| *gain > 0.0)
    }
}

fn choices(setup: &Setup, ask: &Ask<'_>) -> Vec<Choice> {
    let request = super::strategy::request(ask);
    let binder = MenuBinder::new(setup.menus.clone(), request.clone());
    let forecast = setup.latency.behind(Millis::ZERO);
    let speed = forecast.expected(Millis(1.0)).0 / setup.devices.max(1) as f64;
    let Ok(entries) = setup
        .menus
        .frontier(&request, &setup.latency, Cost::Latency)
    else {
        return Vec::new();
    };
    let n_images = ask.arrival.images;
    let mut choices: Vec<Choice> = Vec::new();
    for decision in entries {
        let limit = request.budget.flops.map_or(f64::INFINITY, Flops::tflops);
        let Some(score) = decision
            .estimate
            .score
            .filter(|_| decision.estimate.tflops <= limit)
        else {
            continue;
        };
        let binding = binder.bind(decision, &setup.latency);
        let ms = binding.timetable.device(n_images).0 * speed;
        if choices.last().is_none_or(|last| score.mean > last.score) {
            choices.push(Choice {
                ms,
                score: score.mean,
                binding,
            });
        }
    }
    choices
}

/// When each task is done under preemptive earliest-deadline-first; nothing of one that is given up.
fn ends(tasks: &[Task]) -> Vec<f64> {
    let mut ends = vec![0.0; tasks.len()];
    let mut ready: BinaryHeap<Reverse<(OrderedMs, usize)>> = BinaryHeap::new();
    let mut left: Vec<f64> = tasks.iter().map(Task::ms).collect();
    let mut now = 0.0_f64;
    let mut next = 0;
    while next < tasks.len() || !ready.is_empty() {
        if ready.is_empty() {
            now = now.max(tasks[next].released);
        }
        while next < tasks.len() && tasks[next].released <= now {
            if tasks[next].chosen.is_some() {
                ready.push(Reverse((OrderedMs(tasks[next].due), next)));
            }
            next += 1;
        }
        let Some(Reverse((_, idx))) = ready.peek().copied() else {
            continue;
        };
        let arrives = tasks.get(next).map_or(f64::INFINITY, |task| task.released);
        let until = (now + left[idx]).min(arrives);
        left[idx] -= until - now;
        now = until;
        if left[idx] <= 1e-9 {
            ends[idx] = now;
            ready.pop();
        }
    }
    ends
}

/// Milliseconds with an order.
#[derive(Debug, Clone, Copy, PartialEq)]
struct OrderedMs(f64);

impl Eq for OrderedMs {}

impl PartialOrd for OrderedMs {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OrderedMs {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

fn somebody_is_late(tasks: &[Task]) -> bool {
    let ends = ends(tasks);
    let is_late = |idx: usize| tasks[idx].chosen.is_some() && ends[idx] > tasks[idx].due + 1e-6;
    (0..tasks.len()).any(is_late)
}

fn spend(tasks: &mut [Task]) {
    let mut closed = vec![false; tasks.len()];
    loop {
        let open = (0..tasks.len()).filter(|&idx| !closed[idx]);
        let gains = open.filter_map(|idx| Some((tasks[idx].gain()?, idx)));
        let Some(((_, place), idx)) = gains.max_by(|a, b| a.0.0.total_cmp(&b.0.0)) else {
            return;
        };
        let before = tasks[idx].chosen.replace(place);
        if somebody_is_late(tasks) {
            tasks[idx].chosen = before;
            closed[idx] = true;
        }
    }
}

fn record(arrival: &Arrival, task: &Task, end: f64) -> Record {
    let outcome = match task.choice() {
        None => Outcome::Refused(Refusal {
            status: 429,
            code: "overloaded".to_owned(),
            retry_after_ms: None,
        }),
        Some(choice) => {
            let plan = choice.binding.plan();
            Outcome::Answered(Answer {
                score: Some(choice.score),
                tflops: Some(choice.binding.decision.estimate.tflops),
                model: Some(plan.model.0.clone()),
                steps_run: Some(plan.steps),
                ..Answer::default()
            })
        }
    };
    let encode = task.choices.first().map_or(0.0, |choice| {
        choice.binding.timetable.encode.0 * f64::from(arrival.images)
    });
    let took = if task.chosen.is_none() {
        0.0
    } else {
        end - task.released + encode
    };
    Record {
        arrival_seconds: arrival.arrival_seconds,
        class: arrival.class,
        images: arrival.images,
        latency_ms: Millis(took),
        tries: 1,
        outcome,
    }
}
