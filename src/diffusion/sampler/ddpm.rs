//! Ancestral sampling (Ho et al., arXiv 2006.11239, equations 6 and 7), as diffusers' `DDPMScheduler` has
//! it with `variance_type: fixed_small`, its default; the other variances are not read.
//!
//! Where steps are fewer than training timesteps, the betas are those from one step to the next. Diffusers
//! raises variances to 1e-20, so that a last step which does not start at timestep 0 ends in noise of the
//! deviation 1e-10; here it ends in none, which f32 cannot tell apart.

use super::{Hop, Sampler, Update, hops_to_clean};
use crate::{
    catalog::architecture::TimestepSpacing,
    diffusion::noise_schedule::{Level, NoiseSchedule},
};

/// Ancestral sampling: one evaluation a step, fresh noise after every step but the last.
#[derive(Debug, Clone, Copy)]
pub struct Ddpm;

impl Sampler for Ddpm {
    fn default_spacing(&self) -> TimestepSpacing {
        TimestepSpacing::Leading
    }

    fn timesteps(
        &self,
        schedule: &NoiseSchedule,
        spacing: TimestepSpacing,
        steps: usize,
    ) -> Vec<f64> {
        schedule.timesteps(spacing, steps)
    }

    /// Every step leads to the next evaluation, the last one to no noise, whatever `set_alpha_to_one`
    /// says. (`DDIMScheduler` strides evenly instead, and may miss its next evaluation.)
    fn hops(&self, schedule: &NoiseSchedule, timesteps: &[f64]) -> Vec<Hop> {
        hops_to_clean(timesteps, |timestep| schedule.level(timestep as usize))
    }

    fn update(&self, _: &NoiseSchedule, passed: &[Level], next: Level) -> Update {
        ancestral(passed[passed.len() - 1], next)
    }
}

/// Draws from the levels' posterior `q(x' | x, clean)` with the denoised latent for the clean one: with
/// `r = (alpha * sigma' / (alpha' * sigma))^2`, the share of the noise at `from` that is there at `to`
/// already, `x' = (sigma' / sigma)^2 * alpha / alpha' * x + alpha' * (1 - r) * D + sigma' * sqrt(1 - r) *
/// noise`. It is finite at zero terminal SNR, and at `sigma' = 0` is `D`.
pub(super) fn ancestral(from: Level, to: Level) -> Update {
    let shrink = to.sigma / from.sigma;
    let rise = from.alpha / to.alpha;
    let fresh = 1.0 - (shrink * rise).powi(2);
    Update {
        a: shrink.powi(2) * rise,
        b: [to.alpha * fresh, 0.0, 0.0],
        c: to.sigma * fresh.sqrt(),
    }
}
