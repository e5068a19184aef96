//! Which measured plans are worth a closer look? Those that no cheaper plan beats for sure.

use super::findings::{
    difference::{Difference, Verdict},
    measured,
};
use crate::planner::{Objective, Sample, profile::Cell};

/// How far below the best plan of its cost a plan may lie, in standard errors of the paired difference.
const REACH: f64 = 1.5;

/// A measured plan with what one picture of it costs, in any unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Priced<'c> {
    pub(super) cost: f64,
    pub(super) cell: &'c Cell,
}

/// The plans on the frontier beyond doubt: by rising cost, each better than the one before by a verdict, two standard
/// errors of the paired difference. The planner offers more, but variations are looked for around these: every one
/// more is one more that luck may put in front.
pub(super) fn frontier<'c>(priced: &[Priced<'c>]) -> Vec<&'c Cell> {
    let sorted = by_cost(priced);
    let samples = sorted.iter().map(|(_, sample)| sample);
    let places = measured::leaders(samples, |ahead| ahead.verdict() == Verdict::Wins);
    places.into_iter().map(|place| sorted[place].0).collect()
}

/// The plans that may be on the frontier, as far as the errors let one tell; the best first among equals
/// in cost.
pub(super) fn near<'c>(priced: &[Priced<'c>]) -> Vec<&'c Cell> {
    let sorted = by_cost(priced);
    let mut best: Option<&Sample> = None;
    let mut near = Vec::new();
    for (cell, sample) in &sorted {
        let ahead = best.map(|best| Difference::paired(best, sample));
        if ahead.is_none_or(|ahead| ahead.mean <= REACH * ahead.standard_error) {
            near.push(*cell);
        }
        if ahead.is_none_or(|ahead| ahead.mean < 0.0) {
            best = Some(sample);
        }
    }
    near
}

/// Plans with their balanced scores, cheapest first; of equals in cost the better comes first.
fn by_cost<'c>(priced: &[Priced<'c>]) -> Vec<(&'c Cell, Sample)> {
    let mut sorted = priced.to_vec();
    sorted.sort_by(|a, b| {
        let merits = (b.cell.balanced.mean).total_cmp(&a.cell.balanced.mean);
        a.cost.total_cmp(&b.cost).then(merits)
    });
    let sample = |priced: Priced<'c>| (priced.cell, Sample::of(priced.cell, Objective::Balanced));
    sorted.into_iter().map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{calibrate::findings::fixture, planner::profile::Replicates};

    /// A plan with a score of `mean` that moves by `spread` around it.
    fn cell(steps: u32, mean: f32, spread: [f32; 3]) -> Cell {
        let replicates: Vec<f32> = spread.iter().map(|by| mean + by).collect();
        Cell {
            replicates: Replicates {
                alignment: replicates.clone(),
                fidelity: replicates,
            },
            ..fixture::cell("toy", steps, mean.into())
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
