//! What does a profile say at a glance? Its cells as curves over cost, the frontier marked.

use super::{
    bootstrap::standard_error,
    figure::{Figure, Line, Point},
    price,
};
use crate::{
    catalog::{Family, SamplerKind},
    planner::{
        CostTable, Objective, ScoreEstimate,
        profile::{Cell, Profile, ProfileKind},
    },
};

/// Draws one objective of a profile; cells of models the family no longer has are left out.
pub fn figure(family: &Family, profile: &Profile, objective: Objective) -> Figure {
    let costs = CostTable::of(family);
    let mut priced: Vec<(f64, &Cell)> = profile
        .cells
        .iter()
        .filter_map(|cell| Some((tflops(family, &costs, cell)?, cell)))
        .collect();
    // Eight unguided steps cost what four guided ones do: of equals in cost, the better comes first.
    priced.sort_by(|a, b| {
        let merit = |cell| score(cell, objective).mean;
        a.0.total_cmp(&b.0).then(merit(b.1).total_cmp(&merit(a.1)))
    });
    let cells: Vec<&Cell> = priced.iter().map(|(_, cell)| *cell).collect();
    let frontier = frontier(&cells, objective);
    let mut lines: Vec<(SamplerKind, Line)> = Vec::new();
    for (tflops, cell) in priced {
        let score = score(cell, objective);
        let point = Point {
            tflops,
            score: score.mean,
            standard_error: score.standard_error,
            steps: cell.plan.steps,
            on_frontier: frontier.iter().any(|offered| std::ptr::eq(*offered, cell)),
        };
        line_of(&mut lines, family, cell).points.push(point);
    }
    let place = |line: &Line| {
        family
            .models
            .iter()
            .position(|card| card.id.0 == line.model)
    };
    let mut lines: Vec<Line> = lines.into_iter().map(|(_, line)| line).collect();
    lines.sort_by(|a, b| {
        place(a)
            .cmp(&place(b))
            .then(b.guidance_scale.total_cmp(&a.guidance_scale))
    });
    Figure {
        title: format!("{}: what a budget buys", profile.family),
        score_name: match profile.kind {
            ProfileKind::SelfReference => "fidelity to the dearest plan".to_owned(),
            _ => format!("{} score", name(objective)),
        },
        lines,
    }
}

/// Cells by rising cost, each better than the one before by more than one standard error of the
/// paired difference.
fn frontier<'c>(by_cost: &[&'c Cell], objective: Objective) -> Vec<&'c Cell> {
    let mut entries: Vec<&Cell> = Vec::new();
    for cell in by_cost {
        let enters = entries.last().is_none_or(|last| {
            let gain = score(cell, objective).mean - score(last, objective).mean;
            gain > paired_error(cell, last, objective)
        });
        if enters {
            entries.push(cell);
        }
    }
    entries
}

fn paired_error(cell: &Cell, other: &Cell, objective: Objective) -> f64 {
    let pairs = replicates(cell, objective).zip(replicates(other, objective));
    standard_error(&pairs.map(|(a, b)| a - b).collect::<Vec<_>>())
}

fn replicates(cell: &Cell, objective: Objective) -> impl Iterator<Item = f64> {
    let both = cell
        .replicates
        .alignment
        .iter()
        .zip(&cell.replicates.fidelity);
    both.map(move |(&alignment, &fidelity)| match objective {
        Objective::Alignment => f64::from(alignment),
        Objective::Fidelity => f64::from(fidelity),
        Objective::Balanced => f64::midpoint(f64::from(alignment), f64::from(fidelity)),
    })
}

fn score(cell: &Cell, objective: Objective) -> ScoreEstimate {
    match objective {
        Objective::Alignment => cell.alignment,
        Objective::Fidelity => cell.fidelity,
        Objective::Balanced => cell.balanced,
    }
}

fn name(objective: Objective) -> &'static str {
    match objective {
        Objective::Alignment => "alignment",
        Objective::Fidelity => "fidelity",
        Objective::Balanced => "balanced",
    }
}

fn tflops(family: &Family, costs: &CostTable, cell: &Cell) -> Option<f64> {
    Some(price::of_picture(family, costs, &cell.plan)?.tflops())
}

/// The line of cells that differ from this one in their step count only.
fn line_of<'l>(
    lines: &'l mut Vec<(SamplerKind, Line)>,
    family: &Family,
    cell: &Cell,
) -> &'l mut Line {
    let belongs = |(sampler, line): &(SamplerKind, Line)| {
        *sampler == cell.plan.sampler
            && line.model == cell.plan.model.0
            && line.guidance_scale == cell.plan.guidance_scale
    };
    let position = lines.iter().position(belongs).unwrap_or_else(|| {
        let line = Line {
            model: cell.plan.model.0.clone(),
            guidance_scale: cell.plan.guidance_scale,
            is_distilled: family
                .model(&cell.plan.model.0)
                .is_some_and(|card| card.distilled),
            points: Vec::new(),
        };
        lines.push((cell.plan.sampler, line));
        lines.len() - 1
    });
    &mut lines[position].1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::ModelId,
        planner::{Plan, profile::Replicates},
    };

    fn cell(steps: u32, mean: f64, replicates: [f32; 3]) -> Cell {
        let score = ScoreEstimate {
            mean,
            standard_error: 0.1,
        };
        Cell {
            plan: Plan::plain(
                ModelId("toy".into()),
                SamplerKind::Ddim,
                steps,
                3.0,
                "64x64".parse().unwrap(),
            ),
            n: 8,
            alignment: score,
            fidelity: score,
            balanced: score,
            cmmd: Some(0.1),
            frechet: Some(10.0),
            distance: None,
            replicates: Replicates {
                alignment: replicates.into(),
                fidelity: replicates.into(),
            },
        }
    }

    #[test]
    fn a_dearer_plan_must_win_by_more_than_the_error_of_the_paired_difference() {
        let first = cell(1, 0.50, [0.4, 0.5, 0.6]);
        // As uncertain as the first, but better in every replicate by the same amount.
        let surely_better = cell(2, 0.52, [0.42, 0.52, 0.62]);
        let perhaps_better = cell(4, 0.53, [0.6, 0.5, 0.49]);
        let worse = cell(8, 0.40, [0.4, 0.4, 0.4]);
        let cells = [&first, &surely_better, &perhaps_better, &worse];
        let steps: Vec<u32> = frontier(&cells, Objective::Balanced)
            .iter()
            .map(|cell| cell.plan.steps)
            .collect();
        assert_eq!(steps, [1, 2]);
    }
}
