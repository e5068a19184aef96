//! What do measured plans say of any plan? The planner's own numbers, for those who check them.

use super::{
    budget::Objective,
    plan::{Plan, ScoreEstimate},
    profile::Cell,
    scores::{ScoreTable, standard_deviation},
};
use crate::{catalog::Family, units::ImageSize};

/// A score and what it might have been.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The mean over captions, in [0, 1].
    pub mean: f64,
    /// Bootstrap replicates. Replicate `i` draws the same captions in every sample of one measurement.
    pub replicates: Vec<f64>,
}

impl Sample {
    /// One score of a measured plan.
    pub fn of(cell: &Cell, objective: Objective) -> Self {
        let both = cell
            .replicates
            .alignment
            .iter()
            .zip(&cell.replicates.fidelity);
        let one = |(&alignment, &fidelity): (&f32, &f32)| match objective {
            Objective::Alignment => f64::from(alignment),
            Objective::Fidelity => f64::from(fidelity),
            Objective::Balanced => f64::midpoint(f64::from(alignment), f64::from(fidelity)),
        };
        let estimate = match objective {
            Objective::Alignment => cell.alignment,
            Objective::Fidelity => cell.fidelity,
            Objective::Balanced => cell.balanced,
        };
        Self {
            mean: estimate.mean,
            replicates: both.map(one).collect(),
        }
    }

    /// This plus another of the same measurement, replicate by replicate.
    pub(super) fn plus(&self, other: &Self) -> Self {
        let pairs = self.replicates.iter().zip(&other.replicates);
        Self {
            mean: self.mean + other.mean,
            replicates: pairs.map(|(one, other)| one + other).collect(),
        }
    }

    /// This less another of the same measurement, replicate by replicate.
    pub(super) fn minus(&self, other: &Self) -> Self {
        self.plus(&other.times(-1.0))
    }

    /// This, scaled.
    pub(super) fn times(&self, factor: f64) -> Self {
        Self {
            mean: self.mean * factor,
            replicates: self.replicates.iter().map(|one| one * factor).collect(),
        }
    }

    /// The mean with the spread of the replicates.
    pub fn estimate(&self) -> ScoreEstimate {
        ScoreEstimate {
            mean: self.mean,
            standard_error: standard_deviation(self.replicates.iter().copied()),
        }
    }
}

/// Measured scores of a family, and interpolated ones at every step count in between.
#[derive(Debug, Clone)]
pub struct Predictions<'f> {
    family: &'f Family,
    scores: ScoreTable,
}

impl<'f> Predictions<'f> {
    /// Tabulates what `cells` say of the family's models, each with as many replicates as the first one.
    pub fn new(family: &'f Family, cells: &[Cell]) -> Self {
        let n_replicates = cells
            .first()
            .map_or(0, |cell| cell.replicates.alignment.len());
        Self {
            family,
            scores: ScoreTable::of_cells(family, cells.iter(), n_replicates),
        }
    }

    /// Returns what is predicted of a plan; none if it lies neither at nor between measured step counts.
    pub fn sample(&self, plan: &Plan, objective: Objective) -> Option<Sample> {
        let row = self.scores.row_of(self.family, plan)?;
        Some(self.scores.sample(row, objective))
    }

    /// Every plan without stages, interval and candidates that something is predicted of.
    pub fn plain_plans(&self, size: ImageSize) -> impl Iterator<Item = Plan> + '_ {
        let plain = self
            .scores
            .curves
            .iter()
            .filter(|curve| curve.variant.is_none());
        plain.flat_map(move |curve| {
            curve.steps().map(move |steps| {
                let model = self.family.models[curve.model].id.clone();
                Plan::plain(model, curve.sampler, steps, curve.guidance_scale, size)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::test_family::{cell, family};

    #[test]
    fn a_measured_plan_is_predicted_as_measured_and_one_beyond_not_at_all() {
        let cells = [cell(2, 0.3), cell(8, 0.7)];
        let family = family();
        let predictions = Predictions::new(&family, &cells);
        let measured = predictions
            .sample(&cells[0].plan, Objective::Balanced)
            .unwrap();
        assert!((measured.mean - 0.4).abs() < 1e-12);
        assert!((measured.estimate().standard_error - 0.1 / 2f64.sqrt()).abs() < 1e-6);
        assert_eq!(
            Sample::of(&cells[0], Objective::Balanced).mean,
            measured.mean
        );
        let between = predictions
            .sample(&cell(4, 0.0).plan, Objective::Alignment)
            .unwrap();
        assert!(
            (between.mean - 0.5).abs() < 1e-9,
            "half way in the logarithm of the steps"
        );
        assert_eq!(
            predictions.sample(&cell(16, 0.0).plan, Objective::Balanced),
            None
        );
        let steps: Vec<u32> = predictions
            .plain_plans(cells[0].plan.size)
            .map(|p| p.steps)
            .collect();
        assert_eq!(steps, [2, 3, 4, 5, 6, 7, 8]);
    }
}
