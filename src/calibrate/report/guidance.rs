//! The section on guidance: the best scale by size and steps.

use maud::{Markup, html};

use super::{
    heat::Heat,
    parts::{self, Section, difference},
    scale::Scale,
};
use crate::calibrate::findings::{Findings, guidance::GuidanceGrid};

/// One heat map for each model and sampler; absent where one scale alone was measured.
pub(super) fn section(findings: &Findings) -> Option<Section> {
    let grids = &findings.guidance;
    if grids.is_empty() {
        return None;
    }
    let scores = grids
        .iter()
        .flat_map(|grid| &grid.rows)
        .flat_map(|row| &row.scores);
    let scale = Scale::linear(scores.flatten().map(|score| score.mean));
    let body = html! {
        p { (words(grids)) }
        div class="multiples" {
            @for (i, grid) in grids.iter().enumerate() { (map(i, grid, scale)) }
        }
        (parts::table("The optimum in numbers", &["model", "sampler", "#steps", "#best scale", "#ahead of the next"], &rows(grids)))
    };
    Some(Section {
        id: "guidance",
        title: "Guidance",
        body,
    })
}

fn words(grids: &[GuidanceGrid]) -> String {
    let per_grid = |grid: &GuidanceGrid| {
        let row = grid.rows.last()?;
        Some(format!("{} ({})", row.best_scale, grid.model))
    };
    // One sampler is enough for a sentence.
    let first = grids.iter().filter(|grid| grid.sampler == grids[0].sampler);
    let optima: Vec<String> = first.clone().filter_map(per_grid).collect();
    let scales: Vec<f64> = first
        .filter_map(|grid| Some(grid.rows.last()?.best_scale))
        .collect();
    let same = scales.windows(2).all(|pair| pair[0] == pair[1]);
    let moving = grids.iter().filter(|grid| {
        let mut best = grid.rows.iter().map(|row| row.best_scale);
        let first = best.next();
        best.any(|scale| Some(scale) != first)
    });
    let size = if same {
        "The best scale is the same for every size"
    } else {
        "The best scale depends on the size"
    };
    format!(
        "{size} at the most steps measured with {}: {}. It changes with the number of steps in {} of {}.",
        grids[0].sampler,
        parts::listed(&optima),
        moving.count(),
        parts::count(grids.len(), "map", "maps"),
    )
}

fn map(i: usize, grid: &GuidanceGrid, scale: Scale) -> Markup {
    let row = |row: &crate::calibrate::findings::guidance::GuidanceRow| {
        let scores = row.scores.iter().map(|score| score.map(|score| score.mean));
        (row.steps.to_string(), scores.collect())
    };
    let heat = Heat {
        id: format!("guidance-{i}"),
        title: format!(
            "{}, {}: score by steps and guidance scale",
            grid.model, grid.sampler
        ),
        row_label: "steps".into(),
        column_label: "guidance scale".into(),
        columns: grid.scales.iter().map(f64::to_string).collect(),
        rows: grid.rows.iter().map(row).collect(),
    };
    html! { figure { figcaption { strong { (grid.model) } ", " (grid.sampler) } (heat.svg(scale)) } }
}

fn rows(grids: &[GuidanceGrid]) -> Vec<Vec<String>> {
    let of_grid = |grid: &GuidanceGrid| {
        let row = |row: &crate::calibrate::findings::guidance::GuidanceRow| {
            vec![
                grid.model.clone(),
                grid.sampler.to_string(),
                row.steps.to_string(),
                row.best_scale.to_string(),
                row.lead.map_or_else(|| "\u{2013}".to_owned(), difference),
            ]
        };
        grid.rows.iter().map(row).collect::<Vec<_>>()
    };
    grids.iter().flat_map(of_grid).collect()
}
