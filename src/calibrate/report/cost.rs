//! The section on score against cost: every measured plan, each model's best, the frontier.

use maud::html;

use super::{
    parts::{self, Section, color, digits},
    plot::{Axis, Color, Dot, Key, Layer, Plot, Side},
    scale::Scale,
};
use crate::{
    calibrate::findings::{Findings, measured::PlanRow},
    planner::Cost,
};

/// The section; there is always something to show.
pub(super) fn section(findings: &Findings) -> Section {
    let offered: Vec<&PlanRow> = findings
        .plans
        .iter()
        .filter(|row| row.on_frontier)
        .collect();
    let models: Vec<String> = (findings.models.iter())
        .filter(|model| offered.iter().any(|row| row.plan.model.0 == model.id))
        .map(|model| model.id.clone())
        .collect();
    let timed = findings.plans.iter().any(|row| row.latency_ms.is_some());
    let body = html! {
        p {
            "Of " (findings.plans.len()) " measured plans, " strong { (offered.len()) } " are worth offering: each beats the one before it, in order of cost, by more than a standard error of the paired difference. "
            @if !models.is_empty() { "They are plans of " (parts::listed(&models)) ". " }
            @if let (Some(first), Some(last)) = (offered.first(), offered.last()) {
                "From the first to the last of them the score rises from " (format!("{:.3}", first.score.mean)) " to " (format!("{:.3}", last.score.mean))
                " and the cost by a factor of " (digits(last.tflops / first.tflops)) "."
            }
        }
        (parts::plot(&figure(findings, Cost::Tflops), "Faint points are measured plans, lines each model's best plan within a budget with one standard error around it, dashed for few-step students. The golden band is the frontier, with step counts."))
        @if timed {
            (parts::plot(&figure(findings, Cost::Latency), "The same over the median latency that this machine's own phase times predict for an idle server."))
        }
        (parts::table("The frontier in numbers", &["plan", "#TFLOP", "#score", "#evaluations", "#median ms"], &rows(&offered)))
    };
    Section {
        id: "cost",
        title: "What a budget buys",
        body,
    }
}

fn rows(offered: &[&PlanRow]) -> Vec<Vec<String>> {
    let row = |row: &&PlanRow| {
        let ms = row.latency_ms.map_or_else(|| "\u{2013}".to_owned(), digits);
        vec![
            parts::plan(&row.plan),
            digits(row.tflops),
            parts::score(row.score),
            row.nfe.to_string(),
            ms,
        ]
    };
    offered.iter().map(row).collect()
}

/// Score against one cost; the picture of a profile at a glance.
pub(super) fn figure(findings: &Findings, axis: Cost) -> Plot {
    let cost = |row: &PlanRow| match axis {
        Cost::Tflops => Some(row.tflops),
        Cost::Latency => row.latency_ms,
    };
    let mut plans: Vec<(f64, &PlanRow)> = (findings.plans.iter())
        .filter_map(|row| Some((cost(row)?, row)))
        .collect();
    plans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (name, unit) = (
        findings.score_name(),
        match axis {
            Cost::Tflops => "TFLOP for one picture",
            Cost::Latency => "median latency of one picture, ms",
        },
    );
    let references = [
        (findings.references.real, "real pictures"),
        (findings.references.reconstruction, "reconstructions"),
    ];
    let levels: Vec<(f64, &str)> = (references.into_iter())
        .filter_map(|(reference, name)| Some((reference?.score, name)))
        .collect();
    let heights = plans.iter().flat_map(|(_, row)| {
        let score = row.score;
        [
            score.mean - score.standard_error,
            score.mean + score.standard_error,
        ]
    });
    let y = Scale::linear(heights.chain(levels.iter().map(|(score, _)| *score)));
    Plot {
        id: format!(
            "cost-{}",
            if axis == Cost::Tflops {
                "flops"
            } else {
                "latency"
            }
        ),
        title: format!("{}: what a budget buys", findings.family),
        description: format!("{name} against {unit}, for {} measured plans.", plans.len()),
        x: Axis {
            label: unit.to_owned(),
            scale: Scale::log(plans.iter().map(|(cost, _)| *cost)),
        },
        y: Axis {
            label: name.to_owned(),
            scale: Scale::between(y.ends().0.max(0.0), y.ends().1.min(1.02)),
        },
        layers: layers(findings, &plans, &levels, axis),
        legend: legend(findings, &plans),
        height: 380.0,
    }
}

