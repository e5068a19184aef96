//! What is each measured plan worth? Assessments of pictures to the cells of a profile.

use std::borrow::Cow;

use super::{
    bootstrap::{self, standard_error},
    captions::EvaluationCaption,
    reference::Sample,
    sweep::Measured,
};
use crate::{
    evaluator::{
        Assessment, Attributes, Features, alignment,
        cmmd::{self, Cmmd},
        frechet,
    },
    planner::{
        ScoreEstimate,
        profile::{Cell, ReferenceRow, Replicates},
    },
};

/// Turns assessments into scores, all against the same real pictures.
#[derive(Debug)]
pub struct Scorer<'a> {
    captions: &'a [EvaluationCaption],
    accepted: &'a [String],
    reference: cmmd::Reference,
    /// As many real pictures as every plan has at least: the Frechet distance is biased by their number,
    /// so all of them are compared at this one.
    equal_reference: Features,
    draws: Vec<Vec<f64>>,
}

impl<'a> Scorer<'a> {
    /// Takes the captions that were drawn, of which every plan has the first `n_equal` at least, the
    /// questions that count, and features of real pictures.
    pub fn new(
        captions: &'a [EvaluationCaption],
        n_equal: usize,
        accepted: &'a [String],
        reference: Features,
        bandwidth: f64,
    ) -> Self {
        Self {
            captions,
            accepted,
            equal_reference: reference.first(n_equal.min(captions.len())),
            reference: cmmd::Reference::new(reference, bandwidth),
            draws: bootstrap::draws(captions.len()),
        }
    }

    /// The CMMD of a plan's pictures, which as the anchor's is the denominator of every fidelity.
    pub fn cmmd(&self, assessments: &[Assessment]) -> f64 {
        self.reference.compare(&features(assessments)).value()
    }

    /// Scores one plan.
    pub fn cell(&self, measured: &Measured, anchor_cmmd: f64) -> Cell {
        let features = features(&measured.assessments);
        let cmmd = self.reference.compare(&features);
        let verdicts = self.verdicts(measured.assessments.iter().map(|seen| &seen.attributes));
        let fidelity = |cmmd: f64| (1.0 - cmmd / anchor_cmmd).clamp(0.0, 1.0);
        let replicates = self.replicates(&verdicts, &cmmd, fidelity);
        let (alignment, fidelity) = (alignment::share(&verdicts), fidelity(cmmd.value()));
        let both = replicates.alignment.iter().zip(&replicates.fidelity);
        let balanced: Vec<f32> = both.map(|(a, f)| f32::midpoint(*a, *f)).collect();
        Cell {
            plan: measured.trial.plan.clone(),
            n: measured.assessments.len(),
            alignment: estimate(alignment, &replicates.alignment),
            fidelity: estimate(fidelity, &replicates.fidelity),
            balanced: estimate(f64::midpoint(alignment, fidelity), &balanced),
            cmmd: Some(rounded(cmmd.value())),
            frechet: Some(self.frechet(&features)),
            distance: None,
            replicates,
        }
    }

    /// Scores as many pictures that no plan made as there are captions.
    pub fn row(&self, sample: &Sample) -> ReferenceRow {
        let features = Features::from_rows(sample.features.iter().map(Vec::as_slice))
            .first(self.captions.len());
        ReferenceRow {
            alignment: rounded(sample.alignment),
            cmmd: rounded(self.reference.compare(&features).value()),
            frechet: self.frechet(&features),
            n: features.len(),
        }
    }

    fn frechet(&self, features: &Features) -> f64 {
        let equal = features.first(self.equal_reference.len());
        rounded(frechet::distance(&equal, &self.equal_reference))
    }

    fn verdicts<'s>(&self, seen: impl Iterator<Item = &'s Attributes>) -> Vec<bool> {
        let pairs = self.captions.iter().zip(seen);
        pairs
            .map(|(caption, seen)| alignment::holds(&caption.attributes, seen, self.accepted))
            .collect()
    }

    fn replicates(
        &self,
        verdicts: &[bool],
        cmmd: &Cmmd,
        fidelity: impl Fn(f64) -> f64,
    ) -> Replicates {
        let score = |value: f64| (value * 1e4).round() as f32 / 1e4;
        // A plan that drew fewer captions is resampled by what each draw says of those: plans stay paired.
        let n = verdicts.len();
        let draws = || self.draws.iter().map(|counts| of_first(counts, n));
        let alignments = draws().map(|counts| score(alignment::weighted_share(verdicts, &counts)));
        let fidelities = draws().map(|counts| score(fidelity(cmmd.weighted(&counts))));
        Replicates {
            alignment: alignments.collect(),
            fidelity: fidelities.collect(),
        }
    }
}

