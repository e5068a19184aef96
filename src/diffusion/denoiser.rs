//! What does a network's output say about the clean latent? Conversion of a prediction to the
//! denoised latent, and classifier-free guidance. Both are linear, so they are coefficients too.

use super::noise_schedule::Level;
use crate::catalog::architecture::Prediction;

/// `denoised = from_x * x + from_output * output`, element by element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DenoiseCoefficients {
    /// Weight of the noisy latent.
    pub from_x: f64,
    /// Weight of the network's output.
    pub from_output: f64,
}

impl DenoiseCoefficients {
    /// Returns the coefficients at a level; `None` where pure noise says nothing about the clean
    /// latent, which is a prediction of the noise at `alpha = 0` (arXiv 2305.08891, section 3.1).
    pub fn new(prediction: Prediction, level: Level) -> Option<Self> {
        let Level { alpha, sigma, .. } = level;
        match prediction {
            Prediction::Epsilon if alpha == 0.0 => None,
            Prediction::Epsilon => Some(Self {
                from_x: 1.0 / alpha,
                from_output: -sigma / alpha,
            }),
            Prediction::Velocity => Some(Self {
                from_x: alpha,
                from_output: -sigma,
            }),
            Prediction::Sample => Some(Self {
                from_x: 0.0,
                from_output: 1.0,
            }),
        }
    }

    /// Returns the denoised value of one element.
    pub fn denoised(self, x: f64, output: f64) -> f64 {
        self.from_x * x + self.from_output * output
    }
}

/// Classifier-free guidance (arXiv 2207.12598) of one element: away from the unconditional output,
/// through the conditional one. A scale of 1 is the conditional output.
pub fn guided(unconditional: f32, conditional: f32, scale: f32) -> f32 {
    unconditional + scale * (conditional - unconditional)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVEL: Level = Level {
        alpha: 0.6,
        sigma: 0.8,
        timestep: 500.0,
    };

    #[test]
    fn a_perfect_prediction_gives_back_the_clean_latent() {
        let (clean, noise) = (0.37, -1.9);
        let x = LEVEL.alpha * clean + LEVEL.sigma * noise;
        let velocity = LEVEL.alpha * noise - LEVEL.sigma * clean;
        for (prediction, output) in [
            (Prediction::Epsilon, noise),
            (Prediction::Velocity, velocity),
            (Prediction::Sample, clean),
        ] {
            let coefficients = DenoiseCoefficients::new(prediction, LEVEL).unwrap();
            let denoised = coefficients.denoised(x, output);
            assert!(
                (denoised - clean).abs() < 1e-15,
                "{prediction:?} {denoised}"
            );
        }
    }

    #[test]
    fn only_the_noise_says_nothing_of_the_clean_latent_at_pure_noise() {
        let noise = Level {
            alpha: 0.0,
            sigma: 1.0,
            timestep: 999.0,
        };
        assert_eq!(DenoiseCoefficients::new(Prediction::Epsilon, noise), None);
        let coefficients = DenoiseCoefficients::new(Prediction::Velocity, noise).unwrap();
        assert_eq!(coefficients.denoised(5.0, -0.25), 0.25);
        let coefficients = DenoiseCoefficients::new(Prediction::Sample, noise).unwrap();
        assert_eq!(coefficients.denoised(5.0, -0.25), -0.25);
    }

    #[test]
    fn guidance_extrapolates_from_the_unconditional_output() {
        let pairs = [(0.5, 1.0), (2.0, 2.0), (1.0, -3.0)];
        let outputs = pairs.map(|(unconditional, output)| guided(unconditional, output, 3.0));
        assert_eq!(outputs, [2.0, 2.0, -11.0]);
    }

    #[test]
    fn a_scale_of_one_is_the_conditional_output() {
        assert_eq!(guided(0.5, -2.0, 1.0), -2.0);
    }
}
