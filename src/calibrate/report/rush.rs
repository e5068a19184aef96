//! The section on pictures that are shortened half way.

use maud::html;

use super::{
    forest::{self, Row},
    parts::{self, Section, color, difference, signed},
};
use crate::calibrate::findings::{Findings, difference::Difference, rush::RushTrial};

/// Shortened plans against planned and fresh ones; absent if none was measured.
pub(super) fn section(findings: &Findings) -> Option<Section> {
    let trials = &findings.rush;
    if trials.is_empty() {
        return None;
    }
    let row = |of: fn(&RushTrial) -> Option<Difference>| -> Vec<Row> {
        let named = trials.iter().filter_map(|trial| {
            Some(Row {
                name: name(trial),
                difference: of(trial)?,
                color: color(findings, &trial.plan.model.0),
            })
        });
        named.collect()
    };
    let (planned, fresh) = (row(|t| t.against_planned), row(|t| t.against_fresh));
    let body = html! {
        p {
            "A picture that is shortened half way "
            @if let Some(mean) = mean(&planned) { "scores " strong { (signed(mean)) } " on average against the plan as it was begun" }
            @if let Some(mean) = mean(&fresh) { ", and " strong { (signed(mean)) } " against one planned with as many steps from the start" }
            "."
        }
        @if !planned.is_empty() {
            (parts::figure(&forest::forest("rush-planned", "Shortened against planned", "shortened minus planned", &planned), "Score against the plan as it was begun, with two standard errors."))
        }
        @if !fresh.is_empty() {
            (parts::figure(&forest::forest("rush-fresh", "Shortened against fresh", "shortened minus fresh", &fresh), "Score against a plan of as many steps from the start."))
        }
        (parts::table("Every comparison", &["begun as", "shortened", "#score", "#against planned", "#against as many steps"], &rows(trials)))
    };
    Some(Section {
        id: "rush",
        title: "Shortened half way",
        body,
    })
}

fn name(trial: &RushTrial) -> String {
    let (plan, rush) = (&trial.plan, trial.rush);
    format!(
        "{}, {} of {}, then {}",
        plan.model, rush.after, plan.steps, rush.then
    )
}

fn mean(rows: &[Row]) -> Option<f64> {
    let sum: f64 = rows.iter().map(|row| row.difference.mean).sum();
    (!rows.is_empty()).then(|| sum / rows.len() as f64)
}

fn rows(trials: &[RushTrial]) -> Vec<Vec<String>> {
    let told = |d: Option<Difference>| d.map_or_else(|| "\u{2013}".to_owned(), difference);
    let row = |trial: &RushTrial| {
        vec![
            parts::plan(&trial.plan),
            format!("after {}, then {}", trial.rush.after, trial.rush.then),
            parts::score(trial.score),
            told(trial.against_planned),
            told(trial.against_fresh),
        ]
    };
    trials.iter().map(row).collect()
}
