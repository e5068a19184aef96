//! What is a plan worth that was shortened on its way? Measured, or not known.
//!
//! A rushed picture is not the one of a plan with as many steps: its levels were laid for more of them.

use super::{
    budget::Objective,
    plan::{Plan, ScoreEstimate},
    predictions::Sample,
    profile::{Profile, Rush},
};

/// The shortened plans of a profile.
#[derive(Debug, Default)]
pub(super) struct Rushed(Vec<Cell>);

#[derive(Debug)]
struct Cell {
    plan: Plan,
    rush: Rush,
    /// One score for each of [`Objective::ALL`].
    scores: [ScoreEstimate; 3],
}

impl Rushed {
    pub(super) fn of(profile: &Profile) -> Self {
        let cells = profile.rush.iter().map(|rushed| Cell {
            plan: rushed.cell.plan.clone(),
            rush: rushed.rush,
            scores: Objective::ALL.map(|objective| Sample::of(&rushed.cell, objective).estimate()),
        });
        Self(cells.collect())
    }

    /// The score of a plan that is shortened so.
    pub(super) fn score(
        &self,
        plan: &Plan,
        rush: Rush,
        objective: Objective,
    ) -> Option<ScoreEstimate> {
        let mut cells = self.0.iter();
        let cell = cells.find(|cell| cell.rush == rush && cell.plan == *plan)?;
        let place = Objective::ALL
            .iter()
            .position(|known| *known == objective)?;
        Some(cell.scores[place])
    }
}
