//! Euler's method below the next level, and back up to it with fresh noise (k-diffusion's
//! `sample_euler_ancestral`), as diffusers' `EulerAncestralDiscreteScheduler` has it, with `eta` 1.
//!
//! With `s = sigma / alpha` a step goes down to `s_down = s'^2 / s` and adds noise of the deviation
//! `s_up = s' * sqrt(1 - s'^2 / s^2)`: the coefficients of [`ddpm`](super::ddpm), at the levels of
//! [`Euler`]. Diffusers refuses networks that predict the clean latents, `prediction_type: sample`
//! ("not implemented yet"); here they are sampled as any other.

use super::{Hop, Sampler, Update, ddpm::ancestral, euler::Euler};
use crate::{
    catalog::architecture::TimestepSpacing,
    diffusion::noise_schedule::{Level, NoiseSchedule},
};

/// Ancestral sampling at Euler's levels: one evaluation a step, fresh noise after every step but the last.
#[derive(Debug, Clone, Copy)]
pub struct EulerAncestral;

impl Sampler for EulerAncestral {
    fn default_spacing(&self) -> TimestepSpacing {
        Euler.default_spacing()
    }

    fn timesteps(
        &self,
        schedule: &NoiseSchedule,
        spacing: TimestepSpacing,
        steps: usize,
    ) -> Vec<f64> {
        Euler.timesteps(schedule, spacing, steps)
    }

    fn hops(&self, schedule: &NoiseSchedule, timesteps: &[f64]) -> Vec<Hop> {
        Euler.hops(schedule, timesteps)
    }

    fn update(&self, _: &NoiseSchedule, passed: &[Level], next: Level) -> Update {
        ancestral(passed[passed.len() - 1], next)
    }

    fn initial_scale(&self, spacing: TimestepSpacing, first: Level) -> f64 {
        Euler.initial_scale(spacing, first)
    }
}
