//! How noisy is a training timestep? The variance-preserving schedule a network was trained with,
//! and how `n` sampling steps are spread over it.
//!
//! A noisy latent is `x = alpha * clean + sigma * noise` with `alpha^2 + sigma^2 = 1` and
//! `alpha^2 = alpha_bar`, the product of all `1 - beta` up to the timestep. Diffusers multiplies in
//! f32; here it is f64, which moves the last latents by at most 2.4e-6 of the largest value on the way
//! over all the trajectories of `tests/golden/samplers.json`.

use crate::catalog::{
    SamplerKind,
    architecture::{BetaSchedule, NoiseScheduleConfig, Prediction, TimestepSpacing},
};

/// The configuration describes no usable schedule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NoiseScheduleError {
    /// There is nothing to space steps over.
    #[error("num_train_timesteps = {0} is too few; at least 2 are needed")]
    TooFewTimesteps(usize),
    /// The betas are not increasing probabilities.
    #[error(
        "beta_start = {start} and beta_end = {end} are not a schedule; \
         0 < beta_start <= beta_end < 1 is needed"
    )]
    Betas {
        /// First beta.
        start: f64,
        /// Last beta.
        end: f64,
    },
    /// Clipping is for pixels; it is not linear, and wrong for latents.
    #[error("clip_sample = true is not supported; latent models need clip_sample = false")]
    ClipsSample,
    /// A consistency model cannot have been distilled on so many timesteps.
    #[error("original_inference_steps = {steps} is outside 1..={max}")]
    OriginalSteps {
        /// What the configuration says.
        steps: usize,
        /// The number of training timesteps.
        max: usize,
    },
    /// A consistency model would be its input everywhere, or nothing.
    #[error("timestep_scaling = {0} is not a number above 0; 10 is usual")]
    TimestepScaling(f64),
}

/// One noise level: `x = alpha * clean + sigma * noise`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Share of the clean latent, in [0, 1].
    pub alpha: f64,
    /// Share of the noise, in [0, 1].
    pub sigma: f64,
    /// The training timestep that a network is told at this level.
    pub timestep: f64,
}

impl Level {
    /// No noise: where every trajectory ends. No network is evaluated here.
    pub const CLEAN: Self = Self {
        alpha: 1.0,
        sigma: 0.0,
        timestep: 0.0,
    };

    /// Half the logarithm of the signal-to-noise ratio, `ln(alpha / sigma)`: -infinity for pure
    /// noise, infinity for none.
    pub fn lambda(self) -> f64 {
        self.alpha.ln() - self.sigma.ln()
    }

    fn from_alpha_bar(alpha_bar: f64, timestep: f64) -> Self {
        Self {
            alpha: alpha_bar.sqrt(),
            sigma: (1.0 - alpha_bar).sqrt(),
            timestep,
        }
    }
}

/// The training noise schedule of a family.
#[derive(Debug, Clone)]
pub struct NoiseSchedule {
    alpha_bars: Vec<f64>,
    config: NoiseScheduleConfig,
}

impl NoiseSchedule {
    /// The least alpha-bar that the multistep solvers of diffusers let a schedule reach, so that
    /// lambda stays finite at zero terminal SNR.
    pub const CLAMPED_ALPHA_BAR: f64 = 1.0 / 16_777_216.0;

    /// Computes the schedule of a configuration.
    pub fn new(config: &NoiseScheduleConfig) -> Result<Self, NoiseScheduleError> {
        let (start, end) = (config.beta_start, config.beta_end);
        if config.num_train_timesteps < 2 {
            let n = config.num_train_timesteps;
            return Err(NoiseScheduleError::TooFewTimesteps(n));
        }
        if !(0.0 < start && start <= end && end < 1.0) {
            return Err(NoiseScheduleError::Betas { start, end });
        }
        if config.clip_sample {
            return Err(NoiseScheduleError::ClipsSample);
        }
        let (steps, max) = (config.n_original_steps(), config.num_train_timesteps);
        if !(1..=max).contains(&steps) {
            return Err(NoiseScheduleError::OriginalSteps { steps, max });
        }
        if !(config.timestep_scaling > 0.0 && config.timestep_scaling.is_finite()) {
            return Err(NoiseScheduleError::TimestepScaling(config.timestep_scaling));
        }
        let mut alpha_bars = alpha_bars(config);
        if config.rescale_betas_zero_snr {
            rescale_to_zero_terminal_snr(&mut alpha_bars);
        }
        Ok(Self {
            alpha_bars,
            config: config.clone(),
        })
    }

    /// Number of training timesteps; they are counted from 0, the cleanest.
    pub fn n_timesteps(&self) -> usize {
        self.alpha_bars.len()
    }

    /// The most steps that a sampler can take.
    pub fn max_steps(&self, sampler: SamplerKind) -> usize {
        self.config.max_steps(sampler)
    }

    /// Number of timesteps that consistency models are distilled on; at least 1, at most all.
    pub fn n_original_steps(&self) -> usize {
        self.config.n_original_steps()
    }

    /// By what a consistency model's boundary condition multiplies timesteps.
    pub fn timestep_scaling(&self) -> f64 {
        self.config.timestep_scaling
    }

    /// What the networks trained with this schedule predict.
    pub fn prediction(&self) -> Prediction {
        self.config.prediction_type
    }

