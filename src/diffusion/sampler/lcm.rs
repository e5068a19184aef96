//! Multistep consistency sampling (Luo et al., "Latent Consistency Models", arXiv 2310.04378,
//! algorithm 3), as diffusers' `LCMScheduler` has it.
//!
//! A consistency model says from anywhere where the trajectory ends. A step goes there at once, and back
//! to the next level with fresh noise; the last step stays there. Such a model is not the network alone
//! but `c_skip(t) * x + c_out(t) * D`, with shares that make it `x` itself at timestep 0.
//!
//! Timesteps are some of those that the model was distilled on, `original_inference_steps` of them;
//! spacing, offset and `set_alpha_to_one` have no say, as in diffusers, whose last step leads to no noise.

use super::{Hop, Sampler, Update, hops_to_clean};
use crate::{
    catalog::architecture::TimestepSpacing,
    diffusion::noise_schedule::{Level, NoiseSchedule},
};

/// Deviation of the clean latents as the boundary condition takes it to be (arXiv 2303.01469, appendix C).
const SIGMA_DATA: f64 = 0.5;

/// Multistep consistency sampling, one evaluation a step and fresh noise after every step but the last.
#[derive(Debug, Clone, Copy)]
pub struct Lcm;

impl Sampler for Lcm {
    /// Every spacing gives the same timesteps.
    fn default_spacing(&self) -> TimestepSpacing {
        TimestepSpacing::Leading
    }

    /// Evenly over the distilled timesteps, which are evenly over the training timesteps: the noisiest
    /// of every stretch.
    fn timesteps(&self, schedule: &NoiseSchedule, _: TimestepSpacing, steps: usize) -> Vec<f64> {
        let n_original = schedule.n_original_steps();
        let stride = schedule.n_timesteps() / n_original;
        let every = n_original as f64 / steps as f64;
        (0..steps)
            .map(|step| n_original - (step as f64 * every).floor() as usize)
            .map(|place| (place * stride - 1) as f64)
            .collect()
    }

    fn hops(&self, schedule: &NoiseSchedule, timesteps: &[f64]) -> Vec<Hop> {
        hops_to_clean(timesteps, |timestep| schedule.level(timestep as usize))
    }

    /// `x' = alpha' * (c_skip * x + c_out * D) + sigma' * noise`.
    fn update(&self, schedule: &NoiseSchedule, passed: &[Level], next: Level) -> Update {
        let from = passed[passed.len() - 1];
        let scaled = from.timestep * schedule.timestep_scaling();
        let size = scaled.hypot(SIGMA_DATA);
        let (c_skip, c_out) = ((SIGMA_DATA / size).powi(2), scaled / size);
        Update {
            a: next.alpha * c_skip,
            b: [next.alpha * c_out, 0.0, 0.0],
            c: next.sigma,
        }
    }
}
