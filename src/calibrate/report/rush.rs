//! The section on pictures that are shortened on their way.

use maud::html;

use super::{
    parts::{self, Section, difference, signed},
    plot::{Axis, Dot, Layer, Plot, Side},
    scale::Scale,
};
use crate::calibrate::findings::{Findings, difference::Difference, rush::RushTrial};

/// What shortening costs, by how far a picture was; absent if none was measured.
pub(super) fn section(findings: &Findings) -> Option<Section> {
    let trials = &findings.rush;
    if trials.is_empty() {
        return None;
    }
    let stopped: Vec<&RushTrial> = trials.iter().filter(|trial| trial.rush.then == 0).collect();
    let hurried: Vec<&RushTrial> = trials.iter().filter(|trial| trial.rush.then > 0).collect();
    let body = html! {
        p {
            "A picture that falls behind takes fewer of its steps, or none, and its estimate is decoded. "
            "Each plan near the frontier was shortened at several steps" (against_fresh(trials)) ". "
            "Between them scores are interpolated; from such scores " code { "min_score" } " is kept and replies say what a degraded picture is worth."
        }
        @for (id, title, trials) in [("rush-none", "Nothing follows", &stopped), ("rush-half", "Half of the steps ahead follow", &hurried)] {
            @if !trials.is_empty() {
                (parts::plot(&losses(findings, id, title, trials), &caption(title, trials)))
            }
        }
        (parts::table("Every comparison", &["begun as", "shortened", "#score", "#against planned", "#against as many steps"], &rows(trials)))
    };
    Some(Section {
        id: "rush",
        title: "Shortened on the way",
        body,
    })
}

fn losses(findings: &Findings, id: &str, title: &str, trials: &[&RushTrial]) -> Plot {
    let point = |trial: &&RushTrial| {
        let against = trial.against_planned?;
        let dot = Dot {
            x: f64::from(trial.rush.after) / f64::from(trial.plan.steps),
            y: against.mean,
            error: Some(against.standard_error),
            title: format!(
                "{}, after {}, then {}: {}",
                parts::plan(&trial.plan),
                trial.rush.after,
                trial.rush.then,
                difference(against)
            ),
        };
        Some((trial.plan.model.0.clone(), dot))
    };
    let points: Vec<(String, Dot)> = trials.iter().filter_map(point).collect();
    let ends = points.iter().flat_map(|(_, dot)| {
        let error = dot.error.unwrap_or(0.0);
        [dot.y - error, dot.y + error, 0.0]
    });
    let y = Axis {
        label: "shortened minus planned".into(),
        scale: Scale::linear(ends),
    };
    let (dots, legend) = parts::dots(findings, &points);
    let mut layers = vec![Layer::Level(0.0, String::new(), Side::Above)];
    layers.extend(dots);
    Plot {
        id: id.into(),
        title: title.into(),
        description: format!("{} shortened plans by how far they were.", points.len()),
        x: Axis {
            label: "share of the steps that was behind".into(),
            scale: Scale::linear([0.0, 1.0]),
        },
        y,
        layers,
        legend,
        height: 300.0,
    }
}

fn caption(title: &str, trials: &[&RushTrial]) -> String {
    let against = trials.iter().map(|trial| trial.against_planned);
    let mean =
        mean(against).map_or_else(String::new, |mean| format!(", {} on average", signed(mean)));
    format!(
        "{title}: shortened minus planned{mean}, with one standard error of the paired difference."
    )
}

/// How they compare with plans of as many steps, where any was measured.
fn against_fresh(trials: &[RushTrial]) -> String {
    let against = trials.iter().map(|trial| trial.against_fresh);
    mean(against).map_or_else(String::new, |mean| {
        format!(
            "; against plans with as many steps from the start that is worth {} on average",
            signed(mean)
        )
    })
}

/// The mean of the differences that are known.
fn mean(differences: impl Iterator<Item = Option<Difference>>) -> Option<f64> {
    let means: Vec<f64> = differences.flatten().map(|known| known.mean).collect();
    (!means.is_empty()).then(|| means.iter().sum::<f64>() / means.len() as f64)
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
