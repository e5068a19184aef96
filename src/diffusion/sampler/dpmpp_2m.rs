//! DPM-Solver++(2M) (Lu et al., arXiv 2211.01095, algorithm 2), as diffusers'
//! `DPMSolverMultistepScheduler` has it with its defaults: second order, midpoint, the last sigma 0.
//!
//! The first step has no history, and the last one leads to sigma 0, where the step in lambda is
//! infinite: both are of first order. (Diffusers' `lower_order_final` asks for the same below
//! 15 steps; with the last sigma 0 it is so at every step count.)

use super::{Hop, Sampler, Update, ddim::first_order, hops_to_clean};
use crate::{
    catalog::architecture::TimestepSpacing,
    diffusion::noise_schedule::{Level, NoiseSchedule},
};

/// DPM-Solver++(2M), second order, one evaluation a step.
#[derive(Debug, Clone, Copy)]
pub struct DpmPp2M;

impl Sampler for DpmPp2M {
    fn default_spacing(&self) -> TimestepSpacing {
        TimestepSpacing::Linspace
    }

    /// One timestep more than there are steps, and the last one left out, but for trailing spacing.
    fn timesteps(
        &self,
        schedule: &NoiseSchedule,
        spacing: TimestepSpacing,
        steps: usize,
    ) -> Vec<f64> {
        if spacing == TimestepSpacing::Trailing {
            return schedule.timesteps(spacing, steps);
        }
        let mut timesteps = schedule.timesteps(spacing, steps + 1);
        timesteps.truncate(steps);
        timesteps
    }

    /// Every step leads to the next evaluation, the last one to no noise, whatever
    /// `set_alpha_to_one` says.
    fn hops(&self, schedule: &NoiseSchedule, timesteps: &[f64]) -> Vec<Hop> {
        hops_to_clean(timesteps, |timestep| {
            schedule.clamped_level(timestep as usize)
        })
    }

    /// With `h` and `h_last` the steps in lambda to come and passed, and `r = h_last / h`,
    /// `x' = sigma' / sigma * x - alpha' * (exp(-h) - 1) * ((1 + 1 / 2r) * D - 1 / 2r * D_last)`.
    fn update(&self, _: &NoiseSchedule, passed: &[Level], next: Level) -> Update {
        let [.., before, from] = passed else {
            return first_order(passed[passed.len() - 1], next);
        };
        let first = first_order(*from, next);
        if next.sigma == 0.0 {
            return first;
        }
        let h = next.lambda() - from.lambda();
        let h_last = from.lambda() - before.lambda();
        let weight = h / (2.0 * h_last);
        let [b, ..] = first.b;
        Update {
            b: [b * (1.0 + weight), -b * weight, 0.0],
            ..first
        }
    }
}
