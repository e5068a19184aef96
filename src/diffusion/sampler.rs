//! How does a trajectory go from noise to a latent? Every sampler here is linear, so it is written
//! as coefficients, `x' = a * x + sum(b[i] * denoised[i]) + c * noise`, that depend on the noise
//! levels passed and to come alone. No loop, no state, no tensor: rows of different samplers
//! share one fused update, and the mathematics is tested in f64.
//!
//! Trajectories start from unit Gaussian latents, or those times a factor, and agree with diffusers' sampler of the same name
//! built from the same `scheduler_config.json`, oddities included; where they stand is said beside
//! the code.

use super::{
    denoiser::DenoiseCoefficients,
    noise_schedule::{Level, NoiseSchedule},
};
use crate::{
    catalog::{SamplerKind, architecture::TimestepSpacing},
    units::{Nfe, Steps},
};

pub mod ddim;
pub mod ddpm;
pub mod dpmpp_2m;
pub mod euler;
pub mod euler_ancestral;
pub mod lcm;

/// There is no trajectory with this many steps.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SamplerError {
    /// More steps than there are timesteps for them, or none.
    #[error("step count {steps} is outside 1..={max}")]
    StepsOutOfRange {
        /// The steps asked for.
        steps: Steps,
        /// The number of training timesteps, or of those that consistency models are distilled on.
        max: usize,
    },
    /// The steps would leave the training timesteps, or visit one twice.
    #[error(
        "{sampler} cannot spread {steps} steps with {spacing:?} spacing over {n_timesteps} \
         training timesteps; fewer steps would work"
    )]
    ImpossibleSpacing {
        /// The sampler.
        sampler: SamplerKind,
        /// The steps asked for.
        steps: Steps,
        /// How they are to be spread.
        spacing: TimestepSpacing,
        /// The number of training timesteps.
        n_timesteps: usize,
    },
    /// The trajectory starts at pure noise, where a prediction of the noise says nothing.
    #[error(
        "{sampler} cannot start at timestep {timestep}, which is pure noise, with a network that \
         predicts the noise; v_prediction or leading spacing would work"
    )]
    NoSignal {
        /// The sampler.
        sampler: SamplerKind,
        /// The timestep.
        timestep: f64,
    },
}

/// Coefficients of `x' = a * x + sum(b[i] * denoised[i]) + c * noise`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// Weight of the latent.
    pub a: f64,
    /// Weights of the denoised latents, the newest first: `b[0]` is of the step itself, `b[1]` of
    /// the step before. A weight without such a step is 0.
    pub b: [f64; 3],
    /// Weight of fresh noise; 0 for a deterministic sampler, which draws none.
    pub c: f64,
}

impl Update {
    /// Returns the next value of one element; `denoised` has the newest first.
    pub fn apply(&self, x: f64, denoised: [f64; 3], noise: f64) -> f64 {
        let [b0, b1, b2] = self.b;
        let [d0, d1, d2] = denoised;
        self.a * x + b0 * d0 + b1 * d1 + b2 * d2 + self.c * noise
    }

    /// Number of denoised latents that count, the newest included.
    pub fn n_denoised(&self) -> usize {
        let last = self.b.iter().rposition(|weight| *weight != 0.0);
        last.map_or(0, |index| index + 1)
    }

    /// Whether fresh noise is drawn for it.
    pub fn is_stochastic(&self) -> bool {
        self.c != 0.0
    }
}

/// One step before its coefficients: evaluate `at`, go to `to`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hop {
    /// Where the network is evaluated.
    pub at: Level,
    /// Where the update leads.
    pub to: Level,
}

/// One step of a trajectory, ready to be run: evaluate the network at `timestep`, combine its output
/// with `x` by `denoise`, then `update`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// What the network is told.
    pub timestep: f64,
    /// The level of `x` before the step.
    pub level: Level,
    /// The level of `x` behind it.
    pub to: Level,
    /// How the output becomes the denoised latent.
    pub denoise: DenoiseCoefficients,
    /// How the latent moves on.
    pub update: Update,
}

/// Gives the coefficients of a trajectory's updates. Pure, in f64.
pub trait Sampler {
    /// How steps are spread where the configuration does not say.
    fn default_spacing(&self) -> TimestepSpacing;

    /// Returns the timesteps of `steps` steps in falling order, unchecked; `steps` is not 0.
    fn timesteps(
        &self,
        schedule: &NoiseSchedule,
        spacing: TimestepSpacing,
        steps: usize,
    ) -> Vec<f64>;

    /// Returns where the steps at `timesteps`, which are falling and in the schedule, start and lead.
    fn hops(&self, schedule: &NoiseSchedule, timesteps: &[f64]) -> Vec<Hop>;

    /// Returns the update that leads to `next`, given the levels evaluated so far, the latest last.
    /// `passed` is not empty.
    fn update(&self, schedule: &NoiseSchedule, passed: &[Level], next: Level) -> Update;

    /// Returns what unit Gaussian noise is multiplied by to be the latents at `first`, where a trajectory
    /// starts.
    fn initial_scale(&self, _spacing: TimestepSpacing, _first: Level) -> f64 {
        1.0
    }