/// What a draw says of the first `n` captions. One that leaves fewer than two different ones tells nothing
/// of them: the sample as it is stands in.
fn of_first(counts: &[f64], n: usize) -> Cow<'_, [f64]> {
    let first = &counts[..n];
    let n_different = first.iter().filter(|count| **count > 0.0).count();
    if n_different < 2 {
        return vec![1.0; n].into();
    }
    first.into()
}

fn features(assessments: &[Assessment]) -> Features {
    Features::from_rows(
        assessments
            .iter()
            .map(|assessment| assessment.features.as_slice()),
    )
}

pub(super) fn estimate(mean: f64, replicates: &[f32]) -> ScoreEstimate {
    let replicates: Vec<f64> = replicates.iter().map(|&value| f64::from(value)).collect();
    ScoreEstimate {
        mean: rounded(mean),
        standard_error: rounded(standard_error(&replicates)),
    }
}

/// Six decimals: a hundredth of what 256 pictures can tell, and a profile that reads well.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::{ModelId, SamplerKind},
        planner::Plan,
    };

    const N: usize = 60;

    fn captions() -> Vec<EvaluationCaption> {
        let caption = |i: usize| EvaluationCaption {
            text: "a dog".into(),
            seed: i as u64,
            attributes: Attributes::from([("object".into(), "dog".into())]),
        };
        (0..N).map(caption).collect()
    }

    /// Pictures whose features lie `shift` from those of real ones, the first `wrong` of them without a dog.
    fn assessments(shift: f32, wrong: usize) -> Vec<Assessment> {
        let assessment = |i: usize| {
            let seen = if i < wrong { "cat" } else { "dog" };
            let spread = |factor: f32| (i as f32 * factor).sin();
            Assessment {
                features: vec![spread(1.7) + shift, spread(2.9), spread(0.7) - shift],
                attributes: Attributes::from([("object".into(), seen.into())]),
            }
        };
        (0..N).map(assessment).collect()
    }

    fn measured(shift: f32, wrong: usize) -> Measured {
        let (model, size) = (ModelId("toy".into()), "64x64".parse().unwrap());
        Measured {
            trial: Plan::plain(model, SamplerKind::Ddim, 4, 1.0, size).into(),
            assessments: assessments(shift, wrong),
        }
    }

    fn with_scorer<T>(ask: impl FnOnce(&Scorer<'_>) -> T) -> T {
        let (captions, accepted) = (captions(), ["object".to_owned()]);
        let reference = features(&assessments(0.0, 0));
        let bandwidth = cmmd::median_bandwidth(&reference);
        ask(&Scorer::new(&captions, N, &accepted, reference, bandwidth))
    }

    #[test]
    fn the_anchor_has_no_fidelity_and_real_pictures_have_all_of_it() {
        with_scorer(|scorer| {
            let anchor = scorer.cmmd(&assessments(2.0, N));
            assert_eq!(scorer.cell(&measured(2.0, N), anchor).fidelity.mean, 0.0);
            let real = scorer.cell(&measured(0.0, 0), anchor);
            assert_eq!(
                (real.fidelity.mean, real.alignment.mean, real.balanced.mean),
                (1.0, 1.0, 1.0)
            );
            assert!(real.frechet.unwrap() < 1e-6);
        });
    }

    #[test]
    fn scores_fall_as_pictures_leave_the_real_ones_and_errors_are_those_of_shares() {
        with_scorer(|scorer| {
            let anchor = scorer.cmmd(&assessments(2.0, N));
            let near = scorer.cell(&measured(0.3, N / 2), anchor);
            let far = scorer.cell(&measured(0.8, N / 2), anchor);
            assert!(near.fidelity.mean > far.fidelity.mean);
            assert!(near.frechet < far.frechet && near.cmmd < far.cmmd);
            assert_eq!(near.alignment.mean, 0.5);
            let expected = (0.25 / N as f64).sqrt();
            let ratio = near.alignment.standard_error / expected;
            assert!((0.75..1.25).contains(&ratio), "{ratio}");
        });
    }

    #[test]
    fn a_draw_that_leaves_too_few_of_the_first_captions_is_replaced_by_the_sample() {
        assert_eq!(*of_first(&[2.0, 0.0, 1.0, 1.0], 3), [2.0, 0.0, 1.0]);
        assert_eq!(*of_first(&[3.0, 0.0, 0.0, 1.0], 3), [1.0; 3]);
    }

    #[test]
    fn every_cell_resamples_the_same_captions() {
        with_scorer(|scorer| {
            let one = scorer.cell(&measured(0.3, 20), 1.0);
            let other = scorer.cell(&measured(0.8, 20), 1.0);
            assert_eq!(one.replicates.alignment, other.replicates.alignment);
            assert_eq!(one.replicates.alignment.len(), bootstrap::REPLICATES);
        });
    }
}
