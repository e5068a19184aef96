//! Which model takes which step? Trajectory stitching (Pan et al., T-Stitch, arXiv 2402.14167): small
//! models take the first, easy steps and larger ones finish, in one latent space and without training.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{catalog::ModelId, units::Steps};

/// A model that takes its share of a trajectory's steps before another one goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// The model.
    #[schema(value_type = String, example = "emoji-c8")]
    pub model: ModelId,
    /// Its share of the steps, above 0 and below 1.
    #[schema(example = 0.4)]
    pub share: f64,
}

/// Returns how many steps each stage takes, in order, and last how many are left for the model that
/// finishes: the first stages together take `round(share * steps)`, as the paper counts. A share may
/// be too small for a step of its own.
pub fn steps_of(stages: &[Stage], steps: Steps) -> Vec<Steps> {
    let mut share = 0.0;
    let mut taken = 0;
    let mut counts = Vec::with_capacity(stages.len() + 1);
    for stage in stages {
        share += stage.share;
        let until = ((share * f64::from(steps)).round() as Steps).clamp(taken, steps);
        counts.push(until - taken);
        taken = until;
    }
    counts.push(steps - taken);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(shares: &[f64]) -> Vec<Stage> {
        let stage = |share: &f64| Stage {
            model: ModelId("toy".into()),
            share: *share,
        };
        shares.iter().map(stage).collect()
    }

    #[test]
    fn one_model_takes_every_step() {
        assert_eq!(steps_of(&[], 7), [7]);
    }

    #[test]
    fn the_small_model_takes_its_rounded_share_first() {
        assert_eq!(steps_of(&stages(&[0.4]), 10), [4, 6]);
        assert_eq!(steps_of(&stages(&[0.4]), 4), [2, 2]);
        assert_eq!(steps_of(&stages(&[0.4]), 1), [0, 1]);
        assert_eq!(steps_of(&stages(&[0.9]), 2), [2, 0]);
    }

    #[test]
    fn shares_are_rounded_together_so_that_no_step_is_lost() {
        for steps in 1..=50 {
            let counts = steps_of(&stages(&[0.33, 0.33]), steps);
            assert_eq!(counts.iter().sum::<Steps>(), steps);
            let first_two = f64::from(counts[0] + counts[1]);
            assert!((first_two - 0.66 * f64::from(steps)).abs() <= 0.5 + 1e-9);
        }
    }
}
