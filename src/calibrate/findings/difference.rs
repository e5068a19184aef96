//! Is one plan better than another? The difference of their scores, paired by caption.

use serde::Serialize;

use crate::{calibrate::bootstrap::standard_error, planner::Sample};

/// A difference of two scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// The first one minus the second one.
    pub mean: f64,
    /// Standard error of the difference.
    pub standard_error: f64,
}

/// What a difference says at two standard errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The first one is better.
    Wins,
    /// It cannot be told.
    Ties,
    /// The first one is worse.
    Loses,
}

impl Verdict {
    /// As a word of a sentence.
    pub fn word(self) -> &'static str {
        match self {
            Self::Wins => "wins",
            Self::Ties => "ties",
            Self::Loses => "loses",
        }
    }
}

impl Difference {
    /// `one` minus `other`, both measured on the same captions: the error is that of the paired difference.
    pub fn paired(one: &Sample, other: &Sample) -> Self {
        let pairs = one.replicates.iter().zip(&other.replicates);
        let differences: Vec<f64> = pairs.map(|(a, b)| a - b).collect();
        Self {
            mean: one.mean - other.mean,
            standard_error: standard_error(&differences),
        }
    }

    /// `one` minus `other`, measured on different captions: their errors add in squares.
    pub fn unpaired(one: &Sample, other: &Sample) -> Self {
        let (a, b) = (one.estimate(), other.estimate());
        Self {
            mean: a.mean - b.mean,
            standard_error: a.standard_error.hypot(b.standard_error),
        }
    }

    /// Wins or loses by more than two standard errors, or ties.
    pub fn verdict(self) -> Verdict {
        if self.mean > 2.0 * self.standard_error {
            Verdict::Wins
        } else if self.mean < -2.0 * self.standard_error {
            Verdict::Loses
        } else {
            Verdict::Ties
        }
    }

    /// Whether it is above zero by more than one standard error: what lets a dearer plan on the frontier.
    pub fn is_progress(self) -> bool {
        self.mean > 0.0 && self.mean > self.standard_error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(mean: f64, replicates: &[f64]) -> Sample {
        Sample {
            mean,
            replicates: replicates.to_vec(),
        }
    }

    #[test]
    fn what_two_plans_share_does_not_blur_their_difference() {
        let one = sample(0.52, &[0.42, 0.52, 0.62]);
        let other = sample(0.50, &[0.40, 0.50, 0.60]);
        let paired = Difference::paired(&one, &other);
        assert!(paired.standard_error < 1e-9, "{paired:?}");
        assert_eq!(paired.verdict(), Verdict::Wins);
        let unpaired = Difference::unpaired(&one, &other);
        assert!((unpaired.standard_error - 0.1 * 2f64.sqrt()).abs() < 1e-9);
        assert_eq!(unpaired.verdict(), Verdict::Ties);
    }

    #[test]
    fn a_verdict_takes_two_standard_errors_and_progress_one() {
        let difference = |mean| Difference {
            mean,
            standard_error: 0.01,
        };
        assert_eq!(difference(-0.021).verdict(), Verdict::Loses);
        assert_eq!(difference(0.015).verdict(), Verdict::Ties);
        assert!(difference(0.015).is_progress());
        assert!(!difference(0.009).is_progress());
        assert!(!difference(-0.03).is_progress());
    }
}
