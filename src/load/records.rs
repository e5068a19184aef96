//! What became of every request, one a row, for tools that want to look closer than a report does.

use super::record::{Outcome, Record};

/// The columns.
const HEADER: [&str; 19] = [
    "arrival_seconds",
    "budget_latency_ms",
    "budget_tflops",
    "images",
    "outcome",
    "attained",
    "latency_ms",
    "server_ms",
    "tflops",
    "score",
    "model",
    "steps_run",
    "degraded",
    "late",
    "status",
    "code",
    "retry_after_ms",
    "tries",
    "sent_late_ms",
];

/// Returns records as CSV; `sent_late_ms` has for each how much later than intended it was sent, if that is known.
pub fn to_csv(records: &[Record], sent_late_ms: &[f64]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut write = |row: &[String]| {
        let written = writer.write_record(row);
        written.expect("memory takes rows of equal length");
    };
    write(&HEADER.map(str::to_owned));
    for (i, record) in records.iter().enumerate() {
        write(&row(record, sent_late_ms.get(i).copied()));
    }
    let bytes = writer.into_inner().expect("memory can be flushed");
    String::from_utf8(bytes).expect("what was written is text")
}

fn row(record: &Record, sent_late_ms: Option<f64>) -> [String; 19] {
    let answer = record.answer();
    let (outcome, status, code, retry_after_ms) = match &record.outcome {
        Outcome::Answered(_) => ("answered", None, None, None),
        Outcome::Refused(refusal) => (
            "refused",
            Some(refusal.status),
            Some(refusal.code.as_str()),
            refusal.retry_after_ms,
        ),
        Outcome::Failed(failure) => ("failed", None, Some(failure.name()), None),
    };
    [
        record.arrival_seconds.to_string(),
        cell(record.class.latency_ms.map(|limit| limit.0)),
        cell(record.class.tflops),
        record.images.to_string(),
        outcome.to_owned(),
        record.is_attained().to_string(),
        record.latency_ms.0.to_string(),
        cell(answer.and_then(|answer| answer.server_ms).map(|ms| ms.0)),
        cell(answer.and_then(|answer| answer.tflops)),
        cell(answer.and_then(|answer| answer.score)),
        cell(answer.and_then(|answer| answer.model.as_ref())),
        cell(answer.and_then(|answer| answer.steps_run)),
        cell(answer.map(|answer| answer.degraded)),
        cell(answer.map(|answer| answer.late)),
        cell(status),
        cell(code),
        cell(retry_after_ms),
        record.tries.to_string(),
        cell(sent_late_ms),
    ]
}

fn cell(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::record::{
        Failure,
        tests::{answered, record, refused},
    };

    #[test]
    fn every_end_has_its_row() {
        let records = [
            record(0.5, 90.0, answered(Some(0.8))),
            record(1.0, 2.0, refused(429, "overloaded")),
            record(2.0, 30.0, Outcome::Failed(Failure::BodyCut)),
        ];
        let told = to_csv(&records, &[0.25]);
        let mut lines = told.lines();
        assert_eq!(lines.next().unwrap(), HEADER.join(","));
        let rest: Vec<&str> = lines.collect();
        assert_eq!(
            rest,
            [
                "0.5,100,,1,answered,true,90,,0.004,0.8,,,false,false,,,,1,0.25",
                "1,100,,1,refused,false,2,,,,,,,,429,overloaded,,1,",
                "2,100,,1,failed,false,30,,,,,,,,,body_cut,,1,",
            ]
        );
    }
}
