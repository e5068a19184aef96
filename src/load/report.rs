//! What did users get? Shares of what was *offered*, so that refusing hard work cannot make a server look good.
//!
//! - **attainment**: the share of offered requests whose pictures came within their own budget; refused, failed and
//!   late ones are misses.
//! - **goodput**: attained requests a second, from the start to the last picture.
//! - **score at budget**: the mean predicted score over offered requests, zero for every miss, and for pictures whose
//!   score nobody knows (`unscored` counts those).
//! - **utilization**: what answered requests spent of what they granted, on average.
//!
//! Pure: a server and a simulation of it fill the same records.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    record::{Outcome, Record},
    trace::BudgetClass,
};

mod statistics;

pub use statistics::{Figure, Quantiles};
use statistics::{figure, mean};

/// A trace with more different budgets than this is not reported budget by budget.
pub const MAX_CLASSES: usize = 24;

/// What users got.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Seconds from the start to the last arrival or picture, whichever was later.
    pub seconds: f64,
    /// Requests a second until the last arrival; none if all came at once.
    pub offered_per_second: Option<f64>,
    /// Attained requests a second.
    pub goodput_per_second: Figure,
    /// All requests.
    #[serde(flatten)]
    pub all: Group,
    /// Refusals by status and code, as in `429 overloaded`.
    pub refusals: BTreeMap<String, usize>,
    /// Failures by name.
    pub failures: BTreeMap<&'static str, usize>,
    /// Answers by model, where the server tells.
    pub models: BTreeMap<String, usize>,
    /// Requests that were refused and asked again.
    pub asked_again: usize,
    /// Those of them that were admitted then: how true `Retry-After` was.
    pub admitted_then: usize,
    /// The requests of each budget, the tightest first; empty if there are more than [`MAX_CLASSES`].
    pub classes: Vec<ClassReport>,
}

/// What users with one budget got.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassReport {
    /// The budget.
    pub budget: BudgetClass,
    /// Its requests.
    #[serde(flatten)]
    pub group: Group,
}

/// What some users got.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// Requests.
    pub offered: usize,
    /// Those that the server took on.
    pub admitted: usize,
    /// Those whose pictures all came.
    pub answered: usize,
    /// Those whose pictures came within their budget.
    pub attained: usize,
    /// Attained over offered.
    pub attainment: Figure,
    /// Attained over admitted; none if nothing was admitted.
    pub attainment_of_admitted: Option<Figure>,
    /// Mean score over offered requests; a miss scores zero.
    pub score_at_budget: Figure,
    /// Mean score over attained requests whose score is known.
    pub score_of_attained: Option<f64>,
    /// Attained requests whose score nobody knows.
    pub unscored: usize,
    /// Mean of time taken over `latency_ms`, over answered requests that granted it.
    pub latency_utilization: Option<f64>,
    /// Mean of operations that ran over `tflops`, over answered requests that granted it.
    pub tflops_utilization: Option<f64>,
    /// How long answers took, in milliseconds.
    pub latency_ms: Option<Quantiles>,
    /// Answers with a picture that was cut short.
    pub degraded: usize,
    /// Answers that the server itself calls late.
    pub late: usize,
}

impl Report {
    /// Sums records up, in whatever order they are; none if there are none.
    pub fn of(records: &[Record]) -> Option<Self> {
        let mut records: Vec<&Record> = records.iter().collect();
        records.sort_by(|a, b| a.arrival_seconds.total_cmp(&b.arrival_seconds));
        let last = records.last()?.arrival_seconds;
        let seconds = end(&records).max(last);
        let all = Group::of(&records)?;
        let again: Vec<&&Record> = records.iter().filter(|record| record.tries > 1).collect();
        Some(Self {
            seconds,
            offered_per_second: (last > 0.0).then(|| records.len() as f64 / last),
            goodput_per_second: if seconds > 0.0 {
                all.attainment.times(records.len() as f64 / seconds)
            } else {
                Figure::ZERO
            },
            all,
            refusals: count(&records, refusal),
            failures: count(&records, failure),
            models: count(&records, |record| record.answer()?.model.clone()),
            asked_again: again.len(),
            admitted_then: again.iter().filter(|record| record.is_admitted()).count(),
            classes: classes(&records),
        })
    }
}

