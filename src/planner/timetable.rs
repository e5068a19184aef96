//! What will a plan take, step by step? What the runtime reckons with while a picture is on its way.
//!
//! Times are those of the phase table; what the machine makes of them is the forecast's business. A phase
//! that was never timed counts as nothing, so that nothing is refused for it.

use super::{choice::Decision, phases::FamilyTimes, plan::Plan, workload::Workload};
use crate::units::{Millis, Nfe, Steps};

/// The predicted times of one request's plan.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timetable {
    /// All prompts that are to be encoded.
    pub text: Millis,
    /// One picture's steps, in order; every candidate takes the shared ones.
    pub steps: Vec<StepTime>,
    /// Steps that every candidate takes before they are ranked.
    pub shared: Steps,
    /// Candidates of one picture, at least 1.
    pub n_candidates: u32,
    /// Ranking all candidates of one picture.
    pub rank: Millis,
    /// One picture's latents to pixels.
    pub decode: Millis,
    /// One picture's pixels to a file, on another thread than the device's.
    pub encode: Millis,
}

/// One step of one trajectory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepTime {
    /// Index into the family's models.
    pub model: usize,
    /// Rows of the evaluation: 2 where it is guided.
    pub rows: Nfe,
    /// What it takes alone.
    pub ms: Millis,
}

impl Timetable {
    /// Lays out the work of a plan.
    pub(super) fn new(
        plan: &Plan,
        workload: &Workload,
        times: &FamilyTimes,
        n_new_texts: u32,
    ) -> Self {
        let n_candidates = plan.n_begun();
        let shared = plan
            .candidates
            .map_or(plan.steps, |candidates| candidates.shared_steps(plan.steps));
        let mut steps = Vec::with_capacity(plan.steps as usize);
        for leg in &workload.legs {
            let step = StepTime {
                model: leg.model,
                rows: leg.rows,
                ms: times.step(leg.model, leg.rows).unwrap_or_default(),
            };
            // A leg counts the steps of all candidates together.
            let mut left = leg.steps;
            while left > 0 {
                let begun = if (steps.len() as Steps) < shared {
                    n_candidates
                } else {
                    1
                };
                left = left.saturating_sub(begun);
                steps.push(step);
            }
        }
        Self {
            text: times.text.unwrap_or_default() * f64::from(n_new_texts),
            steps,
            shared,
            n_candidates,
            rank: times.rank.unwrap_or_default() * f64::from(workload.n_ranked),
            decode: times.decode.unwrap_or_default(),
            encode: times.encode.unwrap_or_default(),
        }
    }

    /// The work of a plan on a machine of which nothing is known.
    pub fn untimed(decision: &Decision) -> Self {
        let Decision { plan, workload, .. } = decision;
        Self::new(plan, workload, &FamilyTimes::default(), 1)
    }

    /// The steps of one trajectory from the `done`-th on.
    pub fn rest_of_steps(&self, done: Steps) -> Millis {
        let rest = self.steps.iter().skip(done as usize);
        rest.map(|step| step.ms).sum()
    }

    /// One picture's time on the device, its prompt left out.
    pub fn picture(&self) -> Millis {
        let shared: Millis = self.steps[..(self.shared as usize).min(self.steps.len())]
            .iter()
            .map(|step| step.ms)
            .sum();
        shared * f64::from(self.n_candidates)
            + self.rest_of_steps(self.shared)
            + self.rank
            + self.decode
    }

    /// The time of so many pictures and their prompt on the device.
    pub fn device(&self, n_images: u32) -> Millis {
        self.text + self.picture() * f64::from(n_images)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::{ModelId, SamplerKind},
        diffusion::Stage,
        planner::{Candidates, PhaseTimes, test_family::family},
    };

    fn times() -> FamilyTimes {
        let (family, size) = (family(), "64x64".parse().unwrap());
        let mut phases = PhaseTimes::default();
        phases.set_text("toy", Millis(2.0));
        phases.set_decode("toy", size, Millis(20.0));
        phases.set_encode(size, Millis(1.0));
        phases.set_rank("toy", size, Millis(0.5));
        for (model, ms) in [("small", 3.0), ("large", 9.0)] {
            for rows in [1, 2] {
                phases.set_step(
                    &ModelId(model.into()),
                    size,
                    rows,
                    Millis(ms * f64::from(rows)),
                );
            }
        }
        phases.of_family(&family, size)
    }

    fn plan() -> Plan {
        let size = "64x64".parse().unwrap();
        Plan::plain(ModelId("large".into()), SamplerKind::Ddim, 4, 3.0, size)
    }

    fn laid_out(plan: &Plan) -> Timetable {
        let workload = Workload::of(plan, &family()).unwrap();
        let table = Timetable::new(plan, &workload, &times(), 1);
        let whole = times().request(&workload, 1, 1).unwrap();
        let told = table.device(1) + table.encode;
        assert!((told.0 - whole.0).abs() < 1e-9, "{told:?} is not {whole:?}");
        table
    }

    #[test]
    fn the_steps_add_up_to_what_the_planner_charges() {
        let table = laid_out(&plan());
        assert_eq!(table.rest_of_steps(1), Millis(54.0));
        assert_eq!(table.picture(), Millis(92.0));
    }

    #[test]
    fn every_step_knows_its_model() {
        let stages = vec![Stage {
            model: ModelId("small".into()),
            share: 0.5,
        }];
        let table = laid_out(&Plan { stages, ..plan() });
        let ms: Vec<f64> = table.steps.iter().map(|step| step.ms.0).collect();
        assert_eq!(ms, [6.0, 6.0, 18.0, 18.0]);
    }

    #[test]
    fn candidates_take_the_shared_steps_each_and_one_goes_on() {
        let candidates = Some(Candidates {
            n: 3,
            pruned_after: Some(0.5),
        });
        let table = laid_out(&Plan {
            candidates,
            ..plan()
        });
        assert_eq!((table.shared, table.n_candidates), (2, 3));
        assert_eq!(table.steps.len(), 4);
        assert_eq!(table.rank, Millis(1.5));
    }
}
