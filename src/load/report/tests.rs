//! Reports of hand-made records.

use super::*;
use crate::{
    load::record::{
        Failure, Refusal,
        tests::{answered, record, refused},
    },
    units::Millis,
};

/// Four offered, one of each end: in time, late, refused, lost.
fn mixed() -> Vec<Record> {
    vec![
        record(0.0, 50.0, answered(Some(0.8))),
        record(1.0, 200.0, answered(Some(0.9))),
        record(2.0, 1.0, refused(429, "overloaded")),
        record(4.0, 70.0, Outcome::Failed(Failure::BodyCut)),
    ]
}

#[test]
fn shares_are_of_what_was_offered() {
    let report = Report::of(&mixed()).unwrap();
    let all = &report.all;
    assert_eq!(
        (all.offered, all.admitted, all.answered, all.attained),
        (4, 3, 2, 1)
    );
    assert_eq!(all.attainment.mean, 0.25);
    assert_eq!(all.attainment_of_admitted.unwrap().mean, 1.0 / 3.0);
    assert_eq!(all.score_at_budget.mean, 0.2, "misses score zero");
    assert_eq!(all.score_of_attained, Some(0.8));
    assert_eq!(all.latency_utilization, Some(1.25), "0.5 and 2");
    assert_eq!(all.tflops_utilization, None);
    let latency = all.latency_ms.unwrap();
    assert_eq!(
        (latency.p50, latency.max),
        (50.0, 200.0),
        "of answers alone"
    );
    assert_eq!(report.seconds, 4.0);
    assert_eq!(report.offered_per_second, Some(1.0));
    assert_eq!(report.goodput_per_second.mean, 0.25);
    assert_eq!(
        report.refusals,
        BTreeMap::from([("429 overloaded".to_owned(), 1)])
    );
    assert_eq!(report.failures, BTreeMap::from([("body_cut", 1)]));
}

#[test]
fn refusing_the_hard_ones_does_not_raise_the_score_at_budget() {
    let drawn = |score| record(0.0, 50.0, answered(Some(score)));
    let all = Report::of(&[drawn(0.9), drawn(0.5)]).unwrap().all;
    let refusing = Report::of(&[
        drawn(0.9),
        record(0.0, 1.0, refused(422, "budget_infeasible")),
    ]);
    let refusing = refusing.unwrap().all;
    assert!(refusing.score_of_attained > all.score_of_attained);
    assert!(refusing.score_at_budget.mean < all.score_at_budget.mean);
}

#[test]
fn a_score_that_nobody_knows_is_counted_and_scores_zero() {
    let records = [
        record(0.0, 50.0, answered(Some(0.8))),
        record(1.0, 50.0, answered(None)),
    ];
    let all = Report::of(&records).unwrap().all;
    assert_eq!((all.attained, all.unscored), (2, 1));
    assert_eq!(
        (all.score_at_budget.mean, all.score_of_attained),
        (0.4, Some(0.8))
    );
}

#[test]
fn the_last_picture_ends_the_run_and_late_failures_do_not() {
    let records = [
        record(0.0, 3000.0, answered(Some(0.8))),
        record(1.0, 300_000.0, Outcome::Failed(Failure::TimedOut)),
    ];
    let report = Report::of(&records).unwrap();
    assert_eq!(report.seconds, 3.0);
    assert_eq!(report.offered_per_second, Some(2.0));
    let at_once = Report::of(&records[1..2]).unwrap();
    assert_eq!(at_once.goodput_per_second.mean, 0.0);
}

#[test]
fn requests_of_no_length_at_all_have_no_rate() {
    let report = Report::of(&[record(0.0, 0.0, answered(None))]).unwrap();
    assert_eq!((report.seconds, report.offered_per_second), (0.0, None));
    assert_eq!(report.goodput_per_second, Figure::ZERO);
    assert_eq!(Report::of(&[]), None);
}

#[test]
fn budgets_are_reported_apart_the_tightest_first() {
    let mut records = mixed();
    records[0].class.latency_ms = None;
    records[1].class.tflops = Some(0.005);
    records[1].latency_ms = Millis(100.0);
    let report = Report::of(&records).unwrap();
    let told: Vec<(String, usize, usize)> = (report.classes.iter())
        .map(|class| {
            (
                class.budget.to_string(),
                class.group.offered,
                class.group.attained,
            )
        })
        .collect();
    let expected = [
        ("100 ms, 0.005 TFLOP", 1, 1),
        ("100 ms", 2, 0),
        ("no limit", 1, 1),
    ];
    assert_eq!(
        told,
        expected.map(|(class, n, hit)| (class.to_owned(), n, hit))
    );
    assert_eq!(report.classes[0].group.tflops_utilization, Some(0.8));
    assert_eq!(report.classes[2].group.latency_utilization, None);
}

#[test]
fn too_many_budgets_are_not_told_apart() {
    let mut records: Vec<Record> = Vec::new();
    for i in 0..=MAX_CLASSES {
        let mut record = record(i as f64, 1.0, answered(None));
        record.class.latency_ms = Some(Millis(100.0 + i as f64));
        records.push(record);
    }
    assert!(Report::of(&records).unwrap().classes.is_empty());
    let fewer = Report::of(&records[1..]).unwrap();
    assert_eq!(fewer.classes.len(), MAX_CLASSES);
}

#[test]
fn second_tries_tell_how_true_the_promise_was() {
    let mut records = mixed();
    records[0].tries = 2;
    records[2].tries = 2;
    let report = Report::of(&records).unwrap();
    assert_eq!((report.asked_again, report.admitted_then), (2, 1));
}

#[test]
fn json_is_flat_where_groups_are() {
    let report = Report::of(&mixed()).unwrap();
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["offered"], 4);
    assert_eq!(json["attainment"]["mean"], 0.25);
    assert_eq!(json["classes"][0]["budget"]["latency_ms"], 100.0);
    assert_eq!(json["classes"][0]["latency_ms"]["p50"], 50.0);
    assert_eq!(json["refusals"]["429 overloaded"], 1);
}

#[test]
fn the_order_of_records_does_not_matter() {
    let (mut records, report) = (mixed(), Report::of(&mixed()));
    records.reverse();
    assert_eq!(Report::of(&records), report);
    let refusal = Refusal {
        status: 429,
        code: "overloaded".into(),
        retry_after_ms: Some(5),
    };
    records[1].outcome = Outcome::Refused(refusal);
    assert_eq!(
        Report::of(&records),
        report,
        "nor when it is worth asking again"
    );
}