    /// How the configuration wants steps to be spread, if it says so; samplers differ in what they
    /// do otherwise.
    pub fn spacing(&self) -> Option<TimestepSpacing> {
        self.config.timestep_spacing
    }

    /// Returns the level of a training timestep. `timestep` must be below [`Self::n_timesteps`].
    pub fn level(&self, timestep: usize) -> Level {
        Level::from_alpha_bar(self.alpha_bars[timestep], timestep as f64)
    }

    /// Returns the level of a training timestep with the last alpha-bar of a schedule that was
    /// rescaled to zero terminal SNR raised to [`Self::CLAMPED_ALPHA_BAR`].
    pub fn clamped_level(&self, timestep: usize) -> Level {
        if self.config.rescale_betas_zero_snr && timestep + 1 == self.n_timesteps() {
            return Level::from_alpha_bar(Self::CLAMPED_ALPHA_BAR, timestep as f64);
        }
        self.level(timestep)
    }

    /// Returns the level at a timestep between training timesteps: `sigma / alpha`, clamped as in
    /// [`Self::clamped_level`], is a straight line there. `timestep` must be from 0 to the last one.
    pub fn interpolated_level(&self, timestep: f64) -> Level {
        let below = timestep.floor();
        let share = timestep - below;
        let level = self.clamped_level(below as usize);
        if share == 0.0 {
            return level;
        }
        let ratio = |level: Level| level.sigma / level.alpha;
        let (low, high) = (ratio(level), ratio(self.clamped_level(below as usize + 1)));
        let between = low + share * (high - low);
        let alpha = 1.0 / between.hypot(1.0);
        Level {
            alpha,
            sigma: between * alpha,
            timestep,
        }
    }

    /// Returns the level behind the last step: no noise, or that of timestep 0
    /// (`set_alpha_to_one = false`).
    pub fn final_level(&self) -> Level {
        if self.config.set_alpha_to_one {
            Level::CLEAN
        } else {
            self.level(0)
        }
    }

    /// Returns `n` timesteps in falling order, spread as diffusers' `DDIMScheduler` spreads them
    /// (arXiv 2305.08891, table 2), `steps_offset` included with leading spacing.
    ///
    /// They may leave the schedule or repeat where `n` is close to the number of training
    /// timesteps: the caller checks. `n` must not be 0.
    pub fn timesteps(&self, spacing: TimestepSpacing, n: usize) -> Vec<f64> {
        let n_train = self.n_timesteps();
        match spacing {
            TimestepSpacing::Linspace => {
                let unrounded = self.unrounded_linspace(n).into_iter();
                unrounded.map(f64::round_ties_even).collect()
            }
            TimestepSpacing::Leading => {
                let stride = n_train / n;
                let offset = self.config.steps_offset;
                let whole = (0..n).rev().map(|i| i * stride + offset);
                whole.map(|timestep| timestep as f64).collect()
            }
            TimestepSpacing::Trailing => trailing(n_train, n),
        }
    }

    /// Returns `n` numbers from 0 to the last timestep, both included, as numpy's `linspace`, reversed; of
    /// one number, 0. `n` must not be 0.
    pub fn unrounded_linspace(&self, n: usize) -> Vec<f64> {
        let last = (self.n_timesteps() - 1) as f64;
        if n == 1 {
            return vec![0.0];
        }
        let stride = last / (n - 1) as f64;
        let inner = (0..n - 1).rev().map(|i| i as f64 * stride);
        std::iter::once(last).chain(inner).collect()
    }
}

/// numpy's `arange(n_train, 0, -n_train / n).round() - 1`. Its stride is the rounded difference of
/// the first two numbers, which decides how halves are rounded. Its length is not always `n`: for
/// some `n` diffusers appends a timestep -1, which is left out here.
fn trailing(n_train: usize, n: usize) -> Vec<f64> {
    let start = n_train as f64;
    let stride = (start - start / n as f64) - start;
    (0..n)
        .map(|i| (start + i as f64 * stride).round_ties_even() - 1.0)
        .map(|timestep| timestep.max(0.0))
        .collect()
}

fn alpha_bars(config: &NoiseScheduleConfig) -> Vec<f64> {
    let n = config.num_train_timesteps;
    let between =
        |start: f64, end: f64, i: usize| start + (end - start) * i as f64 / (n - 1) as f64;
    let beta = |i: usize| match config.beta_schedule {
        BetaSchedule::Linear => between(config.beta_start, config.beta_end, i),
        BetaSchedule::ScaledLinear => {
            between(config.beta_start.sqrt(), config.beta_end.sqrt(), i).powi(2)
        }
    };
    let mut product = 1.0;
    (0..n)
        .map(|i| {
            product *= 1.0 - beta(i);
            product
        })
        .collect()
}

/// Shifts and scales sqrt(alpha-bar) so that the first one stays and the last one is exactly 0
/// (arXiv 2305.08891, algorithm 1).
fn rescale_to_zero_terminal_snr(alpha_bars: &mut [f64]) {
    let first = alpha_bars[0].sqrt();
    let last = alpha_bars[alpha_bars.len() - 1].sqrt();
    let scale = first / (first - last);
    for alpha_bar in alpha_bars {
        *alpha_bar = ((alpha_bar.sqrt() - last) * scale).powi(2);
    }
}

#[cfg(test)]
mod tests;