    /// Evaluations for `steps` steps, before guidance.
    fn nfe(&self, steps: Steps) -> Nfe {
        steps
    }
}

/// Returns the sampler of this kind.
pub fn of_kind(kind: SamplerKind) -> &'static dyn Sampler {
    match kind {
        SamplerKind::Ddim => &ddim::Ddim,
        SamplerKind::DpmPp2M => &dpmpp_2m::DpmPp2M,
        SamplerKind::Euler => &euler::Euler,
        SamplerKind::EulerAncestral => &euler_ancestral::EulerAncestral,
        SamplerKind::Ddpm => &ddpm::Ddpm,
        SamplerKind::Lcm => &lcm::Lcm,
    }
}

/// The hops of a sampler whose every step leads to the next evaluation, the last one to no noise.
fn hops_to_clean(timesteps: &[f64], level: impl Fn(f64) -> Level) -> Vec<Hop> {
    let levels: Vec<Level> = timesteps.iter().map(|&timestep| level(timestep)).collect();
    let nexts = levels.iter().skip(1).chain([&Level::CLEAN]);
    let hop = |(&at, &to)| Hop { at, to };
    levels.iter().zip(nexts).map(hop).collect()
}

/// Returns every step of a trajectory, first to last.
pub fn trajectory(
    kind: SamplerKind,
    schedule: &NoiseSchedule,
    steps: Steps,
) -> Result<Vec<Step>, SamplerError> {
    let hops = of_kind(kind).hops(schedule, &timesteps(kind, schedule, steps)?);
    ready(kind, schedule, &hops)
}

/// Returns what unit Gaussian noise is multiplied by to be the latents that a trajectory, which starts at
/// the level `first`, starts from.
pub fn initial_scale(kind: SamplerKind, schedule: &NoiseSchedule, first: Level) -> f64 {
    let sampler = of_kind(kind);
    sampler.initial_scale(spacing(sampler, schedule), first)
}

/// How the sampler's steps are spread.
fn spacing(sampler: &dyn Sampler, schedule: &NoiseSchedule) -> TimestepSpacing {
    schedule.spacing().unwrap_or(sampler.default_spacing())
}

/// Returns the steps of a trajectory that takes fewer after `done` of them: those behind it as they
/// were, and `left` in place of the rest, spread evenly over where they would have been. `left` is at
/// least 1; as many as there are, or more, change nothing.
pub fn shortened(
    kind: SamplerKind,
    schedule: &NoiseSchedule,
    steps: &[Step],
    done: Steps,
    left: Steps,
) -> Result<Vec<Step>, SamplerError> {
    let hop = |step: &Step| Hop {
        at: step.level,
        to: step.to,
    };
    let mut hops: Vec<Hop> = steps.iter().map(hop).collect();
    let (done, left) = (done as usize, left.max(1) as usize);
    let open = hops.len().saturating_sub(done);
    if left < open {
        let last = hops[hops.len() - 1].to;
        let rest = hops.split_off(done);
        let kept: Vec<Level> = (0..left).map(|i| rest[i * open / left].at).collect();
        let nexts = kept.iter().skip(1).chain([&last]);
        let fewer = kept.iter().zip(nexts);
        hops.extend(fewer.map(|(&at, &to)| Hop { at, to }));
    }
    ready(kind, schedule, &hops)
}

/// Gives every hop its coefficients.
fn ready(
    kind: SamplerKind,
    schedule: &NoiseSchedule,
    hops: &[Hop],
) -> Result<Vec<Step>, SamplerError> {
    let sampler = of_kind(kind);
    let passed: Vec<Level> = hops.iter().map(|hop| hop.at).collect();
    let step = |(idx, hop): (usize, &Hop)| {
        let denoise = DenoiseCoefficients::new(schedule.prediction(), hop.at);
        Ok(Step {
            timestep: hop.at.timestep,
            level: hop.at,
            to: hop.to,
            denoise: denoise.ok_or(SamplerError::NoSignal {
                sampler: kind,
                timestep: hop.at.timestep,
            })?,
            update: sampler.update(schedule, &passed[..=idx], hop.to),
        })
    };
    hops.iter().enumerate().map(step).collect()
}

/// The timesteps at which a trajectory evaluates its network, checked.
fn timesteps(
    kind: SamplerKind,
    schedule: &NoiseSchedule,
    steps: Steps,
) -> Result<Vec<f64>, SamplerError> {
    let n_timesteps = schedule.n_timesteps();
    let n_steps = steps as usize;
    let max = schedule.max_steps(kind);
    if n_steps == 0 || n_steps > max {
        return Err(SamplerError::StepsOutOfRange { steps, max });
    }
    let sampler = of_kind(kind);
    let spacing = spacing(sampler, schedule);
    let timesteps = sampler.timesteps(schedule, spacing, n_steps);
    let is_falling = timesteps.is_sorted_by(|earlier, later| earlier > later);
    if timesteps[0] >= n_timesteps as f64 || !is_falling {
        return Err(SamplerError::ImpossibleSpacing {
            sampler: kind,
            steps,
            spacing,
            n_timesteps,
        });
    }
    Ok(timesteps)
}

#[cfg(test)]
mod tests;
