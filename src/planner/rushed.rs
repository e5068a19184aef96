//! What is a plan worth that was shortened on its way? Its own score, less what shortening costs.
//!
//! A rushed picture is not the one of a plan with as many steps: its levels were laid for more of them. So the
//! cost is measured, on some plans at some steps, and interpolated linearly between them: in how far the
//! trajectory was when it was shortened, in the share of the steps ahead that it still took (all of them cost
//! nothing), and in the logarithm of the plan's step count along its curve. Nothing is extrapolated. A picture that
//! was shortened several times counts as shortened once, the last time.

use super::{
    budget::Objective,
    plan::{Plan, ScoreEstimate},
    predictions::Sample,
    profile::{Cell, Rush, RushCell},
};
use crate::units::Steps;

/// What shortening costs, as far as a profile says.
#[derive(Debug, Default)]
pub(super) struct Rushed(Vec<Surface>);

/// What it costs one measured plan.
#[derive(Debug)]
struct Surface {
    plan: Plan,
    /// By how many steps were taken as planned, rising.
    cuts: Vec<Cut>,
}

/// What it costs after some steps.
#[derive(Debug)]
struct Cut {
    after: Steps,
    /// By the share of the steps ahead that was taken, rising.
    losses: Vec<Loss>,
}

#[derive(Debug)]
struct Loss {
    share: f64,
    /// One for each of [`Objective::ALL`].
    samples: [Sample; 3],
}

impl Rushed {
    /// Holds shortened plans against the same ones in full, where those were measured.
    pub(super) fn of(cells: &[Cell], shortened: &[RushCell]) -> Self {
        let mut surfaces: Vec<Surface> = Vec::new();
        for rushed in shortened {
            let plan = &rushed.cell.plan;
            let Some(planned) = cells.iter().find(|cell| cell.plan == *plan) else {
                continue;
            };
            let known = surfaces.iter().position(|surface| surface.plan == *plan);
            let place = known.unwrap_or_else(|| {
                surfaces.push(Surface::new(plan));
                surfaces.len() - 1
            });
            surfaces[place].add(planned, rushed);
        }
        surfaces.sort_by_key(|surface| surface.plan.steps);
        Self(surfaces)
    }

    /// The score of a plan that is shortened so, `planned` being its own score.
    pub(super) fn score(
        &self,
        plan: &Plan,
        rush: Rush,
        objective: Objective,
        planned: &Sample,
    ) -> Option<ScoreEstimate> {
        let objectives = Objective::ALL.iter();
        let objective = objectives.clone().position(|known| *known == objective)?;
        let score = planned.minus(&self.loss(plan, rush, objective)?).estimate();
        Some(ScoreEstimate {
            mean: score.mean.clamp(0.0, 1.0),
            ..score
        })
    }

    fn loss(&self, plan: &Plan, rush: Rush, objective: usize) -> Option<Sample> {
        let of_curve = self.0.iter().filter(|surface| surface.plan.is_like(plan));
        let at = |surface: &Surface| surface.loss(plan.steps, rush, objective);
        let below = of_curve.clone().rfind(|s| s.plan.steps <= plan.steps)?;
        let above = of_curve.clone().find(|s| s.plan.steps >= plan.steps)?;
        let [from, to, steps] =
            [below.plan.steps, above.plan.steps, plan.steps].map(|steps| f64::from(steps).ln());
        between((from, at(below)?), (to, at(above)?), steps)
    }
}

impl Surface {
    fn new(plan: &Plan) -> Self {
        Self {
            plan: plan.clone(),
            cuts: Vec::new(),
        }
    }

    /// Adds a measured point, at its place.
    fn add(&mut self, planned: &Cell, rushed: &RushCell) {
        let after = rushed.rush.after;
        let loss = Loss {
            share: share(self.plan.steps, rushed.rush),
            samples: Objective::ALL.map(|objective| {
                let of = |cell| Sample::of(cell, objective);
                of(planned).minus(&of(&rushed.cell))
            }),
        };
        let place = self.cuts.partition_point(|cut| cut.after < after);
        if self.cuts.get(place).is_none_or(|cut| cut.after != after) {
            let losses = Vec::new();
            self.cuts.insert(place, Cut { after, losses });
        }
        let losses = &mut self.cuts[place].losses;
        let place = losses.partition_point(|other| other.share < loss.share);
        losses.insert(place, loss);
    }

