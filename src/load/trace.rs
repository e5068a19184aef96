//! Who asks for what, and when? One request a row: `arrival_seconds,latency_ms,tflops,images,prompt`.
//!
//! CSV with that header. `arrival_seconds` counts from the start of the trace and never falls; an empty `latency_ms`
//! or `tflops` is no such limit; a prompt with commas, quotes or line breaks stands in quotes.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::units::Millis;

mod read;

/// The columns.
pub const HEADER: [&str; 5] = [
    "arrival_seconds",
    "latency_ms",
    "tflops",
    "images",
    "prompt",
];

/// What counts as bursty is how unequal the counts of such spans are.
const MINUTE: f64 = 60.0;

/// Requests in the order in which they arrive; at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace(Vec<Arrival>);

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// Seconds since the start of the trace: finite, not negative.
    pub arrival_seconds: f64,
    /// What the request grants.
    pub class: BudgetClass,
    /// Pictures, at least one.
    pub images: u32,
    /// What to draw; not empty.
    pub prompt: String,
}

/// The limits that a request sets; requests with the same ones are compared with each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct BudgetClass {
    /// From the intended time to the last byte; above zero.
    pub latency_ms: Option<Millis>,
    /// 10^12 operations of the whole request; above zero.
    pub tflops: Option<f64>,
}

/// Every fault of a trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", listed(.0))]
pub struct TraceError(pub Vec<Fault>);

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line of the file that the row starts at, from 1.
    pub line: u64,
    /// What was found and what would do.
    pub message: String,
}

/// More would scroll the first one off the screen.
const FAULTS_SHOWN: usize = 20;

fn listed(faults: &[Fault]) -> String {
    let shown = faults.iter().take(FAULTS_SHOWN);
    let mut lines: Vec<String> = shown
        .map(|fault| format!("line {}: {}", fault.line, fault.message))
        .collect();
    if faults.len() > FAULTS_SHOWN {
        lines.push(format!("and {} more", faults.len() - FAULTS_SHOWN));
    }
    lines.join("\n")
}

impl Trace {
    /// Reads a file's text, or tells every fault in it.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        read::parse(text).map(Self)
    }

    /// Puts requests in order; none if there are none.
    ///
    /// Their fields are the caller's to keep in range.
    pub fn new(mut arrivals: Vec<Arrival>) -> Option<Self> {
        arrivals.sort_by(|a, b| a.arrival_seconds.total_cmp(&b.arrival_seconds));
        (!arrivals.is_empty()).then_some(Self(arrivals))
    }

    /// The requests, first come first.
    pub fn arrivals(&self) -> &[Arrival] {
        &self.0
    }

    /// Changes every request alike; their order must stay.
    pub(super) fn map(&self, change: impl Fn(&Arrival) -> Arrival) -> Self {
        Self(self.0.iter().map(change).collect())
    }

    /// Seconds from the start to the last arrival.
    pub fn seconds(&self) -> f64 {
        self.0.last().map_or(0.0, |last| last.arrival_seconds)
    }

    /// Returns the file's text; [`Self::parse`] gives the same trace back.
    pub fn to_csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut write = |row: [&str; 5]| {
            let written = writer.write_record(row);
            written.expect("memory takes rows of five fields");
        };
        write(HEADER);
        for arrival in &self.0 {
            let class = arrival.class;
            write([
                &arrival.arrival_seconds.to_string(),
                &cell(class.latency_ms.map(|limit| limit.0)),
                &cell(class.tflops),
                &arrival.images.to_string(),
                &arrival.prompt,
            ]);
        }
        let bytes = writer.into_inner().expect("memory can be flushed");
        String::from_utf8(bytes).expect("what was written is text")
    }

    /// Returns how bursty the trace is: the variance of the requests of each whole minute over their mean. 1 for
    /// Poisson arrivals, none for traces of less than two minutes.
    pub fn variance_to_mean(&self) -> Option<f64> {
        let n_minutes = (self.seconds() / MINUTE).floor() as usize;
        let mut counts = vec![0.0; n_minutes];
        for arrival in &self.0 {
            if let Some(count) = counts.get_mut((arrival.arrival_seconds / MINUTE) as usize) {
                *count += 1.0;
            }
        }
        let n = n_minutes as f64;
        let mean = counts.iter().sum::<f64>() / n;
        let squares: f64 = counts.iter().map(|count| (count - mean).powi(2)).sum();
        (n_minutes >= 2).then(|| squares / (n - 1.0) / mean)
    }
}

fn cell(limit: Option<f64>) -> String {
    limit.map_or_else(String::new, |limit| limit.to_string())
}

impl Arrival {
    /// When it arrives, counted from the start of the trace.
    pub fn at(&self) -> Duration {
        Duration::try_from_secs_f64(self.arrival_seconds).unwrap_or(Duration::MAX)
    }
}

/// For people, as in `120 ms, 0.004 TFLOP`.
impl fmt::Display for BudgetClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.latency_ms.map(|limit| format!("{} ms", limit.0));
        let work = self.tflops.map(|limit| format!("{limit} TFLOP"));
        let limits: Vec<String> = time.into_iter().chain(work).collect();
        if limits.is_empty() {
            f.pad("no limit")
        } else {
            f.pad(&limits.join(", "))
        }
    }
}

#[cfg(test)]
mod tests;
