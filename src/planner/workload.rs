//! What does a plan make the device do for one picture? Runs of equal evaluations, and estimates that
//! are ranked; what it costs in operations and in time follows.

use smallvec::SmallVec;

use super::{
    cost_table::SizeCost,
    plan::{Candidates, Plan},
};
use crate::{
    catalog::{Family, SamplerKind},
    diffusion::{GuidanceInterval, Stage, noise_schedule::NoiseSchedule, sampler, stages},
    units::{Flops, Nfe, Steps},
};

/// A run of equal evaluations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    /// Index into the family's models.
    pub model: usize,
    /// Rows of the batch: a guided picture is evaluated with and without its text.
    pub rows: u32,
    /// Steps of all candidates together.
    pub steps: Steps,
}

/// The work of one picture between its text and its decoder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workload {
    /// The evaluations, in order.
    pub legs: SmallVec<[Leg; 2]>,
    /// Latents that are ranked against the prompt.
    pub n_ranked: u32,
}

/// A plan but for its size, with models as indices into the family's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Course<'a> {
    pub(super) model: usize,
    pub(super) stages: &'a [Stage],
    pub(super) sampler: SamplerKind,
    pub(super) steps: Steps,
    pub(super) guidance_scale: f64,
    pub(super) guidance_interval: Option<GuidanceInterval>,
    pub(super) candidates: Option<Candidates>,
}

impl Workload {
    /// Returns the work of one picture of a plan; none if a model is not the family's, or if there is
    /// no such trajectory.
    pub fn of(plan: &Plan, family: &Family) -> Option<Self> {
        let model = family
            .models
            .iter()
            .position(|card| card.id == plan.model)?;
        let course = Course {
            model,
            stages: &plan.stages,
            sampler: plan.sampler,
            steps: plan.steps,
            guidance_scale: plan.guidance_scale,
            guidance_interval: plan.guidance_interval,
            candidates: plan.candidates,
        };
        let schedule = plan
            .guidance_interval
            .and_then(|_| NoiseSchedule::new(&family.noise_schedule).ok());
        Self::of_course(&course, family, schedule.as_ref())
    }

    /// The same for a plan in the planner's own terms. An interval asks for the family's noise schedule,
    /// which whoever has many such plans computes once.
    pub(super) fn of_course(
        course: &Course<'_>,
        family: &Family,
        schedule: Option<&NoiseSchedule>,
    ) -> Option<Self> {
        let models: Vec<usize> = course
            .stages
            .iter()
            .map(|stage| family.models.iter().position(|card| card.id == stage.model))
            .chain([Some(course.model)])
            .collect::<Option<_>>()?;
        let mut workload = Self::default();
        let mut step = 0;
        let is_guided = guided_steps(course, schedule)?;
        for (model, count) in models
            .into_iter()
            .zip(stages::steps_of(course.stages, course.steps))
        {
            for _ in 0..count {
                let rows = if is_guided.at(step) { 2 } else { 1 };
                workload.push(model, rows, course.begun_at(step));
                step += 1;
            }
        }
        workload.n_ranked = course.candidates.map_or(0, |candidates| candidates.n);
        Some(workload)
    }

    fn push(&mut self, model: usize, rows: u32, steps: Steps) {
        match self.legs.last_mut() {
            Some(last) if (last.model, last.rows) == (model, rows) => last.steps += steps,
            _ => self.legs.push(Leg { model, rows, steps }),
        }
    }

    /// Network evaluations.
    pub fn nfe(&self) -> Nfe {
        let evaluations = self
            .legs
            .iter()
            .map(|leg| leg.rows.saturating_mul(leg.steps));
        evaluations.fold(0, Nfe::saturating_add)
    }

    /// Operations of one picture: evaluations, ranking and decoder. The prompt's own are not among them.
    pub fn flops(&self, costs: &SizeCost) -> Flops {
        let evaluations = self
            .legs
            .iter()
            .map(|leg| costs.evaluations[leg.model] * (f64::from(leg.rows) * f64::from(leg.steps)));
        evaluations.fold(costs.decode, |sum, flops| sum + flops)
            + costs.rank * f64::from(self.n_ranked)
    }
}

impl Course<'_> {
    /// Candidates that take the step with this index.
    fn begun_at(&self, step: Steps) -> u32 {
        self.candidates.map_or(1, |candidates| {
            if step < candidates.shared_steps(self.steps) {
                candidates.n
            } else {
                1
            }
        })
    }
}

/// Which steps of a course are guided.
enum Guided {
    All(bool),
    Some(Vec<bool>),
}

impl Guided {
    fn at(&self, step: Steps) -> bool {
        match self {
            Self::All(guided) => *guided,
            Self::Some(guided) => guided[step as usize],
        }
    }
}

fn guided_steps(course: &Course<'_>, schedule: Option<&NoiseSchedule>) -> Option<Guided> {
    let Some(interval) = course
        .guidance_interval
        .filter(|_| course.guidance_scale != 1.0)
    else {
        return Some(Guided::All(course.guidance_scale != 1.0));
    };
    let steps = sampler::trajectory(course.sampler, schedule?, course.steps).ok()?;
    let guided = steps.iter().map(|step| interval.contains(step.level));
    Some(Guided::Some(guided.collect()))
}

#[cfg(test)]
mod tests;
