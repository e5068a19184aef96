//! On what are predictions checked? Captions that no score rests on, drawn with step counts that were
//! never measured, by every plan that a budget might have been better spent on.

use std::collections::BTreeSet;

use super::trial::Trial;
use crate::{
    planner::{Plan, profile::Cell},
    units::Steps,
};

/// Step counts between the measured ones.
const STEPS: [Steps; 7] = [5, 7, 10, 14, 20, 28, 40];
/// A curve whose measured step counts go no further than this has nothing between them: its own step
/// counts are checked, on other captions.
const FEW: Steps = 4;

/// Lists the plans to check: beside every plan that comes near the frontier, `near`, the step counts
/// between its measured neighbors; `cells` are all that was measured.
pub(super) fn trials(cells: &[Cell], near: &[&Cell]) -> Vec<Trial> {
    let mut trials: Vec<Trial> = Vec::new();
    for cell in near {
        for steps in steps_beside(cells, &cell.plan) {
            let plan = cell.plan.with_steps(steps);
            if trials.iter().all(|known| known.plan != plan) {
                trials.push(plan.into());
            }
        }
    }
    trials
}

fn steps_beside(cells: &[Cell], plan: &Plan) -> Vec<Steps> {
    let curve = cells.iter().filter(|other| other.plan.is_like(plan));
    let measured: BTreeSet<Steps> = curve.map(|other| other.plan.steps).collect();
    if measured.last().is_none_or(|most| *most <= FEW) || measured.len() == 1 {
        return vec![plan.steps];
    }
    let before = measured
        .range(..plan.steps)
        .next_back()
        .unwrap_or(&plan.steps);
    let behind = measured
        .range(plan.steps + 1..)
        .next()
        .unwrap_or(&plan.steps);
    let beside = |steps: &Steps| (before..=behind).contains(&steps);
    STEPS.into_iter().filter(beside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::findings::fixture;

    fn cell(model: &str, steps: Steps) -> Cell {
        fixture::cell(model, steps, 0.5)
    }

    #[test]
    fn step_counts_between_the_measured_neighbors_are_checked_once() {
        let cells = [1, 4, 8, 16, 32].map(|steps| cell("toy", steps));
        let steps = |near: &[&Cell]| -> Vec<Steps> {
            trials(&cells, near)
                .iter()
                .map(|trial| trial.plan.steps)
                .collect()
        };
        assert_eq!(steps(&[&cells[2]]), [5, 7, 10, 14]);
        assert_eq!(steps(&[&cells[2], &cells[3]]), [5, 7, 10, 14, 20, 28]);
        assert_eq!(
            steps(&[&cells[4]]),
            [20, 28],
            "nothing lies beyond the last one"
        );
    }

    #[test]
    fn a_student_is_checked_at_its_own_few_steps() {
        let cells = [1, 2, 3, 4].map(|steps| cell("toy-lcm", steps));
        let trials = trials(&cells, &[&cells[2]]);
        assert_eq!(trials, [Trial::from(&cells[2])]);
    }
}
