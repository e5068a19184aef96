//! The section on stitching, guidance intervals and candidates: where they pay, and where not.

use maud::{Markup, html};

use super::{
    forest::{self, Row},
    parts::{self, Section, color, difference, digits},
};
use crate::calibrate::findings::{
    Findings,
    difference::Verdict,
    variants::{Match, VariantKind, VariantTrial},
};

/// Each variant against the best plain plan that costs no more; absent if there are none.
pub(super) fn section(findings: &Findings) -> Option<Section> {
    if findings.variants.is_empty() {
        return None;
    }
    let body = html! {
        p {
            "Each is held against the best plain plan that costs no more, step counts between the measured ones included: the same money spent on steps, size and guidance alone. "
            "Peers are models as (un)distilled as its own. A verdict takes two standard errors of the paired difference, and the rival is the best of many, so a win is earned."
        }
        @for kind in VariantKind::ALL {
            @let trials: Vec<&VariantTrial> = findings.variants.iter().filter(|trial| trial.kind == kind).collect();
            @if !trials.is_empty() { (part(findings, kind, &trials)) }
        }
    };
    Some(Section {
        id: "variants",
        title: "Stitching, guidance intervals, candidates",
        body,
    })
}

fn part(findings: &Findings, kind: VariantKind, trials: &[&VariantTrial]) -> Markup {
    let with = |verdict: Verdict| -> Vec<&VariantTrial> {
        let has = |trial: &&&VariantTrial| {
            trial
                .against_peers
                .as_ref()
                .is_some_and(|m| m.verdict == verdict)
        };
        trials.iter().filter(has).copied().collect()
    };
    let (wins, ties, loses) = (
        with(Verdict::Wins),
        with(Verdict::Ties),
        with(Verdict::Loses),
    );
    let against_all = trials.iter().filter(|trial| {
        trial
            .against_all
            .as_ref()
            .is_some_and(|m| m.verdict == Verdict::Wins)
    });
    let name = kind.name();
    let rows: Vec<Row> = (trials.iter())
        .filter_map(|trial| {
            Some(Row {
                name: short(&trial.plan),
                difference: trial.against_peers.as_ref()?.difference,
                color: color(findings, &trial.plan.model.0),
            })
        })
        .collect();
    let id = format!("variant-{}", name.to_lowercase().replace(' ', "-"));
    html! {
        h3 { (name) }
        p {
            "Of " (parts::count(trials.len(), "plan", "plans")) ", " strong { (wins.len()) " win" } ", " (ties.len()) " tie and " (loses.len())
            " lose against their peers; " (against_all.count()) " win against all plans, few-step students among them."
        }
        (list(Verdict::Wins, &wins))
        (list(Verdict::Loses, &loses))
        @if !rows.is_empty() {
            (parts::figure(&forest::forest(&id, &format!("{name} against the best plain plan of equal or less cost"), "score gained over the best plain plan", &rows),
                "Error bars are two standard errors: a bar that does not cross zero is a verdict."))
        }
        (parts::table("Every comparison", &["plan", "#TFLOP", "best plain peer", "#difference", "verdict", "against all", "verdict "], &table(trials)))
    }
}

fn list(verdict: Verdict, trials: &[&VariantTrial]) -> Markup {
    html! {
        @if !trials.is_empty() {
            ul { @for trial in trials { @if let Some(m) = &trial.against_peers {
                li { (parts::tag(verdict)) " " (parts::plan(&trial.plan)) ": " (difference(m.difference)) " against " (parts::plan(&m.rival)) }
            } } }
        }
    }
}

/// Without what every row shares.
fn short(plan: &crate::planner::Plan) -> String {
    let text = parts::plan(plan);
    let text = text.replace(", guidance ", " g").replace("steps ", "");
    let most = 48;
    if text.chars().count() <= most {
        return text;
    }
    text.chars().take(most - 1).chain(['\u{2026}']).collect()
}

fn table(trials: &[&VariantTrial]) -> Vec<Vec<String>> {
    let rival =
        |m: Option<&Match>| m.map_or_else(|| "none as cheap".to_owned(), |m| parts::plan(&m.rival));
    let gain = |m: Option<&Match>| m.map_or_else(String::new, |m| difference(m.difference));
    let verdict = |m: Option<&Match>| m.map_or_else(String::new, |m| m.verdict.word().to_owned());
    let row = |trial: &&VariantTrial| {
        let (peers, all) = (trial.against_peers.as_ref(), trial.against_all.as_ref());
        vec![
            parts::plan(&trial.plan),
            digits(trial.tflops),
            rival(peers),
            gain(peers),
            verdict(peers),
            rival(all),
            verdict(all),
        ]
    };
    trials.iter().map(row).collect()
}
