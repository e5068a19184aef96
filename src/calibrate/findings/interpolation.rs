//! How far off are the scores between measured step counts? Each inner step count is left out of its curve
//! and predicted from the others; held-out captions at other step counts are predicted from all.

use serde::Serialize;

use super::{Material, difference::Difference};
use crate::planner::{Plan, Predictions, Sample, ScoreEstimate, profile::Cell};

/// One prediction that was checked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// The plan.
    pub plan: Plan,
    /// What was measured.
    pub measured: ScoreEstimate,
    /// Predicted minus measured, with the standard error of the difference.
    pub error: Difference,
}

/// Checked predictions, and how they did together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checks {
    /// Each of them.
    pub checks: Vec<Check>,
    /// Mean of the errors.
    pub bias: f64,
    /// Mean of the errors' absolute values.
    pub mean_absolute: f64,
    /// Root of the mean squared error.
    pub root_mean_square: f64,
    /// The largest absolute error.
    pub worst: f64,
    /// Mean standard error of the measured scores: what the errors are held beside.
    pub mean_standard_error: f64,
    /// Share of predictions within two standard errors of the difference.
    pub within_two_errors: f64,
}

impl Checks {
    fn of(checks: Vec<Check>) -> Option<Self> {
        if checks.is_empty() {
            return None;
        }
        let mean = |value: &dyn Fn(&Check) -> f64| {
            checks.iter().map(value).sum::<f64>() / checks.len() as f64
        };
        let is_within = |check: &Check| check.error.mean.abs() <= 2.0 * check.error.standard_error;
        Some(Self {
            bias: mean(&|check| check.error.mean),
            mean_absolute: mean(&|check| check.error.mean.abs()),
            root_mean_square: mean(&|check| check.error.mean.powi(2)).sqrt(),
            worst: (checks.iter())
                .fold(0.0, |worst, check| f64::max(worst, check.error.mean.abs())),
            mean_standard_error: mean(&|check| check.measured.standard_error),
            within_two_errors: mean(&|check| f64::from(u8::from(is_within(check)))),
            checks,
        })
    }
}

/// Leaves out each step count that has measured ones on both sides of its curve.
pub fn leave_one_out(material: &Material<'_>) -> Option<Checks> {
    let objective = material.objective;
    let mut checks = Vec::new();
    for curve in curves(&material.profile.cells) {
        for place in 1..curve.len().saturating_sub(1) {
            let others = curve.iter().enumerate().filter(|(i, _)| *i != place);
            let others: Vec<Cell> = others.map(|(_, cell)| (*cell).clone()).collect();
            let left_out = curve[place];
            let predictions = Predictions::new(material.family, &others);
            let Some(predicted) = predictions.sample(&left_out.plan, objective) else {
                continue;
            };
            let measured = Sample::of(left_out, objective);
            checks.push(Check {
                plan: left_out.plan.clone(),
                measured: measured.estimate(),
                error: Difference::paired(&predicted, &measured),
            });
        }
    }
    Checks::of(checks)
}

/// Predicts held-out measurements, which are of other captions: the errors do not pair. Where the step
/// count was measured too, this shows what other captions do alone.
pub fn held_out(material: &Material<'_>) -> Option<Checks> {
    let predictions = Predictions::new(material.family, &material.profile.cells);
    let check = |cell: &Cell| {
        let predicted = predictions.sample(&cell.plan, material.objective)?;
        let measured = Sample::of(cell, material.objective);
        Some(Check {
            plan: cell.plan.clone(),
            measured: measured.estimate(),
            error: Difference::unpaired(&predicted, &measured),
        })
    };
    Checks::of(material.profile.held_out.iter().filter_map(check).collect())
}

/// Cells that differ in their step count alone, by rising steps.
fn curves(cells: &[Cell]) -> Vec<Vec<&Cell>> {
    let mut curves: Vec<Vec<&Cell>> = Vec::new();
    for cell in cells {
        let is_alike = |other: &Cell| {
            let alike = Plan {
                steps: cell.plan.steps,
                ..other.plan.clone()
            };
            alike == cell.plan
        };
        match curves.iter_mut().find(|curve| is_alike(curve[0])) {
            Some(curve) => curve.push(cell),
            None => curves.push(vec![cell]),
        }
    }
    for curve in &mut curves {
        curve.sort_by_key(|cell| cell.plan.steps);
    }
    curves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calibrate::findings::fixture::{cell, material, profile},
        planner::test_family::family,
    };

    #[test]
    fn a_straight_curve_is_predicted_exactly_and_a_kink_is_told() {
        // Straight in the logarithm of the steps.
        let cells = [1, 2, 4, 8]
            .map(|steps: u32| cell("small", steps, 0.1 * f64::from(steps.ilog2()) + 0.2));
        let (family, straight) = (family(), profile(&cells));
        let checks = leave_one_out(&material(&family, &straight)).unwrap();
        assert_eq!(checks.checks.len(), 2);
        assert!(checks.worst < 1e-9, "{checks:?}");
        let mut kinked = straight;
        kinked.cells[1] = cell("small", 2, 0.5);
        let checks = leave_one_out(&material(&family, &kinked)).unwrap();
        assert!(checks.worst > 0.1, "{checks:?}");
        assert!(checks.within_two_errors < 1.0);
    }

    #[test]
    fn held_out_measurements_are_predicted_from_the_others() {
        let mut profile = profile(&[cell("small", 2, 0.3), cell("small", 8, 0.5)]);
        profile.held_out = vec![cell("small", 4, 0.45), cell("large", 4, 0.4)];
        let family = family();
        let checks = held_out(&material(&family, &profile)).unwrap();
        assert_eq!(
            checks.checks.len(),
            1,
            "nothing is predicted of the large model"
        );
        assert!((checks.bias + 0.05).abs() < 1e-9, "{checks:?}");
    }
}
