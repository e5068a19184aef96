//! Deterministic DDIM (Song et al., arXiv 2010.02502, equation 12 with sigma_t = 0), as diffusers'
//! `DDIMScheduler` has it.
//!
//! With the noise written as `(x - alpha * denoised) / sigma` the update is linear in `x` and
//! `denoised`, and its coefficients stay finite at zero terminal SNR, where `alpha` is 0.

use super::{Hop, Sampler, Update};
use crate::{
    catalog::architecture::TimestepSpacing,
    diffusion::noise_schedule::{Level, NoiseSchedule},
};

/// Deterministic DDIM, first order.
#[derive(Debug, Clone, Copy)]
pub struct Ddim;

impl Sampler for Ddim {
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

    /// Diffusers leads every step down by the same whole stride, wherever the next evaluation is.
    /// With leading spacing that is the same; with trailing spacing and a step count that does not
    /// divide the training timesteps it is off by one; with linspace the stride is too short, and
    /// a network is told less noise than there is.
    fn hops(&self, schedule: &NoiseSchedule, timesteps: &[f64]) -> Vec<Hop> {
        let stride = schedule.n_timesteps() / timesteps.len();
        let hop = |timestep: usize| Hop {
            at: schedule.level(timestep),
            to: timestep
                .checked_sub(stride)
                .map_or_else(|| schedule.final_level(), |next| schedule.level(next)),
        };
        let whole = timesteps.iter().map(|timestep| *timestep as usize);
        whole.map(hop).collect()
    }

    fn update(&self, _: &NoiseSchedule, passed: &[Level], next: Level) -> Update {
        first_order(passed[passed.len() - 1], next)
    }
}

/// The exact solution for a denoised latent that stays the same from one level to the next.
pub(super) fn first_order(from: Level, to: Level) -> Update {
    let a = to.sigma / from.sigma;
    Update {
        a,
        b: [to.alpha - from.alpha * a, 0.0, 0.0],
        c: 0.0,
    }
}
