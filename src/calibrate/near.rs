//! Which measured plans are worth a closer look? Those that no cheaper plan beats for sure.

use super::bootstrap::standard_error;
use crate::planner::profile::Cell;

/// How far below the best plan of its cost a plan may lie, in standard errors of the paired difference.
const REACH: f64 = 1.5;

/// A measured plan with what one picture of it costs, in any unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Priced<'c> {
    pub(super) cost: f64,
    pub(super) cell: &'c Cell,
}

/// The plans on the frontier: by rising cost, each better than the one before by more than one standard
/// error of the paired difference.
pub(super) fn frontier<'c>(priced: &[Priced<'c>]) -> Vec<&'c Cell> {
    let mut entries: Vec<&Cell> = Vec::new();
    for Priced { cell, .. } in by_cost(priced) {
        let enters = entries
            .last()
            .is_none_or(|last| cell.balanced.mean - last.balanced.mean > paired_error(cell, last));
        if enters {
            entries.push(cell);
        }
    }
    entries
}

/// The plans that may be on the frontier, as far as the errors let one tell; the best first among equals
/// in cost.
pub(super) fn near<'c>(priced: &[Priced<'c>]) -> Vec<&'c Cell> {
    let mut best: Option<&Cell> = None;
    let mut near = Vec::new();
    for Priced { cell, .. } in by_cost(priced) {
        let gap = |best: &Cell| best.balanced.mean - cell.balanced.mean;
        if best.is_none_or(|best| gap(best) <= REACH * paired_error(cell, best)) {
            near.push(cell);
        }
        if best.is_none_or(|best| gap(best) < 0.0) {
            best = Some(cell);
        }
    }
    near
}

fn by_cost<'c>(priced: &[Priced<'c>]) -> Vec<Priced<'c>> {
    let mut sorted = priced.to_vec();
    sorted.sort_by(|a, b| {
        let merits = (b.cell.balanced.mean).total_cmp(&a.cell.balanced.mean);
        a.cost.total_cmp(&b.cost).then(merits)
    });
    sorted
}

/// The standard error of the difference of two balanced scores, paired by caption.
fn paired_error(a: &Cell, b: &Cell) -> f64 {
    let balanced = |cell: &Cell, i: usize| {
        f64::midpoint(
            cell.replicates.alignment[i].into(),
            cell.replicates.fidelity[i].into(),
        )
    };
    let n = a
        .replicates
        .alignment
        .len()
        .min(b.replicates.alignment.len());
    let differences: Vec<f64> = (0..n).map(|i| balanced(a, i) - balanced(b, i)).collect();
    standard_error(&differences)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::{ModelId, SamplerKind},
        planner::{Plan, ScoreEstimate, profile::Replicates},
    };

    /// A plan with a score of `mean` that moves by `spread` around it.
    fn cell(steps: u32, mean: f32, spread: [f32; 3]) -> Cell {
        let score = ScoreEstimate {
            mean: mean.into(),
            standard_error: 0.1,
        };
        let replicates: Vec<f32> = spread.iter().map(|by| mean + by).collect();
        let (model, size) = (ModelId("toy".into()), "64x64".parse().unwrap());
        Cell {
            plan: Plan::plain(model, SamplerKind::Ddim, steps, 1.0, size),
            n: 8,
            alignment: score,
            fidelity: score,
            balanced: score,
            cmmd: Some(0.1),
            frechet: Some(10.0),
            distance: None,
            replicates: Replicates {
                alignment: replicates.clone(),
                fidelity: replicates,
            },
        }
    }

    #[test]
    fn what_no_cheaper_plan_beats_for_sure_is_near_and_what_beats_them_all_is_on_the_frontier() {
        let surely = [-0.1, 0.0, 0.1];
        let cells = [
            cell(1, 0.50, surely),
            cell(2, 0.60, surely),
            // As good as the one before, within its own error.
            cell(3, 0.59, [0.1, 0.0, -0.1]),
            // Worse in every replicate by the same amount.
            cell(4, 0.55, surely),
            cell(5, 0.61, [0.1, -0.1, 0.0]),
        ];
        let priced: Vec<Priced<'_>> = cells
            .iter()
            .map(|cell| Priced {
                cost: f64::from(cell.plan.steps),
                cell,
            })
            .collect();
        let steps =
            |cells: Vec<&Cell>| -> Vec<u32> { cells.iter().map(|cell| cell.plan.steps).collect() };
        assert_eq!(steps(frontier(&priced)), [1, 2]);
        assert_eq!(steps(near(&priced)), [1, 2, 3, 5]);
    }
}
