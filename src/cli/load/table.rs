//! How is a report shown to people? First what all users got, then budget by budget, then what went wrong.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    cli::table::aligned,
    load::{
        replay::Sending,
        report::{Figure, Group, MAX_CLASSES, Quantiles, Report},
    },
};

/// Where there is nothing to show.
const NONE: &str = "-";

/// The report for people.
pub(in crate::cli) fn report(report: &Report) -> String {
    let mut text = head(report) + "\n" + &aligned(&rows(report));
    if report.classes.is_empty() {
        let _ = writeln!(
            text,
            "(more than {MAX_CLASSES} different budgets: not shown one by one)"
        );
    }
    text.push('\n');
    let mut line = |name: &str, told: String| {
        if !told.is_empty() {
            let _ = writeln!(text, "{name:<12}{told}");
        }
    };
    line("refused", counted(&report.refusals));
    line("failed", counted(&report.failures));
    line("models", counted(&report.models));
    let all = &report.all;
    let marks = [
        (all.degraded, "degraded"),
        (all.late, "late by the server's own clock"),
        (
            all.unscored,
            "in budget without a known score, counted as 0",
        ),
    ];
    let marks = marks.iter().filter(|(n, _)| *n > 0);
    let marks: Vec<String> = marks.map(|(n, what)| format!("{n} {what}")).collect();
    line("answers", marks.join(", "));
    if report.asked_again > 0 {
        let told = format!(
            "{}, admitted then {}",
            report.asked_again, report.admitted_then
        );
        line("asked again", told);
    }
    text
}

/// What the generator did, for people.
pub(super) fn sending(sending: &Sending) -> String {
    let late = sending.late_ms.map_or_else(
        || "nothing was sent".to_owned(),
        |Quantiles { p50, p99, max, .. }| {
            format!("sent late by {p50:.2} ms (p50), {p99:.2} ms (p99), {max:.2} ms (max)")
        },
    );
    let mut text = format!(
        "generator   {late}; at most {} of {} connections",
        sending.most_in_flight, sending.max_in_flight
    );
    for (n, what) in [
        (
            sending.held_back,
            "held back by that bound: raise --max-connections",
        ),
        (sending.unsent, "not sent"),
        (sending.abandoned, "abandoned"),
    ] {
        if n > 0 {
            let _ = write!(text, "; {n} {what}");
        }
    }
    text + "\n"
}

fn head(report: &Report) -> String {
    let rate = report.offered_per_second.map_or_else(
        || "all at once".to_owned(),
        |rate| format!("{rate:.2} a second"),
    );
    let Figure { mean, low, high } = report.goodput_per_second;
    format!(
        "{} requests, {rate}, over in {:.2} s\ngoodput {mean:.2} a second [{low:.2}, {high:.2}]\n",
        report.all.offered, report.seconds
    )
}

type Row = [String; 12];

fn rows(report: &Report) -> Vec<Row> {
    let head = [
        "budget",
        "offered",
        "admitted",
        "attainment",
        "95%",
        "of admitted",
        "score at budget",
        "95%",
        "of attained",
        "budget used",
        "p50 ms",
        "p99 ms",
    ];
    let mut rows = vec![head.map(str::to_owned), row("all".to_owned(), &report.all)];
    let classes = report.classes.iter();
    rows.extend(classes.map(|class| row(class.budget.to_string(), &class.group)));
    rows
}

fn row(name: String, group: &Group) -> Row {
    let score = |score: f64| format!("{score:.3}");
    let interval = |figure: Figure| format!("[{:.3}, {:.3}]", figure.low, figure.high);
    let latency = |pick: fn(&Quantiles) -> f64| {
        let latency = group.latency_ms.as_ref();
        latency.map_or_else(
            || NONE.to_owned(),
            |latency| format!("{:.1}", pick(latency)),
        )
    };
    [
        name,
        group.offered.to_string(),
        group.admitted.to_string(),
        score(group.attainment.mean),
        interval(group.attainment),
        group
            .attainment_of_admitted
            .map_or_else(|| NONE.to_owned(), |figure| score(figure.mean)),
        score(group.score_at_budget.mean),
        interval(group.score_at_budget),
        group
            .score_of_attained
            .map_or_else(|| NONE.to_owned(), score),
        used(group),
        latency(|latency| latency.p50),
        latency(|latency| latency.p99),
    ]
}

