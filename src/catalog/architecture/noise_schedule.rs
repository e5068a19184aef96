//! How was the network trained to see noise? Mirror of `scheduler/scheduler_config.json`.

use serde::{Deserialize, Serialize};

/// `scheduler/scheduler_config.json`: the training-side noise schedule and how steps are spaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoiseScheduleConfig {
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
fn yes() -> bool {
    true
}