    /// What it costs a plan of this curve with so many steps.
    fn loss(&self, steps: Steps, rush: Rush, objective: usize) -> Option<Sample> {
        let share = share(steps, rush);
        // The first and the last step of a longer plan lie a little beyond those of a shorter one.
        let (first, last) = (self.cuts.first()?, self.cuts.last()?);
        let at = f64::from(rush.after) * f64::from(self.plan.steps) / f64::from(steps);
        let at = at.clamp(f64::from(first.after), f64::from(last.after));
        let below = self.cuts.iter().rfind(|cut| f64::from(cut.after) <= at)?;
        let above = self.cuts.iter().find(|cut| f64::from(cut.after) >= at)?;
        let of = |cut: &Cut| Some((f64::from(cut.after), cut.loss(share, objective)?));
        between(of(below)?, of(above)?, at)
    }
}

impl Cut {
    fn loss(&self, share: f64, objective: usize) -> Option<Sample> {
        let known = self.losses.iter();
        let below = known.clone().rfind(|loss| loss.share <= share)?;
        let above = known.clone().find(|loss| loss.share >= share);
        let of = |loss: &Loss| (loss.share, loss.samples[objective].clone());
        let none = (1.0, below.samples[objective].times(0.0));
        between(of(below), above.map_or(none, of), share)
    }
}

/// The share of the steps ahead that is taken.
fn share(steps: Steps, rush: Rush) -> f64 {
    f64::from(rush.then) / f64::from(steps.saturating_sub(rush.after).max(1))
}

/// The value at `at` on the line through two points.
fn between((from, a): (f64, Sample), (to, b): (f64, Sample), at: f64) -> Option<Sample> {
    if to <= from {
        return Some(a);
    }
    let weight = (at - from) / (to - from);
    (0.0..=1.0)
        .contains(&weight)
        .then(|| a.times(1.0 - weight).plus(&b.times(weight)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::test_family::cell;

    /// Half a unit of score is lost when nothing follows the first of eight steps, less later and with more.
    fn rushed() -> (Rushed, Vec<Cell>) {
        let cells = [4, 8, 16].map(|steps| cell(steps, 0.8));
        let shortened = |steps, after, then, score| RushCell {
            rush: Rush { after, then },
            cell: cell(steps, score),
        };
        let shortened = [
            shortened(8, 1, 0, 0.3),
            shortened(8, 4, 2, 0.7),
            shortened(8, 4, 0, 0.5),
            shortened(8, 7, 0, 0.8),
            shortened(16, 8, 0, 0.6),
            shortened(16, 15, 0, 0.8),
        ];
        (Rushed::of(&cells, &shortened), cells.to_vec())
    }

    fn score(steps: Steps, after: Steps, then: Steps) -> Option<f64> {
        let (rushed, cells) = rushed();
        let plan = cell(steps, 0.8).plan;
        let planned = Sample::of(&cells[1], Objective::Alignment);
        let rush = Rush { after, then };
        let score = rushed.score(&plan, rush, Objective::Alignment, &planned)?;
        Some((score.mean * 1e6).round() / 1e6)
    }

    #[test]
    fn what_was_measured_is_told_as_it_was() {
        assert_eq!(score(8, 4, 0), Some(0.5));
        assert_eq!(score(8, 4, 2), Some(0.7));
    }

    #[test]
    fn between_what_was_measured_it_is_interpolated() {
        assert_eq!(score(8, 4, 1), Some(0.6), "half way between none and two");
        assert_eq!(score(8, 4, 3), Some(0.75), "all four would cost nothing");
        assert_eq!(score(8, 2, 0), Some(0.366_667), "a third of the way");
        // Half way along: 0.3 is lost of eight steps, 0.2 of sixteen, and eleven are in between.
        let weight = (11.0_f64 / 8.0).ln() / 2.0_f64.ln();
        let between = score(11, 6, 0).unwrap();
        let of_eight = 0.5 + 0.3 * (6.0 * 8.0 / 11.0 - 4.0) / 3.0;
        let of_sixteen = 0.6 + 0.2 * (6.0 * 16.0 / 11.0 - 8.0) / 7.0;
        let expected = of_eight * (1.0 - weight) + of_sixteen * weight;
        assert!((between - expected).abs() < 1e-5, "{between} {expected}");
    }

    #[test]
    fn beyond_it_nothing_is_known() {
        assert_eq!(score(4, 2, 0), None, "shorter than any that was shortened");
        assert_eq!(score(32, 16, 0), None);
        let (rushed, cells) = rushed();
        let planned = Sample::of(&cells[1], Objective::Balanced);
        let mut other = cells[1].plan.clone();
        other.guidance_scale = 5.0;
        let rush = Rush { after: 4, then: 0 };
        let of_other = rushed.score(&other, rush, Objective::Balanced, &planned);
        assert_eq!(of_other, None, "another curve");
    }
}
