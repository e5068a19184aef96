//! What is a plan worth that was shortened on its way? Told beside the plan in full, which drew more captions.

use super::score::{estimate, rounded};
use crate::planner::profile::{Cell, Replicates};

/// Restates a shortened plan's scores: those of the plan in full, `planned`, plus the paired difference on the
/// captions that both drew, of which `beside` is the plan in full. So the luck of having drawn few captions, which both
/// share, is in neither (a control variate with coefficient one).
pub(super) fn restated(shortened: Cell, beside: &Cell, planned: &Cell) -> Cell {
    let mean = |of: fn(&Cell) -> f64| shift(of(&shortened), of(beside), of(planned));
    let (alignment, fidelity) = (
        mean(|cell| cell.alignment.mean),
        mean(|cell| cell.fidelity.mean),
    );
    let replicates = Replicates {
        alignment: shifted(&shortened, beside, planned, |cell| {
            &cell.replicates.alignment
        }),
        fidelity: shifted(&shortened, beside, planned, |cell| {
            &cell.replicates.fidelity
        }),
    };
    let both = replicates.alignment.iter().zip(&replicates.fidelity);
    let balanced: Vec<f32> = both.map(|(a, f)| f32::midpoint(*a, *f)).collect();
    Cell {
        alignment: estimate(alignment, &replicates.alignment),
        fidelity: estimate(fidelity, &replicates.fidelity),
        balanced: estimate(f64::midpoint(alignment, fidelity), &balanced),
        replicates,
        ..shortened
    }
}

fn shift(shortened: f64, beside: f64, planned: f64) -> f64 {
    rounded((planned + shortened - beside).clamp(0.0, 1.0))
}

fn shifted(
    shortened: &Cell,
    beside: &Cell,
    planned: &Cell,
    of: fn(&Cell) -> &Vec<f32>,
) -> Vec<f32> {
    let pairs = of(shortened).iter().zip(of(beside)).zip(of(planned));
    pairs
        .map(|((s, b), p)| shift(f64::from(*s), f64::from(*b), f64::from(*p)) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{calibrate::findings::fixture, planner::ScoreEstimate};

    fn cell(mean: f64, replicates: [f32; 2]) -> Cell {
        let score = ScoreEstimate {
            mean,
            standard_error: 0.0,
        };
        Cell {
            alignment: score,
            fidelity: score,
            balanced: score,
            replicates: Replicates {
                alignment: replicates.to_vec(),
                fidelity: replicates.to_vec(),
            },
            ..fixture::cell("toy", 8, mean)
        }
    }

    #[test]
    fn few_captions_that_were_hard_for_both_do_not_make_shortening_look_dear() {
        let (beside, planned) = (cell(0.6, [0.5, 0.7]), cell(0.8, [0.7, 0.9]));
        let told = restated(cell(0.55, [0.45, 0.65]), &beside, &planned);
        assert!((told.balanced.mean - 0.75).abs() < 1e-9, "{told:?}");
        let expected = [0.65, 0.85];
        for (replicate, expected) in told.replicates.fidelity.iter().zip(expected) {
            assert!((f64::from(*replicate) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn a_score_stays_a_share() {
        let told = restated(
            cell(0.9, [0.9, 0.9]),
            &cell(0.5, [0.5, 0.5]),
            &cell(0.8, [0.8, 0.8]),
        );
        assert_eq!(told.balanced.mean, 1.0);
        assert_eq!(told.replicates.alignment, [1.0, 1.0]);
    }
}
