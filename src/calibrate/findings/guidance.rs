//! Which guidance scale is best, for each size and step count? (arXiv 2404.01367, figure 8.)

use serde::Serialize;

use super::{
    difference::Difference,
    measured::{Measured, Pricer},
};
use crate::{catalog::SamplerKind, planner::ScoreEstimate, units::Steps};

/// One model's scores by steps and guidance scale.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GuidanceGrid {
    /// The model.
    pub model: String,
    /// The sampler.
    pub sampler: SamplerKind,
    /// The guidance scales, rising.
    pub scales: Vec<f64>,
    /// One for each step count, rising.
    pub rows: Vec<GuidanceRow>,
}

/// One step count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GuidanceRow {
    /// The step count.
    pub steps: Steps,
    /// One score for each scale; none where it was not measured.
    pub scores: Vec<Option<ScoreEstimate>>,
    /// The scale with the highest score.
    pub best_scale: f64,
    /// By how much it is ahead of the next best; none if there is no other.
    pub lead: Option<Difference>,
}

/// The grids of the undistilled models at two or more scales, smallest model first.
pub fn grids(plans: &[Measured<'_>], pricer: &Pricer<'_>) -> Vec<GuidanceGrid> {
    let mut plain: Vec<&Measured<'_>> = (plans.iter())
        .filter(|plan| plan.plan().is_plain() && !plan.is_distilled)
        .collect();
    let key = |plan: &Measured<'_>| (pricer.rank(&plan.plan().model.0), plan.plan().sampler);
    plain.sort_by_key(|plan| (key(plan), plan.plan().steps));
    let grids = plain.chunk_by(|a, b| key(a) == key(b)).map(grid);
    grids.filter(|grid| grid.scales.len() > 1).collect()
}

fn grid(plans: &[&Measured<'_>]) -> GuidanceGrid {
    let mut scales: Vec<f64> = plans
        .iter()
        .map(|plan| plan.plan().guidance_scale)
        .collect();
    scales.sort_by(f64::total_cmp);
    scales.dedup();
    let rows = plans.chunk_by(|a, b| a.plan().steps == b.plan().steps);
    GuidanceGrid {
        model: plans[0].plan().model.0.clone(),
        sampler: plans[0].plan().sampler,
        rows: rows.map(|row| guidance_row(row, &scales)).collect(),
        scales,
    }
}

fn guidance_row(plans: &[&Measured<'_>], scales: &[f64]) -> GuidanceRow {
    let mut ranked = plans.to_vec();
    ranked.sort_by(|a, b| b.sample.mean.total_cmp(&a.sample.mean));
    let at = |scale: &f64| {
        plans
            .iter()
            .find(|plan| plan.plan().guidance_scale == *scale)
    };
    GuidanceRow {
        steps: plans[0].plan().steps,
        scores: (scales.iter())
            .map(|scale| Some(at(scale)?.sample.estimate()))
            .collect(),
        best_scale: ranked[0].plan().guidance_scale,
        lead: (ranked.get(1)).map(|next| Difference::paired(&ranked[0].sample, &next.sample)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calibrate::findings::{
            fixture::{cell, material, profile},
            measured::measured,
        },
        planner::{Objective, profile::Cell, test_family::family},
    };

    #[test]
    fn the_best_scale_is_found_for_each_step_count_and_gaps_stay_gaps() {
        let guided = |steps, scale, score| {
            let mut cell: Cell = cell("small", steps, score);
            cell.plan.guidance_scale = scale;
            cell
        };
        let cells = [
            guided(4, 2.0, 0.5),
            guided(4, 8.0, 0.3),
            guided(16, 2.0, 0.6),
            guided(16, 4.0, 0.7),
        ];
        let (family, profile) = (family(), profile(&cells));
        let pricer = Pricer::new(&material(&family, &profile));
        let plans = measured(&pricer, &profile.cells, Objective::Balanced);
        let grids = grids(&plans, &pricer);
        assert_eq!(grids.len(), 1);
        assert_eq!(grids[0].scales, [2.0, 4.0, 8.0]);
        let best: Vec<f64> = grids[0].rows.iter().map(|row| row.best_scale).collect();
        assert_eq!(best, [2.0, 4.0]);
        assert_eq!(grids[0].rows[0].scores[1], None);
        assert!((grids[0].rows[0].lead.unwrap().mean - 0.2).abs() < 1e-12);
    }
}
