//! How was the network trained to see noise? Mirror of `scheduler/scheduler_config.json`.

use serde::{Deserialize, Serialize};

use crate::catalog::SamplerKind;

/// What `_class_name` says of models that are sampled by consistency, which are distilled.
const CONSISTENCY_CLASS: &str = "LCMScheduler";

/// Diffusers' own number of steps that consistency models are distilled on.
const ORIGINAL_INFERENCE_STEPS: usize = 50;

/// `scheduler/scheduler_config.json`: the training-side noise schedule and how steps are spaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoiseScheduleConfig {
    /// The class that diffusers samples with, unless it is told another one.
    #[serde(default, rename = "_class_name")]
    pub class_name: Option<String>,
    /// Number of training timesteps.
    #[serde(default = "num_train_timesteps")]
    pub num_train_timesteps: usize,
    /// First beta.
    #[serde(default = "beta_start")]
    pub beta_start: f64,
    /// Last beta.
    #[serde(default = "beta_end")]
    pub beta_end: f64,
    /// Shape of the betas in between.
    #[serde(default)]
    pub beta_schedule: BetaSchedule,
    /// What the network predicts.
    #[serde(default)]
    pub prediction_type: Prediction,
    /// Whether the betas are rescaled so that the last timestep is pure noise.
    #[serde(default)]
    pub rescale_betas_zero_snr: bool,
    /// How `n` steps are spread over the training timesteps; samplers have different defaults.
    #[serde(default)]
    pub timestep_spacing: Option<TimestepSpacing>,
    /// Added to every timestep with leading spacing.
    #[serde(default)]
    pub steps_offset: usize,
    /// Whether the step after the last one has alpha-bar 1 rather than that of timestep 0.
    #[serde(default = "yes")]
    pub set_alpha_to_one: bool,
    /// Must be false for latents.
    #[serde(default)]
    pub clip_sample: bool,
    /// Timesteps that a consistency model was distilled on; its steps are some of them.
    #[serde(default)]
    pub original_inference_steps: Option<usize>,
    /// How steeply a consistency model's share of the network falls to nothing at timestep 0.
    #[serde(default = "timestep_scaling")]
    pub timestep_scaling: f64,
}

impl NoiseScheduleConfig {
    /// Whether the folder's models are meant for consistency sampling.
    pub fn is_for_consistency(&self) -> bool {
        self.class_name.as_deref() == Some(CONSISTENCY_CLASS)
    }

    /// Timesteps that consistency models are distilled on, whether the file says so or not.
    pub fn n_original_steps(&self) -> usize {
        let usual = ORIGINAL_INFERENCE_STEPS.min(self.num_train_timesteps);
        self.original_inference_steps.unwrap_or(usual)
    }

    /// The most steps that a sampler can take.
    pub fn max_steps(&self, sampler: SamplerKind) -> usize {
        match sampler {
            SamplerKind::Lcm => self.n_original_steps(),
            SamplerKind::Ddim
            | SamplerKind::DpmPp2M
            | SamplerKind::Euler
            | SamplerKind::EulerAncestral
            | SamplerKind::Ddpm => self.num_train_timesteps,
        }
    }
}

/// Shape of the training betas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Evenly spaced betas.
    #[default]
    Linear,
    /// Evenly spaced square roots, as Stable Diffusion has them.
    ScaledLinear,
}

/// What a network predicts from noisy latents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Prediction {
    /// The noise.
    #[default]
    #[serde(rename = "epsilon")]
    Epsilon,
    /// alpha * noise - sigma * clean (Salimans and Ho, arXiv 2202.00512).
    #[serde(rename = "v_prediction")]
    Velocity,
    /// The clean latents themselves.
    #[serde(rename = "sample")]
    Sample,
}

/// How `n` sampling steps are spread over the training timesteps (arXiv 2305.08891, table 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestepSpacing {
    /// Evenly from both ends.
    Linspace,
    /// Evenly from the clean end, so that pure noise is never visited.
    Leading,
    /// Evenly from the noisy end.
    Trailing,
}

fn num_train_timesteps() -> usize {
    1000
}
fn beta_start() -> f64 {
    0.0001
}
fn beta_end() -> f64 {
    0.02
}
fn timestep_scaling() -> f64 {
    10.0
}
fn yes() -> bool {
    true
}
