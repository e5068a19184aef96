//! How does the network learn how noisy a row is? Sinusoids of its timestep through two layers.

use super::super::{
    EngineError,
    ops::{Activation, Backend, Shape, layers::Linear},
    weights::Scope,
};
use crate::catalog::architecture::UnetConfig;

/// Slowest period of the sinusoids (Vaswani et al., arXiv 1706.03762, section 3.5).
const MAX_PERIOD: f64 = 10_000.0;

/// Hidden width over the first level's channels, fixed in diffusers.
const EXPANSION: usize = 4;

#[derive(Debug)]
pub(super) struct TimeEmbedding<B: Backend> {
    channels: usize,
    cosine_first: bool,
    freq_shift: f64,
    linear_1: Linear<B>,
    linear_2: Linear<B>,
}

impl<B: Backend> TimeEmbedding<B> {
    /// Channels of the embedding that every residual block receives.
    pub(super) fn width(config: &UnetConfig) -> usize {
        EXPANSION * config.block_out_channels[0]
    }

    pub(super) fn load(ops: &B, vs: &Scope<'_>, config: &UnetConfig) -> Result<Self, EngineError> {
        let channels = config.block_out_channels[0];
        let width = Self::width(config);
        let silu = |name, inputs| {
            Linear::load_activated(ops, &vs.pp(name), (inputs, width), Activation::Silu)
        };
        Ok(Self {
            channels,
            cosine_first: config.flip_sin_to_cos,
            freq_shift: config.freq_shift,
            linear_1: silu("linear_1", channels)?,
            linear_2: silu("linear_2", width)?,
        })
    }

    /// One vector for each row, with the SiLU in front of every residual block's projection already
    /// applied: it is the same one for all of them.
    pub(super) fn forward(&self, ops: &B, timesteps: &[f64]) -> Result<B::Tensor, EngineError> {
        let shape = Shape::vectors(timesteps.len(), self.channels);
        let xs = ops.upload_tokens(shape, |values| {
            for (values, &timestep) in values.chunks_exact_mut(self.channels).zip(timesteps) {
                sinusoids(timestep, self.cosine_first, self.freq_shift, values);
            }
        })?;
        let xs = self.linear_1.forward(ops, &xs)?;
        self.linear_2.forward(ops, &xs)
    }
}

/// In f32 and in diffusers' order: its roundings, of up to 6e-5 at timestep 999, were there in training.
/// The last of an odd number of values stays as it is.
fn sinusoids(timestep: f64, cosine_first: bool, freq_shift: f64, values: &mut [f32]) {
    let half = values.len() / 2;
    let slowest = -(MAX_PERIOD.ln() as f32);
    let divisor = (half as f64 - freq_shift) as f32;
    for index in 0..half {
        let angle = timestep as f32 * (slowest * index as f32 / divisor).exp();
        let (sine, cosine) = angle.sin_cos();
        let (first, second) = if cosine_first {
            (cosine, sine)
        } else {
            (sine, cosine)
        };
        (values[index], values[half + index]) = (first, second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_frequency_is_one_and_the_last_is_slow() {
        let mut values = [0.0; 4];
        sinusoids(2.0, true, 0.0, &mut values);
        let slow = 2.0 / 100.0f64;
        let expected = [2.0f64.cos(), slow.cos(), 2.0f64.sin(), slow.sin()];
        for (value, expected) in values.iter().zip(expected) {
            assert!((f64::from(*value) - expected).abs() < 1e-7);
        }
    }

    #[test]
    fn sine_first_swaps_the_halves_and_an_odd_width_ends_in_zero() {
        let (mut cosine_first, mut sine_first) = ([0.0; 5], [0.0; 5]);
        sinusoids(7.0, true, 1.0, &mut cosine_first);
        sinusoids(7.0, false, 1.0, &mut sine_first);
        assert_eq!(cosine_first[..2], sine_first[2..4]);
        assert_eq!(cosine_first[4], 0.0);
    }
}
