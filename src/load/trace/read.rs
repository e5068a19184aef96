//! What is wrong with a file of requests? Everything at once, with line numbers.

use csv::{Position, ReaderBuilder, StringRecord};

use super::{Arrival, BudgetClass, Fault, HEADER, TraceError};
use crate::units::Millis;

/// Reads every row, or tells every fault.
pub(super) fn parse(text: &str) -> Result<Vec<Arrival>, TraceError> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let (mut arrivals, mut faults) = (Vec::new(), Vec::new());
    let (mut latest, mut is_header) = (0.0, true);
    for row in reader.records() {
        // Text of one encoding and rows of any length: there is nothing that the reader could refuse.
        let row = row.expect("text in memory is read");
        let mut found = Vec::new();
        if is_header {
            is_header = false;
            found.extend(header_fault(&row));
        } else {
            let arrival = arrival(&row, latest, &mut found);
            arrivals.extend(arrival.inspect(|arrival| latest = arrival.arrival_seconds));
        }
        let line = || row.position().map_or(0, |position| line_of(text, position));
        faults.extend(found.into_iter().map(|message| Fault {
            line: line(),
            message,
        }));
    }
    if faults.is_empty() && arrivals.is_empty() {
        faults.push(Fault {
            line: 1,
            message: format!(
                "there are no requests; write {:?} and below it one row for each",
                HEADER.join(",")
            ),
        });
    }
    if faults.is_empty() {
        Ok(arrivals)
    } else {
        Err(TraceError(faults))
    }
}

/// The reader's own line is where it went on reading, which may be an empty line above.
fn line_of(text: &str, position: &Position) -> u64 {
    let (before, after) = text.split_at(position.byte() as usize);
    let row = after.trim_start_matches(['\n', '\r']);
    let newlines = |text: &str| text.bytes().filter(|byte| *byte == b'\n').count() as u64;
    1 + newlines(before) + newlines(&after[..after.len() - row.len()])
}

fn header_fault(row: &StringRecord) -> Option<String> {
    let found: Vec<&str> = row.iter().collect();
    (found != HEADER).then(|| {
        format!(
            "the file must begin with {:?}, not with {:?}",
            HEADER.join(","),
            found.join(",")
        )
    })
}

/// Reads one row; what is wrong with it goes to `faults`.
fn arrival(row: &StringRecord, latest: f64, faults: &mut Vec<String>) -> Option<Arrival> {
    let cells: Vec<&str> = row.iter().collect();
    let &[at, latency, tflops, images, prompt] = cells.as_slice() else {
        faults.push(format!(
            "{} columns where {} belong; put a prompt that holds commas in quotes",
            cells.len(),
            HEADER.len()
        ));
        return None;
    };
    let at = keep(arrival_seconds(at, latest), faults);
    let latency = keep(limit(latency, "latency_ms", "milliseconds"), faults);
    let tflops = keep(limit(tflops, "tflops", "10^12 operations"), faults);
    let images = keep(count(images), faults);
    let prompt = if prompt.trim().is_empty() {
        keep(
            Err("the prompt is empty; write what to draw".into()),
            faults,
        )
    } else {
        Some(prompt.to_owned())
    };
    Some(Arrival {
        arrival_seconds: at?,
        class: BudgetClass {
            latency_ms: latency?.map(Millis),
            tflops: tflops?,
        },
        images: images?,
        prompt: prompt?,
    })
}

fn keep<T>(read: Result<T, String>, faults: &mut Vec<String>) -> Option<T> {
    read.map_err(|fault| faults.push(fault)).ok()
}

fn arrival_seconds(text: &str, latest: f64) -> Result<f64, String> {
    let seconds = text.trim().parse().unwrap_or(f64::NAN);
    if !(0.0..f64::INFINITY).contains(&seconds) {
        Err(format!(
            "arrival_seconds {text:?} must be a number of seconds, 0 or more"
        ))
    } else if seconds < latest {
        Err(format!(
            "arrival_seconds {text} is before {latest} above it; sort the rows by their arrival"
        ))
    } else {
        Ok(seconds)
    }
}

fn limit(text: &str, column: &str, unit: &str) -> Result<Option<f64>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let limit: Option<f64> = text.parse().ok();
    let limit = limit.filter(|limit| limit.is_finite() && *limit > 0.0);
    limit.map(Some).ok_or_else(|| {
        format!("{column} {text:?} must be a number of {unit} above 0, or empty for no limit")
    })
}

fn count(text: &str) -> Result<u32, String> {
    let count: Option<u32> = text.trim().parse().ok();
    count
        .filter(|count| *count > 0)
        .ok_or_else(|| format!("images {text:?} must be a whole number from 1"))
}
