//! What do distances say about a plan, and how surely?
//!
//! The distance of a picture is |x - r| / |r|, with x its latents and r those of the dearest plan. Relative,
//! because prompts differ in contrast and families in the scale of their latents: every picture counts
//! the same, and no unit is left. Not squared, so that a few pictures that turned out as other scenes do
//! not decide. Not of directions alone, because too much or too little contrast is a fault as well. In
//! latents rather than pixels: nothing needs to be decoded, and the autoencoder has already thrown away
//! what eyes do not see.
//!
//! What it cannot see: a sharp picture of another scene is farther away than a blurred one of the same
//! scene. So it compares plans that draw the same scene, as sizes and step counts of one family do, and
//! is unfair to models that go ways of their own from the same noise.

use anyhow::{Result, ensure};

use crate::{
    calibrate::{
        bootstrap,
        score::{estimate, rounded},
        sweep::Measured,
    },
    evaluator::Assessment,
    planner::profile::{Cell, Replicates},
};

/// Returns |x - r| / |r|.
pub(super) fn distance(x: &[f32], r: &[f32]) -> Result<f64> {
    ensure!(
        x.len() == r.len(),
        "there are {} latents of one and {} of the other",
        x.len(),
        r.len()
    );
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let norm = squares(&mut r.iter().map(|&r| f64::from(r)));
    let apart = squares(&mut x.iter().zip(r).map(|(&x, &r)| f64::from(x) - f64::from(r)));
    let distance = (apart / norm).sqrt();
    ensure!(distance.is_finite(), "the latents are zero or not finite");
    Ok(distance)
}

/// Turns distances into scores: fidelity = 1 - mean distance / mean distance of the anchor, clipped to
/// [0, 1]. Both means are resampled with the same captions, so that the anchor scores 0 and the dearest
/// plan 1 without error.
#[derive(Debug)]
pub(super) struct Scorer {
    anchor: Vec<f64>,
    draws: Vec<Vec<f64>>,
}

impl Scorer {
    /// Takes the anchor's distances, one for each caption.
    pub(super) fn new(anchor: &[Assessment]) -> Self {
        Self {
            anchor: distances(anchor),
            draws: bootstrap::draws(anchor.len()),
        }
    }

    /// The anchor's mean distance.
    pub(super) fn anchor_distance(&self) -> f64 {
        rounded(mean(&self.anchor))
    }

    /// Scores one plan.
    pub(super) fn cell(&self, measured: &Measured) -> Cell {
        let own = distances(&measured.assessments);
        let fidelity = |own: f64, anchor: f64| (1.0 - own / anchor).clamp(0.0, 1.0);
        let resampled = |counts: &Vec<f64>| {
            let score = fidelity(weighted(&own, counts), weighted(&self.anchor, counts));
            (score * 1e4).round() as f32 / 1e4
        };
        let replicates: Vec<f32> = self.draws.iter().map(resampled).collect();
        let score = estimate(fidelity(mean(&own), mean(&self.anchor)), &replicates);
        Cell {
            plan: measured.trial.plan.clone(),
            n: own.len(),
            alignment: score,
            fidelity: score,
            balanced: score,
            cmmd: None,
            frechet: None,
            distance: Some(rounded(mean(&own))),
            replicates: Replicates {
                alignment: replicates.clone(),
                fidelity: replicates,
            },
        }
    }
}

fn distances(assessments: &[Assessment]) -> Vec<f64> {
    let numbers = assessments
        .iter()
        .flat_map(|assessment| &assessment.features);
    numbers.map(|&distance| f64::from(distance)).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn weighted(values: &[f64], counts: &[f64]) -> f64 {
    let total: f64 = values.iter().zip(counts).map(|(v, n)| v * n).sum();
    total / counts.iter().sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calibrate::bootstrap::standard_error,
        catalog::{ModelId, SamplerKind},
        evaluator::Attributes,
        planner::Plan,
    };

    const N: usize = 64;

    /// A plan whose distances are these.
    fn measured(distance: impl Fn(usize) -> f32) -> Measured {
        let (model, size) = (ModelId("toy".into()), "64x64".parse().unwrap());
        let assessment = |i| Assessment {
            features: vec![distance(i)],
            attributes: Attributes::new(),
        };
        Measured {
            trial: Plan::plain(model, SamplerKind::Ddim, 4, 1.0, size).into(),
            assessments: (0..N).map(assessment).collect(),
        }
    }

    /// Some captions are harder than others for every plan.
    fn hardness(i: usize) -> f32 {
        1.0 + 0.5 * (i as f32 * 1.7).sin()
    }

    #[test]
    fn a_distance_is_relative_to_the_dearest_picture() {
        let r = [3.0, 0.0, 4.0];
        assert_eq!(distance(&r, &r).unwrap(), 0.0);
        assert_eq!(distance(&[0.0; 3], &r).unwrap(), 1.0);
        assert_eq!(distance(&[3.0, 5.0, 4.0], &r).unwrap(), 1.0);
        let (x, scaled) = ([2.0, 1.0, 4.5], [20.0, 10.0, 45.0]);
        let apart = distance(&x, &r).unwrap() - distance(&scaled, &[30.0, 0.0, 40.0]).unwrap();
        assert!(apart.abs() < 1e-12, "scales do not matter: {apart}");
        assert!(distance(&x, &[0.0; 3]).is_err() && distance(&x[1..], &r).is_err());
    }

    #[test]
    fn the_dearest_plan_scores_one_and_the_anchor_zero_without_error() {
        let anchor = measured(hardness);
        let scorer = Scorer::new(&anchor.assessments);
        for (plan, expected) in [(anchor, 0.0), (measured(|_| 0.0), 1.0)] {
            let cell = scorer.cell(&plan);
            assert_eq!(cell.fidelity.mean, expected);
            assert_eq!(cell.fidelity.standard_error, 0.0);
            assert_eq!(
                (cell.balanced, cell.alignment),
                (cell.fidelity, cell.fidelity)
            );
        }
    }

    #[test]
    fn a_plan_that_is_surely_closer_differs_by_more_than_its_paired_error() {
        let scorer = Scorer::new(&measured(|_| 1.5).assessments);
        // Both vary with the captions by far more than they differ.
        let near = scorer.cell(&measured(|i| 0.50 * hardness(i)));
        let far = scorer.cell(&measured(|i| 0.52 * hardness(i)));
        let pairs = near
            .replicates
            .fidelity
            .iter()
            .zip(&far.replicates.fidelity);
        let paired = standard_error(&pairs.map(|(a, b)| f64::from(a - b)).collect::<Vec<_>>());
        let gain = near.fidelity.mean - far.fidelity.mean;
        assert!(gain > 3.0 * paired, "{gain} against {paired}");
        assert!(near.fidelity.standard_error > 3.0 * paired);
        assert!((near.distance.unwrap() - 0.5).abs() < 0.05, "{near:?}");
    }

    #[test]
    fn plans_farther_away_than_the_anchor_score_nothing() {
        let scorer = Scorer::new(&measured(hardness).assessments);
        let cell = scorer.cell(&measured(|i| 1.4 * hardness(i)));
        assert_eq!(cell.fidelity.mean, 0.0);
    }
}