/// Time first, then work.
fn used(group: &Group) -> String {
    let percent = |share: f64, what: &str| format!("{:.0}%{what}", 100.0 * share);
    let time = group.latency_utilization.map(|share| percent(share, ""));
    let work = group
        .tflops_utilization
        .map(|share| percent(share, " of TFLOP"));
    let told: Vec<String> = time.into_iter().chain(work).collect();
    if told.is_empty() {
        NONE.to_owned()
    } else {
        told.join(", ")
    }
}

/// The most frequent first.
fn counted<K: AsRef<str>>(counts: &BTreeMap<K, usize>) -> String {
    let mut counts: Vec<(&str, usize)> = counts.iter().map(|(key, n)| (key.as_ref(), *n)).collect();
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let told: Vec<String> = counts
        .iter()
        .map(|(key, n)| format!("{n} x {key}"))
        .collect();
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        load::{
            record::{Answer, Failure, Outcome, Record, Refusal},
            trace::BudgetClass,
        },
        units::Millis,
    };

    fn record(arrival_seconds: f64, ms: f64, outcome: Outcome) -> Record {
        Record {
            arrival_seconds,
            class: BudgetClass {
                latency_ms: Some(Millis(100.0)),
                tflops: Some(0.004),
            },
            images: 1,
            latency_ms: Millis(ms),
            tries: 2,
            outcome,
        }
    }

    fn made() -> Report {
        let answer = Answer {
            score: Some(0.8),
            tflops: Some(0.003),
            degraded: true,
            model: Some("toy".into()),
            ..Answer::default()
        };
        let refusal = Refusal {
            status: 429,
            code: "overloaded".into(),
            retry_after_ms: None,
        };
        let records = [
            record(0.0, 50.0, Outcome::Answered(answer)),
            record(2.0, 1.0, Outcome::Refused(refusal)),
            record(4.0, 1.0, Outcome::Failed(Failure::NotConnected)),
            record(4.0, 1.0, Outcome::Failed(Failure::NotConnected)),
        ];
        Report::of(&records).unwrap()
    }

    #[test]
    fn a_report_tells_shares_scores_refusals_and_what_was_asked_again() {
        let told = report(&made());
        for line in [
            "4 requests, 1.00 a second, over in 4.00 s",
            "goodput 0.25 a second",
            "refused     1 x 429 overloaded",
            "failed      2 x not_connected",
            "models      1 x toy",
            "answers     1 degraded",
            "asked again 4, admitted then 1",
        ] {
            assert!(told.contains(line), "{line} in\n{told}");
        }
        let row = told
            .lines()
            .find(|line| line.starts_with("100 ms, 0.004"))
            .unwrap();
        let words: Vec<&str> = row
            .split("  ")
            .map(str::trim)
            .filter(|w| !w.is_empty())
            .collect();
        let [
            _,
            offered,
            admitted,
            attained,
            _,
            of_admitted,
            score,
            _,
            of_attained,
            used,
            p50,
            p99,
        ] = words[..]
        else {
            panic!("{row}");
        };
        assert_eq!(
            [offered, admitted, attained, of_admitted],
            ["4", "1", "0.250", "1.000"]
        );
        assert_eq!(
            [score, of_attained, used],
            ["0.200", "0.800", "50%, 75% of TFLOP"]
        );
        assert_eq!([p50, p99], ["50.0", "50.0"]);
    }

    #[test]
    fn the_generator_tells_its_jitter_and_what_it_held_back() {
        let mut done = Sending {
            late_ms: Quantiles::of(vec![0.1, 0.2, 3.0]),
            most_in_flight: 7,
            max_in_flight: 512,
            held_back: 0,
            unsent: 0,
            abandoned: 0,
        };
        let calm = "generator   sent late by 0.20 ms (p50), 3.00 ms (p99), 3.00 ms (max); at most 7 of 512 connections\n";
        assert_eq!(sending(&done), calm);
        (done.held_back, done.unsent, done.abandoned) = (1, 2, 3);
        let told = sending(&done);
        assert!(
            told.contains("1 held back") && told.contains("2 not sent; 3 abandoned"),
            "{told}"
        );
    }
}