fn layers(
    findings: &Findings,
    plans: &[(f64, &PlanRow)],
    levels: &[(f64, &str)],
    axis: Cost,
) -> Vec<Layer> {
    let is_offered = |row: &PlanRow| match axis {
        Cost::Tflops => row.on_frontier,
        Cost::Latency => row.on_latency_frontier,
    };
    let offered: Vec<&(f64, &PlanRow)> = plans.iter().filter(|(_, row)| is_offered(row)).collect();
    let gold = offered
        .iter()
        .map(|(cost, row)| (*cost, row.score.mean))
        .collect();
    let highest = levels.iter().map(|(score, _)| *score).fold(0.0, f64::max);
    let level = |(score, name): &(f64, &str)| {
        let side = if *score < highest {
            Side::Below
        } else {
            Side::Above
        };
        Layer::Level(*score, (*name).to_owned(), side)
    };
    let mut layers: Vec<Layer> = levels.iter().map(level).collect();
    layers.push(Layer::Line("frontier", Color::of(0), gold));
    for model in &findings.models {
        let color = color(findings, &model.id);
        let best = best_of(plans, &model.id);
        let band = best.iter().map(|(cost, row)| {
            let (mean, error) = (row.score.mean, row.score.standard_error);
            (*cost, mean - error, mean + error)
        });
        layers.push(Layer::Band(color, band.collect()));
        let line = best.iter().map(|(cost, row)| (*cost, row.score.mean));
        layers.push(Layer::Line("line", color, line.collect()));
        let own = plans.iter().filter(|(_, row)| row.plan.model.0 == model.id);
        layers.push(Layer::Dots(
            "dotfaint",
            color,
            own.map(|(cost, row)| dot(*cost, row)).collect(),
        ));
    }
    let steps = offered
        .iter()
        .map(|(cost, row)| (*cost, row.score.mean, row.plan.steps.to_string()));
    layers.push(Layer::Labels(steps.collect()));
    layers
}

/// A model's plain plans that are better than all of its cheaper ones.
fn best_of<'r>(plans: &[(f64, &'r PlanRow)], model: &str) -> Vec<(f64, &'r PlanRow)> {
    let mut best: Vec<(f64, &PlanRow)> = Vec::new();
    for (cost, row) in plans {
        let is_own = row.plan.model.0 == model && row.plan.is_plain();
        if is_own
            && best
                .last()
                .is_none_or(|(_, last)| row.score.mean > last.score.mean)
        {
            best.push((*cost, row));
        }
    }
    best
}

fn dot(cost: f64, row: &PlanRow) -> Dot {
    Dot {
        x: cost,
        y: row.score.mean,
        error: None,
        title: format!(
            "{}: {} at {} TFLOP",
            parts::plan(&row.plan),
            parts::score(row.score),
            digits(row.tflops)
        ),
    }
}

fn legend(findings: &Findings, plans: &[(f64, &PlanRow)]) -> Vec<Key> {
    let shown = findings
        .models
        .iter()
        .filter(|model| plans.iter().any(|(_, row)| row.plan.model.0 == model.id));
    let key = |kind, color, label: &str| Key {
        kind,
        color,
        label: label.to_owned(),
    };
    let mut keys: Vec<Key> = shown
        .map(|m| key("line", color(findings, &m.id), &m.id))
        .collect();
    keys.push(key("frontier", Color::of(0), "frontier, with step counts"));
    keys
}