/// When the last picture came, in seconds.
fn end(records: &[&Record]) -> f64 {
    let answered = records.iter().filter(|record| record.answer().is_some());
    let ends = answered.map(|record| record.arrival_seconds + record.latency_ms.0 / 1e3);
    ends.fold(0.0, f64::max)
}

fn refusal(record: &Record) -> Option<String> {
    match &record.outcome {
        Outcome::Refused(refusal) => Some(format!("{} {}", refusal.status, refusal.code)),
        _ => None,
    }
}

fn failure(record: &Record) -> Option<&'static str> {
    match &record.outcome {
        Outcome::Failed(failure) => Some(failure.name()),
        _ => None,
    }
}

fn count<K: Ord>(records: &[&Record], key: impl Fn(&Record) -> Option<K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for key in records.iter().filter_map(|record| key(record)) {
        *counts.entry(key).or_default() += 1;
    }
    counts
}

/// Groups by budget. A budget without limit comes after every one that has it.
fn classes(records: &[&Record]) -> Vec<ClassReport> {
    let mut found: Vec<(BudgetClass, Vec<&Record>)> = Vec::new();
    for record in records {
        match found.iter().position(|(class, _)| *class == record.class) {
            Some(known) => found[known].1.push(record),
            None if found.len() == MAX_CLASSES => return Vec::new(),
            None => found.push((record.class, vec![record])),
        }
    }
    let key = |class: BudgetClass| {
        let latency = class.latency_ms.map_or(f64::INFINITY, |limit| limit.0);
        (latency, class.tflops.unwrap_or(f64::INFINITY))
    };
    found.sort_by(|(a, _), (b, _)| {
        let ((a_ms, a_tflops), (b_ms, b_tflops)) = (key(*a), key(*b));
        a_ms.total_cmp(&b_ms).then(a_tflops.total_cmp(&b_tflops))
    });
    let report = |(budget, group): (BudgetClass, Vec<&Record>)| {
        let group = Group::of(&group)?;
        Some(ClassReport { budget, group })
    };
    found.into_iter().filter_map(report).collect()
}

impl Group {
    /// Sums up records in order of arrival; none if there are none.
    fn of(records: &[&Record]) -> Option<Self> {
        let number = |holds: fn(&Record) -> bool| records.iter().filter(|r| holds(r)).count();
        let one = |holds: bool| f64::from(u8::from(holds));
        let attained = |record: &Record| one(record.is_attained());
        let scores = records.iter().filter_map(|record| score(record));
        let latencies = records.iter().filter(|record| record.answer().is_some());
        Some(Self {
            offered: records.len(),
            admitted: number(Record::is_admitted),
            answered: number(|record| record.answer().is_some()),
            attained: number(Record::is_attained),
            attainment: figure(records, attained, |_| 1.0)?,
            attainment_of_admitted: figure(records, attained, |record| one(record.is_admitted())),
            score_at_budget: figure(records, |record| score(record).unwrap_or(0.0), |_| 1.0)?,
            score_of_attained: mean(scores),
            unscored: number(|record| record.is_attained() && score(record).is_none()),
            latency_utilization: mean(records.iter().filter_map(|record| latency_spent(record))),
            tflops_utilization: mean(records.iter().filter_map(|record| tflops_spent(record))),
            latency_ms: Quantiles::of(latencies.map(|record| record.latency_ms.0).collect()),
            degraded: number(|record| record.answer().is_some_and(|answer| answer.degraded)),
            late: number(|record| record.answer().is_some_and(|answer| answer.late)),
        })
    }
}

/// The known score of an attained request.
fn score(record: &Record) -> Option<f64> {
    let answer = record.answer().filter(|_| record.is_attained())?;
    answer.score
}

fn latency_spent(record: &Record) -> Option<f64> {
    record.answer()?;
    Some(record.latency_ms.0 / record.class.latency_ms?.0)
}

fn tflops_spent(record: &Record) -> Option<f64> {
    Some(record.answer()?.tflops? / record.class.tflops?)
}

#[cfg(test)]
mod tests;
