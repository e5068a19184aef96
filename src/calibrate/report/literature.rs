//! The section on the paper's own numbers, and the table of everything measured.

use maud::html;

use super::{
    parts::{self, Section, digits},
    plot::{Axis, Color, Dot, Layer, Plot},
    scale::Scale,
};
use crate::calibrate::{
    findings::{Findings, Reference, measured::PlanRow},
    literature::{Literature, Row},
};

/// The paper's table, marked as such; absent if it was not given.
pub(super) fn section(findings: &Findings) -> Option<Section> {
    let table = findings.literature.as_ref()?;
    let row = |row: &Row| {
        vec![
            row.name.clone(),
            row.gflops_per_step.to_string(),
            row.gflops_recounted.to_string(),
            row.relative_cost.to_string(),
            row.fid.to_string(),
            row.clip.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = table.rows.iter().map(row).collect();
    let columns = [
        "model",
        "#GFLOP a step",
        "#recounted",
        "#relative cost",
        "#Frechet distance",
        "#CLIP score",
    ];
    let body = html! {
        p { strong { "Printed elsewhere, not measured here: " } (table.title) " (" (table.citation) "). For display beside the family\u{2019}s own numbers; other data, other scores, and nothing is planned with it." }
        (parts::plot(&figure(table), "Frechet distance over the operations of one evaluation; lower is better. Where the printed operations are a misprint, they are recounted."))
        p class="source" { (table.conditions) " Of the table below, " (table.recount) }
        (parts::table("The table", &columns, &rows))
    };
    Some(Section {
        id: "literature",
        title: "From the literature",
        body,
    })
}

fn figure(table: &Literature) -> Plot {
    let dot = |row: &Row| Dot {
        x: row.gflops(),
        y: row.fid,
        error: None,
        title: format!("{}: {}", row.name, row.fid),
    };
    let label = |row: &Row| (row.gflops(), row.fid, row.name.clone());
    Plot {
        id: "paper".into(),
        title: "Printed models: Frechet distance by operations".into(),
        description: format!("{} models; the table has the numbers.", table.rows.len()),
        x: Axis {
            label: "GFLOP of one evaluation".into(),
            scale: Scale::log(table.rows.iter().map(Row::gflops)),
        },
        y: Axis {
            label: "Frechet distance".into(),
            scale: Scale::linear(table.rows.iter().map(|row| row.fid)),
        },
        layers: vec![
            Layer::Dots("dot", Color::of(7), table.rows.iter().map(dot).collect()),
            Layer::Labels(table.rows.iter().map(label).collect()),
        ],
        legend: Vec::new(),
        height: 240.0,
    }
}

/// Every measured plan, by rising cost.
pub(super) fn everything(findings: &Findings) -> Section {
    let is_judged = findings.plans.iter().any(|row| row.cmmd.is_some());
    let mut columns = vec!["plan", "#TFLOP", "#evaluations", "#score", "#captions"];
    if is_judged {
        columns.extend(["#alignment", "#fidelity", "#CMMD", "#Frechet (biased)"]);
    }
    let references = [
        ("real pictures", findings.references.real),
        ("reconstructions", findings.references.reconstruction),
    ];
    let mut rows: Vec<Vec<String>> = (references.into_iter())
        .filter_map(|(name, reference)| Some(reference_row(name, &reference?)))
        .collect();
    rows.extend(findings.plans.iter().map(|row| plan_row(row, is_judged)));
    let n_equal = findings.plans.iter().map(|row| row.n).min().unwrap_or(0);
    let body = html! {
        p {
            "Cheapest first; \u{2605} marks the frontier. "
            @if is_judged { "Frechet distances are biased by the number of pictures: here all are told at " (n_equal) ", and may be compared with each other only." }
        }
        (parts::table(&format!("All {} measured plans", findings.plans.len()), &columns, &rows))
    };
    Section {
        id: "everything",
        title: "Everything measured",
        body,
    }
}

fn plan_row(row: &PlanRow, is_judged: bool) -> Vec<String> {
    let star = if row.on_frontier { "\u{2605} " } else { "" };
    let mut cells = vec![
        format!("{star}{}", parts::plan(&row.plan)),
        digits(row.tflops),
        row.nfe.to_string(),
        parts::score(row.score),
        row.n.to_string(),
    ];
    if is_judged {
        cells.extend([
            parts::score(row.alignment),
            parts::score(row.fidelity),
            row.cmmd.map_or_else(dash, |cmmd| format!("{cmmd:.4}")),
            row.frechet
                .map_or_else(dash, |frechet| format!("{frechet:.0}")),
        ]);
    }
    cells
}

fn reference_row(name: &str, reference: &Reference) -> Vec<String> {
    let row = reference.row;
    vec![
        name.to_owned(),
        dash(),
        dash(),
        format!("{:.3}", reference.score),
        row.n.to_string(),
        format!("{:.3}", row.alignment),
        dash(),
        format!("{:.4}", row.cmmd),
        format!("{:.0}", row.frechet),
    ]
}

fn dash() -> String {
    "\u{2013}".to_owned()
}
