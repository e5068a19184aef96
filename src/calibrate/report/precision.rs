//! The section on precision: what bf16 costs.

use maud::html;

use super::parts::{self, Section};
use crate::{calibrate::findings::Findings, planner::precision::PrecisionCell};

/// A sentence and a table; absent where nothing was drawn in both.
pub(super) fn section(findings: &Findings) -> Option<Section> {
    if findings.precision.is_empty() {
        return None;
    }
    let columns = ["plan", "#captions", "#alignment", "#fidelity", "#balanced"];
    let rows: Vec<_> = findings.precision.iter().map(row).collect();
    Some(Section {
        id: "precision",
        title: "What bf16 costs",
        body: html! {
            p { (words(&findings.precision)) }
            (parts::table("Every plan, in bf16 less in f32", &columns, &rows))
        },
    })
}

fn words(cells: &[PrecisionCell]) -> String {
    let losses = cells.iter().filter(|cell| cell.balanced.is_loss()).count();
    let mean = cells.iter().map(|cell| cell.balanced.mean).sum::<f64>() / cells.len() as f64;
    format!(
        "The same captions from the same noise in bf16 and in f32: of {}, bf16 scores less with {losses} at two \
         standard errors of the paired difference; the balanced score changes by {} on average.",
        parts::count(cells.len(), "plan", "plans"),
        parts::signed(mean)
    )
}

fn row(cell: &PrecisionCell) -> Vec<String> {
    vec![
        cell.plan.to_string(),
        cell.n.to_string(),
        cell.alignment.to_string(),
        cell.fidelity.to_string(),
        cell.balanced.to_string(),
    ]
}
