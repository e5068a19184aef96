//! Euler's method on the probability flow (Karras et al., arXiv 2206.00364, algorithm 1 without its
//! second-order correction), as diffusers' `EulerDiscreteScheduler` has it without churn.
//!
//! Diffusers steps `y = x / alpha` along `s = sigma / alpha`, `y' = y + (s' - s) * (y - D) / s`, and gives
//! the network `y / sqrt(1 + s^2)`, which is `x`. Times `alpha'` this is `sigma' / sigma * x +
//! (alpha' - alpha * sigma' / sigma) * D`, the update of DDIM (arXiv 2010.02502, section 4.3). The two
//! differ in where they step, as the methods below say. `interpolation_type`, `final_sigmas_type` and the
//! spacings of Karras and others are not read: what is here is diffusers' defaults, the last sigma 0.

use super::{Hop, Sampler, Update, ddim::first_order, hops_to_clean};
use crate::{
    catalog::architecture::TimestepSpacing,
    diffusion::noise_schedule::{Level, NoiseSchedule},
};

/// Euler's method, first order, one evaluation a step.
#[derive(Debug, Clone, Copy)]
pub struct Euler;

impl Sampler for Euler {
    fn default_spacing(&self) -> TimestepSpacing {
        TimestepSpacing::Linspace
    }

    /// With linspace spacing diffusers leaves them unrounded, and gives the networks fractions.
    fn timesteps(
        &self,
        schedule: &NoiseSchedule,
        spacing: TimestepSpacing,
        steps: usize,
    ) -> Vec<f64> {
        if spacing == TimestepSpacing::Linspace {
            return schedule.unrounded_linspace(steps);
        }
        schedule.timesteps(spacing, steps)
    }

    /// Every step leads to the next evaluation, the last one to no noise, whatever
    /// `set_alpha_to_one` says. Zero terminal SNR is clamped.
    fn hops(&self, schedule: &NoiseSchedule, timesteps: &[f64]) -> Vec<Hop> {
        hops_to_clean(timesteps, |timestep| schedule.interpolated_level(timestep))
    }

    fn update(&self, _: &NoiseSchedule, passed: &[Level], next: Level) -> Update {
        first_order(passed[passed.len() - 1], next)
    }

    /// Diffusers starts from `y = s * noise`, `x = sigma * noise`, as if the clean latents were 0; but with
    /// leading spacing, which starts where that is felt, from `x = noise`. Of one step with linspace
    /// spacing, which starts at timestep 0, next to nothing is left of the noise.
    fn initial_scale(&self, spacing: TimestepSpacing, first: Level) -> f64 {
        match spacing {
            TimestepSpacing::Leading => 1.0,
            TimestepSpacing::Linspace | TimestepSpacing::Trailing => first.sigma,
        }
    }
}
