//! What does it cost to shorten a picture on its way?

use serde::Serialize;

use super::{Material, difference::Difference};
use crate::{
    planner::{Plan, Predictions, Sample, ScoreEstimate, profile::Rush},
    units::Steps,
};

/// A shortened plan against the plan as it was begun, and against a fresh one of as many steps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RushTrial {
    /// The plan as it was begun.
    pub plan: Plan,
    /// Where it was shortened.
    pub rush: Rush,
    /// Steps it took in all.
    pub steps: Steps,
    /// What came out.
    pub score: ScoreEstimate,
    /// Shortened minus planned; none if the plan was not measured.
    pub against_planned: Option<Difference>,
    /// Shortened minus a plan of as many steps from the start; none if nothing is known of it.
    pub against_fresh: Option<Difference>,
}

/// Every shortened plan of the profile.
pub fn trials(material: &Material<'_>) -> Vec<RushTrial> {
    let predictions = Predictions::new(material.family, &material.profile.cells);
    let objective = material.objective;
    let trial = |rushed: &crate::planner::profile::RushCell| {
        let (plan, rush) = (&rushed.cell.plan, rushed.rush);
        let sample = Sample::of(&rushed.cell, objective);
        let against = |plan: &Plan| {
            let other = predictions.sample(plan, objective)?;
            Some(Difference::paired(&sample, &other))
        };
        let steps = rush.after + rush.then;
        let fresh = Plan {
            steps,
            ..plan.clone()
        };
        RushTrial {
            plan: plan.clone(),
            rush,
            steps,
            score: sample.estimate(),
            against_planned: against(plan),
            against_fresh: against(&fresh),
        }
    };
    material.profile.rush.iter().map(trial).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calibrate::findings::fixture::{cell, material, profile},
        planner::{profile::RushCell, test_family::family},
    };

    #[test]
    fn a_shortened_plan_is_held_against_its_own_steps_and_those_it_was_begun_with() {
        let mut profile = profile(&[cell("small", 4, 0.5), cell("small", 8, 0.7)]);
        profile.rush.push(RushCell {
            rush: Rush { after: 3, then: 1 },
            cell: cell("small", 8, 0.55),
        });
        let family = family();
        let trials = trials(&material(&family, &profile));
        assert!((trials[0].against_planned.unwrap().mean + 0.15).abs() < 1e-9);
        assert!((trials[0].against_fresh.unwrap().mean - 0.05).abs() < 1e-9);
        assert_eq!(trials[0].steps, 4);
    }
}
